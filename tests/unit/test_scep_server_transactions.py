"""What is asked for again: the transaction table of `scep_server.registration`, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from forge.message import RENEWAL_REQ
from scep_world import Client, World, refused

from ca.records import CertificateFilter, ChallengeKind, RevocationReason

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


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
