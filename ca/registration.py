"""The RA's two certificates after the ceremony: issued anew, put in place, retired.

An RA certificate lives two years and nothing renews it by itself, as with NDES. What is replaced is
kept in ``ra/retired/``, because clients go on encrypting to a certificate they fetched long ago. A
service that runs does not notice: it has to be started again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from .authority import CertificateAuthority
from .ceremony import ADMINISTRATORS, ENCRYPTION_TEMPLATE, SIGNING_TEMPLATE, administrators_settings
from .certificates import BadCertificate, CertificateInfo, read_certificate
from .folders import PRIVATE, PUBLIC, PkiUnreadable, read_certificate_file, replace_file, to_pem
from .keys import PrivateKey, UnusableKey, generate_key, read_key_file
from .names import build_name
from .opening import KeyAndCertificate, open_issuing_key, open_root_certificate, serving_passphrase
from .pkcs10 import parse_request, sign_request
from .settings import PublicationLocations
from .templates import TemplateSet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .clock import Clock
    from .folders import PkiFolder
    from .records import Store
    from .settings import PkiSettings


class RaRole(Enum):
    """Which of the two certificates; the value is also the name of its files."""

    SIGNING = "signing"
    ENCRYPTION = "encryption"

    @property
    def template(self) -> str:
        """Return the template its certificates are issued under, unless another one is asked for."""
        return SIGNING_TEMPLATE if self is RaRole.SIGNING else ENCRYPTION_TEMPLATE


@dataclass(frozen=True, slots=True)
class RaFiles:
    """Where an RA's keys and certificates are."""

    folder: PkiFolder

    @property
    def retired(self) -> Path:
        """Where certificates and keys go that were replaced."""
        return self.folder.path / "ra" / "retired"

    def key(self, role: RaRole) -> Path:
        """Return the file of the key in use."""
        return self.folder.ra_signing_key if role is RaRole.SIGNING else self.folder.ra_encryption_key

    def certificate(self, role: RaRole) -> Path:
        """Return the file of the certificate in use."""
        return self.key(role).with_suffix(".crt")


class RegistrationDesk:
    """Issues RA certificates and puts them in place.

    Args:
        folder: of a PKI.
        settings: of that PKI.
        store: remembers what is issued.
        clock: the time of issuing.
        entropy: returns that many random octets.

    """

    def __init__(
        self,
        folder: PkiFolder,
        settings: PkiSettings,
        *,
        store: Store,
        clock: Clock,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._folder = folder
        self._files = RaFiles(folder)
        self._settings = settings
        self._store = store
        self._clock = clock
        self._entropy = entropy

    def issue(
        self, role: RaRole, *, key: PrivateKey | None = None, template: str | None = None
    ) -> KeyAndCertificate:
        """Return a new RA certificate, for a new key unless one is given; nothing is put in place.

        Raises:
            NoPki, PkiUnreadable, UnusableKey, BadTemplate: the PKI cannot be opened.
            CaError: the CA refuses.

        """
        pair = open_issuing_key(self._folder, self._settings)
        authority = CertificateAuthority(
            certificate=pair.certificate,
            chain=(open_root_certificate(self._folder).der,),
            key=pair.key,
            templates=TemplateSet.load(self._folder.templates),
            clock=self._clock,
            entropy=self._entropy,
            locations=PublicationLocations.of_certificate(self._settings, pair.certificate, ocsp=True),
            settings=administrators_settings(self._settings),
        )
        key = key or generate_key(self._settings.ra_key)
        request = parse_request(sign_request(build_name(self._settings.ra_subject), key))
        with self._store.transaction() as transaction:
            prepared = authority.prepare(
                transaction, request, template=template or role.template, requester=ADMINISTRATORS
            )
            issued = authority.issue(transaction, prepared)
        return KeyAndCertificate(key=key, certificate=read_certificate(issued.der))

    def renew(self, role: RaRole, *, same_key: bool = False, template: str | None = None) -> CertificateInfo:
        """Issue a certificate and put it in place of the present one.

        Raises as `issue`; UnusableKey also when the present key is to stay and cannot be opened.
        """
        key = self._present_key(role) if same_key else None
        issued = self.issue(role, key=key, template=template)
        self.put(role, issued)
        return issued.certificate

    def replace(self, role: RaRole, *, certificate: bytes, key: PrivateKey) -> CertificateInfo:
        """Put a certificate from elsewhere (DER) in place, whatever it is: the service will judge it.

        Raises:
            PkiUnreadable: it is no certificate, or not that of the key.

        """
        try:
            found = read_certificate(certificate)
        except BadCertificate as error:
            raise PkiUnreadable(str(error)) from error
        if found.public_key_der != key.public_key_der:
            raise PkiUnreadable(f"the key is not that of the certificate {found.subject}")
        self.put(role, KeyAndCertificate(key=key, certificate=found))
        return found

    def put(self, role: RaRole, pair: KeyAndCertificate) -> None:
        """Put key and certificate in place, and what was there among the retired.

        A process that dies in between leaves a pair that does not fit, which the service then says.
        """
        passphrase = serving_passphrase(self._folder, self._settings)
        self._retire(role)
        replace_file(self._files.key(role), pair.key.encrypted_pem(passphrase), mode=PRIVATE)
        replace_file(self._files.certificate(role), to_pem(pair.certificate.der), mode=PUBLIC)

    def _retire(self, role: RaRole) -> None:
        """Copy the pair in use away, if it can be read at all."""
        try:
            found = read_certificate(read_certificate_file(self._files.certificate(role)))
            key = self._files.key(role).read_bytes()
        except (PkiUnreadable, BadCertificate, OSError):
            return
        stem = self._files.retired / f"{role.value}-{found.serial_number:x}"
        replace_file(stem.with_suffix(".key"), key, mode=PRIVATE)
        replace_file(stem.with_suffix(".crt"), to_pem(found.der), mode=PUBLIC)

    def _present_key(self, role: RaRole) -> PrivateKey:
        passphrase = serving_passphrase(self._folder, self._settings)
        return read_key_file(self._files.key(role), passphrase)


def retired_keys(folder: PkiFolder, settings: PkiSettings) -> tuple[KeyAndCertificate, ...]:
    """Return the retired encryption keys that can be opened; one that cannot is left out."""
    found = []
    passphrase = serving_passphrase(folder, settings)
    for path in sorted(RaFiles(folder).retired.glob(f"{RaRole.ENCRYPTION.value}-*.crt")):
        try:
            certificate = read_certificate(read_certificate_file(path))
            key = read_key_file(path.with_suffix(".key"), passphrase)
        except (PkiUnreadable, BadCertificate, UnusableKey):
            continue
        if key.public_key_der == certificate.public_key_der:
            found.append(KeyAndCertificate(key=key, certificate=certificate))
    return tuple(found)
