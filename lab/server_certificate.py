"""The certificate that SCEP's TLS listener shows: a web server's, from the lab's own issuing CA.

Key and certificate live in memory; each process asks for its own, and for a new one in time.
"""

from __future__ import annotations

import ipaddress
import threading
from typing import TYPE_CHECKING, Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ca.certificates import read_certificate
from ca.errors import CaError
from ca.keys import PrivateKey
from ca.pkcs10 import parse_request
from ca.records import AlreadyExists, StoreUnavailable

from .tls import server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence
    from datetime import datetime

    from ca.authority import PreparedCertificate
    from ca.certificates import CertificateInfo
    from ca.records import StoreTransaction

    from .world import World

TEMPLATE: Final = "WebServer"
REQUESTER: Final = "NDES-LAB-WEB$"  # the account of the web server's machine, as AD CS would see it
_LONGEST_COMMON_NAME: Final = 64
_log = structlog.get_logger(__name__)


class ServerCertificate:
    """One server's key, its certificate, and the TLS context made of both. Safe to use from several threads.

    ``names`` are the DNS names and addresses in subjectAltName; the first is the common name as well.
    """

    def __init__(self, world: World, names: Sequence[str]) -> None:
        self._world = world
        self._names = tuple(dict.fromkeys(names))
        self._renewing = threading.Lock()
        self._key: rsa.RSAPrivateKey | None = None
        self._held: tuple[CertificateInfo, ssl.SSLContext] | None = None

    @property
    def key(self) -> PrivateKey:
        """The server's key, made when it is first needed."""
        return PrivateKey(self._own_key())

    def context(self) -> ssl.SSLContext:
        """Return a context with the certificate that is right now, a new one when it is time.

        A new one that cannot be had is no reason to show none while the old one lasts.

        Raises:
            CaError: there is none that is valid, and the CA issues none.
            StoreUnavailable: one must be issued, and the database cannot be used.

        """
        with self._renewing:
            now = self._world.clock.now()
            held = self._held
            if held is None or not held[0].not_before <= now < self.renewal_due(held[0]):
                try:
                    self._held = held = self._renew()
                except (CaError, StoreUnavailable, AlreadyExists) as error:
                    if held is None:
                        raise
                    _log.warning("server certificate not renewed", reason=str(error))
            return held[1]

    def prepare(self, transaction: StoreTransaction) -> PreparedCertificate:
        """Return what the CA would issue to this server; raises CaError."""
        request = parse_request(_request(self._own_key(), self._names))
        return self._world.authority.prepare(transaction, request, template=TEMPLATE, requester=REQUESTER)

    def _own_key(self) -> rsa.RSAPrivateKey:
        if self._key is None:
            self._key = rsa.generate_private_key(65537, 2048)
        return self._key

    def issue(self) -> tuple[bytes, ...]:
        """Have a certificate issued; return it with the CA's behind it.

        Raises:
            CaError: the CA refuses, or cannot sign.
            StoreUnavailable: the database cannot be used.

        """
        with self._world.store.transaction() as transaction:
            issued = self._world.authority.issue(transaction, self.prepare(transaction))
        _log.info("server certificate issued", names=self._names, not_after=issued.not_after.isoformat())
        return issued.der, self._world.authority.certificate.der

    def _renew(self) -> tuple[CertificateInfo, ssl.SSLContext]:
        chain = self.issue()
        return read_certificate(chain[0]), server_context(self.key, chain)

    def renewal_due(self, certificate: CertificateInfo) -> datetime:
        """Return when to replace it: the template's renewal period before the end, or half-way."""
        if certificate.not_after >= self._world.authority.certificate.not_after:
            return certificate.not_after  # a new one would last no longer
        template = self._world.authority.templates.find(TEMPLATE)
        half = (certificate.not_after - certificate.not_before) / 2
        return certificate.not_after - (min(half, template.renewal_period.about()) if template else half)


def _request(key: rsa.RSAPrivateKey, names: Sequence[str]) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name(names[0]))
    builder = builder.add_extension(x509.SubjectAlternativeName(map(general_name, names)), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def common_name(host: str) -> x509.Name:
    """Return the subject of a server; a name too long for X.520 is in subjectAltName alone."""
    text = host if len(host) <= _LONGEST_COMMON_NAME else "web server"
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def general_name(host: str) -> x509.GeneralName:
    """Return the name of a host as RFC 9525 6.1 has it: dNSName or iPAddress."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
