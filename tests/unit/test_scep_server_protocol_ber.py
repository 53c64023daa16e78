"""The BER layer: whatever openssl reads becomes DER, whatever could hurt is refused."""

from __future__ import annotations

import pytest
from forge import asn1, openssl
from hypothesis import given, settings
from hypothesis import strategies as st
from protocol_bench import protocol_bench

from ca import der
from scep_server.protocol.ber import DEFAULT_LIMITS, BerError, BerLimits, is_normal, normalise


def test_der_is_returned_as_the_same_object() -> None:
    octets = protocol_bench().message().encode()
    assert normalise(octets) is octets


@pytest.mark.parametrize(
    "style",
    [
        asn1.Style(indefinite=True),
        asn1.Style(chunk=100),
        asn1.Style(indefinite=True, chunk=7, levels=3),
        asn1.Style(padded_lengths=2),
    ],
    ids=["indefinite", "chunked", "nested", "padded"],
)
def test_every_ber_style_becomes_the_original_der(style: asn1.Style) -> None:
    octets = protocol_bench().message().encode()
    ber = asn1.restyle(octets, style)
    assert ber != octets
    assert normalise(ber) == octets


def test_constructed_definite_encrypted_content_is_joined() -> None:
    envelope = protocol_bench().envelope().encode()
    ber = asn1.restyle(envelope, asn1.Style(implicit_chunk=10_000))
    assert normalise(ber) == envelope


def test_explicit_tag_around_one_octet_string_stays() -> None:
    octets = der.sequence(der.oid("1.2.840.113549.1.7.1"), der.explicit(0, der.octet_string(b"x")))
    assert normalise(octets) == octets


def test_openssl_reads_what_openssl_streamed_and_we_normalised() -> None:
    bench = protocol_bench()
    octets = bench.message(style=asn1.Style(indefinite=True, chunk=50)).encode()
    assert openssl.verify_cms(normalise(octets)) == openssl.verify_cms(octets)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"", "no element at all"),
        (b"\x30", "cut off in a header"),
        (b"\x30\x82\x01", "cut off in a length"),
        (b"\x30\x05\x02\x01", "claims more octets"),
        (b"\x30\x80\x02\x01\x01", "cut off in a header"),
        (b"\x30\x00\x00", "trailing octets"),
        (b"\x30\x04\x00\x00\x05\x00", "end-of-contents"),
        (b"\x30\x80\x00\x01\x00", "end-of-contents"),
        (b"\x00\x00", "end-of-contents"),
        (b"\x30\x03\x1f\x81\x01", "multi-octet tag"),
        (b"\x30\x03\x04\x80\x00", "indefinite length"),
        (b"\x30\x84\xff\xff\xff\xff", "claims more octets"),
        (b"\x30\x88" + b"\x7f" + b"\xff" * 7, "claims more octets"),
        (b"\x30\xfe" + b"\xff" * 126, "claims more octets"),
        (b"\x24\x04\x02\x02\x01\x01", "holds a segment"),
        (b"\x23\x80\x03\x02\x01\x80\x03\x02\x00\xff\x00\x00", "unused bits"),
        (b"\x30\x02\x06\x00", "OBJECT IDENTIFIER of 0 octets"),
        (b"\x30\x02\x02\x00", "INTEGER of 0 octets"),
    ],
)
def test_refuses_what_is_not_one_element(octets: bytes, text: str) -> None:
    with pytest.raises(BerError, match=text):
        normalise(octets)


def test_refuses_deep_nesting_definite_and_indefinite() -> None:
    deep = b""
    for _ in range(33):
        deep = der.sequence(deep)
    for octets in (deep, b"\x30\x80" * 100_000):
        with pytest.raises(BerError, match="nested deeper than 32"):
            normalise(octets)
    assert normalise(deep[2:]) == deep[2:]


def test_refuses_more_elements_than_the_budget() -> None:
    with pytest.raises(BerError, match="more than 10000 elements"):
        normalise(der.sequence(*[der.null()] * 10_000))
    assert normalise(der.sequence(*[der.null()] * 9_999))


def test_refuses_huge_identifiers_and_integers() -> None:
    with pytest.raises(BerError, match="OBJECT IDENTIFIER of 200000 octets"):
        normalise(der.sequence(der.tlv(der.OBJECT_IDENTIFIER, b"\x81" * 199_999 + b"\x01")))
    with pytest.raises(BerError, match="INTEGER of 1000000 octets"):
        normalise(der.sequence(der.tlv(der.INTEGER, b"\x01" * 1_000_000)))


def test_bit_string_segments_are_joined() -> None:
    octets = b"\x23\x80\x03\x02\x00\xaa\x03\x02\x04\xf0\x00\x00"
    assert normalise(octets) == b"\x03\x03\x04\xaa\xf0"


def test_every_truncation_is_refused() -> None:
    octets = protocol_bench().message().encode()
    ber = asn1.restyle(octets, asn1.Style(indefinite=True, chunk=64))
    for whole in (octets, ber):
        for size in range(len(whole)):
            with pytest.raises(BerError):
                normalise(whole[:size])


@settings(max_examples=400, deadline=None)
@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from([0, 4, 0x24, 0x30, 0x80, 0xA0, 2, 6]), max_size=40).map(bytes)
)
def test_result_is_normal_and_stays_so(octets: bytes) -> None:
    try:
        result = normalise(octets)
    except BerError:
        return
    assert normalise(result) == result
    assert not result[0] & 0x20 or is_normal(result, DEFAULT_LIMITS)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.binary(max_size=20).map(lambda content: der.octet_string(content)),
        lambda inner: st.lists(inner, max_size=4).map(lambda some: der.sequence(*some)),
        max_leaves=20,
    ),
    st.integers(1, 9),
)
def test_any_tree_survives_being_written_as_ber(octets: bytes, chunk: int) -> None:
    ber = asn1.restyle(octets, asn1.Style(indefinite=True, chunk=chunk, levels=2))
    assert normalise(ber, BerLimits(depth=64)) == octets
