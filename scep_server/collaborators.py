"""What the service needs of others, as protocols: the CA and the codec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ca.authority import PreparedCertificate
    from ca.pkcs10 import VerifiedRequest
    from ca.records import CertificateRecord, NewCertificate, RequestRecord, StoreTransaction


class Authority(Protocol):
    """The CA as the RA sees it: it refuses in `prepare`, before its key is touched."""

    def prepare(
        self,
        transaction: StoreTransaction,
        request: VerifiedRequest,
        *,
        template: str,
        requester: str,
        renewal_of: CertificateRecord | None = None,
    ) -> PreparedCertificate:
        """Return the certificate that would be issued; raises CaError; writes nothing."""

    def sign(self, prepared: PreparedCertificate) -> NewCertificate:
        """Sign it; raises CaError."""

    def record(self, transaction: StoreTransaction, certificate: NewCertificate) -> CertificateRecord:
        """Record what was signed as issued."""

    def submit(self, transaction: StoreTransaction, prepared: PreparedCertificate) -> RequestRecord:
        """Record it as a request that waits for a certificate manager."""
