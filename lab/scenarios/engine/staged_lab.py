"""The lab of a scenario: as `ScepLab`, but it can be stopped and started again with other settings.

What an administrator does by editing a setting and restarting a service is done here by `restart`: the
PKI, the database and the ports stay.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ca.process.logs import route_to_standard_logging
from lab.lab_clock import LabClock
from lab.running import RunningLab
from lab.settings import LabSettings
from lab.trust import TrustAnchors, X509Certificate

from .logbook import Logbook, Witness

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from ca.clock import Clock
    from lab.admin.local import LocalDesk
    from lab.world import World


class StagedLab:
    """One lab in a temporary folder, at ports of 127.0.0.1 that it keeps. A context manager.

    Args:
        settings: by section, as in the TOML file.
        clock: the time that ``clock``, which a scenario moves, begins with.

    Raises:
        pydantic.ValidationError: a setting is unknown or bad.

    """

    def __init__(self, settings: Mapping[str, Any], clock: Clock) -> None:
        self.clock = LabClock(clock)
        self.witness = Witness()
        scep, pki = quiet_ports(2)
        self._settings = merged(
            {"server": {"port": scep, "pki_port": pki}, "admin": {"port": 0}, "alerts": {"enabled": False}},
            settings,
        )
        LabSettings.model_validate(self._settings)
        self._undo = contextlib.ExitStack()
        self._running: RunningLab | None = None
        self._is_up = False
        self._folder: Path | None = None

    def __enter__(self) -> Self:
        route_to_standard_logging()
        with contextlib.ExitStack() as undo:
            self._folder = Path(tempfile.mkdtemp(prefix="ndes-lab-scenario-"))
            undo.callback(shutil.rmtree, self._folder, ignore_errors=True)
            undo.callback(self.stop)
            self.start()
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    # -- life --------------------------------------------------------------------------

    def start(self) -> None:
        """Serve; the PKI is made if there is none yet."""
        if self._folder is None:
            raise RuntimeError("this lab has no folder yet: enter it first")
        self._running = RunningLab(
            LabSettings.model_validate(self._settings),
            self._folder / "pki",
            clock=self.clock,
            entropy=os.urandom,
            observers=(self.witness,),
            durable=False,
        )
        self._is_up = True

    def stop(self) -> None:
        """Serve no longer; harmless when repeated."""
        if self._running is not None and self._is_up:
            self._running.stop()
        self._is_up = False

    def restart(self, changes: Mapping[str, Any] | None = None) -> None:
        """Stop, change settings, and start again at the same ports."""
        self.stop()
        self._settings = merged(self._settings, changes or {})
        self.start()

    # -- what it is --------------------------------------------------------------------

    @property
    def running(self) -> RunningLab:
        """The lab that runs, or ran last."""
        if self._running is None:
            raise RuntimeError("this lab has not been started")
        return self._running

    @property
    def world(self) -> World:
        """The parts the lab is made of."""
        return self.running.world

    @property
    def desk(self) -> LocalDesk:
        """The desk of CA and RA."""
        return self.running.desk

    @property
    def root(self) -> X509Certificate:
        """The root's certificate."""
        return X509Certificate.read(self.world.root.der)

    @property
    def anchors(self) -> TrustAnchors:
        """The root as what devices trust."""
        return TrustAnchors.of([self.root], origin="the root that the device was given")

    @property
    def url(self) -> str:
        """The URL that devices are told: NDES's own where the lab imitates NDES."""
        running = self.running
        is_ndes = self.world.settings.scep.ndes_profile.is_ndes
        return running.mscep_url if is_ndes else running.scep_url

    def logbook(self) -> Logbook:
        """Return a logbook that begins now."""
        return Logbook(self.witness, self.world.ndes_logs)

    def published_file(self, name: str) -> Path:
        """Return where the web server of CRLs and CA certificates has a file."""
        return self.world.folder.published / name


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with changes in their place, table by table."""
    found = dict(settings)
    for name, value in changes.items():
        before = found.get(name)
        found[name] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return found


def quiet_ports(count: int) -> tuple[int, ...]:
    """Return free ports that stay free while a lab restarts.

    They are below those that systems give to outgoing connections (Linux: from 32768, RFC 6335: from 49152),
    and they are asked for by number, because a listener on "any" port leaves its connections in TIME_WAIT in
    the way of the next one.
    """
    found: list[int] = []
    for _ in range(100 * count):
        port = 20_000 + int.from_bytes(os.urandom(2), "big") % 12_000
        with socket.socket() as attempt, contextlib.suppress(OSError):
            attempt.bind(("127.0.0.1", port))
            found = list(dict.fromkeys([*found, port]))
        if len(found) == count:
            return tuple(found)
    raise OSError(f"no {count} free ports between 20000 and 32000 on 127.0.0.1")
