"""The envelope: who may open it, and that no answer tells why it did not open (4C)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from forge import asn1, openssl
from forge.certificates import CertificateForge, common_name
from forge.envelope import (
    AUTH_ENVELOPED_DATA,
    ENCRYPTED_DATA,
    ENVELOPED_DATA,
    SIGNED_DATA,
    KeyTransport,
    Password,
    cbc_encrypt,
    oaep_parameters,
    pad,
)
from forge.message import PkiMessage
from protocol_bench import CHALLENGE, CODEC, SUBSTITUTE, ProtocolBench, decryptor_for, protocol_bench

from scep_server.protocol.algorithms import (
    OAEP_SHA1,
    OAEP_SHA256,
    PKCS1_V15,
    AlgorithmPolicy,
    ContentCipher,
    DigestAlgorithm,
)
from scep_server.protocol.algorithms import (
    KeyTransport as Transport,
)
from scep_server.protocol.certificates import read_certificate
from scep_server.protocol.codec import ScepCodec
from scep_server.protocol.contents import encode_content
from scep_server.protocol.enveloped import can_receive, seal
from scep_server.protocol.errors import BadAlgorithm, BadRequest, MessageError, Undecryptable
from scep_server.protocol.messages import (
    CertificationRequest,
    IssuerAndSerial,
    IssuerAndSubject,
    KeyTransportRecipient,
    PasswordRecipient,
)

OAEP = "1.2.840.113549.1.1.7"
NAME = common_name("somebody")
ISSUER_AND_SERIAL = IssuerAndSerial(issuer_der=NAME, serial_number=-7)
ISSUER_AND_SUBJECT = IssuerAndSubject(issuer_der=NAME, subject_der=asn1.seq())


def request(**fields: Any) -> bytes:
    bench = protocol_bench()
    return bench.message(content=bench.envelope(**fields).encode()).encode()


def recipient(**fields: Any) -> KeyTransport:
    return KeyTransport(certificate=protocol_bench().ra_certificate, **fields)


@pytest.mark.parametrize("cipher", ["des", "3des", "aes128", "aes192", "aes256"])
def test_opens_every_cipher(cipher: str) -> None:
    opened = protocol_bench().open(request(cipher=cipher))
    assert opened.content == protocol_bench().csr
    assert bool(opened.warnings) == (cipher == "des")
    assert opened.cipher.legacy == (cipher == "des")


@pytest.mark.parametrize(
    ("cipher", "policy"),
    [
        ("des", {"legacy": "refuse"}),
        ("3des", {"triple_des": "refuse"}),
        ("rc2", {}),
        ("rc4", {}),
        ("aes128-gcm", {}),
    ],
)
def test_refuses_ciphers_by_name(cipher: str, policy: dict[str, Any]) -> None:
    with pytest.raises(BadAlgorithm, match="content encryption"):
        protocol_bench().open(request(cipher=cipher), ScepCodec(policy=AlgorithmPolicy(**policy)))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, PKCS1_V15),
        ({"algorithm": asn1.algorithm("1.2.840.113549.1.1.1", None)}, PKCS1_V15),
        ({"oaep": "sha1"}, OAEP_SHA1),
        ({"oaep": "sha1", "algorithm": asn1.algorithm(OAEP, None)}, OAEP_SHA1),
        ({"oaep": "sha1", "algorithm": asn1.algorithm(OAEP, asn1.seq())}, OAEP_SHA1),
        ({"oaep": "sha1", "algorithm": asn1.algorithm(OAEP, asn1.NULL)}, OAEP_SHA1),
        ({"oaep": "sha256"}, OAEP_SHA256),
    ],
)
def test_opens_every_key_transport_and_mirrors_it(fields: dict[str, Any], expected: Transport) -> None:
    opened = protocol_bench().open(request(recipients=[recipient(**fields)]))
    assert opened.content == protocol_bench().csr
    assert isinstance(opened.recipient, KeyTransportRecipient)
    assert opened.recipient.key_transport == expected
    assert opened.recipient.certificate.der == protocol_bench().device_certificate


@pytest.mark.parametrize(
    "element",
    [
        asn1.explicit(1, asn1.integer(3)),
        asn1.explicit(2, asn1.integer(4)),
        asn1.explicit(4, asn1.oid("1.2.3")),
        recipient(algorithm=asn1.algorithm("1.2.3.4")),
        recipient(algorithm=asn1.algorithm(OAEP, oaep_parameters("md5"))),
        recipient(algorithm=asn1.algorithm(OAEP, asn1.seq(asn1.explicit(5, asn1.NULL)))),
    ],
)
def test_refuses_other_recipients_by_name(element: bytes | KeyTransport) -> None:
    with pytest.raises(BadAlgorithm):
        protocol_bench().open(request(recipients=[element]))


def test_finds_our_key_among_the_recipients() -> None:
    bench = protocol_bench()
    foreign = KeyTransport(certificate=bench.device_certificate)
    assert bench.open(request(recipients=[foreign, recipient()])).content == bench.csr
    assert bench.open(request(recipients=[recipient(use_ski=True)])).content == bench.csr
    renamed = asn1.seq(common_name("ra", asn1.PRINTABLE), asn1.integer(0x1234567890))
    assert bench.open(request(recipients=[recipient(identifier=renamed)])).content == bench.csr


def test_refuses_a_crowd_of_recipients() -> None:
    with pytest.raises(BadRequest, match="recipientInfos"):
        protocol_bench().open(request(recipients=[recipient()] * 11))


def _transported(bench: ProtocolBench, cek: bytes) -> dict[str, Any]:
    return {"recipients": [recipient(encrypted_key=recipient().transport(cek))]}


def _modulus(bench: ProtocolBench) -> int:
    return asn1.read(asn1.read(bench.ra_key.spki)[1].content[1:])[0].number


def _ciphertext(bench: ProtocolBench, padded: bytes) -> dict[str, Any]:
    key = b"k" * 16
    return {"cek": key, "iv": b"i" * 16, "ciphertext": cbc_encrypt("aes128", key, b"i" * 16, padded)}


FAILED_DECRYPTIONS: dict[str, Callable[[ProtocolBench], dict[str, Any]]] = {
    "key-empty": lambda _: {"recipients": [recipient(encrypted_key=b"")]},
    "key-too-long": lambda _: {"recipients": [recipient(encrypted_key=b"\1" * 257)]},
    "key-zero": lambda _: {"recipients": [recipient(encrypted_key=bytes(256))]},
    "key-above-modulus": lambda bench: {
        "recipients": [recipient(encrypted_key=(_modulus(bench) + 5).to_bytes(256, "big"))]
    },
    "key-garbage": lambda _: {"recipients": [recipient(encrypted_key=b"\x17" * 256)]},
    "oaep-garbage": lambda _: {"recipients": [recipient(encrypted_key=b"\x17" * 256, oaep="sha256")]},
    **{
        f"key-of-{size}": lambda bench, size=size: _transported(bench, os.urandom(size))
        for size in (7, 8, 15, 17, 24, 32)
    },
    "another-key": lambda bench: _transported(bench, b"another key here"),
    "iv-0": lambda _: {"parameters": asn1.octets(b"")},
    "iv-8": lambda _: {"parameters": asn1.octets(b"i" * 8)},
    "iv-15": lambda _: {"parameters": asn1.octets(b"i" * 15)},
    "iv-17": lambda _: {"parameters": asn1.octets(b"i" * 17)},
    "iv-null": lambda _: {"parameters": asn1.NULL},
    "iv-missing": lambda _: {"parameters": b""},
    "ciphertext-empty": lambda _: {"ciphertext": b""},
    "ciphertext-cut": lambda _: {"ciphertext": b"c" * 31},
    "ciphertext-absent": lambda _: {"encrypted_content": b""},
    "padding-0": lambda bench: _ciphertext(bench, bench.csr[: len(bench.csr) // 16 * 16 - 1] + b"\0"),
    "padding-17": lambda bench: _ciphertext(bench, bench.csr[: len(bench.csr) // 16 * 16 - 1] + b"\x11"),
    "padding-inconsistent": lambda bench: _ciphertext(bench, pad(bench.csr + b"..", 16)[:-2] + b"\1\2"),
    "padding-alone": lambda bench: _ciphertext(bench, b"\x10" * 16),
    "plaintext-garbage": lambda _: {"plaintext": os.urandom(200)},
    "plaintext-and-more": lambda bench: {"plaintext": bench.csr + b"\0"},
    "plaintext-twice": lambda bench: {"plaintext": bench.csr * 2},
    "plaintext-cut": lambda bench: {"plaintext": bench.csr[:-1]},
    "plaintext-broken": lambda bench: {"plaintext": bench.csr.replace(b"\x02\x01\0", b"\x02\x7f\0", 1)},
    "not-ours": lambda bench: {"recipients": [KeyTransport(certificate=bench.device_certificate)]},
    "not-our-issuer": lambda _: {
        "recipients": [recipient(identifier=asn1.seq(common_name("x"), asn1.integer(0x1234567890)))]
    },
}  # fmt: skip


@pytest.mark.parametrize("case", FAILED_DECRYPTIONS)
def test_every_failed_decryption_is_the_same(case: str) -> None:
    bench = protocol_bench()
    with pytest.raises(MessageError) as caught:
        bench.receive(request(**FAILED_DECRYPTIONS[case](bench)))
    assert type(caught.value) is Undecryptable
    assert str(caught.value) == str(Undecryptable())


def test_signature_is_verified_before_anything_is_decrypted() -> None:
    bench = protocol_bench()

    class Untouched:
        certificate = bench.decryptor.certificate
        subject_key_identifier = bench.decryptor.subject_key_identifier

        def decrypt(self, key_transport: Transport, encrypted_key: bytes) -> bytes:
            raise AssertionError("the key was used")

    octets = bench.message(signature=b"\1" * 256).encode()
    with pytest.raises(MessageError, match="signature"):
        CODEC.open(CODEC.verify(CODEC.parse(octets)), [Untouched()], substitute_cek=SUBSTITUTE)


@pytest.mark.parametrize(
    ("message_type", "plaintext"),
    [
        (19, encode_content(ISSUER_AND_SERIAL)),
        (17, encode_content(ISSUER_AND_SUBJECT)),
        (19, asn1.seq()),
        (20, "csr"),
        (20, encode_content(ISSUER_AND_SERIAL)),
        (21, "csr"),
        (21, encode_content(ISSUER_AND_SUBJECT)),
        (22, "csr"),
        (22, asn1.seq(NAME, asn1.integer(1), asn1.NULL)),
        (19, asn1.seq(*[asn1.NULL] * 10_000)),
        (21, asn1.seq(NAME, asn1.tlv(2, b"\1" * 2_101))),
    ],
)
def test_whole_content_of_the_wrong_kind_is_a_bad_request(message_type: int, plaintext: bytes | str) -> None:
    bench = protocol_bench()
    content = bench.csr if isinstance(plaintext, str) else plaintext
    message = bench.message(message_type=message_type, content=bench.envelope(plaintext=content).encode())
    with pytest.raises(MessageError) as caught:
        bench.receive(message.encode())
    assert type(caught.value) is BadRequest


@pytest.mark.parametrize(
    ("message_type", "content"),
    [(20, ISSUER_AND_SUBJECT), (21, ISSUER_AND_SERIAL), (22, ISSUER_AND_SERIAL)],
)
def test_interprets_queries(message_type: int, content: IssuerAndSerial | IssuerAndSubject) -> None:
    bench = protocol_bench()
    envelope = bench.envelope(plaintext=encode_content(content)).encode()
    assert bench.receive(bench.message(message_type=message_type, content=envelope).encode()) == content


@pytest.mark.parametrize("message_type", [17, 19])
def test_interprets_requests_even_in_ber(message_type: int) -> None:
    bench = protocol_bench()
    ber = asn1.restyle(bench.csr, asn1.Style(indefinite=True))
    message = bench.message(message_type=message_type, content=bench.envelope(plaintext=ber).encode())
    assert bench.receive(message.encode()) == CertificationRequest(csr=bench.csr)


@pytest.mark.parametrize(
    "style", [asn1.Style(indefinite=True, implicit_chunk=50), asn1.Style(implicit_chunk=10_000)]
)
def test_opens_envelopes_in_ber(style: asn1.Style) -> None:
    bench = protocol_bench()
    content = asn1.restyle(bench.envelope().encode(), style)
    assert content != bench.envelope().encode()
    assert bench.open(bench.message(content=content).encode()).content == bench.csr


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("csr", BadRequest),
        ({"outer_type": SIGNED_DATA}, BadRequest),
        ({"outer_type": AUTH_ENVELOPED_DATA}, BadAlgorithm),
        ({"content_type": ENVELOPED_DATA}, BadRequest),
        ({"content_type": SIGNED_DATA}, BadRequest),
    ],
)
def test_refuses_other_envelopes(content: str | dict[str, Any], expected: type[MessageError]) -> None:
    bench = protocol_bench()
    octets = bench.csr if isinstance(content, str) else bench.envelope(**content).encode()
    with pytest.raises(MessageError) as caught:
        bench.open(bench.message(content=octets).encode())
    assert type(caught.value) is expected


def test_content_type_of_a_dotnet_client_is_legacy() -> None:
    octets = request(content_type=ENCRYPTED_DATA)
    assert protocol_bench().open(octets).warnings
    with pytest.raises(BadRequest):
        protocol_bench().open(octets, ScepCodec(policy=AlgorithmPolicy(legacy="refuse")))


def test_ignores_the_version_and_what_is_not_encrypted() -> None:
    originator = asn1.explicit(0, asn1.explicit(0, protocol_bench().ra_certificate))
    unprotected = asn1.explicit(1, asn1.seq(asn1.oid("1.2.3"), asn1.set_of(asn1.NULL)))
    for version in (0, 2, 3):
        opened = protocol_bench().open(
            request(version=version, originator_info=originator, unprotected=unprotected)
        )
        assert opened.content == protocol_bench().csr


# -- passwords -------------------------------------------------------------------------


def by_password(*, rsa: bool = False, **fields: Any) -> bytes:
    bench = protocol_bench()
    key = bench.device_key if rsa else bench.keys.ec()
    fields.setdefault("password", CHALLENGE.encode())
    envelope = bench.envelope(recipients=[Password(**fields)], version=3)
    return PkiMessage(
        key=key,
        certificate=CertificateForge(key=key).encode(),
        content=envelope.encode(),
        transaction_id="EC",
    ).encode()


@pytest.mark.parametrize("cipher", ["3des", "aes128", "aes192", "aes256"])
@pytest.mark.parametrize("prf", [None, "sha256"])
def test_opens_with_the_right_password(cipher: str, prf: str | None) -> None:
    octets = by_password(cipher=cipher, prf=prf)
    passwords = [b"another", CHALLENGE.encode()]
    opened = protocol_bench().open(octets, passwords=passwords)
    assert opened.content == protocol_bench().csr
    assert opened.recipient == PasswordRecipient(password=CHALLENGE.encode())


@pytest.mark.parametrize("passwords", [[], [b"wrong"]])
def test_wrong_password_is_like_every_other_failure(passwords: list[bytes]) -> None:
    with pytest.raises(Undecryptable):
        protocol_bench().open(by_password(), passwords=passwords)


@pytest.mark.parametrize(
    ("fields", "passwords"),
    [
        ({"written_iterations": 10**9}, [CHALLENGE.encode()]),
        ({"written_iterations": 0}, [CHALLENGE.encode()]),
        ({"salt": b"s" * 1_000_000}, [CHALLENGE.encode()]),
        ({"with_kdf": False}, [CHALLENGE.encode()]),
        ({"rsa": True}, [CHALLENGE.encode()]),
        ({}, None),
    ],
)
def test_refuses_password_recipients_by_name(fields: dict[str, Any], passwords: list[bytes] | None) -> None:
    with pytest.raises(BadAlgorithm):
        protocol_bench().open(by_password(**fields), passwords=passwords)


def test_many_passwords_do_not_multiply_the_cost() -> None:
    tried = []

    def passwords() -> Any:
        for number in range(1000):
            tried.append(number)
            yield b"wrong %d" % number

    policy = AlgorithmPolicy(maximum_pbkdf2_iterations=3000)
    with pytest.raises(Undecryptable):
        protocol_bench().open(by_password(iterations=2048), ScepCodec(policy=policy), passwords=passwords())
    assert len(tried) <= 6


# -- sealing ---------------------------------------------------------------------------


@pytest.mark.parametrize("cipher", [cipher for cipher in ContentCipher if not cipher.legacy])
@pytest.mark.parametrize(
    "transport", [PKCS1_V15, OAEP_SHA1, OAEP_SHA256, Transport(oaep_digest=DigestAlgorithm.SHA_512)]
)
def test_openssl_opens_what_we_seal(cipher: ContentCipher, transport: Transport) -> None:
    bench = protocol_bench()
    to = KeyTransportRecipient(
        certificate=read_certificate(bench.device_certificate), key_transport=transport
    )
    sealed = seal(
        b"plain text", to, cipher, cek=os.urandom(cipher.key_size), iv=os.urandom(cipher.block_size)
    )
    opened = openssl.decrypt(sealed, key_pem=bench.device_key.pem, certificate=bench.device_certificate)
    assert opened == b"plain text"


@pytest.mark.parametrize("cipher", [cipher for cipher in ContentCipher if not cipher.legacy])
def test_openssl_opens_what_we_seal_under_a_password(cipher: ContentCipher) -> None:
    sealed = seal(
        b"plain text",
        PasswordRecipient(password=CHALLENGE.encode()),
        cipher,
        cek=os.urandom(cipher.key_size),
        iv=os.urandom(cipher.block_size),
        password_seed=os.urandom(48),
    )
    assert openssl.decrypt_with_password(sealed, CHALLENGE.encode()) == b"plain text"


def test_oaep_with_defaults_has_an_empty_sequence() -> None:
    bench = protocol_bench()
    to = KeyTransportRecipient(
        certificate=read_certificate(bench.device_certificate), key_transport=OAEP_SHA1
    )
    sealed = seal(b"x", to, ContentCipher.AES_128_CBC, cek=b"k" * 16, iv=b"i" * 16)
    assert asn1.read(sealed)[1][0][1][0][2].raw == asn1.algorithm(OAEP, asn1.seq())


def test_never_seals_with_single_des_or_to_a_key_that_cannot_decrypt() -> None:
    bench = protocol_bench()
    key = bench.keys.ec()
    certificate = read_certificate(CertificateForge(key=key).encode())
    assert not can_receive(certificate)
    assert can_receive(read_certificate(bench.device_certificate))
    to = KeyTransportRecipient(certificate=certificate, key_transport=PKCS1_V15)
    with pytest.raises(BadAlgorithm, match="not RSA"):
        seal(b"x", to, ContentCipher.AES_128_CBC, cek=b"k" * 16, iv=b"i" * 16)
    with pytest.raises(ValueError, match="not emitted"):
        seal(b"x", to, ContentCipher.DES_CBC, cek=b"k" * 8, iv=b"i" * 8)


def test_retired_key_opens_as_well() -> None:
    bench = protocol_bench()
    other = CertificateForge(key=bench.device_key, subject=common_name("RA of today"), serial=9).encode()
    message = CODEC.verify(CODEC.parse(bench.message().encode()))
    decryptors = [decryptor_for(bench.device_key, other), bench.decryptor]
    assert CODEC.open(message, decryptors, substitute_cek=SUBSTITUTE).content == bench.csr
