"""Every CERT_TRUST error bit that can arise is made to arise, and `openssl verify` judges the same."""

from __future__ import annotations

import ipaddress
from datetime import timedelta

import pytest
from chain_samples import DAY, LEAF, NOW, Party, Pki, Shape, crl, issue, judge, new_key, pki
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca import der, oids
from lab.trust import TrustError, TrustInfo
from lab.trust.cross_check import cross_check
from lab.trust.render import render_text
from lab.trust.status import NEVER_SET

POLICY, OTHER = x509.ObjectIdentifier("1.3.6.1.4.1.99999.7.1"), x509.ObjectIdentifier("1.3.6.1.4.1.99999.7.2")
ANY = x509.ObjectIdentifier("2.5.29.32.0")


def raw(oid, value, critical=False):
    return (x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), critical)


def names(*values):
    return (x509.SubjectAlternativeName(values), False)


def allowing(*permitted, excluded=None):
    return (x509.NameConstraints(list(permitted) or None, excluded), True)


def policies(*wanted):
    return (x509.CertificatePolicies([x509.PolicyInformation(oid, None) for oid in wanted]), False)


def mapping(*pairs):
    inner = [der.sequence(der.oid(a.dotted_string), der.oid(b.dotted_string)) for a, b in pairs]
    return raw("2.5.29.33", der.sequence(*inner), True)


def requiring(require=None, inhibit=None):
    return (x509.PolicyConstraints(require, inhibit), True)


def constrained(*leaf_names, permitted=(), excluded=None):
    return pki(
        issuing={"extra": (allowing(*permitted, excluded=excluded),)}, leaf={"extra": (names(*leaf_names),)}
    )


# -- one function a case: what is wrong is its name ------------------------------------


def expired():
    return pki(leaf={"end": NOW - DAY})


def leaf_outlives_its_issuer():
    world = pki(leaf={"end": NOW + 60 * DAY})
    world.time_nesting = True
    return world


def revoked():
    world = pki()
    world.crls = [crl(world.root), crl(world.issuing, revoked=[world.leaf])]
    return world


def signed_by_another_key():
    world = pki()
    world.leaf = issue("device", world.issuing, Shape(**LEAF), signer_key=new_key())
    return world


def wrong_usage():
    return pki(leaf={"eku": (ExtendedKeyUsageOID.SERVER_AUTH,)}, usage=oids.CLIENT_AUTH)


def without_the_wanted_policy():
    world = pki(issuing={"extra": (policies(POLICY),)}, leaf={"extra": (policies(POLICY),)})
    world.issuance_policy = OTHER.dotted_string
    return world


def untrusted():
    world = pki()
    world.anchors, world.untrusted = [issue("Other Root", None)], [world.issuing, world.root]
    return world


def without_crl():
    world = pki()
    world.crls = [crl(world.root)]
    return world


def crl_run_out():
    world = pki()
    world.crls = [
        crl(world.root),
        crl(world.issuing, this_update=NOW - 3 * DAY, next_update=NOW - timedelta(seconds=1)),
    ]
    return world


def certified_in_a_circle():
    a, b = Party(name="A", key=new_key()), Party(name="B", key=new_key())
    loop = [issue("A", b, key=a.key), issue("B", a, key=b.key)]
    leaf = issue("device", a, Shape(**LEAF))
    return Pki(root=a, issuing=a, leaf=leaf, untrusted=loop, anchors=[issue("Other Root", None)])


def issuer_missing():
    world = pki()
    world.untrusted = []
    return world


def unreadable_alternative_name():
    return pki(leaf={"extra": (raw("2.5.29.17", b"\x30\x03\x02\x01\x01"),)})


def unreadable_basic_constraints():
    world = pki()
    shape = Shape(**LEAF, extra=(raw("2.5.29.19", b"\x04\x00", True),))
    world.leaf = issue("device", world.issuing, shape)
    return world


def issuer_is_no_ca():
    return pki(issuing={"ca": False, "usages": ("key_cert_sign", "crl_sign")})


