"""NDES's desk of a world in this process, or of a folder that no process serves."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, get_args

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.certificates import BadCertificate, read_certificate
from ca.errors import CaError
from ca.extensions import BadExtension, read_template
from ca.folders import PkiUnreadable, read_certificate_file
from ca.keys import PrivateKey, UnusableKey
from ca.records import StoreUnavailable
from ca.registration import RaFiles, RaRole, RegistrationDesk
from ca.templates import BadTemplate
from scep_server.ndes.event_log import read_event_file
from scep_server.ndes.logs import event_file, iis_folder, trace_file
from scep_server.ra_standing import RaUnusable, standing_of

from .desk import DeskRefused, DeskUnavailable, Invalid
from .models import pem
from .ndes import (
    LINES_AT_ONCE,
    ROLES,
    EventView,
    IssuedRaView,
    LogLineView,
    RaCertificateView,
    Standing,
    TraceLineView,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ca.certificates import CertificateInfo
    from lab.world import World

    from .ndes import RaOrder, RaReplacement, RoleName

_TRACE_LINE = re.compile(r'<!\[LOG\[(?P<text>.*)\]LOG\]!><.* context="(?P<context>[a-z]*)" .*>')
_NO_LOGS = "no log file: run `ndes-lab up` with --log-files, or ask the running lab instead"


class LocalNdesDesk:
    """Works on a world directly. ``offline``: nothing serves it, so its logs are those in files."""

    def __init__(self, world: World, *, offline: bool = False) -> None:
        self._world = world
        self._offline = offline

    # -- logs --------------------------------------------------------------------------

    def events(self, after: int = 0) -> Sequence[EventView]:
        """Return events, oldest first."""
        if not self._offline:
            found = self._world.ndes_logs.events.events(after, limit=LINES_AT_ONCE)
            return [EventView.of(event) for event in found]
        file = event_file(self._world.folder.path)
        _require(file)
        with _plainly():
            stored = read_event_file(file)
        return [EventView.of(event) for event in stored if event.record_id > after]

    def log(self, after: int = 0) -> Sequence[LogLineView]:
        """Return lines of IIS's log, oldest first."""
        if not self._offline:
            found = self._world.ndes_logs.iis.lines(after, limit=LINES_AT_ONCE)
            return [LogLineView(number=line.number, line=line.item) for line in found]
        folder = iis_folder(self._world.folder.path)
        _require(folder)
        with _plainly():
            lines = [line for file in sorted(folder.glob("u_ex*.log")) for line in _lines(file)]
        shown = enumerate((line for line in lines if not line.startswith("#")), start=1)
        return [LogLineView(number=number, line=line) for number, line in shown if number > after]

    def trace(self, after: int = 0) -> Sequence[TraceLineView]:
        """Return lines of the trace, oldest first."""
        if not self._offline:
            return [
                TraceLineView(
                    number=line.number,
                    line=line.item.as_text(),
                    message=line.item.text,
                    synthetic=line.item.synthetic,
                )
                for line in self._world.ndes_logs.trace.lines(after, limit=LINES_AT_ONCE)
            ]
        file = trace_file(self._world.folder.path)
        _require(file)
        with _plainly():
            found = [_trace_line(number, line) for number, line in enumerate(_lines(file), start=1)]
        return [line for line in found if line.number > after]

    # -- RA certificates ---------------------------------------------------------------

    def ra_certificates(self) -> Sequence[RaCertificateView]:
        """Return the RA's certificates, those in use first, then the retired ones."""
        files = RaFiles(self._world.folder)
        with _plainly():
            found = [self._read(role, files.certificate(RaRole(role)), in_use=True) for role in ROLES]
            for role in ROLES:
                found += [
                    self._read(role, path, in_use=False)
                    for path in sorted(files.retired.glob(f"{role}-*.crt"))
                ]
        return found

    def issue_ra(self, role: RoleName, order: RaOrder) -> IssuedRaView:
        """Issue an RA certificate for a new key, and put nothing in place."""
        if order.same_key:
            raise Invalid("same_key: a certificate that is not put in place has a key of its own")
        with _plainly():
            issued = self._registrar().issue(RaRole(role), template=order.template)
        return IssuedRaView(
            certificate=self._view(role, issued.certificate, in_use=False),
            key=issued.key.plain_pem().decode(),
        )

    def renew_ra(self, role: RoleName, order: RaOrder) -> RaCertificateView:
        """Issue an RA certificate and put it in place; the service uses it once it is restarted."""
        with _plainly():
            issued = self._registrar().renew(RaRole(role), same_key=order.same_key, template=order.template)
        return self._view(role, issued, in_use=True)

    def replace_ra(self, role: RoleName, replacement: RaReplacement) -> RaCertificateView:
        """Put a certificate from elsewhere in place, whatever it is."""
        certificate = replacement.certificate.encode()
        with _plainly():
            key = PrivateKey.from_pem(replacement.key.get_secret_value().encode(), None)
            try:
                der = read_pem_certificate(certificate)
                replaced = self._registrar().replace(RaRole(role), certificate=der, key=key)
            except PkiUnreadable as error:
                raise Invalid(str(error)) from error
        return self._view(role, replaced, in_use=True)

    def recycle(self) -> None:
        """Restart the service, as `iisreset` does."""
        if self._offline:
            raise DeskRefused("no service runs on this folder; name the running lab instead")
        try:
            self._world.recycle()
        except RaUnusable as error:
            raise DeskRefused(str(error)) from error

    def _registrar(self) -> RegistrationDesk:
        world = self._world
        return RegistrationDesk(
            world.folder, world.pki, store=world.store, clock=world.clock, entropy=world.entropy
        )

    def _read(self, role: RoleName, path: Path, *, in_use: bool) -> RaCertificateView:
        try:
            certificate = read_certificate(read_certificate_file(path))
        except (PkiUnreadable, BadCertificate) as error:
            return RaCertificateView(role=role, status="unreadable", in_use=in_use, reason=str(error))
        return self._view(role, certificate, in_use=in_use)

    def _view(self, role: RoleName, certificate: CertificateInfo, *, in_use: bool) -> RaCertificateView:
        status, reason = self._standing(role, certificate)
        return RaCertificateView(
            role=role,
            status=status,
            in_use=in_use,
            reason=reason,
            subject=certificate.subject,
            issuer=certificate.issuer,
            serial_number=f"{certificate.serial_number:x}",
            not_before=certificate.not_before,
            not_after=certificate.not_after,
            template=_template(certificate),
            sha1=certificate.sha1,
            pem=pem(certificate.der, "CERTIFICATE"),
        )

    def _standing(self, role: RoleName, certificate: CertificateInfo) -> tuple[Standing, str]:
        trouble = standing_of(
            role,
            certificate,
            issuers=(self._world.authority.certificate,),
            now=self._world.clock.now(),
            is_revoked=self._world.is_revoked,
        )
        if trouble is None:
            return "usable", ""
        value = trouble.trouble.value
        known: dict[str, Standing] = {each: each for each in get_args(Standing)}
        return known[value], str(trouble)


