"""A lab that answers: listeners bound first, then the world, then everything served.

The addresses of the listeners are written into certificates, so they are opened before the key
ceremony; what connects meanwhile waits in the backlog.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import md5, sha1, sha256
from importlib import metadata
from typing import TYPE_CHECKING

import structlog

from ca.folders import PkiFolder
from ca.keys import generate_keys
from ca.process.settings import UnusableSettings
from ca.records import StoreUnavailable
from crl_publisher import PublishingByTurns, Republisher
from crl_publisher.app import create_app as create_publisher_app
from scep_server.app import create_app as create_scep_app
from scep_server.transport import Router

from .admin.journal_local import LocalJournalDesk
from .admin.local import LocalDesk
from .admin.models import ChallengeOrder, pem
from .admin.operation import AdminFacts
from .admin_token import kept_token, token_file
from .beginning import Beginning
from .faults.doorways import Doorways
from .faults.engine import FaultEngine, path_of
from .faults.leaning import BentFiles, BentResponder
from .faults.registry import BadParameter
from .faults.serving import Served
from .faults.wrappers import Bending, BentService
from .gate import Gate
from .journal import Journal
from .journal.settings import journal_folder
from .lab_clock import LabClock
from .lab_health import LabHealth
from .listeners import Listener
from .ready import ReadyFacts
from .server_certificate import ServerCertificate
from .world import World

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from ca.clock import Clock
    from ca.keys import KeyKind, PrivateKey
    from crl_publisher import PublisherState
    from scep_server.exchange import ExchangeObserver

    from .faults.circumstances import Pinned
    from .faults.registry import ParameterValue
    from .recorded import ListenerName, RecordedExchange
    from .settings import LabSettings

_log = structlog.get_logger(__name__)
_SMALL_BODY = 1 << 20
_HEALTH = "ndes-lab health"
_FEW = 8  # threads at most, for listeners whose answers cost next to nothing


class NotAnswering(Exception):
    """A listener was opened and does not answer."""


class NotEphemeral(RuntimeError):
    """A lab that keeps its data is not reset."""


@dataclass(frozen=True, slots=True)
class _Listeners:
    scep: Listener
    pki: Listener
    admin: Listener
    scep_tls: Listener | None = None

    def all(self) -> tuple[Listener, ...]:
        """Return those there are."""
        return tuple(one for one in (self.scep, self.pki, self.admin, self.scep_tls) if one is not None)


class RunningLab:
    """Everything of a lab that runs: ``world``, ``desk``, ``journal``, URLs. `stop` ends all of it.

    Args:
        settings: how; ports 0 are replaced by free ones.
        data_dir: the PKI's folder; a PKI is made in it if there is none.
        clock: the time that everything goes by.
        entropy: returns that many random octets.
        observers: told of every SCEP exchange.
        durable: whether what is written must survive a power cut.
        make_keys: makes the ceremony's key pairs.
        origins: where settings came from that are no defaults, by dotted name.

    Raises:
        UnusableSettings: the management listener would be open to others without a token.
        ListenerError: an address cannot be opened.
        RaUnusable: an RA certificate cannot be used, and the profile does not imitate NDES there.
        FolderError, UnusableKey, BadTemplate, CaError, StoreUnavailable, OSError: as `World.make`.

    """

    def __init__(
        self,
        settings: LabSettings,
        data_dir: Path,
        *,
        clock: Clock,
        entropy: Callable[[int], bytes],
        observers: Sequence[ExchangeObserver] = (),
        durable: bool = True,
        make_keys: Callable[[Sequence[KeyKind]], Sequence[PrivateKey]] = generate_keys,
        origins: Mapping[str, str] | None = None,
    ) -> None:
        self.origins = origins or {}
        self.admin_token = _told_token(settings)
        self.made_token_file: Path | None = None  # of a token that nobody has told
        with contextlib.ExitStack() as undo:
            listeners = _open_listeners(settings, undo, lambda: self._server_certificate.context())
            self.scep_base_url = f"http://{_public_host(settings)}:{listeners.scep.port}"
            self.scep_tls_base_url = _tls_url(settings, listeners)
            self.admin_url = f"http://{_reachable(_admin_host(settings))}:{listeners.admin.port}"
            effective = with_public_url(settings, listeners.pki.port)
            self.lab_clock = LabClock(clock)
            self.faults = FaultEngine(entropy=entropy)
            bending = Bending(self.faults)
            clock = bending.clock(self.lab_clock)
            self.world = World.make(
                PkiFolder(data_dir),
                effective,
                clock=clock,
                entropy=entropy,
                observers=(*observers, self.faults),
                durable=durable,
                make_keys=make_keys,
                wrapping=bending,
            )
            undo.callback(self.world.close)
            if self.admin_token is None and not _is_local(_admin_host(settings)):
                self.admin_token = kept_token(data_dir, entropy)
                self.made_token_file = token_file(data_dir)
            self.faults.attach(self.world)
            self.world.start()
            self.world.publish_all()
            self.journal = _journal(effective, data_dir)
            self._own_name = f"{_HEALTH} {entropy(8).hex()}"  # no client knows it, so none can hide behind it
            waiters = effective.server.limits(_SMALL_BODY, threads=_FEW).threads // 2
            self.desk = LocalDesk(
                self.world, controls=self, journal=LocalJournalDesk(self.journal, waiters=waiters)
            )
            self._gate = Gate()
            self._resetting = threading.Lock()
            self._beginning: Beginning | None = None
            self._watch()
            self.lab_clock.on_move(self.look_at_the_clock)
            self.world.on_publication(lambda due: self._republisher.reschedule(due))
            self._server_certificate = ServerCertificate(self.world, _server_names(effective))
            if listeners.scep_tls is not None:
                self._server_certificate.context()  # now: a CA that refuses is a reason not to start
            self._serve(listeners, effective)
            undo.callback(self.doorways.stop)
            undo.callback(self.faults.stop)
            undo.callback(lambda: self._republisher.stop())
            self._republisher.start()
            undo.callback(lambda: self.health.stop())
            self.health.start()
            undo.callback(self.journal.close)  # or who waits for it keeps the listener from stopping
            self._listeners = listeners
            self._undo = undo.pop_all()

    def _watch(self) -> None:
        """Make who publishes when it is due, and who looks at the PKI's health."""
        publishing = self.world.publishing
        self._turns = PublishingByTurns(
            duty=self.world.store.publishing,
            sign=publishing.publish_due,
            publish=publishing.publish_signed,
            clock=self.world.clock,
        )
        self._turns.take_up()
        self._republisher = Republisher(
            publish=self._turns,
            due=publishing.next_publication,
            clock=self.world.clock,
            retry=self.world.settings.publisher.retry,
        )
        self.health = LabHealth(self.world, lambda: self.publisher_state, user_agent=self._own_name)

    def _serve(self, listeners: _Listeners, settings: LabSettings) -> None:
        self.world.ndes_logs.iis.listen(_reachable_address(settings), listeners.scep.port)
        scep = create_scep_app(BentService(self.world, self.faults))
        self._serve_scep(scep, listeners, settings)
        publisher = create_publisher_app(
            BentFiles(self.world, self.faults),
            virtual_directory=settings.pki.virtual_directory,
            settings=settings.publisher,
            responder=BentResponder(self.world, self.faults) if settings.pki.ocsp.enabled else None,
        )
        listeners.pki.serve(self._with_faults(publisher, "pki", settings))
        facts = AdminFacts(
            version=metadata.version("ndes-lab"),
            root_pem=self.root_pem,
            issuing_pem=pem(self.world.authority.certificate.der, "CERTIFICATE"),
            ready=self._why_not_ready,
            token=self.admin_token,
            health=lambda: self.health.look(),
            metrics=lambda: self.health.metrics(),
        )
        listeners.admin.serve(_Lazily(lambda: _admin_app(self.desk, facts)))

    def _serve_scep(self, scep: WSGIApplication, listeners: _Listeners, settings: LabSettings) -> None:
        """Serve SCEP: plain, over TLS, and behind each doorway."""
        endpoint_of = Router(settings.scep.endpoints).endpoint

        def behind(pinned: Pinned) -> WSGIApplication:
            return self._with_faults(scep, "scep", settings, endpoint_of, pinned)

        self.doorways = Doorways(
            self.world,
            address=settings.server.host,
            host=_public_host(settings),
            limits=settings.server.limits(2 * settings.scep.limits.maximum_body_octets, threads=_FEW),
            serve=behind,
            wait=self.faults.wait,
        )
        application = self._with_faults(scep, "scep", settings, endpoint_of)
        for listener in (listeners.scep, listeners.scep_tls):
            if listener is not None:
                listener.serve(application)

    def _with_faults(
        self,
        application: WSGIApplication,
        listener: ListenerName,
        settings: LabSettings,
        endpoint_of: Callable[[str], str | None] = lambda _: None,
        pinned: Pinned | None = None,
    ) -> WSGIApplication:
        served = Served(
            application,
            listener=listener,
            engine=self.faults,
            clock=self.lab_clock,
            settings=settings.faults,
            record=self._keep,
            endpoint_of=endpoint_of,
            time_header=settings.server.ephemeral,
            pinned=pinned,
            address_of=self.doorways.url if settings.faults.urls else lambda *_: None,
        )
        return self._gate.before(served)

    def _keep(self, exchange: RecordedExchange) -> None:
        """Put an exchange into the journal, unless it was this lab looking at its own health."""
        if exchange.request.header("User-Agent") != self._own_name:
            self.journal.add(exchange)

    @property
    def publisher_state(self) -> PublisherState:
        """How publication goes."""
        return replace(self._republisher.state, on_duty=self._turns.on_duty)

    def look_at_the_clock(self) -> None:
        """Have the schedule look at the clock: it has been set."""
        due = None
        with contextlib.suppress(StoreUnavailable):  # who publishes will say so
            due = self.world.publishing.next_publication()
        self._republisher.look(due)
        self.health.look_soon()

    def check_answers(self) -> None:
        """Ask each listener something; raises NotAnswering."""
        for listener in self._listeners.all():
            if not listener.answers():
                raise NotAnswering(f"the {listener.name} listener on port {listener.port} does not answer")

    def remember(self) -> None:
        """Make how the lab is now what `reset` comes back to; requests under way are answered first."""
        with self._resetting, self._gate.shut():
            self._beginning = Beginning(self.world)

    def reset(self) -> None:
        """Make the lab as it was when it was told to `remember`: the same keys and URLs, no memory since.

        Database, files, clock, faults, journal, logs and whatever is kept in memory. Requests under way
        are answered first.

        Raises:
            NotEphemeral: it was not told to remember anything.
            StillAnswering: a request is not answered within ten seconds.
            StoreUnavailable, OSError: database or folder cannot be written.

        """
        if self._beginning is None:
            raise NotEphemeral(
                "this lab keeps its data, and is not reset: only what was started with --ephemeral is"
            )
        with self._resetting:
            self.faults.clear()
            self.faults.interrupt()
            self.health.stop()  # first: what it is looking at is behind the gate
            self._republisher.stop()
            try:
                with self._gate.shut(self.faults.interrupt):
                    self._come_back_to(self._beginning)
            finally:
                self._watch()
                self._republisher.start()
                self.health.start()

    def _come_back_to(self, beginning: Beginning) -> None:
        self.faults.clear()  # again: who was kept waiting has been noted since
        self.lab_clock.reset()
        beginning.restore()
        self.doorways.forget()
        iis = self.world.ndes_logs.iis
        iis.listen(_reachable_address(self.world.settings), self._listeners.scep.port)
        self.journal.clear()

    def stop(self) -> None:
        """Stop serving, finish what is under way, join every thread, close the database."""
        self._undo.close()

    @property
    def scep_url(self) -> str:
        """Where SCEP clients enrol."""
        return f"{self.scep_base_url}/scep"

    @property
    def scep_tls_url(self) -> str | None:
        """The same over TLS; None where that is off."""
        return self.scep_tls_base_url and f"{self.scep_tls_base_url}/scep"

    def fault_url(self, fault_id: str, path: str = "/scep", **parameters: ParameterValue) -> str:
        """Return the URL where a fault is always met, and nobody else disturbed.

        Faults that come before HTTP have a listener each, opened now; the others are at the SCEP listener,
        or at the PKI listener where ``path`` is of that. The parameter ``operation`` limits any of those to
        one operation.

        Raises:
            UnknownFault, BadParameter: there is no such fault, or not with this parameter.
            ListenerError: no port can be opened.

        """
        own = self.doorways.url(fault_id, path)
        below = path_of(fault_id, path, **parameters)
        if own is None:
            return f"{self.pki_url if self._is_published(path) else self.scep_base_url}{below}"
        if parameters:
            raise BadParameter(f"{fault_id} comes before HTTP, and takes no parameter at its address")
        return own

    def _is_published(self, path: str) -> bool:
        first = path.lstrip("/").partition("/")[0].lower()
        return first in ("ocsp", self.world.pki.virtual_directory.strip("/").lower())

    @property
    def mscep_url(self) -> str:
        """The same under NDES's path."""
        return f"{self.scep_base_url}/certsrv/mscep/mscep.dll"

    @property
    def mscep_admin_url(self) -> str:
        """Where NDES's administrators get challenge passwords."""
        return f"{self.scep_base_url}{self.world.ndes.admin_path}/"

    @property
    def pki_url(self) -> str:
        """Where CRLs and CA certificates are published."""
        return self.world.pki.public_url

    @property
    def root_pem(self) -> str:
        """The root's certificate."""
        return pem(self.world.root.der, "CERTIFICATE")

    def ready_facts(self) -> ReadyFacts:
        """Return what a script needs to use this lab, with a fresh challenge."""
        root = self.world.root.der
        return ReadyFacts(
            scep_url=self.scep_url,
            scep_tls_url=self.scep_tls_url,
            mscep_url=self.mscep_url,
            mscep_admin_url=self.mscep_admin_url,
            ndes_user=self.world.ndes.user,
            ndes_password=self.world.ndes.password,
            pki_url=self.pki_url,
            ocsp_url=self.world.pki.ocsp_url if self.world.pki.ocsp.enabled else None,
            admin_url=self.admin_url,
            admin_token=self.admin_token,
            challenge=self.desk.new_challenge(ChallengeOrder(label="made at start")).password,
            root_pem=self.root_pem,
            root_sha256=sha256(root).hexdigest(),
            root_sha1=sha1(root, usedforsecurity=False).hexdigest(),
            root_md5=md5(root, usedforsecurity=False).hexdigest(),
            pid=os.getpid(),
        )

    def _why_not_ready(self) -> str:
        """Return what keeps the lab from working, or an empty text."""
        try:
            crl = self.world.latest_crl()
        except StoreUnavailable as error:
            _log.error("not ready", reason=str(error))
            return "the database cannot be used"
        if crl is None or crl.next_update <= self.world.clock.now():
            return "the CRL has run out"
        return ""


