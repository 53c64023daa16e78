"""The chain engine, each verdict beside that of `openssl verify`."""

from __future__ import annotations

import subprocess

import pytest
from asn1crypto import x509 as asn1_x509
from chain_samples import AIA, CDP, DAY, LEAF, NOW, Party, Pki, Shape, crl, issue, judge, new_key, pki
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from ca import der, oids
from lab.trust import (
    CertificateRevocationList,
    RevocationVerdict,
    TrustAnchors,
    TrustError,
    TrustInfo,
    UnreadableCertificate,
    UnreadableCrl,
    build_chain,
    read_certificates,
)
from lab.trust.fetch import Fetched
from lab.trust.render import as_json, render_text
from lab.trust.revocation import RevocationSources


def openssl_accepts(world, tmp_path):
    (tmp_path / "leaf.pem").write_bytes(world.leaf.pem)
    (tmp_path / "untrusted.pem").write_bytes(b"".join(party.pem for party in world.untrusted))
    (tmp_path / "anchors.pem").write_bytes(b"".join(party.pem for party in world.anchors))
    command = ["openssl", "verify", "-x509_strict", "-partial_chain", "-no-CApath", "-no-CAstore"]
    command += ["-attime", str(int(NOW.timestamp())), "-CAfile", str(tmp_path / "anchors.pem")]
    if world.untrusted:
        command += ["-untrusted", str(tmp_path / "untrusted.pem")]
    if world.crls is not None:
        (tmp_path / "crls.pem").write_bytes(b"".join(world.crls))
        command += ["-crl_check_all", "-CRLfile", str(tmp_path / "crls.pem")]
    if world.purpose:
        command += ["-purpose", world.purpose]
    done = subprocess.run([*command, str(tmp_path / "leaf.pem")], capture_output=True, text=True, check=False)
    assert done.returncode in {0, 2}, done.stderr
    return done.returncode == 0


def unknown_critical():
    return (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), True)


def revocation_pki(**more):
    world = pki()
    world.crls = [crl(world.root), crl(world.issuing, **more)]
    return world


def good():
    return pki()


def good_with_crls():
    return revocation_pki()


def good_anchored_at_the_issuing_ca():
    world = pki()
    world.anchors, world.untrusted = [world.issuing], []
    return world


def expired_leaf():
    return pki(leaf={"end": NOW - DAY})


def leaf_not_yet_valid():
    return pki(leaf={"start": NOW + DAY})


def expired_issuing():
    return pki(issuing={"end": NOW - DAY})


def untrusted_root():
    world = pki()
    world.anchors, world.untrusted = [issue("Other Root", None)], [world.issuing, world.root]
    return world


def missing_intermediate():
    world = pki()
    world.untrusted = []
    return world


def bad_signature():
    world = pki()
    world.leaf = issue("device", world.issuing, Shape(**LEAF), signer_key=new_key())
    return world


def issuer_is_no_ca():
    return pki(issuing={"ca": False, "usages": ("digital_signature",)})


def issuer_without_key_cert_sign():
    return pki(issuing={"usages": ("crl_sign",)})


def path_too_long():
    world = pki(root={"path_length": 0})
    lower = issue("Lower", world.issuing)
    world.leaf = issue("device", lower, Shape(**LEAF))
    world.untrusted.append(lower)
    return world


def unknown_critical_extension():
    return pki(leaf={"extra": (unknown_critical(),)})


def wrong_usage():
    return pki(leaf={"eku": (ExtendedKeyUsageOID.SERVER_AUTH,)}, usage=oids.CLIENT_AUTH, purpose="sslclient")


def revoked_leaf():
    world = pki()
    world.crls = [crl(world.root), crl(world.issuing, revoked=[world.leaf])]
    return world


def revoked_issuing():
    world = pki()
    world.crls = [crl(world.root, revoked=[world.issuing]), crl(world.issuing)]
    return world


def no_crl_of_the_issuing_ca():
    world = pki()
    world.crls = [crl(world.root)]
    return world


