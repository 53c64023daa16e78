"""``ndes-lab health``: every certificate and location of a PKI, in the words of Enterprise PKI."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._desk import DeskOptions, curl_option, print_curl, running_desk, with_lab_options
from ._output import json_option, print_rows
from ._settings import config_option, data_dir_option

if TYPE_CHECKING:
    from lab.health import HealthReport, HealthRow


@click.command()
@with_lab_options
@data_dir_option
@config_option
@click.option(
    "--url",
    metavar="URL",
    help="With --data-dir: fetch from this scheme, host and port, whatever the certificates name.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings (Expiring) too.")
@json_option
@curl_option
def health(
    ready_file: Path | None,
    admin_url: str | None,
    data_dir: Path | None,
    config: Path | None,
    url: str | None,
    strict: bool,
    as_json: bool,
    curl: bool,
) -> None:
    """Fetch and verify every CA certificate, AIA, CDP, delta CRL and OCSP location, and RA certificate.

    With --data-dir the certificates in the folder say what to look at; no key is needed.
    Exit status: 0 fine or only warnings, 1 an error (with --strict: or a warning), 2 could not run.
    """
    if url is not None and data_dir is None:
        raise click.UsageError("--url goes with --data-dir")
    options = DeskOptions(ready_file=ready_file, admin_url=admin_url, data_dir=data_dir, config=config)
    if curl:
        print_curl(options, lambda desk: desk.health())
        return
    if data_dir is None:
        report = running_desk(options).health()
    elif _names_a_lab():
        raise click.UsageError("--data-dir and a running lab exclude each other; give one")
    else:
        report = _of_folder(data_dir, url)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        _print(report)
    sys.exit(1 if report.status == "Error" or (strict and report.status == "Warning") else 0)


def _names_a_lab() -> bool:
    context = click.get_current_context()
    command_line = click.core.ParameterSource.COMMANDLINE
    return any(context.get_parameter_source(name) is command_line for name in ("ready_file", "admin_url"))


def _of_folder(data_dir: Path, url: str | None) -> HealthReport:
    from ca.clock import SystemClock
    from ca.folders import PkiFolder
    from lab.health import subjects_of_folder
    from lab.health.examine import examine
    from lab.trust import HttpUrlFetcher, UnreadableCertificate, UrlFetcher
    from lab.trust.fetch import RedirectedFetcher

    fetcher: UrlFetcher = HttpUrlFetcher(user_agent="ndes-lab health")
    if url is not None:
        fetcher = RedirectedFetcher(fetcher, url)
    try:
        subjects = subjects_of_folder(PkiFolder(data_dir))
    except UnreadableCertificate as error:
        raise click.UsageError(f"{data_dir}: {error}") from error
    return examine(subjects, fetcher=fetcher, at=SystemClock().now(), entropy=os.urandom)


def _print(report: HealthReport) -> None:
    print_rows(
        ("CA", "NAME", "STATUS", "EXPIRES", "LOCATION", "DETAIL"),
        ((row.authority, row.name, row.status, row.ends, row.url, _detail(row)) for row in report.rows),
    )
    wrong = sum(row.is_error for row in report.rows)
    click.echo(f"{report.status}: {wrong} of {len(report.rows)} rows in error")


def _detail(row: HealthRow) -> str | None:
    states = ", ".join(state.value for state in row.states)
    return "; ".join(part for part in (states, row.detail) if part) or None
