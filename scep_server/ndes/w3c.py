"""IIS's log: one line for each request, in W3C's extended log file format with IIS's default fields.

sc-substatus and sc-win32-status are what tells one 404 or 500 of IIS from another, so they are
written although no client sees them. Blanks in a field become ``+``, an empty field is ``-``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .recent import LineFile, Numbered, Recent

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from scep_server.exchange import Exchange

FIELDS: Final = (
    "date",
    "time",
    "s-ip",
    "cs-method",
    "cs-uri-stem",
    "cs-uri-query",
    "s-port",
    "cs-username",
    "c-ip",
    "cs(User-Agent)",
    "cs(Referer)",
    "sc-status",
    "sc-substatus",
    "sc-win32-status",
    "time-taken",
)
_LONGEST_FIELD: Final = 4096


def heading(at: datetime) -> str:
    """Return the directives that begin a log (W3C WD-logfile 3)."""
    return (
        "#Software: Microsoft Internet Information Services 10.0\n"
        "#Version: 1.0\n"
        f"#Date: {at:%Y-%m-%d %H:%M:%S}\n"
        "#Remark: written by ndes-lab in the manner of IIS\n"
        f"#Fields: {' '.join(FIELDS)}\n"
    )


def log_file_name(at: datetime) -> str:
    """Return the name IIS gives the log of a day."""
    return f"u_ex{at:%y%m%d}.log"


class W3cLog:
    """The log; an `ExchangeObserver`. Safe to use from several threads.

    Args:
        folder: where a file is written for each day; none means memory only.
        capacity: how many lines are kept in memory.

    """

    def __init__(self, *, folder: Path | None = None, capacity: int = 1000) -> None:
        self.address = "-"
        self.port = 0
        self._folder = folder
        self._recent: Recent[str] = Recent(capacity)
        self._files: dict[str, LineFile] = {}

    def listen(self, address: str, port: int) -> None:
        """Tell which address and port the lines are about (s-ip, s-port)."""
        self.address, self.port = address, port

    def observe(self, exchange: Exchange) -> None:
        """Write the line of an exchange; IIS has none for what HTTP.sys refused."""
        if exchange.reply.kernel:
            return
        line = render(exchange, address=self.address, port=self.port)
        self._recent.add(line)
        if self._folder is not None:
            self._file(exchange.received_at).append(line)

    def lines(self, after: int = 0, *, limit: int | None = None) -> tuple[Numbered[str], ...]:
        """Return the lines that are remembered and came after number ``after``."""
        return self._recent.after(after, limit=limit)

    def _file(self, at: datetime) -> LineFile:
        name = log_file_name(at)
        if name not in self._files and self._folder is not None:
            self._files = {name: LineFile(self._folder / name, heading(at))}
        return self._files[name]


def render(exchange: Exchange, *, address: str, port: int) -> str:
    """Return the line of an exchange."""
    request, reply = exchange.request, exchange.reply
    values = (
        f"{exchange.received_at:%Y-%m-%d}",
        f"{exchange.received_at:%H:%M:%S}",
        address,
        request.method,
        request.path,
        request.query,
        port,
        reply.user,
        request.remote_address,
        request.user_agent,
        request.referer,
        reply.status,
        reply.substatus,
        reply.win32_status,
        round(1000 * exchange.duration),
    )
    return " ".join(_field(str(value)) for value in values)


def _field(text: str) -> str:
    """Return a field so that it stays one field on one line, whatever a stranger sent."""
    kept = text[:_LONGEST_FIELD]
    if not kept.isprintable():
        kept = "".join(character if character.isprintable() else "+" for character in kept)
    return kept.replace(" ", "+") or "-"
