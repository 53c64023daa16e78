"""Certificates in the store: added, looked up, listed."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from sqlalchemy import Integer, Text, and_, bindparam, func, insert, select

from ca.records import CertificateRecord, CertificateStatus, Revocation, RevocationReason

from .rows import Rows, Statement
from .tables import (
    DIGEST_BEGINNING,
    certificate_digests,
    certificates,
    instant,
    instant_or_none,
    revocations,
    stored,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement

    from ca.records import CertificateFilter, NewCertificate

    from .rows import Values


def serial_text(serial_number: int) -> str:
    """Return a serial number as the store keeps it: lower-case hex without leading zeros."""
    return format(serial_number, "x")


_ESCAPE: Final = "/"  # of % and _ in LIKE
_REASONS = {reason.value: reason for reason in RevocationReason}

# A released hold stays in `revocations` for the delta CRLs' sake; the certificate is not revoked.
_CERTIFICATES = certificates.outerjoin(
    revocations,
    and_(
        revocations.c.certificate_id == certificates.c.id,
        revocations.c.reason != RevocationReason.REMOVE_FROM_CRL.value,
    ),
)
_FIXED = [
    "issuer_key_id",
    "serial_number",
    "subject",
    "template",
    "requester",
    "not_before",
    "not_after",
    "issued_at",
    "public_key_sha256",
    "sha1",
    "der",
]
_SELECT = select(
    certificates.c.id,
    *(certificates.c[name] for name in _FIXED),
    revocations.c.revoked_at,
    revocations.c.reason,
    revocations.c.invalidity_date,
).select_from(_CERTIFICATES)
_BY_ID = Statement(_SELECT.where(certificates.c.id == bindparam("wanted_id")))
_BY_SERIAL = Statement(
    _SELECT.where(
        certificates.c.issuer_key_id == bindparam("issuer_key"),
        certificates.c.serial_number == bindparam("serial"),
    )
)
_INSERT_DIGEST = Statement(insert(certificate_digests), ["beginning", "certificate_id"])
_HIGHEST = Statement(select(func.max(certificates.c.id)))
_INSERT = Statement(insert(certificates).returning(certificates.c.id), [*_FIXED, "subject_folded"])


class CertificateRows(Rows):
    """The certificate part of `ca.records.StoreTransaction`."""

    __slots__ = ()

    def add_certificate(self, certificate: NewCertificate, issued_at: datetime) -> CertificateRecord:
        """Remember an issued certificate; AlreadyExists when its key has issued that serial number."""
        row_id = self._insert(
            _INSERT,
            {
                "issuer_key_id": certificate.issuer_key_id,
                "serial_number": serial_text(certificate.serial_number),
                "subject": certificate.subject,
                "subject_folded": certificate.subject.casefold(),
                "template": certificate.template,
                "requester": certificate.requester,
                "not_before": stored(certificate.not_before),
                "not_after": stored(certificate.not_after),
                "issued_at": stored(issued_at),
                "public_key_sha256": certificate.public_key_sha256,
                "sha1": certificate.sha1,
                "der": certificate.der,
            },
        )
        digests = {one[:DIGEST_BEGINNING] for one in (certificate.public_key_sha256, certificate.sha1)}
        self._change_many(_INSERT_DIGEST, [{"beginning": one, "certificate_id": row_id} for one in digests])
        return CertificateRecord(
            id=row_id,
            issuer_key_id=certificate.issuer_key_id,
            serial_number=certificate.serial_number,
            subject=certificate.subject,
            template=certificate.template,
            requester=certificate.requester,
            not_before=certificate.not_before,
            not_after=certificate.not_after,
            issued_at=issued_at,
            public_key_sha256=certificate.public_key_sha256,
            sha1=certificate.sha1,
            der=certificate.der,
        )

    def next_certificate_id(self) -> int:
        """Return the id after the highest there is: what the next certificate gets, if nobody is faster."""
        row = self._hint(_HIGHEST, {})
        return (row[0] or 0) + 1 if row else 1

    def certificate(self, certificate_id: int) -> CertificateRecord | None:
        """Return the certificate with this id."""
        return _record_or_none(self._one(_BY_ID, {"wanted_id": certificate_id}))

    def certificate_by_serial(self, issuer_key_id: str, serial_number: int) -> CertificateRecord | None:
        """Return the certificate that this key issued under this serial number."""
        wanted = {"issuer_key": issuer_key_id, "serial": serial_text(serial_number)}
        return _record_or_none(self._one(_BY_SERIAL, wanted))

    def find_certificates(
        self, wanted: CertificateFilter, *, now: datetime, after_id: int = 0, limit: int = 100
    ) -> Sequence[CertificateRecord]:
        """Return at most ``limit`` matching certificates, oldest first, with ids above ``after_id``."""
        parameters = _parameters(wanted)
        statement = _search(tuple(parameters), wanted.status)
        page = {"now": stored(now), "after_id": after_id, "row_limit": limit}
        return [_record(row) for row in self._all(statement, {**parameters, **page})]

    def count_certificates(self, wanted: CertificateFilter, *, now: datetime) -> int:
        """Return how many certificates match."""
        parameters = _parameters(wanted)
        statement = _count(tuple(parameters), wanted.status)
        (row,) = self._all(statement, {**parameters, "now": stored(now)})
        return int(row[0])


def _parameters(wanted: CertificateFilter) -> dict[str, object]:
    """Return what a filter asks for, by parameter name; its status is not among it."""
    parameters: dict[str, object] = {
        name: value
        for name in ("template", "sha1", "public_key_sha256", "issuer_key_id")
        if (value := getattr(wanted, name)) is not None
    }
    if wanted.serial_number is not None:
        parameters["serial_number"] = serial_text(wanted.serial_number)
    if wanted.subject is not None:
        part = wanted.subject.casefold()
        for special in (_ESCAPE, "%", "_"):
            part = part.replace(special, _ESCAPE + special)
        parameters["subject_part"] = f"%{part}%"
    if wanted.expires_before is not None:
        parameters["expires_before"] = stored(wanted.expires_before)
    return parameters


@lru_cache(maxsize=256)
def _search(names: tuple[str, ...], status: CertificateStatus | None) -> Statement:
    query = _SELECT.where(*_conditions(names, status), certificates.c.id > bindparam("after_id"))
    return Statement(query.order_by(certificates.c.id).limit(bindparam("row_limit", type_=Integer)))


@lru_cache(maxsize=256)
def _count(names: tuple[str, ...], status: CertificateStatus | None) -> Statement:
    searched = certificates if status is None else _CERTIFICATES
    return Statement(select(func.count()).select_from(searched).where(*_conditions(names, status)))


def _conditions(names: tuple[str, ...], status: CertificateStatus | None) -> list[ColumnElement[bool]]:
    special = {
        "subject_part": certificates.c.subject_folded.like(bindparam("subject_part"), escape=_ESCAPE),
        "expires_before": certificates.c.not_after < bindparam("expires_before"),
        **{name: _has_digest(name) for name in ("sha1", "public_key_sha256")},
    }
    conditions = [
        special[name] if name in special else certificates.c[name] == bindparam(name) for name in names
    ]
    return conditions if status is None else [*conditions, *_has_status(status)]


def _has_digest(name: str) -> ColumnElement[bool]:
    """Return the condition on a digest, found by its beginning."""
    wanted = bindparam(name, type_=Text)
    found = select(certificate_digests.c.certificate_id).where(
        certificate_digests.c.beginning == func.substr(wanted, 1, DIGEST_BEGINNING, type_=Text)
    )
    return and_(certificates.c.id.in_(found), certificates.c[name] == wanted)


def _has_status(status: CertificateStatus) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions; validity runs through notAfter (RFC 5280 4.1.2.5), revoked outweighs expired."""
    if status is CertificateStatus.REVOKED:
        return (revocations.c.certificate_id.is_not(None),)
    expired = certificates.c.not_after < bindparam("now")
    return revocations.c.certificate_id.is_(
        None
    ), expired if status is CertificateStatus.EXPIRED else ~expired


def _record_or_none(row: Values | None) -> CertificateRecord | None:
    return None if row is None else _record(row)


def _record(row: Values) -> CertificateRecord:
    return CertificateRecord(
        id=row[0],
        issuer_key_id=row[1],
        serial_number=int(row[2], 16),
        subject=row[3],
        template=row[4],
        requester=row[5],
        not_before=instant(row[6]),
        not_after=instant(row[7]),
        issued_at=instant(row[8]),
        public_key_sha256=row[9],
        sha1=row[10],
        der=row[11],
        revocation=None if row[13] is None else revocation_of(*row[12:]),
    )


def revocation_of(revoked_at: int, reason: int, invalidity_date: int | None) -> Revocation:
    """Return the revocation that three columns hold."""
    return Revocation(
        revoked_at=instant(revoked_at),
        reason=_REASONS[reason],
        invalidity_date=instant_or_none(invalidity_date),
    )
