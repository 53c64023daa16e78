"""What a CA remembers, as frozen values, and the store it is kept in, as a protocol.

Rows and database sessions never leave `ca.store`; these values do. Every instant is aware and in
UTC. Digests are lower-case hex.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from .crls import EncodedEntry


class RevocationReason(Enum):
    """CRLReason (RFC 5280 5.3.1)."""

    rfc_name: str

    def __new__(cls, value: int, rfc_name: str) -> Self:
        member = object.__new__(cls)
        member._value_ = value
        member.rfc_name = rfc_name
        return member

    UNSPECIFIED = 0, "unspecified"
    KEY_COMPROMISE = 1, "keyCompromise"
    CA_COMPROMISE = 2, "cACompromise"
    AFFILIATION_CHANGED = 3, "affiliationChanged"
    SUPERSEDED = 4, "superseded"
    CESSATION_OF_OPERATION = 5, "cessationOfOperation"
    CERTIFICATE_HOLD = 6, "certificateHold"
    REMOVE_FROM_CRL = 8, "removeFromCRL"
    PRIVILEGE_WITHDRAWN = 9, "privilegeWithdrawn"
    AA_COMPROMISE = 10, "aACompromise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """That and why a certificate is revoked."""

    revoked_at: datetime
    reason: RevocationReason
    invalidity_date: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCertificate:
    """An issued certificate on its way into the store."""

    issuer_key_id: str  # SubjectKeyIdentifier of the issuing key, hex
    serial_number: int
    subject: str  # RFC 4514 text, for people and filters
    template: str
    requester: str
    not_before: datetime
    not_after: datetime
    public_key_sha256: str  # of the SubjectPublicKeyInfo
    sha1: str  # thumbprint
    der: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecord(NewCertificate):
    """A certificate in the store."""

    id: int
    issued_at: datetime
    revocation: Revocation | None = None


class CertificateStatus(Enum):
    """What `cert list` filters by; EXPIRED wins over nothing, REVOKED over EXPIRED."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFilter:
    """Which certificates to list; None means any."""

    status: CertificateStatus | None = None
    template: str | None = None
    subject: str | None = None  # case-insensitive part of the RFC 4514 text
    serial_number: int | None = None
    sha1: str | None = None
    public_key_sha256: str | None = None
    expires_before: datetime | None = None
    issuer_key_id: str | None = None


class ChallengeKind(Enum):
    """How often and for whom a challenge password is good."""

    ONE_TIME = "one-time"
    STATIC = "static"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChallenge:
    """A challenge password on its way into the store: never the password, a keyed digest of it."""

    digest: str  # HMAC-SHA-256 of the password octets, hex; unique among all challenges
    kind: ChallengeKind
    created_at: datetime
    expires_at: datetime | None
    subject: str | None = None  # RFC 4514 text the request's subject must equal; None: any
    template: str | None = None  # template the request is issued under; None: the endpoint's
    endpoint: str | None = None  # endpoint it is good for; None: any
    label: str = ""
    sealed: bytes | None = field(default=None, repr=False)  # password, encrypted, only where pwri needs it


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeRecord(NewChallenge):
    """A challenge in the store."""

    id: int
    spent_at: datetime | None = None
    revoked_at: datetime | None = None
    uses: int = 0


class RequestStatus(Enum):
    """Where a request for approval stands."""

    PENDING = "pending"
    ISSUED = "issued"
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """A certificate request that waits for a certificate manager."""

    csr: bytes = field(repr=False)  # PKCS#10 as received
    subject: str
    template: str
    requester: str
    public_key_sha256: str
    submitted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord(NewRequest):
    """A request in the store."""

    id: int
    status: RequestStatus
    resolved_at: datetime | None = None
    certificate_id: int | None = None
    disposition_message: str = ""


