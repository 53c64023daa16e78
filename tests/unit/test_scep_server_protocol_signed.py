"""The outer SignedData: what is answerable, what verifies, and what each refusal is called (4B)."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from forge import asn1
from forge.certificates import CertificateForge, common_name, extension, read_certificate
from forge.envelope import ENVELOPED_DATA, SIGNED_DATA, issuer_and_serial
from forge.keys import DIGESTS, RSA, RSA_PSS, digest, pss_parameters, rsa_public_only
from forge.message import (
    CONTENT_TYPE,
    MESSAGE_DIGEST,
    MESSAGE_TYPE,
    SENDER_NONCE,
    SIGNING_TIME,
    TRANSACTION_ID,
    PkiMessage,
    attribute,
    degenerate,
)
from protocol_bench import CODEC, protocol_bench

from scep_server.protocol.algorithms import AlgorithmPolicy, DigestAlgorithm
from scep_server.protocol.errors import (
    BadAlgorithm,
    BadMessageCheck,
    BadRequest,
    MessageError,
    Unanswerable,
)
from scep_server.protocol.messages import MessageType
from scep_server.protocol.messages import PkiMessage as Verified


def verified(message: PkiMessage, policy: AlgorithmPolicy | None = None) -> Verified:
    return CODEC.verify(CODEC.parse(message.encode()), policy)


def printable(text: str) -> bytes:
    return asn1.string(asn1.PRINTABLE, text)


def test_reads_what_the_message_says() -> None:
    bench = protocol_bench()
    nonce = b"8 octets"
    message = verified(bench.message(transaction_id="a+b/c= d", sender_nonce=nonce, message_type=17))
    assert message.message_type is MessageType.RENEWAL_REQ
    assert message.transaction_id == "a+b/c= d"
    assert message.sender_nonce == nonce
    assert message.digest is DigestAlgorithm.SHA_256
    assert message.signer.der == bench.device_certificate
    assert message.signer.serial_number == 0x5CE9
    assert message.signer.self_issued
    assert message.warnings == ()


@pytest.mark.parametrize(
    "case", ["no-attributes", "no-signers", "two-signers", "degenerate", "enveloped", "data"]
)
def test_unanswerable_without_one_signer_and_its_attributes(case: str) -> None:
    message = protocol_bench().message()
    octets = {
        "no-attributes": lambda: message.with_(without_attributes=True).encode(),
        "no-signers": lambda: message.with_(signer_infos=()).encode(),
        "two-signers": lambda: message.with_(signer_infos=[message.signer_info()] * 2).encode(),
        "degenerate": lambda: degenerate(message.certificate),
        "enveloped": lambda: protocol_bench().envelope().encode(),
        "data": lambda: asn1.seq(asn1.oid("1.2.840.113549.1.7.1"), asn1.explicit(0, asn1.octets(b"x"))),
    }[case]()
    with pytest.raises(Unanswerable):
        CODEC.parse(octets)


@pytest.mark.parametrize(
    "value",
    [
        printable(""),
        printable("A" * 256),
        printable("A\0B"),
        printable("A\r\nB"),
        printable("<script>"),
        asn1.octets(b"F00D"),
        asn1.integer(7),
        asn1.string(asn1.UTF8, "Ger\u00e4t"),
    ],
)
def test_unanswerable_transaction_id(value: bytes) -> None:
    with pytest.raises(Unanswerable):
        CODEC.parse(protocol_bench().message(replaced={TRANSACTION_ID: [value]}).encode())


@pytest.mark.parametrize("values", [None, [], [printable("A"), printable("A")]])
def test_unanswerable_without_exactly_one_transaction_id(values: list[bytes] | None) -> None:
    with pytest.raises(Unanswerable):
        CODEC.parse(protocol_bench().message(replaced={TRANSACTION_ID: values}).encode())


@pytest.mark.parametrize("tag", [asn1.UTF8, asn1.IA5, asn1.VISIBLE, asn1.BMP])
def test_reads_transaction_id_in_other_string_types(tag: int) -> None:
    message = protocol_bench().message(replaced={TRANSACTION_ID: [asn1.string(tag, "F00D")]})
    assert CODEC.parse(message.encode()).transaction_id == "F00D"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"replaced": {MESSAGE_TYPE: None}}, BadRequest),
        ({"replaced": {SENDER_NONCE: None}}, BadRequest),
        ({"replaced": {MESSAGE_DIGEST: None}}, BadMessageCheck),
        ({"replaced": {CONTENT_TYPE: None}}, BadMessageCheck),
        ({"replaced": {SIGNING_TIME: [asn1.octets(b"noon")]}}, BadRequest),
        ({"replaced": {SENDER_NONCE: [asn1.octets(b"")]}}, BadRequest),
        ({"replaced": {SENDER_NONCE: [asn1.octets(b"n" * 65)]}}, BadRequest),
        ({"replaced": {SENDER_NONCE: [printable("0123456789abcdef")]}}, BadRequest),
        ({"replaced": {SENDER_NONCE: []}}, BadRequest),
        ({"replaced": {MESSAGE_DIGEST: [asn1.octets(b"x"), asn1.octets(b"y")]}}, BadRequest),
        ({"added": [attribute(MESSAGE_TYPE, printable("19"))]}, BadRequest),
        ({"replaced": {CONTENT_TYPE: [asn1.oid(SIGNED_DATA)]}}, BadMessageCheck),
        ({"content_type": SIGNED_DATA}, BadRequest),
        ({"content": b""}, BadRequest),
        ({"content": b"\0"}, BadRequest),
        ({"content_element": b"", "message_digest": digest("sha256", b"")}, BadRequest),
        ({"content_element": asn1.explicit(0, printable("x"))}, BadRequest),
        ({"message_digest": b"\0" * 32}, BadMessageCheck),
        ({"signature": b"\1" * 256}, BadMessageCheck),
        ({"signature": b""}, BadMessageCheck),
        ({"certificates": ()}, BadMessageCheck),
        ({"digest": "md2"}, BadAlgorithm),
        ({"digest": "sha3-256"}, BadAlgorithm),
        ({"signature_algorithm": asn1.algorithm("1.2.840.10045.4.3.2", None)}, BadAlgorithm),
        ({"signature_algorithm": asn1.algorithm(RSA_PSS, asn1.seq()), "pss": True}, BadAlgorithm),
        ({"signature_algorithm": asn1.algorithm(RSA_PSS, None), "pss": True}, BadAlgorithm),
        (
            {"signature_algorithm": asn1.algorithm(RSA_PSS, pss_parameters("sha256", -1)), "pss": True},
            BadAlgorithm,
        ),
    ],
)
def test_refusal_has_the_fail_info_of_the_table(fields: dict[str, Any], expected: type[MessageError]) -> None:
    with pytest.raises(MessageError) as caught:
        verified(protocol_bench().message(**fields))
    assert type(caught.value) is expected


@pytest.mark.parametrize("text", ["", "019", " 19", "19 ", "19\0", "3", "0", "18", "23", "-1", "9" * 11])
def test_refuses_what_is_no_request_type(text: str) -> None:
    with pytest.raises(BadRequest, match="messageType"):
        verified(protocol_bench().message(replaced={MESSAGE_TYPE: [printable(text)]}))


def test_message_type_is_refused_before_any_signature_is_verified() -> None:
    with pytest.raises(BadRequest, match="messageType"):
        verified(protocol_bench().message(message_type=18, signature=b"nonsense"))


def test_nonce_is_readable_although_the_message_is_refused() -> None:
    unverified = CODEC.parse(
        protocol_bench().message(sender_nonce=b"n" * 64, replaced={MESSAGE_TYPE: None}).encode()
    )
    assert unverified.sender_nonce == b"n" * 64
    assert len(unverified.defects) == 1


@pytest.mark.parametrize("name", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
def test_verifies_every_digest(name: str) -> None:
    message = verified(protocol_bench().message(digest=name))
    assert message.digest.hash_name == name
    assert bool(message.warnings) == (name == "md5")


@pytest.mark.parametrize(("name", "policy"), [("md5", {"legacy": "refuse"}), ("sha1", {"sha1": "refuse"})])
def test_policy_refuses_weak_digests(name: str, policy: dict[str, Any]) -> None:
    with pytest.raises(BadAlgorithm):
        verified(protocol_bench().message(digest=name), AlgorithmPolicy(**policy))


def test_policy_looks_at_the_digest_of_the_signature_too() -> None:
    algorithm = asn1.algorithm("1.2.840.113549.1.1.4")
    bench = protocol_bench()
    message = bench.message(
        signature_algorithm=algorithm, signature=lambda data: bench.device_key.sign(data, "md5")
    )
    assert verified(message)
    with pytest.raises(BadAlgorithm):
        verified(message, AlgorithmPolicy(legacy="refuse"))


@pytest.mark.parametrize("name", ["sha1", "sha256", "sha384", "sha512"])
def test_verifies_pss(name: str) -> None:
    assert verified(protocol_bench().message(digest=name, pss=True))


@pytest.mark.parametrize("dotted", [RSA, "1.2.840.113549.1.1.11"])
@pytest.mark.parametrize("parameters", [asn1.NULL, None])
def test_verifies_both_spellings_of_rsa(dotted: str, parameters: bytes | None) -> None:
    assert verified(protocol_bench().message(signature_algorithm=asn1.algorithm(dotted, parameters)))


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "ed25519"])
def test_verifies_keys_that_cannot_decrypt(kind: str) -> None:
    bench = protocol_bench()
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
    key = bench.keys.ec(curves[kind]) if kind in curves else bench.keys.ed25519()
    message = bench.message(key=key, certificate=CertificateForge(key=key).encode())
    assert verified(message).signer.public_key_der == key.spki


def test_verifies_attributes_signed_as_sent_or_sorted() -> None:
    bench = protocol_bench()
    unsorted = bench.message(sort_attributes=False)
    assert unsorted.attributes() != asn1.sort_set(unsorted.attributes())
    assert verified(unsorted)
    assert verified(unsorted.with_(signed_order="sorted"))
    third = asn1.set_of(*reversed(asn1.sort_set(unsorted.attributes())))
    with pytest.raises(BadMessageCheck):
        verified(unsorted.with_(signature=bench.device_key.sign(third)))


@pytest.mark.parametrize(
    "fields",
    [
        {"version": None},
        {"serial": 0},
        {"serial": -5},
        {"serial": b"\x01" * 33},
        {"signature": b"\0" * 256},
        {"extensions": asn1.explicit(3, asn1.octets(b"no SEQUENCE"))},
        {"subject": asn1.seq()},
        {"subject": common_name("root@printer", asn1.PRINTABLE)},
    ],
)
def test_takes_the_key_of_any_self_signed_certificate(fields: dict[str, Any]) -> None:
    bench = protocol_bench()
    certificate = CertificateForge(key=bench.device_key, **fields).encode()
    assert verified(bench.message(certificate=certificate)).signer.der == certificate


@pytest.mark.parametrize("bits", [512, 16384])
def test_refuses_key_sizes_before_any_arithmetic(bits: int) -> None:
    bench = protocol_bench()
    key = rsa_public_only(bits)
    with pytest.raises(BadAlgorithm, match=f"{bits} bits"):
        verified(bench.message(key=key, certificate=CertificateForge(key=key).encode()))


def test_signer_is_found_by_sid_and_nothing_else() -> None:
    bench = protocol_bench()
    stranger = CertificateForge(key=bench.ra_key, subject=common_name("stranger"), serial=77).encode()
    extras = [CertificateForge(key=bench.ra_key, serial=1000 + number).encode() for number in range(20)]
    assert (
        verified(bench.message(certificates=[*extras, bench.device_certificate])).signer.serial_number
        == 0x5CE9
    )
    with pytest.raises(BadMessageCheck):
        verified(bench.message(certificates=[stranger]))
    confused = bench.message(
        sid=issuer_and_serial(read_certificate(stranger)), certificates=[bench.device_certificate, stranger]
    )
    with pytest.raises(BadMessageCheck):
        verified(confused)
    with pytest.raises(Unanswerable):
        CODEC.parse(bench.message(certificates=[*extras, stranger, bench.device_certificate]).encode())


@pytest.mark.parametrize("with_extension", [True, False])
def test_signer_is_found_by_key_identifier(with_extension: bool) -> None:
    bench = protocol_bench()
    identifier = b"\x0a" * 20 if with_extension else bench.device_key.identifier
    extensions = [extension("2.5.29.14", asn1.octets(identifier))] if with_extension else []
    certificate = CertificateForge(key=bench.device_key, extensions=extensions).encode()
    assert verified(
        bench.message(certificate=certificate, sid=asn1.implicit(0, identifier), signer_version=3)
    )


def test_signer_is_found_by_a_name_written_otherwise() -> None:
    bench = protocol_bench()
    first = asn1.set_of(asn1.seq(asn1.oid("2.5.4.10"), asn1.string(asn1.UTF8, "Example")))
    second = asn1.set_of(asn1.seq(asn1.oid("2.5.4.3"), asn1.string(asn1.UTF8, "Some Signer")))
    other = asn1.set_of(asn1.seq(asn1.oid("2.5.4.3"), asn1.string(asn1.BMP, "some  signer ")))
    certificate = CertificateForge(key=bench.device_key, subject=asn1.seq(first, second)).encode()
    serial = asn1.integer(0x5CE9)
    assert verified(bench.message(certificate=certificate, sid=asn1.seq(asn1.seq(other, first), serial)))
    with pytest.raises(BadMessageCheck):
        verified(bench.message(certificate=certificate, sid=asn1.seq(asn1.seq(other), serial)))


@pytest.mark.parametrize(
    "style", [asn1.Style(indefinite=True, chunk=60, levels=3), asn1.Style(padded_lengths=2)]
)
def test_verifies_messages_in_ber(style: asn1.Style) -> None:
    message = protocol_bench().message()
    octets = message.with_(style=style).encode()
    unverified = CODEC.parse(octets)
    assert unverified.raw == octets
    assert unverified.der == message.encode()
    assert CODEC.verify(unverified)


def test_reads_envelopes_that_stand_where_they_should_not() -> None:
    bench = protocol_bench()
    content = bench.envelope().encode()
    pkcs7 = bench.message(
        content_element=asn1.explicit(0, content), message_digest=digest("sha256", asn1.read(content).body)
    )
    assert verified(pkcs7).envelope == content
    bare = asn1.read(content)[1][0].raw
    assert verified(bench.message(content_type=ENVELOPED_DATA, content=bare)).envelope == content
    assert verified(bench.message(content_type=ENVELOPED_DATA)).envelope


@pytest.mark.parametrize(
    ("version", "answerable"), [(0, True), (1, True), (3, True), (99, False), (-1, False)]
)
def test_reads_versions_of_cms(version: int, answerable: bool) -> None:
    octets = protocol_bench().message(version=version).encode()
    if answerable:
        assert CODEC.parse(octets)
    else:
        with pytest.raises(Unanswerable, match="version"):
            CODEC.parse(octets)


def test_ignores_what_does_not_concern_it() -> None:
    unsigned = asn1.explicit(1, attribute("1.2.3.4", asn1.integer(1)))
    crls = asn1.explicit(1, asn1.octets(b"?"))
    digests = asn1.set_of(asn1.algorithm(DIGESTS["sha1"]))
    assert verified(protocol_bench().message(unsigned=unsigned, crls=crls, digest_algorithms=digests))


def test_reads_a_time_with_offset() -> None:
    time = asn1.tlv(asn1.UTC_TIME, b"260531073014-0400")
    unverified = CODEC.parse(protocol_bench().message(signing_time=time).encode())
    assert unverified.signing_time is not None
    assert unverified.signing_time.isoformat() == "2026-05-31T11:30:14+00:00"
