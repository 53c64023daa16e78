"""Who gets a certificate: the transaction table, challenges, renewals. Over real CA, store and codec."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from forge import asn1, openssl
from forge import keys as forged_keys
from forge.certificates import (
    CertificateForge,
    basic_constraints,
    common_name,
    dns,
    generalized,
    key_usage,
    subject_alt_name,
    uri,
    utc,
)
from forge.csr import challenge_attribute
from forge.envelope import Envelope, Password
from forge.message import RENEWAL_REQ, PkiMessage
from scep_world import Client, World, ca_key, make_certificate

from ca import extensions, names
from ca.certificates import read_certificate
from ca.records import CertificateFilter, ChallengeKind, RevocationReason
from scep_server.checks import Verdict
from scep_server.settings import RenewalSettings, TemplateChoice

if TYPE_CHECKING:
    from pathlib import Path

CHALLENGE_TEXT = "The challenge password is missing or was not accepted."


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def refused(world: World, client: Client, message: bytes, fail_info: int, by: str, **sent: Any) -> str:
    """Check that a message is refused for this reason and leaves no trace; return failInfoText."""
    before = world.counts()
    reply = client.send(message, **sent)
    assert (reply.status, reply.fail_info, world.last.refused_by) == ("2", fail_info, by), str(reply)
    assert world.counts() == before
    assert world.last.checks[-1].verdict is Verdict.FAILED
    assert world.last.checks[-1].clause
    assert world.last.checks[-1].found
    return reply.fail_info_text


# -- enrolling -------------------------------------------------------------------------


def test_issues_for_a_good_challenge_what_openssl_verifies(world: World) -> None:
    client = Client(world=world)
    certificate = client.enrol()
    pem = openssl.run("x509", "-inform", "DER", stdin=world.root.der)
    openssl.verify_chain(certificate, pem, [world.issuing.der], at=int(world.clock.now().timestamp()))
    leaf = read_certificate(certificate)
    assert leaf.subject_der == client.subject
    assert leaf.public_key_der == client.key.spki
    assert [check.name for check in world.last.checks] == [
        "signature",
        "envelope",
        "request-signature",
        "request-key",
        "signer",
        "signer-key",
        "transaction",
        "challenge",
        "template",
    ]
    assert all(check.verdict is Verdict.PASSED and check.clause for check in world.last.checks)


def test_takes_a_signer_with_another_key_and_subject_than_the_request(world: World) -> None:
    """Apple's and micromdm's clients sign with a key of their own."""
    signer = Client(world=world).key
    client = Client(world=world, signer_key=signer)
    client = Client(
        world=world,
        key=client.key,
        signer_key=signer,
        certificate=CertificateForge(key=signer, subject=common_name("SCEP SIGNER")).encode(),
    )
    leaf = read_certificate(client.enrol())
    assert leaf.public_key_der == client.key.spki
    assert ("signer-key", Verdict.WARNED) in [(check.name, check.verdict) for check in world.last.checks]


def test_refuses_a_signer_with_another_key_where_that_is_set(tmp_path: Path) -> None:
    world = World(tmp_path, csr_key_must_sign=True)
    client = Client(world=world, signer_key=Client(world=world).key)
    refused(world, client, client.request(world.new_challenge()), 2, "request-key-not-signer")
    Client(world=world).enrol()


@pytest.mark.parametrize(
    ("challenge", "by"),
    [
        (None, "challenge-absent"),
        ("", "challenge-absent"),
        ("wrong", "challenge-unknown"),
        ("spent", "challenge-spent"),
        ("expired", "challenge-expired"),
        ("revoked", "challenge-revoked"),
        ("other subject", "challenge-wrong-subject"),
        ("other endpoint", "challenge-wrong-endpoint"),
        ("trailing space", "challenge-unknown"),
        ("twice", "challenge-unreadable"),
        ("sequence", "challenge-unreadable"),
    ],
)
def test_refuses_every_bad_challenge_with_one_text_and_says_which_in_the_checks(
    world: World, challenge: str | None, by: str
) -> None:
    client, csr, password = Client(world=world), {}, challenge
    if challenge == "spent":
        password = world.new_challenge()
        other = Client(world=world)
        other.obtain(other.request(password))
    elif challenge == "expired":
        password = world.new_challenge(validity=timedelta(minutes=5))
        world.clock.advance(minutes=5)
    elif challenge == "revoked":
        password = world.new_challenge()
        with world.store.transaction() as transaction:
            world.challenges.revoke(transaction, world.challenges.list(transaction)[-1].id)
    elif challenge == "other subject":
        password = world.new_challenge(subject="CN=somebody else")
    elif challenge == "other endpoint":
        password = world.new_challenge(endpoint="other")
    elif challenge == "trailing space":
        password = world.new_challenge() + " "
    elif challenge == "twice":
        attribute = challenge_attribute(world.new_challenge())
        password, csr = None, {"attributes": [attribute, attribute]}
    elif challenge == "sequence":
        password, csr = None, {"attributes": [challenge_attribute(b"", asn1.SEQUENCE)]}
    text = refused(world, client, client.request(password, csr=csr), 2, by)
    assert text == CHALLENGE_TEXT


def test_takes_a_challenge_of_every_string_type(world: World) -> None:
    for tag in (asn1.PRINTABLE, asn1.UTF8, 0x14, 0x16, 0x1E):
        client = Client(world=world)
        client.obtain(client.request(world.new_challenge(), csr={"challenge_tag": tag}))


def test_a_challenge_for_a_subject_is_good_for_that_subject(world: World) -> None:
    client = Client(world=world)
    client.obtain(client.request(world.new_challenge(subject=names.name_text(client.subject))))


def test_a_challenge_names_the_template(world: World) -> None:
    client = Client(world=world)
    client.obtain(client.request(world.new_challenge(template="IPSECIntermediateOffline")))
    answer = world.last.answer
    assert answer.certificate.template == "IPSECIntermediateOffline"


def test_a_challenge_stays_good_when_the_ca_denies(world: World) -> None:
    challenge, client = world.new_challenge(), Client(world=world)
    refused(
        world,
        client,
        client.request(challenge, csr={"subject": world.issuing.subject_der}),
        2,
        "bad-request-subject",
    )
    client.obtain(client.request(challenge))


def test_a_static_challenge_is_good_for_many(world: World) -> None:
    challenge = world.new_challenge(kind=ChallengeKind.STATIC, validity=None)
    for _ in range(3):
        client = Client(world=world)
        client.obtain(client.request(challenge))


def test_refuses_the_keys_of_ca_and_ra(world: World) -> None:
    for name in ("issuing", "encryption", "root"):
        reserved = forged_keys.of(ca_key(name)._key)
        client = Client(world=world, key=reserved, signer_key=Client(world=world).key)
        refused(world, client, client.request(world.new_challenge()), 2, "request-key-reserved")


def test_chooses_the_template_by_the_key_usage_asked_for(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        templates=TemplateChoice(signature="IPSECIntermediateOffline", encryption="WebServer"),
        requester="Domain Admins",
    )
    chosen = {}
    for usage in ((0,), (2,), (0, 2), None):
        client = Client(world=world)
        asked = [] if usage is None else [key_usage(*usage)]
        client.obtain(
            client.request(
                world.new_challenge(), csr={"extensions": [*asked, subject_alt_name(dns("a.example"))]}
            )
        )
        chosen[usage] = world.last.answer.certificate.template
    assert chosen == {
        (0,): "IPSECIntermediateOffline",
        (2,): "WebServer",
        (0, 2): "SCEP-Client-Auth",
        None: "SCEP-Client-Auth",
    }


def test_says_what_of_a_request_was_not_granted(world: World) -> None:
    client = Client(world=world)
    asked = [basic_constraints(is_authority=False), key_usage(0, 5)]
    certificate = client.obtain(client.request(world.new_challenge(), csr={"extensions": asked}))
    assert not read_certificate(certificate).is_ca
    found = [check for check in world.last.checks if check.verdict is Verdict.WARNED]
    assert [check.name for check in found] == ["request-wish"] * len(found)
    assert found


def test_denies_with_the_code_and_text_of_ad_cs(world: World) -> None:
    client = Client(world=world)
    asked = [subject_alt_name(uri("file:///etc/passwd"))]
    message = client.request(world.new_challenge(), csr={"extensions": asked})
    text = refused(world, client, message, 2, "unacceptable-extension")
    assert world.last.outcome is not None
    assert (text, world.last.outcome.hresult) == ("One or more arguments are invalid.", 0x80070057)


# -- the transaction table -------------------------------------------------------------


def count(world: World) -> int:
    with world.reading() as transaction:
        return len(transaction.find_certificates(CertificateFilter(), now=world.clock.now(), limit=1000))


def test_row_3_identical_octets_get_the_same_certificate(world: World) -> None:
    client = Client(world=world)
    message = client.request(world.new_challenge())
    first = client.obtain(message)
    world.clock.advance(hours=23)
    assert client.obtain(message) == first
    assert count(world) == 1


def test_row_3_same_key_and_challenge_get_the_same_certificate(world: World) -> None:
    client, challenge = Client(world=world), world.new_challenge()
    first = client.obtain(client.request(challenge))
    assert client.obtain(client.request(challenge)) == first
    assert count(world) == 1


def test_row_3_same_key_with_another_fresh_challenge_gets_another_certificate(world: World) -> None:
    client = Client(world=world)
    assert client.enrol() != client.enrol()


def test_row_3_same_key_without_the_challenge_gets_nothing(world: World) -> None:
    client = Client(world=world)
    client.enrol()
    refused(world, client, client.request(None), 2, "challenge-absent")
    refused(world, client, client.request("wrong"), 2, "challenge-unknown")


@pytest.mark.parametrize("later", [{"hours": 25}, {"days": 30}, {"days": 300}])
def test_row_5_identical_octets_after_the_window_get_nothing(world: World, later: dict[str, float]) -> None:
    client = Client(world=world)
    message = client.request(world.new_challenge(kind=ChallengeKind.STATIC, validity=None))
    client.obtain(message)
    world.clock.advance(**later)
    refused(world, client, message, 2, "transaction-over")


def test_row_5_identical_octets_after_revocation_get_nothing(world: World) -> None:
    client = Client(world=world)
    message = client.request(world.new_challenge())
    client.obtain(message)
    with world.store.transaction() as transaction:
        world.authority.revoke(transaction, world.last.certificate_id or 0, RevocationReason.SUPERSEDED)
    refused(world, client, message, 2, "transaction-over")


def test_row_5_same_key_outside_the_window_needs_a_challenge_and_gets_a_new_certificate(
    world: World,
) -> None:
    client, challenge = Client(world=world), world.new_challenge(validity=None)
    first = client.obtain(client.request(challenge))
    world.clock.advance(days=2)
    refused(world, client, client.request(challenge), 2, "challenge-spent")
    assert client.enrol() != first


def test_row_6_another_key_under_a_known_transaction_id_is_refused(world: World) -> None:
    client = Client(world=world)
    message = client.request(world.new_challenge())
    first = client.obtain(message)
    thief = Client(world=world, transaction_id=client.transaction_id)
    refused(world, thief, thief.request(world.new_challenge()), 2, "transaction-collision")
    assert client.obtain(message) == first


def test_row_6_holds_for_the_holder_of_somebody_elses_certificate(world: World) -> None:
    victim, attacker = Client(world=world), Client(world=world)
    victim.enrol()
    held = attacker.holding(attacker.enrol(), transaction_id=victim.transaction_id)
    refused(world, held, held.request(None, RENEWAL_REQ), 2, "transaction-collision")


def test_row_6_is_per_endpoint(world: World) -> None:
    client = Client(world=world)
    client.enrol()
    other = Client(world=world, transaction_id=client.transaction_id)
    other.obtain(other.request(world.new_challenge()), path="/scep/other")


def test_row_7_a_corrected_challenge_under_the_same_transaction_id_succeeds(world: World) -> None:
    client = Client(world=world)
    refused(world, client, client.request("wrong"), 2, "challenge-unknown")
    client.enrol()


def test_row_2_a_repetition_while_pending_makes_no_second_request(tmp_path: Path) -> None:
    world = World(tmp_path, approval="manual")
    client, challenge = Client(world=world), world.new_challenge()
    message = client.request(challenge)
    assert client.send(message).status == "3"
    assert client.send(message).status == "3"
    assert client.send(client.request(challenge)).status == "3"
    assert world.counts() == (0, 1, 0, 1)


def test_row_2_scepclient_polls_by_sending_the_same_octets(tmp_path: Path) -> None:
    world = World(tmp_path, approval="manual")
    client = Client(world=world)
    message = client.request(world.new_challenge())
    assert client.send(message).status == "3"
    world.clock.advance(days=3)
    with world.store.transaction() as transaction:
        issued = world.authority.approve(transaction, 1)
    assert client.obtain(message) == issued.der
    assert client.obtain(message) == issued.der


def test_row_9_the_same_octets_after_denial_are_denied(tmp_path: Path) -> None:
    world = World(tmp_path, approval="manual")
    client = Client(world=world)
    message = client.request(world.new_challenge())
    client.send(message)
    with world.store.transaction() as transaction:
        world.authority.deny(transaction, 1)
    refused(world, client, message, 2, "request-denied")
    assert client.send(client.request(world.new_challenge())).status == "3"


def test_pending_uses_the_challenge_up(tmp_path: Path) -> None:
    world = World(tmp_path, approval="manual")
    client, other, challenge = Client(world=world), Client(world=world), world.new_challenge()
    assert client.send(client.request(challenge)).status == "3"
    refused(world, other, other.request(challenge), 2, "challenge-spent")


def test_without_a_challenge_an_optional_endpoint_asks_a_manager(tmp_path: Path) -> None:
    world = World(tmp_path, challenge="optional")
    client = Client(world=world)
    assert client.send(client.request(None)).status == "3"
    refused(world, client := Client(world=world), client.request("wrong"), 2, "challenge-unknown")
    client.enrol()


def test_an_endpoint_without_challenges_issues_and_repeats(tmp_path: Path) -> None:
    world = World(tmp_path, challenge="none")
    client = Client(world=world)
    first = client.obtain(client.request(None))
    assert client.obtain(client.request("whatever")) == first


# -- renewal ---------------------------------------------------------------------------


@pytest.mark.parametrize("message_type", [17, 19])
@pytest.mark.parametrize("same_key", [True, False])
def test_row_4_a_holder_renews_with_the_same_or_a_new_key(
    world: World, message_type: int, same_key: bool
) -> None:
    client = Client(world=world)
    first = client.enrol()
    old = client.holding(first)
    new = (
        old
        if same_key
        else Client(world=world, subject=client.subject, certificate=first, signer_key=client.key)
    )
    second = new.obtain(new.request(None, message_type))
    assert second != first
    assert read_certificate(second).public_key_der == new.key.spki


def test_a_renewal_with_a_new_key_may_keep_the_transaction_id(world: World) -> None:
    client = Client(world=world)
    first = client.enrol()
    new = Client(
        world=world,
        subject=client.subject,
        certificate=first,
        signer_key=client.key,
        transaction_id=client.transaction_id,
    )
    assert read_certificate(new.obtain(new.request(None))).public_key_der == new.key.spki


def test_a_repeated_renewal_whose_reply_was_lost_gets_the_same_certificate(world: World) -> None:
    client = Client(world=world)
    first = client.enrol()
    held = client.holding(first)
    second = held.obtain(held.request(None, RENEWAL_REQ))
    assert held.obtain(held.request(None, RENEWAL_REQ)) == second
    newer = client.holding(second)
    third = newer.obtain(newer.request(None, RENEWAL_REQ))
    assert len({first, second, third}) == 3
    assert newer.obtain(newer.request(None, RENEWAL_REQ)) == third
    world.clock.advance(days=2)
    assert newer.obtain(newer.request(None, RENEWAL_REQ)) not in (first, second, third)


@pytest.mark.parametrize("challenge", [None, "", "wrong"])
def test_a_renewal_does_not_look_at_the_challenge(world: World, challenge: str | None) -> None:
    client = Client(world=world)
    held = client.holding(client.enrol())
    held.obtain(held.request(challenge))


def test_certmonger_renews_with_the_spent_challenge(world: World) -> None:
    client, challenge = Client(world=world), world.new_challenge()
    first = client.obtain(client.request(challenge))
    held = client.holding(first)
    assert held.obtain(held.request(challenge)) != first


def test_a_renewal_uses_no_challenge_up(world: World) -> None:
    client = Client(world=world)
    held, challenge = client.holding(client.enrol()), world.new_challenge()
    held.obtain(held.request(challenge))
    assert world.counts()[2] == 1


def test_a_renewal_needs_the_challenge_where_that_is_set(tmp_path: Path) -> None:
    world = World(tmp_path, renewal=RenewalSettings(require_challenge=True))
    client = Client(world=world)
    held = client.holding(client.enrol())
    for challenge, by in ((None, "absent"), ("wrong", "unknown")):
        refused(world, held, held.request(challenge, RENEWAL_REQ), 2, f"challenge-{by}")
    held.obtain(held.request(world.new_challenge(), RENEWAL_REQ))
    assert world.counts()[2] == 0


@pytest.mark.parametrize("challenge", [True, False])
def test_renewal_req_with_a_self_signed_signer_is_refused(world: World, challenge: bool) -> None:
    client = Client(world=world)
    password = world.new_challenge() if challenge else None
    refused(world, client, client.request(password, RENEWAL_REQ), 2, "renewal-self-signed")


@pytest.mark.parametrize("message_type", [17, 19])
def test_an_expired_certificate_renews_nothing_unless_there_is_grace(
    tmp_path: Path, message_type: int
) -> None:
    world = World(tmp_path)
    client = Client(world=world)
    held = client.holding(client.enrol())
    world.clock.advance(days=370)
    refused(world, held, held.request(None, message_type), 1, "signer-expired")
    world.service = world.make_service(renewal=RenewalSettings(grace_days_after_expiry=30))
    held.obtain(held.request(None, message_type))


@pytest.mark.parametrize("message_type", [17, 19])
@pytest.mark.parametrize("reason", [RevocationReason.KEY_COMPROMISE, RevocationReason.CERTIFICATE_HOLD])
def test_a_revoked_certificate_renews_nothing(
    world: World, message_type: int, reason: RevocationReason
) -> None:
    client = Client(world=world)
    held = client.holding(client.enrol())
    with world.store.transaction() as transaction:
        world.authority.revoke(transaction, world.last.certificate_id or 0, reason)
    refused(world, held, held.request(world.new_challenge(), message_type), 1, "signer-revoked")


def test_a_certificate_that_is_not_valid_yet_renews_nothing(world: World) -> None:
    client = Client(world=world)
    held = client.holding(client.enrol())
    world.clock.advance(days=-1)
    refused(world, held, held.request(None), 1, "signer-not-yet-valid")


def _signed_by(world: World, key_name: str, issuer: Any, client: Client, *more: Any) -> bytes:
    """Return a certificate for the client's key that ``key_name`` signed."""
    made = make_certificate("CN=placeholder", ca_key("leaf"), issuer, ca_key(key_name), *more)
    tbs = CertificateForge(
        key=client.key,
        subject=client.subject,
        issuer=made.issuer_der,
        issuer_key=forged_keys.of(ca_key(key_name)._key),
        serial=made.serial_number,
        not_before=utc("260101000000Z"),
        not_after=generalized("20300101000000Z"),
        extensions=[extension.der for extension in more],
    )
    return tbs.encode()


