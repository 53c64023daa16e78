"""Who may have a certificate: the RA's decision.

`Registrar.decide` only reads. It goes through its steps in order, notes each check with its clause,
and stops at the first that decides. Carrying the decision out is `scep_server.enrolment`'s.

RFC 8894 2.3 and 2.4 say who may be trusted; the transaction rules are those clients rely on: most
derive the transactionID from the key, so a retry, a poll by repetition and a renewal of the same key
all come under the same one, and are told apart here.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ca import der, names, oids
from ca.challenges import ChallengeVerdict
from ca.errors import CaError
from ca.extensions import KeyUsage, find, read_key_usage
from ca.records import TransactionStatus

from .challenge_policy import REFUSALS
from .checks import Check, CheckList, Verdict
from .decisions import Grant, Pend, Plan, Refuse
from .outcomes import Refusal, outcome_of
from .protocol.enveloped import can_receive
from .protocol.messages import KeyTransportRecipient, MessageType, PasswordRecipient
from .renewal_names import added_names
from .signers import Holder, SelfSigned, key_digest
from .standing import Standing, standing_of

if TYPE_CHECKING:
    from ca.challenges import ChallengeFinding
    from ca.records import CertificateRecord, ChallengeRecord, StoreTransaction

    from .challenge_policy import ChallengePolicy
    from .collaborators import Authority
    from .decisions import Application, Decision
    from .protocol.messages import Recipient
    from .settings import TemplateChoice
    from .signers import Signer, SignerJudge


class Registrar:
    """Decides on PKCSReq and RenewalReq."""

    def __init__(
        self, *, authority: Authority, challenge_policy: ChallengePolicy, signer_judge: SignerJudge
    ) -> None:
        self._authority = authority
        self._challenge_policy = challenge_policy
        self._signer_judge = signer_judge

    def decide(self, transaction: StoreTransaction, application: Application) -> Decision:
        """Return what the applicant gets, with every check that was made."""
        hearing = _Hearing(
            transaction, application, self._authority, self._challenge_policy, self._signer_judge
        )
        return hearing.decide()


class _Hearing:
    """One application before the RA; used once."""

    def __init__(
        self,
        transaction: StoreTransaction,
        application: Application,
        authority: Authority,
        challenge_policy: ChallengePolicy,
        signer_judge: SignerJudge,
    ) -> None:
        self._transaction = transaction
        self._application = application
        self._authority = authority
        self._challenge_policy = challenge_policy
        self._signer_judge = signer_judge
        self._checks = CheckList()
        self._signer: Signer | None = None
        self._finding: ChallengeFinding | None = None
        self._recipient: Recipient | None = None
        self._generation = 1
        self._approval_needed = ""  # why a certificate manager has to approve

    def decide(self) -> Decision:
        steps = (
            self._judge_key,
            self._judge_signer,
            self._find_recipient,
            self._look_for_earlier,
            self._judge_renewal,
            self._judge_challenge,
        )
        for step in steps:
            decision = step()
            if decision is not None:
                return decision
        return self._prepare()

    def _refuse(self, refusal: Refusal) -> Refuse:
        return Refuse(cause=refusal, checks=self._checks.made())

    # -- the key and the signer --------------------------------------------------------

    def _judge_key(self) -> Decision | None:
        """Refuse the keys of CA and RA: a certificate for one would speak in its name."""
        request, clause = self._application.request, "RFC 2986 3"
        if self._signer_judge.is_reserved(request.public_key_der):
            self._checks.failed("request-key", clause, "key of a CA or RA", "a key of the applicant's own")
            return self._refuse(Refusal.REQUEST_KEY_RESERVED)
        self._checks.passed(
            "request-key", clause, f"{request.public_key.algorithm.value} {request.public_key.bits} bits"
        )
        for defect in request.defects:
            self._checks.warned("request-form", clause, defect)
        return None

    def _judge_signer(self) -> Decision | None:
        application, message = self._application, self._application.opened.message
        renewal = application.endpoint.renewal
        is_renewal_req = message.message_type is MessageType.RENEWAL_REQ
        if is_renewal_req and not renewal.enabled:
            self._checks.failed("renewal", "RFC 8894 3.5.2", "RenewalReq", "no renewal: it is not advertised")
            return self._refuse(Refusal.RENEWAL_DISABLED)
        if is_renewal_req and not self._takes_renewal_req():
            self._checks.failed("renewal", "RFC 8894 3.3.1", "RenewalReq", "PKCSReq, as Windows renews")
            return self._refuse(Refusal.RENEWAL_REQ)
        made = CheckList()
        signer = self._signer_judge.judge(
            self._transaction,
            message.signer,
            made,
            now=application.now,
            grace=timedelta(days=renewal.grace_days_after_expiry),
        )
        if self._challenge_outweighs(signer):
            self._signer = SelfSigned()
            self._note_outweighed(made.made())
            return None
        self._checks.extend(made.made())
        if isinstance(signer, Refusal):
            return self._refuse(signer)
        self._signer = signer
        if isinstance(signer, Holder):
            if not renewal.enabled:
                self._checks.failed("renewal", "RFC 8894 3.5.2", "signed by a certificate", "self-signed")
                return self._refuse(Refusal.RENEWAL_DISABLED)
            return None
        if is_renewal_req:
            self._checks.failed(
                "renewal",
                "RFC 8894 3.3.1",
                "RenewalReq with a self-signed signer",
                "a certificate of this CA",
            )
            return self._refuse(Refusal.RENEWAL_SELF_SIGNED)
        return self._judge_signer_key()

    def _takes_renewal_req(self) -> bool:
        chosen = self._application.endpoint.renewal.renewal_req
        return (self._application.profile.renewal_req if chosen == "profile" else chosen) == "accept"

    def _challenge_outweighs(self, signer: Signer | Refusal) -> bool:
        """Tell whether a good challenge makes this an initial request, whatever certificate signed it.

        Stolen and forged identities of CA and RA stay refused.
        """
        application = self._application
        if not application.profile.valid_challenge_beats_signature:
            return False
        if application.endpoint.challenge == "none":
            return False
        if application.opened.message.message_type is not MessageType.PKCS_REQ:
            return False
        if isinstance(signer, SelfSigned) or signer in (Refusal.SIGNER_RESERVED, Refusal.SIGNER_FORGED):
            return False
        if not application.request.challenge_password:
            return False
        return self._find_challenge_refusal() is None

    def _note_outweighed(self, made: tuple[Check, ...]) -> None:
        for check in made:
            verdict = Verdict.WARNED if check.verdict is Verdict.FAILED else check.verdict
            self._checks.extend((replace(check, verdict=verdict),))
        self._checks.skipped("renewal", "NDES", "a good challenge makes it an initial request")

    def _judge_signer_key(self) -> Decision | None:
        """Look whether a self-signed signer has the request's key, which RFC 8894 2.3 only wishes."""
        message, request = self._application.opened.message, self._application.request
        if message.signer.public_key_der == request.public_key_der:
            self._checks.passed("signer-key", "RFC 8894 2.3", "key of the request")
            return None
        if self._application.endpoint.csr_key_must_sign:
            self._checks.failed("signer-key", "RFC 8894 2.3", "another key", "key of the request")
            return self._refuse(Refusal.REQUEST_KEY_NOT_SIGNER)
        self._checks.warned("signer-key", "RFC 8894 2.3", "another key", "key of the request")
        return None

    def _find_recipient(self) -> Decision | None:
        """Make sure that a certificate, once issued, can be sent (RFC 8894 3.1)."""
        self._recipient = reply_recipient(
            self._application.opened.recipient, self._application.request.challenge_password
        )
        if self._recipient is None:
            self._checks.failed(
                "recipient", "RFC 8894 3.1", "key that cannot decrypt, and no password", "an RSA key"
            )
            return self._refuse(Refusal.SIGNER_CANNOT_DECRYPT)
        return None

    # -- what came before --------------------------------------------------------------

    def _look_for_earlier(self) -> Decision | None:
        application, message = self._application, self._application.opened.message
        clause = "RFC 8894 3.2.1.1"
        record = self._transaction.scep_transaction(application.endpoint_name, message.transaction_id)
        if record is None:
            self._checks.passed("transaction", clause, "new")
            return None
        self._generation = record.generation + 1
        signer_key = key_digest(message.signer.public_key_der)
        # Also one that a later generation has followed: renewals of one key share a transactionID.
        repeated = self._transaction.repeated_scep_transaction(
            application.endpoint_name, message.transaction_id, message_digest(application)
        )
        if repeated is not None or record.public_key_sha256 == application.request.public_key.sha256:
            standing = standing_of(self._transaction, repeated or record)
            return self._judge_earlier(standing, signer_key, identical=repeated is not None)
        if isinstance(self._signer, Holder) and record.public_key_sha256 == signer_key:
            self._checks.passed("transaction", clause, "renewal, with a new key, of what this one led to")
            return None
        self._checks.failed("transaction", clause, "transactionID of a request for another key", "a new one")
        return self._refuse(Refusal.TRANSACTION_COLLISION)

    def _judge_earlier(self, standing: Standing, signer_key: str, *, identical: bool) -> Decision | None:
        """Tell a repetition from a new attempt with the same key and transactionID."""
        record, clause = standing.record, "RFC 8894 2.2"
        if standing.status is TransactionStatus.PENDING and record.signer_key_sha256 == signer_key:
            self._checks.passed("transaction", clause, "the same request is still waiting")
            return Pend(checks=self._checks.made(), request_id=record.request_id)
        if standing.status is TransactionStatus.DENIED and identical:
            self._checks.failed("transaction", clause, "denied by a certificate manager", "a new request")
            return self._refuse(Refusal.REQUEST_DENIED)
        if standing.status is TransactionStatus.ISSUED:
            if self._is_repetition(standing, signer_key, identical=identical):
                self._checks.passed("transaction", clause, "a repetition: the same certificate again")
                return Grant(
                    checks=self._checks.made(),
                    certificate=standing.certificate,
                    recipient=self._recipient,
                )
            if identical:
                self._checks.failed(
                    "transaction", clause, "the same octets, too late or after revocation", "a new request"
                )
                return self._refuse(Refusal.TRANSACTION_OVER)
        self._checks.passed("transaction", clause, f"new attempt, generation {self._generation}")
        return None

    def _is_repetition(self, standing: Standing, signer_key: str, *, identical: bool) -> bool:
        """Tell whether the client lost our reply and asks for what it was issued.

        A holder repeats a renewal when it signs with the same certificate as before; a stranger
        repeats an enrolment when it shows the same challenge.
        """
        record, application = standing.record, self._application
        now, endpoint = application.now, application.endpoint
        if not (standing.is_deliverable(now) and standing.is_recent(now, endpoint.retry_window)):
            return False
        if identical:
            return True
        if isinstance(self._signer, Holder):
            return record.signer_sha256 == key_digest(application.opened.message.signer.der)
        if endpoint.challenge == "none":
            return record.signer_key_sha256 == signer_key
        if application.challenges_held:
            return False
        found = self._examine().record
        return found is not None and found.id == record.challenge_id

    # -- by what right -----------------------------------------------------------------

    def _judge_renewal(self) -> Decision | None:
        if not isinstance(self._signer, Holder):
            return None
        old, renewal = self._signer.record, self._application.endpoint.renewal
        if renewal.templates and old.template not in renewal.templates:
            self._checks.failed(
                "renewal-template", "RFC 8894 2.3", old.template, " or ".join(renewal.templates)
            )
            return self._refuse(Refusal.RENEWAL_TEMPLATE)
        if not names.same_name(self._application.request.subject_der, self._signer.certificate.subject_der):
            clause, found = "RFC 8894 3.3.1.1", "subject differs from the old certificate's"
            if renewal.subject_must_match:
                self._checks.failed("renewal-subject", clause, found, "the same subject")
                return self._refuse(Refusal.RENEWAL_SUBJECT)
            self._checks.warned("renewal-subject", clause, found, "the same subject")
        if renewal.names_must_match:
            added = added_names(self._signer.certificate.extensions, self._application.request.extensions)
            if added:
                clause, found = "RFC 8894 3.3.1.1", f"added: {', '.join(added)}"
                self._checks.failed("renewal-names", clause, found, "names of the old certificate")
                return self._refuse(Refusal.RENEWAL_NAMES)
        if renewal.earliest_days_before_expiry is not None:
            earliest = old.not_after - timedelta(days=renewal.earliest_days_before_expiry)
            if self._application.now < earliest:
                found = f"{self._application.now:%Y-%m-%d %H:%M:%SZ}"
                expected = f"not before {earliest:%Y-%m-%d %H:%M:%SZ}"
                self._checks.failed("renewal-window", "RFC 8894 2.3", found, expected)
                return self._refuse(Refusal.RENEWAL_TOO_EARLY)
        self._checks.passed("renewal", "RFC 8894 2.3", f"of serial number {old.serial_number:x}")
        if renewal.approval == "manual":
            self._approval_needed = "renewals are approved by hand here"
        return None

    def _examine(self) -> ChallengeFinding:
        if self._finding is None:
            self._finding = self._challenge_policy.examine(self._transaction, self._application)
        return self._finding

    def _judge_challenge(self) -> Decision | None:
        endpoint, clause = self._application.endpoint, "RFC 8894 2.4"
        if isinstance(self._signer, Holder):
            finding = self._challenge_policy.examine_renewal(self._transaction, self._application)
            if finding is not None and finding.verdict is not ChallengeVerdict.ACCEPTED:
                self._checks.failed("renewal-policy", "NDES", finding.verdict.value, "accepted")
                return self._refuse(REFUSALS[finding.verdict])
            if not endpoint.renewal.require_challenge:
                self._checks.skipped("challenge", clause, "the certificate authenticates the renewal")
                return None
        elif endpoint.approval == "manual":
            self._approval_needed = "requests are approved by hand here"
        if endpoint.challenge == "none" and not isinstance(self._signer, Holder):
            self._checks.skipped("challenge", clause, "this endpoint asks for none")
            return None
        refusal = self._find_challenge_refusal()
        if refusal is None:
            record = self._examine().record
            bound = record is not None and record.subject is not None
            self._checks.passed("challenge", clause, "bound to the subject" if bound else "unbound")
            return None
        if (
            refusal is Refusal.CHALLENGE_ABSENT
            and endpoint.challenge == "optional"
            and not isinstance(self._signer, Holder)
        ):
            self._checks.warned("challenge", clause, "absent", "present, or approval by hand")
            self._approval_needed = "the request has no challengePassword"
            return None
        if refusal is Refusal.CHALLENGE_BRAKE:
            held = "not looked at: brake after too many wrong ones"
            self._checks.failed(refusal.value, "RFC 8894 7.3", held, "a pause")
            return self._refuse(refusal)
        self._checks.failed("challenge", clause, refusal.value.removeprefix("challenge-"), "accepted")
        return self._refuse(refusal)

    def _find_challenge_refusal(self) -> Refusal | None:
        request, strings = self._application.request, self._application.profile.challenge_strings
        if request.challenge_password_defect:
            return Refusal.CHALLENGE_UNREADABLE
        if strings == "printable" and request.challenge_password_tag not in (None, der.PRINTABLE_STRING):
            return Refusal.CHALLENGE_STRING
        if request.challenge_password and self._application.challenges_held:
            return Refusal.CHALLENGE_BRAKE
        verdict = self._examine().verdict
        return None if verdict is ChallengeVerdict.ACCEPTED else REFUSALS[verdict]

    # -- under which template ----------------------------------------------------------

    def _prepare(self) -> Decision:
        """Have the CA refuse what it would refuse, before anything is used up."""
        application = self._application
        challenge = self._accepted_challenge()
        renewed = self._signer.record if isinstance(self._signer, Holder) else None
        template = self._choose_template(renewed, challenge)
        try:
            prepared = self._authority.prepare(
                self._transaction,
                application.request,
                template=template,
                requester=application.endpoint.requester,
                renewal_of=renewed,
            )
        except CaError as error:
            self._checks.failed(outcome_of(error).name, error.hresult_name, str(error), error.message)
            return Refuse(cause=error, checks=self._checks.made(), template=template)
        self._checks.passed("template", "RFC 8894 2.4", template)
        for wish in prepared.dropped:
            self._checks.warned("request-wish", "RFC 8894 2.4", f"not granted: {wish}")
        plan = Plan(prepared=prepared, generation=self._generation, challenge=challenge)
        if prepared.needs_approval:
            self._approval_needed = self._approval_needed or "the template asks for it"
        if self._approval_needed:
            self._checks.passed("approval", "RFC 8894 2.4", f"needed: {self._approval_needed}")
            return self._exceeded_quota() or Pend(checks=self._checks.made(), plan=plan)
        return Grant(checks=self._checks.made(), plan=plan, recipient=self._recipient)

    def _exceeded_quota(self) -> Refuse | None:
        """Refuse to let one more wait where as many wait already as may.

        SQLite has one writer at a time; elsewhere as many more may get in as are decided at once.
        """
        application, quota = self._application, self._application.pending_quota
        counted = ((None, quota.per_endpoint), (application.client_address, quota.per_address))
        for address, most in counted:
            if most is None:
                continue
            waiting = self._transaction.count_waiting(application.endpoint_name, client_address=address)
            if waiting >= most:
                whose = "at this endpoint" if address is None else "of this address"
                self._checks.failed(
                    "pending-quota", "RFC 8894 2.4", f"{waiting} wait {whose}", f"fewer than {most}"
                )
                return self._refuse(Refusal.PENDING_QUOTA)
        return None

    def _accepted_challenge(self) -> ChallengeRecord | None:
        finding = self._finding
        if finding is None or finding.verdict is not ChallengeVerdict.ACCEPTED:
            return None
        return finding.record

    def _choose_template(self, renewed: CertificateRecord | None, challenge: ChallengeRecord | None) -> str:
        if renewed is not None:
            return renewed.template
        if challenge is not None and challenge.template is not None:
            return challenge.template
        wanted = find(self._application.request.extensions, oids.KEY_USAGE)
        usages = read_key_usage(wanted.value) if wanted else frozenset()
        return choose_template(self._application.endpoint.templates, usages)


