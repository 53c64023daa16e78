"""Certificates in the store: added, looked up, listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, and_, bindparam, func, insert, select

from ca.records import CertificateRecord, CertificateStatus, Revocation, RevocationReason

from .rows import Rows
from .tables import certificates, revocations

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Row

    from ca.records import CertificateFilter, NewCertificate


def serial_text(serial_number: int) -> str:
    """Return a serial number as the store keeps it: lower-case hex without leading zeros."""
    return format(serial_number, "x")


# A released hold stays in `revocations` for the delta CRLs' sake; the certificate is not revoked.
_CERTIFICATES = certificates.outerjoin(
    revocations,
    and_(
        revocations.c.certificate_id == certificates.c.id,
        revocations.c.reason != RevocationReason.REMOVE_FROM_CRL.value,
    ),
)
_COLUMNS = (
    *(column for column in certificates.c if column.name != "subject_folded"),
    revocations.c.revoked_at,
    revocations.c.reason,
    revocations.c.invalidity_date,
)
_SELECT = select(*_COLUMNS).select_from(_CERTIFICATES)
_BY_ID = _SELECT.where(certificates.c.id == bindparam("certificate_id"))
_BY_SERIAL = _SELECT.where(
    certificates.c.issuer_key_id == bindparam("issuer_key"),
    certificates.c.serial_number == bindparam("serial"),
)
_INSERT = insert(certificates)
_REASONS = {reason.value: reason for reason in RevocationReason}


class CertificateRows(Rows):
    """The certificate part of `ca.records.StoreTransaction`."""

    __slots__ = ()

    def add_certificate(self, certificate: NewCertificate, issued_at: datetime) -> CertificateRecord:
        """Remember an issued certificate; AlreadyExists when its key has issued that serial number."""
        values: dict[str, Any] = {
            "issuer_key_id": certificate.issuer_key_id,
            "subject": certificate.subject,
            "template": certificate.template,
            "requester": certificate.requester,
            "not_before": certificate.not_before,
            "not_after": certificate.not_after,
            "public_key_sha256": certificate.public_key_sha256,
            "sha1": certificate.sha1,
            "der": certificate.der,
        }
        stored = {
            **values,
            "serial_number": serial_text(certificate.serial_number),
            "subject_folded": certificate.subject.casefold(),
            "issued_at": issued_at,
        }
        row_id = self._insert(_INSERT, stored)
        return CertificateRecord(
            id=row_id, serial_number=certificate.serial_number, issued_at=issued_at, **values
        )

    def certificate(self, certificate_id: int) -> CertificateRecord | None:
        """Return the certificate with this id."""
        return _record_or_none(self._one(_BY_ID, {"certificate_id": certificate_id}))

    def certificate_by_serial(self, issuer_key_id: str, serial_number: int) -> CertificateRecord | None:
        """Return the certificate that this key issued under this serial number."""
        wanted = {"issuer_key": issuer_key_id, "serial": serial_text(serial_number)}
        return _record_or_none(self._one(_BY_SERIAL, wanted))

    def find_certificates(
        self, wanted: CertificateFilter, *, now: datetime, after_id: int = 0, limit: int = 100
    ) -> Sequence[CertificateRecord]:
        """Return at most ``limit`` matching certificates, oldest first, with ids above ``after_id``."""
        statement = _filtered(_SELECT, wanted, now).where(certificates.c.id > after_id)
        return [_record(row) for row in self._all(statement.order_by(certificates.c.id).limit(limit))]

    def count_certificates(self, wanted: CertificateFilter, *, now: datetime) -> int:
        """Return how many certificates match."""
        statement = select(func.count()).select_from(certificates if wanted.status is None else _CERTIFICATES)
        (row,) = self._all(_filtered(statement, wanted, now))
        return int(row[0])


def _filtered(
    statement: Select[*tuple[Any, ...]], wanted: CertificateFilter, now: datetime
) -> Select[*tuple[Any, ...]]:
    equal: dict[ColumnElement[Any], object] = {
        certificates.c.template: wanted.template,
        certificates.c.sha1: wanted.sha1,
        certificates.c.public_key_sha256: wanted.public_key_sha256,
        certificates.c.issuer_key_id: wanted.issuer_key_id,
        certificates.c.serial_number: None
        if wanted.serial_number is None
        else serial_text(wanted.serial_number),
    }
    statement = statement.where(*(column == value for column, value in equal.items() if value is not None))
    if wanted.subject is not None:
        part = wanted.subject.casefold()
        statement = statement.where(certificates.c.subject_folded.contains(part, autoescape=True))
    if wanted.expires_before is not None:
        statement = statement.where(certificates.c.not_after < wanted.expires_before)
    if wanted.status is not None:
        statement = statement.where(*_has_status(wanted.status, now))
    return statement


def _has_status(status: CertificateStatus, now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions; validity runs through notAfter (RFC 5280 4.1.2.5), revoked outweighs expired."""
    if status is CertificateStatus.REVOKED:
        return (revocations.c.certificate_id.is_not(None),)
    within = (
        certificates.c.not_after >= now
        if status is CertificateStatus.VALID
        else certificates.c.not_after < now
    )
    return revocations.c.certificate_id.is_(None), within


def _record_or_none(row: Row[Any] | None) -> CertificateRecord | None:
    return None if row is None else _record(row)


def _record(row: Row[Any]) -> CertificateRecord:
    return CertificateRecord(
        id=row.id,
        issuer_key_id=row.issuer_key_id,
        serial_number=int(row.serial_number, 16),
        subject=row.subject,
        template=row.template,
        requester=row.requester,
        not_before=row.not_before,
        not_after=row.not_after,
        issued_at=row.issued_at,
        public_key_sha256=row.public_key_sha256,
        sha1=row.sha1,
        der=row.der,
        revocation=revocation_of(row),
    )


def revocation_of(row: Row[Any]) -> Revocation | None:
    """Return the revocation in a row that has its three columns."""
    if row.reason is None:
        return None
    return Revocation(
        revoked_at=row.revoked_at, reason=_REASONS[row.reason], invalidity_date=row.invalidity_date
    )
