"""Certificates and extensions, judged by `cryptography` and asn1crypto."""

from __future__ import annotations

import contextlib
import ipaddress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from asn1crypto import x509 as asn1crypto_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from forge import asn1
from hypothesis import given
from hypothesis import strategies as st

from ca import extensions, names, oids
from ca.certificates import BadCertificate, TbsCertificate, read_certificate, sign_certificate
from ca.extensions import BadExtension, GeneralName, KeyUsage
from ca.keys import KeyKind, generate_key

KEY = generate_key(KeyKind.ECDSA_P256)
FROM = datetime(2026, 1, 1, tzinfo=UTC)
TBS = TbsCertificate(
    serial_number=2**150 + 7,
    signature_algorithm=KEY.signature_algorithm_der,
    issuer_der=names.build_name("CN=Issuer,O=Lab"),
    not_before=FROM,
    not_after=datetime(2050, 1, 1, tzinfo=UTC),
    subject_der=names.build_name("CN=Subject,O=Lab"),
    public_key_der=KEY.public_key_der,
    extensions=(
        extensions.key_usage([KeyUsage.KEY_CERT_SIGN, KeyUsage.KEY_AGREEMENT, KeyUsage.DECIPHER_ONLY]),
        extensions.basic_constraints(is_ca=True, path_length=3),
        extensions.subject_key_identifier(KEY.subject_key_id),
        extensions.authority_key_identifier(b"above"),
        extensions.extended_key_usage([oids.CLIENT_AUTH, oids.SERVER_AUTH], critical=True),
        extensions.crl_distribution_points(["http://a.lab.example/1.crl", "http://b.lab.example/1.crl"]),
        extensions.freshest_crl(["http://a.lab.example/1+.crl"]),
        extensions.authority_information_access(["http://a.lab.example/ca.crt"], ["http://o.lab.example"]),
        extensions.ocsp_no_check(),
    ),
)
_SIGNED = sign_certificate(TBS, KEY)


def test_cryptography_reads_every_part_of_what_is_signed() -> None:
    octets = sign_certificate(TBS, KEY)
    certificate = x509.load_der_x509_certificate(octets)
    certificate.public_key().verify(  # type: ignore[union-attr,call-arg]
        certificate.signature,
        certificate.tbs_certificate_bytes,
        certificate.signature_algorithm_parameters,  # type: ignore[arg-type]
    )
    assert certificate.tbs_certificate_bytes == TBS.encode()
    assert certificate.serial_number == TBS.serial_number
    assert certificate.not_valid_after_utc == TBS.not_after
    assert certificate.issuer.rfc4514_string() == "CN=Issuer,O=Lab"
    found = {one.oid.dotted_string: one for one in certificate.extensions}
    usage = found[oids.KEY_USAGE]
    assert usage.critical
    assert usage.value.key_cert_sign
    assert found[oids.BASIC_CONSTRAINTS].value == x509.BasicConstraints(ca=True, path_length=3)
    assert found[oids.EXTENDED_KEY_USAGE].critical
    assert found[oids.AUTHORITY_KEY_IDENTIFIER].value.key_identifier == b"above"
    [point] = found[oids.CRL_DISTRIBUTION_POINTS].value
    assert [name.value for name in point.full_name] == [
        "http://a.lab.example/1.crl",
        "http://b.lab.example/1.crl",
    ]
    access = found[oids.AUTHORITY_INFORMATION_ACCESS].value
    assert [(one.access_method.dotted_string, one.access_location.value) for one in access] == [
        (oids.AD_CA_ISSUERS, "http://a.lab.example/ca.crt"),
        (oids.AD_OCSP, "http://o.lab.example"),
    ]


def test_asn1crypto_writes_the_same_octets_again() -> None:
    octets = sign_certificate(TBS, KEY)
    parsed = asn1crypto_x509.Certificate.load(octets)
    assert parsed.native["tbs_certificate"]["version"] == "v3"
    assert parsed.dump(force=True) == octets


def test_what_is_written_is_read_back() -> None:
    octets = sign_certificate(TBS, KEY)
    read = read_certificate(octets)
    assert (read.version, read.serial_number, read.is_ca) == (3, TBS.serial_number, True)
    assert (read.not_before, read.not_after) == (TBS.not_before, TBS.not_after)
    assert (read.issuer, read.subject) == ("CN=Issuer,O=Lab", "CN=Subject,O=Lab")
    assert read.extensions == TBS.extensions
    assert read.signed_octets == TBS.encode()
    assert (read.subject_key_id, read.issuer_key_id) == (KEY.subject_key_id, b"above".hex())
    assert not read.is_self_issued
    foreign = x509.load_der_x509_certificate(octets)
    assert read.sha1 == foreign.fingerprint(hashes.SHA1()).hex()
    assert read.sha256 == foreign.fingerprint(hashes.SHA256()).hex()
    assert read.md5 == foreign.fingerprint(hashes.MD5()).hex()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_versions_are_written_as_rfc_5280_wants(version: int) -> None:
    bare = replace(TBS, version=version, extensions=() if version < 3 else TBS.extensions)
    assert read_certificate(sign_certificate(bare, KEY)).version == version


