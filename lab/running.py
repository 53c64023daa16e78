"""A lab that answers: listeners bound first, then the world, then everything served.

The addresses of the listeners are written into certificates, so they are opened before the key
ceremony; what connects meanwhile waits in the backlog.
"""

from __future__ import annotations

import contextlib
import os
import threading
from hashlib import md5, sha1, sha256
from importlib import metadata
from typing import TYPE_CHECKING

import structlog

from ca.folders import PkiFolder
from ca.keys import generate_keys
from ca.records import StoreUnavailable

from .addresses import logged_address, server_names, with_public_url
from .admin.journal_local import LocalJournalDesk
from .admin.local import LocalDesk
from .admin.models import ChallengeOrder, pem
from .admin.operation import AdminFacts
from .admin_guard import needs_token, told_token
from .admin_token import kept_token, token_file
from .applications import Applications, Lazily
from .beginning import Beginning
from .faults.engine import FaultEngine, path_of
from .faults.registry import BadParameter
from .faults.wrappers import Bending
from .gate import Gate
from .journal import Journal
from .journal.settings import journal_folder
from .lab_clock import LabClock
from .lab_listeners import LabListeners, admin_limits
from .ready import ReadyFacts
from .request_metrics import RequestMetrics
from .server_certificate import ServerCertificate
from .upkeep import Upkeep
from .world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from wsgiref.types import WSGIApplication

    from ca.clock import Clock
    from ca.keys import KeyKind, PrivateKey
    from crl_publisher import PublisherState
    from scep_server.exchange import ExchangeObserver

    from .faults.registry import ParameterValue
    from .lab_health import LabHealth
    from .settings import LabSettings

_log = structlog.get_logger(__name__)
_HEALTH = "ndes-lab health"