def choose_template(templates: TemplateChoice, usages: frozenset[KeyUsage]) -> str:
    """Return the template for the key usage a request asks for, as NDES chooses it."""
    signs = KeyUsage.DIGITAL_SIGNATURE in usages
    enciphers = KeyUsage.KEY_ENCIPHERMENT in usages
    if signs and not enciphers:
        return templates.signature
    if enciphers and not signs:
        return templates.encryption
    return templates.general_purpose


def reply_recipient(recipient: Recipient, password: bytes | None = None) -> Recipient | None:
    """Return whom a reply is enveloped for: the signer's key, or a password where it cannot decrypt.

    None where there is neither (RFC 8894 3.1).
    """
    if isinstance(recipient, KeyTransportRecipient) and not can_receive(recipient.certificate):
        return PasswordRecipient(password=password) if password else None
    return recipient


def message_digest(application: Application) -> str:
    """Return the SHA-256 by which a repetition is known: of the signed attributes, and of who signed.

    Not of the octets as received: whoever copies a message can change what its signature does not
    cover, as the bag of certificates and the order of the attributes.
    """
    message = application.opened.message
    signed = der.Reader(message.unverified.signed_attributes_der).elements()
    covered = der.set_of(attribute.raw for attribute in signed)
    return hashlib.sha256(covered + message.signer.public_key_der).hexdigest()
