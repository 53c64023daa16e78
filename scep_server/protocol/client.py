"""The codec from the client's side: requests out, replies in, every check RFC 8894 has a client make.

`ClientCodec` makes requests and reads what comes back. It is strict: what a client MUST check is
checked, and a reply that fails is a `ReplyError` that names the check. What deployed servers get away
with is a warning.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ca import der

from . import attributes
from .algorithms import DEFAULT_POLICY
from .certificates import key_usage, matches, read_certificate
from .enveloped import open_envelope
from .errors import BadAlgorithm, BadMessageCheck, MessageError, Unanswerable
from .messages import (
    CertificationRequest,
    FailInfo,
    IssuerAndSerial,
    IssuerAndSubject,
    MessageType,
    PkiStatus,
)
from .parts import sign_parts
from .requests import NONCE_OCTETS, RequestForm, make_request_parts
from .signed import REPLY_TYPES, parse, read_certs_only, verify, verify_signed_data

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from .algorithms import AlgorithmPolicy, ContentCipher, DigestAlgorithm
    from .enveloped import Decryptor
    from .messages import OpenedMessage, PkiMessage, Recipient, RequestContent, SignerCertificate
    from .signers import MessageSigner

_OBJECT_IDENTIFIER = bytes((der.OBJECT_IDENTIFIER,))
_DEFAULT_FORM = RequestForm()


class ReplyError(Exception):
    """A reply that a client must not act on.

    ``check`` is the stable name of the check that failed: ``message``, ``transaction-id``,
    ``algorithm``, ``signature``, ``signer``, ``attributes``, ``recipient-nonce``, ``pki-status``,
    ``fail-info``, ``envelope``, ``content`` or ``certificate``.
    """

    def __init__(self, check: str, text: str) -> None:
        super().__init__(text)
        self.check = check


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRequest:
    """A request on its way, with what its reply is held against.

    ``public_key_der`` is the key a certificate is wanted for, ``wanted`` the certificate asked for by
    GetCert; None where the request does not say.
    """

    octets: bytes = field(repr=False)
    message_type: MessageType
    transaction_id: str
    sender_nonce: bytes
    public_key_der: bytes | None = None
    wanted: IssuerAndSerial | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A CertRep that passed every check, opened.

    ``certificate`` is the one asked for, ``certificates`` and ``crls`` all that came, in their order;
    without SUCCESS there are none. ``cipher`` is None where nothing was enveloped.
    """

    message: PkiMessage = field(repr=False)
    pki_status: PkiStatus
    fail_info: FailInfo | None
    fail_info_text: str | None
    sender_nonce: bytes
    signer: SignerCertificate
    digest: DigestAlgorithm
    signing_time: datetime | None
    cipher: ContentCipher | None = None
    certificate: bytes | None = None
    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCodec:
    """Makes one client's requests to one CA, and reads the replies.

    ``recipient`` is whom requests are enveloped for (the CA's or RA's encryption certificate and a key
    transport, or a password). ``decryptors`` and ``passwords`` open replies. ``trusted`` are the DER
    certificates a reply may be signed with: those of GetCACert, once the client has authenticated them.
    """

    signer: MessageSigner
    recipient: Recipient
    trusted: tuple[bytes, ...]
    decryptors: tuple[Decryptor, ...] = ()
    passwords: tuple[bytes, ...] = field(default=(), repr=False)
    form: RequestForm = _DEFAULT_FORM
    policy: AlgorithmPolicy = DEFAULT_POLICY

    # -- requests ----------------------------------------------------------------------

    def pkcs_req(self, request: CertificationRequest, *, transaction_id: str, random: bytes) -> ClientRequest:
        """Return a PKCSReq (RFC 8894 3.3.1); ``random`` as for `encode`."""
        return self.encode(MessageType.PKCS_REQ, request, transaction_id=transaction_id, random=random)

    def renewal_req(
        self, request: CertificationRequest, *, transaction_id: str, random: bytes
    ) -> ClientRequest:
        """Return a RenewalReq, to be signed with the certificate that is renewed (RFC 8894 3.3.1.1)."""
        return self.encode(MessageType.RENEWAL_REQ, request, transaction_id=transaction_id, random=random)

    def cert_poll(
        self,
        names: IssuerAndSubject,
        *,
        transaction_id: str,
        random: bytes,
        public_key_der: bytes | None = None,
    ) -> ClientRequest:
        """Return a CertPoll for a request that is pending (RFC 8894 3.3.3).

        ``public_key_der`` is the key of that request, which the certificate will be checked for.
        """
        return self.encode(
            MessageType.CERT_POLL,
            names,
            transaction_id=transaction_id,
            random=random,
            public_key_der=public_key_der,
        )

    def get_cert(self, wanted: IssuerAndSerial, *, transaction_id: str, random: bytes) -> ClientRequest:
        """Return a GetCert (RFC 8894 3.3.4)."""
        return self.encode(MessageType.GET_CERT, wanted, transaction_id=transaction_id, random=random)

    def get_crl(self, certificate: IssuerAndSerial, *, transaction_id: str, random: bytes) -> ClientRequest:
        """Return a GetCRL for the CRL that would list ``certificate`` (RFC 8894 3.3.4)."""
        return self.encode(MessageType.GET_CRL, certificate, transaction_id=transaction_id, random=random)

    def encode(
        self,
        message_type: MessageType,
        content: RequestContent,
        *,
        transaction_id: str,
        random: bytes,
        public_key_der: bytes | None = None,
    ) -> ClientRequest:
        """Return a request, encrypted and signed; ``random`` are `RANDOM_OCTETS` (112) fresh octets.

        Raises:
            ValueError: content that does not go with the type, or the wrong number of octets.
            BadAlgorithm: the recipient's key takes no envelope.

        """
        parts = make_request_parts(
            message_type,
            content,
            transaction_id=transaction_id,
            signer=self.signer,
            recipient=self.recipient,
            form=self.form,
            random=random,
        )
        if public_key_der is None and isinstance(content, CertificationRequest):
            public_key_der = _requested_key(content)
        wanted = content if message_type is MessageType.GET_CERT else None
        return ClientRequest(
            octets=sign_parts(parts, self.signer, self.form.digest),
            message_type=message_type,
            transaction_id=transaction_id,
            sender_nonce=random[:NONCE_OCTETS],
            public_key_der=public_key_der,
            wanted=wanted if isinstance(wanted, IssuerAndSerial) else None,
        )

    # -- replies -----------------------------------------------------------------------

    def decode_reply(self, octets: bytes, request: ClientRequest, *, substitute_cek: bytes) -> Reply:
        """Return the reply to ``request`` once every check has passed.

        ``substitute_cek`` are 32 fresh random octets (see `open_envelope`).

        Raises:
            ReplyError: the reply is not one to act on. Nothing else is raised for any octets.

        """
        message = self._verify_reply(octets, request)
        unverified = message.unverified
        status = _read_status(message)
        reply = Reply(
            message=message,
            pki_status=status,
            fail_info=_read_fail_info(message, status),
            fail_info_text=unverified.fail_info_text,
            sender_nonce=message.sender_nonce,
            signer=message.signer,
            digest=message.digest,
            signing_time=unverified.signing_time,
            warnings=(*message.warnings, *_remarks(message, status)),
        )
        return self._open_success(reply, request, substitute_cek) if status is PkiStatus.SUCCESS else reply

    def decode_next_ca(self, octets: bytes) -> tuple[bytes, ...]:
        """Return the certificates of a GetNextCACert response (RFC 8894 4.7.1).

        Raises:
            ReplyError: not signed by one of ``trusted``, or without certificates. Nothing else is
                raised for any octets.

        """
        try:
            content, signer = verify_signed_data(octets, self.trusted, self.policy)
        except MessageError as error:
            raise ReplyError(_check_of(error), str(error)) from error
        self._check_signer(signer)
        try:
            degenerate = der.sequence(content) if content[:1] == _OBJECT_IDENTIFIER else content
            certificates, _ = read_certs_only(degenerate)
        except der.DerError as error:
            raise ReplyError(
                "content", f"no certs-only SignedData inside (RFC 8894 4.7.1): {error}"
            ) from error
        if not certificates:
            raise ReplyError("content", "no certificate inside (RFC 8894 4.7.1)")
        return certificates

    def _verify_reply(self, octets: bytes, request: ClientRequest) -> PkiMessage:
        try:
            unverified = parse(octets)
        except Unanswerable as error:
            raise ReplyError("message", str(error)) from error
        if unverified.transaction_id != request.transaction_id:
            raise ReplyError("transaction-id", "transactionID is not that of the request (RFC 8894 3.2.1.1)")
        try:
            message = verify(unverified, self.policy, accepted=REPLY_TYPES, known=self.trusted)
        except MessageError as error:
            raise ReplyError(_check_of(error), str(error)) from error
        self._check_signer(message.signer)
        if attributes.RECIPIENT_NONCE not in dict(unverified.attribute_values):
            raise ReplyError("recipient-nonce", "recipientNonce is missing (RFC 8894 3.2.1.5)")
        if unverified.recipient_nonce is None:
            raise ReplyError("recipient-nonce", "recipientNonce is no OCTET STRING (RFC 8894 3.2.1.5)")
        if unverified.recipient_nonce != request.sender_nonce:
            raise ReplyError(
                "recipient-nonce", "recipientNonce is not the senderNonce of the request (RFC 8894 3.2.1.5)"
            )
        return message

    def _check_signer(self, signer: SignerCertificate) -> None:
        if signer.der not in self.trusted:
            raise ReplyError(
                "signer",
                f"signed by none of the {len(self.trusted)} certificates of GetCACert (RFC 8894 3.2)",
            )

    def _open_success(self, reply: Reply, request: ClientRequest, substitute_cek: bytes) -> Reply:
        try:
            opened = open_envelope(
                reply.message,
                self.decryptors,
                self.policy,
                self.passwords or None,
                substitute_cek=substitute_cek,
            )
        except MessageError as error:
            raise ReplyError("envelope", str(error)) from error
        try:
            certificates, crls = read_certs_only(opened.content)
            certificate = _find_wanted(request, certificates, crls)
        except der.DerError as error:
            raise ReplyError("content", f"no certs-only SignedData inside (RFC 8894 3.4): {error}") from error
        return _with_content(reply, opened, certificate, certificates, crls)


