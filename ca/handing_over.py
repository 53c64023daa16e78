"""What the offline root's keeper hands over to those who serve, each into a folder of its own.

The folder the ceremony was held in keeps all of it; what is handed over is what a role may see, and never
``root/``. Who owns what decides what a repeated handing over may replace:

- certificates and keys of the issuing CA, the root's CRL, secrets: the keeper's. They are only added to; the
  root's CRL takes the place of an earlier one.
- RA certificates: whoever renewed them last. One that is known in the other folder, in use or retired, has
  been handed over before: what took its place there stays.
- templates: whoever changed a file last, by its time.
- ``ocsp/``, ``published/``, logs, passwords made there: the other folder's own; they are never touched.

Each file appears whole or not at all, a key before its certificate, the minutes last: what is interrupted is
completed by the next handing over, and until then a folder that is new holds no PKI. A service that runs
does not notice: it has to read its keys anew.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509

from .certificates import BadCertificate, CertificateInfo, read_certificate
from .folders import (
    OPEN_FOLDER,
    PRIVATE,
    PUBLIC,
    FolderError,
    PkiFolder,
    PkiUnreadable,
    read_certificate_file,
    read_file,
    replace_file,
    sync,
    to_pem,
)
from .registration import RaFiles, RaRole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .settings import PkiSettings

_WORK: Final = ".handing-over-"


class CannotHandOver(FolderError):
    """The folder is not one to hand this PKI over to."""


class Role(Enum):
    """Who gets a folder."""

    SCEP = "scep"
    PUBLISHER = "publisher"
    LAB = "lab"

    @property
    def registers(self) -> bool:
        """Whether it is the RA: has the RA's keys, and looks at challenges."""
        return self is not Role.PUBLISHER


def hand_over(source: PkiFolder, settings: PkiSettings, role: Role, target: PkiFolder) -> tuple[str, ...]:
    """Hand over to ``target`` what is new in ``source``; return the names of the files that are.

    ``target`` need not exist. Where root does this, files belong to whom the folder belongs to.

    Raises:
        NoPki, PkiUnreadable: ``source`` is not whole.
        CannotHandOver: the PKI's database is inside ``source``, or ``target`` holds what it must not.
        OSError: ``target`` cannot be written.

    """
    source.require()
    if settings.database_url is None:
        raise CannotHandOver(
            f"the database is SQLite in {source.path}, which nobody else sees: programs with folders of "
            "their own need one database between them, named by pki.database_url"
        )
    _require_fit(source, role, target)
    work = _HandingOver(source, target)
    work.secrets(settings, role)
    work.issuing_ca()
    if role.registers:
        work.registration()
    work.templates()
    work.minutes()
    return tuple(work.done)


def _require_fit(source: PkiFolder, role: Role, target: PkiFolder) -> None:
    here, there = source.path.resolve(), target.path.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise CannotHandOver(
            f"{target.path} and {source.path} are not apart; the keeper's folder stays his own"
        )
    if target.root.exists():
        raise CannotHandOver(f"{target.root} exists: nobody who serves has a root; name another folder")
    if role.registers and target.ceremony.is_dir() and not RaFiles(target).retired.parent.exists():
        raise CannotHandOver(f"{target.path} is a publisher's, and an RA's keys must not get there")
    if not role.registers:
        for path in (RaFiles(target).retired.parent, target.challenge_digest_key):
            if path.exists():
                raise CannotHandOver(
                    f"{path} exists, and a {role.value} must not see it; name another folder"
                )
    for mine, other in (
        (source.issuing_root_certificate, target.issuing_root_certificate),
        (source.path / "issuing" / "issuing.crt", target.path / "issuing" / "issuing.crt"),
    ):
        if other.exists() and read_certificate_file(other) != read_certificate_file(mine):
            raise CannotHandOver(f"{other} is not the certificate in {mine}: {target.path} holds another PKI")


