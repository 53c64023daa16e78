"""Who renews a certificate with which message, and when. Over real CA, store and codec."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from forge import keys as forged_keys
from forge.certificates import (
    CertificateForge,
    generalized,
    utc,
)
from forge.message import RENEWAL_REQ
from scep_world import Client, World, ca_key, make_certificate, refused

from ca import extensions
from ca.certificates import read_certificate
from ca.records import RevocationReason
from scep_server.settings import RenewalSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


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
