"""What SQLite does in turn and PostgreSQL at once: the second waits for the first, and knows then."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar

import pytest
from ca_world import NOW, HandClock, ready_keys
from postgresql import PostgresqlServer
from pydantic import SecretStr
from store_samples import ISSUER, OTHER_ISSUER, new_certificate

from ca.authority import CertificateAuthority
from ca.ceremony import hold_ceremony
from ca.errors import BadRequestStatus
from ca.folders import PkiFolder
from ca.opening import open_authority
from ca.records import CertificateFilter, Revocation, RevocationReason, StoreTransaction
from ca.settings import PkiSettings
from ca.store import SqlStore

T = TypeVar("T")
KEPT = RevocationReason.KEY_COMPROMISE
HOLD = RevocationReason.CERTIFICATE_HOLD
WAITING = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


class AtOnce:
    """Two transactions at one database: the second gets as far as it can before the first ends."""

    def __init__(self, server: PostgresqlServer, url: str) -> None:
        self._server = server
        self._url = url
        self.store = SqlStore.open(url)

    def run(
        self, first: Callable[[StoreTransaction], object], second: Callable[[StoreTransaction], T]
    ) -> Future[T]:
        with ThreadPoolExecutor(1) as pool:
            with self.store.transaction() as transaction:
                first(transaction)
                begun = pool.submit(self._in_one, second)
                self._await_somebody_who_waits(begun)
            begun.exception()  # waits for it
        return begun

    def _in_one(self, work: Callable[[StoreTransaction], T]) -> T:
        with self.store.transaction() as transaction:
            return work(transaction)

    def _await_somebody_who_waits(self, begun: Future[T]) -> None:
        deadline = monotonic() + 30
        with self._server.connected(self._url) as connection:
            while connection.execute(WAITING).fetchone() is None:
                assert not begun.done(), "it did not wait for the other"
                assert monotonic() < deadline
                sleep(0.001)


@pytest.fixture
def at_once(postgresql: PostgresqlServer, postgresql_url: str) -> Iterator[AtOnce]:
    found = AtOnce(postgresql, postgresql_url)
    yield found
    found.store.close()


@pytest.fixture
def authority(tmp_path: Path, at_once: AtOnce, postgresql_url: str) -> CertificateAuthority:
    """A CA at that database, with its RA's certificates and a first CRL."""
    folder, settings = PkiFolder(tmp_path / "pki"), PkiSettings(database_url=SecretStr(postgresql_url))
    clock = HandClock()
    hold_ceremony(folder, settings, clock=clock, entropy=os.urandom, make_keys=ready_keys, durable=False)
    return open_authority(folder, settings, clock=clock, entropy=os.urandom)


def test_first_crl_numbers_of_a_key_are_two(at_once: AtOnce) -> None:
    numbers: list[int] = []
    second = at_once.run(
        lambda transaction: numbers.append(transaction.next_crl_number(ISSUER)),
        lambda transaction: transaction.next_crl_number(ISSUER),
    )
    assert [*numbers, second.result()] == [1, 2]


def test_first_revocations_of_a_key_are_both_kept(at_once: AtOnce) -> None:
    with at_once.store.transaction() as transaction:
        one, other = (transaction.add_certificate(new_certificate(number), NOW).id for number in (1, 2))
    at_once.run(
        lambda transaction: transaction.revoke(one, Revocation(revoked_at=NOW, reason=KEPT)),
        lambda transaction: transaction.revoke(other, Revocation(revoked_at=NOW, reason=KEPT)),
    ).result()
    with at_once.store.reading() as transaction:
        assert len(transaction.revoked_entries(ISSUER, not_expired_at=NOW)) == 2
        assert transaction.revoked_entries(OTHER_ISSUER, not_expired_at=NOW) == []


def test_who_is_revoked_for_good_at_that_moment_is_not_released_from_hold(
    at_once: AtOnce, authority: CertificateAuthority
) -> None:
    number = hold_the_first(at_once, authority)
    released = at_once.run(
        lambda transaction: authority.revoke(transaction, number, KEPT),
        lambda transaction: authority.release(transaction, number),
    )
    with pytest.raises(BadRequestStatus, match="not on hold"):
        released.result()
    assert reason_of(at_once, number) is KEPT


def test_who_is_revoked_at_that_moment_is_not_revoked_again(
    at_once: AtOnce, authority: CertificateAuthority
) -> None:
    with at_once.store.reading() as transaction:
        number = transaction.find_certificates(CertificateFilter(), now=NOW)[0].id
    again = at_once.run(
        lambda transaction: authority.revoke(transaction, number, KEPT),
        lambda transaction: authority.revoke(transaction, number, RevocationReason.SUPERSEDED),
    )
    with pytest.raises(BadRequestStatus, match="revoked already: keyCompromise"):
        again.result()
    assert reason_of(at_once, number) is KEPT


def hold_the_first(at_once: AtOnce, authority: CertificateAuthority) -> int:
    with at_once.store.transaction() as transaction:
        found = transaction.find_certificates(CertificateFilter(), now=NOW)[0]
        return authority.revoke(transaction, found.id, HOLD).id


def reason_of(at_once: AtOnce, number: int) -> RevocationReason | None:
    with at_once.store.reading() as transaction:
        found = transaction.certificate(number)
    assert found is not None
    return found.revocation and found.revocation.reason