@pytest.mark.parametrize("message_type", [17, 19])
@pytest.mark.parametrize(
    ("kind", "by"),
    [
        ("foreign CA", "signer-foreign"),
        ("CA of our name with another key", "signer-forged"),
        ("self-signed in our CA's name", "signer-forged"),
        ("signed by our key, not on record", "signer-unrecorded"),
        ("sub-CA of ours", "signer-reserved"),
        ("RA certificate", "signer-reserved"),
        ("our CA's own certificate", "signer-foreign"),
    ],
)
def test_only_a_verified_recorded_end_entity_certificate_authenticates(
    world: World, message_type: int, kind: str, by: str
) -> None:
    client = Client(world=world)
    foreign_name = "CN=Foreign CA" if kind == "foreign CA" else "CN=Test Issuing CA"
    foreign = make_certificate(foreign_name, ca_key("foreign"), None, ca_key("foreign"))
    if kind.startswith(("foreign", "CA of our name")):
        certificate = _signed_by(world, "foreign", foreign, client)
    elif kind.startswith("self-signed"):
        own = CertificateForge(key=client.key, subject=world.issuing.subject_der)
        certificate = own.encode()
    elif kind.startswith("signed by our key"):
        certificate = _signed_by(world, "issuing", world.issuing, client)
    elif kind.startswith("sub-CA"):
        is_ca = extensions.basic_constraints(is_ca=True)
        certificate = _signed_by(world, "issuing", world.issuing, client, is_ca)
    elif kind.startswith("RA"):
        certificate, key = world.signing.der, ca_key("signing")
    else:
        certificate, key = world.issuing.der, ca_key("issuing")
    if certificate in (world.signing.der, world.issuing.der):
        signer = forged_keys.of(key._key)
        client = Client(world=world, signer_key=signer, certificate=certificate)
    else:
        client = client.holding(certificate)
    refused(world, client, client.request(world.new_challenge(), message_type), 1, by)


