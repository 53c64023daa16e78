"""What the management API takes and gives: one set of models for server, client and ``--json``.

Instants are ISO 8601 in UTC; serial numbers and thumbprints are lower-case hex, as certutil has them.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    SerializationInfo,
)

from ca.records import (
    CertificateStatus,
    ChallengeKind,
    RequestStatus,
    RevocationReason,
)

if TYPE_CHECKING:
    from ca.records import CertificateRecord, ChallengeRecord, RequestRecord

ReasonName = Literal[
    "unspecified",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "certificateHold",
    "removeFromCRL",
    "privilegeWithdrawn",
    "aACompromise",
]
REASONS = {reason.rfc_name: reason for reason in RevocationReason}
PAGE_LIMIT = 1000
BULK_LIMIT = 5000


Id = Annotated[int, Field(ge=1, lt=1 << 63, description="A number, as lists show it", examples=[1])]
Selector = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="A certificate's number, serial number, or SHA-1 or SHA-256 thumbprint",
        examples=["5c000003"],
    ),
]


def _shown(secret: SecretStr, info: SerializationInfo) -> str:
    """Return what the context's function ``secret`` makes of a secret, and stars where there is none."""
    shown = info.context.get("secret") if isinstance(info.context, dict) else None
    return str(shown(secret.get_secret_value())) if callable(shown) else str(secret)


Secret = Annotated[SecretStr, PlainSerializer(_shown, when_used="json")]