def _with_content(
    reply: Reply,
    opened: OpenedMessage,
    certificate: bytes | None,
    certificates: tuple[bytes, ...],
    crls: tuple[bytes, ...],
) -> Reply:
    warnings = (*reply.warnings, *opened.warnings)
    if certificate is not None and certificates[0] != certificate:
        warnings += ("the certificate asked for does not come first; some clients install the first",)
    return replace(
        reply,
        cipher=opened.cipher,
        certificate=certificate,
        certificates=certificates,
        crls=crls,
        warnings=warnings,
    )


def _check_of(error: MessageError) -> str:
    """Return the name of the check behind an error of the shared reading code."""
    if isinstance(error, BadAlgorithm):
        return "algorithm"
    return "signature" if isinstance(error, BadMessageCheck) else "attributes"


def _read_status(message: PkiMessage) -> PkiStatus:
    text = message.unverified.pki_status
    if text is not None and attributes.PKI_STATUS not in dict(message.unverified.attribute_values):
        raise ReplyError("pki-status", "pkiStatus is there twice, or has not one value (RFC 5652 5.3)")
    for status in PkiStatus:
        if text == str(status.value):
            return status
    raise ReplyError("pki-status", f"pkiStatus is {text!a:.20}, expected 0, 2 or 3 (RFC 8894 3.2.1.3)")


