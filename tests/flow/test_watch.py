"""The watch on a database sees every change of others, on either kind: refused requests are held to that."""

from __future__ import annotations

from forge.watch import watch
from store_samples import NOW, new_challenge

from ca.store import SqlStore


def test_watch_sees_rows_that_come_change_and_go_and_nothing_else(database_url: str) -> None:
    store = SqlStore.open(database_url)
    watching = watch(database_url)
    empty = watching.state()
    with store.reading() as transaction:
        assert transaction.challenges() == []
    assert watching.state().difference(empty) == []
    with store.transaction() as transaction:
        first, second = (transaction.add_challenge(new_challenge(name)).id for name in "ab")
    added = watching.state()
    assert added.difference(empty) == ["challenges"]
    for change in ("spend_challenge", "revoke_challenge"):
        before = watching.state()
        with store.transaction() as transaction:
            assert getattr(transaction, change)(first if change == "spend_challenge" else second, NOW)
        assert watching.state().difference(before) != []
    before = watching.state()
    with store.transaction() as transaction:
        assert transaction.forget_challenges([first]) == 1
    assert watching.state().difference(before) == ["challenges"]
    watching.close()
    store.close()