def maps_any_policy():
    return pki(
        issuing={"extra": (policies(POLICY), mapping((POLICY, ANY)))}, leaf={"extra": (policies(POLICY),)}
    )


def maps_what_must_not_be_mapped():
    root = issue("Test Root", None)
    upper = issue("Upper", root, Shape(extra=(policies(POLICY), requiring(inhibit=0))))
    lower = issue("Test Issuing", upper, Shape(extra=(policies(POLICY), mapping((POLICY, OTHER)))))
    leaf = issue("device", lower, Shape(**LEAF, extra=(policies(OTHER),)))
    return Pki(root=root, issuing=lower, leaf=leaf, untrusted=[upper, lower], anchors=[root])


def unreadable_policy_constraints():
    return pki(issuing={"extra": (raw("2.5.29.36", b"\x30\x00", True),)})


def policy_required_and_absent():
    return pki(issuing={"extra": (policies(POLICY), requiring(require=0))})


def unreadable_name_constraints():
    return pki(issuing={"extra": (raw("2.5.29.30", b"\x04\x00", True),)})


def constraint_with_a_minimum():
    base = der.tlv(0x82, b"example.test")
    subtree = der.sequence(base, der.implicit(0, b"\x01"))
    value = der.sequence(der.tlv(0xA0, subtree))
    return pki(
        issuing={"extra": (raw("2.5.29.30", value, True),)},
        leaf={"extra": (names(x509.DNSName("a.example.test")),)},
    )


def constraint_on_registered_ids():
    return pki(
        issuing={"extra": (allowing(x509.RegisteredID(POLICY)),)},
        leaf={"extra": (names(x509.RegisteredID(POLICY)),)},
    )


def dns_name_not_permitted():
    return constrained(x509.DNSName("a.evil.test"), permitted=[x509.DNSName("example.test")])


def mailbox_not_permitted():
    return constrained(x509.RFC822Name("a@evil.test"), permitted=[x509.RFC822Name("example.test")])


def uri_not_permitted():
    return constrained(
        x509.UniformResourceIdentifier("https://example.test/a"),
        permitted=[x509.UniformResourceIdentifier(".example.test")],
    )


def address_not_permitted():
    return constrained(
        x509.IPAddress(ipaddress.ip_address("192.0.2.200")),
        permitted=[x509.IPAddress(ipaddress.ip_network("192.0.2.0/25"))],
    )


def subject_not_permitted():
    other = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Another")])
    return pki(issuing={"extra": (allowing(x509.DirectoryName(other)),)})


def dns_name_excluded():
    return constrained(x509.DNSName("a.EVIL.test"), excluded=[x509.DNSName("evil.test")])


def md5_signature():
    """`cryptography` signs nothing with MD5: swap the algorithm and sign by hand."""
    key = rsa.generate_private_key(65537, 2048)
    root = issue("Test Root", None, key=key)
    leaf = issue("device", root, Shape(**LEAF))
    sha256, md5 = der.oid("1.2.840.113549.1.1.11"), der.oid("1.2.840.113549.1.1.4")
    tbs = leaf.certificate.tbs_certificate_bytes.replace(sha256, md5)
    signature = key.sign(tbs, padding.PKCS1v15(), hashes.MD5())
    leaf.der = der.sequence(tbs, der.sequence(md5, der.null()), der.bit_string(signature))
    return Pki(root=root, issuing=root, leaf=leaf, untrusted=[], anchors=[root])


def distrusted_ca():
    world = pki()
    world.distrusted = (world.issuing,)
    return world


def unknown_critical_extension():
    return pki(leaf={"extra": (raw("1.3.6.1.4.1.99999.1", b"\x05\x00", True),)})


