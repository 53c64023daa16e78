"""PKCS#10 requests (RFC 2986) as deployed clients really write them.

Lenient where clients are known to deviate without harm: version numbers, order of SETs, absent
attributes, strings outside their repertoire, octets after the end. Strict where leniency would let
two readers see two requests: anything that is there twice. BER has become DER before it gets here.
Does not live here: what of it is granted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from . import der, extensions, names, oids
from .errors import BadRequestAlgorithm, BadRequestSignature, MalformedRequest
from .extensions import Extension
from .periods import Period, validity_wish
from .public_keys import PublicKeyInfo, VerifyingKey, read_public_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from .keys import SigningKey

ENROLLMENT_NAME_VALUE_PAIR: Final = "1.3.6.1.4.1.311.13.2.1"
_EXTENSION_REQUESTS: Final = frozenset(
    {oids.EXTENSION_REQUEST, oids.MICROSOFT_EXTENSION_REQUEST, oids.VERISIGN_EXTENSION_REQUEST}
)
_MAXIMUM_ATTRIBUTES: Final = 64
_HIGHEST_VERSION: Final = 2  # Apple's old SCEP client writes 2; RFC 2986 4.1 knows only 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAttribute:
    """One attribute: its type and its values, each a whole DER element."""

    oid: str
    values: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """A parsed PKCS#10 whose own signature nobody has looked at yet."""

    der: bytes = field(repr=False)
    version: int
    subject_der: bytes = field(repr=False)
    subject_rdns: names.Rdns = field(repr=False)
    subject: str  # RFC 4514 text
    public_key_der: bytes = field(repr=False)  # SubjectPublicKeyInfo
    attributes: tuple[RequestAttribute, ...]
    extensions: tuple[Extension, ...]
    challenge_password: bytes | None = field(repr=False)  # UTF-8 octets, whatever string type it came in
    challenge_password_tag: int | None  # that string type
    challenge_password_defect: str  # why there is none to compare though the attribute is there, else ""
    validity_wish: Period | None
    defects: tuple[str, ...]  # deviations that were tolerated, in plain words
    signed_octets: bytes = field(repr=False)  # CertificationRequestInfo
    signature_algorithm: bytes = field(repr=False)  # AlgorithmIdentifier
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRequest(CertificateRequest):
    """A request whose signature proves possession of the private key (RFC 2986 3)."""

    public_key: PublicKeyInfo
    hash_names: tuple[str, ...]  # of the signature; none where the scheme has its own

    def check_hashes(self, *, allow_sha1: bool, allow_md5: bool) -> None:
        """Raise BadRequestAlgorithm where the signature uses SHA-1 or MD5 and that is not allowed."""
        _allow(self.hash_names, allow_sha1=allow_sha1, allow_md5=allow_md5)


def sign_request(subject_der: bytes, key: SigningKey) -> bytes:
    """Return a plain PKCS#10 of this subject (a Name) signed by ``key``, for keys of our own."""
    info = der.sequence(der.integer(0), subject_der, key.public_key_der, der.explicit(0))
    return der.sequence(info, key.signature_algorithm_der, der.bit_string(key.sign(info)))


def parse_request(octets: bytes) -> CertificateRequest:
    """Read a PKCS#10 CertificationRequest.

    Raises:
        MalformedRequest: it cannot be read, or says something twice.

    """
    try:
        return _parse(octets)
    except (der.DerError, names.BadName, extensions.BadExtension) as error:
        raise MalformedRequest(f"the PKCS#10 request cannot be read: {error}") from error


def _parse(octets: bytes) -> CertificateRequest:
    defects: list[str] = []
    whole = der.Reader(octets)
    request = whole.enter(what="CertificationRequest")
    if not whole.done:
        defects.append("octets follow the CertificationRequest")
    info = request.element(der.SEQUENCE, "CertificationRequestInfo")
    algorithm = request.element(der.SEQUENCE, "signatureAlgorithm").raw
    signature = request.bits("signature")
    request.finish("CertificationRequest")

    reader = info.reader()
    version = reader.integer("version")
    if not 0 <= version <= _HIGHEST_VERSION:
        raise MalformedRequest(f"PKCS#10 version is {version}, expected 0 (RFC 2986 4.1)")
    if version:
        defects.append(f"version is {version}, expected 0 (RFC 2986 4.1)")
    subject = reader.element(der.SEQUENCE, "subject").raw
    rdns = names.read_name(subject)
    public_key = reader.element(der.SEQUENCE, "subjectPKInfo").raw
    attributes = _attributes(reader, defects)
    reader.finish("CertificationRequestInfo")

    challenge, tag, challenge_defect = _challenge(attributes)
    return CertificateRequest(
        der=octets,
        version=version,
        subject_der=subject,
        subject_rdns=rdns,
        subject=names.text_of(rdns),
        public_key_der=public_key,
        attributes=attributes,
        extensions=_extensions(attributes),
        challenge_password=challenge,
        challenge_password_tag=tag,
        challenge_password_defect=challenge_defect,
        validity_wish=validity_wish(_name_value_pairs(attributes)),
        defects=tuple(defects),
        signed_octets=info.raw,
        signature_algorithm=algorithm,
        signature=signature,
    )


