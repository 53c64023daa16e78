"""What holds for every test: the run begins by saying which foreign judges are at hand."""

from __future__ import annotations

from peers import PEERS, REQUIRE_PEERS


def pytest_report_header() -> list[str]:
    """Name the foreign programs found and, with their Debian packages, those that are missing."""
    found = sorted(name for name, peer in PEERS.items() if peer.path)
    missing = [f"{name} ({' '.join(peer.packages)})" for name, peer in PEERS.items() if not peer.path]
    return [
        f"foreign judges: {', '.join(found) or 'none'}",
        *([f"missing, see {REQUIRE_PEERS}: {', '.join(missing)}"] if missing else []),
    ]
