"""The assertions about a journal, over what a client did at a lab: each passes, and fails with the reason."""

from __future__ import annotations

import pytest
from lab_client import client_of, enrolled, order

from lab import ScepLab
from lab.assertions import (
    assert_chains_to_root,
    assert_issued,
    assert_key_usage,
    assert_pending,
    assert_refused,
    assert_retried,
)
from lab.client import HttpRefused
from lab.journal import Journal


@pytest.fixture
def scep_lab_settings() -> dict[str, object]:
    return {"scep": {"endpoints": {"default": {}, "manual": {"approval": "manual"}}}}


def guess(scep_lab: ScepLab) -> None:
    client_of(scep_lab).enrol(order(challenge="guessed"))


def test_what_was_issued_is_returned(scep_lab: ScepLab, scep_journal: Journal) -> None:
    identity = enrolled(scep_lab)
    issued = assert_issued(scep_journal[-1], subject="CN=device", message_type="PKCSReq")
    assert issued.der == identity.certificate.der
    with pytest.raises(AssertionError, match="the subject is 'CN=device', expected 'CN=other'"):
        assert_issued(scep_journal[-1], subject="CN=other")
    with pytest.raises(AssertionError, match="messageType is 'PKCSReq', expected 'RenewalReq'"):
        assert_issued(scep_journal[-1], message_type="RenewalReq")


def test_what_was_refused_is_not_issued_and_says_why(scep_lab: ScepLab, scep_journal: Journal) -> None:
    guess(scep_lab)
    with pytest.raises(AssertionError, match=r"PKIOperation PKCSReq.*FAILURE badRequest; refused by"):
        assert_issued(scep_journal[-1])


def test_what_was_refused_is_refused_by_what_it_says(scep_lab: ScepLab, scep_journal: Journal) -> None:
    guess(scep_lab)
    assert_refused(scep_journal[-1])
    assert_refused(scep_journal[-1], by="challenge-unknown", fail_info="badRequest")
    with pytest.raises(AssertionError, match="what refused it is 'challenge-unknown', expected 'key-in-use'"):
        assert_refused(scep_journal[-1], by="key-in-use")
    with pytest.raises(AssertionError, match="failInfo is 'badRequest', expected 'badTime'"):
        assert_refused(scep_journal[-1], fail_info="badTime")


def test_what_was_issued_is_not_refused(scep_lab: ScepLab, scep_journal: Journal) -> None:
    enrolled(scep_lab)
    with pytest.raises(AssertionError, match=r"was not refused: exchange 3, .* answered with SUCCESS"):
        assert_refused(scep_journal[-1])


def test_what_waits_is_pending(scep_lab: ScepLab, scep_journal: Journal) -> None:
    client = client_of(scep_lab, "/manual")
    client.submit(client.prepare(order(challenge=scep_lab.new_challenge())))
    assert_pending(scep_journal[-1])
    enrolled(scep_lab, key=1)
    with pytest.raises(AssertionError, match=r"is not PENDING: .*SUCCESS"):
        assert_pending(scep_journal[-1])


def test_what_was_asked_again_was_retried(scep_lab: ScepLab, scep_journal: Journal) -> None:
    with scep_lab.fault("wire::overloaded", times=2, match={"operation": "PKIOperation"}):
        client_of(scep_lab, attempts=3).enrol(order(challenge=scep_lab.new_challenge()))
    assert_retried(scep_journal, times=2)
    with pytest.raises(AssertionError, match="again 2 times, expected 1"):
        assert_retried(scep_journal)


def test_a_client_that_gives_up_did_not_retry(scep_lab: ScepLab, scep_journal: Journal) -> None:
    with pytest.raises(AssertionError, match="nothing at all"):
        assert_retried(scep_journal)
    with scep_lab.fault("wire::overloaded"), pytest.raises(HttpRefused):
        client_of(scep_lab).enrol(order(challenge=scep_lab.new_challenge()))
    assert_retried(scep_journal, times=0)
    with pytest.raises(AssertionError, match="again 0 times, expected 1"):
        assert_retried(scep_journal)


def test_a_fault_is_named_where_an_assertion_fails(scep_lab: ScepLab, scep_journal: Journal) -> None:
    with scep_lab.fault("wire::overloaded"), pytest.raises(HttpRefused):
        client_of(scep_lab).enrol(order(challenge=scep_lab.new_challenge()))
    with pytest.raises(AssertionError, match="changed by wire::overloaded"):
        assert_issued(scep_journal[-1])


def test_a_certificate_chains_to_the_labs_root_until_it_is_revoked(scep_lab: ScepLab) -> None:
    enrolled(scep_lab)
    (issued,) = scep_lab.certificates(subject="device")
    assert_chains_to_root(issued.pem, scep_lab)
    scep_lab.revoke(issued, "keyCompromise")
    with pytest.raises(AssertionError, match="does not verify"):
        assert_chains_to_root(issued.pem.encode(), scep_lab)


def test_a_certificate_has_exactly_the_usages_named(scep_lab: ScepLab) -> None:
    der = enrolled(scep_lab).certificate.der
    assert_key_usage(der, "digitalSignature", "keyEncipherment")
    with pytest.raises(AssertionError, match="keyUsage is"):
        assert_key_usage(der, "digitalSignature")
    with pytest.raises(ValueError, match="signing: no key usage"):
        assert_key_usage(der, "signing")


def test_what_is_no_certificate_fails_as_an_assertion() -> None:
    with pytest.raises(AssertionError, match="cannot be read"):
        assert_key_usage("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n", "digitalSignature")
