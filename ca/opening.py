"""A PKI opened for serving: the issuing CA, the RA's keys, the store. Never the root.

Each function opens one thing, so that a process opens only what it needs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from .authority import CertificateAuthority
from .certificates import BadCertificate, CertificateInfo, read_certificate
from .folders import PkiFolder, PkiUnreadable, read_certificate_file, read_file
from .keys import PrivateKey, read_key_file
from .locations import PublicationLocations
from .ocsp_credentials import ResponderCredentials
from .store import SqlStore
from .templates import TemplateSet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .certificates import CertificateSigner
    from .clock import Clock
    from .records import Store
    from .settings import PkiSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAndCertificate:
    """A key with the certificate of its public half."""

    key: PrivateKey
    certificate: CertificateInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationKeys:
    """The two key pairs of the RA."""

    signing: KeyAndCertificate
    encryption: KeyAndCertificate


def open_issuing_key(folder: PkiFolder, settings: PkiSettings) -> KeyAndCertificate:
    """Return the issuing CA's key and certificate; raises as `open_authority`."""
    return _pair(folder.issuing_key, folder.issuing_certificate, _passphrase(folder, settings))


def open_authority(
    folder: PkiFolder,
    settings: PkiSettings,
    *,
    clock: Clock,
    entropy: Callable[[int], bytes],
    issuing: KeyAndCertificate | None = None,
    signer: CertificateSigner | None = None,
) -> CertificateAuthority:
    """Return the issuing CA. ``issuing`` spares opening its key a second time.

    URLs in what it issues follow the settings, and name and CA version in its own certificate.

    Raises:
        NoPki: there is none in this folder.
        PkiUnreadable: a file is missing or broken.
        UnusableKey: the key's file and the passphrase do not belong together.
        BadTemplate: one of the user's templates cannot be used.
        InvalidCaCertificate: key and certificate do not belong together.

    """
    folder.require()
    issuing = issuing or open_issuing_key(folder, settings)
    return CertificateAuthority(
        certificate=issuing.certificate,
        chain=(open_root_certificate(folder).der,),
        key=issuing.key,
        templates=TemplateSet.load(folder.templates),
        clock=clock,
        entropy=entropy,
        locations=PublicationLocations.of_certificate(settings, issuing.certificate, ocsp=True),
        settings=settings,
        signer=signer,
        siblings=open_issuing_certificates(folder),
    )


def open_earlier_authorities(
    folder: PkiFolder, settings: PkiSettings, *, clock: Clock, entropy: Callable[[int], bytes]
) -> tuple[CertificateAuthority, ...]:
    """Return the issuing CA under each of its earlier keys, newest first; raises as `open_authority`.

    They revoke what they issued and sign its CRLs, until their certificates end.
    """
    folder.require()
    passphrase = serving_passphrase(folder, settings)
    present = folder.issuing_key
    found = {}  # by key, in the order of the certificates: the newest of a key stays
    for generation in folder.issuing_generations():
        key_file = folder.issuing_key_of(generation)
        if key_file != present:
            found[key_file] = generation / "issuing.crt"
    return tuple(
        open_authority(
            folder,
            settings,
            clock=clock,
            entropy=entropy,
            issuing=_pair(key_file, certificate_file, passphrase),
        )
        for key_file, certificate_file in reversed(found.items())
    )


def open_issuing_certificates(folder: PkiFolder) -> tuple[CertificateInfo, ...]:
    """Return all certificates of the issuing CA, newest first; raises NoPki, PkiUnreadable."""
    folder.require()
    generations = reversed(folder.issuing_generations())
    return tuple(_certificate(generation / "issuing.crt") for generation in generations)


def open_next_issuing(folder: PkiFolder) -> CertificateInfo | None:
    """Return the issuing CA's next certificate, if one is prepared; raises NoPki, PkiUnreadable."""
    folder.require()
    if not folder.next_issuing.is_dir():
        return None
    return _certificate(folder.next_issuing / "issuing.crt")


def open_root_certificate(folder: PkiFolder) -> CertificateInfo:
    """Return the root's certificate as it was handed over; raises NoPki, PkiUnreadable."""
    folder.require()
    return _certificate(folder.issuing_root_certificate)


