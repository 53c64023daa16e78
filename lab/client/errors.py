"""Why the client stops. Expected outcomes (issued, refused, pending) are values, not exceptions."""

from __future__ import annotations

from lab.hresults import HResult, hresult


class ClientError(Exception):
    """The client cannot go on; ``hresult`` is what a Windows client would report."""

    def __init__(self, message: str, code: int = 0x80004005) -> None:
        super().__init__(message)
        self.hresult: HResult = hresult(code)


class Unreachable(ClientError):
    """No usable HTTP answer came; the request may or may not have arrived."""


class HttpRefused(ClientError):
    """The server answered with an HTTP status other than 200, or redirected.

    ``retry_after`` is when it may be asked again, as the server wrote it (RFC 9110 10.2.3).
    """

    def __init__(self, message: str, *, status: int, code: int, retry_after: str | None = None) -> None:
        super().__init__(message, code)
        self.status = status
        self.retry_after = retry_after


class UntrustedCa(ClientError):
    """The CA certificates cannot be authenticated, or none of them can be used (RFC 8894 2.2)."""


class ReplyRejected(ClientError):
    """The reply fails a check a client must make; the text names clause, found and expected.

    ``check`` is the stable name of that check.
    """

    def __init__(self, check: str, message: str, code: int) -> None:
        super().__init__(f"the reply is not acted on ({check}): {message}", code)
        self.check = check


class InvalidOrder(ClientError):
    """What the caller asked for cannot be asked of a CA: subject, name, key or message type."""
