"""Calls of the management API as lines for a shell.

A token is never on the line: it is a variable, or is read from the ready file when the line is run.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .asking import Call

TOKEN_VARIABLE = "NDES_LAB_ADMIN__TOKEN"
_LONG = 4000  # characters of a body that are handed over on standard input: arguments have a limit
_END = "END-OF-BODY"


def curl_line(
    call: Call, url: str, *, token: str | None = None, secrets: Mapping[str, str] | None = None
) -> str:
    """Return the command that makes a call, for a POSIX shell.

    Args:
        call: the call.
        url: of the management listener, as a word of the shell.
        token: what the shell expands to the bearer token within double quotes, if one is needed.
        secrets: texts of the body that are not shown, as JSON has them, each with what the shell
            expands to it within double quotes.

    """
    words = ["curl -sS --fail-with-body"]
    if call.method != "GET":
        words.append(f"-X {call.method}")
    if token is not None:
        words.append(f'-H "Authorization: Bearer {token}"')
    target = shlex.quote(call.target) if re.search(r"[^\w/.%-]", call.target) else call.target
    if call.body is None:
        return " ".join([*words, url + target])
    words.append("-H 'Content-Type: application/json'")
    hidden = any(text in call.body for text in secrets or {})
    if len(call.body) > _LONG and not hidden:
        return " ".join([*words, "-d @-", url + target]) + f" <<'{_END}'\n{call.body}\n{_END}"
    return " ".join([*words, "-d", _quoted(call.body, secrets or {}), url + target])


def token_in(ready_file: Path) -> str:
    """Return what a shell expands, within double quotes, to the token in a ready file."""
    return f"""$(sed -n 's/^ *"admin_token": "\\(.*\\)",$/\\1/p' {shlex.quote(str(ready_file))})"""


def _quoted(body: str, secrets: Mapping[str, str]) -> str:
    """Return a body as a word of the shell, with expansions in place of secrets."""
    if not any(text in body for text in secrets):
        return shlex.quote(body)
    pattern = "(" + "|".join(re.escape(text) for text in secrets) + ")"
    parts = re.split(pattern, body)
    return "".join(f'"{secrets[part]}"' if part in secrets else shlex.quote(part) for part in parts if part)