def _read_fail_info(message: PkiMessage, status: PkiStatus) -> FailInfo | None:
    if status is not PkiStatus.FAILURE:
        return None
    text = message.unverified.fail_info
    for fail_info in FailInfo:
        if text == str(fail_info.value):
            return fail_info
    raise ReplyError("fail-info", f"failInfo is {text!a:.20}, expected 0 to 4 (RFC 8894 3.2.1.4)")


def _remarks(message: PkiMessage, status: PkiStatus) -> list[str]:
    """Return what a server should do otherwise, and no client MUST refuse."""
    unverified = message.unverified
    found = []
    if status is not PkiStatus.FAILURE and unverified.fail_info is not None:
        found.append("failInfo in a reply that is no FAILURE (RFC 8894 3.2.1.4)")
    if status is not PkiStatus.SUCCESS and message.envelope is not None:
        found.append("an envelope in a reply that is no SUCCESS (RFC 8894 3.3.2.2, 3.3.2.3)")
    if len(message.sender_nonce) != NONCE_OCTETS:
        found.append(f"senderNonce of {len(message.sender_nonce)} octets, expected 16 (RFC 8894 3.2.1.5)")
    if unverified.der != unverified.raw:
        found.append("BER where DER is expected (RFC 8894 3)")
    elements = [element.raw for element in der.Reader(unverified.signed_attributes_der).elements()]
    if elements != sorted(elements):
        found.append("signed attributes are not in DER's order (RFC 5652 5.3)")
    return found


def _find_wanted(
    request: ClientRequest, certificates: tuple[bytes, ...], crls: tuple[bytes, ...]
) -> bytes | None:
    """Return the certificate asked for; None for a GetCRL, which has a CRL and nothing else."""
    if request.message_type is MessageType.GET_CRL:
        if len(crls) != 1 or certificates:
            raise ReplyError(
                "content",
                f"{len(crls)} CRLs and {len(certificates)} certificates, expected one CRL (RFC 8894 3.3.2.1)",
            )
        return None
    for octets in certificates:
        found = read_certificate(octets)
        if request.wanted is not None and not matches(found, request.wanted):
            continue
        if request.public_key_der in (None, found.public_key_der):
            return octets
    raise ReplyError(
        "certificate",
        f"none of {len(certificates)} certificates is the one asked for (RFC 8894 3.3.2.1)",
    )


def _requested_key(request: CertificationRequest) -> bytes:
    """Return the subjectPublicKeyInfo of a PKCS#10.

    Raises:
        ca.der.DerError: not a PKCS#10.

    """
    info = der.one(request.csr, what="CertificationRequest").enter(what="certificationRequestInfo")
    info.integer("version")
    info.element(der.SEQUENCE, "subject")
    return info.element(der.SEQUENCE, "subjectPKInfo").raw


def usable_for(certificates: Sequence[bytes], *bits: int) -> tuple[bytes, ...]:
    """Return the certificates whose key usage has all of ``bits``, or that have no key usage.

    A client signs and encrypts for the RA certificate that is meant for it (RFC 8894 2.1.2): bit 0 is
    digitalSignature, bit 2 keyEncipherment (RFC 5280 4.2.1.3).

    Raises:
        ca.der.DerError: one of them cannot be read.

    """
    usages = [(octets, key_usage(read_certificate(octets))) for octets in certificates]
    return tuple(octets for octets, usage in usages if usage is None or usage.issuperset(bits))
