"""What every log line written while a request is answered carries, whoever writes it.

A web application opens the frame around one request (`one_request`), whoever learns something of the
request adds it (`note`), and at the end of the frame all of it is gone, whatever happened within: threads
answer one request after the other. The fields are structlog's context variables, which
`structlog.contextvars.merge_contextvars` puts into the lines; CA, store and policy modules need not know.

What a client may choose is made fit for a line first (`fit`). Does not live here: where lines go.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Final

from structlog.contextvars import bind_contextvars, reset_contextvars

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS: Final = ("request_id", "client", "endpoint", "operation", "transaction_id", "message_type")
_LONGEST: Final = 300  # a transactionID has 255 octets at most
_bound: ContextVar[list[Token[Any]] | None] = ContextVar("scep_server_bound", default=None)


def _variables() -> Mapping[str, ContextVar[Any]]:
    """Return structlog's context variables of our fields; setting them is ten times as fast as binding."""
    tokens = bind_contextvars(**dict.fromkeys(FIELDS, ...))
    reset_contextvars(**tokens)
    return {name: token.var for name, token in tokens.items()}


_VARIABLES: Final = _variables()


class one_request:  # noqa: N801 - a context manager, used like a function
    """Have log lines carry ``fields``, and all that is noted, until the end; then what was before.

    Within another one it adds to that one, so that lines written after it still carry everything.
    """

    __slots__ = ("_fields", "_opened")

    def __init__(self, **fields: str) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        """Begin."""
        self._opened = _bound.set([]) if _bound.get() is None else None
        note(**self._fields)

    def __exit__(self, *_: object) -> None:
        """End; nothing of this request stays."""
        if self._opened is not None:
            for token in reversed(_bound.get() or ()):
                token.var.reset(token)
            _bound.reset(self._opened)


def note(**fields: str) -> None:
    """Add to what lines carry, but nothing empty; outside of a request, where it would stay, nothing.

    Raises:
        KeyError: a field is not one of `FIELDS`.

    """
    bound = _bound.get()
    if bound is not None:
        for name, value in fields.items():
            if value:
                bound.append(_VARIABLES[name].set(fit(value)))


def fit(text: str) -> str:
    """Return a stranger's text so that it cannot pass for another line, nor colour a terminal, nor fill it.

    Visible ASCII stays as it is, all else is escaped, and what is longer than is sensible is cut. Spaces and
    quotation marks are for the format of lines to deal with.
    """
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}... ({len(text)} characters)"
    if text.isascii() and text.isprintable():
        return text
    return text.encode("unicode_escape").decode("ascii")


def one_line(text: str) -> str:
    """Return a sentence with a stranger's words so that it stays one line and colours no terminal."""
    return text if text.isprintable() else ascii(text)
