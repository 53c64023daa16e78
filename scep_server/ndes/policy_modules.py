"""NDES's policy module: who hands out challenges and judges requests in the password cache's place.

`PolicyModule` has the five calls of the COM interface INDESPolicy. A user's own is named in the settings
and loaded when the service starts, as Windows loads the ProgID of its registry; two are built in.
Around them NDES keeps its own rules: an initial request without a challenge is refused unasked, and the
signing certificate is handed over for a renewal only, whose challenge must not be looked at.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, Protocol

from ca import names
from ca.challenges import ChallengeVerdict
from ca.pkcs10 import parse_request
from scep_server.transport import DEFAULT_ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ca.challenges import ChallengeBook, ChallengeFinding
    from ca.clock import Clock
    from ca.records import Store, StoreTransaction
    from scep_server.decisions import Application

    from .password_cache import PasswordCache

ENTRY_POINTS: Final = "ndes_lab.policy_modules"


class PolicyModuleUnusable(Exception):
    """A policy module cannot be loaded; the text says which one and why."""


class Disposition(Enum):
    """What became of a request (INDESPolicy.Notify; the value is X509SCEPDisposition)."""

    SUCCESS = 0
    FAILURE = 2
    PENDING = 3
    PENDING_CHALLENGE = 11
    UNKNOWN = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyContext:
    """What a policy module may work with: ``options`` is the settings' ``policy_options``."""

    options: Mapping[str, Any]
    clock: Clock
    entropy: Callable[[int], bytes]
    cache: PasswordCache
    book: ChallengeBook
    store: Store


class PolicyModule(Protocol):
    """The calls NDES makes; whatever they raise is an event, and counts as no."""

    def initialize(self, context: PolicyContext) -> None:
        """Get ready; raising keeps the service from starting (event 53)."""

    def uninitialize(self) -> None:
        """Let go of everything."""

    def generate_challenge(self, template: str, params: str) -> str:
        """Return a challenge for ``template``; ``params`` is whatever the caller of NDES sent."""

    def verify_request(
        self, csr: bytes, signing_certificate: bytes | None, template: str, transaction_id: str
    ) -> bool:
        """Tell whether a PKCS#10 may go to the CA.

        ``signing_certificate`` is there for a renewal alone; the challenge must not be checked then.
        """

    def notify(
        self,
        challenge: str,
        transaction_id: str,
        disposition: Disposition,
        last_hresult: int,
        issued_certificate: bytes | None,
    ) -> None:
        """Take note of what became of a request."""


class BookedModule:
    """A policy module whose challenges are in the CA's book; the built-in ones are.

    Besides being verified they are looked up and used up in the transaction that issues the certificate.
    """

    def initialize(self, context: PolicyContext) -> None:
        """Remember what to work with."""
        self._context = context

    def uninitialize(self) -> None:
        """Nothing is held."""

    def verify_request(
        self,
        csr: bytes,
        signing_certificate: bytes | None,
        template: str,  # noqa: ARG002 - INDESPolicy's signature
        transaction_id: str,  # noqa: ARG002 - INDESPolicy's signature
    ) -> bool:
        """Tell whether the request's challenge is good now; a renewal needs none."""
        if signing_certificate is not None:
            return True
        request = parse_request(csr)
        with self._context.store.reading() as transaction:
            found = self._context.book.examine(
                transaction,
                request.challenge_password,
                subject=request.subject,
                endpoint=DEFAULT_ENDPOINT,
                extensions=request.extensions,
            )
        return found.verdict is ChallengeVerdict.ACCEPTED

    def notify(
        self,
        challenge: str,
        transaction_id: str,
        disposition: Disposition,
        last_hresult: int,
        issued_certificate: bytes | None,
    ) -> None:
        """Nothing to do: the challenge went with the certificate."""

    def finding(self, transaction: StoreTransaction, application: Application) -> ChallengeFinding:
        """Return the challenge of a request within the transaction that may use it up."""
        return self._context.book.examine(
            transaction,
            application.request.challenge_password,
            subject=application.request.subject,
            endpoint=application.endpoint_name,
            extensions=application.request.extensions,
        )


class PasswordCacheModule(BookedModule):
    """The password cache as a policy module: a challenge is good for any request, once."""

    def generate_challenge(self, template: str, params: str) -> str:  # noqa: ARG002 - any request
        """Return a new password of the cache."""
        return self._context.cache.make().password


class SubjectBoundModule(BookedModule):
    """Challenges for one subject under one template, as MDM systems bind theirs to a device."""

    def generate_challenge(self, template: str, params: str) -> str:
        """Return a password good for the subject ``params`` (RFC 4514 text) under ``template``.

        Raises:
            ValueError: ``params`` is no distinguished name.

        """
        names.build_name(params)
        if not params.strip():
            raise ValueError("params is empty, expected the subject as RFC 4514 text, such as CN=device-1")
        return self._context.cache.make(subject=params, template=template).password


_BUILT_IN: Final[dict[str, Callable[[], PolicyModule]]] = {
    "password-cache": PasswordCacheModule,
    "subject-bound": SubjectBoundModule,
}
_CALLS: Final = ("initialize", "uninitialize", "generate_challenge", "verify_request", "notify")


def load_policy_module(name: str) -> PolicyModule:
    """Return a new policy module by entry point, built-in name, or ``module:attribute``.

    The attribute is a class or another callable that takes no arguments.

    Raises:
        PolicyModuleUnusable: there is none of this name, or it has not the five calls.

    """
    try:
        make = _factory(name)
        module = make()
    except (ImportError, AttributeError, TypeError, ValueError, OSError) as error:
        raise PolicyModuleUnusable(f"policy module {name!r}: {type(error).__name__}: {error}") from error
    missing = [call for call in _CALLS if not callable(getattr(module, call, None))]
    if missing:
        raise PolicyModuleUnusable(f"policy module {name!r} has no {', '.join(missing)} (INDESPolicy)")
    return module


def _factory(name: str) -> Callable[[], PolicyModule]:
    found: Any
    if ":" in name:
        place, _, attribute = name.partition(":")
        found = importlib.import_module(place)
        for part in attribute.split("."):
            found = getattr(found, part)
        return found  # type: ignore[no-any-return]
    for entry in metadata.entry_points(group=ENTRY_POINTS, name=name):
        found = entry.load()
        return found  # type: ignore[no-any-return]
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    raise PolicyModuleUnusable(
        f"there is no policy module {name!r}: built in are {', '.join(_BUILT_IN)}; name an entry point of "
        f"group {ENTRY_POINTS}, or module:attribute"
    )
