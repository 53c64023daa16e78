"""Where log lines go, and what they look like: the composition roots call this, nobody else.

Product modules log through structlog with structured fields. Here structlog is led into the
standard library's logging, so that an embedding program keeps its own say over what it sees.
"""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Literal

import structlog

if TYPE_CHECKING:
    from typing import TextIO

    from structlog.typing import EventDict, ExcInfo, Processor

LogFormat = Literal["auto", "human", "json"]
_PACKAGES = ("ca", "scep_server", "crl_publisher", "lab")


class _OurHandler(logging.StreamHandler["TextIO"]):
    """A handler that the next call of `log_to` replaces; silent once its stream is closed."""

    def emit(self, record: logging.LogRecord) -> None:
        if not self.stream.closed:
            super().emit(record)


def route_to_standard_logging() -> None:
    """Lead structlog into `logging`, unless the embedding program has configured it already."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def log_to(stream: TextIO, *, level: str, log_format: LogFormat) -> None:
    """Write our packages' log to ``stream``, for people or as JSON lines; warnings of others too."""
    route_to_standard_logging()
    human = log_format == "human" or (log_format == "auto" and stream.isatty())
    handler = _OurHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,  # a policy module may use the standard library's
                structlog.stdlib.ExtraAdder(),
                *_common(),
            ],
            processors=[
                *_common(),
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_end(human, stream.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, _OurHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for name in _PACKAGES:
        logging.getLogger(name).setLevel(level.upper())


def _common() -> list[Processor]:
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.UnicodeDecoder(),
    ]


def _end(human: bool, colours: bool) -> list[Processor]:
    if human:
        renderer = structlog.dev.ConsoleRenderer(
            colors=colours, pad_event_to=0, exception_formatter=_indented_traceback
        )
        return [_harmless, renderer]
    return [structlog.processors.format_exc_info, _event_first, structlog.processors.JSONRenderer()]


def _event_first(_logger: object, _method: str, event: EventDict) -> EventDict:
    first = ("timestamp", "level", "logger", "event")
    return {**{key: event[key] for key in first if key in event}, **event}


def _harmless(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Take from text what colours a terminal or begins a line; JSON escapes it anyway.

    The renderer puts text with spaces, line ends or quotation marks into such, but for the event itself.
    """
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = _indented(value) if key == "event" else _escaped(value)
    return event


def _indented_traceback(stream: TextIO, exc_info: ExcInfo) -> None:
    """Write a traceback, without local variables, which hold secrets, and none of it at a line's begin."""
    whole = io.StringIO()
    structlog.dev.plain_traceback(whole, exc_info)
    stream.write("  " + _indented(whole.getvalue()))


def _indented(text: str) -> str:
    """Return a text of several lines of which only the first is at a line's begin."""
    return "\n  ".join(line if line.isprintable() else _escaped(line) for line in text.split("\n"))


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")
