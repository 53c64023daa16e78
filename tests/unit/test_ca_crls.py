"""CRLs judged by openssl, cryptography and asn1crypto."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import core
from asn1crypto import crl as asn1_crl
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import NameOID

from ca import crls, der, keys, oids
from ca.crls import CrlExtension, CrlHeader, CrlSchedule, encode_entry
from ca.keys import KeyKind, PrivateKey
from ca.records import Revocation, RevocationReason, RevokedEntry

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
ISSUER = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "NDES Lab Issuing CA")]).public_bytes()


def entry(
    serial_number: int,
    reason: RevocationReason = RevocationReason.UNSPECIFIED,
    *,
    revoked_at: datetime = NOW,
    invalidity_date: datetime | None = None,
) -> RevokedEntry:
    revocation = Revocation(revoked_at=revoked_at, reason=reason, invalidity_date=invalidity_date)
    return RevokedEntry(
        serial_number=serial_number, revocation=revocation, not_after=NOW + timedelta(days=365)
    )


@pytest.fixture(scope="module", params=[KeyKind.RSA_2048, KeyKind.ECDSA_P256, KeyKind.ECDSA_P384])
def key(request: pytest.FixtureRequest) -> PrivateKey:
    return keys.generate_key(request.param)


@pytest.fixture
def header(key: PrivateKey) -> CrlHeader:
    return CrlHeader(
        issuer_der=ISSUER,
        authority_key_id=key.subject_key_id,
        ca_version=0,
        number=300,
        timing=crls.crl_timing(NOW, CrlSchedule()),
    )


def openssl_text(crl: bytes) -> str:
    command = ["openssl", "crl", "-inform", "DER", "-noout", "-text"]
    return subprocess.run(command, input=crl, capture_output=True, check=True).stdout.decode()


def test_cryptography_verifies_signature_and_reads_entries(key: PrivateKey, header: CrlHeader) -> None:
    revoked_at = datetime(2051, 1, 1, tzinfo=UTC)
    entries = [
        encode_entry(entry(1)),
        encode_entry(entry(2**159 - 1, RevocationReason.KEY_COMPROMISE, invalidity_date=NOW)),
        encode_entry(entry(0x80, RevocationReason.CERTIFICATE_HOLD, revoked_at=revoked_at)),
    ]
    crl = x509.load_der_x509_crl(crls.sign_crl(header, entries, key))
    public_key = load_der_public_key(key.public_key_der)
    assert crl.is_signature_valid(public_key)  # type: ignore[arg-type]
    assert crl.issuer.public_bytes() == ISSUER
    first, second, third = crl
    assert (first.serial_number, len(first.extensions)) == (1, 0)
    assert first.revocation_date_utc == NOW.replace(microsecond=0)
    assert second.serial_number == 2**159 - 1
    assert (
        second.extensions.get_extension_for_class(x509.CRLReason).value.reason
        is x509.ReasonFlags.key_compromise
    )
    invalidity = second.extensions.get_extension_for_class(x509.InvalidityDate).value
    assert invalidity.invalidity_date_utc == NOW.replace(microsecond=0)
    assert (third.serial_number, third.revocation_date_utc) == (0x80, revoked_at)


@pytest.mark.parametrize("reason", [reason for reason in RevocationReason if reason.value])
def test_every_reason_is_what_asn1crypto_reads(reason: RevocationReason) -> None:
    revoked = asn1_crl.RevokedCertificate.load(encode_entry(entry(5, reason)), strict=True)
    assert revoked.crl_reason_value.native.replace("_", "") == reason.rfc_name.lower()
    assert revoked.critical_extensions == set()


def test_unspecified_reason_is_left_out() -> None:
    revoked = asn1_crl.RevokedCertificate.load(encode_entry(entry(5)), strict=True)
    assert isinstance(revoked["crl_entry_extensions"], core.Void)


def test_openssl_shows_extensions_of_base_crl(key: PrivateKey, header: CrlHeader) -> None:
    text = openssl_text(crls.sign_crl(header, [], key))
    assert "Version 2" in text
    assert "No Revoked Certificates." in text
    assert (
        f"keyid:{key.subject_key_id.hex(':').upper()}" in text or key.subject_key_id.hex(":").upper() in text
    )
    assert "X509v3 CRL Number: \n                300" in text
    assert "Last Update: Mar  1 11:50:00 2026 GMT" in text
    assert "Next Update: Mar  9 00:10:00 2026 GMT" in text


def test_extensions_stand_in_the_order_of_ad_cs(key: PrivateKey, header: CrlHeader) -> None:
    freshest = CrlExtension(oids.FRESHEST_CRL, False, der.sequence())
    crl = crls.sign_crl(replace(header, extensions=(freshest,)), [], key)
    parsed = asn1_crl.CertificateList.load(crl, strict=True)
    extensions = parsed["tbs_cert_list"]["crl_extensions"]
    assert [extension["extn_id"].dotted for extension in extensions] == [
        oids.AUTHORITY_KEY_IDENTIFIER,
        oids.MS_CA_VERSION,
        oids.CRL_NUMBER,
        oids.MS_NEXT_CRL_PUBLISH,
        oids.FRESHEST_CRL,
    ]
    values = {extension["extn_id"].dotted: extension["extn_value"].contents for extension in extensions}
    assert values[oids.MS_CA_VERSION] == b"\x02\x01\x00"
    assert values[oids.MS_NEXT_CRL_PUBLISH] == b"\x17\x0d260308120000Z"


def test_no_entries_means_no_revoked_certificates(key: PrivateKey, header: CrlHeader) -> None:
    parsed = asn1_crl.CertificateList.load(crls.sign_crl(header, [], key), strict=True)
    assert isinstance(parsed["tbs_cert_list"]["revoked_certificates"], core.Void)


def test_openssl_reads_delta_crl_indicator_as_critical(key: PrivateKey, header: CrlHeader) -> None:
    removed = encode_entry(entry(9, RevocationReason.REMOVE_FROM_CRL))
    delta = replace(header, number=301, extensions=(crls.delta_crl_indicator(300),))
    text = openssl_text(crls.sign_crl(delta, [removed], key))
    assert "X509v3 Delta CRL Indicator: critical\n                300" in text
    assert "Remove From CRL" in text


def test_rejects_extension_given_twice(key: PrivateKey, header: CrlHeader) -> None:
    twice = replace(header, extensions=(crls.crl_number(1),))
    with pytest.raises(ValueError, match="twice"):
        crls.assemble_crl(twice, [], key.signature_algorithm_der)


def test_many_entries_stay_in_order_and_openssl_verifies_them(tmp_path: Path) -> None:
    key = keys.generate_key(KeyKind.ECDSA_P256)
    header = CrlHeader(
        issuer_der=ISSUER,
        authority_key_id=key.subject_key_id,
        ca_version=1 << 16 | 2,
        number=2**63,
        timing=crls.crl_timing(NOW, CrlSchedule()),
    )
    serial_numbers = range(70_000, 0, -1)
    crl = crls.sign_crl(header, (encode_entry(entry(number)) for number in serial_numbers), key)
    parsed = x509.load_der_x509_crl(crl)
    assert [revoked.serial_number for revoked in parsed] == list(serial_numbers)
    assert parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 2**63
    assert parsed.is_signature_valid(load_der_public_key(key.public_key_der))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("schedule", "overlap"),
    [
        (CrlSchedule(), timedelta(hours=12)),  # 10 % of a week is more than 12 h
        (CrlSchedule(period=timedelta(days=1)), timedelta(hours=2, minutes=24)),
        (CrlSchedule(period=timedelta(days=7), overlap=timedelta(days=1)), timedelta(days=1)),
    ],
)
def test_timing_is_that_of_ad_cs(schedule: CrlSchedule, overlap: timedelta) -> None:
    timing = crls.crl_timing(NOW, schedule)
    published = NOW.replace(microsecond=0)
    assert timing.this_update == published - timedelta(minutes=10)
    assert timing.next_publish == published + schedule.period
    assert timing.next_update == published + schedule.period + overlap + timedelta(minutes=10)


def test_timing_does_not_go_beyond_the_base() -> None:
    end = NOW + timedelta(hours=6)
    timing = crls.crl_timing(NOW, CrlSchedule(period=timedelta(days=1)), not_beyond=end)
    assert timing.next_update == timing.next_publish == end.replace(microsecond=0)


@pytest.mark.parametrize(
    ("period", "overlap", "clock_skew"),
    [(0, 0, 0), (-1, 0, 0), (1, -1, 0), (1, 0, -1)],
)
def test_rejects_impossible_schedule(period: int, overlap: int, clock_skew: int) -> None:
    with pytest.raises(ValueError, match="CRL"):
        CrlSchedule(
            period=timedelta(hours=period),
            overlap=timedelta(hours=overlap),
            clock_skew=timedelta(hours=clock_skew),
        )
