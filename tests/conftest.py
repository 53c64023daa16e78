"""What holds for every test: the run begins by naming the foreign judges, and logs go to `logging`."""

from __future__ import annotations

from peers import PEERS, REQUIRE_PEERS

from lab.logs import route_to_standard_logging

# `structlog.testing.capture_logs` leaves structlog configured as it found it. Found without a configuration
# it would leave the one that prints, and every lab of a later test would log into what a command prints.
route_to_standard_logging()


def pytest_report_header() -> list[str]:
    """Name the foreign programs found and, with their Debian packages, those that are missing."""
    found = sorted(name for name, peer in PEERS.items() if peer.path)
    missing = [f"{name} ({' '.join(peer.packages)})" for name, peer in PEERS.items() if not peer.path]
    return [
        f"foreign judges: {', '.join(found) or 'none'}",
        *([f"missing, see {REQUIRE_PEERS}: {', '.join(missing)}"] if missing else []),
    ]
