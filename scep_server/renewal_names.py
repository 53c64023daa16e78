"""Which alternative names a renewal adds to those of the certificate that signs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ca.extensions import find, read_general_names
from ca.oids import SUBJECT_ALT_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ca.extensions import Extension, GeneralName

_DNS_NAME: Final = 2


def added_names(old: Iterable[Extension], wanted: Iterable[Extension]) -> list[str]:
    """Return the kinds of names (dns, upn, ...) that are ``wanted`` and not in ``old``, in order.

    Host names have no case (RFC 5280 7.2); every other name is compared octet by octet.

    Raises:
        BadExtension: one of them cannot be read, which `ca` allows neither a request nor a certificate.

    """
    held = {_comparable(name) for name in _names(old)}
    return [name.kind for name in _names(wanted) if _comparable(name) not in held]


def _names(extensions: Iterable[Extension]) -> tuple[GeneralName, ...]:
    found = find(extensions, SUBJECT_ALT_NAME)
    return () if found is None else read_general_names(found.value)


def _comparable(name: GeneralName) -> tuple[int, bytes]:
    return name.number, name.content.lower() if name.number == _DNS_NAME else name.content
