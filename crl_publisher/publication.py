"""The folder of files that clients fetch, and the only way a file gets into it.

Whatever is to be published is read and verified, written beside the published file, flushed to
disk, and then renamed over it. A process that dies anywhere in between leaves the last good files.
Several processes may publish into one folder at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeAlias

from .errors import PublicationRefused, Superseded
from .inspection import CrlFacts, inspect_certificate, inspect_certificates, inspect_crl, read_crl

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: one publishing process per folder
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ca.clock import Clock

CRL_MEDIA_TYPE = "application/pkix-crl"  # RFC 5280 4.2.1.13, RFC 2585 4.2
CERTIFICATE_MEDIA_TYPE = "application/pkix-cert"  # RFC 5280 4.2.2.1, RFC 2585 4.1
CERTIFICATES_MEDIA_TYPE = "application/pkcs7-mime"  # RFC 5280 4.2.2.1
_MEDIA_TYPES = {".crl": CRL_MEDIA_TYPE, ".crt": CERTIFICATE_MEDIA_TYPE, ".p7c": CERTIFICATES_MEDIA_TYPE}
_FORBIDDEN_IN_NAMES = frozenset('/\\\0:*?"<>|')


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCrl:
    """A CRL to publish: ``name`` ends in ``.crl``, or ``+.crl`` for a delta CRL."""

    name: str
    der: bytes = field(repr=False)
    issuer: bytes = field(repr=False)  # certificate of the CA that signed it, DER


@dataclass(frozen=True, slots=True, kw_only=True)
class CaCertificate:
    """A CA certificate to publish: ``name`` ends in ``.crt``."""

    name: str
    der: bytes = field(repr=False)
    issuer: bytes = field(repr=False)  # certificate of the CA above; the same again for a root


@dataclass(frozen=True, slots=True, kw_only=True)
class CaCertificates:
    """All certificates of one CA to publish, as a certs-only CMS message: ``name`` ends in ``.p7c``."""

    name: str
    der: bytes = field(repr=False)
    issuers: tuple[bytes, ...] = field(repr=False)  # certificates of the CAs above; its own, for a root


Publishable: TypeAlias = SignedCrl | CaCertificate | CaCertificates


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """A file as a client gets it. ``etag`` is opaque text without its quotes."""

    name: str
    media_type: str
    etag: str
    modified: datetime  # whole seconds, as HTTP dates are
    content: bytes = field(repr=False)


class FileSource(Protocol):
    """Where the web server looks for the file a client asks for."""

    def find(self, name: str) -> PublishedFile | None:
        """Return the file of this name, whatever its case, or None."""


class Publication:
    """The published files in one folder.

    Args:
        folder: where the files are; made if it is missing.
        clock: tells whether a CRL is good now.
        durable: False skips flushing to disk, for folders that do not outlive the process.

    Raises:
        OSError: the folder cannot be made or listed.

    """

    def __init__(self, folder: Path, clock: Clock, *, durable: bool = True) -> None:
        self._folder = folder
        self._clock = clock
        self._durable = durable
        self._publishing = threading.Lock()
        self._cache: dict[str, tuple[tuple[int, int, int], PublishedFile]] = {}
        self._facts: dict[str, tuple[str, CrlFacts]] = {}  # by name, with the validator of the file
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        with self._exclusively():
            for leftover in folder.glob(".*.tmp"):
                leftover.unlink(missing_ok=True)

    def publish(self, *items: Publishable) -> None:
        """Publish all items, or none when one of them fails a check.

        A delta CRL comes after its base in ``items``; between two renames clients see the new base
        with the old delta CRL, which is a valid pair (RFC 5280 5.2.4).

        Raises:
            Superseded: a CRL's number is not above that of the published one.
            PublicationRefused: any other check fails.
            OSError: the folder cannot be written; what is published stays.

        """
        with self._exclusively():
            news = [item for item in items if not self._is_published(item)]
            fresh: dict[str, CrlFacts] = {}
            for item in news:
                self._inspect(item, fresh)
            staged: list[tuple[Path, str]] = []
            try:
                for item in news:
                    staged.append((self._folder / f".{item.name}.tmp", item.name))
                    self._stage(item, staged[-1][0])
                for temporary, name in staged:
                    temporary.replace(self._folder / name)
            except BaseException:
                for temporary, _ in staged:  # a full disk needs the room most
                    with contextlib.suppress(OSError):
                        temporary.unlink(missing_ok=True)
                raise
            if staged:
                self._flush_folder()

    def find(self, name: str) -> PublishedFile | None:
        """Return the published file of this name, whatever its case, or None.

        Raises:
            OSError: the folder cannot be read.

        """
        wanted = name.casefold()
        for found in self._names():
            if found.casefold() == wanted:
                return self._read(found)
        return None

    def files(self) -> Sequence[PublishedFile]:
        """Return every published file, by name.

        Raises:
            OSError: the folder cannot be read.

        """
        files = (self._read(name) for name in sorted(self._names()))
        return tuple(file for file in files if file is not None)

    def crl_facts(self, name: str) -> CrlFacts | None:
        """Return what the published CRL of this name says of itself; None where there is none.

        Raises:
            PublicationRefused: the published file is no CRL.
            OSError: the folder cannot be read.

        """
        file = self.find(name)
        if file is None:
            return None
        known = self._facts.get(file.name)
        if known is None or known[0] != file.etag:  # a list of a million entries is read once
            known = self._facts[file.name] = file.etag, read_crl(name, file.content)
        return known[1]

    # -- checks ------------------------------------------------------------------------

    def _inspect(self, item: Publishable, fresh: dict[str, CrlFacts]) -> None:
        _check_name(item)
        if isinstance(item, CaCertificate):
            inspect_certificate(item.name, item.der, item.issuer)
            return
        if isinstance(item, CaCertificates):
            inspect_certificates(item.name, item.der, item.issuers)
            return
        facts = inspect_crl(item.name, item.der, item.issuer, now=self._clock.now())
        self._check_kind(item.name, facts, fresh)
        published = self.crl_facts(item.name)
        if published is not None and facts.number <= published.number:
            raise Superseded(
                f"{item.name}: CRL number is {facts.number}, expected more than the published "
                f"{published.number} (RFC 5280 5.2.3)"
            )
        fresh[item.name] = facts

    def _check_kind(self, name: str, facts: CrlFacts, fresh: dict[str, CrlFacts]) -> None:
        if not name.endswith("+.crl"):
            if facts.base_number is not None:
                raise PublicationRefused(f"{name}: a delta CRL where a complete one belongs (RFC 5280 5.2.4)")
            return
        if facts.base_number is None:
            raise PublicationRefused(f"{name}: no delta CRL indicator (RFC 5280 5.2.4)")
        base_name = f"{name.removesuffix('+.crl')}.crl"
        base = fresh.get(base_name) or self.crl_facts(base_name)
        if base is None or base.number < facts.base_number:
            found = "none" if base is None else str(base.number)
            raise PublicationRefused(
                f"{name}: needs base CRL {facts.base_number}, published is {found} (RFC 5280 5.2.4)"
            )
        if facts.next_update > base.next_update:
            raise PublicationRefused(
                f"{name}: nextUpdate {facts.next_update:%Y-%m-%d %H:%M:%SZ} is beyond that of its base, "
                f"{base.next_update:%Y-%m-%d %H:%M:%SZ}"
            )

    def _is_published(self, item: Publishable) -> bool:
        published = self.find(item.name)
        return published is not None and published.name == item.name and published.content == item.der

    # -- files -------------------------------------------------------------------------

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        with self._publishing, open(self._folder / ".lock", "ab", opener=_open) as lock:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed, also by a crash
            yield

    def _stage(self, item: Publishable, temporary: Path) -> None:
        with open(temporary, "wb", opener=_open) as file:
            file.write(item.der)
            if self._durable:
                file.flush()
                os.fsync(file.fileno())

    def _flush_folder(self) -> None:
        if not self._durable or os.name == "nt":
            return
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _names(self) -> list[str]:
        return [
            name
            for name in os.listdir(self._folder)  # noqa: PTH208 - names are wanted, once per request
            if not name.startswith(".") and name[-4:] in _MEDIA_TYPES
        ]

    def _read(self, name: str) -> PublishedFile | None:
        """Return the file, from memory while it is the same one on disk; None if it just vanished."""
        try:
            with (self._folder / name).open("rb") as file:
                status = os.fstat(file.fileno())
                version = (status.st_ino, status.st_mtime_ns, status.st_size)
                cached = self._cache.get(name)
                if cached is not None and cached[0] == version:
                    return cached[1]
                content = file.read()
        except FileNotFoundError:
            return None
        published = PublishedFile(
            name=name,
            media_type=_MEDIA_TYPES[name[-4:]],
            etag=hashlib.sha256(content).hexdigest()[:32],
            modified=datetime.fromtimestamp(status.st_mtime_ns // 10**9, UTC),
            content=content,
        )
        self._cache[name] = (version, published)
        return published


def _open(path: str, flags: int) -> int:
    """Open a file that everybody may read and its owner alone may write, whatever the umask."""
    return os.open(path, flags, 0o644)


def _check_name(item: Publishable) -> None:
    suffix = {CaCertificate: ".crt", CaCertificates: ".p7c"}.get(type(item), ".crl")
    if not item.name.endswith(suffix) or item.name.startswith(".") or _FORBIDDEN_IN_NAMES & set(item.name):
        raise PublicationRefused(f"{item.name!r} is no file name for a {suffix} file")
