"""Carrying out what the RA decided: one database transaction for everything that must hold together.

Redeeming the challenge, inserting the certificate and remembering the SCEP transaction are kept or
lost as one, so that a challenge is never spent without its certificate, and a client that lost our
reply and asks again gets the same certificate. A refusal writes nothing.

The certificate is signed outside of that transaction, which is all that one request waits for another in.
A certificate whose transaction is not committed has been seen by nobody, and is forgotten.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ca.errors import CaError
from ca.records import AlreadyExists, NewTransaction, StoreUnavailable, TransactionStatus

from .checks import Check, Verdict
from .decisions import Grant, Pend, Refuse
from .outcomes import Refusal, outcome_of
from .registration import message_digest
from .signers import key_digest

if TYPE_CHECKING:
    from ca.records import NewCertificate, Store, StoreTransaction

    from .challenge_policy import ChallengePolicy
    from .collaborators import Authority
    from .decisions import Application, Decision, Plan
    from .registration import Registrar

ATTEMPTS = 5


class Enrolment:
    """Decides on an application and does what follows, at once and exactly once."""

    def __init__(
        self,
        *,
        registrar: Registrar,
        authority: Authority,
        challenge_policy: ChallengePolicy,
        store: Store,
    ) -> None:
        self._registrar = registrar
        self._authority = authority
        self._challenge_policy = challenge_policy
        self._store = store

    def enrol(self, application: Application) -> Decision:
        """Return the decision, carried out.

        It is made, and the certificate signed, before anything is locked: most of the time goes into that.
        Where the store has changed meanwhile in what the decision is made of, or another request was
        quicker to take the transaction's next generation, everything is looked at anew, and nothing may
        change then.

        Raises:
            StoreUnavailable: the database cannot be used; nothing was kept.

        """
        for attempt in range(ATTEMPTS):
            try:
                return self._enrol_at_once(application) if attempt else self._enrol_ahead(application)
            except (AlreadyExists, _Overtaken):
                continue
        raise StoreUnavailable(f"{ATTEMPTS} attempts in a row met someone quicker")

    def _enrol_ahead(self, application: Application) -> Decision:
        """Decide and sign first, and then write, if it is still so."""
        with self._store.reading() as transaction:
            notes = transaction.take_notes()
            decision = self._registrar.decide(transaction, application)
        if isinstance(decision, Refuse) or decision.plan is None:
            return decision
        if isinstance(decision, Pend):
            raise _Overtaken  # there is nothing to sign, and who waits is counted where one more joins
        try:
            signed = self._authority.sign(decision.plan.prepared)
        except CaError as error:
            return _refused_by_ca(error, decision)
        with self._store.transaction() as transaction:
            if not transaction.finds_again(notes) or not self._redeem(transaction, decision.plan):
                raise _Overtaken
            return self._grant(transaction, application, decision, decision.plan, signed)

    def _enrol_at_once(self, application: Application) -> Decision:
        decision: Decision | None = None
        try:
            with self._store.transaction() as transaction:
                decision = self._registrar.decide(transaction, application)
                return self._carry_out(transaction, application, decision)
        except CaError as error:  # raised while issuing; the transaction is rolled back
            return _refused_by_ca(error, decision)

    def _carry_out(
        self, transaction: StoreTransaction, application: Application, decision: Decision
    ) -> Decision:
        plan = None if isinstance(decision, Refuse) else decision.plan
        if plan is None:
            return decision
        if not self._redeem(transaction, plan):
            lost = Check(
                name="challenge",
                verdict=Verdict.FAILED,
                clause="RFC 8894 2.4",
                found="spent by another request in the meantime",
                expected="accepted",
            )
            return Refuse(cause=Refusal.CHALLENGE_SPENT, checks=(*decision.checks, lost))
        if isinstance(decision, Grant):
            return self._grant(transaction, application, decision, plan, self._authority.sign(plan.prepared))
        request = self._authority.submit(transaction, plan.prepared)
        transaction.add_request_origin(
            request.id, endpoint=application.endpoint_name, client_address=application.client_address
        )
        transaction.add_scep_transaction(
            _remember(application, plan, TransactionStatus.PENDING, request_id=request.id)
        )
        return Pend(checks=decision.checks, request_id=request.id, plan=plan)

    def _redeem(self, transaction: StoreTransaction, plan: Plan) -> bool:
        return plan.challenge is None or self._challenge_policy.redeem(transaction, plan.challenge)

    def _grant(
        self,
        transaction: StoreTransaction,
        application: Application,
        decision: Grant,
        plan: Plan,
        signed: NewCertificate,
    ) -> Grant:
        certificate = self._authority.record(transaction, signed)
        transaction.add_scep_transaction(
            _remember(application, plan, TransactionStatus.ISSUED, certificate_id=certificate.id)
        )
        return replace(decision, certificate=certificate)


class _Overtaken(Exception):
    """What was decided ahead does not hold any more, or cannot be carried out so."""


def _refused_by_ca(error: CaError, decision: Decision | None) -> Refuse:
    checks = decision.checks if decision else ()
    return Refuse(cause=error, checks=(*checks, _issuing_failed(error)))


def _issuing_failed(error: CaError) -> Check:
    return Check(
        name=outcome_of(error).name,
        verdict=Verdict.FAILED,
        clause=error.hresult_name,
        found=str(error),
        expected=error.message,
    )


def _remember(
    application: Application,
    plan: Plan,
    status: TransactionStatus,
    *,
    certificate_id: int | None = None,
    request_id: int | None = None,
) -> NewTransaction:
    message = application.opened.message
    return NewTransaction(
        endpoint=application.endpoint_name,
        transaction_id=message.transaction_id,
        generation=plan.generation,
        status=status,
        message_type=message.message_type.value,
        message_sha256=message_digest(application),
        public_key_sha256=application.request.public_key.sha256,
        signer_key_sha256=key_digest(message.signer.public_key_der),
        signer_sha256=key_digest(message.signer.der),
        challenge_id=None if plan.challenge is None else plan.challenge.id,
        certificate_id=certificate_id,
        request_id=request_id,
        created_at=application.now,
    )
