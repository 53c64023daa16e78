"""Property E7: whatever the octets, the codec returns a value or raises its own kinds of error."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache

import pytest
from forge import asn1
from forge.certificates import CertificateForge
from hypothesis import given, settings
from hypothesis import strategies as st
from protocol_bench import CHALLENGE, CODEC, SUBSTITUTE, decryptor_for, protocol_bench

from ca import der
from scep_server.protocol.algorithms import PKCS1_V15
from scep_server.protocol.certificates import read_certificate
from scep_server.protocol.client import ClientCodec, ClientRequest, ReplyError
from scep_server.protocol.contents import decode_ca_certificates
from scep_server.protocol.errors import MessageError, Unanswerable
from scep_server.protocol.messages import CertificationRequest, KeyTransportRecipient
from scep_server.protocol.requests import RANDOM_OCTETS


def take(octets: bytes) -> str:
    """Take octets as far as they go, as a server does; anything but the codec's own errors escapes."""
    bench = protocol_bench()
    try:
        bench.receive(octets, passwords=[CHALLENGE.encode()])
    except Unanswerable:
        return "unanswerable"
    except MessageError as error:
        return type(error).__name__
    return "taken"


@cache
def good() -> bytes:
    return protocol_bench().message().encode()


@cache
def reply_and_request() -> tuple[bytes, ClientCodec, ClientRequest]:
    bench = protocol_bench()
    codec = ClientCodec(
        signer=bench.signer,
        recipient=KeyTransportRecipient(
            certificate=read_certificate(bench.ra_certificate), key_transport=PKCS1_V15
        ),
        trusted=(bench.ra_certificate,),
        decryptors=(decryptor_for(bench.ra_key, bench.ra_certificate),),
        passwords=(b"password",),
    )
    request = codec.pkcs_req(
        CertificationRequest(csr=bench.csr), transaction_id="A", random=os.urandom(RANDOM_OCTETS)
    )
    cert_rep = bench.reply(bench.open(request.octets))
    octets = CODEC.encode_reply(cert_rep, bench.signer, bench.form, cek=b"k" * 16, iv=b"i" * 16)
    assert codec.decode_reply(octets, request, substitute_cek=SUBSTITUTE).certificate
    return octets, codec, request


def decode(octets: bytes) -> None:
    """Read octets as a client does; anything but ReplyError escapes."""
    _, codec, request = reply_and_request()
    for read in (
        lambda: codec.decode_reply(octets, request, substitute_cek=SUBSTITUTE),
        lambda: codec.decode_next_ca(octets),
    ):
        with suppress(ReplyError):
            read()
    with suppress(der.DerError):
        decode_ca_certificates(octets)


def test_the_good_message_is_taken() -> None:
    assert take(good()) == "taken"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_random_octets(octets: bytes) -> None:
    assert take(octets) == "unanswerable"
    decode(octets)


def test_every_truncation_is_unanswerable() -> None:
    octets = good()
    assert {take(octets[:size]) for size in range(len(octets))} == {"unanswerable"}
    reply, _, _ = reply_and_request()
    for size in range(len(reply)):
        decode(reply[:size])


def test_every_octet_changed() -> None:
    octets = good()
    answers = {
        take(octets[:at] + bytes((octets[at] ^ 0x01,)) + octets[at + 1 :]) for at in range(len(octets))
    }
    assert {"unanswerable", "BadMessageCheck", "BadAlgorithm", "BadRequest"} <= answers
    reply, _, _ = reply_and_request()
    for at in range(0, len(reply), 3):
        decode(reply[:at] + bytes((reply[at] ^ 0x01,)) + reply[at + 1 :])


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=6), st.integers(0, 6))
def test_octets_replaced(at: int, octets: bytes, removed: int) -> None:
    whole = good()
    at %= len(whole)
    take(whole[:at] + octets + whole[at + removed :])


