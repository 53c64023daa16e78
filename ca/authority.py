"""The certification authority: refuses first, signs last, remembers, revokes.

`CertificateAuthority.prepare` makes every refusal there is and never touches the key; what it
returns is issued, or submitted for approval, within the same database transaction, or signed between two
of which the second finds everything as the first one did. Knows neither SCEP nor HTTP.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import der, names
from .certificates import CertificateInfo, CertificateSigner, KeySigner, TbsCertificate, read_certificate
from .crl_issuing import CrlIssuer
from .drafting import Drafter
from .errors import (
    BadRequestStatus,
    BadRequestSubject,
    EnrollDenied,
    InvalidCaCertificate,
    KeyInUse,
    NoSuchRequest,
    RevocationOffline,
    TemplateDenied,
)
from .pkcs10 import VerifiedRequest, parse_request, verify_request
from .records import (
    CertificateFilter,
    CertificateRecord,
    CrlKind,
    CrlRecord,
    NewCertificate,
    NewRequest,
    RequestRecord,
    RequestStatus,
    Revocation,
    RevocationReason,
)
from .templates import permitted
from .wishes import grant_extensions, grant_subject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from .clock import Clock
    from .keys import SigningKey
    from .pkcs10 import CertificateRequest
    from .public_keys import PublicKeyInfo
    from .records import Store, StoreTransaction
    from .settings import PkiSettings, PublicationLocations
    from .templates import Template, TemplateSet

_KEY_REUSES_LOOKED_AT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCertificate:
    """A certificate that nothing speaks against: it only wants issuing, or approval."""

    tbs: TbsCertificate
    template: str
    requester: str
    subject: str  # RFC 4514 text of the certificate's subject
    public_key_sha256: str
    request: VerifiedRequest = field(repr=False)
    needs_approval: bool  # submit it; `issue` refuses
    dropped: tuple[str, ...]  # wishes of the request that were not granted, in plain words


class CertificateAuthority:
    """A CA that issues under templates.

    ``chain`` holds the certificates above its own, issuer first, root last; ``siblings`` are other
    certificates of the same CA, before or after a renewal. ``entropy`` returns that many random octets.
    ``templates`` may be replaced while the CA works: what is asked for next goes by the new ones.
    Safe to use from several threads: it keeps no state but what it is given; all memory is in the
    store whose transactions are handed in.
    """

    def __init__(
        self,
        *,
        certificate: CertificateInfo,
        chain: tuple[bytes, ...],
        key: SigningKey,
        templates: TemplateSet,
        clock: Clock,
        entropy: Callable[[int], bytes],
        locations: PublicationLocations,
        settings: PkiSettings,
        signer: CertificateSigner | None = None,
        siblings: Sequence[CertificateInfo] = (),
    ) -> None:
        if certificate.public_key_der != key.public_key_der or certificate.subject_key_id is None:
            raise InvalidCaCertificate("the CA's certificate and its key do not belong together")
        self.certificate = certificate
        self.chain = chain
        self.templates = templates
        self.locations = locations
        self.issuer_key_id = certificate.subject_key_id.hex()
        self._signer = signer or KeySigner(key)
        self._clock = clock
        self._settings = settings
        above = [read_certificate(octets) for octets in chain]
        self._own_names = frozenset(
            names.canonical(names.read_name(one.subject_der)) for one in (certificate, *above)
        )
        self._ra_name = names.canonical(names.read_name(names.build_name(settings.ra_subject)))
        self._own_keys = frozenset(one.public_key_sha256 for one in (certificate, *above, *siblings))
        self._crl_issuer = CrlIssuer(certificate=certificate, key=key, locations=locations, settings=settings)
        self._drafter = Drafter(
            certificate=certificate,
            key=key,
            entropy=entropy,
            locations=locations,
            settings=settings,
        )

    # -- issuing -----------------------------------------------------------------------

    def prepare(
        self,
        transaction: StoreTransaction,
        request: CertificateRequest,
        *,
        template: str,
        requester: str,
        renewal_of: CertificateRecord | None = None,
    ) -> PreparedCertificate:
        """Decide what the certificate of a request says, or refuse it. The key is not touched.

        ``requester`` is the principal whose permissions count. ``renewal_of`` is the certificate
        that authenticated the request. A request that `verify_request` returned is not verified
        again; any other is, as the settings say.

        Raises:
            CaError: a leaf of it, when anything speaks against the certificate.

        """
        now = self._now()
        self._check_validity_of_ca(now)
        wanted = self._permitted_template(template, requester)
        if self._settings.check_request_agent_revocation:
            self._check_revocation_is_known(transaction, now)
        verified = self._verified(request)
        key = verified.public_key
        wanted.check_key(key)
        subject = self._subject(verified, wanted, requester)
        granted, dropped = grant_extensions(verified, wanted)
        self._check_key_is_free(transaction, key, subject, wanted, renewal_of, now)
        requirements = wanted.issuance_requirements
        excused = renewal_of is not None and requirements.reenrollment == "valid_existing_certificate"
        return PreparedCertificate(
            tbs=self._drafter.draft(
                verified, wanted, subject, granted, now, request_id=transaction.next_certificate_id()
            ),
            template=wanted.name,
            requester=requester,
            subject=verified.subject if subject == verified.subject_der else names.name_text(subject),
            public_key_sha256=key.sha256,
            request=verified,
            needs_approval=requirements.ca_certificate_manager_approval and not excused,
            dropped=dropped,
        )

    def issue(self, transaction: StoreTransaction, prepared: PreparedCertificate) -> CertificateRecord:
        """Sign and remember a certificate; raises as `sign` and `record` do."""
        return self.record(transaction, self.sign(prepared))

    def sign(self, prepared: PreparedCertificate) -> NewCertificate:
        """Sign a certificate, for `record`; nobody may see it before that is committed.

        Raises:
            BadRequestStatus: its template wants approval; `submit` it.
            ServiceUnavailable: the key cannot be used.

        """
        if prepared.needs_approval:
            raise BadRequestStatus(f"template {prepared.template} wants a certificate manager's approval")
        return self._sign(prepared)

    def record(self, transaction: StoreTransaction, certificate: NewCertificate) -> CertificateRecord:
        """Remember a signed certificate as issued now.

        Raises:
            AlreadyExists: the serial number is taken; the database transaction is lost.

        """
        return transaction.add_certificate(certificate, self._now())

    def _sign(self, prepared: PreparedCertificate) -> NewCertificate:
        tbs = prepared.tbs
        octets = self._signer.sign(tbs)
        return NewCertificate(
            issuer_key_id=self.issuer_key_id,
            serial_number=tbs.serial_number,
            subject=prepared.subject,
            template=prepared.template,
            requester=prepared.requester,
            not_before=tbs.not_before,
            not_after=tbs.not_after,
            public_key_sha256=prepared.public_key_sha256,
            sha1=hashlib.sha1(octets, usedforsecurity=False).hexdigest(),
            der=octets,
        )

    def submit(self, transaction: StoreTransaction, prepared: PreparedCertificate) -> RequestRecord:
        """Remember a request that waits for a certificate manager."""
        return transaction.add_request(
            NewRequest(
                csr=prepared.request.der,
                subject=prepared.subject,
                template=prepared.template,
                requester=prepared.requester,
                public_key_sha256=prepared.public_key_sha256,
                submitted_at=self._now(),
            )
        )

    def approve(self, transaction: StoreTransaction, request_id: int) -> CertificateRecord:
        """Issue what a pending request asks for, as of now.

        Raises:
            NoSuchRequest, BadRequestStatus: there is no such request, or it is not pending.
            CaError: something has come to speak against it since; the request stays pending.

        """
        waiting = self._pending(transaction, request_id)
        prepared = self.prepare(
            transaction, parse_request(waiting.csr), template=waiting.template, requester=waiting.requester
        )
        issued = self.record(transaction, self._sign(prepared))
        self._resolve(
            transaction, request_id, RequestStatus.ISSUED, certificate_id=issued.id, message="Issued"
        )
        return issued

    def deny(
        self, transaction: StoreTransaction, request_id: int, message: str = "Denied by administrator"
    ) -> RequestRecord:
        """Deny a pending request.

        Raises:
            NoSuchRequest, BadRequestStatus: there is no such request, or it is not pending.

        """
        self._pending(transaction, request_id)
        self._resolve(transaction, request_id, RequestStatus.DENIED, message=message)
        denied = transaction.request(request_id)
        if denied is None:
            raise NoSuchRequest(f"there is no request {request_id}")
        return denied

    def _pending(self, transaction: StoreTransaction, request_id: int) -> RequestRecord:
        found = transaction.request(request_id)
        if found is None:
            raise NoSuchRequest(f"there is no request {request_id}")
        if found.status is not RequestStatus.PENDING:
            raise BadRequestStatus(f"request {request_id} is {found.status.value}, expected pending")
        return found

    def _resolve(
        self,
        transaction: StoreTransaction,
        request_id: int,
        status: RequestStatus,
        *,
        message: str,
        certificate_id: int | None = None,
    ) -> None:
        resolved = transaction.resolve_request(
            request_id,
            status,
            at=self._now(),
            certificate_id=certificate_id,
            disposition_message=message,
        )
        if not resolved:
            raise BadRequestStatus(f"request {request_id} was resolved by somebody else just now")

    # -- what speaks against it --------------------------------------------------------

    def _check_validity_of_ca(self, now: datetime) -> None:
        own = self.certificate
        if not own.not_before <= now < own.not_after:
            raise InvalidCaCertificate(
                f"the CA's certificate is valid from {own.not_before} to {own.not_after}, it is {now}"
            )

    def _check_revocation_is_known(self, transaction: StoreTransaction, now: datetime) -> None:
        """Refuse while the CRL that covers the request agent's own certificate has run out."""
        crl = transaction.latest_crl(self.issuer_key_id, CrlKind.BASE)
        if crl is None or crl.next_update <= now:
            said = "there is none" if crl is None else f"the last one ended at {crl.next_update}"
            raise RevocationOffline(f"no CRL of this CA is in force: {said}")

    def _permitted_template(self, name: str, requester: str) -> Template:
        if not permitted(requester, self._settings.request_certificates):
            raise EnrollDenied(f"{requester!r} has no Request Certificates permission on this CA")
        template = self.templates.published(name)
        if not template.permits(requester):
            raise TemplateDenied(f"{requester!r} has no Enroll permission on template {template.name}")
        return template

    def _verified(self, request: CertificateRequest) -> VerifiedRequest:
        sha1, md5 = self._settings.accept_sha1_requests, self._settings.accept_md5_requests
        if not isinstance(request, VerifiedRequest):
            return verify_request(request, allow_sha1=sha1, allow_md5=md5)
        request.check_hashes(allow_sha1=sha1, allow_md5=md5)  # whoever verified may have allowed more
        return request

    def _subject(self, request: VerifiedRequest, template: Template, requester: str) -> bytes:
        if not template.subject_name.enrollee_supplies_subject:
            account = requester.rpartition("\\")[2].rstrip("$")
            if not account:
                raise BadRequestSubject(f"template {template.name} names the requester, who has no name")
            return names.with_common_name(der.sequence(), account[:64])
        subject = grant_subject(request, enforce_lengths=self._settings.enforce_x500_name_lengths)
        canonical = names.canonical(request.subject_rdns)
        if canonical in self._own_names:
            raise BadRequestSubject("the subject is the name of this CA or of one above it")
        if canonical == self._ra_name and not template.is_for_request_agents:
            raise BadRequestSubject("the subject is the name of the registration authority")
        return subject

    def _check_key_is_free(
        self,
        transaction: StoreTransaction,
        key: PublicKeyInfo,
        subject: bytes,
        template: Template,
        renewal_of: CertificateRecord | None,
        now: datetime,
    ) -> None:
        if key.sha256 in self._own_keys:
            raise KeyInUse("the public key is that of this CA or of one above it")
        same_key = transaction.find_certificates(
            CertificateFilter(public_key_sha256=key.sha256), now=now, limit=_KEY_REUSES_LOOKED_AT
        )
        for other in same_key:
            if other.revocation and other.revocation.reason is RevocationReason.KEY_COMPROMISE:
                raise KeyInUse("a certificate with the same public key was revoked as compromised")
            holder = self.templates.find(other.template)
            if holder is not None and holder.is_for_request_agents and other.template != template.name:
                raise KeyInUse("the public key is that of a registration authority")
            if renewal_of is not None and other.id == renewal_of.id:
                continue
            if not names.same_name(read_certificate(other.der).subject_der, subject):
                raise KeyInUse("the public key is already certified for another subject")

    # -- revoking ----------------------------------------------------------------------

    def revoke(
        self,
        transaction: StoreTransaction,
        certificate_id: int,
        reason: RevocationReason,
        *,
        revoked_at: datetime | None = None,
        invalidity_date: datetime | None = None,
    ) -> CertificateRecord:
        """Revoke a certificate; one on hold may be given another reason.

        ``revoked_at`` is the revocation date on CRLs, now unless it was some time ago.

        Raises:
            NoSuchRequest: this CA issued no such certificate.
            BadRequestStatus: it is revoked for good, the reason revokes nothing, or the date is to come.

        """
        transaction.lock_revocations()
        found = self._issued_here(transaction, certificate_id)
        revocation = self.revocation_of(found, reason, revoked_at=revoked_at, invalidity_date=invalidity_date)
        if reason is RevocationReason.REMOVE_FROM_CRL:
            raise BadRequestStatus("removeFromCRL revokes nothing (RFC 5280 5.3.1); release the hold instead")
        transaction.revoke(certificate_id, revocation)
        return self._issued_here(transaction, certificate_id)

    def release(self, transaction: StoreTransaction, certificate_id: int) -> CertificateRecord:
        """Take a certificate off hold.

        Raises:
            NoSuchRequest: this CA issued no such certificate.
            BadRequestStatus: it is not on hold.

        """
        transaction.lock_revocations()
        found = self._issued_here(transaction, certificate_id)
        self.revocation_of(found, RevocationReason.REMOVE_FROM_CRL)
        transaction.release_hold(certificate_id)
        return self._issued_here(transaction, certificate_id)

    def revocation_of(
        self,
        certificate: CertificateRecord,
        reason: RevocationReason,
        *,
        revoked_at: datetime | None = None,
        invalidity_date: datetime | None = None,
    ) -> Revocation:
        """Return what the store is to remember of a revocation, or of a release with removeFromCRL.

        Raises:
            NoSuchRequest: this CA key issued no such certificate.
            BadRequestStatus: the certificate is not in a state for it, or the date is to come.

        """
        if certificate.issuer_key_id != self.issuer_key_id:
            raise NoSuchRequest(f"this CA issued no certificate {certificate.id}")
        now, current = self._now(), certificate.revocation
        held = current is not None and current.reason is RevocationReason.CERTIFICATE_HOLD
        if reason is RevocationReason.REMOVE_FROM_CRL:
            if current is None or not held:
                raise BadRequestStatus(f"certificate {certificate.id} is not on hold")
            return Revocation(revoked_at=current.revoked_at, reason=reason)
        if current is not None and not held:
            raise BadRequestStatus(
                f"certificate {certificate.id} is revoked already: {current.reason.rfc_name}"
            )
        if revoked_at is not None and revoked_at > now:
            raise BadRequestStatus(f"the revocation date {revoked_at:%Y-%m-%dT%H:%M:%SZ} is still to come")
        return Revocation(revoked_at=revoked_at or now, reason=reason, invalidity_date=invalidity_date)

    def _issued_here(self, transaction: StoreTransaction, certificate_id: int) -> CertificateRecord:
        found = transaction.certificate(certificate_id)
        if found is None or found.issuer_key_id != self.issuer_key_id:
            raise NoSuchRequest(f"this CA issued no certificate {certificate_id}")
        return found

    # -- CRLs --------------------------------------------------------------------------

    def sign_crl(self, transaction: StoreTransaction, kind: CrlKind = CrlKind.BASE) -> CrlRecord:
        """Sign and remember one CRL of everything revoked, or of what changed since the last base.

        Holds the transaction while it signs: `sign_crls` does not.

        Raises:
            InvalidCaCertificate: the CA's certificate is not valid now.
            BadRequestStatus: a delta CRL has no base, or none are published.
            ServiceUnavailable: the key cannot be used.

        """
        return self._crl_issuer.sign_in(transaction, kind, self._now())

    def sign_crls(self, store: Store, kind: CrlKind = CrlKind.BASE) -> tuple[CrlRecord, ...]:
        """Sign and remember a base CRL and its delta CRL, or a delta CRL alone; raises as `sign_crl`.

        Those signed together have the same number (RFC 5280 5.2.3). Nobody waits for the signing.
        """
        return self._crl_issuer.sign(store, kind, self._now())

    def _now(self) -> datetime:
        return self._clock.now().replace(microsecond=0)
