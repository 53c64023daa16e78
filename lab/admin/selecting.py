"""Finding the certificate that somebody names: by number, serial number, thumbprint or subject."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

from ca.records import CertificateFilter

from .desk import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ca.records import CertificateRecord, StoreTransaction

_NUMBER = re.compile(r"[0-9]{1,9}")
_HEX = re.compile(r"[0-9a-f]+")
_SEARCH_LIMIT = 1000


def select(
    transaction: StoreTransaction,
    selector: str,
    *,
    key_ids: Iterable[str],
    now: datetime,
    by_number: bool = True,
) -> CertificateRecord:
    """Return the certificate with this number, serial number, or SHA-1 or SHA-256 thumbprint.

    ``key_ids`` are the keys of the CA that serial numbers are looked up under. Colons, spaces and a
    leading 0x do not count. Not ``by_number`` leaves the number out, for lists of serial numbers.

    Raises:
        NotFound: there is none.

    """
    wanted = re.sub(r"[\s:]", "", selector).lower().removeprefix("0x")
    found: CertificateRecord | None = None
    if by_number and _NUMBER.fullmatch(wanted):
        found = transaction.certificate(int(wanted))
    if found is None and _HEX.fullmatch(wanted) and len(wanted) <= 64:
        serial = int(wanted, 16)
        looked_up = (transaction.certificate_by_serial(key_id, serial) for key_id in key_ids)
        found = next((one for one in looked_up if one is not None), None)
        if found is None and len(wanted) == 40:
            page = transaction.find_certificates(CertificateFilter(sha1=wanted), now=now, limit=1)
            found = next(iter(page), None)
        if found is None and len(wanted) == 64:
            found = _by_sha256(transaction, wanted, now)
    if found is None:
        raise NotFound(f"there is no certificate {selector!r} (number, serial number, SHA-1 or SHA-256)")
    return found


def _by_sha256(transaction: StoreTransaction, wanted: str, now: datetime) -> CertificateRecord | None:
    """Look through all certificates: the store keeps SHA-1 thumbprints only."""
    last = 0
    while page := transaction.find_certificates(
        CertificateFilter(), now=now, after_id=last, limit=_SEARCH_LIMIT
    ):
        for record in page:
            if sha256(record.der).hexdigest() == wanted:
                return record
        last = page[-1].id
    return None
