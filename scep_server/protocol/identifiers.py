"""AlgorithmIdentifier, read and written: digests, ciphers, key transport, PSS.

Parameters that are absent and parameters that are NULL mean the same on input (RFC 5754 2; micromdm
and old Cisco firmware omit them). On output digests and rsaEncryption carry NULL, as OpenSSL, NDES
and every measured client write it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ca import der, oids

from .algorithms import ContentCipher, DigestAlgorithm, KeyTransport
from .errors import BadAlgorithm
from .guards import refusing

if TYPE_CHECKING:
    from .algorithms import AlgorithmPolicy

P_SPECIFIED = "1.2.840.113549.1.1.9"
_NULL = der.null()
_DIGESTS = {digest.value: digest for digest in DigestAlgorithm}
_CIPHERS = {cipher.value: cipher for cipher in ContentCipher}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgorithmIdentifier:
    """An algorithm and its parameters as raw DER, None when absent (RFC 5280 4.1.1.2)."""

    oid: str
    parameters_der: bytes | None = None

    def encode(self) -> bytes:
        """Return the SEQUENCE."""
        return der.sequence(der.oid(self.oid), self.parameters_der or b"")


def read_identifier(reader: der.Reader, what: str, tag: int = der.SEQUENCE) -> AlgorithmIdentifier:
    """Read one AlgorithmIdentifier; raises DerError."""
    inner = reader.enter(tag, what)
    oid = inner.oid(f"{what} algorithm")
    parameters = None if inner.done else inner.element(what=f"{what} parameters").raw
    inner.finish(what)
    return AlgorithmIdentifier(oid=oid, parameters_der=parameters)


def digest_identifier(digest: DigestAlgorithm) -> bytes:
    """Return the AlgorithmIdentifier of a digest, with NULL."""
    return der.sequence(der.oid(digest.value), _NULL)


def find_digest(oid: str, policy: AlgorithmPolicy) -> DigestAlgorithm:
    """Return the digest with this OID if the policy lets it in.

    Raises:
        BadAlgorithm: unknown, or refused (RFC 8894 2.9: MD5 MUST NOT be supported).

    """
    digest = _DIGESTS.get(oid)
    if digest is None:
        raise BadAlgorithm(f"digest algorithm {oid} is not known here, expected SHA-256 (RFC 8894 2.9)")
    if (digest.legacy and policy.legacy == "refuse") or (
        digest is DigestAlgorithm.SHA_1 and policy.sha1 == "refuse"
    ):
        raise BadAlgorithm(f"digest algorithm {digest.hash_name} is refused here (RFC 8894 2.9, 3.5.2)")
    return digest


def find_cipher(oid: str, policy: AlgorithmPolicy) -> ContentCipher:
    """Return the content cipher with this OID if the policy lets it in.

    Raises:
        BadAlgorithm: unknown, or refused (RFC 8894 2.9: single DES MUST NOT be supported).

    """
    cipher = _CIPHERS.get(oid)
    if cipher is None:
        raise BadAlgorithm(f"content encryption {oid} is not known here, expected AES128-CBC (RFC 8894 2.9)")
    if (cipher.legacy and policy.legacy == "refuse") or (
        cipher is ContentCipher.DES_EDE3_CBC and policy.triple_des == "refuse"
    ):
        raise BadAlgorithm(f"content encryption {cipher.name} is refused here (RFC 8894 2.9, 3.5.2)")
    return cipher


# -- RSAES-OAEP (RFC 8017 A.2.1) and RSASSA-PSS (A.2.3) ----------------------------------


def key_transport_identifier(key_transport: KeyTransport) -> bytes:
    """Return the keyEncryptionAlgorithm, defaults omitted as DER wants it (X.690 11.5)."""
    digest = key_transport.oaep_digest
    if digest is None:
        return der.sequence(der.oid(oids.RSA_ENCRYPTION), _NULL)
    mgf_digest = key_transport.oaep_mgf_digest or digest
    parameters = b""
    if digest is not DigestAlgorithm.SHA_1:
        parameters += der.explicit(0, digest_identifier(digest))
    if mgf_digest is not DigestAlgorithm.SHA_1:
        parameters += der.explicit(1, der.sequence(der.oid(oids.MGF1), digest_identifier(mgf_digest)))
    if key_transport.oaep_label:
        label = der.sequence(der.oid(P_SPECIFIED), der.octet_string(key_transport.oaep_label))
        parameters += der.explicit(2, label)
    return der.sequence(der.oid(oids.RSAES_OAEP), der.sequence(parameters))


def find_key_transport(identifier: AlgorithmIdentifier) -> KeyTransport:
    """Return the key transport an identifier names, OAEP with its parameters.

    Absent parameters and an empty SEQUENCE are both OAEP with every default (Windows sends the latter).

    Raises:
        BadAlgorithm: another algorithm, or parameters that cannot be used.

    """
    if identifier.oid == oids.RSA_ENCRYPTION:
        return KeyTransport()
    if identifier.oid != oids.RSAES_OAEP:
        raise BadAlgorithm(
            f"key encryption {identifier.oid} is not known here, expected rsaEncryption or RSAES-OAEP"
        )
    with refusing(BadAlgorithm, "RSAES-OAEP parameters (RFC 8017 A.2.1)"):
        reader = _parameters(identifier)
        digest = _parameter_digest(reader)
        mgf_digest = _parameter_mgf_digest(reader)
        label = b""
        if source := reader.optional(0xA2):
            found = source.reader().enter(what="pSourceAlgorithm")
            if found.oid() != P_SPECIFIED:
                raise BadAlgorithm("RSAES-OAEP label source is not pSpecified (RFC 8017 A.2.1)")
            label = found.octets("pSpecified")
        reader.finish("parameters")
        return KeyTransport(oaep_digest=digest, oaep_mgf_digest=mgf_digest, oaep_label=label)


@dataclass(frozen=True, slots=True, kw_only=True)
class PssParameters:
    """RSASSA-PSS-params; the salt length in octets."""

    digest: DigestAlgorithm
    mgf_digest: DigestAlgorithm
    salt_length: int

    def encode(self) -> bytes:
        """Return the SEQUENCE, defaults omitted."""
        parameters = b""
        if self.digest is not DigestAlgorithm.SHA_1:
            parameters += der.explicit(0, digest_identifier(self.digest))
        if self.mgf_digest is not DigestAlgorithm.SHA_1:
            mask = der.sequence(der.oid(oids.MGF1), digest_identifier(self.mgf_digest))
            parameters += der.explicit(1, mask)
        if self.salt_length != 20:
            parameters += der.explicit(2, der.integer(self.salt_length))
        return der.sequence(parameters)


def read_pss_parameters(identifier: AlgorithmIdentifier) -> PssParameters:
    """Return the parameters of RSASSA-PSS.

    Raises:
        BadAlgorithm: absent (RFC 4056 3: they MUST be there in a signature), or unusable.

    """
    with refusing(BadAlgorithm, "RSASSA-PSS parameters (RFC 8017 A.2.3)"):
        if identifier.parameters_der is None:
            raise BadAlgorithm("RSASSA-PSS without parameters (RFC 4056 3)")
        reader = _parameters(identifier)
        digest = _parameter_digest(reader)
        mgf_digest = _parameter_mgf_digest(reader)
        salt = reader.optional(0xA2)
        salt_length = salt.reader().integer("saltLength") if salt else 20
        trailer = reader.optional(0xA3)
        if not 0 <= salt_length <= 512 or (trailer and trailer.reader().integer("trailerField") != 1):
            raise BadAlgorithm("RSASSA-PSS salt length or trailer field out of range (RFC 8017 A.2.3)")
        reader.finish("parameters")
        return PssParameters(digest=digest, mgf_digest=mgf_digest, salt_length=salt_length)


def _parameters(identifier: AlgorithmIdentifier) -> der.Reader:
    if identifier.parameters_der in (None, _NULL):
        return der.Reader(b"")
    return der.one(identifier.parameters_der or b"", what="parameters")


def _parameter_digest(reader: der.Reader) -> DigestAlgorithm:
    found = reader.optional(0xA0)
    return _strong_digest(found.reader()) if found else DigestAlgorithm.SHA_1


def _parameter_mgf_digest(reader: der.Reader) -> DigestAlgorithm:
    found = reader.optional(0xA1)
    if found is None:
        return DigestAlgorithm.SHA_1
    mask = found.reader().enter(what="maskGenAlgorithm")
    if mask.oid() != oids.MGF1:
        raise BadAlgorithm("mask generation function is not MGF1 (RFC 8017 A.2.1)")
    return _strong_digest(mask)


def _strong_digest(reader: der.Reader) -> DigestAlgorithm:
    oid = read_identifier(reader, "hashAlgorithm").oid
    digest = _DIGESTS.get(oid)
    if digest is None or digest.legacy:
        raise BadAlgorithm(f"hash {oid} is not known for OAEP or PSS (RFC 8017 B.1)")
    return digest
