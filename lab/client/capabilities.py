"""What a server says it can do, and what we make of it (RFC 8894 3.5.2).

Single DES and MD5 are never chosen; SHA-1 and 3DES only where nothing better is announced, with a
warning, because whoever sits between can shorten the list (RFC 8894 7.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from scep_server.protocol.algorithms import (
    PKCS1_V15,
    ContentCipher,
    DigestAlgorithm,
    KeyTransport,
)

KNOWN_KEYWORDS: Final = (
    "AES",
    "DES3",
    "GetNextCACert",
    "POSTPKIOperation",
    "Renewal",
    "SHA-1",
    "SHA-256",
    "SHA-384",
    "SHA-512",
    "SCEPStandard",
    "Update",
)
_BY_LOWER: Final = {keyword.lower(): keyword for keyword in KNOWN_KEYWORDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """The keywords of GetCACaps; unknown ones are kept apart and ignored."""

    keywords: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()

    @classmethod
    def parse(cls, body: bytes) -> Capabilities:
        """Read the list: LF or CRLF, any case, any Content-Type, unknown words ignored (RFC 8894 3.5.2)."""
        words = [line.strip() for line in body.decode("latin-1").splitlines() if line.strip()]
        known = frozenset(_BY_LOWER[word.lower()] for word in words if word.lower() in _BY_LOWER)
        return cls(
            keywords=known, unknown=tuple(word[:80] for word in words if word.lower() not in _BY_LOWER)
        )

    def has(self, keyword: str) -> bool:
        """Whether ``keyword`` is announced; SCEPStandard stands for AES, POST and SHA-256."""
        if keyword in self.keywords:
            return True
        return "SCEPStandard" in self.keywords and keyword in {"AES", "POSTPKIOperation", "SHA-256"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What the user insists on; None leaves the choice to the capabilities."""

    digest: DigestAlgorithm | None = None
    cipher: ContentCipher | None = None
    key_transport: KeyTransport = PKCS1_V15
    transport: Literal["auto", "get", "post"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithms:
    """What a request is made with."""

    digest: DigestAlgorithm
    cipher: ContentCipher
    key_transport: KeyTransport
    post: bool
    warnings: tuple[str, ...] = ()


def choose(capabilities: Capabilities, preferences: Preferences) -> Algorithms:
    """Return the best of what both sides can do: SHA-256 and AES-128 first (RFC 8894 3.5.2)."""
    digest = preferences.digest or _digest(capabilities)
    cipher = preferences.cipher or _cipher(capabilities)
    warnings = []
    if preferences.digest is None and digest is DigestAlgorithm.SHA_1:
        warnings.append("the server announces no SHA-2: SHA-1 is used (RFC 8894 7.5)")
    if preferences.cipher is None and cipher is ContentCipher.DES_EDE3_CBC:
        warnings.append("the server announces no AES: triple DES is used (RFC 8894 7.5)")
    if capabilities.unknown and not capabilities.keywords:
        warnings.append(
            f"GetCACaps has no keyword we know; it begins {capabilities.unknown[0]!r} (RFC 8894 3.5.2)"
        )
    post = capabilities.has("POSTPKIOperation")
    return Algorithms(
        digest=digest,
        cipher=cipher,
        key_transport=preferences.key_transport,
        post=post if preferences.transport == "auto" else preferences.transport == "post",
        warnings=tuple(warnings),
    )


def _digest(capabilities: Capabilities) -> DigestAlgorithm:
    for digest in (DigestAlgorithm.SHA_256, DigestAlgorithm.SHA_512, DigestAlgorithm.SHA_384):
        if digest.capability and capabilities.has(digest.capability):
            return digest
    return DigestAlgorithm.SHA_1


def _cipher(capabilities: Capabilities) -> ContentCipher:
    return ContentCipher.AES_128_CBC if capabilities.has("AES") else ContentCipher.DES_EDE3_CBC
