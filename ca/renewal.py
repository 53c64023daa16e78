"""The issuing CA renewed: a new certificate by the offline root, for a new key or for the one it has.

What is renewed is complete in a working folder before one rename puts it in service, or beside it as
the next one (RFC 8894 4.7), where a second rename puts it in service. A service that runs does not
notice: it has to be started again, as AD CS has. The RA's certificates stay those of the earlier key
until they are issued anew (`ca.registration`).
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from .errors import BadRequestStatus
from .folders import PRIVATE, PUBLIC, PkiExists, sync, to_pem, write_file
from .keys import generate_key
from .opening import open_issuing_key, open_next_issuing, serving_passphrase

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .certificates import CertificateInfo
    from .folders import PkiFolder
    from .keys import KeyKind, PrivateKey
    from .root import OfflineRoot
    from .settings import PkiSettings


def renew_issuing(
    folder: PkiFolder,
    settings: PkiSettings,
    *,
    root: OfflineRoot,
    entropy: Callable[[int], bytes],
    new_key: bool = True,
    as_next: bool = False,
    make_key: Callable[[KeyKind], PrivateKey] = generate_key,
) -> CertificateInfo:
    """Renew the issuing CA's certificate and return the new one.

    ``as_next`` keeps it out of service until `activate_next`, so that clients can ask for it first.

    Raises:
        BadRequestStatus: a next certificate is prepared already.
        PkiExists: another renewal was faster.
        NoPki, PkiUnreadable, UnusableKey: as opening the CA.
        OSError: the folder cannot be written.

    """
    folder.require()
    if folder.next_issuing.is_dir():
        raise BadRequestStatus("a next certificate of the issuing CA is prepared already; activate it")
    present = open_issuing_key(folder, settings)
    place = folder.next_issuing if as_next else _following(folder)
    key = make_key(settings.issuing_key) if new_key else present.key
    work = folder.path / "issuing" / f".renewal-{entropy(8).hex()}"
    try:
        if new_key:
            encrypted = key.encrypted_pem(serving_passphrase(folder, settings))
            write_file(work / "issuing.key", encrypted, mode=PRIVATE)
        signed = root.renew_issuing(present.certificate, key, entropy)
        write_file(work / "issuing.crt", to_pem(signed.der), mode=PUBLIC)
        _commit(work, place)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    for leftover in work.parent.glob(".renewal-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    return signed


def activate_next(folder: PkiFolder) -> CertificateInfo:
    """Put the issuing CA's next certificate in service and return it.

    Raises:
        BadRequestStatus: none is prepared.
        PkiExists: another renewal was faster.

    """
    prepared = open_next_issuing(folder)
    if prepared is None:
        raise BadRequestStatus("no next certificate of the issuing CA is prepared")
    _commit(folder.next_issuing, _following(folder))
    return prepared


def _following(folder: PkiFolder) -> Path:
    return folder.path / "issuing" / str(len(folder.issuing_generations()))


def _commit(work: Path, place: Path) -> None:
    """Make ``work`` the folder ``place`` by one rename, after everything in it is on disk."""
    for file in work.iterdir():
        sync(file)
    sync(work)
    if place.exists():
        raise PkiExists(f"{place} exists: another renewal was faster")
    try:
        work.rename(place)
    except OSError as error:
        if place.exists():
            raise PkiExists(f"{place} exists: another renewal was faster") from error
        raise
    sync(place.parent)
