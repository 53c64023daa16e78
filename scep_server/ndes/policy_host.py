"""NDES's side of a policy module: loads it, calls it, and lives with whatever it raises."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from ca import oids
from ca.challenges import ChallengeFinding, ChallengeVerdict
from ca.extensions import find, read_key_usage
from scep_server.decisions import Grant, Pend, Refuse
from scep_server.registration import choose_template
from scep_server.transport import DEFAULT_ENDPOINT

from .password_cache import CacheFull
from .policy_modules import BookedModule, Disposition, PolicyModuleUnusable, load_policy_module

if TYPE_CHECKING:
    from collections.abc import Callable

    from ca.records import ChallengeRecord, StoreTransaction
    from scep_server.challenge_policy import ChallengePolicy
    from scep_server.decisions import Application
    from scep_server.exchange import Exchange

    from .events_sink import EventSink
    from .policy_modules import PolicyContext, PolicyModule

_log = structlog.get_logger(__name__)
_Result = TypeVar("_Result")
_E_FAIL: Final = "0x80004005"
_CANNOT_MAKE_PASSWORD: Final = 44
_CANNOT_CALL: Final = 51
_CANNOT_START: Final = 53


class PolicyModuleFailed(Exception):
    """A policy module raised something; the event has been written."""


class PolicyHost:
    """One policy module in service.

    Args:
        name: which one, as the settings name it.
        context: what it may work with.
        events: where its failures are written.

    """

    def __init__(self, name: str, context: PolicyContext, events: EventSink) -> None:
        self._name = name
        self._context = context
        self._events = events
        self._module: PolicyModule | None = None
        self._starting = threading.Lock()

    def start(self) -> PolicyModule:
        """Return the module, loaded and initialized at the first call; a failed start is tried again.

        Raises:
            PolicyModuleFailed: it cannot be started.

        """
        with self._starting:
            if self._module is None:
                self._module = self._call(_CANNOT_START, self._make)
            return self._module

    def stop(self) -> None:
        """Let the module go."""
        with self._starting:
            module, self._module = self._module, None
        if module is not None:
            self._try(_CANNOT_CALL, module.uninitialize)

    def generate_challenge(self, template: str, params: str) -> str:
        """Return a challenge.

        Raises:
            PolicyModuleFailed: the module has none.
            CacheFull: PasswordMax challenges are unused.

        """
        module = self.start()
        return self._call(_CANNOT_MAKE_PASSWORD, lambda: module.generate_challenge(template, params))

    def verify_request(
        self, csr: bytes, signing_certificate: bytes | None, template: str, transaction_id: str
    ) -> bool:
        """Return the module's verdict; a module that cannot be asked has not said yes."""
        try:
            module = self.start()
            return bool(
                self._call(
                    _CANNOT_CALL,
                    lambda: module.verify_request(csr, signing_certificate, template, transaction_id),
                    transaction_id,
                )
            )
        except PolicyModuleFailed:
            return False

    def finding(self, transaction: StoreTransaction, application: Application) -> ChallengeFinding | None:
        """Return the challenge that a good request uses up, where the module keeps it in the CA's book."""
        module = self._module
        return module.finding(transaction, application) if isinstance(module, BookedModule) else None

    def observe(self, exchange: Exchange) -> None:
        """Notify the module of what became of a request; an `ExchangeObserver`."""
        module, answer = self._module, exchange.answer
        if module is None or answer is None or exchange.endpoint != DEFAULT_ENDPOINT:
            return
        if not isinstance(answer, (Grant, Pend, Refuse)):
            return
        password = exchange.csr.challenge_password if exchange.csr is not None else None
        issued = answer.certificate.der if isinstance(answer, Grant) and answer.certificate else None
        transaction_id, hresult = exchange.transaction_id or "", _hresult(exchange)
        text = (password or b"").decode("utf-8", "replace")
        self._try(
            _CANNOT_CALL,
            lambda: module.notify(text, transaction_id, _disposition(answer), hresult, issued),
            transaction_id,
        )

    def _make(self) -> PolicyModule:
        module = load_policy_module(self._name)
        module.initialize(self._context)
        return module

    def _try(self, event_id: int, call: Callable[[], None], transaction_id: str | None = None) -> None:
        try:
            self._call(event_id, call, transaction_id)
        except PolicyModuleFailed:
            return

    def _call(self, event_id: int, call: Callable[[], _Result], transaction_id: str | None = None) -> _Result:
        try:
            return call()
        except CacheFull:
            raise
        except Exception as error:  # a user's code: whatever it raises must end here, as an event
            reason = str(error) if isinstance(error, PolicyModuleUnusable) else type(error).__name__
            _log.warning("policy module failed", module=self._name, event_id=event_id, reason=ascii(reason))
            self._events.write(
                event_id, error_code=_E_FAIL, error_message=reason, transaction_id=transaction_id
            )
            raise PolicyModuleFailed(f"policy module {self._name!r}: {reason}") from error


class ModuleChallenges:
    """Judges requests at NDES's endpoint by its policy module; a `ChallengePolicy`."""

    def __init__(self, host: PolicyHost, otherwise: ChallengePolicy) -> None:
        self._host = host
        self._otherwise = otherwise

    def examine(self, transaction: StoreTransaction, application: Application) -> ChallengeFinding:
        """Return the module's verdict on an initial request; one without a challenge is not shown to it."""
        if application.endpoint_name != DEFAULT_ENDPOINT:
            return self._otherwise.examine(transaction, application)
        if not application.request.challenge_password:
            return ChallengeFinding(verdict=ChallengeVerdict.ABSENT)
        if not self._ask(application, None):
            found = self._host.finding(transaction, application)
            refused = found is not None and found.verdict is not ChallengeVerdict.ACCEPTED
            return found if found and refused else ChallengeFinding(verdict=ChallengeVerdict.UNKNOWN)
        return self._host.finding(transaction, application) or ChallengeFinding(
            verdict=ChallengeVerdict.ACCEPTED
        )

    def examine_renewal(
        self, transaction: StoreTransaction, application: Application
    ) -> ChallengeFinding | None:
        """Return the module's verdict on a renewal, with the certificate that signs it."""
        if application.endpoint_name != DEFAULT_ENDPOINT:
            return self._otherwise.examine_renewal(transaction, application)
        good = self._ask(application, application.opened.message.signer.der)
        return ChallengeFinding(verdict=ChallengeVerdict.ACCEPTED if good else ChallengeVerdict.UNKNOWN)

    def redeem(self, transaction: StoreTransaction, challenge: ChallengeRecord) -> bool:
        """Use a challenge of the CA's book up."""
        return self._otherwise.redeem(transaction, challenge)

    def _ask(self, application: Application, signing_certificate: bytes | None) -> bool:
        return self._host.verify_request(
            application.request.der,
            signing_certificate,
            template_for(application),
            application.opened.message.transaction_id,
        )


def template_for(application: Application) -> str:
    """Return the template a request is for, by the key usage it asks for."""
    wanted = find(application.request.extensions, oids.KEY_USAGE)
    usages = read_key_usage(wanted.value) if wanted else frozenset()
    return choose_template(application.endpoint.templates, usages)


def _disposition(answer: Grant | Pend | Refuse) -> Disposition:
    if isinstance(answer, Grant):
        return Disposition.SUCCESS
    if isinstance(answer, Pend):
        return Disposition.PENDING
    return Disposition.UNKNOWN if answer.outcome.retry_later else Disposition.FAILURE


def _hresult(exchange: Exchange) -> int:
    return exchange.outcome.hresult if exchange.outcome is not None else 0
