"""4E, transactions: repetitions, collisions, polls (rows N100 to N107, table 1D)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from forge import asn1
from forge.bench import Bench, PkiRequest
from forge.certificates import common_name, read_certificate
from forge.reply import Issued, demand
from forge.table import Fail, Pending, Row, Success

BAD_REQUEST = Fail(2)
NOT_FOUND = Fail(4, group="not-found")
WAITING = Pending(recorded=False)
Build = Callable[[Bench], PkiRequest]


def same_certificate(_bench: Bench, request: PkiRequest, issued: Issued) -> None:
    """Check that the leaf is the one issued before."""
    demand(issued.certificates[0] == request.prior[0], "another certificate than before")


def new_certificate(_bench: Bench, request: PkiRequest, issued: Issued) -> None:
    """Check that the leaf is for the CSR's key, and none of those issued before."""
    assert request.csr is not None
    leaf = issued.certificates[0]
    demand(leaf not in request.prior, "an old certificate instead of a new one")
    demand(read_certificate(leaf).spki == request.csr.key.spki, "the leaf is for another key")


def polled(_bench: Bench, request: PkiRequest, issued: Issued) -> None:
    """Check that the leaf is for the key that waited."""
    demand(read_certificate(issued.certificates[0]).spki == request.prior[0], "the leaf is for another key")


AGAIN = Success(same_certificate, recorded=False)
ANEW = Success(new_certificate)


# -- repetitions (N100, N101, N103, 1D-2 to 1D-5) ---------------------------------------


def repeated(*, after: Callable[[Bench, bytes], None] | None = None) -> Build:
    """Return a builder that repeats a PKCSReq that was granted, octet for octet."""

    def build(bench: Bench) -> PkiRequest:
        first = bench.enrol()
        if after is not None:
            after(bench, first.certificate)
        return replace(first.request, prior=(first.certificate,))

    return build


def _resigned(*, after: timedelta | None = None, **options: Any) -> Build:
    """Return a builder that writes a granted request anew: same key, transactionID and challenge."""

    def build(bench: Bench) -> PkiRequest:
        first = bench.enrol()
        if after is not None:
            bench.desk.advance(after)
        again = bench.request(
            key=first.request.key,
            certificate=first.request.sent.certificate,
            csr={"key": first.key, "subject": first.subject},
            **{"challenge": first.request.challenge, **options},
        )
        return replace(again, prior=(first.certificate,))

    return build


def _fresh_challenge(*, after: timedelta | None = None) -> Build:
    build = _resigned(after=after)

    def again(bench: Bench) -> PkiRequest:
        old = build(bench)
        assert old.csr is not None
        new = bench.request(
            key=old.key,
            certificate=old.sent.certificate,
            csr={"key": old.csr.key, "subject": old.csr.subject},
        )
        return replace(new, prior=old.prior)

    return again


def _revoke(bench: Bench, certificate: bytes) -> None:
    bench.desk.revoke(certificate)


def _corrected(bench: Bench) -> PkiRequest:
    wrong = bench.request(challenge="0123456789ABCDEF0123456789ABCDEF")
    demand(bench.send(wrong).fail_info == 2, "a wrong challenge was not refused")
    assert wrong.csr is not None
    return bench.request(
        key=wrong.key,
        certificate=wrong.sent.certificate,
        csr={"key": wrong.csr.key, "subject": wrong.csr.subject},
    )


def _revoked_then_anew(bench: Bench) -> PkiRequest:
    first = bench.enrol()
    bench.desk.revoke(first.certificate)
    again = bench.request(
        key=first.request.key,
        certificate=first.request.sent.certificate,
        csr={"key": first.key, "subject": first.subject},
    )
    return replace(again, prior=(first.certificate,))


