"""Certificates made again: everything stays as it was but what is asked for."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding

from ca import extensions, oids
from ca.certificates import TbsCertificate
from ca.keys import KeyKind
from ca.names import build_name
from lab.faults import minting
from lab.faults.minting import Scratched, WithDigest, foreign_key, parts_of, signed
from lab.faults.registry import BadParameter, Unavailable

NOW = datetime(2030, 5, 4, 13, 30, 15, tzinfo=UTC)
YEAR = timedelta(days=365)
KEY = foreign_key("a CA of this test")
PARTS = TbsCertificate(
    serial_number=0x5CE9,
    signature_algorithm=KEY.signature_algorithm_der,
    issuer_der=build_name("CN=Issuer"),
    not_before=NOW.replace(microsecond=0),
    not_after=NOW + YEAR,
    subject_der=build_name("CN=Subject"),
    public_key_der=KEY.public_key_der,
    extensions=(
        extensions.key_usage((extensions.KeyUsage.DIGITAL_SIGNATURE,)),
        extensions.subject_key_identifier(KEY.subject_key_id),
    ),
)


def changed(one, other):
    """Return the names of the fields in which two certificates differ."""
    return {field.name for field in fields(one) if getattr(one, field.name) != getattr(other, field.name)}


def verify(certificate):
    read = x509.load_der_x509_certificate(certificate)
    public_key = x509.load_der_x509_certificate(signed(PARTS, KEY)).public_key()
    public_key.verify(
        read.signature, read.tbs_certificate_bytes, padding.PKCS1v15(), read.signature_hash_algorithm
    )
    return read


def test_reads_back_what_it_signs():
    assert parts_of(signed(PARTS, KEY)) == PARTS
    verify(signed(PARTS, KEY))


def test_names_the_algorithm_that_it_signs_with():
    other = foreign_key("an EC key of this test", KeyKind.ECDSA_P256)
    assert parts_of(signed(PARTS, other)).signature_algorithm == other.signature_algorithm_der


def test_has_one_key_for_each_stranger():
    assert foreign_key("a CA of this test") is KEY
    assert foreign_key("another one").public_key_der != KEY.public_key_der


@pytest.mark.parametrize("hash_name", ["sha1", "md5"])
def test_signs_with_old_digests_and_says_so(hash_name):
    assert verify(signed(PARTS, WithDigest(KEY, hash_name))).signature_hash_algorithm.name == hash_name


def test_md5_needs_an_rsa_key():
    with pytest.raises(Unavailable, match="RSA keys alone"):
        signed(PARTS, WithDigest(foreign_key("an EC key of this test", KeyKind.ECDSA_P256), "md5"))


def test_a_scratched_signature_does_not_verify_and_differs_in_a_bit():
    good, bad = signed(PARTS, KEY), signed(PARTS, Scratched(KEY))
    with pytest.raises(InvalidSignature):
        verify(bad)
    assert int.from_bytes(good, "big") ^ int.from_bytes(bad, "big") == 1


def test_an_extension_is_replaced_where_it_stands_or_put_last():
    other = extensions.key_usage((extensions.KeyUsage.CRL_SIGN,))
    found = minting.with_extension(PARTS, other)
    assert found.extensions == (other, PARTS.extensions[1])
    new = extensions.ocsp_no_check()
    assert minting.with_extension(PARTS, new).extensions == (*PARTS.extensions, new)


def test_parts_without_what_is_not_there_are_the_very_same():
    assert minting.without_extensions(PARTS, oids.SUBJECT_ALT_NAME) is PARTS
    assert minting.without_extensions(PARTS, oids.KEY_USAGE).extensions == PARTS.extensions[1:]


def test_another_key_brings_its_identifier_where_there_was_one():
    other = foreign_key("another one")
    found = minting.with_key(PARTS, other.public_key_der)
    assert changed(found, PARTS) == {"public_key_der", "extensions"}
    assert found.extensions[1] == extensions.subject_key_identifier(other.subject_key_id)
    bare = replace(PARTS, extensions=())
    assert changed(minting.with_key(bare, other.public_key_der), bare) == {"public_key_der"}


@pytest.mark.parametrize("days", [1, 30, 10_000])
def test_validity_is_moved_whole_and_is_the_same_all_day(days):
    for move, is_then in (
        (minting.ended, lambda found: NOW - timedelta(days=days + 1) < found.not_after < NOW),
        (minting.not_begun, lambda found: NOW < found.not_before < NOW + timedelta(days=days + 1)),
    ):
        found = move(PARTS, NOW, days)
        assert is_then(found)
        assert found.not_after - found.not_before == PARTS.not_after - PARTS.not_before
        assert changed(found, PARTS) == {"not_before", "not_after"}
        assert move(PARTS, NOW.replace(hour=0, minute=0, second=0), days) == found
        assert move(PARTS, NOW.replace(hour=23, minute=59, second=59), days) == found


@pytest.mark.parametrize("purpose", ["", "serverAuth", "9.9.9", "1.2.x"])
def test_a_purpose_that_is_no_oid_is_refused(purpose):
    with pytest.raises(BadParameter, match="purpose"):
        minting.purpose_of(purpose)
