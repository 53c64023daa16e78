"""Calls of the management API as lines for a shell.

Neither a token nor a secret of a body is ever on a line: the shell fetches them when the line is run.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .asking import call_of
from .examples import example_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import BaseModel

    from .asking import Ask, Call
    from .operation import Answered, Operation

TOKEN_VARIABLE = "NDES_LAB_ADMIN__TOKEN"
SECRET_VARIABLE = "SECRET"
_LONG = 4000  # characters of a body that are handed over on standard input: arguments have a limit
_END = "END-OF-BODY"


class Shown(Exception):
    """The call has been noted and is not made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellBody:
    """A body that the shell makes: ``source`` is what curl takes as its data, ``before`` a pipe to it."""

    source: str
    before: str = ""


@dataclass(kw_only=True)
class CurlNotes:
    """What a command knows of its own secrets and body: what the shell makes them from, in place of them.

    ``expansions`` are what the shell expands to secrets, by secret.
    """

    expansions: dict[str, str] = field(default_factory=dict, repr=False)
    shell_body: ShellBody | None = None


def curl_line(
    call: Call,
    url: str,
    *,
    token: str | None = None,
    secrets: Mapping[str, str] | None = None,
    shell_body: ShellBody | None = None,
) -> str:
    """Return the command that makes a call, for a POSIX shell.

    Args:
        call: the call.
        url: of the management listener, as a word of the shell.
        token: what the shell expands to the bearer token within double quotes, if one is needed.
        secrets: texts of the body that stand for secrets, each with what the shell expands to the secret,
            as JSON has it, within double quotes.
        shell_body: what the body is made from, where it is not on the line.

    """
    words = ["curl -sS --fail-with-body"]
    if call.method != "GET":
        words.append(f"-X {call.method}")
    if token is not None:
        words.append(f'-H "Authorization: Bearer {token}"')
    target = url + (shlex.quote(call.target) if re.search(r"[^\w/.:%-]", call.target) else call.target)
    if call.body is None:
        return " ".join([*words, target])
    words.append("-H 'Content-Type: application/json'")
    if shell_body is not None:
        return f"{shell_body.before}{' '.join(words)} --data-binary {shell_body.source} {target}"
    if len(call.body) > _LONG and not secrets:
        return f"{' '.join(words)} -d @- {target} <<'{_END}'\n{call.body}\n{_END}"
    return " ".join([*words, "-d", _quoted(call.body, secrets or {}), target])


def token_in(ready_file: Path) -> str:
    """Return what a shell expands, within double quotes, to the token in a ready file."""
    found = f"""sed -n 's/^ *"admin_token": "\\(.*\\)",$/\\1/p' {shlex.quote(str(ready_file))}"""
    return f"""$({found} | sed 's/\\\\\\(["\\\\]\\)/\\1/g')"""


def first_line_of(file: str) -> str:
    """Return what a shell expands, within double quotes, to a file's first line as JSON has it."""
    return f"""$(head -n 1 {shlex.quote(file)} | sed 's/[\\"]/\\\\&/g')"""


def whole_text_of(file: str) -> str:
    """Return what a shell expands, within double quotes, to a text file, such as PEM, as JSON has it."""
    return f"""$(sed 's/$/\\\\n/' {shlex.quote(file)} | tr -d '\\n')"""


def _quoted(body: str, secrets: Mapping[str, str]) -> str:
    """Return a body as a word of the shell, with expansions in place of secrets."""
    if not secrets:
        return shlex.quote(body)
    parts = re.split("(" + "|".join(re.escape(text) for text in secrets) + ")", body)
    return "".join(f'"{secrets[part]}"' if part in secrets else shlex.quote(part) for part in parts if part)


@dataclass(kw_only=True)
class CurlAsk:
    """Notes every operation as a ``curl`` line instead of performing it.

    Args:
        url: of the management listener.
        token: what the shell expands to the bearer token, if one is needed.
        ask: performs what only reads, where more calls may follow from its answer; what changes
            something is taken to have succeeded. None: there is one call, and `Shown` ends it.
        notes: what stands for secrets, and for the body, where they are not to be on the line.

    """

    url: str
    token: str | None = None
    ask: Ask | None = None
    notes: CurlNotes = field(default_factory=CurlNotes)
    lines: list[str] = field(default_factory=list)

    def __call__(
        self,
        operation: Operation[Answered],
        *,
        body: BaseModel | None = None,
        query: BaseModel | None = None,
        **path: object,
    ) -> Answered:
        """Note an operation, and return its answer, or one as it might be."""
        secrets: dict[str, str] = {}

        def stand_in(secret: str) -> str:
            marker = f"@@SECRET-{len(secrets)}@@"
            secrets[marker] = self.notes.expansions.get(secret, f"${SECRET_VARIABLE}")
            return marker

        call = call_of(operation, path, body=body, query=query, secret=stand_in)
        self.lines.append(
            curl_line(
                call,
                shlex.quote(self.url.rstrip("/")),
                token=None if operation.open_to_all else self.token,
                secrets=secrets,
                shell_body=self.notes.shell_body,
            )
        )
        if self.ask is None:
            raise Shown
        if operation.method == "GET" or getattr(body, "dry_run", False):
            return self.ask(operation, body=body, query=query, **path)
        model = operation.shape.answers[operation.status]
        supposed: Any = None if model is None else example_of(model)
        return supposed  # type: ignore[no-any-return] # its type is that of the model the operation declares
