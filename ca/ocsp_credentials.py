"""The OCSP responder's own certificates: asked for, kept, and replaced before they end.

A delegated responder answers in the name of one CA key with a certificate that this very key issued
(RFC 6960 4.2.2.2). Key and certificate are one file, so that no crash leaves halves that do not
belong together; several processes at one folder share it, and one of them renews it.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from . import der, extensions, oids
from .certificates import BadCertificate, CertificateInfo, read_certificate
from .errors import CaError, UnsupportedCertType
from .folders import PRIVATE, PkiUnreadable, pem_certificate, replace_file, to_pem
from .keys import PrivateKey, SigningKey, UnusableKey, generate_key
from .pkcs10 import parse_request, sign_request
from .records import AlreadyExists, StoreUnavailable

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: one responding process per folder
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path
    from typing import IO

    from .authority import CertificateAuthority
    from .clock import Clock
    from .extensions import Extension
    from .keys import KeyKind
    from .records import Store

TEMPLATE: Final = "OCSPResponseSigning"
REQUESTER: Final = "NDES-LAB-OCSP$"  # the account of the responder's machine, as AD CS would see it
_log = structlog.get_logger(__name__)
_PAUSE: Final = timedelta(minutes=1)  # between attempts to renew what is still good


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponderCredential:
    """What OCSP answers are signed with."""

    certificate: CertificateInfo
    key: SigningKey


class CredentialSource(Protocol):
    """Who knows what answers are signed with now."""

    def current(self) -> ResponderCredential:
        """Return the credential that is valid now.

        Raises:
            CaError, UnusableKey: there is none, and none can be had.
            StoreUnavailable: one would have to be issued, and the database cannot be used.

        """


class ResponderCredentials:
    """Keeps one credential in a file and renews it through the CA when its template says so.

    ``authority`` issues it, ``store`` remembers it like every certificate, ``passphrase`` encrypts
    its key. Safe to use from several threads, and from several processes with the same ``folder``.
    """

    def __init__(
        self,
        *,
        folder: Path,
        authority: CertificateAuthority,
        store: Store,
        clock: Clock,
        passphrase: bytes,
        key_kind: KeyKind,
        make_key: Callable[[KeyKind], PrivateKey] = generate_key,
    ) -> None:
        self.path = folder / f"{authority.issuer_key_id}.pem"
        self._authority = authority
        self._store = store
        self._clock = clock
        self._passphrase = passphrase
        self._key_kind = key_kind
        self._make_key = make_key
        self._renewing = threading.Lock()
        self._held: ResponderCredential | None = None
        self._next_attempt: datetime | None = None
        self._unused_key: PrivateKey | None = None

    def current(self) -> ResponderCredential:
        """Return the credential that is valid now, a new one if it is time.

        While the old one is still valid, one caller renews it and the others go on with the old one;
        failing to get a new one is logged and tried again a minute later.

        Raises:
            CaError, UnusableKey: there is none that is valid, and the CA issues none.
            StoreUnavailable: one must be issued, and the database cannot be used.

        """
        now = self._clock.now()
        held = self._held
        if held is not None and self._is_fresh(held, now):
            return held
        if held is None or not _is_valid(held.certificate, now):
            self._renewing.acquire()
        elif not self._renewing.acquire(blocking=False):
            return held
        try:
            return self._refresh(now)
        finally:
            self._renewing.release()

    def _refresh(self, now: datetime) -> ResponderCredential:
        held = self._held
        if held is not None and self._is_fresh(held, now):  # another thread was faster
            return held
        if held is None or not _is_valid(held.certificate, now):
            self._held = self._from_file_or_authority(now)
            return self._held
        if self._next_attempt is not None and now < self._next_attempt <= now + _PAUSE:
            return held
        try:
            self._held = held = self._from_file_or_authority(now)
            self._next_attempt = None
        except (CaError, UnusableKey, StoreUnavailable, AlreadyExists) as error:
            self._next_attempt = now + _PAUSE
            _log.warning(
                "OCSP responder certificate not renewed",
                reason=str(error),
                not_after=held.certificate.not_after.isoformat(),
            )
        return held

    # -- how long it is good -----------------------------------------------------------

    def _is_fresh(self, held: ResponderCredential, now: datetime) -> bool:
        return _is_valid(held.certificate, now) and now < self._renewal_due(held.certificate)

    def _renewal_due(self, certificate: CertificateInfo) -> datetime:
        """Return when to renew: the template's renewal period before the end, or half-way.

        A certificate that lasts as long as the CA's own gains nothing by renewal.
        """
        if certificate.not_after >= self._authority.certificate.not_after:
            return certificate.not_after
        template = self._authority.templates.find(TEMPLATE)
        half = (certificate.not_after - certificate.not_before) / 2
        period = half if template is None else min(half, template.renewal_period.about())
        return certificate.not_after - period

    # -- where it comes from -----------------------------------------------------------

    def _from_file_or_authority(self, now: datetime) -> ResponderCredential:
        with self._exclusively():
            found = self._read(now)
            if found is not None and self._is_fresh(found, now):
                return found
            return self._make()

    def _read(self, now: datetime) -> ResponderCredential | None:
        """Return what the file holds; None where there is none, or none that this CA key issued."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn("OCSP responder credential cannot be read", error.strerror)
            return None
        try:
            key = PrivateKey.from_pem(content, self._passphrase)
            certificate = read_certificate(pem_certificate(content))
            _check(certificate, key, self._authority.certificate)
        except (UnusableKey, PkiUnreadable, BadCertificate, extensions.BadExtension) as error:
            self._warn("OCSP responder credential is replaced", str(error))
            return None
        return ResponderCredential(certificate=certificate, key=key) if _is_valid(certificate, now) else None

    def _make(self) -> ResponderCredential:
        """Have a certificate issued, and keep it.

        Where it cannot be kept it is used all the same, until this process ends. A key whose
        certificate was refused is used for the next attempt: making one takes long.
        """
        key = self._unused_key = self._unused_key or self._make_key(self._key_kind)
        request = parse_request(sign_request(der.sequence(), key))
        with self._store.transaction() as transaction:
            prepared = self._authority.prepare(transaction, request, template=TEMPLATE, requester=REQUESTER)
            if not _may_sign_answers(prepared.tbs.extensions):
                raise UnsupportedCertType(f"template {TEMPLATE} has not the purpose OCSP Signing")
            issued = self._authority.issue(transaction, prepared)
        self._unused_key = None
        certificate = read_certificate(issued.der)
        try:
            content = key.encrypted_pem(self._passphrase) + to_pem(certificate.der)
            replace_file(self.path, content, mode=PRIVATE)
        except OSError as error:
            self._warn("OCSP responder credential cannot be kept", error.strerror)
        _log.info(
            "OCSP responder certificate issued",
            serial=f"{certificate.serial_number:x}",
            not_after=certificate.not_after.isoformat(),
        )
        return ResponderCredential(certificate=certificate, key=key)

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Keep other processes from renewing at once; a folder that cannot be written has no lock."""
        with contextlib.ExitStack() as stack:
            lock = self._lock_file()
            if lock is not None:
                stack.enter_context(lock)
                if fcntl is not None:
                    fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed, also by a crash
            yield

    def _lock_file(self) -> IO[bytes] | None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return (self.path.parent / ".lock").open("ab")
        except OSError as error:
            self._warn("OCSP responder credentials cannot be locked", error.strerror)
            return None

    def _warn(self, what: str, why: str | None) -> None:
        _log.warning(what, file=str(self.path), reason=why or "")


def _is_valid(certificate: CertificateInfo, now: datetime) -> bool:
    return certificate.not_before <= now < certificate.not_after


def _check(certificate: CertificateInfo, key: SigningKey, issuer: CertificateInfo) -> None:
    """Raise BadCertificate unless clients accept answers of this key for this issuer (RFC 6960 4.2.2.2)."""
    if certificate.public_key_der != key.public_key_der:
        raise BadCertificate("certificate and key do not belong together")
    if certificate.issuer_der != issuer.subject_der or certificate.authority_key_id != issuer.subject_key_id:
        raise BadCertificate("the certificate is not by the CA whose certificates are asked about")
    if not _may_sign_answers(certificate.extensions):
        raise BadCertificate("the certificate has no id-kp-OCSPSigning (RFC 6960 4.2.2.2)")


def _may_sign_answers(found: Iterable[Extension]) -> bool:
    purposes = extensions.find(found, oids.EXTENDED_KEY_USAGE)
    return purposes is not None and oids.OCSP_SIGNING in extensions.read_extended_key_usage(purposes.value)
