"""The authority: every refusal with its AD CS code and before the key is touched, then what it issues.

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
from ca_world import NOW, CaWorld, ca_world, openssl, openssl_verify
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from forge import asn1
from forge import certificates as forged
from forge import keys as forged_keys
from forge.csr import CsrForge, attribute

from ca import errors, names, oids
from ca.authority import CertificateAuthority, PreparedCertificate
from ca.certificates import TbsCertificate, read_certificate, sign_certificate
from ca.keys import KeyKind
from ca.opening import open_authority, open_issuing_key, open_registration_keys
from ca.pkcs10 import ENROLLMENT_NAME_VALUE_PAIR, parse_request, verify_request
from ca.records import CertificateFilter, RequestStatus, RevocationReason
from ca.templates import TemplateSet

KEYS = forged_keys.KeyPool(primes=12)
KEY = KEYS.fresh()
SUBJECT = forged.common_name("device-1")
CSR = CsrForge(key=KEY, subject=SUBJECT)
REQUESTER = "LAB\\device-1$"

LENIENT = """
display_name = "Lenient"
oid = "1.2.3.4"
schema_version = 2
subject_type = "computer"
[cryptography]
minimal_key_size = 1024
key_algorithms = ["RSA", "ECDSA_P256", "ECDSA_P384", "ECDSA_P521", "Ed25519"]
[subject_name]
other_alternative_names = "drop"
[subject_name.alternative_names]
dns = ["*.lab.example", "!secret.lab.example"]
[extensions]
key_usage = ["digitalSignature", "keyEncipherment"]
application_policies = ["Client Authentication"]
certificate_policies = ["1.2.3.4.5"]
basic_constraints = true
from_request = ["1.3.6.1.4.1.311.25.2"]
"""
PENDING = """
display_name = "Pending"
oid = "1.2.3.5"
schema_version = 2
subject_type = "user"
[issuance_requirements]
ca_certificate_manager_approval = true
reenrollment = "valid_existing_certificate"
[extensions]
key_usage = ["digitalSignature"]
application_policies = ["Client Authentication"]
"""
WANTS_SAN = """
display_name = "Wants SAN"
oid = "1.2.3.6"
schema_version = 2
subject_type = "computer"
[subject_name]
alternative_name_required = true
other_alternative_names = "drop"
[subject_name.alternative_names]
dns = ["*"]
[extensions]
key_usage = ["digitalSignature"]
application_policies = ["Client Authentication"]
"""
BY_DIRECTORY = """
display_name = "Named by the directory"
oid = "1.2.3.7"
schema_version = 2
subject_type = "computer"
[subject_name]
enrollee_supplies_subject = false
[extensions]
key_usage = ["digitalSignature"]
application_policies = ["Client Authentication"]
"""
HIDDEN = PENDING.replace('"user"', '"user"\npublished = false')
OWN = {
    "Lenient": LENIENT,
    "Pending": PENDING,
    "Wants-SAN": WANTS_SAN,
    "By-Directory": BY_DIRECTORY,
    "Hidden": HIDDEN,
}


class Untouchable:
    """A signer that must not be asked."""

    def sign(self, tbs: TbsCertificate) -> bytes:
        raise AssertionError(f"the key was touched for {tbs.serial_number}")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaWorld]:
    folder = tmp_path_factory.mktemp("authority") / "pki"
    (folder / "templates").mkdir(parents=True)
    for name, text in OWN.items():
        (folder / "templates" / f"{name}.toml").write_text(text)
    with ca_world(folder, ocsp_url="http://127.0.0.1:8081/ocsp") as made:
        yield made


@pytest.fixture
def world(shared: CaWorld) -> CaWorld:
    shared.store.reset()
    shared.clock.time = NOW
    return shared


def prepare(
    world: CaWorld, csr: CsrForge, template: str = "SCEP-Client-Auth", requester: str = REQUESTER
) -> PreparedCertificate:
    """Prepare with an authority that cannot sign."""
    authority = open_authority(
        world.folder, world.settings, clock=world.clock, entropy=os.urandom, signer=Untouchable()
    )
    with world.store.transaction() as transaction:
        return authority.prepare(
            transaction, parse_request(csr.encode()), template=template, requester=requester
        )


def refusal(world: CaWorld, csr: CsrForge, template: str = "SCEP-Client-Auth") -> errors.CaError:
    """Prepare, which must refuse and leave no trace."""
    with pytest.raises(errors.CaError) as caught:
        prepare(world, csr, template)
    with world.store.reading() as transaction:
        assert not transaction.find_certificates(CertificateFilter(), now=NOW)
        assert not transaction.requests()
    return caught.value


def issued(world: CaWorld, csr: CsrForge, template: str = "SCEP-Client-Auth") -> x509.Certificate:
    return x509.load_der_x509_certificate(world.issue(csr.encode(), template, REQUESTER))


def oids_of(certificate: x509.Certificate) -> list[str]:
    return [extension.oid.dotted_string for extension in certificate.extensions]


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


def _wish(units: str, period: str) -> CsrForge:
    def pair(name: str, value: str) -> bytes:
        return asn1.seq(asn1.string(asn1.BMP, name), asn1.string(asn1.BMP, value))

    wish = attribute(
        ENROLLMENT_NAME_VALUE_PAIR, pair("ValidityPeriod", period), pair("ValidityPeriodUnits", units)
    )
    return replace(CSR, attributes=[wish])


@pytest.mark.parametrize(
    ("csr", "not_after"),
    [
        (CSR, datetime(2027, 3, 1, 11, 50, tzinfo=NOW.tzinfo)),
        (_wish("100", "Years"), datetime(2027, 3, 1, 11, 50, tzinfo=NOW.tzinfo)),
        (_wish("999999999", "Years"), datetime(2027, 3, 1, 11, 50, tzinfo=NOW.tzinfo)),
        (_wish("2", "Weeks"), NOW + timedelta(weeks=2)),
        (_wish("Days", "5"), NOW + timedelta(days=5)),
        (_wish("-5", "Days"), datetime(2027, 3, 1, 11, 50, tzinfo=NOW.tzinfo)),
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


# -- what is issued --------------------------------------------------------------------


def test_openssl_accepts_the_chain_with_crls_for_rsa_and_ec_leaves(world: CaWorld, tmp_path: Path) -> None:
    with world.store.transaction() as transaction:
        world.authority.sign_crl(transaction)
    for key in (KEYS.fresh(), KEYS.ec()):
        leaf = world.issue(replace(CSR, key=key).encode())
        assert "OK" in openssl_verify(world, leaf, tmp_path, "-purpose", "sslclient")


def test_an_ec_certificate_has_no_key_encipherment(world: CaWorld) -> None:
    usage = issued(world, replace(CSR, key=KEYS.ec())).extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_encipherment) == (True, False)


def test_the_certificate_says_where_crl_issuer_and_ocsp_are(world: CaWorld) -> None:
    leaf = world.issue(CSR.encode())
    text = openssl("x509", "-inform", "DER", "-noout", "-text", given=leaf)
    assert "URI:http://127.0.0.1:8081/CertEnroll/NDES%20Lab%20Test%20Issuing%20CA.crl" in text
    name = "127.0.0.1_NDES%20Lab%20Test%20Issuing%20CA.crt"
    assert f"CA Issuers - URI:http://127.0.0.1:8081/CertEnroll/{name}" in text
    assert "OCSP - URI:http://127.0.0.1:8081/ocsp" in text


def test_microsofts_template_extensions_are_what_asn1_says(world: CaWorld) -> None:
    certificate = issued(world, CSR)
    values = {one.oid.dotted_string: one.value.public_bytes() for one in certificate.extensions}
    template = world.authority.templates.published("SCEP-Client-Auth")
    assert values[oids.MS_TEMPLATE] == asn1.seq(asn1.oid(template.oid), asn1.integer(100), asn1.integer(2))
    assert values[oids.MS_APPLICATION_POLICIES] == asn1.seq(asn1.seq(asn1.oid(oids.CLIENT_AUTH)))


def test_serial_numbers_are_random_positive_and_of_19_octets(world: CaWorld) -> None:
    serials = {prepare(world, CSR).tbs.serial_number for _ in range(20)}
    assert len(serials) == 20
    assert all(len(asn1.integer(serial)) == 2 + 19 and serial > 0 for serial in serials)


def test_the_record_is_the_certificate(world: CaWorld) -> None:
    leaf = world.issue(CSR.encode(), requester=REQUESTER)
    certificate = read_certificate(leaf)
    with world.store.reading() as transaction:
        found = transaction.certificate_by_serial(world.authority.issuer_key_id, certificate.serial_number)
    assert found is not None
    assert (found.der, found.sha1, found.template, found.requester) == (
        leaf, hashlib.sha1(leaf).hexdigest(), "SCEP-Client-Auth", REQUESTER,
    )  # fmt: skip
    assert found.public_key_sha256 == hashlib.sha256(KEY.spki).hexdigest()
    assert (found.not_before, found.not_after) == (certificate.not_before, certificate.not_after)


def test_the_signer_is_a_collaborator_that_gets_the_parts(world: CaWorld) -> None:
    key = open_issuing_key(world.folder, world.settings).key

    class Longer:
        def sign(self, tbs: TbsCertificate) -> bytes:
            return sign_certificate(replace(tbs, not_after=tbs.not_after + timedelta(days=1)), key)

    authority = open_authority(
        world.folder, world.settings, clock=world.clock, entropy=os.urandom, signer=Longer()
    )
    with world.store.transaction() as transaction:
        prepared = authority.prepare(
            transaction, parse_request(CSR.encode()), template="SCEP-Client-Auth", requester=REQUESTER
        )
        record = authority.issue(transaction, prepared)
    assert read_certificate(record.der).not_after == prepared.tbs.not_after + timedelta(days=1)


def test_a_ca_with_somebody_elses_key_does_not_open(world: CaWorld) -> None:
    ra = open_registration_keys(world.folder, world.settings).signing
    with pytest.raises(errors.InvalidCaCertificate):
        CertificateAuthority(
            certificate=world.authority.certificate,
            chain=world.authority.chain,
            key=ra.key,
            templates=TemplateSet.load(),
            clock=world.clock,
            entropy=os.urandom,
            locations=world.authority.locations,
            settings=world.settings,
        )


# -- approval --------------------------------------------------------------------------


def test_a_template_with_approval_is_submitted_approved_and_issued_once(world: CaWorld) -> None:
    prepared = prepare(world, CSR, "Pending")
    assert prepared.needs_approval
    with world.store.transaction() as transaction:
        with pytest.raises(errors.BadRequestStatus, match="approval"):
            world.authority.issue(transaction, prepared)
        waiting = world.authority.submit(transaction, prepared)
    assert waiting.status is RequestStatus.PENDING
    world.clock.advance(days=3)
    with world.store.transaction() as transaction:
        record = world.authority.approve(transaction, waiting.id)
        resolved = transaction.request(waiting.id)
        assert resolved is not None
        assert (resolved.status, resolved.certificate_id) == (RequestStatus.ISSUED, record.id)
        assert record.not_before == NOW + timedelta(days=3, minutes=-10)
        for again in (world.authority.approve, world.authority.deny):
            with pytest.raises(errors.BadRequestStatus, match="issued"):
                again(transaction, waiting.id)


def test_a_denied_request_keeps_its_message_and_is_not_approved(world: CaWorld) -> None:
    with world.store.transaction() as transaction:
        waiting = world.authority.submit(transaction, prepare_in(world, "Pending"))
        denied = world.authority.deny(transaction, waiting.id, "not this device")
        assert (denied.status, denied.disposition_message) == (RequestStatus.DENIED, "not this device")
        with pytest.raises(errors.BadRequestStatus):
            world.authority.approve(transaction, waiting.id)
        with pytest.raises(errors.NoSuchRequest):
            world.authority.deny(transaction, 4711)
        assert not transaction.find_certificates(CertificateFilter(), now=NOW)


def prepare_in(world: CaWorld, template: str) -> PreparedCertificate:
    with world.store.reading() as transaction:
        return world.authority.prepare(
            transaction, parse_request(CSR.encode()), template=template, requester=REQUESTER
        )


def test_an_approval_that_meets_a_refusal_leaves_the_request_pending(world: CaWorld) -> None:
    with world.store.transaction() as transaction:
        waiting = world.authority.submit(transaction, prepare_in(world, "Pending"))
    world.clock.time = world.authority.certificate.not_after
    with world.store.transaction() as transaction:
        with pytest.raises(errors.InvalidCaCertificate):
            world.authority.approve(transaction, waiting.id)
        found = transaction.request(waiting.id)
    assert found is not None
    assert found.status is RequestStatus.PENDING


def test_a_renewal_by_a_valid_certificate_is_excused_from_approval(world: CaWorld) -> None:
    with world.store.transaction() as transaction:
        waiting = world.authority.submit(transaction, prepare_in(world, "Pending"))
        old = world.authority.approve(transaction, waiting.id)
        renewal = world.authority.prepare(
            transaction,
            parse_request(CSR.encode()),
            template="Pending",
            requester=REQUESTER,
            renewal_of=old,
        )
        assert world.authority.issue(transaction, renewal).id != old.id


# -- revocation and CRL ----------------------------------------------------------------


def test_revoked_certificates_are_on_the_crl_and_openssl_refuses_them(world: CaWorld, tmp_path: Path) -> None:
    leaf = world.issue(CSR.encode())
    with world.store.transaction() as transaction:
        first = world.authority.sign_crl(transaction)
    assert "OK" in openssl_verify(world, leaf, tmp_path)
    with world.store.transaction() as transaction:
        [record] = transaction.find_certificates(CertificateFilter(), now=NOW)
        world.authority.revoke(
            transaction, record.id, RevocationReason.SUPERSEDED, invalidity_date=NOW - timedelta(days=1)
        )
        second = world.authority.sign_crl(transaction)
    assert (second.number, second.entries) == (first.number + 1, 1)
    [entry] = x509.load_der_x509_crl(second.der)
    assert entry.serial_number == record.serial_number
    assert "certificate revoked" in openssl_verify(world, leaf, tmp_path, succeeds=False)


def test_a_hold_is_released_or_made_final_and_nothing_is_revoked_twice(world: CaWorld) -> None:
    world.issue(CSR.encode())
    authority = world.authority
    with world.store.transaction() as transaction:
        [record] = transaction.find_certificates(CertificateFilter(), now=NOW)
        with pytest.raises(errors.BadRequestStatus, match="not on hold"):
            authority.release(transaction, record.id)
        held = authority.revoke(transaction, record.id, RevocationReason.CERTIFICATE_HOLD)
        assert held.revocation is not None
        assert authority.release(transaction, record.id).revocation is None
        authority.revoke(transaction, record.id, RevocationReason.CERTIFICATE_HOLD)
        final = authority.revoke(transaction, record.id, RevocationReason.KEY_COMPROMISE)
        assert final.revocation is not None
        assert final.revocation.reason is RevocationReason.KEY_COMPROMISE
        for refused in (RevocationReason.SUPERSEDED, RevocationReason.REMOVE_FROM_CRL):
            with pytest.raises(errors.BadRequestStatus):
                authority.revoke(transaction, record.id, refused)
        with pytest.raises(errors.BadRequestStatus):
            authority.release(transaction, record.id)
        with pytest.raises(errors.NoSuchRequest):
            authority.revoke(transaction, 4711, RevocationReason.SUPERSEDED)


def test_an_expired_certificate_is_on_one_more_crl(world: CaWorld) -> None:
    world.issue(_wish("5", "Days").encode())
    with world.store.transaction() as transaction:
        [record] = transaction.find_certificates(CertificateFilter(), now=NOW)
        world.authority.revoke(transaction, record.id, RevocationReason.UNSPECIFIED)
        assert world.authority.sign_crl(transaction).entries == 1
        world.clock.advance(days=7)
        assert world.authority.sign_crl(transaction).entries == 1
        world.clock.advance(days=7)
        assert world.authority.sign_crl(transaction).entries == 0


def test_crl_times_are_those_of_ad_cs(world: CaWorld) -> None:
    with world.store.transaction() as transaction:
        crl = x509.load_der_x509_crl(world.authority.sign_crl(transaction).der)
    assert crl.last_update_utc == NOW - timedelta(minutes=10)
    assert crl.next_update_utc == NOW + timedelta(days=7, hours=12, minutes=10)
    assert [one.oid.dotted_string for one in crl.extensions] == [
        oids.AUTHORITY_KEY_IDENTIFIER, oids.MS_CA_VERSION, oids.CRL_NUMBER, oids.MS_NEXT_CRL_PUBLISH,
    ]  # fmt: skip


def test_every_ca_error_has_an_hresult_of_its_own_name() -> None:
    leaves = errors.CaError.__subclasses__()
    assert len({leaf.hresult_name for leaf in leaves}) == len(leaves)
    assert all(leaf.hresult & 0x80000000 and leaf.message.endswith(".") for leaf in leaves)


def test_every_kind_of_ca_key_signs_leaves(tmp_path: Path) -> None:
    for kind in (KeyKind.RSA_3072, KeyKind.ECDSA_P384):
        with ca_world(tmp_path / kind.value, issuing_key=kind) as world:
            leaf = world.issue(CSR.encode())
            assert "OK" in openssl_verify(world, leaf, tmp_path)