def _attributes(reader: der.Reader, defects: list[str]) -> tuple[RequestAttribute, ...]:
    element = reader.optional(0xA0)
    if element is None:
        defects.append("attributes [0] are absent (RFC 2986 4.1)")
        return ()
    found: list[RequestAttribute] = []
    attributes = element.reader()
    while not attributes.done:
        if len(found) == _MAXIMUM_ATTRIBUTES:
            raise MalformedRequest(f"the request has more than {_MAXIMUM_ATTRIBUTES} attributes")
        attribute = attributes.enter(what="Attribute")
        dotted = attribute.oid("attribute type")
        values = attribute.enter(der.SET, "attribute values")
        attribute.finish("Attribute")
        found.append(RequestAttribute(oid=dotted, values=tuple(value.raw for value in values.elements())))
    return tuple(found)


def _extensions(attributes: tuple[RequestAttribute, ...]) -> tuple[Extension, ...]:
    asked = [attribute for attribute in attributes if attribute.oid in _EXTENSION_REQUESTS]
    if not asked:
        return ()
    if len(asked) > 1:
        raise MalformedRequest(f"extensions are requested in {len(asked)} attributes, expected one")
    if len(asked[0].values) != 1:
        raise MalformedRequest(f"extensionRequest has {len(asked[0].values)} values, expected one")
    found = extensions.read_extensions(der.one(asked[0].values[0], what="ExtensionReq"))
    for extension in found:
        if reader := _READERS.get(extension.oid):
            reader(extension.value)
    return found


_READERS: Final[dict[str, Callable[[bytes], object]]] = {
    oids.SUBJECT_ALT_NAME: extensions.read_general_names,
    oids.KEY_USAGE: extensions.read_key_usage,
    oids.EXTENDED_KEY_USAGE: extensions.read_extended_key_usage,
    oids.BASIC_CONSTRAINTS: extensions.read_basic_constraints,
}


def _challenge(attributes: tuple[RequestAttribute, ...]) -> tuple[bytes | None, int | None, str]:
    """Return the challengePassword's octets, its string type, and what is wrong with it."""
    asked = [attribute for attribute in attributes if attribute.oid == oids.CHALLENGE_PASSWORD]
    if not asked:
        return None, None, ""
    if len(asked) > 1 or len(asked[0].values) != 1:
        return None, None, "challengePassword is not there exactly once (RFC 2985 5.4.1)"
    try:
        tag, content, _ = der.Reader(asked[0].values[0]).element(what="challengePassword")
        if not names.is_string(tag):
            return None, tag, f"challengePassword has tag 0x{tag:02X}, expected a string (RFC 2985 5.4.1)"
        return names.string_text(tag, content).encode(), tag, ""
    except (der.DerError, names.BadName, UnicodeEncodeError):
        return None, None, "challengePassword cannot be read (RFC 2985 5.4.1)"


def _name_value_pairs(attributes: tuple[RequestAttribute, ...]) -> list[tuple[str, str]]:
    """Return the enrollment name/value pairs; one that cannot be read is as good as absent."""
    pairs: list[tuple[str, str]] = []
    for attribute in attributes:
        if attribute.oid != ENROLLMENT_NAME_VALUE_PAIR:
            continue
        for value in attribute.values:
            try:
                pair = der.one(value, what="EnrollmentNameValuePair")
                name, text = pair.element(), pair.element()
                pairs.append(
                    (names.string_text(name.tag, name.content), names.string_text(text.tag, text.content))
                )
            except (der.DerError, names.BadName):
                continue
    return pairs


# -- proof of possession ---------------------------------------------------------------