def _journal(settings: LabSettings, data_dir: Path) -> Journal:
    wanted = settings.journal
    return Journal(
        wanted.keep,
        journal_folder(data_dir) if wanted.files else None,
        octets=wanted.keep_octets,
        body_octets=wanted.body_octets,
    )


def _open_listeners(
    settings: LabSettings, undo: contextlib.ExitStack, tls: Callable[[], ssl.SSLContext]
) -> _Listeners:
    server = settings.server
    wanted = (
        ("SCEP", server.host, server.port, server.limits(2 * settings.scep.limits.maximum_body_octets)),
        ("PKI", server.host, server.pki_port, server.limits(_SMALL_BODY, threads=_FEW)),
        (
            "management",
            _admin_host(settings),
            settings.admin.port,
            server.limits(2 * _SMALL_BODY, threads=_FEW),
        ),
    )
    opened: list[Listener] = []
    undo.callback(_stop_all, opened)
    for name, host, port, limits in wanted:
        opened.append(Listener(name, host, port, limits))
    if server.tls_port is not None:
        limits = server.limits(2 * settings.scep.limits.maximum_body_octets)
        opened.append(Listener("SCEP TLS", server.host, server.tls_port, limits, tls=tls))
    return _Listeners(*opened)


def _stop_all(listeners: list[Listener]) -> None:
    """Stop all at once: each takes a moment to finish what is under way."""
    with ThreadPoolExecutor(max_workers=3, thread_name_prefix="stopping") as pool:
        list(pool.map(Listener.stop, listeners))


