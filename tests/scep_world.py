"""A whole SCEP service in process: real CA, store and codec, clients made by the forge.

`World` is the server's side: authority, store, challenges, a clock that is moved by hand.
`Client` is a device: it writes its messages with the forge and reads replies with the forge's eyes.
"""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from forge import asn1
from forge.certificates import CertificateForge, common_name
from forge.certificates import read_certificate as read_forged
from forge.csr import CsrForge
from forge.envelope import Envelope, KeyTransport, issuer_and_serial
from forge.keys import Key, KeyPool
from forge.message import CERT_POLL, GET_CERT, GET_CRL, PKCS_REQ, PkiMessage, transaction_id_of
from forge.reply import Issued, Reply, Sent, check_reply, open_reply, read_reply

from ca import extensions, names
from ca.authority import CertificateAuthority
from ca.certificates import CertificateInfo, TbsCertificate, read_certificate, sign_certificate
from ca.challenges import ChallengeBook
from ca.extensions import KeyUsage
from ca.keys import KeyKind, PrivateKey, generate_key
from ca.oids import CERTIFICATE_REQUEST_AGENT
from ca.records import CertificateFilter
from ca.settings import PkiSettings, PublicationLocations
from ca.store import SqlStore
from ca.templates import TemplateSet
from scep_server.checks import Verdict
from scep_server.exchange import Exchange, HttpExchangeRequest, HttpReply
from scep_server.operations import ScepService
from scep_server.protocol.codec import ScepCodec
from scep_server.ra import RaIdentity, RegistrationAuthority
from scep_server.settings import EndpointSettings, ScepSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ca.records import StoreTransaction

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
PKI_MESSAGE = "application/x-pki-message"


class HandClock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time

    def advance(self, **by: float) -> None:
        self.time += timedelta(**by)


class Recorder:
    """An observer that keeps everything."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def observe(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)


@functools.cache
def ca_key(name: str, kind: KeyKind = KeyKind.RSA_2048) -> PrivateKey:
    """Return the session's key of this name."""
    del name
    return generate_key(kind)


@functools.cache
def client_keys() -> KeyPool:
    """Return the session's pool of client keys."""
    return KeyPool(primes=40)


def make_certificate(
    subject: str, key: PrivateKey, issuer: CertificateInfo | None, issuer_key: PrivateKey, *more: Any
) -> CertificateInfo:
    """Return a certificate signed with ``issuer_key``; self-signed where ``issuer`` is None."""
    name = names.build_name(subject)
    tbs = TbsCertificate(
        serial_number=int.from_bytes(os.urandom(12), "big") | 1 << 95,
        signature_algorithm=issuer_key.signature_algorithm_der,
        issuer_der=name if issuer is None else issuer.subject_der,
        not_before=NOW - timedelta(days=30),
        not_after=NOW + timedelta(days=5 * 365),
        subject_der=name,
        public_key_der=key.public_key_der,
        extensions=(
            *more,
            extensions.subject_key_identifier(key.subject_key_id),
            extensions.authority_key_identifier(issuer_key.subject_key_id),
        ),
    )
    return read_certificate(sign_certificate(tbs, issuer_key))


_CA_EXTENSIONS = (
    extensions.basic_constraints(is_ca=True),
    extensions.key_usage(
        [KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_ENCIPHERMENT, KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN]
    ),
)


@functools.cache
def pki() -> dict[str, CertificateInfo]:
    """Return root, issuing CA and both RA certificates of the session."""
    root_key, issuing_key = ca_key("root"), ca_key("issuing")
    root = make_certificate("CN=Test Root", root_key, None, root_key, *_CA_EXTENSIONS)
    issuing = make_certificate("CN=Test Issuing CA", issuing_key, root, root_key, *_CA_EXTENSIONS)
    agent = extensions.extended_key_usage([CERTIFICATE_REQUEST_AGENT])
    signing = make_certificate(
        "CN=Test RA", ca_key("signing"), issuing, issuing_key,
        extensions.key_usage([KeyUsage.DIGITAL_SIGNATURE]), agent,
    )  # fmt: skip
    encryption = make_certificate(
        "CN=Test RA", ca_key("encryption"), issuing, issuing_key,
        extensions.key_usage([KeyUsage.KEY_ENCIPHERMENT]), agent,
    )  # fmt: skip
    return {"root": root, "issuing": issuing, "signing": signing, "encryption": encryption}


