"""The log line of an exchange: one structured event, from the same value every observer is shown.

Enough to see why a client was refused without turning anything else on: what decided, what was found
and expected, and what was tolerated or not granted. Never a challenge, never a message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

from .checks import Verdict
from .decisions import Grant
from .log_context import fit, one_line

if TYPE_CHECKING:
    from .checks import Check
    from .exchange import Exchange

_log = structlog.get_logger(__name__)


class EventLogger(Protocol):
    """What is needed of a structlog logger."""

    def info(self, event: str, **fields: object) -> object:
        """Log an event that went as it should."""

    def warning(self, event: str, **fields: object) -> object:
        """Log an event that somebody may have to look at."""


class ExchangeLog:
    """Logs every exchange: refusals as warnings, all else as information."""

    def __init__(self, log: EventLogger = _log) -> None:
        self._log = log

    def observe(self, exchange: Exchange) -> None:
        """Log one exchange."""
        known = {**_of_http(exchange), **_of_message(exchange), **_of_decision(exchange)}
        fields = {name: value for name, value in known.items() if value not in (None, [])}
        if exchange.refused_by is None:
            self._log.info("scep exchange", **fields)
        else:
            self._log.warning(
                "scep exchange refused",
                refused_by=exchange.refused_by,
                detail=one_line(exchange.detail),
                **fields,
            )


def _of_http(exchange: Exchange) -> dict[str, object]:
    operation = exchange.operation
    return {
        "exchange": exchange.number,
        "outcome": exchange.ending.value,
        "remote": fit(exchange.request.remote_address),
        "method": fit(exchange.request.method),
        "status": exchange.reply.status,
        "duration_ms": round(1000 * exchange.duration, 2),
        "endpoint": exchange.endpoint,
        "operation": None if operation is None else operation.value,
    }


def _of_message(exchange: Exchange) -> dict[str, object]:
    transaction_id, message, cert_rep = exchange.transaction_id, exchange.message, exchange.cert_rep
    fail_info = None if cert_rep is None else cert_rep.fail_info
    return {
        "transaction_id": None if transaction_id is None else fit(transaction_id),
        "message_type": None if message is None else message.message_type.rfc_name,
        "pki_status": None if cert_rep is None else cert_rep.pki_status.rfc_name,
        "fail_info": None if fail_info is None else fail_info.rfc_name,
    }


def _of_decision(exchange: Exchange) -> dict[str, object]:
    issued = exchange.answer.certificate if isinstance(exchange.answer, Grant) else None
    checks = exchange.checks
    return {
        "subject": None if exchange.csr is None else one_line(exchange.csr.subject),
        "certificate": exchange.certificate_id,
        "serial_number": None if issued is None else f"{issued.serial_number:x}",
        "challenge": next((check.found for check in checks if _is_accepted_challenge(check)), None),
        "warnings": [
            one_line(f"{check.name}: {check.found}") for check in checks if check.verdict is Verdict.WARNED
        ],
    }


def _is_accepted_challenge(check: Check) -> bool:
    return check.name == "challenge" and check.verdict is Verdict.PASSED