def _admin_app(desk: LocalDesk, facts: AdminFacts) -> WSGIApplication:
    from .admin.app import create_app  # here: its many operations take long to load, and not all tests manage

    return create_app(desk, facts)


class _Lazily:
    """A WSGI application made when it is first asked: its routes take tens of milliseconds to compile."""

    def __init__(self, make: Callable[[], WSGIApplication]) -> None:
        self._make = make
        self._making = threading.Lock()
        self._made: WSGIApplication | None = None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self._making:
            made = self._made = self._made or self._make()
        return made(environ, start_response)


# -- addresses -------------------------------------------------------------------------


def _admin_host(settings: LabSettings) -> str:
    return settings.admin.host or settings.server.host


def _told_token(settings: LabSettings) -> str | None:
    """Return the token in the settings; None where none is needed, or one is to be made."""
    token = settings.admin.token
    if token is not None:
        return token.get_secret_value()
    host = _admin_host(settings)
    if not settings.admin.make_token and not _is_local(host):
        raise UnusableSettings(
            f"the management listener would be open to others on {host}: set admin.token "
            "(NDES_LAB_ADMIN__TOKEN) or admin.token_file, have one made (admin.make_token), or keep it on "
            "admin.host = 127.0.0.1"
        )
    return None


def _is_local(host: str) -> bool:
    return all(_is_loopback(address) for address in _addresses(host))


