"""The folder a PKI lives in: where each file is, and how files get there all or none.

``root/`` is the offline root's: nothing that serves opens it. ``issuing/`` also holds what the root
handed over: its certificate and its CRL. A folder holds a PKI from the instant ``ceremony/`` appears
in it, by one rename; moving the files from there to their places can be interrupted and is taken up
again by whoever comes next. Does not live here: what is in the files (`ca.ceremony`, `ca.opening`).
"""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: one process at a time begins with an empty folder
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644
OPEN_FOLDER: Final = 0o755  # whatever the umask: who may write here makes templates and PKIs
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_END: Final = b"-----END CERTIFICATE-----"
_UNFINISHED: Final = ".ceremony-"
_LOCK: Final = ".lock"


class FolderError(Exception):
    """The PKI folder does not allow what is wanted; raised by its leaves only."""


class PkiExists(FolderError):
    """There is a PKI, or a part of one, and it is not overwritten."""


class NoPki(FolderError):
    """There is no PKI in this folder."""


class PkiUnreadable(FolderError):
    """A file of the PKI cannot be read, or is not what it should be."""


@dataclass(frozen=True, slots=True)
class PkiFolder:
    """Where everything is. All certificate files are PEM."""

    path: Path

    @property
    def root(self) -> Path:
        """What only the offline root's keeper needs."""
        return self.path / "root"

    @property
    def root_key(self) -> Path:
        """The root's key, encrypted."""
        return self.root / "root.key"

    @property
    def root_passphrase(self) -> Path:
        """Opens the root's key, unless the settings hold the passphrase."""
        return self.root / "passphrase"

    @property
    def root_certificate(self) -> Path:
        """The root's certificate, with the root's keeper."""
        return self.root / "root.crt"

    @property
    def root_crl(self) -> Path:
        """The root's CRL (DER), with the root's keeper."""
        return self.root / "root.crl"

    @property
    def root_index(self) -> Path:
        """What the root signed and revoked."""
        return self.root / "index.json"

    @property
    def issuing_key(self) -> Path:
        """The issuing CA's key, encrypted: that of its newest certificate."""
        return _key_of(self.issuing_generations())

    @property
    def issuing_certificate(self) -> Path:
        """The issuing CA's newest certificate."""
        return self.issuing_generations()[-1] / "issuing.crt"

    def issuing_generations(self) -> list[Path]:
        """Return the folders of the issuing CA's certificates, the first one first.

        The first is ``issuing/`` itself; a renewed certificate is in ``issuing/1`` and so on, with its
        key if that is a new one.
        """
        first = self.path / "issuing"
        found = [first]
        while (following := first / str(len(found))).is_dir():
            found.append(following)
        return found

    def issuing_key_of(self, generation: Path) -> Path:
        """Return the key file of one of the generations: its own, or the last one before it."""
        generations = self.issuing_generations()
        return _key_of(generations[: generations.index(generation) + 1])

    @property
    def next_issuing(self) -> Path:
        """The issuing CA's next certificate, with its key if new: renewed, and not in service yet."""
        return self.path / "issuing" / "next"

    @property
    def issuing_root_certificate(self) -> Path:
        """The root's certificate as it was handed over: the file clients are told to trust."""
        return self.path / "issuing" / "root.crt"

    @property
    def issuing_root_crl(self) -> Path:
        """The root's CRL (DER) as it was handed over, to be published."""
        return self.path / "issuing" / "root.crl"

    @property
    def ra_signing_key(self) -> Path:
        """The RA's signing key, encrypted."""
        return self.path / "ra" / "signing.key"

    @property
    def ra_signing_certificate(self) -> Path:
        """The RA's signing certificate."""
        return self.path / "ra" / "signing.crt"

    @property
    def ra_encryption_key(self) -> Path:
        """The RA's encryption key, encrypted."""
        return self.path / "ra" / "encryption.key"

    @property
    def ra_encryption_certificate(self) -> Path:
        """The RA's encryption certificate."""
        return self.path / "ra" / "encryption.crt"

    @property
    def ocsp(self) -> Path:
        """The OCSP responder's keys (encrypted) and certificates, one file for each key of the CA."""
        return self.path / "ocsp"

    @property
    def key_passphrase(self) -> Path:
        """Opens the keys of issuing CA and RA, unless the settings hold the passphrase."""
        return self.path / "secrets" / "key-passphrase"

    @property
    def challenge_digest_key(self) -> Path:
        """Keys the digests of challenge passwords, unless the settings hold it."""
        return self.path / "secrets" / "challenge-digest-key"

    @property
    def store(self) -> Path:
        """The SQLite database."""
        return self.path / "store.sqlite3"

    @property
    def store_url(self) -> str:
        """The database as `SqlStore.open` wants it."""
        return f"sqlite:///{self.store.absolute()}"

    @property
    def templates(self) -> Path:
        """The user's templates, which overlay the built-in ones."""
        return self.path / "templates"

    @property
    def published(self) -> Path:
        """What clients may fetch."""
        return self.path / "published"

    @property
    def ceremony(self) -> Path:
        """Appears by one rename when the ceremony is over; keeps its minutes."""
        return self.path / "ceremony"

    @property
    def minutes(self) -> Path:
        """What was done at the ceremony, for people: names, thumbprints, dates."""
        return self.ceremony / "minutes.json"

    # -- state -------------------------------------------------------------------------

    def settle(self) -> bool:
        """Tell whether there is a PKI; one whose files are not all in place yet is completed first.

        Raises:
            PkiUnreadable: the files cannot be moved into place.

        """
        if not self.ceremony.is_dir():
            return False
        try:
            for source in _files(self.ceremony):
                if source != self.minutes:
                    _place(source, self.path / source.relative_to(self.ceremony))
            for name in ("templates", "published"):
                (self.path / name).mkdir(mode=OPEN_FOLDER, exist_ok=True)
            for child in self.ceremony.iterdir():
                if child.is_dir():
                    shutil.rmtree(child, ignore_errors=True)
        except OSError as error:
            raise PkiUnreadable(
                f"{self.path}: the ceremony's files cannot be put in place: {error}"
            ) from error
        return True

    def require(self) -> None:
        """Raise NoPki unless there is a PKI in this folder."""
        if not self.settle():
            raise NoPki(f"there is no PKI in {self.path}; hold the key ceremony first")

    def require_none(self) -> None:
        """Raise PkiExists if there is a PKI, or any file that a ceremony would write."""
        if self.settle():
            raise PkiExists(f"there is a PKI in {self.path} already; it is not overwritten")
        for path in (
            self.root_key,
            self.issuing_key,
            self.ra_signing_key,
            self.ra_encryption_key,
            self.store,
        ):
            if path.exists():
                raise PkiExists(f"{path} exists, but no ceremony put it there; it is not overwritten")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until no other process is here, and be alone until leaving; a killed one has left."""
        path = self.path / _LOCK
        with contextlib.ExitStack() as held:
            if fcntl is not None:
                _lock(path, held)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def unfinished(self) -> list[Path]:
        """Return the working folders of ceremonies that were not committed."""
        return sorted(self.path.glob(f"{_UNFINISHED}*"))

    def new_unfinished(self, name: str) -> Path:
        """Return a new working folder, for `commit`."""
        work = self.path / f"{_UNFINISHED}{name}"
        work.mkdir(mode=0o700)
        return work

    def commit(self, work: Path, *, durable: bool) -> None:
        """Make the files in ``work``, a folder beside ``ceremony/``, this folder's PKI.

        Raises:
            PkiExists: another ceremony was faster.

        """
        if durable:
            flush(work)
        try:
            work.rename(self.ceremony)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR) or self.ceremony.exists():
                raise PkiExists(f"another ceremony in {self.path} was faster") from error
            raise
        if durable:
            sync(self.path)
        self.settle()


def _lock(path: Path, held: contextlib.ExitStack) -> None:
    """Lock a file that whoever leaves takes away; ``held`` gives it back."""
    while True:
        file = held.enter_context(path.open("ab"))
        fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return
        held.close()


def _key_of(generations: list[Path]) -> Path:
    """Return the key file of the last of these generations."""
    files = (generation / "issuing.key" for generation in reversed(generations))
    return next((file for file in files if file.exists()), generations[0] / "issuing.key")


def _files(folder: Path) -> list[Path]:
    """Return the files in a folder from which others may be taking files and folders away."""
    return sorted(Path(place, name) for place, _, names in os.walk(folder) for name in names)


def _place(source: Path, target: Path) -> None:
    """Move a file, also onto another file system; when somebody else just did, that is as good."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        source.replace(target)
    except FileNotFoundError:
        if not target.exists():
            raise
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        replace_file(target, source.read_bytes(), mode=source.stat().st_mode & 0o777)
        source.unlink(missing_ok=True)