E = TrustError
CASES = [
    (expired, E.IS_NOT_TIME_VALID, 0x800B0101),
    (leaf_outlives_its_issuer, E.IS_NOT_TIME_NESTED, 0x800B0102),
    (revoked, E.IS_REVOKED, 0x80092010),
    (signed_by_another_key, E.IS_NOT_SIGNATURE_VALID, 0x80096004),
    (wrong_usage, E.IS_NOT_VALID_FOR_USAGE, 0x800B0110),
    (without_the_wanted_policy, E.IS_NOT_VALID_FOR_USAGE, 0x800B0110),
    (untrusted, E.IS_UNTRUSTED_ROOT, 0x800B0109),
    (without_crl, E.REVOCATION_STATUS_UNKNOWN, 0x80092012),
    (crl_run_out, E.REVOCATION_STATUS_UNKNOWN | E.IS_OFFLINE_REVOCATION, 0x80092013),
    (certified_in_a_circle, E.IS_CYCLIC | E.IS_PARTIAL_CHAIN, 0x800B010A),
    (issuer_missing, E.IS_PARTIAL_CHAIN, 0x800B010A),
    (unreadable_alternative_name, E.INVALID_EXTENSION, 0x800B0105),
    (unreadable_basic_constraints, E.INVALID_BASIC_CONSTRAINTS, 0x80096019),
    (issuer_is_no_ca, E.INVALID_BASIC_CONSTRAINTS, 0x80096019),
    (maps_any_policy, E.INVALID_POLICY_CONSTRAINTS, 0x800B0113),
    (maps_what_must_not_be_mapped, E.INVALID_POLICY_CONSTRAINTS, 0x800B0113),
    (unreadable_policy_constraints, E.INVALID_POLICY_CONSTRAINTS, 0x800B0113),
    (policy_required_and_absent, E.NO_ISSUANCE_CHAIN_POLICY, 0x800B0113),
    (unreadable_name_constraints, E.INVALID_NAME_CONSTRAINTS, 0x800B0114),
    (constraint_with_a_minimum, E.HAS_NOT_SUPPORTED_NAME_CONSTRAINT, 0x800B0114),
    (constraint_on_registered_ids, E.HAS_NOT_SUPPORTED_NAME_CONSTRAINT, 0x800B0114),
    (dns_name_not_permitted, E.HAS_NOT_PERMITTED_NAME_CONSTRAINT, 0x800B0114),
    (mailbox_not_permitted, E.HAS_NOT_PERMITTED_NAME_CONSTRAINT, 0x800B0114),
    (uri_not_permitted, E.HAS_NOT_PERMITTED_NAME_CONSTRAINT, 0x800B0114),
    (address_not_permitted, E.HAS_NOT_PERMITTED_NAME_CONSTRAINT, 0x800B0114),
    (subject_not_permitted, E.HAS_NOT_PERMITTED_NAME_CONSTRAINT, 0x800B0114),
    (dns_name_excluded, E.HAS_EXCLUDED_NAME_CONSTRAINT, 0x800B0114),
    (md5_signature, E.HAS_WEAK_SIGNATURE, 0x80096004),
    (distrusted_ca, E.IS_EXPLICIT_DISTRUST, 0x800B0111),
    (unknown_critical_extension, E.HAS_NOT_SUPPORTED_CRITICAL_EXT, 0x800B0105),
]
# What openssl accepts all the same; everything else both refuse.
OPENSSL_ACCEPTS = {leaf_outlives_its_issuer, maps_what_must_not_be_mapped, md5_signature}


def test_every_bit_of_the_reference_has_a_case_or_a_reason() -> None:
    made = E(0)
    for _, bits, _ in CASES:
        made |= bits
    never = E(0)
    for bit, reason in NEVER_SET.items():
        assert reason
        never |= bit
    assert made & never == E(0)
    assert list(made | never) == list(E)


@pytest.mark.parametrize(("case", "bits", "code"), CASES, ids=lambda value: getattr(value, "__name__", None))
def test_the_bit_arises_and_openssl_judges_the_same(case, bits, code):
    world = case()
    context = judge(world)
    assert context.status.error == bits, context.explanations
    assert context.hresult.code == code
    assert f"FAILED: {context.hresult}" in render_text(context).splitlines()[-1]

    compared = cross_check(context, world.trust_anchors)

    assert compared.accepted == (case in OPENSSL_ACCEPTS), (compared.command, compared.errors)
    if compared.agrees:
        assert compared.errors
        assert compared.lines()[-1] == "openssl refuses the chain as well."
    else:
        assert compared.known_differences
        assert compared.lines()[-1].startswith("  Difference: ")


