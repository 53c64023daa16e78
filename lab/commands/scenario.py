"""``ndes-lab scenario``: known failures, reproduced, explained, cured, and shown to be cured."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ._output import json_option, print_json, print_rows
from ._progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.scenarios.engine import Scenario
    from lab.scenarios.engine.report import Line
    from lab.scenarios.engine.run import ScenarioResult

_COLOURS: Final = {"title": "bold", "heading": "bold cyan", "ok": "green", "bad": "bold red", "quiet": "dim"}


@click.group()
def scenario() -> None:
    """Reproduce a known failure end to end, then apply the cure and show that it works.

    Each scenario runs in a lab of its own, which is gone afterwards; a lab that runs is not touched.
    """


@scenario.command("list")
@click.option("--markdown", is_flag=True, help="Print the table in Markdown, as it is beside the files.")
@json_option
def list_all(markdown: bool, as_json: bool) -> None:
    """List the scenarios: name, what is wrong, and what is seen of it."""
    from lab.scenarios import scenarios
    from lab.scenarios.engine.report import index_of, scenario_json

    if markdown and as_json:
        raise click.UsageError("--markdown and --json exclude each other")
    found = scenarios().values()
    if as_json:
        print_json([scenario_json(one) for one in found])
    elif markdown:
        click.echo(index_of(found), nl=False)
    else:
        rows = ((one.name, one.title, one.symptom) for one in found)
        print_rows(("NAME", "WHAT IS WRONG", "SYMPTOM"), rows)


@scenario.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Explain a scenario without running it: why it fails, what is seen in the field, and the cure."""
    from lab.scenarios.engine.report import document_of, scenario_json

    (found,) = _named([name])
    if as_json:
        print_json(scenario_json(found))
    else:
        _print(document_of(found))


@scenario.command()
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option("--all", "run_all", is_flag=True, help="Run every scenario there is.")
@click.option(
    "--junit",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the results to FILE as JUnit XML, for CI.",
)
@json_option
def run(names: tuple[str, ...], run_all: bool, junit: Path | None, as_json: bool) -> None:
    """Run scenarios, each in a lab of its own: stage, symptom, cure, proof.

    One gets a full report, several get a table and a report of each that did not come out.
    Exit status: 0 all reproduced and cured, 1 one was not, 2 could not run.
    """
    if run_all == bool(names):
        raise click.UsageError("name the scenarios to run, or give --all")
    chosen = _named(None if run_all else names)
    if junit is not None:
        junit.touch()  # what cannot be written is told before anything runs
    results = _run(chosen)
    if junit is not None:
        from lab.scenarios.engine.junit import junit_xml

        junit.write_bytes(junit_xml(results))
    if as_json:
        from lab.scenarios.engine.report import result_json

        print_json([result_json(result) for result in results])
    else:
        _print_results(results)
    sys.exit(0 if all(result.passed for result in results) else 1)


def _run(chosen: list[Scenario]) -> list[ScenarioResult]:
    from ca.clock import SystemClock
    from ca.process.logs import log_to
    from lab.scenarios.engine.run import run_scenario

    log_to(sys.stderr, level="critical", log_format="auto")  # what goes wrong on purpose is in the report
    if len(chosen) == 1:
        return [run_scenario(chosen[0], clock=SystemClock())]
    results = []
    with progress_bar("Scenarios", len(chosen)) as advance:
        for one in chosen:
            results.append(run_scenario(one, clock=SystemClock()))
            advance(1)
    return results


def _named(names: Iterable[str] | None) -> list[Scenario]:
    """Return the scenarios of these names, or all of them."""
    from lab.scenarios import scenarios

    known = scenarios()
    chosen = []
    for name in dict.fromkeys(known if names is None else names):
        if name not in known:
            near = get_close_matches(name, known, n=3, cutoff=0.4)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"there is no scenario {name!r}{hint}; `ndes-lab scenario list` has all")
        chosen.append(known[name])
    return chosen


def _print_results(results: list[ScenarioResult]) -> None:
    from lab.scenarios.engine.report import report_of

    if len(results) == 1:
        _print(report_of(results[0]))
        return
    print_rows(
        ("NAME", "RESULT", "SECONDS", "SYMPTOM"),
        ((one.scenario.name, one.verdict, f"{one.seconds:.1f}", one.scenario.symptom) for one in results),
    )
    failed = [result for result in results if not result.passed]
    for result in failed:
        click.echo()
        _print(report_of(result))
    click.echo(f"{len(results) - len(failed)} of {len(results)} reproduced and cured")


def _print(lines: Iterable[Line]) -> None:
    """Print a report: folded and coloured on a terminal, as it is in a pipe."""
    if not sys.stdout.isatty():
        for line in lines:
            click.echo(line.text)
        return
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    for line in lines:
        content = line.text.lstrip(" ")
        text = Text(content, style=_COLOURS.get(line.style, ""), overflow="fold")
        console.print(Padding(text, (0, 0, 0, len(line.text) - len(content))))