class TransactionStatus(Enum):
    """Where a SCEP transaction stands (RFC 8894 2.2: there is no record of a failed one)."""

    ISSUED = "issued"
    PENDING = "pending"
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTransaction:
    """What makes a repeated request recognisable.

    ``endpoint`` and ``transaction_id`` name the transaction; the highest ``generation`` is the one
    that counts (a same-key renewal reuses the transactionID, see sscep and certmonger).
    """

    endpoint: str
    transaction_id: str
    generation: int
    status: TransactionStatus
    message_type: int
    message_sha256: str  # of what the message's signature covers, by which a repetition is known
    public_key_sha256: str  # of the CSR's key
    signer_key_sha256: str
    signer_sha256: str  # of the signer certificate
    challenge_id: int | None
    certificate_id: int | None
    request_id: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionRecord(NewTransaction):
    """A transaction in the store."""

    id: int


class CrlKind(Enum):
    """Complete or delta CRL."""

    BASE = "base"
    DELTA = "delta"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlSummary:
    """What is known of a CRL without its octets, which may be many.

    Base and delta CRLs of one key share one counter; those signed together have the same number.
    """

    issuer_key_id: str
    number: int
    kind: CrlKind
    this_update: datetime
    next_update: datetime
    next_publish: datetime
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlRecord(CrlSummary):
    """A signed CRL."""

    der: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedEntry:
    """One revokedCertificates entry to be; what a CRL needs and nothing more."""

    serial_number: int
    revocation: Revocation
    not_after: datetime


class AlreadyExists(Exception):
    """A unique value is taken: a serial number, a challenge digest, or a transaction generation.

    The database transaction it happened in is lost; begin again and look.
    """


class StoreUnavailable(Exception):
    """The database cannot be used now; the text says why. Nothing of the transaction was kept."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What a transaction has read, in the store's own terms; for `StoreTransaction.finds_again` alone."""

    reads: list[tuple[Any, ...]] = field(default_factory=list, repr=False)


