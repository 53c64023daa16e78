"""Where a server keeps what an administrator of NDES reads, and where it is found again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .event_log import EventLog
from .trace import FILE_NAME, TraceLog
from .w3c import W3cLog

if TYPE_CHECKING:
    from pathlib import Path

    from ca.clock import Clock
    from scep_server.exchange import ExchangeObserver

    from .profiles import BehaviourProfile
    from .settings import LogSettings

_LINES_OF_A_REQUEST: Final = 20


class NdesLogs:
    """Event log, IIS's log and trace of one server, written to files where the settings say so."""

    def __init__(
        self, data_dir: Path, settings: LogSettings, *, clock: Clock, profile: BehaviourProfile
    ) -> None:
        folder = logs_folder(data_dir) if settings.files else None
        self.events = EventLog(
            clock, profile, capacity=settings.keep, file=None if folder is None else event_file(data_dir)
        )
        self.iis = W3cLog(folder=None if folder is None else iis_folder(data_dir), capacity=settings.keep)
        self.trace = TraceLog(
            file=None if folder is None else trace_file(data_dir),
            capacity=settings.keep * _LINES_OF_A_REQUEST,
        )

    @property
    def observers(self) -> tuple[ExchangeObserver, ...]:
        """What has to be told of each exchange."""
        return (self.events, self.iis, self.trace)


def logs_folder(data_dir: Path) -> Path:
    """Return the folder of the log files."""
    return data_dir / "logs"


def event_file(data_dir: Path) -> Path:
    """Return the file of the event log, JSON lines."""
    return logs_folder(data_dir) / "events.jsonl"


def iis_folder(data_dir: Path) -> Path:
    """Return the folder of IIS's log, one file a day."""
    return logs_folder(data_dir) / "W3SVC1"


def trace_file(data_dir: Path) -> Path:
    """Return the file of the trace."""
    return logs_folder(data_dir) / FILE_NAME
