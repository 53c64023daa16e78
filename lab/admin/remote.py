"""The desk of a running lab, over its management listener."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from .models import ChallengeQuery, CrlOrder, CrlQuery, RequestQuery
from .operation import Otherwise
from .operations import certificates, challenges, crls, requests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ca.records import RequestStatus
    from lab.health.report import HealthReport

    from .asking import Ask
    from .clock_remote import RemoteClockDesk
    from .faults_remote import RemoteFaultDesk
    from .journal_remote import RemoteJournalDesk
    from .models import (
        BulkOrder,
        BulkView,
        CertificateOrder,
        CertificatePage,
        CertificateQuery,
        CertificateView,
        ChallengeOrder,
        ChallengeView,
        CrlView,
        DenialOrder,
        NewChallengeView,
        RequestView,
        RevocationOrder,
        RevokedView,
    )
    from .ndes_remote import RemoteNdesDesk
    from .templates_remote import RemoteTemplateDesk
    from .whole_remote import RemoteWholeDesk


class RemoteDesk:
    """Has ``ask`` perform the operations; the desks below it are loaded when they are needed."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    @cached_property
    def ndes(self) -> RemoteNdesDesk:
        """What can be done about NDES."""
        from .ndes_remote import RemoteNdesDesk

        return RemoteNdesDesk(self._ask)

    @cached_property
    def journal(self) -> RemoteJournalDesk:
        """What can be read of the journal."""
        from .journal_remote import RemoteJournalDesk

        return RemoteJournalDesk(self._ask)

    @cached_property
    def templates(self) -> RemoteTemplateDesk:
        """What can be done about certificate templates."""
        from .templates_remote import RemoteTemplateDesk

        return RemoteTemplateDesk(self._ask)

    @cached_property
    def clock(self) -> RemoteClockDesk:
        """What can be done about the clock."""
        from .clock_remote import RemoteClockDesk

        return RemoteClockDesk(self._ask)

    @cached_property
    def faults(self) -> RemoteFaultDesk:
        """What can be done about faults."""
        from .faults_remote import RemoteFaultDesk

        return RemoteFaultDesk(self._ask)

    @cached_property
    def lab(self) -> RemoteWholeDesk:
        """What can be done about the lab as a whole."""
        from .whole_remote import RemoteWholeDesk

        return RemoteWholeDesk(self._ask)

    @classmethod
    def at(cls, url: str, token: str | None = None) -> RemoteDesk:
        """Return the desk behind the management listener at ``url``; raises Invalid if that is none."""
        from .asking import HttpAsk

        return cls(HttpAsk(url, token))

    def new_challenge(self, order: ChallengeOrder) -> NewChallengeView:
        """Make a challenge; the only time its password is seen."""
        return self._ask(challenges.new_challenge, body=order)

    def challenges(self, *, usable_only: bool = False) -> Sequence[ChallengeView]:
        """Return the challenges, oldest first."""
        return self._ask(challenges.list_challenges, query=ChallengeQuery(usable=usable_only)).challenges

    def revoke_challenge(self, challenge_id: int) -> ChallengeView:
        """Revoke a challenge that is neither spent nor revoked."""
        return self._ask(challenges.revoke_challenge, challenge_id=challenge_id)

    def certificates(self, query: CertificateQuery) -> CertificatePage:
        """Return one page of the certificates that match, oldest first."""
        return self._ask(certificates.list_certificates, query=query)

    def certificate(self, selector: str) -> CertificateView:
        """Return one certificate."""
        return self._ask(certificates.show_certificate, selector=selector)

    def issue_certificate(self, order: CertificateOrder) -> CertificateView | RequestView:
        """Issue a certificate without SCEP, or have its request wait where the template wants approval."""
        answer = self._ask(certificates.issue_certificate, body=order)
        return answer.answer if isinstance(answer, Otherwise) else answer

    def revoke_certificate(self, selector: str, order: RevocationOrder) -> RevokedView:
        """Revoke a certificate, or take it off hold, and publish a CRL that says so."""
        return self._ask(certificates.revoke_certificate, body=order, selector=selector)

    def revoke_many(self, order: BulkOrder) -> BulkView:
        """Revoke all, or none; nothing is published."""
        return self._ask(certificates.revoke_many, body=order)

    def requests(self, status: RequestStatus | None = None) -> Sequence[RequestView]:
        """Return the requests for approval, oldest first."""
        return self._ask(requests.list_requests, query=RequestQuery(status=status)).requests

    def approve(self, request_id: int) -> CertificateView:
        """Approve a pending request and issue its certificate."""
        return self._ask(requests.approve_request, request_id=request_id)

    def deny(self, request_id: int, order: DenialOrder) -> RequestView:
        """Deny a pending request."""
        return self._ask(requests.deny_request, body=order, request_id=request_id)

    def crls(self, *, pem: bool = False) -> Sequence[CrlView]:
        """Return the published CRLs."""
        return self._ask(crls.list_crls, query=CrlQuery(pem=pem)).crls

    def publish_crls(self, order: CrlOrder | None = None) -> Sequence[CrlView]:
        """Sign and publish new CRLs of the issuing CA; return all that are published."""
        return self._ask(crls.publish_crls, body=order or CrlOrder()).crls

    def health(self) -> HealthReport:
        """Have the lab look at its PKI, and return what it found."""
        from .operations import facts

        return self._ask(facts.health)

    def close(self) -> None:
        """Do nothing: each call has a connection of its own."""