def _repetition_rows() -> Iterator[Row]:
    yield Row("N100", "identical", repeated(), AGAIN)
    yield Row("N100", "identical-third", _third_time, AGAIN)
    yield Row("N100", "identical-after-a-later-one", _overtaken(), AGAIN)
    yield Row("N101", "altered-outside-the-signature", _altered, BAD_REQUEST, fresh=True)
    yield Row(
        "N101", "renewal-after-a-later-one", _overtaken(after=timedelta(days=2)), BAD_REQUEST, fresh=True
    )
    month = timedelta(days=30)
    yield Row(
        "N101", "after-30-days", repeated(after=lambda b, _: b.desk.advance(month)), BAD_REQUEST, fresh=True
    )
    yield Row("N101", "after-revocation", repeated(after=_revoke), BAD_REQUEST)
    yield Row("N103", "corrected-challenge", _corrected, Success())
    yield Row("1D-1", "new", lambda bench: bench.request(), Success())
    yield Row("1D-2", "waiting-identical", _waiting_identical, WAITING)
    yield Row("1D-2", "waiting-written-anew", _waiting_anew, WAITING)
    yield Row("1D-2", "issued-identical", _approved_identical, AGAIN)
    yield Row("1D-3", "written-anew", _resigned(), AGAIN)
    yield Row("1D-3", "other-challenge", _fresh_challenge(), ANEW)
    yield Row("1D-3", "no-challenge", _resigned(challenge=None), BAD_REQUEST)
    yield Row("1D-3", "wrong-challenge", _resigned(challenge="0" * 32), BAD_REQUEST)
    yield Row("1D-5", "outside-the-window", _fresh_challenge(after=timedelta(days=2)), ANEW, fresh=True)
    yield Row("1D-5", "outside-the-window-spent", _resigned(after=timedelta(days=2)), BAD_REQUEST, fresh=True)
    yield Row("1D-5", "revoked", _revoked_then_anew, ANEW)
    yield Row("1D-7", "corrected", _corrected, Success())
    yield Row("1D-12", "lost-reply", repeated(), AGAIN)


def _overtaken(*, after: timedelta = timedelta(0)) -> Build:
    """Return a builder that repeats a renewal of a key after the next renewal of the same key."""

    def build(bench: Bench) -> PkiRequest:
        old = bench.enrol()
        csr = {"key": old.key, "subject": old.subject}
        renewed = bench.enrolled(bench.renewal(old, csr=csr))
        bench.enrolled(bench.renewal(renewed, csr=csr))
        bench.desk.advance(after)
        return replace(renewed.request, prior=(renewed.certificate,))

    return build


def _altered(bench: Bench) -> PkiRequest:
    """An old renewal with another certificate beside the signer's, which no signature covers."""
    first = bench.enrolled(bench.renewal(bench.enrol()))
    bench.desk.advance(timedelta(days=2))
    forged = first.request.forged
    assert forged is not None
    beside = replace(forged, certificates=(forged.certificate, bench.authority_certificate))
    return replace(first.request.with_message(beside.encode()), prior=(first.certificate,))


def _third_time(bench: Bench) -> PkiRequest:
    build = repeated()(bench)
    demand(bench.send(build).status == "0", "the repetition was refused")
    return build


# -- waiting (N107, 1D-8 to 1D-11) -------------------------------------------------------


def waiting(bench: Bench, **options: Any) -> PkiRequest:
    """Send a request that a certificate manager has to approve, and return it."""
    request = bench.request(endpoint="manual", **options)
    demand(bench.send(request).status == "3", "the request is not pending")
    return request


def _waiting_identical(bench: Bench) -> PkiRequest:
    return waiting(bench)


def _waiting_anew(bench: Bench) -> PkiRequest:
    first = waiting(bench)
    assert first.csr is not None
    return bench.request(
        endpoint="manual",
        key=first.key,
        certificate=first.sent.certificate,
        csr={"key": first.csr.key, "subject": first.csr.subject},
        challenge=first.challenge,
    )


def _approved_identical(bench: Bench) -> PkiRequest:
    first = waiting(bench)
    bench.desk.approve(first.sent.transaction_id)
    issued = bench.enrolled(bench.poll(first, csr={"key": first.csr.key}))  # type: ignore[union-attr]
    return replace(first, prior=(issued.certificate,))


def poll(*, then: str = "", after_delivery: bool = False, **options: Any) -> Build:
    """Return a builder of a CertPoll; ``then`` is what the certificate manager did before."""

    def build(bench: Bench) -> PkiRequest:
        first = waiting(bench)
        assert first.csr is not None
        if then:
            getattr(bench.desk, then)(first.sent.transaction_id)
        made = {name: value(bench) if callable(value) else value for name, value in options.items()}
        asking = replace(bench.poll(first, **made), prior=(first.csr.key.spki,))
        if after_delivery:
            demand(bench.send(asking).status == "0", "the first poll got nothing")
        return asking

    return build


def _poll_by_another(bench: Bench) -> PkiRequest:
    first = waiting(bench)
    bench.desk.approve(first.sent.transaction_id)
    other = bench.request(challenge=None)
    return bench.poll(first, key=other.key, certificate=other.sent.certificate)


def _poll_elsewhere(bench: Bench) -> PkiRequest:
    first = waiting(bench)
    bench.desk.approve(first.sent.transaction_id)
    return bench.poll(first, endpoint="default")


def _poll_unknown(bench: Bench) -> PkiRequest:
    never = bench.request(challenge=None)
    return bench.poll(never)