class ApiModel(BaseModel):
    """What the management API takes or gives: nothing unknown, nothing changed, no input in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("the text holds the character NUL, which not every database can hold")
    return text


_Stored = Annotated[str, AfterValidator(_storable)]


# -- asked for -------------------------------------------------------------------------


class ChallengeOrder(ApiModel):
    """A challenge to be made."""

    kind: ChallengeKind = ChallengeKind.ONE_TIME
    validity_minutes: Annotated[int, Field(ge=1, le=100 * 366 * 24 * 60)] | Literal["default"] | None = Field(
        default="default", description="How long it is good; null: for ever; default: as the settings say"
    )
    subject: _Stored | None = Field(
        default=None, description="RFC 4514 text of the only subject it is good for"
    )
    template: _Stored | None = Field(default=None, description="Template the request is issued under")
    endpoint: _Stored | None = Field(default=None, description="Name of the only endpoint it is good for")
    label: Annotated[_Stored, Field(max_length=200)] = ""
    password: Annotated[Secret, Field(min_length=1, max_length=255)] | None = Field(
        default=None, description="The password itself; none: a random one"
    )


class CertificateOrder(ApiModel):
    """A certificate to be issued at the desk, without SCEP."""

    csr: Annotated[str, Field(max_length=100_000, description="The request: PKCS#10 in PEM")]
    template: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        default="SCEP-Client-Auth", description="Template it is issued under"
    )
    requester: Annotated[_Stored, Field(min_length=1, max_length=200)] = Field(
        default="Authenticated Users", description="Principal whose Enroll permission counts"
    )


class CertificateQuery(ApiModel):
    """Which certificates to list, and which page."""

    status: CertificateStatus | None = None
    template: str | None = Field(default=None, description="Name of the template it was issued under")
    subject: str | None = Field(default=None, description="Text that the subject holds, in any case")
    expiring_within_days: Annotated[int, Field(ge=0, le=36_500)] | None = None
    after_id: Annotated[int, Field(ge=0, lt=1 << 63, description="Number after which the page begins")] = 0
    limit: Annotated[int, Field(ge=1, le=PAGE_LIMIT)] = 100


class RevocationOrder(ApiModel):
    """A revocation; ``removeFromCRL`` takes a certificate off hold."""

    reason: ReasonName = "unspecified"
    revoked_at: datetime | None = Field(default=None, description="Revocation date; none: now")
    invalidity_date: datetime | None = None
    publish: Literal["base", "delta", "none"] = Field(
        default="base", description="CRL that is published at once; none: the next one that is due says so"
    )


class BulkEntry(ApiModel):
    """One of many revocations; ``removeFromCRL`` takes a certificate off hold."""

    selector: Annotated[str, Field(max_length=200, description="Serial number or thumbprint")]
    reason: ReasonName = "unspecified"
    revoked_at: datetime | None = None


class BulkOrder(ApiModel):
    """Many revocations, all or none."""

    entries: Annotated[tuple[BulkEntry, ...], Field(max_length=BULK_LIMIT)]
    dry_run: bool = Field(default=False, description="Only tell what would be in the way")


class CrlOrder(ApiModel):
    """A CRL to be published."""

    kind: Literal["base", "delta"] = "base"


class DenialOrder(ApiModel):
    """A denial of a request."""

    message: Annotated[_Stored, Field(min_length=1, max_length=200)] = "Denied by administrator"


class ChallengeQuery(ApiModel):
    """Which challenges to list."""

    usable: bool = Field(default=False, description="Only those that are still good for something")


class RequestQuery(ApiModel):
    """Which requests to list."""

    status: RequestStatus | None = None


class CrlQuery(ApiModel):
    """What to tell of CRLs."""

    pem: bool = Field(default=False, description="Also the CRLs themselves; they may be large")


# -- given -----------------------------------------------------------------------------


class ChallengeView(ApiModel):
    """A challenge, without its password."""

    id: int
    kind: ChallengeKind
    status: Literal["usable", "spent", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime | None
    spent_at: datetime | None
    revoked_at: datetime | None
    uses: int
    subject: str | None
    template: str | None
    endpoint: str | None
    label: str

    @classmethod
    def of(cls, record: ChallengeRecord, now: datetime) -> Self:
        """Return the view of a record as of ``now``."""
        status: Literal["usable", "spent", "expired", "revoked"] = "usable"
        if record.revoked_at is not None:
            status = "revoked"
        elif record.spent_at is not None:
            status = "spent"
        elif record.expires_at is not None and record.expires_at <= now:
            status = "expired"
        return cls(
            id=record.id,
            kind=record.kind,
            status=status,
            created_at=record.created_at,
            expires_at=record.expires_at,
            spent_at=record.spent_at,
            revoked_at=record.revoked_at,
            uses=record.uses,
            subject=record.subject,
            template=record.template,
            endpoint=record.endpoint,
            label=record.label,
        )


class NewChallengeView(ApiModel):
    """A challenge just made: the only time its password is seen."""

    password: str = Field(repr=False)
    challenge: ChallengeView


class CertificateView(ApiModel):
    """A certificate."""

    id: int
    serial_number: str
    subject: str
    template: str
    requester: str
    status: CertificateStatus
    not_before: datetime
    not_after: datetime
    issued_at: datetime
    revoked_at: datetime | None
    revocation_reason: ReasonName | None
    sha1: str
    pem: str = Field(repr=False)

    @classmethod
    def of(cls, record: CertificateRecord, now: datetime) -> Self:
        """Return the view of a record as of ``now``; revoked outweighs expired."""
        revocation = record.revocation
        status = CertificateStatus.VALID if now <= record.not_after else CertificateStatus.EXPIRED
        return cls(
            id=record.id,
            serial_number=f"{record.serial_number:x}",
            subject=record.subject,
            template=record.template,
            requester=record.requester,
            status=CertificateStatus.REVOKED if revocation else status,
            not_before=record.not_before,
            not_after=record.not_after,
            issued_at=record.issued_at,
            revoked_at=revocation.revoked_at if revocation else None,
            revocation_reason=_reason_name(revocation.reason) if revocation else None,
            sha1=record.sha1,
            pem=pem(record.der, "CERTIFICATE"),
        )


class ChallengeList(ApiModel):
    """Challenges, oldest first."""

    challenges: tuple[ChallengeView, ...]


class CertificatePage(ApiModel):
    """One page of certificates; ``next_after_id`` asks for the next one."""

    certificates: tuple[CertificateView, ...]
    total: int
    next_after_id: int | None


class RequestView(ApiModel):
    """A request for approval."""

    id: int
    status: RequestStatus
    subject: str
    template: str
    requester: str
    submitted_at: datetime
    resolved_at: datetime | None
    certificate_id: int | None
    disposition_message: str

    @classmethod
    def of(cls, record: RequestRecord) -> Self:
        """Return the view of a record."""
        return cls(
            id=record.id,
            status=record.status,
            subject=record.subject,
            template=record.template,
            requester=record.requester,
            submitted_at=record.submitted_at,
            resolved_at=record.resolved_at,
            certificate_id=record.certificate_id,
            disposition_message=record.disposition_message,
        )


class RequestList(ApiModel):
    """Requests for approval, oldest first."""

    requests: tuple[RequestView, ...]


class CrlView(ApiModel):
    """A CRL and where it is published."""

    issuer: str
    file: str
    kind: Literal["base", "delta"]
    url: str
    number: int
    base_number: int | None = Field(default=None, description="Of a delta CRL: the base it completes")
    this_update: datetime
    next_update: datetime
    next_publish: datetime | None
    entries: int
    pem: str | None = Field(default=None, repr=False, description="Itself, where that was asked for")


class CrlList(ApiModel):
    """The published CRLs, each base before its delta."""

    crls: tuple[CrlView, ...]


class BulkResult(ApiModel):
    """What became of one of many revocations; ``problem`` is empty where nothing is in the way."""

    certificate_id: int | None = None
    problem: str = ""


class BulkView(ApiModel):
    """What became of many revocations; ``applied`` is false when none of them was made."""

    results: tuple[BulkResult, ...]
    applied: bool


class RevokedView(ApiModel):
    """A certificate just revoked or taken off hold, and the CRL that says so, if one was published."""

    certificate: CertificateView
    crl: CrlView | None


class VersionView(ApiModel):
    """Which program answers."""

    name: str
    version: str


class StatusView(ApiModel):
    """How the lab is: ``ok``, or what keeps it from working."""

    status: str


class ErrorDetail(ApiModel):
    """What is wrong: a word for machines, AD CS's where it has one, and a sentence for people."""

    code: str
    message: str


class ErrorView(ApiModel):
    """An error."""

    error: ErrorDetail


def pem(der: bytes, label: str) -> str:
    """Return octets as PEM (RFC 7468)."""
    text = b64encode(der).decode()
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def _reason_name(reason: RevocationReason) -> ReasonName:
    name: ReasonName = reason.rfc_name  # type: ignore[assignment] # the literal lists them all
    return name
