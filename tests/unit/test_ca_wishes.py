"""Every refusal with its AD CS code and before the key is touched; every wish granted, dropped or refused.

Row numbers (N83 and on) are those of the table of odd requests.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from ca_requests import (
    CSR,
    KEY,
    KEYS,
    REQUESTER,
    SUBJECT,
    emptied,
    issued,
    oids_of,
    prepare,
    refusal,
    templated_world,
    wish,
)
from ca_world import NOW, CaWorld, ca_world
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from forge import asn1
from forge import certificates as forged
from forge import keys as forged_keys
from forge.csr import CsrForge

from ca import errors, names, oids
from ca.authority import CertificateAuthority
from ca.certificates import read_certificate
from ca.opening import open_issuing_key, open_registration_keys
from ca.pkcs10 import parse_request, verify_request
from ca.records import CertificateFilter, RevocationReason
from ca.templates import TemplateSet


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaWorld]:
    with templated_world(tmp_path_factory.mktemp("authority") / "pki") as made:
        yield made


@pytest.fixture
def world(shared: CaWorld) -> CaWorld:
    return emptied(shared)


# -- keys (N83, N84, N95) --------------------------------------------------------------


def test_n83_small_keys_are_refused_by_the_templates_minimum(world: CaWorld) -> None:
    for bits in (512, 1024):
        found = refusal(world, replace(CSR, key=KEYS.rsa(bits)))
        assert isinstance(found, errors.KeyLength)
        assert (found.hresult, found.hresult_name) == (0x80094811, "CERTSRV_E_KEY_LENGTH")
    assert prepare(world, replace(CSR, key=KEYS.rsa(1024)), "Lenient").template == "Lenient"
    assert isinstance(refusal(world, replace(CSR, key=KEYS.rsa(512)), "Lenient"), errors.KeyLength)


def test_n83_absurd_keys_are_refused(world: CaWorld) -> None:
    modulus = int.from_bytes(os.urandom(256), "big") | 1 << 2047
    for spki in (
        forged_keys.rsa_spki(modulus | 1, 1),
        forged_keys.rsa_spki(modulus | 1, 65536),
        forged_keys.rsa_spki(modulus & ~1, 65537),
        forged_keys.rsa_spki((modulus // 7) * 7, 65537),
    ):
        assert isinstance(refusal(world, replace(CSR, spki=spki)), errors.BadPublicKey)
    assert isinstance(refusal(world, replace(CSR, key=forged_keys.rsa_public_only(16384))), errors.KeyLength)


def test_n84_other_keys_are_taken_as_the_template_says(world: CaWorld) -> None:
    for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()):
        key = KEYS.ec(curve)
        assert prepare(world, replace(CSR, key=key))
        assert isinstance(refusal(world, replace(CSR, key=key), "IPSECIntermediateOffline"), errors.KeyLength)
    assert isinstance(refusal(world, replace(CSR, key=KEYS.ed25519())), errors.KeyLength)
    assert prepare(world, replace(CSR, key=KEYS.ed25519()), "Lenient")
    assert isinstance(refusal(world, replace(CSR, key=KEYS.x25519())), errors.BadRequestAlgorithm)


def test_n95_keys_of_the_chain_and_the_ra_are_refused(world: CaWorld, tmp_path: Path) -> None:
    for certificate in (
        world.authority.certificate.public_key_der,
        read_certificate(world.authority.chain[0]).public_key_der,
    ):
        # Whoever has a CA's key can sign with it, so possession must be proved for this refusal.
        with world.store.transaction() as transaction:
            request = verify_request(parse_request(CSR.encode()), allow_sha1=False, allow_md5=False)
            sha256 = hashlib.sha256(certificate).hexdigest()
            own = replace(request, public_key=replace(request.public_key, sha256=sha256))
            with pytest.raises(errors.KeyInUse, match="this CA or of one above"):
                world.authority.prepare(transaction, own, template="SCEP-Client-Auth", requester=REQUESTER)
    with ca_world(tmp_path / "other") as fresh:  # its store knows the RA's certificates
        ra = open_registration_keys(fresh.folder, fresh.settings).encryption.key
        info = CsrForge(key=KEY, spki=ra.public_key_der)
        csr = replace(info, signature=ra.sign(info.information()))
        with pytest.raises(errors.KeyInUse, match="registration authority"):
            prepare(fresh, csr)


def test_n95_a_key_certified_for_another_subject_is_refused_and_for_the_same_is_not(world: CaWorld) -> None:
    issued(world, CSR)
    again = issued(world, replace(CSR, subject=forged.common_name("DEVICE-1")))
    assert again.subject.rfc4514_string() == "CN=DEVICE-1"
    with pytest.raises(errors.KeyInUse, match="another subject") as caught:
        prepare(world, replace(CSR, subject=forged.common_name("device-2")))
    assert caught.value.hresult == 0x8009000F


def test_a_key_revoked_as_compromised_is_refused_for_ever(world: CaWorld) -> None:
    issued(world, CSR)
    with world.store.transaction() as transaction:
        [record] = transaction.find_certificates(CertificateFilter(), now=NOW)
        world.authority.revoke(transaction, record.id, RevocationReason.KEY_COMPROMISE)
    world.clock.advance(days=800)
    with pytest.raises(errors.KeyInUse, match="compromised"):
        prepare(world, CSR)


# -- proof of possession ---------------------------------------------------------------


def test_n80_a_request_without_proof_of_possession_is_refused(world: CaWorld) -> None:
    assert isinstance(refusal(world, replace(CSR, signature=b"\0" * 256)), errors.BadRequestSignature)
    assert isinstance(refusal(world, replace(CSR, signing_key=KEYS.fresh())), errors.BadRequestSignature)


# -- subjects (N85, N94) ---------------------------------------------------------------


def _subject(*values: tuple[str, int, bytes]) -> bytes:
    return asn1.seq(
        *(asn1.set_of(asn1.seq(asn1.oid(dotted), asn1.tlv(tag, value))) for dotted, tag, value in values)
    )


@pytest.mark.parametrize(
    "subject",
    [
        asn1.seq(),
        _subject(*[("2.5.4.11", asn1.UTF8, b"x")] * 300),
        asn1.seq(asn1.set_of(*[asn1.seq(asn1.oid("2.5.4.11"), asn1.string(asn1.UTF8, "x"))] * 300)),
        forged.common_name("x" * 65),
        forged.common_name("x" * 10_000),
        forged.common_name(""),
        forged.common_name("a\0b"),
        forged.common_name("a\nb"),
        forged.common_name("admin\u202etxt"),
        _subject(("2.5.4.3", asn1.UTF8, b"zo\xeb")),
        _subject(("2.5.4.3", 0x02, b"\x01")),
        names.build_name("CN=ndes-lab-mscep-ra,C=US"),
        _subject(("2.5.4.6", asn1.PRINTABLE, b"USA"), ("2.5.4.3", asn1.UTF8, b"x")),
        names.build_name("CN=NDES Lab Test Issuing CA,O=NDES Lab (test only)"),
        names.build_name("CN=ndes lab  TEST root ca,O=NDES Lab (test only)"),
    ],
)
def test_n85_n94_impossible_subjects_are_refused(world: CaWorld, subject: bytes) -> None:
    found = refusal(world, replace(CSR, subject=subject))
    assert isinstance(found, errors.BadRequestSubject)
    assert found.hresult_name == "CERTSRV_E_BAD_REQUESTSUBJECT"
    assert "\n" not in str(found)
    assert "\u202e" not in str(found)


@pytest.mark.parametrize(
    "subject",
    [
        forged.common_name("x" * 64),
        _subject(("2.5.4.3", asn1.UTF8, b"one"), ("2.5.4.3", asn1.UTF8, b"two")),
        _subject(("2.5.4.3", asn1.T61, b"zo\xeb")),
        _subject(("2.5.4.3", asn1.BMP, "zoë".encode("utf-16-be"))),
        _subject(("2.5.4.3", asn1.UNIVERSAL, "zoë".encode("utf-32-be"))),
        _subject(("1.2.840.113549.1.9.2", asn1.IA5, b"router.lab.example")),
        _subject(("2.5.4.5", asn1.PRINTABLE, b"FTX"), ("1.2.840.113549.1.9.8", asn1.PRINTABLE, b"10.0.0.1")),
        asn1.seq(
            asn1.set_of(
                asn1.seq(asn1.oid("2.5.4.3"), asn1.string(asn1.UTF8, "b")),
                asn1.seq(asn1.oid("2.5.4.3"), asn1.string(asn1.UTF8, "a")),
            )
        ),
        names.build_name(r"CN=Last\, First,O=\#1"),
    ],
)
def test_n85_possible_subjects_stay_octet_for_octet(world: CaWorld, subject: bytes) -> None:
    key = KEYS.fresh()
    certificate = read_certificate(world.issue(replace(CSR, key=key, subject=subject).encode()))
    assert certificate.subject_der == subject
    with world.store.reading() as transaction:
        [record] = transaction.find_certificates(CertificateFilter(), now=NOW)
    assert record.subject == names.name_text(subject)


def test_n85_a_value_outside_its_string_type_becomes_utf8_and_all_readers_read_it(world: CaWorld) -> None:
    subject = _subject(("2.5.4.3", asn1.PRINTABLE, b"me@lab.example"))
    certificate = issued(world, replace(CSR, subject=subject))
    assert certificate.subject.rfc4514_string() == "CN=me@lab.example"
    assert certificate.subject.public_bytes() == forged.common_name("me@lab.example")


def test_long_names_pass_where_the_setting_says_so(world: CaWorld) -> None:
    authority = CertificateAuthority(
        certificate=world.authority.certificate,
        chain=world.authority.chain,
        key=open_issuing_key(world.folder, world.settings).key,
        templates=TemplateSet.load(),
        clock=world.clock,
        entropy=os.urandom,
        locations=world.authority.locations,
        settings=world.settings.model_copy(update={"enforce_x500_name_lengths": False}),
    )
    csr = replace(CSR, subject=forged.common_name("x" * 300)).encode()
    with world.store.transaction() as transaction:
        prepared = authority.prepare(
            transaction, parse_request(csr), template="SCEP-Client-Auth", requester=REQUESTER
        )
    assert prepared.subject == "CN=" + "x" * 300


def test_a_subject_built_by_the_ca_names_the_requester(world: CaWorld) -> None:
    certificate = issued(world, CSR, "By-Directory")
    assert certificate.subject.rfc4514_string() == "CN=device-1"


# -- wishes (N88 to N93) ---------------------------------------------------------------

MS_TEMPLATE = forged.extension(oids.MS_TEMPLATE_NAME, asn1.string(asn1.BMP, "WebServer"))
WISHES = [
    forged.basic_constraints(is_authority=True, path_length=3),
    forged.key_usage(5, 6),
    forged.extended_key_usage(oids.ANY_EXTENDED_KEY_USAGE, oids.OCSP_SIGNING, oids.CERTIFICATE_REQUEST_AGENT),
    forged.extension("2.5.29.30", asn1.seq(), critical=True),
    forged.extension("2.5.29.36", asn1.seq(), critical=True),
    forged.extension(oids.CERTIFICATE_POLICIES, asn1.seq(asn1.seq(asn1.oid("2.5.29.32.0")))),
    forged.extension(oids.CRL_DISTRIBUTION_POINTS, asn1.seq()),
    forged.extension(oids.AUTHORITY_INFORMATION_ACCESS, asn1.seq()),
    forged.extension(oids.SUBJECT_KEY_IDENTIFIER, asn1.octets(b"bogus")),
    forged.extension(oids.AUTHORITY_KEY_IDENTIFIER, asn1.seq()),
    forged.extension("1.3.6.1.5.5.7.1.14", asn1.seq()),
    forged.extension("1.3.6.1.5.5.7.1.24", asn1.seq()),
    forged.extension(oids.MS_SID, asn1.seq()),
    forged.extension(oids.MS_TEMPLATE, asn1.seq()),
    MS_TEMPLATE,
]


def test_n89_to_n93_no_wish_reaches_the_certificate(world: CaWorld) -> None:
    plain = oids_of(issued(world, CSR))
    csr = replace(CSR, extensions=WISHES)
    prepared = prepare(world, csr)
    assert len(prepared.dropped) == len(WISHES)
    certificate = issued(world, csr)
    assert oids_of(certificate) == plain == [
        oids.MS_TEMPLATE, oids.EXTENDED_KEY_USAGE, oids.KEY_USAGE, oids.MS_APPLICATION_POLICIES,
        oids.SUBJECT_KEY_IDENTIFIER, oids.AUTHORITY_KEY_IDENTIFIER, oids.CRL_DISTRIBUTION_POINTS,
        oids.AUTHORITY_INFORMATION_ACCESS,
    ]  # fmt: skip
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [purpose.dotted_string for purpose in purposes] == [oids.CLIENT_AUTH]
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (True, True, False)
    identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert identifier == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())  # type: ignore[arg-type]


def test_n88_an_unknown_critical_wish_is_refused(world: CaWorld) -> None:
    found = refusal(world, replace(CSR, extensions=[forged.extension("1.2.3.4", b"\5\0", critical=True)]))
    assert isinstance(found, errors.UnacceptableExtension)
    assert prepare(world, replace(CSR, extensions=[forged.extension("1.2.3.4", b"\5\0")])).dropped


def test_n92_a_sid_is_copied_where_the_template_says_so(world: CaWorld) -> None:
    sid = asn1.seq(forged.other_name("1.3.6.1.4.1.311.25.2.1", asn1.octets(b"S-1-5-21-1-2-3-500")))
    certificate = issued(world, replace(CSR, extensions=[forged.extension(oids.MS_SID, sid)]), "Lenient")
    [copied] = [one for one in certificate.extensions if one.oid.dotted_string == oids.MS_SID]
    assert copied.value.public_bytes() == sid


UPN = forged.other_name("1.3.6.1.4.1.311.20.2.3", asn1.string(asn1.UTF8, "admin@corp.example"))
SID_URI = forged.uri("tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-500")
GRANTED = [
    forged.dns("a.lab.example"),
    forged.email("a@lab.example"),
    forged.ip(b"\x0a\x00\x00\x01"),
    forged.ip(b"\x20\x01" + b"\0" * 13 + b"\x01"),
    forged.uri("urn:uuid:1"),
    forged.uri("IntuneDeviceId://0f4e"),
    forged.dns("windows_10.lab.example"),
    UPN,
]
REFUSED = [
    forged.dns("*.corp"),
    forged.dns("localhost"),
    forged.dns("a b.lab.example"),
    forged.dns("a.lab.example "),
    forged.dns("-a.lab.example"),
    forged.dns("a..lab.example"),
    forged.dns("..."),
    forged.dns("x" * 64 + ".example"),
    forged.dns("a." * 126 + "aaa"),
    forged.email("a b@lab.example"),
    forged.email("a@b@lab.example"),
    forged.uri("//lab.example"),
    forged.uri("https://lab.example/ x"),
    forged.ip(b"\0\0\0\0"),
    forged.ip(b"\x7f\0\0\x01"),
    forged.uri("file:///etc/passwd"),
    forged.uri("FILE:///etc/passwd"),
    SID_URI,
    forged.uri("TAG:microsoft.com,2022-09-14:SID:S-1-5-21-1-2-3-500"),
    forged.directory_name(SUBJECT),
    asn1.implicit(8, asn1.oid("1.2.3")[2:]),
    forged.other_name("1.2.3", asn1.string(asn1.UTF8, "x")),
]


def test_n91_granted_names_are_copied_in_order(world: CaWorld) -> None:
    certificate = issued(world, replace(CSR, extensions=[forged.subject_alt_name(*GRANTED, critical=True)]))
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert found.critical is False
    assert found.value.public_bytes() == asn1.seq(*GRANTED)


@pytest.mark.parametrize("name", REFUSED, ids=lambda name: name.hex()[:24])
def test_n91_other_names_are_refused(world: CaWorld, name: bytes) -> None:
    csr = replace(CSR, extensions=[forged.subject_alt_name(GRANTED[0], name)])
    found = refusal(world, csr)
    assert isinstance(found, errors.UnacceptableExtension)
    assert found.hresult_name == "E_INVALIDARG"


def test_n91_ten_thousand_names_are_refused(world: CaWorld) -> None:
    many = forged.subject_alt_name(*(forged.dns(f"{number}.lab.example") for number in range(10_000)))
    assert isinstance(refusal(world, replace(CSR, extensions=[many])), errors.UnacceptableExtension)


def test_n91_a_template_may_drop_instead_and_says_what(world: CaWorld) -> None:
    asked = [forged.dns("a.lab.example"), UPN, forged.dns("secret.lab.example"), forged.dns("evil.example")]
    csr = replace(CSR, extensions=[forged.subject_alt_name(*asked)])
    assert prepare(world, csr, "Lenient").dropped == (
        "upn name in subjectAltName",
        "dns name in subjectAltName",
        "dns name in subjectAltName",
    )
    found = issued(world, csr, "Lenient").extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert found.value.get_values_for_type(x509.DNSName) == ["a.lab.example"]
    nothing = issued(world, replace(CSR, extensions=[forged.subject_alt_name(UPN)]), "Lenient")
    assert oids.SUBJECT_ALT_NAME not in oids_of(nothing)


def test_a_template_may_want_an_alternative_name(world: CaWorld) -> None:
    for extensions in ([], [forged.subject_alt_name(UPN)]):
        found = refusal(world, replace(CSR, extensions=extensions), "Wants-SAN")
        assert isinstance(found, errors.SubjectAltNameRequired)
    assert prepare(world, replace(CSR, extensions=[forged.subject_alt_name(GRANTED[0])]), "Wants-SAN")


# -- validity (N96) --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("csr", "not_after"),
    [
        (CSR, datetime(2027, 3, 1, 11, 50, tzinfo=NOW.tzinfo)),
        (wish("100", "Years"), datetime(2027, 3, 1, 11, 50, tzinfo=NOW.tzinfo)),
        (wish("999999999", "Years"), datetime(2027, 3, 1, 11, 50, tzinfo=NOW.tzinfo)),
        (wish("2", "Weeks"), NOW + timedelta(weeks=2)),
        (wish("Days", "5"), NOW + timedelta(days=5)),
        (wish("-5", "Days"), datetime(2027, 3, 1, 11, 50, tzinfo=NOW.tzinfo)),
    ],
)
def test_n96_wishes_for_validity_shorten_and_never_lengthen(
    world: CaWorld, csr: CsrForge, not_after: datetime
) -> None:
    tbs = prepare(world, csr).tbs
    assert (tbs.not_before, tbs.not_after) == (NOW - timedelta(minutes=10), not_after)


def test_n96_nothing_outlives_the_ca(world: CaWorld) -> None:
    end = world.authority.certificate.not_after
    world.clock.time = end - timedelta(days=30)
    assert prepare(world, CSR).tbs.not_after == end
    for moment in (
        end,
        end + timedelta(days=1),
        world.authority.certificate.not_before - timedelta(seconds=1),
    ):
        world.clock.time = moment
        assert isinstance(refusal(world, CSR), errors.InvalidCaCertificate)


def test_the_cas_own_limit_on_validity_counts(tmp_path: Path) -> None:
    with ca_world(tmp_path / "pki", validity_period="3 Months", clock_skew_minutes=0) as world:
        certificate = read_certificate(world.issue(CSR.encode()))
        assert (certificate.not_before, certificate.not_after) == (NOW, NOW.replace(month=6))


# -- templates and permissions ---------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "requester", "error"),
    [
        ("Nothing", REQUESTER, errors.UnsupportedCertType),
        ("Hidden", REQUESTER, errors.UnsupportedCertType),
        ("WebServer", REQUESTER, errors.TemplateDenied),
        ("CEPEncryption", REQUESTER, errors.TemplateDenied),
        ("SCEP-Client-Auth", "", errors.EnrollDenied),
    ],
)
def test_permissions_are_those_of_the_template_and_the_ca(
    world: CaWorld, template: str, requester: str, error: type[errors.CaError]
) -> None:
    with pytest.raises(error) as caught:
        prepare(world, CSR, template, requester)
    assert caught.value.hresult > 0x80000000
    assert prepare(world, CSR, "scep-client-AUTH", requester or "x").template == "SCEP-Client-Auth"


def test_a_permitted_principal_gets_a_server_certificate(world: CaWorld) -> None:
    csr = replace(CSR, extensions=[forged.subject_alt_name(forged.dns("*.lab.example"))])
    assert prepare(world, csr, "WebServer", "domain admins").tbs.extensions[0].oid == oids.MS_TEMPLATE_NAME
