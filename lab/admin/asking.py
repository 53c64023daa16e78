"""Operations asked for over HTTP: the call that an operation and its models come to, and its answer read.

Lives here: from declared operation to request and back, and the connection. Does not live here: which
operation does what (`remote`), a call as a line for a shell (`curl`).
"""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode, urlsplit

from pydantic import BaseModel, ValidationError

from .desk import DeskError, DeskRefused, DeskUnavailable, Invalid, NobodyThere, NotFound
from .operation import Otherwise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .operation import Answered, Operation

_TIMEOUT_SECONDS = 60
_PROBE_SECONDS = 3
_ERRORS: dict[int, type[DeskError]] = {
    error.status: error for error in (Invalid, NotFound, DeskRefused, DeskUnavailable)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to the management API; ``target`` is path and query, ``body`` JSON or None."""

    method: str
    target: str
    body: str | None = field(repr=False)


def call_of(
    operation: Operation[Any],
    path: Mapping[str, object],
    *,
    body: BaseModel | None = None,
    query: BaseModel | None = None,
    secret: Callable[[str], str] = str,
) -> Call:
    """Return the call that an operation comes to; what is as it would be anyway is left out.

    ``secret`` returns what stands for a secret of the body; the secret itself, unless told otherwise.
    """
    target = operation.path_of(path)
    if query is not None:
        asked = query.model_dump(mode="json", exclude_defaults=True)
        words = {name: json.dumps(one) if isinstance(one, bool) else one for name, one in asked.items()}
        target += "?" + urlencode(words) if words else ""
    sent = None
    if body is not None:
        sent = body.model_dump(mode="json", exclude_defaults=True, context={"secret": secret})
    return Call(method=operation.method, target=target, body=json.dumps(sent) if sent else None)


class Ask(Protocol):
    """Performs an operation at a lab; raises leaves of `DeskError`."""

    def __call__(
        self,
        operation: Operation[Answered],
        *,
        body: BaseModel | None = None,
        query: BaseModel | None = None,
        **path: object,
    ) -> Answered:
        """Return the operation's answer."""


class HttpAsk:
    """Asks the management listener at ``url``; each call has a connection of its own.

    Raises:
        Invalid: ``url`` is no http URL.

    """

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        try:
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError as error:
            raise Invalid(f"{url!r} is no URL of a management listener: {error}") from error
        if parts.scheme not in ("http", "https") or not self._host:
            raise Invalid(f"{url!r} is no URL of a management listener, expected http://host:port")
        self.url = url
        self._scheme = parts.scheme
        self._base = parts.path.rstrip("/")
        self._token = token

    def __call__(
        self,
        operation: Operation[Answered],
        *,
        body: BaseModel | None = None,
        query: BaseModel | None = None,
        **path: object,
    ) -> Answered:
        """Return the operation's answer."""
        status, content = self._send(call_of(operation, path, body=body, query=query))
        if not 200 <= status < 300:
            raise self._error(status, content)
        answer: Any = self._read(operation.shape.answers.get(status), content)
        if status == operation.otherwise:
            answer = Otherwise(status, answer)
        return answer  # type: ignore[no-any-return] # its type is that of the model the operation declares

    def is_anybody_there(self) -> bool:
        """Tell whether something listens at the URL."""
        try:
            port = self._port or {"https": 443}.get(self._scheme, 80)
            socket.create_connection((self._host, port), timeout=_PROBE_SECONDS).close()
        except OSError:
            return False
        return True

    def _read(self, model: type[BaseModel] | None, content: bytes) -> BaseModel | None:
        if model is None:
            return None
        try:
            return model.model_validate_json(content)
        except ValidationError as error:
            raise DeskUnavailable(
                f"what {self.url} answers is no {model.__name__}; is it a lab, and of this version?"
            ) from error

    def _send(self, call: Call) -> tuple[int, bytes]:
        kind = http.client.HTTPSConnection if self._scheme == "https" else http.client.HTTPConnection
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        sent = None if call.body is None else call.body.encode()
        with closing(kind(self._host, self._port, timeout=_TIMEOUT_SECONDS)) as connection:
            try:
                connection.request(call.method, self._base + call.target, sent, headers)
                response = connection.getresponse()
                return response.status, response.read()
            except (OSError, http.client.HTTPException) as error:
                raise NobodyThere(
                    f"no lab answers at {self.url} ({error}); start one with `ndes-lab up`, or name one "
                    "with --ready-file, --admin-url or --data-dir"
                ) from error

    def _error(self, status: int, content: bytes) -> DeskError:
        try:
            told = json.loads(content)["error"]
            code, message = str(told["code"]), str(told["message"])
        except (ValueError, KeyError, TypeError):
            return DeskUnavailable(f"what answers at {self.url} is no lab (HTTP {status})")
        if status == 401:
            return DeskUnavailable(
                f"the lab at {self.url} wants a bearer token: give --ready-file, or set NDES_LAB_ADMIN__TOKEN"
            )
        return _ERRORS.get(status, DeskUnavailable)(message, code)