_PKCS1: Final = padding.PKCS1v15()
_DIGESTS: Final[dict[str, hashes.HashAlgorithm]] = {
    "md5": hashes.MD5(),  # noqa: S303 - verified only, and only where the caller allows it
    "sha1": hashes.SHA1(),  # noqa: S303
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_SIGNATURES: Final[dict[str, tuple[type[VerifyingKey], str]]] = {
    "1.2.840.113549.1.1.4": (rsa.RSAPublicKey, "md5"),
    "1.2.840.113549.1.1.5": (rsa.RSAPublicKey, "sha1"),
    "1.3.14.3.2.29": (rsa.RSAPublicKey, "sha1"),
    "1.2.840.113549.1.1.14": (rsa.RSAPublicKey, "sha224"),
    "1.2.840.113549.1.1.11": (rsa.RSAPublicKey, "sha256"),
    "1.2.840.113549.1.1.12": (rsa.RSAPublicKey, "sha384"),
    "1.2.840.113549.1.1.13": (rsa.RSAPublicKey, "sha512"),
    "1.2.840.10045.4.1": (ec.EllipticCurvePublicKey, "sha1"),
    "1.2.840.10045.4.3.1": (ec.EllipticCurvePublicKey, "sha224"),
    "1.2.840.10045.4.3.2": (ec.EllipticCurvePublicKey, "sha256"),
    "1.2.840.10045.4.3.3": (ec.EllipticCurvePublicKey, "sha384"),
    "1.2.840.10045.4.3.4": (ec.EllipticCurvePublicKey, "sha512"),
}
_HASH_OIDS: Final = {
    "1.2.840.113549.2.5": "md5",
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_ED25519: Final = "1.3.101.112"


def verify_request(request: CertificateRequest, *, allow_sha1: bool, allow_md5: bool) -> VerifiedRequest:
    """Verify the request's own signature and return the request as one that proves possession.

    Raises:
        BadPublicKey, KeyLength: the key cannot be used, or is weak.
        BadRequestAlgorithm: an unknown algorithm, one that does not belong to the key, or SHA-1 or
            MD5 where that is not allowed.
        BadRequestSignature: the signature does not verify.

    """
    info = read_public_key(request.public_key_der)
    try:
        algorithm = der.one(request.signature_algorithm, what="signatureAlgorithm")
        dotted = algorithm.oid("signatureAlgorithm")
        parameters = None if algorithm.done else algorithm.element()
    except der.DerError as error:
        raise MalformedRequest(f"the signature algorithm cannot be read: {error}") from error
    key = info.load()
    hash_names: tuple[str, ...] = ()
    if dotted == _ED25519:
        _check(request, key, ed25519.Ed25519PublicKey, None, None)
    elif dotted == oids.RSASSA_PSS:
        hash_name, mgf_hash_name, salt_length = _pss_parameters(parameters)
        hash_names = (mgf_hash_name, hash_name)
        _allow(hash_names, allow_sha1=allow_sha1, allow_md5=allow_md5)
        scheme = padding.PSS(padding.MGF1(_DIGESTS[mgf_hash_name]), salt_length)
        _check(request, key, rsa.RSAPublicKey, _DIGESTS[hash_name], scheme)
    elif dotted in _SIGNATURES:
        kind, hash_name = _SIGNATURES[dotted]
        hash_names = (hash_name,)
        _allow(hash_names, allow_sha1=allow_sha1, allow_md5=allow_md5)
        _check(request, key, kind, _DIGESTS[hash_name], _PKCS1)
    else:
        raise BadRequestAlgorithm(f"the request is signed with {dotted}, which is not known")
    read = {name: getattr(request, name) for name in _REQUEST_FIELDS}
    return VerifiedRequest(**read, public_key=info, hash_names=hash_names)


_REQUEST_FIELDS: Final = tuple(item.name for item in fields(CertificateRequest))


def _allow(hash_names: tuple[str, ...], *, allow_sha1: bool, allow_md5: bool) -> None:
    for hash_name, allowed in (("sha1", allow_sha1), ("md5", allow_md5)):
        if hash_name in hash_names and not allowed:
            raise BadRequestAlgorithm(
                f"the request is signed with {hash_name.upper()}, which is not allowed here"
            )


def _check(
    request: CertificateRequest,
    key: VerifyingKey,
    kind: type[VerifyingKey],
    digest: hashes.HashAlgorithm | None,
    scheme: padding.AsymmetricPadding | None,
) -> None:
    if not isinstance(key, kind):
        raise BadRequestAlgorithm(
            f"the signature algorithm needs {kind.__name__}, the request has another key"
        )
    try:
        if isinstance(key, rsa.RSAPublicKey) and digest and scheme:
            key.verify(request.signature, request.signed_octets, scheme, digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and digest:
            key.verify(request.signature, request.signed_octets, ec.ECDSA(digest))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(request.signature, request.signed_octets)
    except InvalidSignature as error:
        raise BadRequestSignature("the request's signature does not verify with its own key") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadRequestAlgorithm(f"the request's signature cannot be checked: {error}") from error


def _pss_parameters(parameters: der.Element | None) -> tuple[str, str, int]:
    """Return digest, MGF1 digest and salt length of RSASSA-PSS-params (RFC 4055 3.1)."""
    hash_name, mgf_hash_name, salt_length = "sha1", "sha1", 20
    try:
        reader = parameters.reader() if parameters else der.Reader(b"")
        for element in reader.elements():
            if element.tag == 0xA0:
                hash_name = _hash_name(element.reader())
            elif element.tag == 0xA1:
                mgf = element.reader().enter(what="maskGenAlgorithm")
                if mgf.oid("maskGenAlgorithm") != oids.MGF1:
                    raise BadRequestAlgorithm("the request's PSS mask generation is not MGF1 (RFC 4055 2.2)")
                mgf_hash_name = _hash_name(mgf)
            elif element.tag == 0xA2:
                salt_length = element.reader().integer("saltLength")
    except der.DerError as error:
        raise BadRequestAlgorithm(f"PSS parameters cannot be read: {error}") from error
    if not 0 <= salt_length <= 512:
        raise BadRequestAlgorithm(f"PSS salt length is {salt_length}, expected at most 512")
    return hash_name, mgf_hash_name, salt_length


def _hash_name(reader: der.Reader) -> str:
    dotted = reader.enter(what="hashAlgorithm").oid("hashAlgorithm")
    if dotted not in _HASH_OIDS:
        raise BadRequestAlgorithm(f"digest {dotted} is not known")
    return _HASH_OIDS[dotted]
