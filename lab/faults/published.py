"""Published files with other octets in them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ca import der
from ca.extensions import BadExtension

from .ca_keys import issuing_key
from .signed_crls import CrlParts

if TYPE_CHECKING:
    from collections.abc import Callable

    from ca.keys import SigningKey
    from crl_publisher.publication import PublishedFile

    from .tools import Tools

OFFLINE = "0x80092013 CRYPT_E_REVOCATION_OFFLINE (windows-client.md section 1.3)"
REVOKED = "0x80092010 CRYPT_E_REVOKED (windows-client.md section 1.3)"
CHAINING = "0x800B010A CERT_E_CHAINING (windows-client.md section 1.3)"


def with_content(file: PublishedFile, content: bytes, media_type: str = "") -> PublishedFile:
    """Return a file with other octets, which no cache takes for the good ones afterwards.

    Its ETag is another, and its date is earlier: whoever asks whether the good file has changed since is
    told that this one has.
    """
    return replace(
        file,
        content=content,
        media_type=media_type or file.media_type,
        etag=hashlib.sha256(content + file.etag.encode()).hexdigest()[:32],
        modified=file.modified - timedelta(seconds=1),
    )


def resigned_crl(
    file: PublishedFile,
    tools: Tools,
    change: Callable[[CrlParts], CrlParts],
    *,
    key: SigningKey | None = None,
) -> PublishedFile:
    """Return a CRL with something changed, signed again by the CA that issued it, or with another key.

    The root's CRL is returned as it is: its key is no part of a lab.
    """
    try:
        parts = CrlParts.read(file.content)
    except (der.DerError, BadExtension):
        return file
    own = issuing_key(tools.lab, parts.authority_key_id)
    if own is None:
        return file
    return with_content(file, change(parts).sign(key or own))


def bit_flipped(signed: bytes) -> bytes:
    """Return something signed with one bit changed in its last octet, which belongs to the signature."""
    return signed[:-1] + bytes((signed[-1] ^ 1,))