def crl_expired():
    return revocation_pki(this_update=NOW - 3 * DAY, next_update=NOW - DAY)


def crl_not_yet_valid():
    return revocation_pki(this_update=NOW + DAY, next_update=NOW + 3 * DAY)


def crl_signed_by_another():
    return revocation_pki(key=new_key())


def crl_with_unknown_critical_extension():
    return revocation_pki(extra=(unknown_critical(),))


def crl_of_ca_certificates_only():
    point = x509.IssuingDistributionPoint(None, None, False, True, None, False, False)
    return revocation_pki(extra=((point, True),))


def crl_signer_without_crl_sign():
    world = pki(issuing={"usages": ("key_cert_sign",)})
    world.crls = [crl(world.root), crl(world.issuing)]
    return world


OFFLINE = TrustError.REVOCATION_STATUS_UNKNOWN | TrustError.IS_OFFLINE_REVOCATION
CASES = [
    (good, 0, 0),
    (good_with_crls, 0, 0),
    (good_anchored_at_the_issuing_ca, 0, 0),
    (expired_leaf, TrustError.IS_NOT_TIME_VALID, 0x800B0101),
    (leaf_not_yet_valid, TrustError.IS_NOT_TIME_VALID, 0x800B0101),
    (expired_issuing, TrustError.IS_NOT_TIME_VALID, 0x800B0101),
    (untrusted_root, TrustError.IS_UNTRUSTED_ROOT, 0x800B0109),
    (missing_intermediate, TrustError.IS_PARTIAL_CHAIN, 0x800B010A),
    (bad_signature, TrustError.IS_NOT_SIGNATURE_VALID, 0x80096004),
    (
        issuer_is_no_ca,
        TrustError.INVALID_BASIC_CONSTRAINTS | TrustError.IS_NOT_VALID_FOR_USAGE,
        0x80096019,
    ),
    (issuer_without_key_cert_sign, TrustError.IS_NOT_VALID_FOR_USAGE, 0x800B0110),
    (path_too_long, TrustError.INVALID_BASIC_CONSTRAINTS, 0x80096019),
    (unknown_critical_extension, TrustError.HAS_NOT_SUPPORTED_CRITICAL_EXT, 0x800B0105),
    (wrong_usage, TrustError.IS_NOT_VALID_FOR_USAGE, 0x800B0110),
    (revoked_leaf, TrustError.IS_REVOKED, 0x80092010),
    (revoked_issuing, TrustError.IS_REVOKED, 0x80092010),
    (no_crl_of_the_issuing_ca, TrustError.REVOCATION_STATUS_UNKNOWN, 0x80092012),
    (crl_expired, OFFLINE, 0x80092013),
    (crl_not_yet_valid, OFFLINE, 0x80092013),
    (crl_signed_by_another, OFFLINE, 0x80092013),
    (crl_with_unknown_critical_extension, OFFLINE, 0x80092013),
    (crl_of_ca_certificates_only, OFFLINE, 0x80092013),
    (crl_signer_without_crl_sign, OFFLINE, 0x80092013),
]


@pytest.mark.parametrize(("case", "bits", "code"), CASES, ids=lambda value: getattr(value, "__name__", None))
def test_agrees_with_openssl_and_names_the_reason(case, bits, code, tmp_path):
    world = case()
    context = judge(world)
    assert context.status.error == TrustError(bits), context.explanations
    assert context.hresult.code == code
    assert openssl_accepts(world, tmp_path) == context.trusted
    last = render_text(context).splitlines()[-1]
    if context.trusted:
        assert last == "CertUtil: -verify command completed successfully."
    else:
        assert last.startswith("CertUtil: -verify command FAILED: ")
        assert f"0x{code:08x}" in last
        assert as_json(context)["reasons"]