def _poll_rows() -> Iterator[Row]:
    yield Row("N107", "unknown", _poll_unknown, NOT_FOUND)
    yield Row("N107", "other-signer", _poll_by_another, NOT_FOUND)
    yield Row("N107", "waiting", poll(), WAITING)
    yield Row("N107", "rejected", poll(then="deny"), BAD_REQUEST)
    delivered = Success(polled, recorded=False)
    yield Row("N107", "issued", poll(then="approve"), delivered)
    yield Row("N107", "issued-twice", poll(then="approve", after_delivery=True), delivered)
    bad = asn1.seq(common_name("Not Our CA"), common_name("not the subject"))
    yield Row("N107", "bad-names", poll(then="approve", plaintext=bad), delivered)
    of_ra = poll(then="approve", plaintext=_issuer_is_ra)
    yield Row("N107", "issuer-is-the-ra", of_ra, delivered)
    yield Row("N107", "empty-names", poll(plaintext=asn1.seq(asn1.seq(), asn1.seq())), WAITING)
    for case, plaintext in {
        "one-name": asn1.seq(common_name("x")),
        "three-names": asn1.seq(common_name("x"), common_name("y"), common_name("z")),
        "strings": asn1.seq(asn1.string(asn1.UTF8, "x"), asn1.string(asn1.UTF8, "y")),
        "empty-sequence": asn1.seq(),
    }.items():
        yield Row("N107", case, poll(then="approve", plaintext=plaintext), BAD_REQUEST)
    yield Row("N107", "empty-content", poll(then="approve", message={"content": b""}), BAD_REQUEST)
    yield Row("1D-8", "poll", poll(then="approve", after_delivery=True), delivered)
    yield Row("1D-9", "poll", poll(then="deny"), BAD_REQUEST)
    yield Row("1D-10", "poll", _poll_unknown, NOT_FOUND)
    yield Row("1D-11", "other-signer", _poll_by_another, NOT_FOUND)
    yield Row("1D-11", "other-endpoint", _poll_elsewhere, NOT_FOUND)


def _issuer_is_ra(bench: Bench) -> bytes:
    return asn1.seq(read_certificate(bench.encryption_certificate).subject, common_name("whoever"))


# -- collisions (N102, N104, 1D-4, 1D-6) -------------------------------------------------


def _collision(*, pending: bool = False, approved: bool = False) -> Build:
    def build(bench: Bench) -> PkiRequest:
        victim = waiting(bench) if pending else bench.enrol().request
        if approved:
            bench.desk.approve(victim.sent.transaction_id)
        return bench.request(endpoint=victim.endpoint, message={"transaction_id": victim.sent.transaction_id})

    return build


def _same_id_elsewhere(bench: Bench) -> PkiRequest:
    first = bench.enrol()
    return bench.request(endpoint="tolerant", message={"transaction_id": first.request.sent.transaction_id})


def _undisturbed(bench: Bench) -> PkiRequest:
    """The request that was collided with is granted all the same."""
    victim = waiting(bench)
    attack = bench.request(endpoint="manual", message={"transaction_id": victim.sent.transaction_id})
    demand(bench.send(attack).fail_info == 2, "the collision was not refused")
    bench.desk.approve(victim.sent.transaction_id)
    assert victim.csr is not None
    return replace(bench.poll(victim), prior=(victim.csr.key.spki,))


def _same_key_renewal(bench: Bench) -> PkiRequest:
    old = bench.enrol()
    again = bench.renewal(old, message_type=19, csr={"key": old.key})
    return replace(again, prior=(old.certificate,))


def _collision_rows() -> Iterator[Row]:
    yield Row("N102", "issued", _collision(), BAD_REQUEST)
    yield Row("N102", "waiting", _collision(pending=True), BAD_REQUEST)
    yield Row("N102", "approved", _collision(pending=True, approved=True), BAD_REQUEST)
    yield Row("N102", "undisturbed", _undisturbed, Success(polled, recorded=False))
    yield Row("N104", "other-endpoint", _same_id_elsewhere, Success())
    yield Row("1D-4", "same-key-renewal", _same_key_renewal, ANEW)
    yield Row("1D-6", "collision", _collision(), BAD_REQUEST)


ROWS: tuple[Row, ...] = (*_repetition_rows(), *_poll_rows(), *_collision_rows())

# Rows that need several clients at once; the test of that name asserts each.
CONVERSATIONS = {
    "N105": "test_two_clients_race_for_one_challenge",
    "N106": "test_identical_requests_at_once_share_one_certificate",
}
