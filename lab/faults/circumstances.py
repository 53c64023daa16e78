"""What is known of the exchange that is being answered in this thread.

Filled in on the way: client, path and operation at once, the message's facts as soon as it has been read.
Rules are matched against it, and it notes which faults were applied.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from ca.errors import CaError
from ca.pkcs10 import parse_request

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from lab.recorded import AppliedFault, ListenerName
    from scep_server.exchange import Exchange

    from .registry import Fault
    from .values import SigningDraft


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """The fault that the URL asks for, of every operation or (in lower case) of one."""

    fault: Fault
    parameters: dict[str, object] = field(default_factory=dict)
    prefix: str  # of the path, as sent: /fault/<id>
    operation: str | None = None

    def is_for(self, operation: str | None) -> bool:
        """Tell whether it is met by exchanges of this operation."""
        return self.operation is None or (operation or "").lower() == self.operation


@dataclass(slots=True, kw_only=True)
class Circumstances:
    """One exchange, as far as it is known. What is not known yet is None.

    ``operation`` is RFC 8894's name at the SCEP listener; at the PKI listener ``CRL``, ``DeltaCRL``, ``AIA``
    or ``OCSP``. ``path`` is without a leading ``/fault/<id>``. ``message_type`` is RFC 8894's name.
    ``unavailable`` is the answer, status and text, where a fault was to be applied and cannot be had.
    ``refusal`` is why the lab itself refuses it, an id and a text. ``csr`` is the PKCS#10 that is asked
    with, ``finish`` what a fault that has the request refused does to the reply before it is signed.
    ``is_own`` is whether the lab itself asks, to look at its health: that meets what anybody would meet now,
    and takes nobody's turn.
    """

    listener: ListenerName
    path: str
    client_address: str
    user_agent: str
    is_own: bool = False
    operation: str | None = None
    endpoint: str | None = None
    message_type: str | None = None
    transaction_id: str | None = None
    csr: bytes | None = None
    finish: Callable[[SigningDraft], SigningDraft] | None = None
    unavailable: tuple[int, str] | None = None
    refusal: tuple[str, str] | None = None
    pinned: Pinned | None = None
    time_shift: timedelta = timedelta(0)
    exchange: Exchange | None = None
    ending: threading.Event | None = None
    applied: list[AppliedFault] = field(default_factory=list)
    decided: dict[int, Fault | None] = field(
        default_factory=dict
    )  # rule id to what it does here, if anything
    hit: set[int] = field(default_factory=set)  # ids of the rules that are counted for this exchange
    _subject: tuple[str | None] | None = field(default=None, init=False, repr=False)  # once it was asked for

    @property
    def subject(self) -> str | None:
        """The subject of ``csr``, RFC 4514; None before there is one, or where it cannot be read.

        Read when it is first asked for: few faults want it, and every enrolment would pay.
        """
        if self.csr is None:
            return None
        if self._subject is None:
            self._subject = (_subject_of(self.csr),)
        return self._subject[0]


_CURRENT: ContextVar[Circumstances | None] = ContextVar("lab.faults.circumstances", default=None)


def current() -> Circumstances | None:
    """Return the exchange that is being answered in this thread, or None outside of one."""
    return _CURRENT.get()


@contextmanager
def answering(circumstances: Circumstances) -> Iterator[None]:
    """Make ``circumstances`` the current ones of this thread."""
    token = _CURRENT.set(circumstances)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def _subject_of(csr: bytes) -> str | None:
    try:
        return parse_request(csr).subject
    except CaError:
        return None