class NotEphemeral(RuntimeError):
    """A lab that keeps its data is not reset."""


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

    made_token_file: Path | None = None
    """Where the token is that the lab made for itself, because nobody has told one."""

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
        self.admin_token = told_token(settings)
        self.lab_clock = LabClock(clock)
        self.faults = FaultEngine(entropy=entropy)
        self._own_name = f"{_HEALTH} {entropy(8).hex()}"  # no client knows it, so none can hide behind it
        self._metrics = RequestMetrics(
            virtual_directory=settings.pki.virtual_directory, own_name=self._own_name
        )
        with contextlib.ExitStack() as undo:
            self._listeners = LabListeners(settings, lambda: self._server_certificate.context())
            undo.callback(self._listeners.stop)
            settings = with_public_url(settings, self._listeners.pki.port)
            bending = Bending(self.faults)
            self.world = World.make(
                PkiFolder(data_dir),
                settings,
                clock=bending.clock(self.lab_clock),
                entropy=entropy,
                observers=(*observers, self._metrics, self.faults),
                durable=durable,
                make_keys=make_keys,
                wrapping=bending,
            )
            undo.callback(self.world.close)
            self._make_token(settings, data_dir, entropy)
            self._go_to_work(settings, undo)
            self._undo = undo.pop_all()

    def _make_token(self, settings: LabSettings, data_dir: Path, entropy: Callable[[int], bytes]) -> None:
        """Have a token, kept in the folder, where others get in and nobody has told one."""
        if self.admin_token is None and needs_token(settings):
            self.admin_token, self.made_token_file = kept_token(data_dir, entropy), token_file(data_dir)

    def _go_to_work(self, settings: LabSettings, undo: contextlib.ExitStack) -> None:
        """Publish, serve and watch from now on; ``undo`` is told how each of that ends."""
        self.faults.attach(self.world)
        self.world.start()
        self.world.publish_all()
        self._resetting = threading.Lock()
        self._beginning: Beginning | None = None
        self.journal = _journal(settings, self.world.folder.path)
        waiters = admin_limits(settings).threads // 2
        self.desk = LocalDesk(
            self.world, controls=self, journal=LocalJournalDesk(self.journal, waiters=waiters)
        )
        self._upkeep = Upkeep(self.world, user_agent=self._own_name)
        self.lab_clock.on_move(self.look_at_the_clock)
        self.world.on_publication(lambda due: self._upkeep.reschedule(due))
        self._server_certificate = ServerCertificate(self.world, server_names(settings))
        if self._listeners.scep_tls is not None:
            self._server_certificate.context()  # now: a CA that refuses is a reason not to start
        self._serve(settings)
        undo.callback(self.doorways.stop)
        undo.callback(self.faults.stop)
        undo.callback(lambda: self._upkeep.stop())
        self._upkeep.start()
        undo.callback(self.journal.close)  # or who waits for it keeps the listener from stopping

    def _serve(self, settings: LabSettings) -> None:
        """Let everybody in."""
        self._gate = Gate()
        applications = Applications(
            self.world,
            settings,
            engine=self.faults,
            clock=self.lab_clock,
            gate=self._gate,
            record=self.journal.add,
            metrics=self._metrics,
            own_name=self._own_name,
        )
        self.doorways = applications.doorways
        self.world.ndes_logs.iis.listen(logged_address(settings), self._listeners.scep.port)
        for listener in (self._listeners.scep, self._listeners.scep_tls):
            if listener is not None:
                listener.serve(applications.scep)
        self._listeners.pki.serve(applications.pki)
        facts = AdminFacts(
            version=metadata.version("ndes-lab"),
            root_pem=self.root_pem,
            issuing_pem=pem(self.world.authority.certificate.der, "CERTIFICATE"),
            ready=self._why_not_ready,
            token=self.admin_token,
            health=lambda: self.health.look(),
            metrics=lambda: self.health.metrics() + self._metrics.text(),
        )
        self._listeners.admin.serve(Lazily(lambda: _admin_app(self.desk, facts)))

    @property
    def health(self) -> LabHealth:
        """How the lab is."""
        return self._upkeep.health

    @property
    def publisher_state(self) -> PublisherState:
        """How publication goes."""
        return self._upkeep.publisher_state

    def look_at_the_clock(self) -> None:
        """Have the schedule look at the clock: it has been set."""
        self._upkeep.look_at_the_clock()

    def check_answers(self) -> None:
        """Ask each listener something; raises NotAnswering."""
        self._listeners.check_answers()

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
            self._upkeep.stop()  # first: what it is looking at is behind the gate
            try:
                with self._gate.shut(self.faults.interrupt):
                    self._come_back_to(self._beginning)
            finally:
                self._upkeep = Upkeep(self.world, user_agent=self._own_name)
                self._upkeep.start()

    def _come_back_to(self, beginning: Beginning) -> None:
        self.faults.clear()  # again: who was kept waiting has been noted since
        self.lab_clock.reset()
        beginning.restore()
        self.doorways.forget()
        iis = self.world.ndes_logs.iis
        iis.listen(logged_address(self.world.settings), self._listeners.scep.port)
        self.journal.clear()

    def stop(self) -> None:
        """Stop serving, finish what is under way, join every thread, close the database."""
        self._undo.close()

    @property
    def scep_base_url(self) -> str:
        """The SCEP listener, without a path."""
        return self._listeners.scep_url

    @property
    def admin_url(self) -> str:
        """The management listener."""
        return self._listeners.admin_url

    @property
    def scep_url(self) -> str:
        """Where SCEP clients enrol."""
        return f"{self.scep_base_url}/scep"

    @property
    def scep_tls_url(self) -> str | None:
        """The same over TLS; None where that is off."""
        base = self._listeners.scep_tls_url
        return None if base is None else f"{base}/scep"

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


def _admin_app(desk: LocalDesk, facts: AdminFacts) -> WSGIApplication:
    from .admin.app import create_app  # here: its many operations take long to load, and not all tests manage

    return create_app(desk, facts)