def test_every_cut_of_a_certificate_is_refused_and_nothing_else_is_raised() -> None:
    octets = sign_certificate(TBS, KEY)
    for end in range(len(octets)):
        with pytest.raises(BadCertificate):
            read_certificate(octets[:end])
    with pytest.raises(BadCertificate):
        read_certificate(octets + b"\0")


@given(st.integers(0, 700), st.binary(min_size=1, max_size=4))
def test_a_damaged_certificate_is_read_or_refused(position: int, damage: bytes) -> None:
    octets = _SIGNED
    position %= len(octets)
    with contextlib.suppress(BadCertificate, BadExtension, names.BadName):
        read = read_certificate(octets[:position] + damage + octets[position + len(damage) :])
        assert isinstance(read.subject + read.issuer, str)
        assert read.is_ca in (True, False)
        extensions.read_template(read.extensions)


def test_an_extension_that_is_there_twice_is_refused() -> None:
    twice = replace(TBS, extensions=(TBS.extensions[0], TBS.extensions[0]))
    with pytest.raises(BadCertificate, match="twice"):
        read_certificate(sign_certificate(twice, KEY))


def test_microsofts_extensions_are_what_asn1_says() -> None:
    assert extensions.template_name("WebServer").value == asn1.string(asn1.BMP, "WebServer")
    assert extensions.ca_version(key_index=2, certificate_index=3).value == bytes.fromhex("0203020003")
    assert extensions.ca_version().value == bytes.fromhex("020100")
    assert extensions.next_crl_publish(FROM).value == b"\x17\x0d260101000000Z"
    assert extensions.crl_number(300).value == bytes.fromhex("0202012c")
    information = extensions.template_information("1.2.3", 100, 2)
    assert information.value == asn1.seq(asn1.oid("1.2.3"), asn1.integer(100), asn1.integer(2))
    assert extensions.read_template([information]) == "1.2.3"
    assert extensions.read_template([extensions.template_name("WebServer")]) == "WebServer"
    assert extensions.read_template([]) is None


def test_general_names_are_read_as_cryptography_reads_them() -> None:
    wanted = x509.SubjectAlternativeName(
        [
            x509.DNSName("a.lab.example"),
            x509.RFC822Name("a@lab.example"),
            x509.UniformResourceIdentifier("https://a.lab.example/"),
            x509.IPAddress(ipaddress.ip_address("10.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
            x509.DirectoryName(x509.Name.from_rfc4514_string("CN=x,O=y")),
            x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4")),
            x509.OtherName(x509.ObjectIdentifier(extensions.UPN), b"\x0c\x03a@b"),
        ]
    ).public_bytes()
    found = extensions.read_general_names(wanted)
    assert [(name.kind, name.text) for name in found] == [
        ("dns", "a.lab.example"),
        ("email", "a@lab.example"),
        ("uri", "https://a.lab.example/"),
        ("ip", "10.0.0.1"),
        ("ip", "2001:db8::1"),
        ("directory_name", "CN=x,O=y"),
        ("registered_id", "1.2.3.4"),
        ("upn", extensions.UPN + "=a@b"),
    ]
    assert extensions.subject_alt_name(found).value == wanted


@given(st.binary(max_size=60))
def test_readers_raise_nothing_but_bad_extension(octets: bytes) -> None:
    for value in (octets, asn1.seq(octets), asn1.seq(asn1.seq(octets))):
        for reader in (
            extensions.read_general_names,
            extensions.read_key_usage,
            extensions.read_extended_key_usage,
            extensions.read_basic_constraints,
            extensions.read_distribution_urls,
            lambda value: extensions.read_access_urls(value, oids.AD_OCSP),
            lambda value: extensions.read_key_identifier(oids.AUTHORITY_KEY_IDENTIFIER, value),
            lambda value: extensions.read_key_identifier(oids.SUBJECT_KEY_IDENTIFIER, value),
            lambda value: extensions.read_template([extensions.Extension(oid=oids.MS_TEMPLATE, value=value)]),
        ):
            with contextlib.suppress(BadExtension):
                reader(value)


def test_readers_understand_what_the_writers_write() -> None:
    usages = [KeyUsage.DIGITAL_SIGNATURE, KeyUsage.CRL_SIGN, KeyUsage.DECIPHER_ONLY]
    assert extensions.read_key_usage(extensions.key_usage(usages).value) == frozenset(usages)
    assert extensions.read_key_usage(extensions.key_usage([]).value) == frozenset()
    assert extensions.read_extended_key_usage(TBS.extensions[4].value) == (oids.CLIENT_AUTH, oids.SERVER_AUTH)
    assert extensions.read_basic_constraints(extensions.basic_constraints(is_ca=False).value) == (False, None)
    assert len(extensions.read_distribution_urls(TBS.extensions[5].value)) == 2
    assert extensions.read_access_urls(TBS.extensions[7].value, oids.AD_OCSP) == ("http://o.lab.example",)
    assert GeneralName(6, b"", extensions.SID_URI_PREFIX + "S-1").kind == "sid"
