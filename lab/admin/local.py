"""The desk of a world in this process."""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote

from cryptography import x509

from ca import names
from ca.errors import CaError, NoSuchRequest
from ca.records import AlreadyExists, CertificateFilter, StoreUnavailable
from crl_publisher import PublicationRefused

from .desk import DeskRefused, DeskUnavailable, Invalid, NotFound
from .models import (
    REASONS,
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

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from ca.records import CertificateRecord, RequestStatus, StoreTransaction
    from crl_publisher import PublishedFile
    from lab.world import World

    from .models import (
        CertificateQuery,
        ChallengeOrder,
        DenialOrder,
        RevocationOrder,
    )

_NUMBER = re.compile(r"[0-9]{1,9}")
_HEX = re.compile(r"[0-9a-f]+")
_SEARCH_LIMIT = 1000


class LocalDesk:
    """Works on a world directly; ``offline`` where nothing serves it."""

    def __init__(self, world: World, *, offline: bool = False) -> None:
        self._world = world
        self.ndes = LocalNdesDesk(world, offline=offline)

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
            return CertificateView.of(_select(transaction, selector, now), now)

    def revoke_certificate(self, selector: str, order: RevocationOrder) -> RevokedView:
        """Revoke a certificate, or take it off hold, and publish a CRL that says so."""
        now = self._now()
        if order.invalidity_date is not None and order.invalidity_date.tzinfo is None:
            raise Invalid("invalidity_date has no time zone, expected one, such as Z")
        with _plainly():
            with self._world.store.transaction() as transaction:
                found = _select(transaction, selector, now)
                if order.reason == "removeFromCRL":
                    record = self._world.authority.release(transaction, found.id)
                else:
                    record = self._world.authority.revoke(
                        transaction,
                        found.id,
                        REASONS[order.reason],
                        invalidity_date=order.invalidity_date,
                    )
            self._world.publish_crl()
        crl = next(view for view in self.crls() if view.file == self._world.authority.locations.crl_file)
        return RevokedView(certificate=CertificateView.of(record, self._now()), crl=crl)

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

    def crls(self) -> Sequence[CrlView]:
        """Return the published CRLs."""
        with _plainly():
            files = self._world.publication.files()
        base = self._world.pki.public_url + self._world.pki.virtual_directory
        return [_crl_view(file, base) for file in files if file.name.endswith(".crl")]

    def publish_crls(self) -> Sequence[CrlView]:
        """Sign and publish a new CRL of the issuing CA; return all that are published."""
        with _plainly():
            self._world.publish_crl()
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


def _select(transaction: StoreTransaction, selector: str, now: datetime) -> CertificateRecord:
    wanted = re.sub(r"[\s:]", "", selector).lower().removeprefix("0x")
    found: CertificateRecord | None = None
    if _NUMBER.fullmatch(wanted):
        found = transaction.certificate(int(wanted))
    if found is None and _HEX.fullmatch(wanted) and len(wanted) <= 64:
        filters = [CertificateFilter(serial_number=int(wanted, 16))]
        if len(wanted) == 40:
            filters.append(CertificateFilter(sha1=wanted))
        for each in filters:
            found = found or next(iter(transaction.find_certificates(each, now=now, limit=1)), None)
        if len(wanted) == 64:
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


def _crl_view(file: PublishedFile, base_url: str) -> CrlView:
    crl = x509.load_der_x509_crl(file.content)
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    next_update = crl.next_update_utc
    if next_update is None:
        raise DeskUnavailable(f"{file.name} has no nextUpdate")
    return CrlView(
        issuer=crl.issuer.rfc4514_string(),
        file=file.name,
        url=f"{base_url}/{quote(file.name, safe='+')}",
        number=number,
        this_update=crl.last_update_utc,
        next_update=next_update,
        next_publish=None,
        entries=len(crl),
        pem=pem(file.content, "X509 CRL"),
    )
