"""Deciding ahead of writing: whatever happens in between, nobody gets more than they should."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from forge.certificates import read_certificate
from scep_world import Client, World

from ca.records import CertificateFilter, RevocationReason, StoreUnavailable
from scep_server.settings import EndpointSettings, LimitSettings, ScepSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ca.records import NewCertificate, StoreTransaction


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class Interrupted:
    """A store in which something happens, once, between reading and writing."""

    def __init__(self, store: Any, meanwhile: Callable[[], object]) -> None:
        self._store, self._meanwhile = store, [meanwhile]

    def reading(self) -> Any:
        return self._store.reading()

    @contextmanager
    def transaction(self) -> Iterator[StoreTransaction]:
        while self._meanwhile:
            self._meanwhile.pop()()
        with self._store.transaction() as transaction:
            yield transaction


class CountingAuthority:
    """A CA that keeps what it signed; everything else is as it was."""

    def __init__(self, authority: Any) -> None:
        self._authority = authority
        self.signed: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._authority, name)

    def sign(self, prepared: Any) -> NewCertificate:
        made: NewCertificate = self._authority.sign(prepared)
        self.signed.append(made.der)
        return made


class ReadOnly:
    """A store that nobody can write to."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def reading(self) -> Any:
        return self._store.reading()

    def transaction(self) -> Any:
        raise StoreUnavailable("it was locked for a request that writes nothing")


def interrupt(world: World, meanwhile: Callable[[], object], **changes: Any) -> CountingAuthority:
    """Have something happen within the next enrolment, after its certificate is signed."""
    authority = CountingAuthority(world.authority)
    world.service = world.make_service(
        store=Interrupted(world.store, meanwhile), authority=authority, **changes
    )
    return authority


def issued(world: World) -> list[bytes]:
    with world.reading() as transaction:
        found = transaction.find_certificates(CertificateFilter(), now=world.clock.now())
    return [one.der for one in found]


def test_repetition_that_overtakes_leaves_one_certificate_for_both(world: World) -> None:
    client, undisturbed = Client(world=world), world.service
    message = client.request(world.new_challenge())
    replies = []
    authority = interrupt(world, lambda: replies.append(_send_to(undisturbed, world, client, message)))
    second = client.obtain(message)
    assert replies == [second]
    assert issued(world) == [second]
    assert len(authority.signed) == 1
    assert authority.signed[0] != second


def _send_to(service: Any, world: World, client: Client, message: bytes) -> bytes:
    disturbed, world.service = world.service, service
    try:
        return client.obtain(message)
    finally:
        world.service = disturbed


def test_challenge_spent_by_another_meanwhile_is_refused(world: World) -> None:
    challenge, undisturbed = world.new_challenge(), world.service
    winner, loser = Client(world=world), Client(world=world)
    won: list[bytes] = []
    authority = interrupt(
        world, lambda: won.append(_send_to(undisturbed, world, winner, winner.request(challenge)))
    )
    reply = loser.send(loser.request(challenge))
    assert (reply.status, reply.fail_info) == ("2", 2)
    assert world.last.refused_by == "challenge-spent"
    assert issued(world) == won
    assert authority.signed[0] not in world.last.reply.body


def test_key_certified_for_another_subject_meanwhile_is_refused(world: World) -> None:
    undisturbed = world.service
    first = Client(world=world)
    second = Client(world=world, key=first.key, transaction_id="another transaction")
    won: list[bytes] = []
    interrupt(
        world,
        lambda: won.append(_send_to(undisturbed, world, first, first.request(world.new_challenge()))),
    )
    challenge = world.new_challenge()
    assert second.send(second.request(challenge)).status == "2"
    assert "already certified for another subject" in world.last.detail
    assert issued(world) == won


def test_certificate_revoked_meanwhile_renews_nothing(world: World) -> None:
    client = Client(world=world)
    held = client.holding(client.enrol())
    certificate_id = world.last.certificate_id or 0

    def revoke() -> None:
        with world.store.transaction() as transaction:
            world.authority.revoke(transaction, certificate_id, RevocationReason.KEY_COMPROMISE)

    authority = interrupt(world, revoke)
    assert held.send(held.request(None)).status == "2"
    assert world.last.refused_by == "signer-revoked"
    assert len(authority.signed) == 1
    assert len(issued(world)) == 1


def test_other_enrolments_meanwhile_cost_no_second_signature(world: World) -> None:
    undisturbed = world.service
    others = [Client(world=world) for _ in range(2)]

    def enrol_others() -> None:
        for other in others:
            _send_to(undisturbed, world, other, other.request(world.new_challenge()))

    authority = interrupt(world, enrol_others)
    client = Client(world=world)
    certificate = client.obtain(client.request(world.new_challenge()))
    assert authority.signed == [certificate]
    assert len({read_certificate(one).serial for one in issued(world)}) == 3


def test_what_writes_nothing_locks_nothing(world: World) -> None:
    client = Client(world=world)
    message = client.request(world.new_challenge())
    certificate = client.obtain(message)
    world.service = world.make_service(store=ReadOnly(world.store))
    assert client.obtain(message) == certificate
    stranger = Client(world=world)
    assert stranger.send(stranger.request("wrong")).fail_info == 2


def test_who_began_to_wait_meanwhile_counts_towards_the_quota(world: World) -> None:
    settings = ScepSettings(
        endpoints={"default": EndpointSettings(approval="manual")},
        limits=LimitSettings(pending_per_endpoint=1),
    )
    world.service = undisturbed = world.make_service(settings=settings)
    first, second = Client(world=world), Client(world=world)
    replies: list[str] = []

    def wait() -> None:
        world.service = undisturbed
        replies.append(first.send(first.request(world.new_challenge())).status)

    interrupt(world, wait, settings=settings)
    assert second.send(second.request(world.new_challenge())).status == "2"
    assert replies == ["3"]
    assert world.last.refused_by == "pending-quota"
    assert world.counts()[:2] == (0, 1)