class StoreTransaction(Protocol):
    """The store within one database transaction.

    Writers are serialised where it matters: `spend_challenge` succeeds for exactly one caller, and
    two transactions cannot both add the same (endpoint, transaction_id, generation).
    """

    # what is decided in one transaction and carried out in another
    def take_notes(self) -> Notes: ...
    def finds_again(self, notes: Notes) -> bool: ...

    # certificates
    def add_certificate(self, certificate: NewCertificate, issued_at: datetime) -> CertificateRecord: ...
    def next_certificate_id(self) -> int: ...
    def certificate(self, certificate_id: int) -> CertificateRecord | None: ...
    def certificate_by_serial(self, issuer_key_id: str, serial_number: int) -> CertificateRecord | None: ...
    def find_certificates(
        self, wanted: CertificateFilter, *, now: datetime, after_id: int = 0, limit: int = 100
    ) -> Sequence[CertificateRecord]: ...
    def count_certificates(self, wanted: CertificateFilter, *, now: datetime) -> int: ...
    def lock_revocations(self) -> None: ...
    def revoke(self, certificate_id: int, revocation: Revocation) -> None: ...
    def release_hold(self, certificate_id: int) -> None: ...
    def revoke_many(self, wanted: Iterable[tuple[CertificateRecord, Revocation]]) -> None: ...

    # CRLs
    def revoked_entries(self, issuer_key_id: str, *, not_expired_at: datetime) -> Sequence[RevokedEntry]: ...
    def encoded_entries(self, issuer_key_id: str, *, not_expired_at: datetime) -> Iterator[EncodedEntry]: ...
    def changed_entries(
        self, issuer_key_id: str, *, since_crl_number: int, not_expired_at: datetime
    ) -> Iterator[EncodedEntry]: ...
    def next_crl_number(self, issuer_key_id: str) -> int: ...
    def add_crl(self, crl: CrlRecord) -> None: ...
    def latest_crl(self, issuer_key_id: str, kind: CrlKind) -> CrlRecord | None: ...
    def crl_summaries(self, issuer_key_id: str, kind: CrlKind) -> Sequence[CrlSummary]: ...

    # what is forgotten in the course of time
    def forget_crls(self, *, superseded_kept: int) -> int: ...
    def outlived_scep_transactions(self, *, created_before: datetime) -> Sequence[int]: ...
    def forget_scep_transactions(self, record_ids: Iterable[int]) -> int: ...
    def overdue_requests(self, *, submitted_before: datetime) -> Sequence[int]: ...
    def outlived_requests(self, *, resolved_before: datetime) -> Sequence[int]: ...
    def forget_requests(self, request_ids: Iterable[int]) -> int: ...
    def outlived_challenges(self, *, given_up_before: datetime) -> Sequence[int]: ...
    def forget_challenges(self, challenge_ids: Iterable[int]) -> int: ...

    # challenges
    def add_challenge(self, challenge: NewChallenge) -> ChallengeRecord: ...
    def challenge_by_digest(self, digest: str) -> ChallengeRecord | None: ...
    def challenge(self, challenge_id: int) -> ChallengeRecord | None: ...
    def spend_challenge(self, challenge_id: int, at: datetime) -> bool: ...
    def revoke_challenge(self, challenge_id: int, at: datetime) -> bool: ...
    def challenges(self, *, usable_at: datetime | None = None) -> Sequence[ChallengeRecord]: ...
    def count_challenges(self, *, usable_at: datetime, label: str | None = None) -> int: ...

    # requests that wait for approval
    def add_request(self, request: NewRequest) -> RequestRecord: ...
    def request(self, request_id: int) -> RequestRecord | None: ...
    def requests(self, status: RequestStatus | None = None) -> Sequence[RequestRecord]: ...
    def add_request_origin(self, request_id: int, *, endpoint: str, client_address: str) -> None: ...
    def count_waiting(self, endpoint: str, *, client_address: str | None = None) -> int: ...
    def resolve_request(
        self,
        request_id: int,
        status: RequestStatus,
        *,
        at: datetime,
        certificate_id: int | None = None,
        disposition_message: str = "",
    ) -> bool: ...

    # SCEP transactions
    def scep_transaction(self, endpoint: str, transaction_id: str) -> TransactionRecord | None: ...
    def repeated_scep_transaction(
        self, endpoint: str, transaction_id: str, message_sha256: str
    ) -> TransactionRecord | None: ...
    def add_scep_transaction(self, transaction: NewTransaction) -> TransactionRecord: ...
    def scep_transactions_of_request(self, request_id: int) -> Sequence[TransactionRecord]: ...
    def update_scep_transaction(
        self, record_id: int, status: TransactionStatus, *, certificate_id: int | None = None
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreContents:
    """The rows of each table by its name, ordered by primary key, as the tables keep values."""

    rows: Mapping[str, Sequence[Mapping[str, Any]]] = field(repr=False)


class Duty(Protocol):
    """What one of the processes at a database does for all; another takes over when that one dies."""

    def take(self) -> bool:
        """Take the duty if nobody else has it, and tell whether it is ours; raises StoreUnavailable."""

    def leave(self) -> None:
        """Let another have it."""


class Store(Protocol):
    """Where a CA remembers; the only implementation is `ca.store.SqlStore`."""

    @property
    def publishing(self) -> Duty:
        """The duty of signing CRLs when they are due."""

    def transaction(self) -> AbstractContextManager[StoreTransaction]:
        """Begin a writing transaction; commits on leaving, rolls back on any exception.

        Raises:
            AlreadyExists: a unique value is taken (also at commit).
            StoreUnavailable: the database cannot be used; nothing was kept.

        """

    def reading(self) -> AbstractContextManager[StoreTransaction]:
        """Begin a read-only transaction: one consistent snapshot, never waits for a writer."""

    def contents(self) -> StoreContents:
        """Return every row there is, to come back to by `reset`."""

    def reset(self, to: StoreContents | None = None) -> None:
        """Forget everything, or all but ``to``; the schema stays."""

    def close(self) -> None:
        """Close every connection."""
