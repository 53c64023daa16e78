"""The desk of a world in this process."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from cryptography import x509

from ca import der, names, oids
from ca.errors import CaError, NoSuchRequest
from ca.records import AlreadyExists, CertificateFilter, CrlKind, StoreUnavailable
from crl_publisher import PublicationRefused
from lab.journal.settings import journal_folder

from .desk import DeskRefused, DeskUnavailable, Invalid, NotFound
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
from .revoking import CRL_KINDS, revoke_many, revoke_one
from .selecting import select

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from ca.records import RequestStatus
    from crl_publisher import PublishedFile
    from lab.world import World

    from .journal import JournalDesk
    from .models import (
        BulkOrder,
        BulkView,
        CertificateQuery,
        ChallengeOrder,
        CrlOrder,
        DenialOrder,
        RevocationOrder,
    )


class LocalDesk:
    """Works on a world directly; ``offline`` where nothing serves it.

    ``journal`` is that of who serves it; without, the one in the world's folder is read.
    """

    def __init__(self, world: World, *, offline: bool = False, journal: JournalDesk | None = None) -> None:
        self._world = world
        self.ndes = LocalNdesDesk(world, offline=offline)
        self.journal: JournalDesk = journal or FolderJournalDesk(journal_folder(world.folder.path))

    def new_challenge(self, order: ChallengeOrder) -> NewChallengeView:
        """Make a challenge; the only time its password is seen."""
        self._check(order)
        settings = self._world.settings.challenges
        validity = settings.validity
        if order.validity_minutes != "default":
            minutes = order.validity_minutes
            validity = None if minutes is None else timedelta(minutes=minutes)
        with _plainly(), self._world.store.transaction() as transaction:
            issued = self._world.challenges.new(
                transaction,
                kind=order.kind,
                validity=validity,
                subject=order.subject,
                template=order.template,
                endpoint=order.endpoint,
                label=order.label,
                password=None if order.password is None else order.password.get_secret_value(),
                length=settings.length_octets,
            )
        return NewChallengeView(
            password=issued.password, challenge=ChallengeView.of(issued.record, self._now())
        )

    def _check(self, order: ChallengeOrder) -> None:
        if order.subject is not None:
            try:
                names.build_name(order.subject)
            except ValueError as error:
                raise Invalid(f"subject: {error}") from error
        if order.template is not None and self._world.authority.templates.find(order.template) is None:
            raise Invalid(f"there is no template {order.template!r}")
        known = self._world.settings.scep.endpoints
        if order.endpoint is not None and order.endpoint not in known:
            raise Invalid(f"there is no endpoint {order.endpoint!r}; known: {', '.join(known)}")

    def challenges(self, *, usable_only: bool = False) -> Sequence[ChallengeView]:
        """Return the challenges, oldest first."""
        now = self._now()
        with _plainly(), self._world.store.reading() as transaction:
            found = self._world.challenges.list(transaction, usable_only=usable_only)
        return [ChallengeView.of(record, now) for record in found]

    def revoke_challenge(self, challenge_id: int) -> ChallengeView:
        """Revoke a challenge that is neither spent nor revoked."""
        with _plainly(), self._world.store.transaction() as transaction:
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
        with _plainly(), self._world.store.reading() as transaction:
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
        now = self._now()
        with _plainly(), self._world.store.reading() as transaction:
            key_ids = [authority.issuer_key_id for authority in self._world.authorities]
            return CertificateView.of(select(transaction, selector, key_ids=key_ids, now=now), now)

    def revoke_certificate(self, selector: str, order: RevocationOrder) -> RevokedView:
        """Revoke a certificate, or take it off hold, and publish the CRL that was asked for."""
        with _plainly():
            record = revoke_one(self._world, selector, order)
            if order.publish != "none":
                self._world.publish_crl(CRL_KINDS[order.publish])
        places = self._world.authority_of(record).locations
        file = {"base": places.crl_file, "delta": places.delta_crl_file}.get(order.publish)
        crl = next((view for view in self.crls(only=file) if file is not None), None)
        return RevokedView(certificate=CertificateView.of(record, self._now()), crl=crl)

    def revoke_many(self, order: BulkOrder) -> BulkView:
        """Revoke all, or none; nothing is published."""
        with _plainly():
            return revoke_many(self._world, order)

    def requests(self, status: RequestStatus | None = None) -> Sequence[RequestView]:
        """Return the requests for approval, oldest first."""
        with _plainly(), self._world.store.reading() as transaction:
            return [RequestView.of(record) for record in transaction.requests(status)]

    def approve(self, request_id: int) -> CertificateView:
        """Approve a pending request and issue its certificate."""
        with _plainly(), self._world.store.transaction() as transaction:
            record = self._world.authority.approve(transaction, request_id)
        return CertificateView.of(record, self._now())

    def deny(self, request_id: int, order: DenialOrder) -> RequestView:
        """Deny a pending request."""
        with _plainly(), self._world.store.transaction() as transaction:
            return RequestView.of(self._world.authority.deny(transaction, request_id, order.message))

    def crls(self, *, pem: bool = False, only: str | None = None) -> Sequence[CrlView]:
        """Return the published CRLs, each base before its delta, or the one in this file."""
        with _plainly():
            files = sorted(self._world.publication.files(), key=lambda file: file.name.removesuffix(".crl"))
        base = self._world.pki.public_url + self._world.pki.virtual_directory
        shown = (file for file in files if file.name.endswith(".crl") and only in (None, file.name))
        return [_crl_view(file, base, with_pem=pem) for file in shown]

    def publish_crls(self, order: CrlOrder | None = None) -> Sequence[CrlView]:
        """Sign and publish new CRLs of the issuing CA; return all that are published."""
        kind = CRL_KINDS[order.kind] if order else CrlKind.BASE
        with _plainly():
            self._world.publish_crl(kind)
        return self.crls()

    def publish_handed_over(self) -> None:
        """Publish what the offline root has signed, and whatever else is not published yet."""
        with _plainly():
            self._world.publish_all()

    def close(self) -> None:
        """Close the world."""
        self._world.close()

    def _now(self) -> datetime:
        return self._world.clock.now()


@contextmanager
def _plainly() -> Iterator[None]:
    """Turn what CA, store and publisher raise into the desk's errors."""
    try:
        yield
    except NoSuchRequest as error:
        raise NotFound(str(error), error.hresult_name) from error
    except CaError as error:
        raise DeskRefused(str(error), error.hresult_name) from error
    except AlreadyExists as error:
        raise DeskRefused("it exists already") from error
    except PublicationRefused as error:
        raise DeskRefused(f"the CRL was signed but not published: {error}") from error
    except (StoreUnavailable, OSError) as error:
        raise DeskUnavailable(str(error)) from error
    except OverflowError as error:
        raise Invalid("a number or an instant is out of range") from error
    except UnicodeError as error:
        raise Invalid("a text holds half a character, a lone surrogate") from error


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
