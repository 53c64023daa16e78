"""DER writing judged by asn1crypto, DER reading by what it refuses."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from ca import der


@given(st.integers(-(2**170), 2**170))
def test_integer_is_what_asn1crypto_writes(value: int) -> None:
    assert der.integer(value) == core.Integer(value).dump()


@given(st.lists(st.integers(0, 2**70), max_size=12), st.integers(0, 2), st.integers(0, 39))
def test_oid_is_what_asn1crypto_writes(arcs: list[int], first: int, second: int) -> None:
    dotted = ".".join(map(str, [first, second, *arcs]))
    assert der.oid(dotted) == core.ObjectIdentifier(dotted).dump()
    assert der.dotted_oid(der.oid(dotted)[2:]) == dotted


@given(st.binary(max_size=400))
def test_reading_any_octets_raises_nothing_but_der_error(octets: bytes) -> None:
    for tag in (None, der.SEQUENCE):
        with suppress(der.DerError):
            der.Reader(octets).element(tag)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_lengths_are_minimal(size: int) -> None:
    assert der.octet_string(bytes(size)) == core.OctetString(bytes(size)).dump()


def test_named_bits_drop_trailing_zeros() -> None:
    assert der.named_bits([0, 2]) == bytes.fromhex("030205a0")
    assert der.named_bits([8]) == bytes.fromhex("0303070080")
    assert der.named_bits([]) == bytes.fromhex("030100")


@pytest.mark.parametrize(
    "octets",
    [b"", b"\x06", b"\x06\x05\x01", b"\x06\x80", b"\x06\x85\x01\x01\x01\x01\x01", b"\x1f\x81\x01\x00"],
)
def test_refuses_what_is_cut_off_or_not_definite(octets: bytes) -> None:
    with pytest.raises(der.DerError):
        der.Reader(octets).element()


def test_refuses_a_huge_oid_without_computing_it() -> None:
    with pytest.raises(der.DerError, match="expected 1 to 128"):
        der.dotted_oid(b"\x81" * 200_000 + b"\x01")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"260101000000Z", datetime(2026, 1, 1, tzinfo=UTC)),
        (b"160531073014-0400", datetime(2016, 5, 31, 11, 30, 14, tzinfo=UTC)),
        (b"500101000000Z", datetime(1950, 1, 1, tzinfo=UTC)),
    ],
)
def test_reads_utc_time_with_and_without_offset(text: bytes, expected: datetime) -> None:
    assert der.read_time(der.Element(der.UTC_TIME, text, b"")) == expected


def test_time_switches_to_generalized_time_in_2050() -> None:
    assert der.time(datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC))[0] == der.UTC_TIME
    late = datetime(2050, 1, 1, tzinfo=UTC)
    assert der.time(late) == b"\x18\x0f20500101000000Z"
    assert der.read_time(der.Reader(der.time(late)).element()) == late
