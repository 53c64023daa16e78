"""What was seen of an attempt, at both ends, and whether it is what was expected."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from lab.hresults import hresult

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.trust import X509Certificate
    from scep_server.protocol.messages import FailInfo


class Ending(Enum):
    """How an attempt ends for the client."""

    ISSUED = "certificate issued"
    TRUSTED = "certificate trusted"
    REFUSED = "refused by the server (CertRep FAILURE)"
    PENDING = "request pending"
    NO_ANSWER = "no answer"
    HTTP_STATUS = "refused by the web server"
    CA_NOT_TRUSTED = "CA certificates not accepted"
    REPLY_NOT_ACCEPTED = "reply not accepted"
    NOT_TRUSTED = "certificate not trusted"
    NO_PASSWORD = "no password given"

    @property
    def is_success(self) -> bool:
        """Whether the client has what it came for."""
        return self in {Ending.ISSUED, Ending.TRUSTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSaw:
    """What the client has to say.

    ``hresult`` is what Windows would call it. ``http_status`` is None where no HTTP answer decided; ``check``
    names the check that a reply failed.
    """

    ending: Ending
    says: str
    hresult: int | None = None
    fail_info: FailInfo | None = None
    http_status: int | None = None
    check: str | None = None
    certificate: X509Certificate | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLogged:
    """What the server's logs have got since the attempt began.

    ``refused_by`` is the id of the check that ended the last exchange, if one did; ``events`` are the ids of
    NDES's error events; ``iis`` is sc-status, sc-substatus and sc-win32-status of the last line of IIS's
    log. ``lines`` are all of them as an administrator reads them.
    """

    refused_by: str | None = None
    events: tuple[int, ...] = ()
    iis: str | None = None
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One attempt, seen from both ends. ``pki_view`` are the rows in error of Enterprise PKI."""

    client: ClientSaw
    server: ServerLogged = ServerLogged()
    pki_view: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was compared."""

    what: str
    expected: str
    seen: str

    @property
    def ok(self) -> bool:
        """Whether it is as expected."""
        return self.expected == self.seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How an attempt must end. Every field is compared, those left out with "nothing"."""

    ending: Ending
    hresult: int | None = None
    fail_info: FailInfo | None = None
    http_status: int | None = None
    check: str | None = None
    refused_by: str | None = None
    events: tuple[int, ...] = ()
    iis: str | None = None
    pki_view: tuple[str, ...] = ()

    def compare(self, seen: Seen) -> tuple[Finding, ...]:
        """Return what was compared, leaving out what neither side has."""
        found = zip(self._facts(), _facts_of(seen), strict=True)
        return tuple(
            Finding(what=what, expected=expected, seen=actual)
            for (what, expected), actual in found
            if (expected, actual) != (_NOTHING, _NOTHING)
        )

    def lines(self) -> list[tuple[str, str]]:
        """Return what is expected, by name."""
        return [(what, expected) for what, expected in self._facts() if expected != _NOTHING]

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "the client ends with", self.ending.value
        yield "HRESULT at the client", _code(self.hresult)
        yield "failInfo", _fail_info(self.fail_info)
        yield "HTTP status", _text(self.http_status)
        yield "check that the reply fails", _text(self.check)
        yield "server refused by", _text(self.refused_by)
        yield "error events of NDES", _list(self.events)
        yield "IIS log: status, substatus, win32", _text(self.iis)
        yield "Enterprise PKI", _list(self.pki_view)


_NOTHING = "nothing"


def _facts_of(seen: Seen) -> Iterator[str]:
    client, server = seen.client, seen.server
    yield client.ending.value
    yield _code(client.hresult)
    yield _fail_info(client.fail_info)
    yield _text(client.http_status)
    yield _text(client.check)
    yield _text(server.refused_by)
    yield _list(server.events)
    yield _text(server.iis)
    yield _list(seen.pki_view)


def _text(value: object) -> str:
    return _NOTHING if value is None else str(value)


def _list(values: tuple[object, ...]) -> str:
    return ", ".join(map(str, values)) or _NOTHING


def _code(code: int | None) -> str:
    if code is None:
        return _NOTHING
    known = hresult(code)
    return f"0x{known.code:08x} {known.name}"


def _fail_info(value: FailInfo | None) -> str:
    return _NOTHING if value is None else f"{value.value} {value.rfc_name}"
