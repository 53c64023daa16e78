"""One log line for each SCEP exchange: who asked what, and how it ended. Never a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from scep_server.exchange import Exchange

_log = structlog.get_logger(__name__)


class AccessLog:
    """Writes the line; an `ExchangeObserver`."""

    def observe(self, exchange: Exchange) -> None:
        """Log one exchange: at info where it went well, as a warning where it was refused."""
        message = exchange.message
        fields: dict[str, object] = {
            "client": exchange.request.remote_address,
            "operation": exchange.operation.value if exchange.operation else exchange.request.method,
            "endpoint": exchange.endpoint,
            "message_type": message.message_type.rfc_name if message else None,
            "transaction_id": _one_line(exchange.transaction_id),
            "verdict": exchange.outcome.name if exchange.outcome else None,
            "detail": _one_line(exchange.detail),
            "certificate": exchange.certificate_id,
            "status": exchange.reply.status,
            "milliseconds": round(1000 * sum(seconds for _, seconds in exchange.timings), 1),
        }
        shown = {name: value for name, value in fields.items() if value not in (None, "")}
        if exchange.refused_by is None:
            _log.info("scep", **shown)
        else:
            _log.warning("scep refused", **shown)


def _one_line(text: str | None) -> str | None:
    """Return text from a stranger so that it cannot pass for more than one line."""
    return text if text is None or text.isprintable() else ascii(text)
