"""The health of a running lab, put together: looking, metrics, and the watch that alerts."""

from __future__ import annotations

import threading
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from crl_publisher import PublisherState

    from .health import AuthoritySubject, HealthReport, PkiSubjects
    from .health.metrics import HealthMetrics
    from .health.watch import HealthService, HealthWatch
    from .world import World


class LabHealth:
    """Everything a running lab says of how it is. ``publisher`` returns how publication goes.

    ``user_agent`` is the name that what looks goes by when it fetches over HTTP.

    What looks is loaded when somebody first wants to know: it takes long.
    """

    def __init__(self, world: World, publisher: Callable[[], PublisherState], *, user_agent: str) -> None:
        self._world = world
        self._user_agent = user_agent
        self._publisher = publisher
        self._making = threading.RLock()
        self._made: HealthService | None = None
        self._metrics: HealthMetrics | None = None
        self._watch = self._new_watch() if world.settings.alerts.enabled else None

    def _new_watch(self) -> HealthWatch:
        from .health.watch import HealthWatch

        world = self._world
        return HealthWatch(
            service=self._service,
            store=world.store,
            clock=world.clock,
            settings=world.settings.alerts,
            file=world.folder.path / "alerts.json",
        )

    @property
    def _service(self) -> HealthService:
        from .health.watch import HealthService
        from .trust import HttpUrlFetcher

        with self._making:
            if self._made is None:
                world = self._world
                self._made = HealthService(
                    subjects=self._subjects,
                    clock=world.clock,
                    entropy=world.entropy,
                    publisher=self._publisher,
                    store=world.store,
                    make_fetcher=lambda: HttpUrlFetcher(user_agent=self._user_agent),
                )
            return self._made

    def start(self) -> None:
        """Begin to watch, if the settings say so."""
        if self._watch is not None:
            self._watch.start()

    def stop(self) -> None:
        """Watch no longer."""
        if self._watch is not None:
            self._watch.stop()

    def look(self) -> HealthReport:
        """Look at everything now; raises as `HealthService.look`."""
        return self._service.look()

    def look_soon(self) -> None:
        """Have the watch look: the clock was set."""
        if self._watch is not None:
            self._watch.look_soon()

    def metrics(self) -> bytes:
        """Return Prometheus' text; its library is imported now, because that takes long."""
        from .health.metrics import HealthMetrics

        with self._making:
            if self._metrics is None:
                self._metrics = HealthMetrics(
                    report=self._service.recent,
                    clock=self._world.clock,
                    version=metadata.version("ndes-lab"),
                    publisher=self._publisher,
                )
            return self._metrics.text()

    def _subjects(self) -> PkiSubjects:
        """Return what there is to look at: what was issued, and what will be written from now on."""
        from .health import subjects_of_folder

        found = subjects_of_folder(self._world.folder)
        return replace(found, authorities=tuple(map(self._with_locations, found.authorities)))

    def _with_locations(self, subject: AuthoritySubject) -> AuthoritySubject:
        for authority in self._world.authorities:
            if authority.certificate.der == subject.certificate.der:
                locations = authority.locations
                return replace(
                    subject,
                    more_aia_urls=locations.ca_issuers_urls,
                    more_crl_urls=locations.crl_urls,
                    more_ocsp_urls=locations.ocsp_urls,
                )
        return subject
