"""From reports to alerts: each once when it begins, once when it changes, once when it is over.

What has been told is kept in a file, so that a restart does not tell it all again. Does not live
here: sending (`senders`) and when to look (`watch`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import structlog

from .report import EXPIRING_AFTER, HealthWord, State

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from ca.records import CertificateRecord

    from .report import HealthReport, HealthRow

_log = structlog.get_logger(__name__)
_RENEWED_BY_THEMSELVES: Final = frozenset({"cdp", "delta", "ocsp"})


class AlertStatus(Enum):
    """Alertmanager's words."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something wrong now. ``key`` names it over time, ``state`` is what a change of is told."""

    key: str
    name: str  # CamelCase, as alert names are
    severity: str  # warning, error
    state: str
    summary: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """That a condition began, changed, or is over."""

    condition: Condition
    status: AlertStatus
    at: datetime


def conditions_of(report: HealthReport) -> Iterable[Condition]:
    """Yield what is wrong.

    A CRL or OCSP answer that is about to expire, but whose successor is not due yet, is as it
    should be.
    """
    for row in report.rows:
        if row.status is HealthWord.OK or _is_as_it_should_be(row, report.checked_at):
            continue
        yield Condition(
            key=row.source,
            name="Pki" + row.status.value.title().replace(" ", ""),
            severity="error" if row.is_error else "warning",
            state=",".join([row.status.value, *(state.value for state in row.states)]),
            summary=_summary(row),
            labels={"authority": row.authority, "location": row.name, "kind": row.kind},
        )


def _is_as_it_should_be(row: HealthRow, now: datetime) -> bool:
    if row.kind not in _RENEWED_BY_THEMSELVES or row.states != (State.EXPIRING,):
        return False
    return row.kind == "ocsp" or (row.next_publish is not None and now <= row.next_publish)


def _summary(row: HealthRow) -> str:
    states = ", ".join(state.value for state in row.states if state.value != row.status.value)
    parts = [f"{row.source}: {row.status.value}", states, row.detail]
    if row.ends is not None:
        parts.append(f"valid until {row.ends:%Y-%m-%d %H:%M:%SZ}")
    return "; ".join(part for part in parts if part)


def condition_of_certificate(record: CertificateRecord, now: datetime) -> Condition | None:
    """Return the condition of an issued certificate, which is valid still; None before 80 % are over."""
    if now - record.not_before <= EXPIRING_AFTER * (record.not_after - record.not_before):
        return None
    return Condition(
        key=f"certificate {record.issuer_key_id} {record.serial_number:x}",
        name="CertificateExpiring",
        severity="warning",
        state=HealthWord.EXPIRING.value,
        summary=f"{record.subject} ({record.template}, serial number {record.serial_number:x}) "
        f"expires {record.not_after:%Y-%m-%d %H:%M:%SZ}",
        labels={
            "subject": record.subject,
            "template": record.template,
            "serial_number": f"{record.serial_number:x}",
        },
    )


class AlertBook:
    """Remembers what has been told; ``file`` keeps it over restarts, None does not."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._told: dict[str, Condition] = self._read()

    def changes(self, conditions: Iterable[Condition], at: datetime) -> list[Alert]:
        """Return what is to be told now that exactly ``conditions`` hold, and remember it."""
        now = {condition.key: condition for condition in conditions}
        alerts = [
            Alert(condition=condition, status=AlertStatus.FIRING, at=at)
            for key, condition in now.items()
            if key not in self._told or self._told[key].state != condition.state
        ]
        alerts += [
            Alert(condition=condition, status=AlertStatus.RESOLVED, at=at)
            for key, condition in self._told.items()
            if key not in now
        ]
        self._told = now
        if alerts:
            self._write()
        return alerts

    def _read(self) -> dict[str, Condition]:
        if self._file is None:
            return {}
        try:
            entries = json.loads(self._file.read_text())
            return {entry["key"]: Condition(**entry) for entry in entries}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            _log.warning("what was told cannot be read, so it is told again", reason=str(error))
            return {}

    def _write(self) -> None:
        if self._file is None:
            return
        entries: list[dict[str, Any]] = [asdict(condition) for condition in self._told.values()]
        temporary = self._file.with_name(f".{self._file.name}.tmp")
        try:
            temporary.write_text(json.dumps(entries))
            temporary.replace(self._file)
        except OSError as error:
            _log.warning("what was told cannot be kept", reason=str(error))