def test_a_renewal_for_another_subject_is_refused_unless_allowed(tmp_path: Path) -> None:
    world = World(tmp_path)
    client = Client(world=world)
    first = client.enrol()
    new = Client(world=world, certificate=first, signer_key=client.key)
    refused(world, new, new.request(None, RENEWAL_REQ), 2, "renewal-subject")
    world.service = world.make_service(renewal=RenewalSettings(subject_must_match=False))
    new.obtain(new.request(None, RENEWAL_REQ))


def test_a_renewal_too_early_is_refused_where_a_window_is_set(tmp_path: Path) -> None:
    world = World(tmp_path, renewal=RenewalSettings(earliest_days_before_expiry=30))
    client = Client(world=world)
    held = client.holding(client.enrol())
    refused(world, held, held.request(None, RENEWAL_REQ), 2, "renewal-too-early")
    world.clock.advance(days=350)
    held.obtain(held.request(None, RENEWAL_REQ))


def test_a_renewal_keeps_the_old_certificates_template(tmp_path: Path) -> None:
    world = World(tmp_path)
    client = Client(world=world)
    first = client.obtain(client.request(world.new_challenge(template="IPSECIntermediateOffline")))
    held = client.holding(first)
    held.obtain(held.request(None, RENEWAL_REQ))
    assert world.last.answer.certificate.template == "IPSECIntermediateOffline"
    world.service = world.make_service(renewal=RenewalSettings(templates=("SCEP-Client-Auth",)))
    world.clock.advance(days=3)
    refused(world, held, held.request(None, RENEWAL_REQ), 2, "renewal-template")