def open_root_crl(folder: PkiFolder) -> bytes:
    """Return the root's CRL (DER) as it was handed over last; raises NoPki, PkiUnreadable."""
    folder.require()
    return read_file(folder.issuing_root_crl)


def open_public_url(folder: PkiFolder) -> str:
    """Return where the ceremony was told that CRLs are published; raises NoPki, PkiUnreadable."""
    folder.require()
    try:
        return str(json.loads(read_file(folder.minutes))["public_url"])
    except (ValueError, KeyError, TypeError) as error:
        raise PkiUnreadable(f"{folder.minutes} does not say where the CA publishes") from error


def root_locations(folder: PkiFolder, settings: PkiSettings) -> PublicationLocations:
    """Return where the root's CRL and certificate are published; raises NoPki, PkiUnreadable."""
    return PublicationLocations.of_certificate(settings, open_root_certificate(folder), ocsp=False)


def open_registration_keys(folder: PkiFolder, settings: PkiSettings) -> RegistrationKeys:
    """Return the RA's keys and certificates; raises NoPki, PkiUnreadable, UnusableKey."""
    folder.require()
    passphrase = _passphrase(folder, settings)
    return RegistrationKeys(
        signing=_pair(folder.ra_signing_key, folder.ra_signing_certificate, passphrase),
        encryption=_pair(folder.ra_encryption_key, folder.ra_encryption_certificate, passphrase),
    )


def open_ocsp_credentials(
    folder: PkiFolder,
    settings: PkiSettings,
    *,
    authority: CertificateAuthority,
    store: Store,
    clock: Clock,
) -> ResponderCredentials:
    """Return the OCSP credentials for the certificates of ``authority``; raises NoPki, PkiUnreadable.

    Nothing is made or read before the first answer.
    """
    return ResponderCredentials(
        folder=folder.ocsp,
        authority=authority,
        store=store,
        clock=clock,
        passphrase=_passphrase(folder, settings),
        key_kind=settings.ocsp.key,
    )


def open_store(folder: PkiFolder, settings: PkiSettings, *, durable: bool = True) -> SqlStore:
    """Return the store that the settings name, or SQLite in the folder; raises NoPki, StoreUnavailable."""
    folder.require()
    url, connections = database_url(folder, settings), settings.database_connections
    return SqlStore.open(url, create=False, durable=durable, connections=connections)


def database_url(folder: PkiFolder, settings: PkiSettings) -> str:
    """Return the URL of a PKI's database, password and all, as `SqlStore.open` wants it."""
    if settings.database_url is None:
        return folder.store_url
    url = settings.database_url.get_secret_value()
    if settings.database_password is None:
        return url
    password = quote(settings.database_password.get_secret_value(), safe="")
    before, at, after = url.partition("@")  # of a URL that has a user, as the settings make sure
    return f"{before}:{password}{at}{after}"


def open_challenge_digest_key(folder: PkiFolder, settings: PkiSettings) -> bytes:
    """Return what keys the digests of challenge passwords; raises NoPki, PkiUnreadable."""
    folder.require()
    if settings.challenge_digest_key is not None:
        return settings.challenge_digest_key.get_secret_value().encode()
    return read_file(folder.challenge_digest_key).strip()


def serving_passphrase(folder: PkiFolder, settings: PkiSettings) -> bytes:
    """Return what opens the keys of issuing CA and RA; raises NoPki, PkiUnreadable."""
    return _passphrase(folder, settings)


def _passphrase(folder: PkiFolder, settings: PkiSettings) -> bytes:
    folder.require()
    if settings.key_passphrase is not None:
        return settings.key_passphrase.get_secret_value().encode()
    return read_file(folder.key_passphrase).strip()


def _pair(key_file: Path, certificate_file: Path, passphrase: bytes) -> KeyAndCertificate:
    certificate = _certificate(certificate_file)
    key = read_key_file(key_file, passphrase)
    if key.public_key_der != certificate.public_key_der:
        raise PkiUnreadable(f"{key_file} is not the key of {certificate_file}")
    return KeyAndCertificate(key=key, certificate=certificate)


def _certificate(path: Path) -> CertificateInfo:
    try:
        return read_certificate(read_certificate_file(path))
    except BadCertificate as error:
        raise PkiUnreadable(f"{path}: {error}") from error
