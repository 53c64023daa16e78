"""Where log lines go, and what they look like: the composition roots call this, nobody else.

Product modules log through structlog with structured fields. Here structlog is led into the
standard library's logging, so that an embedding program keeps its own say over what it sees.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

import structlog

if TYPE_CHECKING:
    from typing import TextIO

    from structlog.typing import EventDict, Processor

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
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *_common()],
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
        # The usual traceback shows local variables, and those hold secrets.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0, exception_formatter=plain)]
    return [structlog.processors.format_exc_info, _event_first, structlog.processors.JSONRenderer()]


def _event_first(_logger: object, _method: str, event: EventDict) -> EventDict:
    first = ("timestamp", "level", "logger", "event")
    return {**{key: event[key] for key in first if key in event}, **event}