class World:
    """The server's side."""

    def __init__(self, folder: Path, **endpoint: Any) -> None:
        certificates = pki()
        self.clock = HandClock()
        self.settings = PkiSettings()
        self.root, self.issuing = certificates["root"], certificates["issuing"]
        self.signing, self.encryption = certificates["signing"], certificates["encryption"]
        self.store = SqlStore.open(f"sqlite:///{folder}/store.sqlite3", durable=False)
        self.authority = CertificateAuthority(
            certificate=self.issuing,
            chain=(self.root.der,),
            key=ca_key("issuing"),
            templates=TemplateSet.load(),
            clock=self.clock,
            entropy=os.urandom,
            locations=PublicationLocations.of(self.settings, "Test Issuing CA", ocsp=False),
            settings=self.settings,
        )
        self.challenges = ChallengeBook(
            digest_key=b"k" * 32, clock=self.clock, entropy=os.urandom, sealing=True
        )
        self.registration_authority = RegistrationAuthority(
            signing=RaIdentity(certificate=self.signing, key=ca_key("signing")),
            encryption=RaIdentity(certificate=self.encryption, key=ca_key("encryption")),
        )
        self.recorder = Recorder()
        self.service = self.make_service(**endpoint)

    def make_service(self, **changes: Any) -> ScepService:
        """Return a service; arguments of `ScepService` replace collaborators, the rest is the endpoint's."""
        own = {"authority", "store", "codec", "profile", "registration_authority", "next_ca", "clock",
               "earlier_issuers", "settings", "challenge_policy", "entropy"}  # fmt: skip
        endpoint = {name: value for name, value in changes.items() if name not in own}
        arguments: dict[str, Any] = {
            "settings": ScepSettings(
                endpoints={
                    "default": EndpointSettings(**endpoint),
                    "other": EndpointSettings(**endpoint),
                }
            ),
            "authority": self.authority,
            "registration_authority": self.registration_authority,
            "challenges": self.challenges,
            "store": self.store,
            "clock": self.clock,
            "entropy": os.urandom,
            "codec": ScepCodec(),
            "observers": (self.recorder,),
            **{name: value for name, value in changes.items() if name in own},
        }
        return ScepService(**arguments)

    def new_challenge(self, **options: Any) -> str:
        """Return a fresh password."""
        with self.store.transaction() as transaction:
            options.setdefault("validity", timedelta(hours=1))
            return self.challenges.new(transaction, **options).password

    @contextmanager
    def reading(self) -> Iterator[StoreTransaction]:
        """Look into the store."""
        with self.store.reading() as transaction:
            yield transaction

    def counts(self) -> tuple[int, int, int, int]:
        """Return how many certificates, requests, unspent challenges and transactions there are."""
        with self.store.reading() as transaction:
            found = transaction.find_certificates(CertificateFilter(), now=self.clock.now(), limit=10_000)
            ids = {exchange.transaction_id for exchange in self.recorder.exchanges if exchange.transaction_id}
            known = [transaction.scep_transaction("default", one) for one in ids]
            return (
                len(found),
                len(transaction.requests()),
                len(transaction.challenges(usable_at=self.clock.now())),
                sum(one.generation for one in known if one is not None),
            )

    def handle(self, **request: Any) -> HttpReply:
        """Send an HTTP request."""
        request.setdefault("method", "GET")
        request.setdefault("path", "/scep")
        return self.service.handle(HttpExchangeRequest(**request))

    def post(self, message: bytes, path: str = "/scep") -> HttpReply:
        """Post a pkiMessage."""
        return self.handle(
            method="POST",
            path=path,
            query="operation=PKIOperation",
            body=message,
            declared_length=len(message),
        )

    @property
    def last(self) -> Exchange:
        """The exchange that was observed last."""
        return self.recorder.exchanges[-1]


