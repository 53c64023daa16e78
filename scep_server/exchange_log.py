"""The log line of an exchange: one structured event, from the same value every observer is shown.

Enough to see why a client was refused without turning anything else on: what decided, what was found
and expected, and what was tolerated or not granted. Never a challenge, never a message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

from .checks import Verdict

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
        fields: dict[str, object] = {
            "exchange": exchange.number,
            "remote": exchange.request.remote_address,
            "method": exchange.request.method,
            "status": exchange.reply.status,
            "milliseconds": round(1000 * sum(duration for _, duration in exchange.timings), 2),
        }
        if exchange.endpoint is not None:
            fields["endpoint"] = exchange.endpoint
        if exchange.operation is not None:
            fields["operation"] = exchange.operation.value
        if exchange.unverified is not None:
            fields["transaction_id"] = _one_line(exchange.unverified.transaction_id)
        if exchange.message is not None:
            fields["message_type"] = exchange.message.message_type.rfc_name
        if exchange.cert_rep is not None:
            fields["pki_status"] = exchange.cert_rep.pki_status.rfc_name
            if exchange.cert_rep.fail_info is not None:
                fields["fail_info"] = exchange.cert_rep.fail_info.rfc_name
        if exchange.csr is not None:
            fields["subject"] = _one_line(exchange.csr.subject)
        if exchange.certificate_id is not None:
            fields["certificate"] = exchange.certificate_id
        challenge = next((check.found for check in exchange.checks if _is_accepted_challenge(check)), None)
        if challenge is not None:
            fields["challenge"] = challenge
        warnings = [
            _one_line(f"{check.name}: {check.found}")
            for check in exchange.checks
            if check.verdict is Verdict.WARNED
        ]
        if warnings:
            fields["warnings"] = warnings
        if exchange.refused_by is None:
            self._log.info("scep exchange", **fields)
        else:
            self._log.warning(
                "scep exchange refused",
                refused_by=exchange.refused_by,
                detail=_one_line(exchange.detail),
                **fields,
            )


def _is_accepted_challenge(check: Check) -> bool:
    return check.name == "challenge" and check.verdict is Verdict.PASSED


def _one_line(text: str) -> str:
    """Return a stranger's text so that it cannot pass for more than one line, nor colour a terminal."""
    return text if text.isprintable() else ascii(text)
