"""What is asked of the client, and what it has under way, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from ca.der import DerError
from scep_server.protocol.certificates import read_certificate
from scep_server.protocol.requests import public_key_der

from .errors import InvalidOrder

if TYPE_CHECKING:
    from cryptography import x509

    from scep_server.protocol.client import ClientRequest
    from scep_server.protocol.messages import MessageType, SignerCertificate

    from .requests import ClientKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate with its private key: whom messages are signed as."""

    certificate: SignerCertificate
    key: ClientKey = field(repr=False)

    @classmethod
    def of(cls, certificate: bytes, key: ClientKey) -> Identity:
        """Return the identity of a DER certificate; raises InvalidOrder if the key is another's."""
        try:
            read = read_certificate(certificate)
        except DerError as error:
            raise InvalidOrder(f"the certificate to sign with cannot be read: {error}") from error
        if read.public_key_der != public_key_der(key):
            raise InvalidOrder("certificate and private key do not belong together")
        return cls(certificate=read, key=key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A certificate that is wanted.

    ``renewal_of`` is the certificate to renew; it signs the request (RFC 8894 2.3). ``message_type``
    None is RenewalReq for a renewal if the server announces it, else PKCSReq.
    """

    key: ClientKey = field(repr=False)
    subject_der: bytes
    alternative_names: tuple[x509.GeneralName, ...] = ()
    challenge_password: str | None = field(default=None, repr=False)
    renewal_of: Identity | None = None
    message_type: MessageType | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A request on its way, with everything its reply needs.

    ``names_der`` are the GeneralNames asked for, empty for none, None where that is not known any more.
    """

    request: ClientRequest
    key: ClientKey = field(repr=False)
    subject_der: bytes
    names_der: bytes | None = None
    signer: Identity
    challenge_password: str | None = field(default=None, repr=False)

    @property
    def transaction_id(self) -> str:
        """Return the transactionID."""
        return self.request.transaction_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often and after what pause things are done again."""

    attempts: int = 3  # at one question or message whose answer does not come
    pause: timedelta = timedelta(seconds=2)  # doubled from one attempt to the next
    longest_pause: timedelta = timedelta(minutes=2)  # whoever is to come back later than that gives up
    polls: int = 0
    poll_interval: timedelta = timedelta(seconds=60)
