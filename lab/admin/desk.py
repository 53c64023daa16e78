"""What can be done at the desk of a lab's CA and RA, wherever the desk stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ca.records import RequestStatus

    from .clock import ClockDesk
    from .faults import FaultDesk
    from .journal import JournalDesk
    from .models import (
        BulkOrder,
        BulkView,
        CertificateOrder,
        CertificatePage,
        CertificateQuery,
        CertificateView,
        ChallengeOrder,
        ChallengeView,
        CrlOrder,
        CrlView,
        DenialOrder,
        NewChallengeView,
        RequestView,
        RevocationOrder,
        RevokedView,
    )
    from .ndes import NdesDesk
    from .templates import TemplateDesk
    from .whole import WholeDesk


class DeskError(Exception):
    """What was asked cannot be done; raised by its leaves only.

    ``code`` is AD CS's name of the reason where it has one.
    """

    status: ClassVar[int]

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code or type(self).__name__


class Invalid(DeskError):
    """What was asked makes no sense."""

    status = 400


class NotFound(DeskError):
    """There is no such thing."""

    status = 404


class DeskRefused(DeskError):
    """The CA will not do it, or not in the state that the thing is in."""

    status = 409


class DeskUnavailable(DeskError):
    """The desk cannot be reached, or cannot work now."""

    status = 503


class NobodyThere(DeskUnavailable):
    """Nothing answers where the desk should be."""


class Desk(Protocol):
    """The desk; every method raises leaves of `DeskError`.

    ``selector`` names a certificate: its number, its serial number in hex, or its SHA-1 or SHA-256
    thumbprint, with or without colons or spaces.
    """

    @property
    def ndes(self) -> NdesDesk:
        """What can be done about NDES."""

    @property
    def templates(self) -> TemplateDesk:
        """What can be done about certificate templates."""

    @property
    def clock(self) -> ClockDesk:
        """What can be done about the clock."""

    @property
    def faults(self) -> FaultDesk:
        """What can be done about faults."""

    @property
    def lab(self) -> WholeDesk:
        """What can be done about the lab as a whole."""

    @property
    def journal(self) -> JournalDesk:
        """What can be read of the journal."""

    def new_challenge(self, order: ChallengeOrder) -> NewChallengeView:
        """Make a challenge; the only time its password is seen."""

    def challenges(self, *, usable_only: bool = False) -> Sequence[ChallengeView]:
        """Return the challenges, oldest first."""

    def revoke_challenge(self, challenge_id: int) -> ChallengeView:
        """Revoke a challenge that is neither spent nor revoked."""

    def certificates(self, query: CertificateQuery) -> CertificatePage:
        """Return one page of the certificates that match, oldest first."""

    def certificate(self, selector: str) -> CertificateView:
        """Return one certificate."""

    def issue_certificate(self, order: CertificateOrder) -> CertificateView | RequestView:
        """Issue a certificate without SCEP, or have its request wait where the template wants approval."""

    def revoke_certificate(self, selector: str, order: RevocationOrder) -> RevokedView:
        """Revoke a certificate, or take it off hold, and publish the CRL that was asked for."""

    def revoke_many(self, order: BulkOrder) -> BulkView:
        """Revoke all, or none; nothing is published."""

    def requests(self, status: RequestStatus | None = None) -> Sequence[RequestView]:
        """Return the requests for approval, oldest first."""

    def approve(self, request_id: int) -> CertificateView:
        """Approve a pending request and issue its certificate."""

    def deny(self, request_id: int, order: DenialOrder) -> RequestView:
        """Deny a pending request."""

    def crls(self, *, pem: bool = False) -> Sequence[CrlView]:
        """Return the published CRLs; they themselves are left out unless ``pem``, for they may be large."""

    def publish_crls(self, order: CrlOrder | None = None) -> Sequence[CrlView]:
        """Sign and publish new CRLs of the issuing CA; return all that are published."""

    def close(self) -> None:
        """Leave the desk."""
