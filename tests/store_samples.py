"""Records for tests of the store, and a stream of enrolments that a process can be killed in.

Run as a program it enrols until it is killed: ``python store_samples.py URL FIRST``, one line for each
enrolment, written after its transaction has committed.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ca.records import (
    ChallengeKind,
    CrlKind,
    CrlRecord,
    NewCertificate,
    NewChallenge,
    NewRequest,
    NewTransaction,
    Revocation,
    RevocationReason,
    TransactionStatus,
)
from ca.store import SqlStore

if TYPE_CHECKING:
    from ca.records import StoreTransaction

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
ISSUER = "ab" * 20
OTHER_ISSUER = "cd" * 20
HOLD = Revocation(revoked_at=NOW, reason=RevocationReason.CERTIFICATE_HOLD)
COMPROMISE = Revocation(
    revoked_at=NOW, reason=RevocationReason.KEY_COMPROMISE, invalidity_date=NOW - timedelta(days=3)
)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def new_certificate(number: int, **changes: object) -> NewCertificate:
    certificate = NewCertificate(
        issuer_key_id=ISSUER,
        serial_number=(0x47 << 144) + number,
        subject=f"CN=device-{number},O=Example",
        template="SCEP-Client-Auth",
        requester="scep",
        not_before=NOW,
        not_after=NOW + timedelta(days=365),
        public_key_sha256=digest(f"key {number}"),
        sha1=digest(f"certificate {number}")[:40],
        der=b"0" * 1000 + number.to_bytes(8, "big"),
    )
    return replace(certificate, **changes)  # type: ignore[arg-type]


def new_challenge(text: str, **changes: object) -> NewChallenge:
    challenge = NewChallenge(
        digest=digest(text), kind=ChallengeKind.ONE_TIME, created_at=NOW, expires_at=NOW + timedelta(hours=1)
    )
    return replace(challenge, **changes)  # type: ignore[arg-type]


def new_request(number: int) -> NewRequest:
    return NewRequest(
        csr=b"csr %d" % number,
        subject=f"CN=device-{number}",
        template="SCEP-Client-Auth",
        requester="scep",
        public_key_sha256=digest(f"key {number}"),
        submitted_at=NOW,
    )


def new_transaction(transaction_id: str, **changes: object) -> NewTransaction:
    transaction = NewTransaction(
        endpoint="default",
        transaction_id=transaction_id,
        generation=1,
        status=TransactionStatus.ISSUED,
        message_type=19,
        message_sha256=digest("message"),
        public_key_sha256=digest("key"),
        signer_key_sha256=digest("signer key"),
        signer_sha256=digest("signer"),
        challenge_id=None,
        certificate_id=None,
        request_id=None,
        created_at=NOW,
    )
    return replace(transaction, **changes)  # type: ignore[arg-type]


def crl(number: int, kind: CrlKind, issuer_key_id: str = ISSUER) -> CrlRecord:
    return CrlRecord(
        issuer_key_id=issuer_key_id,
        number=number,
        kind=kind,
        this_update=NOW,
        next_update=NOW + timedelta(days=8),
        next_publish=NOW + timedelta(days=7),
        entries=12,
        der=b"crl %d" % number,
    )


def assert_same(record: object, given: object) -> None:
    """Assert that a record has every field of what it was made of."""
    assert {field.name: getattr(record, field.name) for field in fields(given)} == {  # type: ignore[arg-type]
        field.name: getattr(given, field.name)
        for field in fields(given)  # type: ignore[arg-type]
    }


def enrol(transaction: StoreTransaction, number: int) -> None:
    """Do what one enrolment does to the store."""
    challenge = transaction.challenge_by_digest(digest(f"password {number}"))
    if challenge is None:
        challenge = transaction.add_challenge(new_challenge(f"password {number}"))
    if not transaction.spend_challenge(challenge.id, NOW):
        raise RuntimeError("the challenge is spent")
    certificate = transaction.add_certificate(new_certificate(number), NOW)
    transaction.add_scep_transaction(
        new_transaction(f"id {number}", challenge_id=challenge.id, certificate_id=certificate.id)
    )


def _enrol_for_ever(url: str, number: int) -> None:
    store = SqlStore.open(url)
    while True:
        with store.transaction() as transaction:
            transaction.add_challenge(new_challenge(f"password {number}"))
        with store.transaction() as transaction:
            enrol(transaction, number)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        number += 1


if __name__ == "__main__":
    _enrol_for_ever(sys.argv[1], int(sys.argv[2]))
