"""The stage of one scenario: a lab of its own, a device, and whatever else has to stand about."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit, urlunsplit

from lab.admin.models import ChallengeOrder
from lab.admin.templates import TemplateChange
from lab.faults.rules import RuleOrder
from lab.listeners import Listener
from scep_server.settings import DEFAULT_TEMPLATE

from .device import Device, stocked_key
from .proxy import ReverseProxy
from .staged_lab import StagedLab, merged

if TYPE_CHECKING:
    from types import TracebackType
    from wsgiref.types import WSGIApplication

    from ca.clock import Clock
    from lab.client.requests import ClientKey
    from lab.faults.registry import ParameterValue

    from .scenario import Scenario
    from .seen import ClientSaw


class StageNotSet(Exception):
    """Something that a scenario begins with has not worked."""


class Stage:
    """Where a scenario is played: ``lab`` and ``device``. A context manager.

    ``props`` are whatever else a scenario puts there when it sets the stage, and needs again for the cure.
    """

    def __init__(self, scenario: Scenario, clock: Clock) -> None:
        settings = merged({"scep": {"profile": scenario.profile}}, scenario.settings)
        self.lab = StagedLab(settings, clock)
        self.props: dict[str, Any] = {}
        self._keys = itertools.count()
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.enter_context(self.lab)
            self.device = self.another_device("device")
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def another_device(self, name: str) -> Device:
        """Return a device as it should be."""
        return Device(self.lab, name, new_challenge=self.new_challenge, new_key=self.new_key)

    def new_key(self, key_type: str) -> ClientKey:
        """Return a key that nobody else has on this stage."""
        return stocked_key(key_type, next(self._keys))

    def new_challenge(self) -> str:
        """Return a new challenge password from the RA's desk, good once within the hour."""
        return self.lab.desk.new_challenge(ChallengeOrder(label="scenario")).password

    def must_succeed(self, saw: ClientSaw) -> None:
        """Raise StageNotSet unless what the stage needs has worked."""
        if not saw.ending.is_success:
            raise StageNotSet(f"{saw.ending.value}: {saw.says}")

    def serve(self, application: WSGIApplication, *, name: str, port: int = 0) -> int:
        """Serve something else beside the lab until the scenario ends, and return its port."""
        listener = Listener(name, "127.0.0.1", port)
        self._undo.callback(listener.stop)
        listener.serve(application)
        return listener.port

    def put_proxy(self) -> ReverseProxy:
        """Put a reverse proxy between the device and the lab, and return it."""
        proxy = ReverseProxy(self.lab.url)
        port = self.serve(proxy, name="reverse proxy")
        self._undo.callback(proxy.release)  # before its listener is stopped
        self.device.url = urlunsplit(urlsplit(self.device.url)._replace(netloc=f"127.0.0.1:{port}"))
        self.props["proxy"] = proxy
        return proxy

    @property
    def proxy(self) -> ReverseProxy:
        """The reverse proxy that was put up."""
        found: ReverseProxy = self.props["proxy"]
        return found

    def change_template(self, **changes: object) -> None:
        """Change the template that devices get, as an administrator of the CA would; see `TemplateChange`."""
        self.lab.desk.templates.change(DEFAULT_TEMPLATE, TemplateChange.model_validate(changes))

    def add_fault(self, fault_id: str, **parameters: ParameterValue) -> None:
        """Have this fault applied to each exchange that it is for, until `clear_faults`."""
        self.lab.running.faults.add(RuleOrder(fault=fault_id, parameters=parameters))

    def clear_faults(self) -> None:
        """Break nothing any more."""
        self.lab.running.faults.clear()

    def pki_view(self) -> tuple[str, ...]:
        """Return the rows in error of Enterprise PKI, such as ``CDP Location #1: Expired``."""
        report = self.lab.running.health.look()
        return tuple(f"{row.source}: {row.status.value}" for row in report.rows if row.is_error)
