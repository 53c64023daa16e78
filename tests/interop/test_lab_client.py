"""The lab's own client against the lab's own server, with others reading every word on the wire.

A codec agrees with itself whatever it does. So openssl verifies each reply and decrypts each
certificate, and asn1crypto reads which algorithms both sides really used.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ca.clock import SystemClock
from ca.records import RequestStatus
from interop import openssl
from interop.recording import Recording
from lab import ScepLab
from lab.client import (
    CaTrust,
    HttpTransport,
    Identity,
    Issued,
    Order,
    Pending,
    Preferences,
    Refused,
    ScepClient,
    generate_key,
    parse_subject,
)
from lab.client.requests import ClientKey
from scep_server.protocol.algorithms import (
    OAEP_SHA1,
    OAEP_SHA256,
    PKCS1_V15,
    ContentCipher,
    DigestAlgorithm,
    KeyTransport,
)
from scep_server.protocol.messages import FailInfo

pytestmark = pytest.mark.interop

PKCS_REQ, RENEWAL_REQ, CERT_POLL, GET_CERT, GET_CRL = 19, 17, 20, 21, 22
DIGESTS = [digest for digest in DigestAlgorithm if not digest.legacy]
CIPHERS = [cipher for cipher in ContentCipher if not cipher.legacy]
KEY_TRANSPORTS = {"pkcs1": PKCS1_V15, "oaep-sha1": OAEP_SHA1, "oaep-sha256": OAEP_SHA256}
TRANSPORTS = ("get", "post")
# What asn1crypto calls them.
CIPHER_NAMES = {
    ContentCipher.DES_EDE3_CBC: "tripledes_3key",
    ContentCipher.AES_128_CBC: "aes128_cbc",
    ContentCipher.AES_192_CBC: "aes192_cbc",
    ContentCipher.AES_256_CBC: "aes256_cbc",
}
KEY_TRANSPORT_NAMES = {
    PKCS1_V15: ("rsaes_pkcs1v15",),
    OAEP_SHA1: ("rsaes_oaep", "sha1", "sha1"),
    OAEP_SHA256: ("rsaes_oaep", "sha256", "sha256"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """The algorithms of one pkiMessage, as asn1crypto reads them."""

    digest: str
    cipher: str | None  # None: nothing is enveloped
    key_encryption: tuple[str, ...] | None


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """GET or POST."""
    chosen: str = request.param
    return chosen


class Bench:
    """A client with fixed preferences, its recording, and the lab at the other end."""

    def __init__(self, running_lab: ScepLab, recorded: Recording, preferences: Preferences) -> None:
        self.running_lab = running_lab
        self.recorded = recorded
        self.preferences = preferences

    def client(self, endpoint: str = "default") -> ScepClient:
        return ScepClient(
            HttpTransport(url=f"{self.recorded.url}/{endpoint}"),
            CaTrust(fingerprints=(self.running_lab.root_sha256,)),
            clock=SystemClock(),
            entropy=os.urandom,
            sleep=lambda _: None,
            preferences=self.preferences,
        )

    def order(self, key: ClientKey, name: str, **changes: object) -> Order:
        challenge = self.running_lab.new_challenge()
        settings = {"challenge_password": challenge, **changes}
        return Order(key=key, subject_der=parse_subject(f"CN={name}"), **settings)

    @property
    def sent(self) -> list[int]:
        """The messageType of every PKIOperation so far, as openssl reads it."""
        return [openssl.message_type(one.request_message) for one in self.recorded.pki_operations]


@pytest.mark.parametrize("key_transport", KEY_TRANSPORTS)
@pytest.mark.parametrize("cipher", CIPHERS, ids=lambda cipher: cipher.name)
@pytest.mark.parametrize("digest", DIGESTS, ids=lambda digest: digest.name)
def test_every_message_type_under_every_algorithm(
    digest: DigestAlgorithm,
    cipher: ContentCipher,
    key_transport: str,
    transport: str,
    running_lab: ScepLab,
    recorded: Recording,
    tmp_path: Path,
) -> None:
    scheme = KEY_TRANSPORTS[key_transport]
    bench = Bench(running_lab, recorded, preferences(digest, cipher, scheme, transport))
    key, name = generate_key("rsa-2048"), f"{digest.name} {cipher.name} {key_transport} {transport}"
    client = bench.client()

    issued = client.enrol(bench.order(key, name))
    assert isinstance(issued, Issued), issued
    identity = Identity.of(issued.certificate.der, key)
    renewed = client.enrol(bench.order(key, name, renewal_of=identity, challenge_password=None))
    assert isinstance(renewed, Issued), renewed
    found = client.get_cert(issued.certificate.serial_number, identity)
    assert not isinstance(found, Refused), found
    assert found.der == issued.certificate.der
    crl = client.get_crl(signer=identity)
    assert not isinstance(crl, Refused), crl
    polled = poll_until_approved(bench, key, name)

    assert len({issued.certificate.der, renewed.certificate.der, polled.certificate.der}) == 3
    assert bench.sent == [PKCS_REQ, RENEWAL_REQ, GET_CERT, GET_CRL, PKCS_REQ, CERT_POLL]
    assert {exchange.method for exchange in recorded.pki_operations} == {transport.upper()}
    expected = Wire(
        digest=digest.hash_name, cipher=CIPHER_NAMES[cipher], key_encryption=KEY_TRANSPORT_NAMES[scheme]
    )
    pending = Wire(digest=digest.hash_name, cipher=None, key_encryption=None)
    assert [wire(exchange.request_message) for exchange in recorded.pki_operations] == [expected] * 6
    replies = [wire(exchange.reply_body) for exchange in recorded.pki_operations]
    assert replies == [expected] * 4 + [pending, expected]
    assert_openssl_decrypts(recorded.cert_reps[0], issued.certificate.der, key_file(key, tmp_path))


@pytest.mark.parametrize("key_type", ["rsa-2048", "rsa-3072", "rsa-4096"])
def test_rsa_keys_of_every_size(
    key_type: str, transport: str, running_lab: ScepLab, recorded: Recording, tmp_path: Path
) -> None:
    bench = Bench(running_lab, recorded, Preferences(transport=transport))
    key = generate_key(key_type)
    issued = bench.client().enrol(bench.order(key, f"{key_type} {transport}"))
    assert isinstance(issued, Issued), issued
    assert_openssl_decrypts(recorded.cert_reps[0], issued.certificate.der, key_file(key, tmp_path))


@pytest.mark.parametrize("cipher", CIPHERS, ids=lambda cipher: cipher.name)
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("key_type", ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521"])
def test_ec_keys_enrol_renew_and_poll_under_their_challenge(
    key_type: str,
    digest: str,
    cipher: ContentCipher,
    transport: str,
    running_lab: ScepLab,
    recorded: Recording,
) -> None:
    chosen = next(found for found in DIGESTS if found.hash_name == digest)
    bench = Bench(running_lab, recorded, preferences(chosen, cipher, PKCS1_V15, transport))
    key, name = generate_key(key_type), f"{key_type} {digest} {cipher.name} {transport}"
    client, order = bench.client("password"), bench.order(key, name)

    issued = client.enrol(order)
    assert isinstance(issued, Issued), issued
    identity = Identity.of(issued.certificate.der, key)
    renewed = client.enrol(bench.order(key, name, renewal_of=identity))
    assert isinstance(renewed, Issued), renewed
    polled = poll_until_approved(bench, key, name, endpoint="password-manual")

    assert len({issued.certificate.der, renewed.certificate.der, polled.certificate.der}) == 3
    assert bench.sent == [PKCS_REQ, RENEWAL_REQ, PKCS_REQ, CERT_POLL]
    assert order.challenge_password is not None
    envelope = openssl.content(recorded.cert_reps[0])
    opened = openssl.decrypt_with_password(envelope, order.challenge_password)
    (certificate,) = openssl.degenerate_certificates(opened)
    assert x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER) == issued.certificate.der


def test_small_rsa_key_is_refused(running_lab: ScepLab, recorded: Recording) -> None:
    bench = Bench(running_lab, recorded, Preferences())
    refused = bench.client().enrol(bench.order(generate_key("rsa-1024"), "too small"))
    assert isinstance(refused, Refused)
    assert refused.fail_info is FailInfo.BAD_ALG


def poll_until_approved(bench: Bench, key: ClientKey, name: str, endpoint: str = "manual") -> Issued:
    """Enrol where a certificate manager decides; the manager approves; the client polls once."""
    client = bench.client(endpoint)
    enrolment = client.prepare(bench.order(key, name))
    assert isinstance(client.submit(enrolment), Pending)
    desk = bench.running_lab.desk
    (waiting,) = (
        request for request in desk.requests(RequestStatus.PENDING) if request.subject == f"CN={name}"
    )
    desk.approve(waiting.id)
    outcome = client.poll(enrolment)
    assert isinstance(outcome, Issued), outcome
    return outcome


def preferences(
    digest: DigestAlgorithm, cipher: ContentCipher, key_transport: KeyTransport, transport: str
) -> Preferences:
    assert transport in ("get", "post")
    post_or_get = "post" if transport == "post" else "get"
    return Preferences(digest=digest, cipher=cipher, key_transport=key_transport, transport=post_or_get)


def wire(pki_message: bytes) -> Wire:
    """Read digest, cipher and key transport of a pkiMessage with asn1crypto."""
    signed = cms.ContentInfo.load(pki_message)["content"]
    (signer,) = signed["signer_infos"]
    digest = signer["digest_algorithm"]["algorithm"].native
    content = signed["encap_content_info"]["content"].native
    if not content:
        return Wire(digest=digest, cipher=None, key_encryption=None)
    envelope = cms.ContentInfo.load(content)["content"]
    (recipient,) = envelope["recipient_infos"]
    algorithm = recipient.chosen["key_encryption_algorithm"]
    names: tuple[str, ...] = (algorithm["algorithm"].native,)
    if names[0] == "rsaes_oaep":
        oaep = algorithm["parameters"]
        mgf = oaep["mask_gen_algorithm"]["parameters"]["algorithm"].native
        names += (oaep["hash_algorithm"]["algorithm"].native, mgf)
    cipher = envelope["encrypted_content_info"]["content_encryption_algorithm"]["algorithm"].native
    return Wire(digest=digest, cipher=cipher, key_encryption=names)


def key_file(key: ClientKey, folder: Path) -> Path:
    path = folder / "client.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def assert_openssl_decrypts(cert_rep: bytes, certificate: bytes, key: Path) -> None:
    opened = openssl.decrypt_envelope(openssl.content(cert_rep), key)
    (pem,) = openssl.degenerate_certificates(opened)
    assert x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER) == certificate