@pytest.mark.parametrize("kind", ["rsa", "pss", "ed25519", "sha1"])
def test_verifies_every_kind_of_signature(kind, tmp_path):
    key = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else rsa.generate_private_key(65537, 2048)
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32) if kind == "pss" else None
    root = issue("Test Root", None, Shape(padding=pss), key=key)
    leaf = issue("device", root, Shape(**LEAF, padding=pss))
    if kind == "sha1":
        root = leaf = sha1_root()
    world = Pki(root=root, issuing=root, leaf=leaf, untrusted=[], anchors=[root])
    assert judge(world).trusted
    if kind != "sha1":  # openssl's default level refuses what Windows still takes
        assert openssl_accepts(world, tmp_path)


def sha1_root():
    """`cryptography` does not sign certificates with SHA-1: swap the algorithm and sign by hand."""
    root = issue("Old Root", None, key=rsa.generate_private_key(65537, 2048))
    sha256, sha1 = der.oid("1.2.840.113549.1.1.11"), der.oid("1.2.840.113549.1.1.5")
    tbs = root.certificate.tbs_certificate_bytes.replace(sha256, sha1)
    signature = root.key.sign(tbs, padding.PKCS1v15(), hashes.SHA1())
    octets = der.sequence(tbs, der.sequence(sha1, der.null()), der.bit_string(signature))
    root.certificate, root.der = x509.load_der_x509_certificate(octets), octets
    return root


def test_prefers_the_path_to_an_anchor_over_a_cross_certificate_to_nowhere(tmp_path):
    world = pki()
    cross = issue("Test Issuing", issue("Nowhere", None), key=world.issuing.key)
    world.untrusted = [cross, world.issuing]
    context = judge(world)
    assert context.trusted
    assert [element.certificate.subject for element in context.elements][1:] == [
        "CN=Test Issuing",
        "CN=Test Root",
    ]
    assert context.elements[1].certificate.der == world.issuing.der
    world.untrusted.reverse()  # openssl takes the first issuer that fits and does not come back
    assert openssl_accepts(world, tmp_path)


def test_ends_a_loop_of_cross_certificates():
    a, b = Party(name="A", key=new_key()), Party(name="B", key=new_key())
    a_by_b = issue("A", b, key=a.key)
    b_by_a = issue("B", a, key=b.key)
    leaf = issue("device", a, Shape(**LEAF))
    world = Pki(root=a, issuing=a, leaf=leaf, untrusted=[a_by_b, b_by_a], anchors=[issue("Other Root", None)])
    assert judge(world).status.error == TrustError.IS_PARTIAL_CHAIN | TrustError.IS_CYCLIC


class Web:
    """Answers from a dictionary; everything else is refused."""

    def __init__(self, answers):
        self.answers = answers

    def fetch(self, url):
        from lab.hresults import hresult

        if url in self.answers:
            return Fetched(url=url, octets=self.answers[url])
        return Fetched(url=url, error=hresult(0x80190194), detail="HTTP 404 Not Found")


def fetched_pki(answers):
    world = pki(leaf={"cdp": CDP, "aia": AIA}, issuing={"cdp": "http://pki.test/root.crl"}, untrusted=[])
    found = Web(answers(world))
    context = build_chain(
        world.leaf.read,
        anchors=TrustAnchors.of([world.root.read], origin="the test"),
        at=NOW,
        revocation=RevocationSources(fetcher=found),
        fetcher=found,
    )
    return world, context


def test_finds_issuer_and_crls_where_the_certificate_says():
    world, context = fetched_pki(
        lambda world: {
            AIA: world.issuing.der,
            CDP: crl(world.issuing, number=0x1A),
            "http://pki.test/root.crl": crl(world.root),
        }
    )
    assert context.trusted
    text = render_text(context)
    assert f'  Verified "Certificate (0)" Time: 0 {world.issuing.read.sha1}\n    [0.0] {AIA}' in text
    assert '  Verified "Base CRL (1a)" Time: 0 ' in text
    assert "CertContext[0][0]: dwInfoStatus=102 dwErrorStatus=0" in text
    assert "CertContext[0][2]: dwInfoStatus=10c dwErrorStatus=0" in text
    assert "    1.3.6.1.5.5.7.3.2 Client Authentication" in text
    assert "Leaf certificate revocation check passed" in text


