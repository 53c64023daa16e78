"""Delta CRLs and OCSP answers, made by `cryptography`, judged by our engine; openssl beside it for CRLs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from chain_samples import DAY, LEAF, NOW, Shape, crl, issue, new_key, pki
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from revocation_samples import CDP, DELTA, OCSP, Web, answering, base, damaged, delta, responder

from lab.trust import RevocationSources, RevocationVerdict, TrustAnchors, TrustError, build_chain
from lab.trust.cross_check import cross_check
from lab.trust.render import as_json, render_text


def judge(world, answers, *, entropy=None, use_ocsp=True):
    sources = RevocationSources(
        crls=(), fetcher=Web({"http://pki.test/root.crl": crl(world.root)} | answers), ocsp=use_ocsp,
        entropy=entropy,
    )  # fmt: skip
    return build_chain(
        world.leaf.read,
        anchors=TrustAnchors.of([world.root.read], origin="the test"),
        at=NOW,
        intermediates=[world.issuing.read],
        revocation=sources,
    )


def small_pki(**leaf):
    return pki(leaf={"cdp": CDP} | leaf, issuing={"cdp": "http://pki.test/root.crl"})


# -- delta CRLs ------------------------------------------------------------------------


def test_a_revocation_in_the_delta_counts_for_us_and_for_openssl():
    world = small_pki()
    context = judge(world, {CDP: base(world.issuing), DELTA: delta(world.issuing, 4, revoked=[world.leaf])})
    assert context.status.error == TrustError.IS_REVOKED
    found = context.elements[0].revocation
    assert (found.crl.number, found.delta.number) == (4, 5)
    text = render_text(context)
    assert '----------------  Base CRL CDP  ----------------\n  Verified "Delta CRL (05)" Time: 0 ' in text
    assert "    Delta CRL 05:" in text
    assert as_json(context)["elements"][0]["revocation"]["delta_crl"]["base_number"] == 4
    assert cross_check(context, world.trust_anchors).agrees


def test_a_release_in_the_delta_counts():
    world = small_pki()
    context = judge(
        world,
        {
            CDP: base(world.issuing, revoked=[world.leaf]),
            DELTA: delta(world.issuing, 4, released=[world.leaf]),
        },
    )
    assert context.trusted, context.explanations
    assert cross_check(context, world.trust_anchors).agrees


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda issuer, leaf: delta(issuer, 9, number=9, revoked=[leaf]), "the base is 4"),
        (lambda issuer, leaf: delta(issuer, 2, number=3, revoked=[leaf]), "older than its base"),
        (lambda issuer, leaf: delta(issuer, 4, critical=False, revoked=[leaf]), "not critical"),
        (lambda issuer, leaf: crl(issuer, number=7, revoked=[leaf]), "where the other kind belongs"),
        (
            lambda issuer, leaf: delta(
                issuer, 4, revoked=[leaf], this_update=NOW - 3 * DAY, next_update=NOW - DAY
            ),
            "nextUpdate was",
        ),
        (lambda issuer, leaf: delta(issuer, 4, revoked=[leaf], key=new_key()), "signature"),
    ],
    ids=["later base", "older", "not critical", "a base", "run out", "another key"],
)
def test_a_delta_that_does_not_fit_is_left_aside_and_said_so(make, says):
    world = small_pki()
    context = judge(world, {CDP: base(world.issuing), DELTA: make(world.issuing, world.leaf)})
    assert context.trusted
    found = context.elements[0].revocation
    assert found.delta is None
    assert any(says in reason for reason in found.reasons), found.reasons


def test_a_base_stands_alone_where_its_delta_cannot_be_fetched():
    world = small_pki()
    context = judge(world, {CDP: base(world.issuing)})
    assert context.trusted
    assert 'Base CRL CDP  ----------------\n  Failed "CDP" Time: 0 (null)' in render_text(context)


def test_a_delta_alone_says_nothing():
    world = small_pki(freshest=DELTA)
    context = judge(world, {CDP: delta(world.issuing, 4), DELTA: delta(world.issuing, 4)})
    assert context.status.error & TrustError.IS_OFFLINE_REVOCATION


# -- OCSP ------------------------------------------------------------------------------


def fixed_entropy(length):
    return bytes(range(length))


@pytest.mark.parametrize("kind", ["delegated", "issuer itself", "by name", "sha256"])
def test_a_good_answer_is_enough(kind):
    world = small_pki(ocsp=OCSP)
    signer = world.issuing if kind == "issuer itself" else responder(world)
    how = {"by": ocsp.OCSPResponderEncoding.NAME} if kind == "by name" else {}
    if kind == "sha256":
        how["algorithm"] = hashes.SHA256()
    context = judge(world, {OCSP: answering(world, signer, **how)}, entropy=fixed_entropy)
    assert context.trusted, context.explanations
    answer = context.elements[0].revocation.ocsp
    assert answer.nonce_repeated
    text = render_text(context)
    assert f'Certificate OCSP  ----------------\n  Verified "OCSP" Time: 0 {answer.sha1}' in text
    assert "    OCSP (good):" in text
    assert "Leaf certificate revocation check passed" in text
    compared = cross_check(context, world.trust_anchors)
    assert not compared.accepted
    assert any("asks no responder" in text for text in compared.known_differences)


def test_a_revoked_answer_outweighs_the_crl():
    world = small_pki(ocsp=OCSP)
    answer = answering(world, responder(world), status=ocsp.OCSPCertStatus.REVOKED)
    context = judge(world, {CDP: crl(world.issuing), OCSP: answer}, entropy=fixed_entropy)
    assert context.status.error == TrustError.IS_REVOKED
    found = context.elements[0].revocation
    assert found.entry.reason == "superseded"
    assert any("the CRL says good" in reason for reason in found.reasons)
    assert context.hresult.code == 0x80092010
    assert "0x80092010" in render_text(context).splitlines()[-1]


def test_an_unknown_answer_leaves_the_word_to_the_crl():
    world = small_pki(ocsp=OCSP)
    unknown = answering(world, responder(world), status=ocsp.OCSPCertStatus.UNKNOWN)
    assert judge(world, {CDP: crl(world.issuing), OCSP: unknown}).trusted
    context = judge(world, {OCSP: unknown})
    assert context.status.error & TrustError.IS_OFFLINE_REVOCATION


def test_an_answer_made_beforehand_has_no_nonce_and_counts():
    world = small_pki(ocsp=OCSP)
    answer = answering(world, responder(world), nonce=None)
    context = judge(world, {OCSP: answer}, entropy=fixed_entropy)
    assert context.trusted
    assert not context.elements[0].revocation.ocsp.nonce_repeated


def stranger_ca():
    return issue("Test Issuing", None)


BAD_ANSWERS = {
    "another nonce": (lambda world: answering(world, responder(world), nonce=b"x" * 16), "its nonce"),
    "another certificate": (
        lambda world: answering(world, responder(world), about=issue("other", world.issuing, Shape(**LEAF))),
        "about another certificate",
    ),
    "run out": (
        lambda world: answering(
            world, responder(world), this_update=NOW - DAY, next_update=NOW - timedelta(seconds=1)
        ),
        "nextUpdate was",
    ),
    "to come": (
        lambda world: answering(world, responder(world), this_update=NOW + timedelta(seconds=1)),
        "later than",
    ),
    "bad signature": (lambda world: damaged(answering(world, world.issuing)), "does not verify"),
    "no such usage": (
        lambda world: answering(world, responder(world, eku=ExtendedKeyUsageOID.CLIENT_AUTH)),
        "without id-kp-OCSPSigning",
    ),
    "not delegated": (
        lambda world: answering(world, responder(world, issuer=stranger_ca())),
        "did not certify",
    ),
    "responder expired": (
        lambda world: answering(world, responder(world, end=NOW - timedelta(seconds=1))),
        "responder's certificate is valid",
    ),
    "responder not included": (
        lambda world: answering(world, responder(world), certificates=False),
        "neither the issuer's nor in it",
    ),
    "try later": (
        lambda world: (
            lambda _: ocsp.OCSPResponseBuilder.build_unsuccessful(
                ocsp.OCSPResponseStatus.TRY_LATER
            ).public_bytes(serialization.Encoding.DER)
        ),
        "the responder says try_later",
    ),
    "html": (lambda world: lambda _: b"<html></html>", "are no OCSPResponse"),
    "cut off": (
        lambda world: lambda body: answering(world, responder(world))(body)[:-20],
        "are no OCSPResponse",
    ),
}


@pytest.mark.parametrize("what", BAD_ANSWERS)
def test_an_answer_that_cannot_be_relied_on_says_nothing(what):
    make, says = BAD_ANSWERS[what]
    world = small_pki(ocsp=OCSP)
    context = judge(world, {OCSP: make(world)}, entropy=fixed_entropy)
    assert context.status.error == TrustError.REVOCATION_STATUS_UNKNOWN | TrustError.IS_OFFLINE_REVOCATION
    found = context.elements[0].revocation
    assert found.ocsp is None
    assert any(says in reason for reason in found.reasons), found.reasons
    assert judge(world, {OCSP: make(world), CDP: crl(world.issuing)}, entropy=fixed_entropy).trusted


def test_a_responder_without_nocheck_must_not_be_revoked():
    world = small_pki(ocsp=OCSP)
    signer = responder(world, no_check=False, cdp=CDP)
    answer = answering(world, signer)
    assert judge(world, {OCSP: answer, CDP: crl(world.issuing)}).elements[0].revocation.ocsp is not None
    revoked = judge(world, {OCSP: answer, CDP: crl(world.issuing, revoked=[signer])})
    assert revoked.elements[0].revocation.ocsp is None
    assert any("it is revoked" in reason for reason in revoked.elements[0].revocation.reasons)
    offline = judge(world, {OCSP: answer})
    assert offline.elements[0].revocation.verdict is RevocationVerdict.OFFLINE


def test_asks_no_responder_when_told_so():
    world = small_pki(ocsp=OCSP)

    def unexpected(body):
        raise AssertionError("the responder was asked")

    assert judge(world, {OCSP: unexpected, CDP: crl(world.issuing)}, use_ocsp=False).trusted


def test_the_request_is_one_that_cryptography_reads():
    world = small_pki(ocsp=OCSP)
    seen = []

    def remember(body):
        seen.append(ocsp.load_der_ocsp_request(body))
        return answering(world, responder(world))(body)

    judge(world, {OCSP: remember}, entropy=fixed_entropy)
    (request,) = seen
    assert request.serial_number == world.leaf.certificate.serial_number
    assert isinstance(request.hash_algorithm, hashes.SHA1)
    nonce = request.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    assert nonce == bytes(range(32))


def test_a_certificate_without_any_location_is_unknown():
    world = pki(issuing={"cdp": "http://pki.test/root.crl"})
    context = judge(world, {})
    assert context.status.error == TrustError.REVOCATION_STATUS_UNKNOWN
