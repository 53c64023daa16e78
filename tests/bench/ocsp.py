"""OCSP answers per second of one process, with and without signatures that are used again.

``bench_ocsp(count)`` asks the responder itself, in one thread, without HTTP. What a request costs is
all there: reading it, looking the certificate up in SQLite, and signing where that is due.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha1, sha256
from pathlib import Path

from ca import der
from ca.ceremony import hold_ceremony
from ca.clock import SystemClock
from ca.folders import PkiFolder
from ca.ocsp import CertStatus, issuer_identifiers
from ca.ocsp_responder import OcspResponder, ServedIssuer
from ca.opening import open_authority, open_ocsp_credentials, open_store
from ca.records import NewCertificate, Revocation, RevocationReason
from ca.settings import OcspSettings, PkiSettings

_SHA1 = "1.3.14.3.2.26"
_FIRST = 0x47 << 144  # serial numbers as long as real ones


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspFigures:
    """Answers per second. ``signed``: every one is; ``reused``: every one has been signed before."""

    key: str
    certificates: int
    signed: float
    reused: float

    def __str__(self) -> str:
        return (
            f"OCSP answers per second, one process, {self.key}, {self.certificates} certificates: "
            f"{self.signed:,.0f} signed, {self.reused:,.0f} with signatures used again"
        )


def bench_ocsp(count: int = 2000, *, key: str = "rsa-2048") -> OcspFigures:
    """Return the figures over ``count`` certificates, every tenth of them revoked."""
    with tempfile.TemporaryDirectory() as folder:
        return _bench(PkiFolder(Path(folder) / "pki"), count, key)


def _bench(folder: PkiFolder, count: int, key: str) -> OcspFigures:
    settings = PkiSettings(ocsp=OcspSettings.model_validate({"key": key, "remembered_answers": count}))
    clock = SystemClock()
    hold_ceremony(folder, settings, clock=clock, entropy=os.urandom, durable=False)
    store = open_store(folder, settings, durable=False)
    try:
        authority = open_authority(folder, settings, clock=clock, entropy=os.urandom)
        with store.transaction() as transaction:
            for number in range(count):
                record = transaction.add_certificate(
                    _certificate(authority.issuer_key_id, number), datetime.now(UTC)
                )
                if number % 10 == 0:
                    revocation = Revocation(revoked_at=datetime.now(UTC), reason=RevocationReason.SUPERSEDED)
                    transaction.revoke(record.id, revocation)
        credentials = open_ocsp_credentials(folder, settings, authority=authority, store=store, clock=clock)
        credentials.current()
        responder = OcspResponder(
            issuers=[ServedIssuer(certificate=authority.certificate, credentials=credentials)],
            store=store,
            clock=clock,
            settings=settings.ocsp,
            clock_skew=settings.clock_skew,
        )
        issuer = next(each for each in issuer_identifiers(authority.certificate) if each[0] == _SHA1)
        requests = [_request(issuer, number) for number in range(count)]
        signed = _answers_per_second(responder, requests)
        reused = _answers_per_second(responder, requests)
    finally:
        store.close()
    return OcspFigures(key=key, certificates=count, signed=signed, reused=reused)


def _answers_per_second(responder: OcspResponder, requests: Iterable[bytes]) -> float:
    statuses: list[CertStatus] = []
    began = time.perf_counter()
    for request in requests:
        statuses += responder.answer(request).cert_statuses
    seconds = time.perf_counter() - began
    expected = [CertStatus.REVOKED if n % 10 == 0 else CertStatus.GOOD for n in range(len(statuses))]
    if not statuses or statuses != expected:
        raise RuntimeError("the responder did not answer what it should have")
    return len(statuses) / seconds


def _certificate(issuer_key_id: str, number: int) -> NewCertificate:
    octets = number.to_bytes(1200, "big")  # as long as a real one; nobody reads it
    return NewCertificate(
        issuer_key_id=issuer_key_id,
        serial_number=_FIRST + number,
        subject=f"CN=device-{number},O=Example",
        template="SCEP-Client-Auth",
        requester="device",
        not_before=datetime.now(UTC),
        not_after=datetime.now(UTC) + timedelta(days=365),
        public_key_sha256=sha256(octets).hexdigest(),
        sha1=sha1(octets, usedforsecurity=False).hexdigest(),
        der=octets,
    )


def _request(issuer: tuple[str, bytes, bytes], number: int) -> bytes:
    oid, name_hash, key_hash = issuer
    cert_id = der.sequence(
        der.sequence(der.oid(oid), der.null()),
        der.octet_string(name_hash),
        der.octet_string(key_hash),
        der.integer(_FIRST + number),
    )
    return der.sequence(der.sequence(der.sequence(der.sequence(cert_id))))
