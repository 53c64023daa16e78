"""A whole set of things made to be there at the desk of a running lab, all or nothing.

What is there already is known again, by password, by key and template, or word for word, and stays.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from ca.records import CertificateFilter, CertificateRecord, RevocationReason
from lab.lab_clock import BadTime, read_shift

from .clock import shift_text
from .clock_local import follow_clock
from .desk import DeskError, DeskRefused, Invalid
from .issuing import issue_certificate, make_challenge, read_csr
from .models import REASONS, BulkEntry
from .plainly import plainly
from .revoking import CRL_KINDS, revoke_in, select_in
from .templates import TemplateText
from .templates_local import changed, changing_templates, find_template, template_of, use_templates
from .whole import PopulatedItem, PopulatedView

if TYPE_CHECKING:
    from ca.records import RequestRecord, StoreTransaction
    from lab.faults.rules import RuleOrder, RuleView
    from lab.world import World

    from .controls import Controls
    from .whole import ItemKind, Outcome, PopulateOrder, WantedCertificate, WantedChallenge, WantedTemplate

_populating = threading.Lock()


def populate(world: World, controls: Controls, order: PopulateOrder) -> PopulatedView:
    """Make everything of an order be there; raises leaves of `DeskError`, and then nothing has changed."""
    with _populating:
        return _Population(world, controls).make(order)


@dataclass
class _Population:
    world: World
    controls: Controls
    items: list[PopulatedItem] = field(default_factory=list)
    revoked: bool = False

    def make(self, order: PopulateOrder) -> PopulatedView:
        by = self._clock(order)
        with changing_templates:
            self._try(order, by)
        if by:
            self.controls.lab_clock.shift(by)
            follow_clock(self.world)
        self._rules(order)
        problem = self._publish(order)
        done = any(item.outcome != "unchanged" for item in self.items)
        return PopulatedView(changed=done, items=tuple(self.items), problem=problem)

    def _try(self, order: PopulateOrder, by: timedelta) -> None:
        """Make all that may be refused, at the time that is wanted; put the templates back if it is."""
        with contextlib.ExitStack() as undo:
            undo.callback(use_templates, self.world, self.world.authority.templates)
            try:
                with self.controls.lab_clock.supposing(by):
                    for template in order.templates:
                        self._template(template)
                    self._rows(order)
            except BadTime as error:
                raise Invalid(f"clock: {error}") from error
            undo.pop_all()

    def _note(self, kind: ItemKind, name: str, outcome: Outcome, number: int | None = None) -> None:
        self.items.append(PopulatedItem(kind=kind, name=name, outcome=outcome, id=number))

    # -- clock and templates -----------------------------------------------------------

    def _clock(self, order: PopulateOrder) -> timedelta:
        """Return how far the clock is to be moved."""
        if order.clock is None:
            return timedelta(0)
        try:
            wanted = read_shift(order.clock)
        except BadTime as error:
            raise Invalid(f"clock: {error}") from error
        by = wanted - self.controls.lab_clock.offset
        self._note("clock", shift_text(wanted), "changed" if by else "unchanged")
        return by

    def _template(self, wanted: WantedTemplate) -> None:
        known = self.world.authority.templates
        before = known.find(wanted.name)
        if wanted.toml is None:
            template = find_template(known, wanted.name)
        else:
            template = template_of(wanted.name, TemplateText(toml=wanted.toml))
        template = changed(template, wanted)
        if template == before:
            self._note("template", template.name, "unchanged")
            return
        use_templates(self.world, known.having(template))
        self._note("template", template.name, "changed" if before else "made")

    # -- what is in the database -------------------------------------------------------

    def _rows(self, order: PopulateOrder) -> None:
        with plainly(), self.world.store.transaction() as transaction:
            for challenge in order.challenges:
                self._challenge(transaction, challenge)
            for certificate in order.certificates:
                self._certificate(transaction, certificate)
            for entry in order.revocations:
                found = select_in(self.world, transaction, entry.selector, by_number=False)
                done = self._revoke(transaction, found, entry)
                self._note("revocation", found.subject, "made" if done else "unchanged", found.id)

    def _challenge(self, transaction: StoreTransaction, wanted: WantedChallenge) -> None:
        password = wanted.password.get_secret_value().encode()
        found = self.world.challenges.examine(transaction, password, subject="", endpoint="").record
        if found is None:
            made = make_challenge(self.world, transaction, wanted).record
            self._note("challenge", made.label, "made", made.id)
            return
        for name in ("kind", "subject", "template", "endpoint", "label"):
            if getattr(found, name) != getattr(wanted, name):
                raise DeskRefused(
                    f"challenge {found.id} has the password of one wanted here, and another {name}"
                )
        self._note("challenge", found.label, "unchanged", found.id)

    def _certificate(self, transaction: StoreTransaction, wanted: WantedCertificate) -> None:
        key = sha256(read_csr(wanted.csr).public_key_der).hexdigest()
        found: CertificateRecord | RequestRecord | None = self._known(transaction, key, wanted.template)
        outcome: Outcome = "unchanged"
        if found is None:
            found = issue_certificate(self.world, transaction, wanted)
            outcome = "made" if isinstance(found, CertificateRecord) else "pending"
        if wanted.revoked is not None and not isinstance(found, CertificateRecord):
            raise DeskRefused(
                f"request {found.id} has no certificate that could be revoked: it is {found.status.value}"
            )
        if isinstance(found, CertificateRecord) and wanted.revoked is not None:
            entry = BulkEntry(selector=f"{found.serial_number:x}", reason=wanted.revoked)
            if self._revoke(transaction, found, entry) and outcome == "unchanged":
                outcome = "changed"
        self._note("certificate", found.subject, outcome, found.id)

    def _known(
        self, transaction: StoreTransaction, key: str, template: str
    ) -> CertificateRecord | RequestRecord | None:
        """Return the certificate that a key has under a template, or else its request for approval."""
        wanted = CertificateFilter(public_key_sha256=key)
        candidates: list[CertificateRecord | RequestRecord] = [
            *transaction.find_certificates(wanted, now=self.world.clock.now()),
            *(one for one in transaction.requests() if one.public_key_sha256 == key),
        ]
        return next((one for one in candidates if one.template.lower() == template.lower()), None)

    def _revoke(self, transaction: StoreTransaction, found: CertificateRecord, entry: BulkEntry) -> bool:
        """Revoke a certificate, or take it off hold, unless it is so already; tell whether it was done."""
        reason = REASONS[entry.reason]
        now = None if found.revocation is None else found.revocation.reason
        if now is reason or (now is None and reason is RevocationReason.REMOVE_FROM_CRL):
            return False
        revoke_in(self.world, transaction, found, entry)
        self.revoked = True
        return True

    # -- what cannot fail any more -----------------------------------------------------

    def _rules(self, order: PopulateOrder) -> None:
        standing = list(self.controls.faults.rules())
        for wanted in order.fault_rules:
            same = next((rule for rule in standing if _is_same(rule, wanted)), None)
            name = wanted.label or wanted.fault or "sequence"
            if same is None:
                self._note("fault-rule", name, "made", self.controls.faults.add(wanted).id)
            else:
                standing.remove(same)
                self._note("fault-rule", name, "unchanged", same.id)

    def _publish(self, order: PopulateOrder) -> str:
        """Publish a CRL where something was revoked; return why that failed, or an empty text."""
        if not self.revoked or order.publish == "none":
            return ""
        try:
            with plainly():
                self.world.publish_crl(CRL_KINDS[order.publish])
        except DeskError as error:
            return str(error)
        return ""


def _is_same(rule: RuleView, wanted: RuleOrder) -> bool:
    """Tell whether a rule is what is wanted; a seed that nobody named does not count."""
    faults = tuple(None if one is None else one.id for one in wanted.faults)
    names = ("match", "after", "times", "chance", "parameters", "label")
    return (
        rule.faults == faults
        and all(getattr(rule, name) == getattr(wanted, name) for name in names)
        and wanted.seed in (None, rule.seed)
    )
