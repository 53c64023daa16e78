"""CertRep to parts: what RFC 8894 3.3.2 has a reply say, in the form every measured client reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ca import der

from . import attributes
from .attributes import MAX_NONCE_OCTETS, MAX_TRANSACTION_ID_OCTETS
from .contents import encode_certs_only
from .enveloped import seal
from .messages import MessageType, PkiStatus
from .parts import Attribute, SignedDataParts, make_parts

if TYPE_CHECKING:
    from datetime import datetime

    from .algorithms import DigestAlgorithm
    from .messages import CertRep
    from .signers import MessageSigner

EmptyContent = Literal["zero-length", "absent", "nul-octet"]
_EMPTY_CONTENTS: dict[EmptyContent, bytes | None] = {"zero-length": b"", "absent": None, "nul-octet": b"\x00"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyForm:
    """What RFC 8894 leaves to the server in the form of a reply.

    ``certificates`` go into the outer SignedData (the signer's; NDES sends none). ``empty_content``
    is eContent where there is nothing to say: certmonger and other users of OpenSSL refuse an absent
    one, NDES sends one zero octet.
    """

    certificates: tuple[bytes, ...] = ()
    empty_content: EmptyContent = "zero-length"


def make_reply_parts(
    cert_rep: CertRep,
    signer: MessageSigner,
    form: ReplyForm,
    *,
    cek: bytes = b"",
    iv: bytes = b"",
    password_seed: bytes = b"",
) -> SignedDataParts:
    """Return a CertRep as parts to be signed; a SUCCESS is sealed for its recipient first.

    Raises:
        BadAlgorithm: the recipient's key takes no envelope.
        ValueError: octets of the wrong size, an algorithm that is never emitted, or an identifier
            too long to be sent.

    """
    content = _EMPTY_CONTENTS[form.empty_content]
    if cert_rep.pki_status is PkiStatus.SUCCESS and cert_rep.recipient and cert_rep.cipher:
        issued = encode_certs_only(cert_rep.certificates, cert_rep.crls)
        content = seal(
            issued, cert_rep.recipient, cert_rep.cipher, cek=cek, iv=iv, password_seed=password_seed
        )
    return make_parts(
        content,
        signer,
        digest=cert_rep.digest,
        attributes_of_message=_attributes(cert_rep),
        certificates=form.certificates,
        signing_time=cert_rep.signing_time,
    )


def make_next_ca_parts(
    certificates: tuple[bytes, ...],
    signer: MessageSigner,
    form: ReplyForm,
    *,
    digest: DigestAlgorithm,
    signing_time: datetime | None = None,
) -> SignedDataParts:
    """Return a GetNextCACert response: the next certificates, signed by the current CA (RFC 8894 4.7.1)."""
    return make_parts(
        encode_certs_only(certificates),
        signer,
        digest=digest,
        attributes_of_message=(),
        certificates=form.certificates,
        signing_time=signing_time,
    )


def _attributes(cert_rep: CertRep) -> list[Attribute]:
    """Return SCEP's attributes of a reply (RFC 8894 3.2.1)."""
    recipient_nonce = cert_rep.recipient_nonce
    if len(cert_rep.transaction_id) > MAX_TRANSACTION_ID_OCTETS or (
        recipient_nonce and len(recipient_nonce) > MAX_NONCE_OCTETS
    ):
        raise ValueError("a transactionID or recipientNonce that long is not sent back")
    found = [
        (attributes.MESSAGE_TYPE, der.printable_string(str(MessageType.CERT_REP.value))),
        (attributes.PKI_STATUS, der.printable_string(str(cert_rep.pki_status.value))),
        (attributes.TRANSACTION_ID, der.printable_string(cert_rep.transaction_id)),
        (attributes.SENDER_NONCE, der.octet_string(cert_rep.sender_nonce)),
        *cert_rep.extra_attributes,
    ]
    if recipient_nonce is not None:
        found.append((attributes.RECIPIENT_NONCE, der.octet_string(recipient_nonce)))
    if cert_rep.fail_info is not None:
        found.append((attributes.FAIL_INFO, der.printable_string(str(cert_rep.fail_info.value))))
        if cert_rep.fail_info_text:
            found.append((attributes.FAIL_INFO_TEXT, der.utf8_string(cert_rep.fail_info_text)))
    return found
