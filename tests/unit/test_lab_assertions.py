"""The assertions users are given: what conforms passes, what does not fails with the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_server import (
    KEY,
    NOW,
    Authority,
    Server,
    client_of,
    order,
)

from lab.assertions import (
    assert_certrep_conforms,
    assert_chain_verifies,
    assert_revoked,
)
from lab.client import (
    LENIENT_POLICY,
    STRICT_POLICY,
    generate_key,
)
from scep_server.protocol.messages import (
    FailInfo,
    PkiStatus,
)
from scep_server.protocol.requests import public_key_der


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def server(authority):
    return Server(authority)


def exchanged(server, **wrong):
    client = client_of(server)
    enrolment = client.prepare(order())
    octets = server.answer(enrolment.request.octets)
    given = {
        "transaction_id": enrolment.transaction_id,
        "sender_nonce": enrolment.request.sender_nonce,
        "published": server.published(),
        "recipient": enrolment.signer.certificate.der,
        "recipient_key": KEY,
        "public_key_der": public_key_der(KEY),
        "content_type": "application/x-pki-message",
    }
    return octets, given | wrong


def test_a_conforming_reply_passes(server):
    octets, given = exchanged(server)
    found = assert_certrep_conforms(octets, **given, pki_status=PkiStatus.SUCCESS)
    assert len(found.certificates) == 1


def leaf_second(server):
    server.wrong = lambda rep: replace(rep, certificates=(server.certificates["issuing"], *rep.certificates))


@pytest.mark.parametrize(
    ("change", "wrong", "says"),
    [
        (None, {"transaction_id": "F00D"}, "transactionID is"),
        (None, {"sender_nonce": bytes(16)}, "recipientNonce is"),
        (None, {"published": []}, "none of GetCACert's"),
        (None, {"content_type": "application/x-pki-message; charset=utf-8"}, "Content-Type is"),
        (None, {"pki_status": PkiStatus.PENDING}, "pkiStatus is SUCCESS, expected PENDING"),
        (None, {"recipient_key": generate_key("rsa-2048")}, "cannot be opened by its recipient"),
        (leaf_second, {}, "the first certificate is CN=Issuing"),
        (lambda server: setattr(server, "signer_name", "stranger"), {}, "none of GetCACert's"),
    ],
)
def test_a_reply_that_does_not_conform_fails_with_the_reason(server, change, wrong, says):
    if change:
        change(server)
    octets, given = exchanged(server, **wrong)
    with pytest.raises(AssertionError, match=says):
        assert_certrep_conforms(octets, **given)


def test_a_nonce_that_comes_twice_fails(server):
    octets, given = exchanged(server)
    seen = set()
    assert_certrep_conforms(octets, **given, seen_nonces=seen)
    with pytest.raises(AssertionError, match="was used before"):
        assert_certrep_conforms(octets, **given, seen_nonces=seen)


@pytest.mark.parametrize("octets", [b"", b"<html>", b"\x30\x00", b"\x30\x80\x00\x00"])
def test_what_is_no_certrep_fails_as_an_assertion(octets):
    with pytest.raises(AssertionError):
        assert_certrep_conforms(octets, transaction_id="A", sender_nonce=bytes(16), published=[])


def test_a_failure_conforms_and_names_its_fail_info(server):
    server.refuse = FailInfo.BAD_ALG
    octets, given = exchanged(server)
    found = assert_certrep_conforms(octets, **given, pki_status=PkiStatus.FAILURE, fail_info=FailInfo.BAD_ALG)
    assert found.certificates == ()
    with pytest.raises(AssertionError, match="failInfo is"):
        assert_certrep_conforms(octets, **given, fail_info=FailInfo.BAD_TIME)


def test_chain_and_revocation_assertions(server):
    issued = client_of(server).enrol(order()).certificate.der
    given = {
        "anchors": [server.certificates["root"]],
        "intermediates": [server.certificates["issuing"]],
        "at": NOW,
    }
    assert_chain_verifies(issued, **given)
    with pytest.raises(AssertionError, match="the certificate of CN=Issuing is missing"):
        assert_chain_verifies(issued, **(given | {"intermediates": []}))
    crls = [server.crl(revoked=[issued])]
    assert_revoked(issued, **given, crls=crls)
    with pytest.raises(AssertionError, match="expected revoked"):
        assert_revoked(issued, **given, crls=[server.crl()])


def test_reads_des_replies_only_when_told_to():
    assert (STRICT_POLICY.legacy, LENIENT_POLICY.legacy) == ("refuse", "accept")