def test_without_renewal_neither_message_renews_and_nothing_advertises_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    client = Client(world=world)
    held = client.holding(client.enrol())
    world.service = world.make_service(renewal=RenewalSettings(enabled=False))
    for message_type in (17, 19):
        refused(world, held, held.request(None, message_type), 2, "renewal-disabled")
    assert b"Renewal" not in world.handle(query="operation=GetCACaps").body


def test_a_renewal_may_need_approval(tmp_path: Path) -> None:
    world = World(tmp_path, renewal=RenewalSettings(approval="manual"))
    client = Client(world=world)
    held = client.holding(client.enrol())
    message = held.request(None, RENEWAL_REQ)
    assert held.send(message).status == "3"
    with world.store.transaction() as transaction:
        issued = world.authority.approve(transaction, 1)
    assert held.obtain(held.poll()) == issued.der


def test_a_certificate_of_an_earlier_key_of_our_ca_renews(world: World) -> None:
    client = Client(world=world)
    held = client.holding(client.enrol())
    renewed_key = ca_key("renewed issuing")
    renewed = make_certificate(
        "CN=Test Issuing CA", renewed_key, world.root, ca_key("root"),
        extensions.basic_constraints(is_ca=True),
    )  # fmt: skip
    world.issuing, old = renewed, world.issuing
    moved = type(world.authority)(
        certificate=renewed,
        chain=(world.root.der,),
        key=renewed_key,
        templates=world.authority.templates,
        clock=world.clock,
        entropy=os.urandom,
        locations=world.authority.locations,
        settings=world.settings,
    )
    world.service = world.make_service(authority=moved)
    refused(world, held, held.request(None, RENEWAL_REQ), 1, "signer-forged")
    world.service = world.make_service(authority=moved, earlier_issuers=[old])
    second = read_certificate(held.obtain(held.request(None, RENEWAL_REQ)))
    assert second.authority_key_id == renewed_key.subject_key_id