_OIDS = (
    "1.2.840.113549.1.1.1",
    "1.2.840.113549.1.1.7",
    "1.2.840.113549.1.1.10",
    "1.2.840.113549.1.5.12",
    "1.2.840.113549.1.7.3",
    "1.2.840.113549.1.9.16.3.9",
    "2.16.840.1.101.3.4.1.2",
)
_VALUES = st.recursive(
    st.one_of(
        st.binary(max_size=24).map(asn1.octets),
        st.integers(-(2**70), 2**70).map(asn1.integer),
        st.just(asn1.NULL),
        st.sampled_from(_OIDS).map(asn1.oid),
        st.binary(max_size=4).map(lambda content: asn1.tlv(0x13, content)),
    ),
    lambda inner: st.tuples(
        st.sampled_from([0x30, 0x31, 0xA0, 0xA1, 0xA2, 0xA3]), st.lists(inner, max_size=5)
    ).map(lambda pair: asn1.tlv(pair[0], *pair[1])),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_VALUES, max_size=4))
def test_any_structure_signed_as_an_envelope(elements: list[bytes]) -> None:
    enveloped = asn1.seq(
        asn1.oid("1.2.840.113549.1.7.3"), asn1.explicit(0, asn1.seq(asn1.integer(0), *elements))
    )
    for content in (enveloped, asn1.seq(*elements)):
        assert take(protocol_bench().message(content=content).encode()) in (
            "BadRequest",
            "BadAlgorithm",
            "Undecryptable",
        )


@settings(max_examples=300, deadline=None)
@given(st.lists(_VALUES, max_size=4), st.integers(0, 3))
def test_any_structure_as_recipient_or_cipher(elements: list[bytes], place: int) -> None:
    bench = protocol_bench()
    element = asn1.tlv([0x30, 0xA3, 0xA1, 0x30][place], *elements)
    envelope = (
        bench.envelope(recipients=[element]) if place < 3 else bench.envelope(parameters=b"".join(elements))
    )
    assert take(bench.message(content=envelope.encode()).encode()) in (
        "BadRequest", "BadAlgorithm", "Undecryptable", "taken",
    )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(_VALUES, st.sampled_from([17, 19, 20, 21, 22]))
def test_any_structure_as_content(value: bytes, message_type: int) -> None:
    bench = protocol_bench()
    content = bench.envelope(plaintext=value).encode()
    assert take(bench.message(content=content, message_type=message_type).encode()) in (
        "BadRequest", "Undecryptable", "taken",
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(_VALUES, st.booleans())
def test_any_structure_as_signature_algorithm_or_certificate(value: bytes, certificate: bool) -> None:
    bench = protocol_bench()
    message = (
        bench.message(certificates=[asn1.seq(value)])
        if certificate
        else bench.message(signature_algorithm=asn1.seq(asn1.oid("1.2.840.113549.1.1.10"), value))
    )
    assert take(message.encode()) in ("BadMessageCheck", "BadAlgorithm", "unanswerable")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["2", "5", "7", "3"]), st.lists(_VALUES, max_size=2)), max_size=6))
def test_any_values_as_attributes(found: list[tuple[str, list[bytes]]]) -> None:
    replaced = {f"2.16.840.1.113733.1.9.{last}": values for last, values in found}
    take(protocol_bench().message(replaced=replaced).encode())


@pytest.mark.parametrize("kind", ["rsa", "ec"])
@settings(max_examples=150, deadline=None)
@given(value=_VALUES, tail=st.binary(max_size=80))
def test_any_public_key_in_the_signer_certificate(kind: str, value: bytes, tail: bytes) -> None:
    bench = protocol_bench()
    oid = {"rsa": "1.2.840.113549.1.1.1", "ec": "1.2.840.10045.2.1"}[kind]
    spki = asn1.seq(asn1.seq(asn1.oid(oid), value), asn1.bits(tail))
    certificate = CertificateForge(key=bench.device_key, spki=spki).encode()
    assert take(bench.message(certificate=certificate).encode()) == "BadAlgorithm"
