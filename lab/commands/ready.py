"""``ndes-lab ready``: whether a running lab can work; health checks of containers and scripts ask it.

It is asked every few seconds, so nothing is loaded that is not needed: no settings where a ready file or a
URL is given.
"""

from __future__ import annotations

import http.client
import json
import shlex
import sys
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import click

from ._desk import curl_option, with_lab_options
from ._settings import config_option, load

_PAUSE_SECONDS = 0.1
_TIMEOUT_SECONDS = 4.0  # less than what a health check is given
_PATH = "/health/ready"


@click.command()
@with_lab_options
@config_option
@click.option(
    "--wait",
    type=click.FloatRange(0, 86400),
    default=0.0,
    metavar="SECONDS",
    help="Ask again until it is ready, so long at most; the ready file may be yet to come.",
)
@curl_option
def ready(
    ready_file: Path | None, admin_url: str | None, config: Path | None, wait: float, curl: bool
) -> None:
    """Tell whether a running lab can work, by GET /health/ready; no token is needed.

    Exit status: 0 ready, 1 not ready or nobody answers, 2 could not run.
    """
    if _is_typed("ready_file") and _is_typed("admin_url"):
        raise click.UsageError("--ready-file and --admin-url name different labs; give one")
    if _is_typed("admin_url"):
        ready_file = None  # which the environment names
    url = admin_url or ("" if ready_file else _default_url(config))
    if curl:
        _print_curl(url if ready_file is None else _told_in(ready_file), wait)
        return
    end = time.monotonic() + wait
    while refusal := _look(ready_file, url):
        if time.monotonic() >= end:
            click.echo(f"not ready: {refusal}")
            sys.exit(1)
        time.sleep(_PAUSE_SECONDS)
    click.echo("ready")


def _look(ready_file: Path | None, url: str) -> str:
    """Return what keeps the lab from working; empty: nothing."""
    if ready_file is None:
        return _ask(url)
    try:
        return _ask(_told_in(ready_file))
    except FileNotFoundError:
        return f"there is no {ready_file} yet"


def _told_in(ready_file: Path) -> str:
    """Return the URL of the management listener; raises FileNotFoundError."""
    try:
        return str(json.loads(ready_file.read_text())["admin_url"])
    except (ValueError, KeyError, TypeError) as error:
        raise click.UsageError(f"{ready_file} is no ready file of a lab") from error


def _print_curl(url: str, wait: float) -> None:
    from lab.admin.asking import Call
    from lab.admin.curl import curl_line

    if wait:
        raise click.UsageError("--curl shows one call; --wait repeats it until the lab is ready")
    click.echo(curl_line(Call(method="GET", target=_PATH, body=None), shlex.quote(url.rstrip("/"))))


def _ask(url: str) -> str:
    parts = urlsplit(url)
    kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}.get(parts.scheme)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if kind is None or host is None:
        raise click.UsageError(f"{url!r} is no URL of a management listener, expected http://host:port")
    with closing(kind(host, port, timeout=_TIMEOUT_SECONDS)) as connection:
        try:
            connection.request("GET", parts.path.rstrip("/") + _PATH)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            return f"no lab answers at {url} ({error})"
    if response.status == http.client.OK:
        return ""
    try:
        return str(json.loads(content)["status"])
    except (ValueError, KeyError, TypeError):
        return f"what answers at {url} is no lab (HTTP {response.status})"


def _default_url(config: Path | None) -> str:
    return f"http://127.0.0.1:{load(config).settings.admin.port}"


def _is_typed(parameter: str) -> bool:
    """Tell whether an option was given on the command line, and not by the environment."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is click.core.ParameterSource.COMMANDLINE
