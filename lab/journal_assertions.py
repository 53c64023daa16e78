"""Assertions about what a lab's journal has of a client: issued, refused, asked again.

Each raises AssertionError with what was found, what was expected, and why the lab did what it did.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

from scep_server.protocol.codec import ScepCodec
from scep_server.protocol.errors import MessageError, Unanswerable

from .conformance import expect

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from .journal import IssuedCertificate, JournalEntry


def assert_issued(
    entry: JournalEntry, *, subject: str | None = None, message_type: str | None = None
) -> IssuedCertificate:
    """Assert that a certificate was issued in this exchange, and return it.

    ``subject`` is that of the certificate, ``message_type`` the request's in RFC 8894's words.
    """
    certificate = entry.certificate
    if certificate is None:
        raise AssertionError(f"no certificate was issued: {told(entry)}")
    _expect_said("the subject", certificate.subject, subject, entry)
    _expect_said("messageType", entry.message_type, message_type, entry)
    return certificate


def assert_refused(entry: JournalEntry, *, by: str | None = None, fail_info: str | None = None) -> None:
    """Assert that this exchange was refused.

    ``by`` is the id of the check or error that refused it, such as ``challenge-unknown``; ``fail_info`` is
    the CertRep's in RFC 8894's words, such as ``badRequest``.
    """
    expect(not entry.verdict.accepted, f"the request was not refused: {told(entry)}")
    _expect_said("what refused it", entry.verdict.refused_by, by, entry)
    _expect_said("failInfo", entry.verdict.fail_info, fail_info, entry)


def assert_pending(entry: JournalEntry) -> None:
    """Assert that this exchange was answered with PENDING (RFC 8894 3.2.1.3)."""
    expect(entry.verdict.pki_status == "PENDING", f"the request is not PENDING: {told(entry)}")


def assert_retried(entries: Iterable[JournalEntry], *, times: int = 1) -> None:
    """Assert that the client asked for one thing again exactly ``times``.

    One thing are PKIOperations with one transactionID, and all else that is the same, octet for octet.
    Pass a part of a journal, such as ``journal.find(operation="PKIOperation")``, for less than all of it.
    """
    asked = Counter(_things(list(entries)))
    found = max(asked.values(), default=0) - 1
    expect(asked, "the client asked for nothing at all")
    expect(
        found == times,
        f"the client asked for one thing again {found} times, expected {times}; it asked for {len(asked)}",
    )


def told(entry: JournalEntry) -> str:
    """Return what was asked and answered, and why, in a line."""
    verdict = entry.verdict
    parts = [f"exchange {entry.number}, {entry.what}, was answered with {verdict.word}"]
    if verdict.refused_by is not None:
        parts.append(f"refused by {verdict.refused_by}: {verdict.detail}")
    if entry.faults:
        parts.append(f"changed by {', '.join(applied.fault_id for applied in entry.faults)}")
    return "; ".join(parts)


def _things(entries: list[JournalEntry]) -> Iterator[Hashable]:
    """Yield what each exchange asked for.

    A server that refuses on arrival reads no body: what is posted to the same place next is what was sent.
    """
    following: dict[Hashable, Hashable] = {}
    for entry in reversed(entries):
        place = entry.request.method, entry.request.target
        unread = entry.request.method == "POST" and not entry.request.body
        what: Hashable = _transaction_id(entry) or (*place, entry.request.body)
        if unread:
            what = following.get(place, what)
        following[place] = what
        yield what


def _transaction_id(entry: JournalEntry) -> str | None:
    """Return the transactionID, also where a fault kept the message from being read."""
    if entry.transaction_id is None and entry.message is not None:
        with contextlib.suppress(MessageError, Unanswerable):
            return ScepCodec().parse(entry.message).transaction_id
    return entry.transaction_id


def _expect_said(what: str, found: str | None, expected: str | None, entry: JournalEntry) -> None:
    if expected is not None and found != expected:
        raise AssertionError(f"{what} is {found!r}, expected {expected!r}: {told(entry)}")