def read_pem_certificate(octets: bytes) -> bytes:
    """Return the DER of a certificate in PEM; raises PkiUnreadable."""
    try:
        return x509.load_pem_x509_certificate(octets).public_bytes(Encoding.DER)
    except ValueError as error:
        raise PkiUnreadable(f"not a PEM certificate: {error}") from error


def _template(certificate: CertificateInfo) -> str | None:
    try:
        return read_template(certificate.extensions)
    except BadExtension:
        return None


def _trace_line(number: int, line: str) -> TraceLineView:
    found = _TRACE_LINE.fullmatch(line)
    if found is None:
        return TraceLineView(number=number, line=line, message=line, synthetic=True)
    synthetic = found["context"] == "synthetic"
    return TraceLineView(number=number, line=line, message=found["text"], synthetic=synthetic)


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def _require(path: Path) -> None:
    if not path.exists():
        raise DeskUnavailable(f"{path}: {_NO_LOGS}")


@contextmanager
def _plainly() -> Iterator[None]:
    """Turn what CA, store and files raise into the desk's errors."""
    try:
        yield
    except CaError as error:
        raise DeskRefused(str(error), error.hresult_name) from error
    except UnusableKey as error:
        raise Invalid(str(error)) from error
    except (BadTemplate, PkiUnreadable) as error:
        raise DeskRefused(str(error)) from error
    except (StoreUnavailable, OSError, UnicodeDecodeError) as error:
        raise DeskUnavailable(str(error)) from error
