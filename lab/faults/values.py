"""The values that faults change, besides those of the product itself.

Of the product's own, faults take `CertRep`, `PublishedFile`, `OcspAnswer`, `Template` and the clock's
``datetime``. All are frozen: a fault returns another one, or the very same where it has nothing to change.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ca.certificates import TbsCertificate
    from ca.keys import SigningKey
    from ca.records import ChallengeRecord
    from lab.recorded import Headers
    from scep_server.protocol.algorithms import DigestAlgorithm
    from scep_server.protocol.errors import MessageError
    from scep_server.protocol.messages import CertRep, OpenedMessage, RequestContent
    from scep_server.protocol.parts import SignedDataParts
    from scep_server.protocol.replies import ReplyForm
    from scep_server.protocol.signers import MessageSigner


_NO_VALUE: Final = frozenset("\r\n\0")


# -- the wire ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Octets are sent as they are."""

    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is sent for some seconds; ended by the client's going away, or the lab's end."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """The connection is closed in order (FIN)."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is torn down (RST)."""


WireStep = Send | Wait | Close | Reset


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """An answer on its way out, whole.

    ``delivery`` None sends it as usual; else it returns what is done instead with the answer as it then
    is, and ``manner`` says so in plain words. The connection is not used again after that.
    """

    status: int
    headers: Headers
    body: bytes = field(repr=False)
    reason: str = ""
    delivery: Callable[[HttpAnswer], Iterable[WireStep]] | None = field(default=None, repr=False)
    manner: str = ""

    @property
    def phrase(self) -> str:
        """The reason phrase, the usual one where none is given."""
        return self.reason or HTTPStatus(self.status).phrase

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def with_header(self, name: str, value: str | None) -> HttpAnswer:
        """Return the answer with this header in place of those of its name; None leaves them out.

        Raises:
            ValueError: the value would end the line that it stands on.

        """
        if value is not None and not _NO_VALUE.isdisjoint(value):
            raise ValueError(f"{name} is {value[:60]!a}: a header's value is one line (RFC 9110 5.5)")
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return replace(self, headers=kept if value is None else (*kept, (name, value)))

    def with_body(self, body: bytes, content_type: str | None = None) -> HttpAnswer:
        """Return the answer with another body, and a Content-Length that fits it."""
        changed = replace(self, body=body).with_header("Content-Length", str(len(body)))
        return changed if content_type is None else changed.with_header("Content-Type", content_type)

    def delivered(self, manner: str, delivery: Callable[[HttpAnswer], Iterable[WireStep]]) -> HttpAnswer:
        """Return the answer, to be delivered in another manner."""
        return replace(self, delivery=delivery, manner=manner)

    def head(self) -> bytes:
        """Return status line and header fields as they would be sent, up to the empty line."""
        lines = [
            f"HTTP/1.1 {self.status} {self.phrase}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        if self.header("Connection") is None:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request that has arrived and was not looked at yet.

    Where a fault sets ``answer`` that is sent, and what stands behind never sees the request.
    """

    method: str
    path: str
    query: str = ""  # as it was sent
    answer: HttpAnswer | None = None

    def answered(
        self, status: int, body: bytes, content_type: str = "text/html", headers: Headers = ()
    ) -> Arrival:
        """Return the arrival with an answer."""
        length = ("Content-Length", str(len(body)))
        fields = (("Content-Type", content_type), length, *headers)
        return replace(self, answer=HttpAnswer(status=status, headers=fields, body=body))


ServerCertificateKind = Literal[
    "good", "wrong-name", "expired", "not-yet-valid", "untrusted", "self-signed", "client-only"
]
TlsVersion = Literal["1.0", "1.2", "1.3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doorway:
    """How a listener of its own is reached: faults that come before HTTP have one each.

    ``scheme`` and ``host`` are what its URL names. ``port`` closed refuses connections; at a silent one
    nothing answers, not even TCP. ``certificate`` is what TLS shows, with the CA's behind it where
    ``with_chain``; None speaks plain HTTP, whatever the scheme. ``minimum_tls`` and ``maximum_tls`` limit the
    version. ``client_certificate`` is whether the server asks for one, and goes on without.
    """

    scheme: Literal["http", "https"] = "http"
    host: str
    port: Literal["open", "closed", "silent"] = "open"
    certificate: ServerCertificateKind | None = None
    with_chain: bool = True
    minimum_tls: TlsVersion = "1.2"
    maximum_tls: TlsVersion = "1.3"
    client_certificate: Literal["none", "wanted", "required"] = "none"

    def with_tls(self, certificate: ServerCertificateKind = "good", **changes: object) -> Doorway:
        """Return the doorway with TLS, showing this certificate."""
        return replace(self, scheme="https", certificate=certificate, **changes)  # type: ignore[arg-type]


# -- GetCACaps and GetCACert ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilitiesAnswer:
    """A GetCACaps response (RFC 8894 3.5.2): the body as it is sent."""

    body: bytes
    content_type: str

    @property
    def words(self) -> tuple[str, ...]:
        """The keywords in the body."""
        return tuple(self.body.decode("latin-1").split())

    def with_words(self, words: Sequence[str]) -> CapabilitiesAnswer:
        """Return the response with other keywords, a line each."""
        return replace(self, body="".join(f"{word}\n" for word in words).encode("latin-1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CaCertificatesAnswer:
    """A GetCACert response (RFC 8894 4.2.1) before it is encoded.

    ``certificates`` are DER in the order in which they are sent: one goes out alone, several in a
    certs-only SignedData, unless ``body`` is given.
    """

    certificates: tuple[bytes, ...]
    body: bytes | None = None
    content_type: str | None = None


# -- requests and replies ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRequest:
    """A request that was verified, opened and read, before anybody decides on it.

    Where a fault sets ``refusal`` the server refuses the request for that reason: nothing is issued, no
    challenge is spent. ``finish`` is then what becomes of the refusal before it is signed.
    """

    message: OpenedMessage
    content: RequestContent
    refusal: MessageError | None = None
    finish: Callable[[SigningDraft], SigningDraft] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyDraft:
    """A CertRep and with what it is to be enciphered and signed."""

    cert_rep: CertRep
    signer: MessageSigner
    form: ReplyForm
    cek: bytes = field(repr=False)
    iv: bytes = field(repr=False)
    password_seed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningDraft:
    """A SignedData in parts, about to be signed: what is changed here is validly signed.

    ``draft`` is what the parts were made of.
    """

    parts: SignedDataParts
    signer: MessageSigner
    digest: DigestAlgorithm
    draft: ReplyDraft


@dataclass(frozen=True, slots=True)
class EncodedMessage:
    """A signed CertRep in its octets, and what they were made of."""

    octets: bytes = field(repr=False)
    signing: SigningDraft


# -- certificates and what the lab leans on ----------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftCertificate:
    """A certificate about to be signed, and the key that signs it."""

    tbs: TbsCertificate
    key: SigningKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """The database is about to be used, or just was. A fault raises what a store raises, or waits.

    ``read`` and ``write`` are before a transaction begins, ``commit`` is before it ends, when everything is
    written and may still be lost, and ``committed`` after it, when everything is kept.
    """

    kind: Literal["read", "write", "commit", "committed"]


@dataclass(frozen=True, slots=True)
class CaAccess:
    """The issuing CA is about to work. A fault raises a CaError, or waits.

    ``ask`` is when the RA hands it a request, for a template and in somebody's name; ``sign`` is when its key
    is about to be used.
    """

    kind: Literal["ask", "sign"]
    template: str = ""
    requester: str = ""


@dataclass(frozen=True, slots=True)
class RaAccess:
    """The RA's certificates and keys are about to be looked at. A fault raises RaUnusable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeLookup:
    """A challenge password was looked up; ``found`` is what the store has of it."""

    found: ChallengeRecord | None
