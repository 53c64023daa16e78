"""What stands between a world and what it leans on: its store, its CA's key, its RA and what it publishes."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ca.certificates import read_certificate, sign_certificate
from ca.errors import ServiceUnavailable
from ca.records import StoreUnavailable
from scep_server.ndes.event_log import CANNOT_START, NO_RA_CERTIFICATE
from scep_server.ra_standing import RaUnusable

from .circumstances import current
from .pinned_urls import with_pinned_delta, with_pinned_urls
from .values import CaAccess, ChallengeLookup, DraftCertificate, RaAccess, StoreAccess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ca.authority import CertificateAuthority, PreparedCertificate
    from ca.certificates import TbsCertificate
    from ca.keys import SigningKey
    from ca.ocsp_responder import OcspAnswer
    from ca.records import CertificateRecord, ChallengeRecord, NewCertificate, Store, StoreTransaction
    from crl_publisher.ocsp import OcspResponder
    from crl_publisher.publication import FileSource, PublishedFile
    from scep_server.exchange import HttpExchangeRequest, HttpReply
    from scep_server.ndes.loading import LoadedOnDemand

    from .engine import FaultEngine


class BentSigner:
    """Signs certificates with the CA's key, after faults have had their way with them."""

    def __init__(self, key: SigningKey, engine: FaultEngine) -> None:
        self._key = key
        self._engine = engine

    def sign(self, tbs: TbsCertificate) -> bytes:
        """Return the DER certificate; raises ServiceUnavailable where a fault of it cannot be had."""
        self._engine.bend(CaAccess("sign"))
        world = self._engine.world
        if world is not None:
            tbs = with_pinned_urls(tbs, world)
        draft = self._engine.bend(DraftCertificate(tbs=tbs, key=self._key))
        circumstances = current()
        if circumstances is not None and circumstances.unavailable is not None:
            raise ServiceUnavailable("a certificate that is not what was ordered is not issued")
        return sign_certificate(draft.tbs, draft.key)


class BentAuthority:
    """The CA as the RA sees it, refusing where a fault says so; all else is the CA's own."""

    def __init__(self, authority: CertificateAuthority, engine: FaultEngine) -> None:
        self._authority = authority
        self._engine = engine

    def prepare(self, transaction: StoreTransaction, request: Any, **names: Any) -> PreparedCertificate:
        """Return the certificate that would be issued; raises CaError."""
        self._engine.bend(CaAccess("ask", template=names["template"], requester=names["requester"]))
        return self._authority.prepare(transaction, request, **names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._authority, name)


class BentLoading:
    """The SCEP service with an RA whose keys cannot be used where a fault says so."""

    def __init__(self, service: LoadedOnDemand, engine: FaultEngine) -> None:
        self._service = service
        self._engine = engine

    def handle(self, request: HttpExchangeRequest) -> HttpReply:
        """Answer one request."""
        self._load_by_the_labs_clock()
        circumstances, world = current(), self._engine.world
        try:
            if circumstances is not None and circumstances.endpoint is not None:
                self._engine.bend(RaAccess())
        except RaUnusable as error:
            if world is not None:
                hresult = error.hresult(world.settings.scep.ndes_profile)
                world.ndes_logs.events.write_error(CANNOT_START, hresult)
                world.ndes_logs.events.write_error(NO_RA_CERTIFICATE, hresult)
            return self._service.cannot_start(request, error)
        return self._service.handle(request)

    def _load_by_the_labs_clock(self) -> None:
        """Load the service, if it is not yet, at a time that holds for everybody.

        Whether its RA certificates are good is looked at once and remembered; a request that chooses its own
        time must not decide that for the others.
        """
        circumstances = current()
        if circumstances is None or not circumstances.time_shift or circumstances.endpoint is None:
            return
        chosen, circumstances.time_shift = circumstances.time_shift, timedelta(0)
        try:
            self._service.start()
        except (RaUnusable, StoreUnavailable):
            return  # the request is told
        finally:
            circumstances.time_shift = chosen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)


class BentStore:
    """A store that fails, or is slow, where a fault says so; all else is the store's own."""

    def __init__(self, store: Store, engine: FaultEngine) -> None:
        self._store = store
        self._engine = engine

    @contextmanager
    def transaction(self) -> Iterator[StoreTransaction]:
        """Begin a writing transaction."""
        self._engine.bend(StoreAccess("write"))
        with self._store.transaction() as transaction:
            yield self._bent(transaction)
            self._engine.bend(StoreAccess("commit"))
        self._engine.bend(StoreAccess("committed"))

    @contextmanager
    def reading(self) -> Iterator[StoreTransaction]:
        """Begin a read-only transaction."""
        self._engine.bend(StoreAccess("read"))
        with self._store.reading() as transaction:
            yield self._bent(transaction)

    def _bent(self, transaction: StoreTransaction) -> Any:
        return transaction if current() is None else BentTransaction(transaction, self._engine)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class BentTransaction:
    """A transaction that finds something else where a fault says so; all else is the store's own."""

    def __init__(self, transaction: StoreTransaction, engine: FaultEngine) -> None:
        self._transaction = transaction
        self._engine = engine

    def challenge_by_digest(self, digest: str) -> ChallengeRecord | None:
        """Return the challenge whose password has this keyed digest."""
        found = self._transaction.challenge_by_digest(digest)
        return self._engine.bend(ChallengeLookup(found=found)).found

    def add_certificate(self, certificate: NewCertificate, issued_at: datetime) -> CertificateRecord:
        """Remember an issued certificate as it is, where a fault has made another of it."""
        circumstances = current()
        if circumstances is not None and circumstances.applied:
            certificate = _as_signed(certificate)
        return self._transaction.add_certificate(certificate, issued_at)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transaction, name)


def _as_signed(certificate: NewCertificate) -> NewCertificate:
    """Return the record of a certificate by what it says itself, for those who look it up and revoke it."""
    found = read_certificate(certificate.der)
    return replace(
        certificate,
        serial_number=found.serial_number,
        subject=found.subject,
        not_before=found.not_before,
        not_after=found.not_after,
        public_key_sha256=found.public_key_sha256,
    )


class BentFiles:
    """Published files that are wrong where a fault says so."""

    def __init__(self, files: FileSource, engine: FaultEngine) -> None:
        self._files = files
        self._engine = engine

    def find(self, name: str) -> PublishedFile | None:
        """Return the file of this name, whatever its case, or None."""
        file, world = self._files.find(name), self._engine.world
        if file is None:
            return None
        if world is not None:
            file = with_pinned_delta(file, world)
        return self._engine.bend(file)


class BentResponder:
    """An OCSP responder that is wrong where a fault says so."""

    def __init__(self, responder: OcspResponder, engine: FaultEngine) -> None:
        self._responder = responder
        self._engine = engine

    def answer(self, octets: bytes) -> OcspAnswer:
        """Answer the octets of an OCSPRequest; what is wrong on purpose is kept by nobody."""
        found = self._responder.answer(octets)
        bent = self._engine.bend(found)
        return found if bent is found else replace(bent, freshness=None)
