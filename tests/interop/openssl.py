"""openssl as judge of certificates, CRLs and CertReps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID
from peers import require_peer

from interop.process import run_well

_MESSAGE_TYPE = re.compile(r":2\.16\.840\.1\.113733\.1\.9\.2\n[^\n]*SET[^\n]*\n[^\n]*PRINTABLESTRING +:(\d+)")


def fetch(url: str) -> bytes:
    """Download ``url`` with curl; anything but a 200 fails."""
    done = run_well([require_peer("curl"), "--silent", "--show-error", "--fail", "--max-time", "20", url])
    return done.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What relying parties find by a certificate's own AIA and CDP, walked up to the root."""

    issuers: tuple[x509.Certificate, ...]  # issuing CA first; the root last
    crls: tuple[x509.CertificateRevocationList, ...]  # of the leaf first


def walk(leaf_pem: bytes) -> Publication:
    """Download issuer after issuer (AIA caIssuers) and CRL after CRL (CDP), starting at the leaf."""
    certificate = x509.load_pem_x509_certificate(leaf_pem)
    issuers, crls = [], []
    while certificate.subject != certificate.issuer:
        crls.append(x509.load_der_x509_crl(fetch(_crl_url(certificate))))
        certificate = x509.load_der_x509_certificate(fetch(_issuer_url(certificate)))
        issuers.append(certificate)
        assert len(issuers) < 5, "the AIA chain does not end"
    return Publication(issuers=tuple(issuers), crls=tuple(crls))


def verify_chain(leaf_pem: bytes, *, root_pem: Path, folder: Path) -> Publication:
    """openssl verify: strict, for a TLS client, against the root alone, every CRL checked."""
    publication = walk(leaf_pem)
    leaf, untrusted, crls = folder / "leaf.pem", folder / "untrusted.pem", folder / "crls.pem"
    leaf.write_bytes(leaf_pem)
    untrusted.write_bytes(b"".join(_pem(issuer) for issuer in publication.issuers[:-1]))
    crls.write_bytes(b"".join(crl.public_bytes(Encoding.PEM) for crl in publication.crls))
    done = run_well(
        [
            *(require_peer("openssl"), "verify", "-x509_strict", "-purpose", "sslclient"),
            *("-CAfile", root_pem, "-untrusted", untrusted, "-CRLfile", crls, "-crl_check_all"),
            *("-no-CApath", "-no-CAstore", leaf),
        ]
    )
    assert done.stdout.endswith(b": OK\n"), done.text
    return publication


def verify_cert_rep(cert_rep: bytes, *, chain_pem: Path) -> bytes:
    """openssl cms and smime both verify the signature, cms also the signer up to the root.

    Returns the eContent. Both are asked because they differ: cms insists on contentType, and each
    of them has its own idea of an absent eContent. ``chain_pem`` holds root and issuing CA, because
    openssl 3.0 looks for the signer's issuers among trusted certificates only; the chain has to reach
    the self-signed root nevertheless.
    """
    openssl = require_peer("openssl")
    run_well([openssl, "smime", "-verify", "-noverify", "-binary", "-inform", "DER"], stdin=cert_rep)
    words = ["cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any", "-x509_strict"]
    words += ["-CAfile", str(chain_pem), "-no-CApath", "-no-CAstore"]
    return run_well([openssl, *words], stdin=cert_rep).stdout


def decrypt_envelope(envelope: bytes, key: Path) -> bytes:
    """openssl cms decrypts a pkcsPKIEnvelope with the recipient's key."""
    words = ["cms", "-decrypt", "-binary", "-inform", "DER", "-inkey", str(key)]
    return run_well([require_peer("openssl"), *words], stdin=envelope).stdout


def decrypt_with_password(envelope: bytes, password: str) -> bytes:
    """openssl cms decrypts a pkcsPKIEnvelope that is enveloped under a password."""
    words = ["cms", "-decrypt", "-binary", "-inform", "DER", "-pwri_password", password]
    return run_well([require_peer("openssl"), *words], stdin=envelope).stdout


def content(cert_rep: bytes) -> bytes:
    """The eContent of a CertRep, once openssl has verified its signature."""
    words = ["cms", "-verify", "-noverify", "-binary", "-inform", "DER"]
    return run_well([require_peer("openssl"), *words], stdin=cert_rep).stdout


def degenerate_certificates(degenerate: bytes) -> list[bytes]:
    """The PEM certificates of a certs-only SignedData, in the order openssl finds them."""
    done = run_well([require_peer("openssl"), "pkcs7", "-inform", "DER", "-print_certs"], stdin=degenerate)
    return re.findall(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", done.stdout, re.DOTALL)


def message_type(pki_message: bytes) -> int:
    """The messageType attribute of a pkiMessage, as openssl asn1parse reads it."""
    done = run_well([require_peer("openssl"), "asn1parse", "-inform", "DER"], stdin=pki_message)
    found = _MESSAGE_TYPE.search(done.stdout.decode())
    assert found, done.text
    return int(found[1])


def _issuer_url(certificate: x509.Certificate) -> str:
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    for description in access:
        if description.access_method == AuthorityInformationAccessOID.CA_ISSUERS:
            return str(description.access_location.value)
    raise AssertionError(f"{certificate.subject.rfc4514_string()} has no caIssuers in its AIA")


def _crl_url(certificate: x509.Certificate) -> str:
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    for point in points:
        for location in point.full_name or ():
            return str(location.value)
    raise AssertionError(f"{certificate.subject.rfc4514_string()} has no CDP")


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
