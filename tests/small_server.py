"""A small SCEP server in memory, right unless told to be wrong in one way, and a client for it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from lab.client import (
    STRICT_POLICY,
    CaTrust,
    Order,
    Patience,
    Preferences,
    ScepClient,
    Unreachable,
    generate_key,
    parse_subject,
)
from lab.http_exchange import HttpReply
from lab.trust import X509Certificate
from scep_server.protocol.algorithms import DigestAlgorithm
from scep_server.protocol.certificates import read_certificate, subject_key_identifier
from scep_server.protocol.codec import ScepCodec
from scep_server.protocol.enveloped import KeyDecryptor
from scep_server.protocol.messages import (
    CertificationRequest,
    CertRep,
    FailInfo,
    IssuerAndSerial,
    MessageType,
    PkiStatus,
)
from scep_server.protocol.replies import ReplyForm
from scep_server.protocol.signers import KeySigner

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SECRET = "a-secret-that-nobody-may-read"


class StoppedClock:
    def now(self):
        return NOW


def certificate(subject, key, issuer=None, issuer_key=None, *, ca=False, usages=(), start=-DAY, end=DAY):
    subject_name = subject if isinstance(subject, x509.Name) else name(subject)
    every = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment"]
    every += ["key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    built = (
        x509.CertificateBuilder()
        .subject_name(subject_name)
        .issuer_name(name(issuer) if issuer else subject_name)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + start)
        .not_valid_after(NOW + end)
        .public_key(key if not hasattr(key, "public_key") else key.public_key())
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(x509.KeyUsage(**{one: one in usages for one in every}), critical=True)
        .sign(issuer_key or key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.DER)


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


CA_USAGES = ("key_cert_sign", "crl_sign", "digital_signature")


@dataclass(frozen=True)
class Authority:
    """Root, issuing CA and two RA certificates, as NDES has them."""

    keys: dict = field(default_factory=lambda: {who: rsa.generate_private_key(65537, 2048) for who in "ris"})

    def make(self, **ra):
        root, issuing, registrar = self.keys["r"], self.keys["i"], self.keys["s"]
        return {
            "root": certificate("Root", root, ca=True, usages=CA_USAGES),
            "issuing": certificate("Issuing", issuing, "Root", root, ca=True, usages=CA_USAGES),
            "signing": certificate("RA", registrar, "Issuing", issuing, usages=("digital_signature",), **ra),
            "encryption": certificate(
                "RA enc", registrar, "Issuing", issuing, usages=("key_encipherment",), **ra
            ),
        }


@dataclass
class Server:
    """A SCEP server as a `Transport`; ``wrong`` changes a CertRep before it is encoded."""

    authority: Authority
    capabilities: bytes = b"AES\nSHA-256\nPOSTPKIOperation\nRenewal\nSCEPStandard\n"
    pending: int = 0
    lost: int = 0
    refuse: FailInfo | None = None
    refusal_attributes: tuple = ()
    bag: list | None = None
    wrong: object = None
    issue: object = None
    signer_name: str = "signing"
    crl_key: str = "i"
    raw: object = None
    requests: list = field(default_factory=list)
    posted: list = field(default_factory=list)
    issued: dict = field(default_factory=dict)

    def __post_init__(self):
        self.certificates = self.authority.make()
        self.codec = ScepCodec()

    def published(self):
        return self.bag or [self.certificates[who] for who in ("signing", "encryption", "issuing", "root")]

    def query(self, operation, message=None):
        if operation == "GetCACaps":
            return reply(self.capabilities, "text/plain")
        if operation == "GetNextCACert":
            return reply(self.next_ca(), "application/x-x509-next-ca-cert")
        body = self.codec.encode_ca_certificates(self.published())
        return reply(body, "application/x-x509-ca-ra-cert")

    def next_ca(self):
        key = self.authority.keys["i"]
        signer = KeySigner(certificate=read_certificate(self.certificates["issuing"]), key=key)
        if self.signer_name != "signing":
            signer = self.signer()
        new = certificate("Issuing 2", generate_key("rsa-2048"), ca=True, usages=CA_USAGES)
        form = ReplyForm(certificates=(signer.certificate.der,))
        return self.codec.encode_next_ca([new], signer, form, digest=DigestAlgorithm.SHA_256)

    def signer(self):
        known = {"signing": "s", "stranger": "s", "issuing": "i"}
        key = self.authority.keys[known[self.signer_name]]
        if self.signer_name == "stranger":
            return KeySigner(certificate=read_certificate(certificate("RA", key)), key=key)
        return KeySigner(certificate=read_certificate(self.certificates[self.signer_name]), key=key)

    def send(self, pki_message, *, post):
        self.requests.append(pki_message)
        self.posted.append(post)
        answer = self.answer(pki_message)
        if self.lost:
            self.lost -= 1
            raise Unreachable("the answer is lost", 0x80072EFE)
        return reply(self.raw(answer) if self.raw else answer, "application/x-pki-message")

    def answer(self, octets):
        message = self.codec.verify(self.codec.parse(octets))
        registrar = read_certificate(self.certificates["encryption"])
        opened = self.codec.open(
            message,
            [
                KeyDecryptor(
                    certificate=registrar,
                    subject_key_identifier=subject_key_identifier(registrar),
                    key=self.authority.keys["s"],
                )
            ],
            passwords=[SECRET.encode()],
            substitute_cek=bytes(32),
        )
        rep = self.decide(message, opened, self.codec.interpret(opened))
        if self.wrong:
            rep = self.wrong(rep)
        signer = self.signer()
        return self.codec.encode_reply(
            rep,
            signer,
            ReplyForm(certificates=(signer.certificate.der,)),
            cek=bytes(range(opened.cipher.key_size)),
            iv=bytes(opened.cipher.block_size),
            password_seed=bytes(48),
        )

    def decide(self, message, opened, content):
        rep = CertRep(
            transaction_id=message.transaction_id,
            pki_status=PkiStatus.PENDING,
            sender_nonce=os.urandom(16),
            recipient_nonce=message.sender_nonce,
            digest=message.digest,
            recipient=opened.recipient,
            cipher=opened.cipher,
            signing_time=NOW,
        )
        if self.refuse is not None:
            return replace(
                rep,
                pki_status=PkiStatus.FAILURE,
                fail_info=self.refuse,
                fail_info_text="no such challenge\x1b[2J",
                extra_attributes=self.refusal_attributes,
            )
        if isinstance(content, CertificationRequest):
            self.issued.setdefault(message.transaction_id, self.sign(content.csr))
        if self.pending:
            self.pending -= 1
            return rep
        if message.message_type is MessageType.GET_CRL:
            return replace(rep, pki_status=PkiStatus.SUCCESS, crls=(self.crl(),))
        if isinstance(content, IssuerAndSerial):
            return replace(rep, pki_status=PkiStatus.SUCCESS, certificates=tuple(self.issued.values()))
        return replace(rep, pki_status=PkiStatus.SUCCESS, certificates=(self.issued[message.transaction_id],))

    def sign(self, octets):
        request = x509.load_der_x509_csr(octets)
        assert request.is_signature_valid
        if self.issue:
            return self.issue(request, self.authority.keys["i"])
        return certificate(
            request.subject,
            request.public_key(),
            "Issuing",
            self.authority.keys["i"],
            usages=("digital_signature",),
        )

    def crl(self, revoked=()):
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(name("Issuing"))
            .last_update(NOW - DAY)
            .next_update(NOW + DAY)
        )
        for octets in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(
                x509.load_der_x509_certificate(octets).serial_number
            )
            builder = builder.add_revoked_certificate(entry.revocation_date(NOW - DAY).build())
        return builder.sign(self.authority.keys[self.crl_key], hashes.SHA256()).public_bytes(
            serialization.Encoding.DER
        )


def reply(body, media_type, status=200):
    return HttpReply(
        url="http://test/scep",
        status=status,
        reason="",
        media_type=media_type,
        headers=(),
        body=body,
        elapsed=timedelta(),
    )


def client_of(server, *, trust=None, policy=STRICT_POLICY, patience=None, slept=None, **preferences):
    root = X509Certificate.read(server.certificates["root"])
    return ScepClient(
        server,
        trust or CaTrust(fingerprints=(root.sha256,)),
        clock=StoppedClock(),
        entropy=os.urandom,
        sleep=(slept if slept is not None else []).append,
        preferences=Preferences(**preferences),
        policy=policy,
        patience=patience or Patience(),
    )


KEY = generate_key("rsa-2048")
SUBJECT = parse_subject("CN=device,O=Lab")


def order(**changes):
    given = {"key": KEY, "subject_der": SUBJECT, "challenge_password": SECRET}
    return Order(**(given | changes))


def issue_like(**changes):
    def issue(request, key):
        given = {
            "subject": request.subject,
            "key": request.public_key(),
            "issuer": "Issuing",
            "issuer_key": key,
            "usages": ("digital_signature",),
        }
        return certificate(**(given | changes))

    return issue
