"""A stream of publications that a process can be killed in.

Run as a program it publishes pairs of base and delta CRL until it is killed:
``python publishing_stream.py FOLDER ISSUER FIRST``, one line after each pair. ISSUER names two files,
made if they are not there: the key and the certificate that sign.
"""

from __future__ import annotations

import itertools
import sys
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ca.clock import SystemClock
from crl_publisher import Publication, SignedCrl

_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuer")])
_DAY = timedelta(days=1)


def _issuer(path: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key_file, certificate_file = path.with_suffix(".key"), path.with_suffix(".crt")
    if not certificate_file.exists():
        made = ec.generate_private_key(ec.SECP256R1())
        now = SystemClock().now()
        certificate = (
            x509.CertificateBuilder(_NAME, _NAME, made.public_key(), 1, now - _DAY, now + 9 * _DAY)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(made.public_key()), critical=False)
            .sign(made, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        private = serialization.PrivateFormat.PKCS8
        key_file.write_bytes(made.private_bytes(pem, private, serialization.NoEncryption()))
        certificate_file.write_bytes(certificate.public_bytes(pem))
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{key_file} is no EC key")
    return key, x509.load_pem_x509_certificate(certificate_file.read_bytes())


def publish_for_ever(folder: Path, issuer: Path, first: int) -> None:
    key, certificate = _issuer(issuer)
    der = certificate.public_bytes(serialization.Encoding.DER)
    clock = SystemClock()
    publication = Publication(folder, clock)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())

    def crl(name: str, number: int, *more: x509.ExtensionType) -> SignedCrl:
        now = clock.now()
        builder = x509.CertificateRevocationListBuilder(_NAME, now - _DAY, certificate.not_valid_after_utc)
        for extension in (identifier, x509.CRLNumber(number), *more):
            critical = isinstance(extension, x509.DeltaCRLIndicator)
            builder = builder.add_extension(extension, critical=critical)
        signed = builder.sign(key, hashes.SHA256())
        return SignedCrl(name=name, der=signed.public_bytes(serialization.Encoding.DER), issuer=der)

    for number in itertools.count(first, 2):
        delta = crl("Issuer+.crl", number + 1, x509.DeltaCRLIndicator(number))
        publication.publish(crl("Issuer.crl", number), delta)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    publish_for_ever(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
