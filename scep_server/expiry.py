"""What a SCEP server needs that ends: the CAs' certificates and the RA's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ca.process.expiry import ExpiryCollector, certificate_in_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ca.clock import Clock
    from ca.folders import PkiFolder
    from ca.process.expiry import Found


class ScepExpiry(ExpiryCollector):
    """Tells Prometheus when the certificates that SCEP is answered with end, from the files of a PKI.

    Needs no key and no passphrase. In multiprocess mode it is for the process that answers scrapes.
    """

    def __init__(self, folder: PkiFolder, clock: Clock) -> None:
        super().__init__(lambda: certificates_of_scep(folder), clock)


def certificates_of_scep(folder: PkiFolder) -> Iterator[Found]:
    """Yield root, issuing CA in its present generation, and the RA's signing and encryption certificates."""
    for path, kind, role in (
        (folder.issuing_root_certificate, "ca", "CA Certificate"),
        (folder.issuing_certificate, "ca", "CA Certificate"),
        (folder.ra_signing_certificate, "ra", "RA Certificate (signing)"),
        (folder.ra_encryption_certificate, "ra", "RA Certificate (encryption)"),
    ):
        yield certificate_in_file(path, kind=kind, role=role, base=folder.path)
