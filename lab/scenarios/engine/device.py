"""A device that enrols: the lab's strict client over HTTP, with settings that may be wrong.

Like a Windows device it appends ``/pkiclient.exe`` to the URL it was told and sends ``message=default``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Final

from lab.client import (
    CaTrust,
    HttpRefused,
    HttpTransport,
    Identity,
    Issued,
    Order,
    Patience,
    Pending,
    Preferences,
    ReplyRejected,
    ScepClient,
    Unreachable,
    UntrustedCa,
    generate_key,
    parse_subject,
)
from lab.http_exchange import HttpLimits
from lab.trust import (
    HttpUrlFetcher,
    RevocationSources,
    X509Certificate,
    build_chain,
)

from .seen import ClientSaw, Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from lab.client import ClientError, Enrolment, Outcome
    from lab.client.requests import ClientKey
    from lab.trust import ChainContext
    from scep_server.protocol.messages import MessageType

    from .staged_lab import StagedLab

PKI_CLIENT: Final = "/pkiclient.exe"


class Password(Enum):
    """Where a device has its challenge password from, when it is not told one."""

    FRESH = "a new one for each enrolment"


@cache
def stocked_key(key_type: str, _number: int) -> ClientKey:
    """Return a private key, made once in a process: a stage uses each number once."""
    return generate_key(key_type)


@dataclass(slots=True, kw_only=True)
class Held:
    """A certificate that a device holds, with its key and the chain that came along."""

    certificate: X509Certificate
    key: ClientKey = field(repr=False)
    chain: tuple[X509Certificate, ...]

    @property
    def identity(self) -> Identity:
        """Return it as a signer of messages."""
        return Identity.of(self.certificate.der, self.key)


class Device:
    """One device. Its attributes are its settings; a scenario spoils them and puts them right.

    ``password`` is its challenge password, ``clock_error`` how far its clock is from the lab's,
    ``requirements`` are further checks of the CA certificates, which raise UntrustedCa; ``renews`` signs
    the request with the certificate it holds; ``posts`` False sends requests by GET; ``asks_once`` keeps the
    capabilities and CA certificates that it was told first.
    """

    def __init__(
        self,
        lab: StagedLab,
        name: str,
        *,
        new_challenge: Callable[[], str],
        new_key: Callable[[str], ClientKey],
    ) -> None:
        self.name = name
        self.url = lab.url
        self.password: str | Password | None = Password.FRESH
        self.trust = CaTrust(anchors=lab.anchors)
        self.clock_error = timedelta(0)
        self.key_type = "rsa-2048"
        self.subject = f"CN={name},O=NDES Lab scenario"
        self.timeout = timedelta(seconds=10)
        self.renews = False
        self.posts = True
        self.asks_once = False
        self.message_type: MessageType | None = None
        self.requirements: tuple[Callable[[Sequence[X509Certificate]], None], ...] = ()
        self.held: Held | None = None
        self._lab = lab
        self._new_challenge = new_challenge
        self._new_key = new_key
        self._under_way: Enrolment | None = None
        self._is_pending = False
        self._known: ScepClient | None = None

    @property
    def certificate(self) -> X509Certificate:
        """The certificate it holds."""
        if self.held is None:
            raise RuntimeError(f"{self.name} holds no certificate")
        return self.held.certificate

    def now(self) -> datetime:
        """Return the time by the device's clock."""
        return self._lab.clock.now() + self.clock_error

    # -- enrolling ---------------------------------------------------------------------

    def enrol(self) -> ClientSaw:
        """Enrol, or go on with what is under way: poll what is pending, repeat what was not answered."""
        try:
            return self._saw(self._enrol())
        except HttpRefused as error:
            return _stopped(Ending.HTTP_STATUS, error, http_status=error.status)
        except Unreachable as error:
            return _stopped(Ending.NO_ANSWER, error)
        except UntrustedCa as error:
            return _stopped(Ending.CA_NOT_TRUSTED, error)
        except ReplyRejected as error:
            return _stopped(Ending.REPLY_NOT_ACCEPTED, error, check=error.check)

    def _enrol(self) -> Outcome:
        client = self._client()
        self._known = client if self.asks_once else None
        enrolment, polls = self._under_way, self._is_pending
        self._under_way, self._is_pending = None, False
        if enrolment is None:
            for requirement in self.requirements:
                requirement(client.offered_certificates)
            enrolment = client.prepare(self._order())
        try:
            outcome = client.poll(enrolment) if polls else client.submit(enrolment)
        except Unreachable:
            self._under_way, self._is_pending = enrolment, polls
            raise
        if isinstance(outcome, Pending):
            self._under_way, self._is_pending = enrolment, True
        if isinstance(outcome, Issued):
            self.held = Held(certificate=outcome.certificate, key=enrolment.key, chain=outcome.chain)
        return outcome

    def _order(self) -> Order:
        old = self.held.identity if self.renews and self.held is not None else None
        password = self.password
        if password is Password.FRESH:
            password = None if old else self._new_challenge()
        return Order(
            key=self._new_key(self.key_type),
            subject_der=parse_subject(self.subject),
            challenge_password=password,
            renewal_of=old,
            message_type=self.message_type,
        )

    def _client(self) -> ScepClient:
        if self._known is not None and self.asks_once:
            return self._known
        return ScepClient(
            HttpTransport(
                url=self.url + PKI_CLIENT,
                limits=HttpLimits(timeout=self.timeout),
                user_agent=f"ndes-lab scenario ({self.name})",
            ),
            self.trust,
            clock=self,
            entropy=os.urandom,
            sleep=lambda _: None,
            preferences=Preferences(transport="auto" if self.posts else "get"),
            patience=Patience(attempts=1),
            ca_identifier="default",
        )

    def _saw(self, outcome: Outcome) -> ClientSaw:
        if isinstance(outcome, Issued):
            certificate = outcome.certificate
            says = f"issued: {certificate.subject} by {certificate.issuer}"
            return ClientSaw(ending=Ending.ISSUED, says=says, http_status=200, certificate=certificate)
        if isinstance(outcome, Pending):
            return ClientSaw(ending=Ending.PENDING, says=outcome.describe(), http_status=200)
        return ClientSaw(
            ending=Ending.REFUSED,
            says=outcome.describe(),
            hresult=None if outcome.hresult is None else outcome.hresult.code,
            fail_info=outcome.fail_info,
            http_status=200,
        )

    # -- using -------------------------------------------------------------------------

    def chain(self, *, with_chain: bool = True) -> ChainContext:
        """Judge the certificate it holds as ``certutil -verify -urlfetch`` does: AIA, CDP and OCSP are asked.

        ``with_chain`` False leaves out the CA certificates that came when it was issued.
        """
        known = self.held.chain if self.held is not None and with_chain else ()
        fetcher = HttpUrlFetcher(limits=HttpLimits(timeout=self.timeout))
        return build_chain(
            self.certificate,
            anchors=self._lab.anchors,
            at=self.now(),
            intermediates=known,
            revocation=RevocationSources(fetcher=fetcher, entropy=os.urandom),
            fetcher=fetcher,
        )

    def verify(self, *, with_chain: bool = True) -> ClientSaw:
        """Judge the certificate it holds, and return what a user of it sees."""
        context = self.chain(with_chain=with_chain)
        certificate = context.elements[0].certificate
        if context.trusted:
            says = f"{certificate.subject} is trusted, up to {context.elements[-1].certificate.subject}"
            return ClientSaw(ending=Ending.TRUSTED, says=says, certificate=certificate)
        return ClientSaw(
            ending=Ending.NOT_TRUSTED,
            says=f"{'; '.join(context.explanations)}; {context.hresult}",
            hresult=context.hresult.code,
            certificate=certificate,
        )


def _stopped(
    ending: Ending, error: ClientError, *, http_status: int | None = None, check: str | None = None
) -> ClientSaw:
    return ClientSaw(
        ending=ending,
        says=f"{error}; {error.hresult}",
        hresult=error.hresult.code,
        http_status=http_status,
        check=check,
    )