def test_reports_an_unreachable_cdp_as_offline():
    _, context = fetched_pki(
        lambda world: {AIA: world.issuing.der, "http://pki.test/root.crl": crl(world.root)}
    )
    assert context.status.error == OFFLINE
    assert context.elements[0].revocation.verdict is RevocationVerdict.OFFLINE
    text = render_text(context)
    assert 'Failed "CDP" Time: 0 (null)' in text
    assert "Error retrieving URL: Not found (404). 0x80190194 (-2145844844 HTTP_E_STATUS_NOT_FOUND)" in text
    assert (
        "ERROR: Verifying leaf certificate revocation status returned The revocation function was unable"
        in text
    )
    assert "Element.dwErrorStatus = CERT_TRUST_IS_OFFLINE_REVOCATION (0x1000000)" in text


def test_reports_html_at_the_cdp_as_unreadable():
    _, context = fetched_pki(
        lambda world: {
            AIA: world.issuing.der,
            CDP: b"<html>no</html>",
            "http://pki.test/root.crl": crl(world.root),
        }
    )
    assert context.status.error == OFFLINE
    assert any("are no CRL" in reason for reason in context.elements[0].revocation.reasons)


def test_reports_the_wrong_certificate_at_the_aia():
    _, context = fetched_pki(lambda world: {AIA: issue("Stranger", None).der})
    assert context.status.error & TrustError.IS_PARTIAL_CHAIN
    assert context.elements[0].retrievals[0].outcome == "Wrong Issuer"
    assert "Incomplete certificate chain" in render_text(context)


def test_info_bits_say_how_the_issuer_was_found():
    context = judge(pki())
    assert context.elements[0].status.info == TrustInfo.HAS_KEY_MATCH_ISSUER | TrustInfo.HAS_PREFERRED_ISSUER
    assert context.elements[2].status.info & TrustInfo.IS_SELF_SIGNED


@pytest.mark.parametrize(
    "octets", [b"", b"hello", b"\x30\x03\x02\x01\x01", b"-----BEGIN X-----\nAA==\n-----END X-----"]
)
def test_rejects_what_is_no_certificate(octets):
    with pytest.raises(UnreadableCertificate):
        read_certificates(octets)


@pytest.mark.parametrize("octets", [b"", b"<html>", b"\x30\x03\x02\x01\x01"])
def test_rejects_what_is_no_crl(octets):
    with pytest.raises(UnreadableCrl, match="are no CRL"):
        CertificateRevocationList.read(octets, origin="x")


def test_reads_a_bundle_in_any_wrapping(tmp_path):
    world = pki()
    both = world.leaf.pem + world.issuing.pem
    (tmp_path / "both.pem").write_bytes(both)
    for form in ("PEM", "DER"):
        out = tmp_path / form
        command = ["openssl", "crl2pkcs7", "-nocrl", "-certfile", str(tmp_path / "both.pem")]
        subprocess.run([*command, "-outform", form, "-out", str(out)], check=True)
        assert {party.der for party in read_certificates(out.read_bytes())} == {
            world.leaf.der,
            world.issuing.der,
        }
    assert [party.der for party in read_certificates(both)] == [world.leaf.der, world.issuing.der]


def test_system_anchors_are_those_of_the_machine_that_can_be_read(monkeypatch):
    root = pki().root
    listed = [
        (asn1_x509.Certificate.load(root.der), set(), set()),
        (asn1_x509.Certificate.load(b"\x30\x00"), set(), set()),
    ]
    monkeypatch.setattr("oscrypto.trust_list.get_list", lambda: listed)
    anchors = TrustAnchors.of_system()
    assert [anchor.der for anchor in anchors.certificates] == [root.der]
    assert root.read in anchors
    assert pki().root.read not in anchors
