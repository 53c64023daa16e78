"""Evidence for faults of what the lab leans on: HTTP, ``openssl cms``, and what is issued afterwards."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

from faults import published
from faults.evidence import Look, shows
from faults.stand import Sent, Side

_FAIL_INFO = "2.16.840.1.113733.1.9.4"
_FAIL_INFO_TEXT = "1.3.6.1.5.5.7.24.1"


def _attribute(sent: Sent, oid: str) -> str | None:
    """Return the text of a signed attribute, as ``openssl cms -cmsout -print`` shows it."""
    found = re.search(rf"object: .*\({re.escape(oid)}\)\s+set:\s+\w+:(.*)", sent.printed())
    return None if found is None else found[1].strip()


def _refused(words: str) -> Look:
    """Return a look for a signed refusal with this failInfoText, after which the challenge is still good."""

    def look(side: Side) -> bool:
        challenge = side.scep_lab.new_challenge()
        sent = side.enrol(challenge=challenge)
        assert sent.response.status == 200
        if _attribute(sent, _FAIL_INFO) is None:
            return False
        assert _attribute(sent, _FAIL_INFO) == "2"
        again = Side.clean_of(side).enrol(challenge=challenge)
        assert _attribute(again, _FAIL_INFO) is None, "the challenge was used up"
        return words in (_attribute(sent, _FAIL_INFO_TEXT) or "")

    return look


def _unavailable(*, issued: int = 0) -> Look:
    """Return a look for HTTP 503, after which the same octets get one certificate elsewhere."""

    def look(side: Side) -> bool:
        before = len(side.scep_lab.certificates())
        sent = side.enrol()
        if sent.response.status == 200:
            return False
        assert sent.response.status == 503
        assert sent.response.header("Retry-After")
        assert len(side.scep_lab.certificates()) == before + issued
        clean = Side.clean_of(side)
        first, second = clean.again(sent).issued_pem(), clean.again(sent).issued_pem()
        assert first == second
        assert len(side.scep_lab.certificates()) == before + 1
        return True

    return look


def _takes(seconds: float) -> Look:
    """Return a look for an answer that takes at least so long, the quickest of three."""

    def look(side: Side) -> bool:
        taken = []
        for _ in range(3):
            begin = time.perf_counter()
            sent = side.enrol()
            taken.append(time.perf_counter() - begin)
            assert b"BEGIN CERTIFICATE" in sent.issued_pem()
        return min(taken) >= seconds

    return look


def _cannot_start(side: Side) -> bool:
    statuses = {side.get("GetCACaps").status, side.get("GetCACert").status, side.enrol().response.status}
    assert len(statuses) == 1
    return statuses == {500}


for _name in ("locked", "read-only", "full", "unreachable", "corrupt", "fails-at-commit", "conflicts"):
    shows(f"dependency::store-{_name}")(_unavailable())
shows("dependency::store-fails-after-commit")(_unavailable(issued=1))
shows("dependency::ca-down")(_unavailable())
shows("dependency::ca-key-unavailable")(_unavailable())
shows("dependency::store-slow")(_takes(0.5))
shows("dependency::ca-slow")(_takes(1.0))
for _name, _words in (
    ("template-unpublished", "The requested certificate template is not supported by this CA."),
    ("template-permission-withdrawn", "The permissions on the certificate template do not allow"),
    ("ca-permission-withdrawn", "The permissions on this CA do not allow"),
    ("ca-revocation-offline", "the revocation server was offline"),
    ("ca-certificate-ended", "The CA's certificate contains invalid data."),
    ("challenge-cache-lost", "challenge password"),
    ("challenge-spent-elsewhere", "challenge password"),
    ("challenge-ran-out", "challenge password"),
):
    shows(f"dependency::{_name}")(_refused(_words))
for _name in ("key-unavailable", "certificate-missing", "certificate-expired"):
    shows(f"dependency::ra-{_name}")(_cannot_start)


def _begins(sent: Sent) -> datetime:
    found = re.search(r"Not Before: (.*) GMT", sent.issued_text())
    assert found is not None
    return datetime.strptime(found[1], "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)


@shows("dependency::clock-ahead")
def clock_ahead(side: Side) -> bool:
    """What is issued has not begun: back-dating covers ten minutes of the thirty."""
    return _begins(side.enrol()) > published.now() + timedelta(minutes=15)


def _signed_at(sent: Sent) -> datetime:
    found = re.search(r"signingTime.*\n\s+set:\n\s+UTCTIME:(.*) GMT", sent.printed())
    assert found is not None
    return datetime.strptime(found[1], "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)


@shows("dependency::clock-behind")
def clock_behind(side: Side) -> bool:
    """The reply is signed at a time that is five minutes past."""
    sent = side.enrol()
    assert "BEGIN CERTIFICATE" in sent.issued_pem().decode()
    return _signed_at(sent) < published.now() - timedelta(minutes=3)


@shows("dependency::clock-jumps")
def clock_jumps(side: Side) -> bool:
    """Among the instants that three requests brought are some to come and some past."""
    ahead = behind = False
    for _ in range(3):
        sent = side.enrol()
        for found in (_signed_at(sent), _begins(sent) + timedelta(minutes=10)):
            ahead = ahead or found > published.now() + timedelta(minutes=1)
            behind = behind or found < published.now() - timedelta(minutes=1)
    return ahead and behind