# -- keys that cannot decrypt ----------------------------------------------------------


def test_a_client_with_an_ec_key_is_answered_under_its_challenge(world: World) -> None:
    client = Client(world=world, key=forged_keys.of(ec.generate_private_key(ec.SECP256R1())))
    challenge = world.new_challenge()
    certificate = client.obtain(client.request(challenge), password=challenge.encode())
    assert read_certificate(certificate).public_key_der == client.key.spki


def test_a_client_with_an_ec_key_and_no_password_is_refused_before_anything_is_issued(
    world: World,
) -> None:
    client, challenge = (
        Client(world=world, key=forged_keys.of(ec.generate_private_key(ec.SECP256R1()))),
        world.new_challenge(),
    )
    certificate = client.obtain(client.request(challenge), password=challenge.encode())
    held = client.holding(certificate)
    refused(world, held, held.request(None, RENEWAL_REQ), 0, "signer-cannot-decrypt")


def test_an_ec_client_polls_and_repeats_under_the_challenge_it_spent(tmp_path: Path) -> None:
    world = World(tmp_path, approval="manual", password_recipients=True)
    client = Client(world=world, key=forged_keys.of(ec.generate_private_key(ec.SECP256R1())))
    challenge = world.new_challenge()
    password = challenge.encode()

    def under_password(plaintext: bytes, message_type: int) -> bytes:
        envelope = Envelope(plaintext=plaintext, recipients=[Password(password=password)], version=3)
        return PkiMessage(
            key=client.key,
            certificate=client.certificate,
            content=envelope.encode(),
            message_type=message_type,
            transaction_id=client.transaction_id,
            sender_nonce=b"nonce-of-16-byte",
        ).encode()

    assert client.send(under_password(client.csr(challenge), 19)).status == "3"
    with world.store.transaction() as transaction:
        issued = world.authority.approve(transaction, 1)
    poll = under_password(asn1.seq(world.issuing.subject_der, client.subject), 20)
    assert client.obtain(poll, password=password) == issued.der
    again = under_password(client.csr(challenge), 19)
    assert client.obtain(again, password=password) == issued.der