@dataclass(frozen=True, kw_only=True)
class Client:
    """A device with a key, a signer certificate and a subject; all of it replaceable."""

    world: World
    key: Key = field(default_factory=lambda: client_keys().fresh())
    subject: bytes = b""
    certificate: bytes = b""  # what messages are signed with
    signer_key: Key | None = None
    transaction_id: str = ""

    def __post_init__(self) -> None:
        subject = self.subject or common_name(f"device-{os.urandom(4).hex()}")
        object.__setattr__(self, "subject", subject)
        object.__setattr__(self, "signer_key", self.signer_key or self.key)
        if not self.certificate:
            own = CertificateForge(key=self.signer, subject=subject, serial=b"\x5c" * 16)
            object.__setattr__(self, "certificate", own.encode())
        object.__setattr__(self, "transaction_id", self.transaction_id or transaction_id_of(self.key))

    @property
    def signer(self) -> Key:
        assert self.signer_key is not None
        return self.signer_key

    def holding(self, certificate: bytes, **changes: Any) -> Client:
        """Return the device signing with a certificate it was issued."""
        return replace(self, certificate=certificate, signer_key=self.key, **changes)

    def message(
        self, plaintext: bytes, message_type: int = PKCS_REQ, *, envelope: Any = None, **fields: Any
    ) -> bytes:
        """Return a pkiMessage with this plaintext."""
        recipient = KeyTransport(certificate=self.world.encryption.der)
        enveloped = Envelope(plaintext=plaintext, recipients=[recipient], **(envelope or {}))
        return PkiMessage(
            key=self.signer,
            certificate=self.certificate,
            content=enveloped.encode(),
            message_type=message_type,
            transaction_id=fields.pop("transaction_id", self.transaction_id),
            sender_nonce=fields.pop("sender_nonce", b"nonce-of-16-byte"),
            **fields,
        ).encode()

    def csr(self, challenge: str | None = None, **fields: Any) -> bytes:
        """Return the PKCS#10."""
        fields.setdefault("subject", self.subject)
        return CsrForge(key=self.key, challenge=challenge, **fields).encode()

    def request(self, challenge: str | None = None, message_type: int = PKCS_REQ, **fields: Any) -> bytes:
        """Return a PKCSReq or RenewalReq."""
        return self.message(self.csr(challenge, **fields.pop("csr", {})), message_type, **fields)

    def poll(self, **fields: Any) -> bytes:
        """Return a CertPoll."""
        names_of = asn1.seq(read_forged(self.world.signing.der).subject, self.subject)
        return self.message(names_of, CERT_POLL, **fields)

    def get_cert(self, of: bytes, **fields: Any) -> bytes:
        """Return a GetCert."""
        return self.message(issuer_and_serial(read_forged(of)), GET_CERT, **fields)

    def get_crl(self, of: bytes, **fields: Any) -> bytes:
        """Return a GetCRL."""
        return self.message(issuer_and_serial(read_forged(of)), GET_CRL, **fields)

    def sent(self, **changes: Any) -> Sent:
        """Return what a reply must agree with."""
        fields: dict[str, Any] = {
            "transaction_id": self.transaction_id,
            "sender_nonce": b"nonce-of-16-byte",
            "certificate": self.certificate,
            "key": self.signer,
        }
        return Sent(**{**fields, **changes})

    def send(self, message: bytes, *, path: str = "/scep", **expected: Any) -> Reply:
        """Post a message; return its CertRep, held against everything a CertRep promises."""
        answer = self.world.post(message, path)
        assert (answer.status, answer.content_type) == (200, PKI_MESSAGE), answer
        reply = read_reply(answer.body)
        published = [self.world.signing.der, self.world.encryption.der]
        check_reply(reply, self.sent(**expected), published)
        return reply

    def obtain(self, message: bytes, **expected: Any) -> bytes:
        """Post a message; return the certificate of its SUCCESS."""
        reply = self.send(message, **expected)
        issued = self.opened(reply, **expected)
        assert len(issued.certificates) == 1
        return issued.certificates[0]

    def opened(self, reply: Reply, **expected: Any) -> Issued:
        """Return what a SUCCESS delivers."""
        expected.pop("path", None)
        assert reply.status == "0", str(reply)
        return open_reply(reply, self.sent(**expected))

    def enrol(self, **fields: Any) -> bytes:
        """Enrol with a fresh challenge."""
        return self.obtain(self.request(self.world.new_challenge(), **fields))


def refused(world: World, client: Client, message: bytes, fail_info: int, by: str, **sent: Any) -> str:
    """Check that a message is refused for this reason and leaves no trace; return failInfoText."""
    before = world.counts()
    reply = client.send(message, **sent)
    assert (reply.status, reply.fail_info, world.last.refused_by) == ("2", fail_info, by), str(reply)
    assert world.counts() == before
    assert world.last.checks[-1].verdict is Verdict.FAILED
    assert world.last.checks[-1].clause
    assert world.last.checks[-1].found
    return reply.fail_info_text
