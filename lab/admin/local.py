"""The desk of a world in this process."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from cryptography import x509

from ca import der, oids
from ca.records import CertificateFilter, CertificateRecord, CrlKind
from lab.journal.settings import journal_folder

from .clock_local import LocalClockDesk
from .desk import DeskError, DeskRefused, DeskUnavailable, NotFound
from .faults_local import LocalFaultDesk
from .issuing import issue_certificate, make_challenge
from .journal_local import FolderJournalDesk
from .models import (
    CertificatePage,
    CertificateView,
    ChallengeView,
    CrlView,
    NewChallengeView,
    RequestView,
    RevokedView,
    pem,
)
from .ndes_local import LocalNdesDesk
from .plainly import plainly
from .revoking import CRL_KINDS, revoke_many, revoke_one, select_in
from .templates_local import LocalTemplateDesk
from .whole_local import LocalWholeDesk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ca.records import RequestStatus
    from crl_publisher import PublishedFile
    from lab.world import World

    from .controls import Controls
    from .journal import JournalDesk
    from .models import (
        BulkOrder,
        BulkView,
        CertificateOrder,
        CertificateQuery,
        ChallengeOrder,
        CrlOrder,
        DenialOrder,
        RevocationOrder,
    )


class LocalDesk:
    """Works on a world directly.

    ``controls`` are those of the lab that serves it, None where nothing does. ``journal`` is that of who
    serves it; without, the one in the world's folder is read.
    """

    def __init__(
        self, world: World, *, controls: Controls | None = None, journal: JournalDesk | None = None
    ) -> None:
        self._world = world
        self.ndes = LocalNdesDesk(world, offline=controls is None)
        self.templates = LocalTemplateDesk(world, controls)
        self.clock = LocalClockDesk(world, controls)
        self.faults = LocalFaultDesk(world, controls)
        self.lab = LocalWholeDesk(world, controls)
        self.journal: JournalDesk = journal or FolderJournalDesk(journal_folder(world.folder.path))

    def new_challenge(self, order: ChallengeOrder) -> NewChallengeView:
        """Make a challenge; the only time its password is seen."""
        with plainly(), self._world.store.transaction() as transaction:
            issued = make_challenge(self._world, transaction, order)
        return NewChallengeView(
            password=issued.password, challenge=ChallengeView.of(issued.record, self._now())
        )

    def challenges(self, *, usable_only: bool = False) -> Sequence[ChallengeView]:
        """Return the challenges, oldest first."""
        now = self._now()
        with plainly(), self._world.store.reading() as transaction:
            found = self._world.challenges.list(transaction, usable_only=usable_only)
        return [ChallengeView.of(record, now) for record in found]

    def revoke_challenge(self, challenge_id: int) -> ChallengeView:
        """Revoke a challenge that is neither spent nor revoked."""
        with plainly(), self._world.store.transaction() as transaction:
            revoked = self._world.challenges.revoke(transaction, challenge_id)
            record = transaction.challenge(challenge_id)
        if record is None:
            raise NotFound(f"there is no challenge {challenge_id}")
        view = ChallengeView.of(record, self._now())
        if not revoked:
            raise DeskRefused(f"challenge {challenge_id} is {view.status}, expected usable or expired")
        return view

    def certificates(self, query: CertificateQuery) -> CertificatePage:
        """Return one page of the certificates that match, oldest first."""
        now = self._now()
        within = query.expiring_within_days
        wanted = CertificateFilter(
            status=query.status,
            template=query.template,
            subject=query.subject,
            expires_before=None if within is None else now + timedelta(days=within),
        )
        with plainly(), self._world.store.reading() as transaction:
            found = transaction.find_certificates(
                wanted, now=now, after_id=query.after_id, limit=query.limit + 1
            )
            total = transaction.count_certificates(wanted, now=now)
        shown, more = found[: query.limit], len(found) > query.limit
        return CertificatePage(
            certificates=tuple(CertificateView.of(record, now) for record in shown),
            total=total,
            next_after_id=shown[-1].id if more else None,
        )

    def certificate(self, selector: str) -> CertificateView:
        """Return one certificate."""
        with plainly(), self._world.store.reading() as transaction:
            return CertificateView.of(select_in(self._world, transaction, selector), self._now())

    def issue_certificate(self, order: CertificateOrder) -> CertificateView | RequestView:
        """Issue a certificate without SCEP, or have its request wait where the template wants approval."""
        with plainly(), self._world.store.transaction() as transaction:
            made = issue_certificate(self._world, transaction, order)
        return (
            CertificateView.of(made, self._now())
            if isinstance(made, CertificateRecord)
            else RequestView.of(made)
        )

    def revoke_certificate(self, selector: str, order: RevocationOrder) -> RevokedView:
        """Revoke a certificate, or take it off hold, and publish the CRL that was asked for."""
        with plainly():
            record = revoke_one(self._world, selector, order)
        try:
            with plainly():
                if order.publish != "none":
                    self._world.publish_crl(CRL_KINDS[order.publish])
        except DeskError as error:
            what = "off hold" if order.reason == "removeFromCRL" else "revoked"
            raise type(error)(
                f"certificate {record.id} is {what}, and OCSP says so, but no CRL was published: {error}",
                error.code,
            ) from error
        places = self._world.authority_of(record).locations
        file = {"base": places.crl_file, "delta": places.delta_crl_file}.get(order.publish)
        crl = next((view for view in self.crls(only=file) if file is not None), None)
        return RevokedView(certificate=CertificateView.of(record, self._now()), crl=crl)

    def revoke_many(self, order: BulkOrder) -> BulkView:
        """Revoke all, or none; nothing is published."""
        with plainly():
            return revoke_many(self._world, order)

    def requests(self, status: RequestStatus | None = None) -> Sequence[RequestView]:
        """Return the requests for approval, oldest first."""
        with plainly(), self._world.store.reading() as transaction:
            return [RequestView.of(record) for record in transaction.requests(status)]

    def approve(self, request_id: int) -> CertificateView:
        """Approve a pending request and issue its certificate."""
        with plainly(), self._world.store.transaction() as transaction:
            record = self._world.authority.approve(transaction, request_id)
        return CertificateView.of(record, self._now())

    def deny(self, request_id: int, order: DenialOrder) -> RequestView:
        """Deny a pending request."""
        with plainly(), self._world.store.transaction() as transaction:
            return RequestView.of(self._world.authority.deny(transaction, request_id, order.message))

    def crls(self, *, pem: bool = False, only: str | None = None) -> Sequence[CrlView]:
        """Return the published CRLs, each base before its delta, or the one in this file."""
        with plainly():
            files = sorted(self._world.publication.files(), key=lambda file: file.name.removesuffix(".crl"))
        base = self._world.pki.public_url + self._world.pki.virtual_directory
        shown = (file for file in files if file.name.endswith(".crl") and only in (None, file.name))
        return [_crl_view(file, base, with_pem=pem) for file in shown]

    def publish_crls(self, order: CrlOrder | None = None) -> Sequence[CrlView]:
        """Sign and publish new CRLs of the issuing CA; return all that are published."""
        kind = CRL_KINDS[order.kind] if order else CrlKind.BASE
        with plainly():
            self._world.publish_crl(kind)
        return self.crls()

    def publish_handed_over(self) -> None:
        """Publish what the offline root has signed, and whatever else is not published yet."""
        with plainly():
            self._world.publish_all()

    def close(self) -> None:
        """Close the world."""
        self._world.close()

    def _now(self) -> datetime:
        return self._world.clock.now()


def _crl_view(file: PublishedFile, base_url: str, *, with_pem: bool) -> CrlView:
    crl = x509.load_der_x509_crl(file.content)
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    next_update = crl.next_update_utc
    if next_update is None:
        raise DeskUnavailable(f"{file.name} has no nextUpdate")
    base_number = next(
        (one.value.crl_number for one in crl.extensions if isinstance(one.value, x509.DeltaCRLIndicator)),
        None,
    )
    return CrlView(
        issuer=crl.issuer.rfc4514_string(),
        file=file.name,
        kind="base" if base_number is None else "delta",
        url=f"{base_url}/" + quote(file.name, safe="()'!+,;=@$~"),
        number=number,
        base_number=base_number,
        this_update=crl.last_update_utc,
        next_update=next_update,
        next_publish=_next_publish(crl),
        entries=len(crl),
        pem=pem(file.content, "X509 CRL") if with_pem else None,
    )


def _next_publish(crl: x509.CertificateRevocationList) -> datetime | None:
    for extension in crl.extensions:
        value = extension.value
        if extension.oid.dotted_string == oids.MS_NEXT_CRL_PUBLISH and isinstance(
            value, x509.UnrecognizedExtension
        ):
            return der.read_time(der.Reader(value.value).element(), "Next CRL Publish")
    return None
