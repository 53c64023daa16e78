"""``ndes-lab load``: how much a SCEP server bears, and how fast it answers."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

import click

from ._output import json_option, print_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.load.messages import Kind
    from lab.load.report import LoadReport
    from lab.load.running import LoadOrder, Progress


@click.command()
@click.argument("url")
@click.option("--requests", "-n", default=1000, type=click.IntRange(1, 1_000_000), show_default=True)
@click.option("--concurrency", "-c", default=8, type=click.IntRange(1, 1024), show_default=True)
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Requests a second; else as fast as answered."
)
@click.option(
    "--mix",
    default="enrol=1",
    show_default=True,
    metavar="KIND=PARTS,...",
    help="What is sent: enrol, renew, repeat (a request answered before), cacert, cacaps.",
)
@click.option("--warm-up", default=20, type=click.IntRange(0, 100_000), show_default=True)
@click.option(
    "--challenge-file",
    type=click.File("r"),
    metavar="FILE",
    help="Challenges, one a line: a single static one, or one for each enrolment; - is standard input.",
)
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Have the running lab that wrote this file make the challenges.",
)
@click.option("--key-bits", default=2048, type=click.Choice([1024, 2048, 3072, 4096]), show_default=True)
@click.option("--timeout", default=30.0, type=click.FloatRange(0.1, 600), show_default=True)
@click.option("--processes", default=2, type=click.IntRange(1, 64), help="That make the messages beforehand.")
@json_option
def load(
    url: str,
    requests: int,
    concurrency: int,
    rate: float | None,
    mix: str,
    warm_up: int,
    challenge_file: TextIO | None,
    ready_file: Path | None,
    key_bits: int,
    timeout: float,
    processes: int,
    as_json: bool,
) -> None:
    """Send SCEP requests to URL from many connections at once, and tell rate, latencies and failures.

    Keys and messages are made before the load begins. Keys share primes and are good for nothing else.
    Exit status: 0 all went well, 1 some did not, 2 could not run.
    """
    from lab.load.messages import CannotPrepare, Target
    from lab.load.running import LoadOrder, make_requests, run
    from lab.load.sending import Load

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.path.strip("/"):
        raise click.UsageError(f"{url!r} is no URL of a SCEP server, expected such as http://host/scep")
    order = LoadOrder(
        requests=requests,
        mix=_mix(mix),
        load=Load(concurrency=concurrency, rate=rate, timeout=timeout),
        warm_up=warm_up,
        key_bits=key_bits,
        processes=processes,
    )
    order = _with_challenges(order, challenge_file, ready_file)
    target = Target(url=url)
    try:
        with _progress() as progress:
            report = run(target, make_requests(target, order, progress), order, progress)
    except CannotPrepare as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        _print(report)
    sys.exit(0 if report.good == report.requests else 1)


def _mix(text: str) -> dict[Kind, int]:
    from lab.load.messages import Kind

    known = {kind.value: kind for kind in Kind}
    found: dict[Kind, int] = {}
    for part in text.split(","):
        name, _, parts = part.strip().partition("=")
        if name not in known or not (parts or "1").isdecimal() or not 0 < int(parts or 1) <= 1000:
            raise click.UsageError(
                f"--mix has {part.strip()!r}, expected KIND=PARTS with KIND one of {', '.join(known)}"
            )
        found[known[name]] = int(parts or 1)
    return found


def _with_challenges(order: LoadOrder, file: TextIO | None, ready_file: Path | None) -> LoadOrder:
    from dataclasses import replace

    if file is not None and ready_file is not None:
        raise click.UsageError("--challenge-file and --ready-file are two sources of challenges; give one")
    if file is not None:
        return replace(order, challenges=[line.strip() for line in file if line.strip()])
    if ready_file is None or not order.enrolments:
        return order
    from pathlib import Path

    from lab.admin.models import ChallengeOrder
    from lab.admin.remote import RemoteDesk
    from lab.ready import read_ready_file

    facts = read_ready_file(Path(ready_file))
    desk = RemoteDesk.at(facts.admin_url, facts.admin_token)
    wanted = ChallengeOrder.model_validate({"kind": "static", "label": "load", "validity_minutes": 60})
    return replace(order, challenges=[desk.new_challenge(wanted).password])


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """Show how far keys, messages and requests are, on standard error where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        tasks = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(stage, total=total)
            shown.update(tasks[stage], completed=done)

        yield tell


def _print(report: LoadReport) -> None:
    rows = []
    for kind in report.kinds:
        took = kind.latencies
        times = (took.p50, took.p95, took.p99, took.longest) if took else ("-",) * 4
        rows.append((kind.kind, kind.requests, kind.good, kind.per_second, *times))
    print_rows(("kind", "requests", "good", "a second", "p50 ms", "p95 ms", "p99 ms", "longest ms"), rows)
    problems = [(kind.kind, text, count) for kind in report.kinds for text, count in kind.problems.items()]
    if problems:
        click.echo()
        print_rows(("kind", "failure", "count"), problems)
    click.echo(f"\n{report.per_second} good answers a second, {report.concurrency} connections", err=True)