class _HandingOver:
    """One run. ``done`` are the files that were new, relative to the folder."""

    def __init__(self, source: PkiFolder, target: PkiFolder) -> None:
        self._source = source
        self._target = target
        self._owner = make_folder(target.path)
        self.done: list[str] = []

    def secrets(self, settings: PkiSettings, role: Role) -> None:
        """Hand over the secrets that the settings do not hold."""
        if settings.key_passphrase is None:
            self._copy(self._source.key_passphrase, self._target.key_passphrase, mode=PRIVATE)
        if role.registers and settings.challenge_digest_key is None:
            self._copy(self._source.challenge_digest_key, self._target.challenge_digest_key, mode=PRIVATE)

    def issuing_ca(self) -> None:
        """Hand over the root's certificate and CRL, and every certificate of the issuing CA with its key."""
        source, target = self._source, self._target
        self._copy(source.issuing_root_certificate, target.issuing_root_certificate, mode=PUBLIC)
        first, *renewed = source.issuing_generations()
        there = target.path / "issuing"
        self._copy(first / "issuing.key", there / "issuing.key", mode=PRIVATE)
        self._copy(first / "issuing.crt", there / "issuing.crt", mode=PUBLIC)
        for generation in renewed:
            self._place(generation, there / generation.name)
        self._next(there)
        if _crl_number(source.issuing_root_crl) >= _crl_number(target.issuing_root_crl):
            self._copy(source.issuing_root_crl, target.issuing_root_crl, mode=PUBLIC)

    def _next(self, there: Path) -> None:
        """Hand over the issuing CA's next certificate; drop the one there once it is in service."""
        in_service = {
            read_certificate_file(one / "issuing.crt") for one in self._target.issuing_generations()
        }
        theirs, ours = there / "next", self._source.next_issuing
        if theirs.is_dir() and read_certificate_file(theirs / "issuing.crt") in in_service:
            theirs.rename(self._work(there) / theirs.name)
        if ours.is_dir() and read_certificate_file(ours / "issuing.crt") not in in_service:
            self._place(ours, theirs)

    def _place(self, generation: Path, place: Path) -> None:
        """Hand over one certificate of the issuing CA with its key, if new: by one rename."""
        if place.is_dir():
            if read_certificate_file(place / "issuing.crt") != read_certificate_file(
                generation / "issuing.crt"
            ):
                raise CannotHandOver(f"{place} is not what is in {generation}: it is of another PKI")
            return
        self._copy_folder(generation, place)

    def _copy_folder(self, source: Path, place: Path) -> None:
        """Hand over a folder of files, by one rename."""
        work = self._work(place.parent)
        for file in sorted(source.iterdir()):
            mode = PRIVATE if file.suffix == ".key" else PUBLIC
            replace_file(work / file.name, read_file(file), mode=mode, owner=self._owner)
        work.rename(place)
        sync(place.parent)
        self.done += [self._name(file) for file in sorted(place.iterdir())]

    def _work(self, parent: Path) -> Path:
        work = Path(tempfile.mkdtemp(dir=parent, prefix=_WORK))
        self._give(work)
        return work

    # -- the RA ------------------------------------------------------------------------

    def registration(self) -> None:
        """Hand over the RA's keys and certificates: those in use that are new, and those retired."""
        ours, theirs = RaFiles(self._source), RaFiles(self._target)
        for role in RaRole:
            for certificate in sorted(ours.retired.glob(f"{role.value}-*.crt")):
                if _certificate(theirs.certificate(role)) != _certificate(certificate):
                    self._retire(theirs, role, certificate.with_suffix(".key"), certificate)
            self._put_in_use(role, ours, theirs)

    def _put_in_use(self, role: RaRole, ours: RaFiles, theirs: RaFiles) -> None:
        mine = read_certificate(read_certificate_file(ours.certificate(role)))
        present = _certificate(theirs.certificate(role))
        if mine == present or _retired(theirs, role, mine).with_suffix(".crt").exists():
            return
        if present is not None and present.not_before > mine.not_before:
            self._retire(theirs, role, ours.key(role), ours.certificate(role))
            return
        if present is not None:
            self._retire(theirs, role, theirs.key(role), theirs.certificate(role))
        self._copy(ours.key(role), theirs.key(role), mode=PRIVATE)
        self._copy(ours.certificate(role), theirs.certificate(role), mode=PUBLIC)

    def _retire(self, files: RaFiles, role: RaRole, key: Path, certificate: Path) -> None:
        """Put a pair among the retired, unless it is there."""
        found = _certificate(certificate)
        if found is None:
            return
        stem = _retired(files, role, found)
        if not stem.with_suffix(".crt").exists() and key.exists():
            self._copy(key, stem.with_suffix(".key"), mode=PRIVATE)
            self._write(stem.with_suffix(".crt"), to_pem(found.der), mode=PUBLIC)

    # -- the rest ----------------------------------------------------------------------

    def templates(self) -> None:
        """Hand over templates that were changed later than those there."""
        self._folder(self._target.templates, OPEN_FOLDER)
        for file in _files(self._source.templates):
            place = self._target.templates / file.relative_to(self._source.templates)
            status = file.stat()
            if not place.exists() or place.stat().st_mtime_ns < status.st_mtime_ns:
                self._copy(file, place, mode=status.st_mode & 0o777)
                os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))

    def minutes(self) -> None:
        """Hand over the minutes, by which there is a PKI, and make the place for what is published."""
        self._folder(self._target.published, OPEN_FOLDER)
        if not self._target.ceremony.is_dir():
            self._copy_folder(self._source.ceremony, self._target.ceremony)
        for leftover in (*self._target.path.glob(f"{_WORK}*"), *self._target.path.glob(f"issuing/{_WORK}*")):
            shutil.rmtree(leftover, ignore_errors=True)

    def _copy(self, source: Path, place: Path, *, mode: int) -> None:
        self._write(place, read_file(source), mode=mode)

    def _write(self, place: Path, content: bytes, *, mode: int) -> None:
        with suppress(FileNotFoundError):
            if place.read_bytes() == content:
                return
        self._folder(place.parent, 0o700)
        replace_file(place, content, mode=mode, owner=self._owner)
        self.done.append(self._name(place))

    def _folder(self, path: Path, mode: int) -> None:
        """Make a folder in the target, and those between, where they are missing."""
        if not path.exists():
            self._folder(path.parent, mode)
            path.mkdir(mode=mode)
            path.chmod(mode)  # whatever the umask
            self._give(path)

    def _give(self, path: Path) -> None:
        if self._owner is not None:
            os.chown(path, *self._owner)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._target.path).as_posix()


def make_folder(path: Path) -> tuple[int, int] | None:
    """Make the folder if it is not there; return whom files must be given to, if not to us."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name == "nt" or os.geteuid() != 0:
        return None
    status = path.stat()
    return status.st_uid, status.st_gid


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _retired(files: RaFiles, role: RaRole, certificate: CertificateInfo) -> Path:
    """Return the name of a retired pair, without its ending."""
    return files.retired / f"{role.value}-{certificate.serial_number:x}"


def _certificate(path: Path) -> CertificateInfo | None:
    """Return the certificate in a file; None where there is none that can be read."""
    try:
        return read_certificate(read_certificate_file(path))
    except (PkiUnreadable, BadCertificate):
        return None


def _crl_number(path: Path) -> int:
    """Return the number of a CRL; -1 where there is none that can be read."""
    try:
        extensions = x509.load_der_x509_crl(path.read_bytes()).extensions
        return extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (OSError, ValueError, x509.ExtensionNotFound):
        return -1