def name_within_its_constraints():
    permitted = [
        x509.DNSName("example.test"),
        x509.RFC822Name("example.test"),
        x509.UniformResourceIdentifier(".example.test"),
        x509.IPAddress(ipaddress.ip_network("2001:db8::/32")),
        x509.DirectoryName(x509.Name([])),
    ]
    return constrained(
        x509.DNSName("a.b.EXAMPLE.test"),
        x509.RFC822Name("a@Example.test"),
        x509.UniformResourceIdentifier("https://a.example.test:8443/x"),
        x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
        permitted=permitted,
        excluded=[x509.DNSName("b.evil.test")],
    )


def name_of_a_form_without_constraint():
    return constrained(x509.RFC822Name("a@anywhere.test"), permitted=[x509.DNSName("example.test")])


def policy_all_the_way():
    return pki(
        issuing={"extra": (policies(POLICY, OTHER), requiring(require=0))},
        leaf={"extra": (policies(POLICY),)},
    )


def policy_by_mapping():
    return pki(
        issuing={"extra": (policies(POLICY), mapping((POLICY, OTHER)), requiring(require=0))},
        leaf={"extra": (policies(OTHER),)},
    )


def policy_under_any_policy():
    return pki(issuing={"extra": (policies(ANY),)}, leaf={"extra": (policies(OTHER),)})


GOOD = {
    name_within_its_constraints: (),
    name_of_a_form_without_constraint: (),
    policy_all_the_way: (POLICY.dotted_string,),
    policy_by_mapping: (OTHER.dotted_string,),
    policy_under_any_policy: (OTHER.dotted_string,),
}


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.__name__)
def test_what_is_within_its_bounds_is_trusted_by_both(case):
    world = case()
    context = judge(world)
    assert context.trusted, context.explanations
    assert context.issuance_policies == GOOD[case]
    compared = cross_check(context, world.trust_anchors)
    assert compared.agrees, (compared.command, compared.errors)
    assert compared.lines()[-1] == "openssl accepts the chain as well."


def test_says_that_names_were_checked_and_which_policies_hold():
    context = judge(name_within_its_constraints())
    assert context.elements[0].status.info & TrustInfo.HAS_VALID_NAME_CONSTRAINTS
    context = judge(policy_all_the_way())
    assert context.status.info & TrustInfo.HAS_ISSUANCE_CHAIN_POLICY
    assert f"Verified Issuance Policies:\n    {POLICY.dotted_string}" in render_text(context)


def test_application_policies_outweigh_the_extended_key_usage():
    value = der.sequence(der.sequence(der.oid(oids.SERVER_AUTH)))
    world = pki(leaf={"extra": (raw(oids.MS_APPLICATION_POLICIES, value),)}, usage=oids.CLIENT_AUTH)
    context = judge(world)
    assert context.status.error == E.IS_NOT_VALID_FOR_USAGE
    assert context.application_policies == (oids.SERVER_AUTH,)


def test_user_principal_names_are_held_to_their_constraints():
    def upn(text):
        return x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), der.utf8_string(text))

    for text, bits in (("a@corp.test", E(0)), ("a@evil.test", E.HAS_NOT_PERMITTED_NAME_CONSTRAINT)):
        world = constrained(upn(text), permitted=[upn("@corp.test")])
        assert judge(world).status.error == bits


def test_an_unexplained_disagreement_stands_out():
    world = pki(leaf={"end": NOW - DAY})
    context = judge(world)
    compared = cross_check(context, world.trust_anchors)
    odd = type(compared)(
        version="v", command="c", accepted=True, errors=(), trusted=False, known_differences=()
    )
    assert not odd.agrees
    assert odd.lines()[-1] == "  Difference: none that is known: one of the two is wrong"