def _addresses(host: str) -> Iterator[str]:
    """Yield every address that a listener on ``host`` may be bound to."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UnusableSettings(f"{host!r} is no address of this machine: {error}") from error
    for _, _, _, _, address in found:
        yield str(address[0]).partition("%")[0]


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _public_host(settings: LabSettings) -> str:
    """Return the host in URLs: the machine's name where every address is listened on."""
    host = settings.server.public_host
    if host is None:
        host = settings.server.host
        if any(ipaddress.ip_address(address).is_unspecified for address in _addresses(host)):
            host = socket.gethostname()
    return _url_host(host)


def _server_names(settings: LabSettings) -> tuple[str, ...]:
    """Return the names in the certificate that TLS shows: what URLs say, and this machine's for itself."""
    return _public_host(settings).strip("[]"), "localhost"


def _tls_url(settings: LabSettings, listeners: _Listeners) -> str | None:
    if listeners.scep_tls is None:
        return None
    return f"https://{_public_host(settings)}:{listeners.scep_tls.port}"


def _reachable_address(settings: LabSettings) -> str:
    """Return the address in IIS's log (s-ip): the one listened on, or a stand-in for all of them."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.server.host, settings.server.host)  # noqa: S104


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _reachable(host: str) -> str:
    """Return the host by which this machine reaches a listener on ``host``."""
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not opened
    return _url_host(loopback.get(host, host))


def with_public_url(settings: LabSettings, port: int) -> LabSettings:
    """Return the settings with the publisher's address, unless somebody has chosen another.

    Raises:
        UnusableSettings: the host to listen on is no address of this machine.

    """
    if "public_url" in settings.pki.model_fields_set:
        return settings
    url = f"http://{_public_host(settings)}:{port}"
    pki = settings.pki.model_copy(update={"public_url": url})
    return settings.model_copy(update={"pki": pki})
