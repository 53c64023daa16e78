"""A root certificate in every form in which clients want the CA they shall trust.

Nothing here touches the machine's own trust store: whoever wants that does it himself.
"""

from __future__ import annotations

import contextlib
import tempfile
from hashlib import md5, sha1, sha256
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from .admin.models import pem

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

_ALIAS = b"ndes-lab root"


class TrustedRoot:
    """One root certificate, as octets, as files and as thumbprints.

    Args:
        der: the certificate.
        folder: where files are made when they are first asked for; whoever gives it removes it.

    """

    def __init__(self, der: bytes, folder: Path) -> None:
        self.der = der
        self._folder = folder

    @property
    def pem(self) -> str:
        """The certificate in PEM."""
        return pem(self.der, "CERTIFICATE")

    @property
    def pem_path(self) -> Path:
        """A file that holds it in PEM, as curl, openssl and most clients want it."""
        return self._file("root.pem", self.pem.encode())

    @property
    def der_path(self) -> Path:
        """A file that holds it in DER, as Windows and Android want it."""
        return self._file("root.crt", self.der)

    def p12(self, password: str) -> bytes:
        """Return a PKCS#12 trust store with the certificate, which Java takes as one of its own.

        Raises:
            ValueError: the password is empty.

        """
        if not password:
            raise ValueError("the password is empty, and Java opens no PKCS#12 file without one")
        certificate = pkcs12.PKCS12Certificate(x509.load_der_x509_certificate(self.der), _ALIAS)
        return pkcs12.serialize_java_truststore([certificate], BestAvailableEncryption(password.encode()))

    def p12_path(self, password: str) -> Path:
        """Return a file that holds the PKCS#12 trust store; raises as `p12`."""
        path = self._folder / "root.p12"
        path.write_bytes(self.p12(password))
        return path

    @contextlib.contextmanager
    def tempfile(self, folder: Path | str | None = None) -> Iterator[Path]:
        """Yield a file of its own that holds the certificate in PEM, and remove it afterwards."""
        with tempfile.TemporaryDirectory(prefix="ndes-lab-root-", dir=folder) as made:
            path = Path(made) / "root.pem"
            path.write_text(self.pem)
            yield path

    def configure_trust(self, context: ssl.SSLContext) -> None:
        """Have a TLS context trust what chains to this root, besides what it trusts already."""
        context.load_verify_locations(cadata=self.der)

    @property
    def sha256(self) -> str:
        """The SHA-256 thumbprint, lower-case hex."""
        return sha256(self.der).hexdigest()

    @property
    def sha1(self) -> str:
        """The SHA-1 thumbprint, lower-case hex: what Windows shows."""
        return sha1(self.der, usedforsecurity=False).hexdigest()

    @property
    def md5(self) -> str:
        """The MD5 thumbprint, lower-case hex: what NDES's pages show."""
        return md5(self.der, usedforsecurity=False).hexdigest()

    def _file(self, name: str, content: bytes) -> Path:
        path = self._folder / name
        if not path.exists():
            path.write_bytes(content)
        return path