# -- files -----------------------------------------------------------------------------


def write_file(path: Path, content: bytes, *, mode: int) -> None:
    """Write a new file with this mode, and the folders above it with 0700.

    Raises:
        FileExistsError: the file is there.

    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def replace_file(path: Path, content: bytes, *, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Write a file, new or not: all of it or nothing, also after a power cut.

    ``owner`` is the user and group it is given to, which takes root; None leaves it ours.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        if owner is not None:
            os.chown(temporary, *owner)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def flush(folder: Path) -> None:
    """Flush a folder and everything in it to disk."""
    files = _files(folder)
    for path in (*files, *sorted({file.parent for file in files} | {folder})):
        sync(path)


def sync(path: Path) -> None:
    """Flush a file or folder to disk; Windows cannot open folders, and is left alone."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_file(path: Path) -> bytes:
    """Return a file's content; raises PkiUnreadable, naming the file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise PkiUnreadable(f"{path} cannot be read: {error.strerror}") from error


def to_pem(certificate: bytes) -> bytes:
    """Return a DER certificate as PEM (RFC 7468)."""
    text = base64.b64encode(certificate)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([_BEGIN, *lines, _END, b""])


def read_certificate_file(path: Path) -> bytes:
    """Return the DER of the certificate in a file, PEM or DER; raises PkiUnreadable."""
    content = read_file(path)
    try:
        return pem_certificate(content) if _BEGIN in content else content
    except PkiUnreadable as error:
        raise PkiUnreadable(f"{path}: {error}") from error


def pem_certificate(content: bytes) -> bytes:
    """Return the DER of the first certificate in PEM, which may hold other things beside it.

    Raises:
        PkiUnreadable: there is none.

    """
    text = content.partition(_BEGIN)[2].partition(_END)[0]
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except ValueError as error:
        raise PkiUnreadable(f"not a PEM certificate: {error}") from error
