"""One HTTP exchange as values: what came in, what went out, and everything learnt between.

Lives here: the request and reply that the service works on, in place of a web framework's, and the
`Exchange` that is shown to observers afterwards. Access log, metrics, event log and journal are all
fed from that one value. Does not live here: any decision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from .protocol.messages import PkiStatus

if TYPE_CHECKING:
    from datetime import datetime

    from ca.pkcs10 import CertificateRequest

    from .checks import Check
    from .decisions import Answer
    from .outcomes import Outcome
    from .protocol.messages import (
        CertRep,
        OpenedMessage,
        PkiMessage,
        RequestContent,
        UnverifiedMessage,
    )


CONNECTION_KEY = "scep_server.connection"
"""Where a web server may put, into the WSGI environment, a name of the connection that it never reuses."""


class Operation(Enum):
    """OPERATION of a SCEP request (RFC 8894 4.1); the value is the RFC's spelling."""

    GET_CA_CAPS = "GetCACaps"
    GET_CA_CERT = "GetCACert"
    GET_NEXT_CA_CERT = "GetNextCACert"
    PKI_OPERATION = "PKIOperation"


class Ending(Enum):
    """How an exchange ended, in five words: three that SCEP says in a CertRep, two that HTTP says."""

    SUCCESS = "success"  # of whatever was asked for
    PENDING = "pending"
    FAILURE = "failure"  # a signed CertRep with failInfo
    REJECTED = "rejected"  # HTTP 4xx
    ERROR = "error"  # HTTP 5xx


_ENDINGS = {
    PkiStatus.SUCCESS: Ending.SUCCESS,
    PkiStatus.PENDING: Ending.PENDING,
    PkiStatus.FAILURE: Ending.FAILURE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpExchangeRequest:
    """An HTTP request as the service wants it: nothing decoded that the service must see raw.

    ``path`` is percent-decoded as WSGI has it, ``query`` is not. ``body`` holds at most one octet
    more than the limit. ``declared_length`` is Content-Length: None where there is none, negative
    where it is no number. ``body_complete`` is False where the body ended early or was not framed.

    ``connection`` names the TCP connection and is never used for another one; empty where the web server
    does not tell. ``header_octets`` is the length of the whole header section, ``longest_field_octets``
    that of its longest field. ``forwarded_for`` is X-Forwarded-For, whoever wrote it. ``endpoint`` is set
    by what stands in front of the service and has read the path already.
    """

    method: str
    path: str
    query: str = ""
    content_type: str = ""
    content_encoding: str = ""
    declared_length: int | None = None
    body: bytes = field(default=b"", repr=False)
    body_complete: bool = True
    remote_address: str = ""
    user_agent: str = ""
    referer: str = ""
    host: str = ""
    protocol: str = "HTTP/1.1"
    remote_port: str = ""
    connection: str = ""
    authorization: str = field(default="", repr=False)
    forwarded_for: str = ""
    header_octets: int = 0
    longest_field_octets: int = 0
    endpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """An HTTP reply.

    ``content_type`` goes out exactly so, without a charset: certmonger and scepclient compare the
    whole header. ``substatus``, ``win32_status`` and ``user`` are not sent: they are what IIS writes
    into its log as sc-substatus, sc-win32-status and cs-username. ``kernel`` says that HTTP.sys answered,
    so that IIS's log has no line.
    """

    status: int
    content_type: str
    body: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    substatus: int = 0
    win32_status: int = 0
    user: str = ""
    kernel: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Everything that is known of one exchange once its reply is ready to be sent.

    What was not reached is None. ``checks`` are in the order they were made; ``detail`` says for
    people why the exchange ended as it did and holds no secret; ``refused_by`` is the stable id of
    the check or error that ended it. ``timings`` are (stage, duration in seconds), ``duration`` is that
    of all of it.
    """

    number: int
    received_at: datetime
    request: HttpExchangeRequest
    reply: HttpReply
    endpoint: str | None = None
    operation: Operation | None = None
    octets: bytes | None = field(default=None, repr=False)  # pkiMessage as received, transport undone
    unverified: UnverifiedMessage | None = field(default=None, repr=False)
    message: PkiMessage | None = field(default=None, repr=False)
    opened: OpenedMessage | None = field(default=None, repr=False)
    content: RequestContent | None = field(default=None, repr=False)
    csr: CertificateRequest | None = field(default=None, repr=False)
    answer: Answer | None = field(default=None, repr=False)
    cert_rep: CertRep | None = field(default=None, repr=False)
    outcome: Outcome | None = None
    refused_by: str | None = None
    detail: str = ""
    checks: tuple[Check, ...] = ()
    certificate_id: int | None = None
    timings: tuple[tuple[str, float], ...] = ()
    duration: float = 0.0

    @property
    def transaction_id(self) -> str | None:
        """Return the transactionID, once the outer message could be read."""
        return None if self.unverified is None else self.unverified.transaction_id

    @property
    def ending(self) -> Ending:
        """Return how it ended."""
        if self.cert_rep is not None:
            return _ENDINGS[self.cert_rep.pki_status]
        if self.reply.status >= 500:
            return Ending.ERROR
        return Ending.REJECTED if self.reply.status >= 400 else Ending.SUCCESS


class ExchangeObserver(Protocol):
    """Is told of every exchange just before its reply is sent."""

    def observe(self, exchange: Exchange) -> None:
        """Take note of a finished exchange; must not raise and should not wait."""
