"""CertPoll, GetCert and GetCRL: answers about what exists. Nothing is ever written here.

A poll is recognised by its transactionID and the key that signed it; what it says of issuer and
subject does not count, since clients put the RA's or the CA's name there (RFC 8894 3.3.3). GetCert and
GetCRL are not looked up by transactionID: sscep uses one constant for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from ca import names
from ca.records import CrlKind, TransactionStatus

from .checks import CheckList
from .decisions import DeliverCrl, Grant, Pend, Refuse
from .ndes.profiles import MODERN
from .outcomes import Refusal
from .registration import reply_recipient
from .signers import Holder, key_digest
from .standing import standing_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ca.certificates import CertificateInfo
    from ca.records import StoreTransaction

    from .decisions import Answer
    from .ndes.profiles import BehaviourProfile
    from .protocol.messages import IssuerAndSerial, OpenedMessage, Recipient
    from .settings import EndpointSettings
    from .signers import SignerJudge

_MAXIMUM_SERIAL_BITS = 160  # RFC 5280 4.1.2.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A query message at one endpoint, at one instant."""

    endpoint_name: str
    endpoint: EndpointSettings
    opened: OpenedMessage = field(repr=False)
    now: datetime
    profile: BehaviourProfile = MODERN


class Archivist:
    """Answers query messages."""

    def __init__(self, *, issuers: Sequence[CertificateInfo], signer_judge: SignerJudge) -> None:
        self._issuers = tuple(issuers)
        self._signer_judge = signer_judge

    def poll(self, transaction: StoreTransaction, question: Question) -> Answer:
        """Return where a pending enrolment stands (RFC 8894 3.3.3, 4.4)."""
        checks, message = CheckList(), question.opened.message
        clause = "RFC 8894 3.3.3"
        recipient = _find_recipient(question.opened, checks)
        if recipient is None:
            return Refuse(cause=Refusal.SIGNER_CANNOT_DECRYPT, checks=checks.made())
        record = transaction.scep_transaction(question.endpoint_name, message.transaction_id)
        if record is None:
            checks.failed("transaction", clause, "unknown transactionID", "that of an earlier request")
            return Refuse(cause=Refusal.POLL_UNKNOWN, checks=checks.made())
        if record.signer_key_sha256 != key_digest(message.signer.public_key_der):
            checks.failed("transaction", clause, "signed with another key", "the key of the request")
            return Refuse(cause=Refusal.POLL_OTHER_SIGNER, checks=checks.made())
        standing = standing_of(transaction, record)
        checks.passed("transaction", clause, standing.status.value)
        if standing.status is TransactionStatus.PENDING:
            return Pend(checks=checks.made(), request_id=record.request_id)
        if standing.status is TransactionStatus.DENIED:
            checks.failed("approval", "RFC 8894 4.4", "denied by a certificate manager", "issued")
            return Refuse(cause=Refusal.REQUEST_DENIED, checks=checks.made())
        if not standing.is_deliverable(question.now):
            checks.failed("certificate", "RFC 8894 4.4", "revoked or expired since", "valid")
            return Refuse(cause=Refusal.TRANSACTION_OVER, checks=checks.made())
        return Grant(checks=checks.made(), certificate=standing.certificate, recipient=recipient)

    def get_cert(self, transaction: StoreTransaction, question: Question, wanted: IssuerAndSerial) -> Answer:
        """Return a certificate by issuer and serial number (RFC 8894 3.3.4, 4.5)."""
        checks = CheckList()
        recipient = self._admit(transaction, question, question.endpoint.get_cert, checks)
        if isinstance(recipient, Refuse):
            return recipient
        clause = "RFC 8894 4.5"
        key_ids = self._find_key_ids(wanted, checks, clause)
        if not key_ids:
            return Refuse(cause=Refusal.QUERY_OTHER_ISSUER, checks=checks.made())
        record = None
        if 0 < wanted.serial_number < 1 << _MAXIMUM_SERIAL_BITS:
            looked_up = (transaction.certificate_by_serial(each, wanted.serial_number) for each in key_ids)
            record = next((found for found in looked_up if found is not None), None)
        if record is None:
            checks.failed("serial-number", clause, "no such certificate", "one of this CA's")
            return Refuse(cause=Refusal.QUERY_UNKNOWN, checks=checks.made())
        checks.passed("serial-number", clause, f"{record.serial_number:x}")
        return Grant(checks=checks.made(), certificate=record, recipient=recipient)

    def get_crl(self, transaction: StoreTransaction, question: Question, wanted: IssuerAndSerial) -> Answer:
        """Return the most recent CRL of the issuer that is named (RFC 8894 3.3.4, 4.6)."""
        checks = CheckList()
        recipient = self._admit(transaction, question, question.endpoint.get_crl, checks)
        if isinstance(recipient, Refuse):
            return recipient
        clause = "RFC 8894 4.6"
        key_ids = self._find_key_ids(wanted, checks, clause)
        if not key_ids:
            return Refuse(cause=Refusal.QUERY_OTHER_ISSUER, checks=checks.made())
        crl = transaction.latest_crl(key_ids[0], CrlKind.BASE)
        if crl is None:
            checks.failed("crl", clause, "no CRL has been issued yet", "a CRL")
            return Refuse(cause=Refusal.QUERY_UNKNOWN, checks=checks.made())
        checks.passed("crl", clause, f"number {crl.number}")
        return DeliverCrl(crl=crl, checks=checks.made(), recipient=recipient)

    def _admit(
        self,
        transaction: StoreTransaction,
        question: Question,
        admitted: Literal["holders", "anyone", "refuse"],
        checks: CheckList,
    ) -> Recipient | Refuse:
        """Return whom to answer, or the refusal; the same whether or not what is asked for exists."""
        clause, message = "RFC 8894 3.3.4", question.opened.message
        if admitted == "refuse" or question.profile.queries == "reject":
            checks.failed("query", clause, message.message_type.rfc_name, "no such query here")
            return Refuse(cause=Refusal.QUERY_DISABLED, checks=checks.made())
        if admitted == "holders":
            signer = self._signer_judge.judge(
                transaction, message.signer, checks, now=question.now, grace=timedelta(0)
            )
            if isinstance(signer, Refusal):
                return Refuse(cause=signer, checks=checks.made())
            if not isinstance(signer, Holder):
                checks.failed("query", clause, "self-signed", "signed by a certificate of this CA")
                return Refuse(cause=Refusal.QUERY_SIGNER, checks=checks.made())
        recipient = _find_recipient(question.opened, checks)
        if recipient is None:
            return Refuse(cause=Refusal.SIGNER_CANNOT_DECRYPT, checks=checks.made())
        return recipient

    def _find_key_ids(self, wanted: IssuerAndSerial, checks: CheckList, clause: str) -> list[str]:
        """Return the key identifiers of our CA by that name, the present one first."""
        found = [
            (issuer.subject_key_id or b"").hex()
            for issuer in self._issuers
            if names.same_name(issuer.subject_der, wanted.issuer_der)
        ]
        if found:
            checks.passed("issuer", clause, "this CA")
        else:
            checks.failed("issuer", clause, "another CA", "this CA")
        return found


def _find_recipient(opened: OpenedMessage, checks: CheckList) -> Recipient | None:
    recipient = reply_recipient(opened.recipient)
    if recipient is None:
        checks.failed("recipient", "RFC 8894 3.1", "key that cannot decrypt", "an RSA key")
    return recipient
