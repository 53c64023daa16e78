"""Keeping an eye on a PKI: looks now and then, remembers the last report, and alerts.

Does not live here: what is found (`examine`) and who is told how (`senders`).
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from ca.folders import FolderError
from ca.records import CertificateFilter, CertificateStatus, StoreUnavailable
from lab.trust import HttpUrlFetcher, UnreadableCertificate

from .alerts import AlertBook, AlertStatus, condition_of_certificate, conditions_of
from .examine import examine
from .report import HealthReport, HealthRow, HealthWord, State, word_of
from .senders import Dispatcher, senders_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ca.clock import Clock
    from ca.records import Store
    from crl_publisher import PublisherState
    from lab.trust import UrlFetcher

    from .alerts import Condition
    from .settings import AlertSettings
    from .subjects import PkiSubjects

_log = structlog.get_logger(__name__)
_PAGE: Final = 200
_MOST_CERTIFICATES: Final = 1000  # issued certificates that alerts are kept for
_OLDEST_FOR_METRICS: Final = timedelta(seconds=30)


class HealthService:
    """Looks at one PKI, on demand.

    Args:
        subjects: returns what there is to look at; called at each look.
        clock: the time that everything is judged at.
        entropy: makes nonces for OCSP.
        publisher: returns how publication goes.
        store: the CA's database, which is asked whether it answers.
        make_fetcher: returns a fetcher that has fetched nothing yet.

    """

    def __init__(
        self,
        *,
        subjects: Callable[[], PkiSubjects],
        clock: Clock,
        entropy: Callable[[int], bytes],
        publisher: Callable[[], PublisherState] | None = None,
        store: Store | None = None,
        make_fetcher: Callable[[], UrlFetcher] = HttpUrlFetcher,
    ) -> None:
        self._subjects = subjects
        self._clock = clock
        self._entropy = entropy
        self._publisher = publisher
        self._store = store
        self._make_fetcher = make_fetcher
        self._looking = threading.Lock()
        self._last: HealthReport | None = None

    def look(self) -> HealthReport:
        """Look at everything now, and return what was found; one look at a time.

        Raises:
            FolderError, UnreadableCertificate: a CA's certificate cannot be read.

        """
        with self._looking:
            report = examine(
                self._subjects(), fetcher=self._make_fetcher(), at=self._clock.now(), entropy=self._entropy
            )
            more = []
            if self._publisher is not None:
                more.append(publication_row(self._publisher(), report))
            if self._store is not None:
                more.append(database_row(self._store, report))
            self._last = report.model_copy(update={"rows": (*report.rows, *more)})
            return self._last

    def recent(self) -> HealthReport:
        """Return a report that is at most half a minute old."""
        last = self._last
        age = None if last is None else self._clock.now() - last.checked_at
        if last is not None and age is not None and timedelta(0) <= age <= _OLDEST_FOR_METRICS:
            return last
        return self.look()


def publication_row(state: PublisherState, report: HealthReport) -> HealthRow:
    """Return how publishing goes, as a row of the last CA."""
    authority = report.rows[-1].authority if report.rows else ""
    if state.is_healthy:
        return HealthRow(
            authority=authority,
            name="CRL Publication",
            kind="publication",
            status=HealthWord.OK,
            next_publish=state.due,
        )
    since = "" if state.failing_since is None else f" since {state.failing_since:%Y-%m-%d %H:%M:%SZ}"
    return HealthRow(
        authority=authority,
        name="CRL Publication",
        kind="publication",
        status=HealthWord.ERROR,
        states=(State.PUBLICATION_FAILED,),
        detail=f"{state.failures} failures in a row{since}, the last good files stay: {state.last_error}",
        next_publish=state.due,
    )


def database_row(store: Store, report: HealthReport) -> HealthRow:
    """Return whether the database answers, as a row of the last CA."""
    states: tuple[State, ...] = ()
    detail = ""
    try:
        with store.reading() as transaction:
            transaction.certificate(0)
    except StoreUnavailable as error:
        states, detail = (State.DATABASE_UNAVAILABLE,), str(error)
    return HealthRow(
        authority=report.rows[-1].authority if report.rows else "",
        name="CA Database",
        kind="database",
        status=word_of(states),
        states=states,
        detail=detail,
    )


class HealthWatch:
    """A thread that looks every so often, and alerts through the log and every configured sender.

    Args:
        service: looks.
        store: knows the issued certificates.
        clock: the time that everything is judged at.
        settings: how often, and whom to tell.
        file: where what has been told is remembered.

    """

    def __init__(
        self,
        *,
        service: HealthService,
        store: Store,
        clock: Clock,
        settings: AlertSettings,
        file: Path | None = None,
    ) -> None:
        self._service = service
        self._store = store
        self._clock = clock
        self._settings = settings
        self._book = AlertBook(file)
        retry = timedelta(seconds=settings.retry_seconds)
        self.dispatchers = [
            Dispatcher(sender, attempts=settings.attempts, retry=retry) for sender in senders_of(settings)
        ]
        self._changed = threading.Condition()
        self._stopping = False
        self._wanted = False
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def start(self) -> None:
        """Start the threads; the first look is at once."""
        for dispatcher in self.dispatchers:
            dispatcher.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop the threads; a look under way is finished first."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()
        for dispatcher in self.dispatchers:
            dispatcher.stop()

    def look_soon(self) -> None:
        """Look without waiting for the time: the clock was set, or something happened."""
        with self._changed:
            self._wanted = True
            self._changed.notify_all()

    def look(self) -> None:
        """Look now, and tell what has changed."""
        try:
            report = self._service.look()
            conditions = [*conditions_of(report), *self._certificates(report)]
        except (FolderError, UnreadableCertificate, StoreUnavailable, OSError) as error:
            _log.error("health cannot be told", reason=str(error))
            return
        alerts = self._book.changes(conditions, report.checked_at)
        for alert in alerts:
            condition = alert.condition
            firing = alert.status is AlertStatus.FIRING
            tell = (_log.error if condition.severity == "error" else _log.warning) if firing else _log.info
            tell("alert", status=alert.status.value, alert=condition.name, summary=condition.summary)
        if alerts:
            for dispatcher in self.dispatchers:
                dispatcher.tell(alerts)

    def _certificates(self, report: HealthReport) -> Iterable[Condition]:
        """Return the issued certificates that are about to expire, but those that have a row already."""
        if not self._settings.issued_days:
            return []
        now = self._clock.now()
        wanted = CertificateFilter(
            status=CertificateStatus.VALID, expires_before=now + timedelta(days=self._settings.issued_days)
        )
        shown = {row.serial_number for row in report.rows if row.serial_number is not None}
        found: list[Condition] = []
        last = 0
        with self._store.reading() as transaction:
            while page := transaction.find_certificates(wanted, now=now, after_id=last, limit=_PAGE):
                last = page[-1].id
                for record in page:
                    condition = condition_of_certificate(record, now)
                    if condition is not None and f"{record.serial_number:x}" not in shown:
                        found.append(condition)
                if len(found) >= _MOST_CERTIFICATES:
                    _log.warning("alerts are kept for the first certificates only", limit=_MOST_CERTIFICATES)
                    break
        return found[:_MOST_CERTIFICATES]

    def _run(self) -> None:
        while True:
            self.look()
            with self._changed:
                if not self._stopping and not self._wanted:
                    self._changed.wait(self._settings.check_seconds)
                self._wanted = False
                if self._stopping:
                    return
