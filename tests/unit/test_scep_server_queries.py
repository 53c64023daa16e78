"""CertPoll, GetCert and GetCRL: what is told to whom, and that nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from forge import asn1, openssl
from forge.certificates import common_name
from forge.message import CERT_POLL, GET_CERT, GET_CRL
from scep_world import Client, World, client_keys

from ca.certificates import read_certificate
from ca.records import RevocationReason

if TYPE_CHECKING:
    from pathlib import Path

NOT_FOUND = "No such certificate, CRL or transaction is known here."


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def manual(tmp_path: Path) -> World:
    return World(tmp_path, approval="manual")


def _refused(world: World, client: Client, message: bytes, fail_info: int, by: str, **sent: str) -> str:
    before = world.counts()
    reply = client.send(message, **sent)
    assert (reply.status, reply.fail_info, world.last.refused_by) == ("2", fail_info, by), str(reply)
    assert world.counts() == before
    return reply.fail_info_text


def _pending(world: World) -> Client:
    client = Client(world=world)
    assert client.send(client.request(world.new_challenge())).status == "3"
    return client


def test_row_8_a_poll_waits_and_then_gets_the_certificate_again_and_again(manual: World) -> None:
    client = _pending(manual)
    assert client.send(client.poll()).status == "3"
    with manual.store.transaction() as transaction:
        issued = manual.authority.approve(transaction, 1)
    assert client.obtain(client.poll()) == issued.der
    manual.clock.advance(days=100)
    assert client.obtain(client.poll()) == issued.der


def test_row_9_a_poll_after_denial_is_denied(manual: World) -> None:
    client = _pending(manual)
    with manual.store.transaction() as transaction:
        manual.authority.deny(transaction, 1)
    text = _refused(manual, client, client.poll(), 2, "request-denied")
    assert text == "The request was denied by a certificate manager."


def test_rows_10_and_11_unknown_and_foreign_polls_look_the_same(manual: World) -> None:
    client = _pending(manual)
    unknown = Client(world=manual)
    first = _refused(manual, unknown, unknown.poll(), 4, "poll-unknown")
    thief = Client(world=manual, transaction_id=client.transaction_id)
    second = _refused(manual, thief, thief.poll(), 4, "poll-other-signer")
    third = _refused(manual, client, client.poll(), 4, "poll-unknown", path="/scep/other")
    assert first == second == third == NOT_FOUND


def test_a_poll_names_whom_it_likes(manual: World) -> None:
    client = _pending(manual)
    odd = asn1.seq(common_name("some CA"), common_name("some body"))
    assert client.send(client.message(odd, CERT_POLL)).status == "3"


def test_a_poll_for_what_was_issued_at_once_succeeds(world: World) -> None:
    client = Client(world=world)
    certificate = client.enrol()
    assert client.obtain(client.poll()) == certificate


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_a_poll_delivers_no_certificate_that_is_good_for_nothing(world: World, end: str) -> None:
    client = Client(world=world)
    client.enrol()
    if end == "expired":
        world.clock.advance(days=400)
    else:
        with world.store.transaction() as transaction:
            number = world.last.certificate_id or 0
            world.authority.revoke(transaction, number, RevocationReason.SUPERSEDED)
    _refused(world, client, client.poll(), 2, "transaction-over")


def _holder(world: World) -> tuple[Client, bytes]:
    client = Client(world=world)
    certificate = client.enrol()
    return client.holding(certificate), certificate


def test_get_cert_gives_a_holder_any_certificate_of_ours(world: World) -> None:
    holder, _ = _holder(world)
    _, other = _holder(world)
    assert holder.obtain(holder.get_cert(other)) == other


@pytest.mark.parametrize("serial", [0, -1, 12345, 1 << 159, 1 << 2000])
def test_get_cert_knows_no_other_serial_number(world: World, serial: int) -> None:
    holder, _ = _holder(world)
    wanted = asn1.seq(world.issuing.subject_der, asn1.integer(serial))
    assert _refused(world, holder, holder.message(wanted, GET_CERT), 4, "query-unknown") == NOT_FOUND


def test_get_cert_knows_no_other_issuer(world: World) -> None:
    holder, certificate = _holder(world)
    wanted = asn1.seq(common_name("other CA"), asn1.integer(read_certificate(certificate).serial_number))
    text = _refused(world, holder, holder.message(wanted, GET_CERT), 4, "query-other-issuer")
    assert text == NOT_FOUND


def test_get_cert_tells_strangers_the_same_of_what_exists_and_what_does_not(world: World) -> None:
    _, certificate = _holder(world)
    stranger = Client(world=world)
    missing = asn1.seq(world.issuing.subject_der, asn1.integer(7))
    one = _refused(world, stranger, stranger.get_cert(certificate), 2, "query-signer")
    other = _refused(world, stranger, stranger.message(missing, GET_CERT), 2, "query-signer")
    assert one == other


def test_get_cert_gives_anyone_or_nobody_as_it_is_set(world: World) -> None:
    holder, certificate = _holder(world)
    stranger = Client(world=world)
    world.service = world.make_service(get_cert="anyone")
    assert stranger.obtain(stranger.get_cert(certificate)) == certificate
    world.service = world.make_service(get_cert="refuse", get_crl="refuse")
    _refused(world, holder, holder.get_cert(certificate), 2, "query-disabled")
    _refused(world, holder, holder.get_crl(certificate), 2, "query-disabled")


def test_a_revoked_holder_is_no_holder(world: World) -> None:
    holder, certificate = _holder(world)
    with world.store.transaction() as transaction:
        world.authority.revoke(transaction, world.last.certificate_id or 0, RevocationReason.KEY_COMPROMISE)
    _refused(world, holder, holder.get_cert(certificate), 1, "signer-revoked")


def test_get_crl_gives_the_latest_crl_alone(world: World) -> None:
    holder, certificate = _holder(world)
    _refused(world, holder, holder.get_crl(certificate), 4, "query-unknown")
    with world.store.transaction() as transaction:
        world.authority.sign_crl(transaction)
    world.clock.advance(hours=1)
    with world.store.transaction() as transaction:
        latest = world.authority.sign_crl(transaction)
    for asker in (holder, Client(world=world)):
        issued = asker.opened(asker.send(asker.get_crl(certificate)))
        assert (issued.certificates, issued.crls) == ((), (latest.der,))
    assert b"Next Update" in openssl.run("crl", "-inform", "DER", "-noout", "-text", stdin=latest.der)


def test_get_crl_knows_no_other_issuer(world: World) -> None:
    holder, _ = _holder(world)
    wanted = asn1.seq(common_name("other CA"), asn1.integer(1))
    _refused(world, holder, holder.message(wanted, GET_CRL), 4, "query-other-issuer")


def test_sscep_asks_everything_under_one_transaction_id(world: World) -> None:
    """And the constant has a space in it."""
    constant = "SSCEP transactionId"
    for _ in range(2):
        holder, certificate = _holder(world)
        asking = Client(
            world=world,
            key=holder.key,
            certificate=certificate,
            subject=holder.subject,
            transaction_id=constant,
        )
        assert asking.obtain(asking.get_cert(certificate)) == certificate


def test_queries_write_nothing(world: World) -> None:
    holder, certificate = _holder(world)
    before = world.counts()
    holder.obtain(holder.get_cert(certificate))
    holder.send(holder.poll())
    assert world.counts() == before


@pytest.mark.parametrize("message_type", [CERT_POLL, GET_CERT, GET_CRL])
def test_content_of_another_message_is_a_bad_request(world: World, message_type: int) -> None:
    client = Client(world=world, key=client_keys().signer)
    reply = client.send(client.message(client.csr("x"), message_type))
    assert reply.fail_info == 2
