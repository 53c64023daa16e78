"""What scenarios do with the RA's certificates, as an administrator would."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from ca.opening import open_issuing_key
from lab.admin.ndes import ROLES, RaOrder, RaReplacement

if TYPE_CHECKING:
    from .stage import Stage


def renew_registrars(stage: Stage) -> None:
    """Issue both RA certificates anew, put them in place, and restart the service."""
    for role in ROLES:
        stage.lab.desk.ndes.renew_ra(role, RaOrder())
    stage.lab.desk.ndes.recycle()


def put_bare_registrars(stage: Stage) -> None:
    """Put RA certificates of the issuing CA in place that have neither keyUsage nor extendedKeyUsage."""
    for role in ROLES:
        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        certificate = _bare_certificate(stage, key.public_key()).public_bytes(serialization.Encoding.PEM)
        replacement = RaReplacement(certificate=certificate.decode(), key=SecretStr(pem.decode()))
        stage.lab.desk.ndes.replace_ra(role, replacement)
    stage.lab.desk.ndes.recycle()


def _bare_certificate(stage: Stage, key: rsa.RSAPublicKey) -> x509.Certificate:
    """Sign a certificate with the issuing CA's key, past its templates, as OpenSSL would."""
    world, now = stage.lab.world, stage.lab.clock.now()
    issuing = open_issuing_key(world.folder, world.pki)
    signer = serialization.load_pem_private_key(issuing.key.plain_pem(), None)
    if not isinstance(signer, rsa.RSAPrivateKey):
        raise TypeError("the issuing CA's key is not RSA")
    name = x509.Name.from_rfc4514_string(world.pki.ra_subject)
    issuer = x509.load_der_x509_certificate(issuing.certificate.der)
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=10))
        .not_valid_after(now + timedelta(days=700))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
