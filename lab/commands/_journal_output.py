"""How the journal looks on a terminal: an entry in a line, an entry whole, differences."""

from __future__ import annotations

import sys
from datetime import UTC
from typing import TYPE_CHECKING

import click

from ._output import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lab.admin.journal import EntryRow, EntryView
    from lab.decoding import Node
    from lab.journal import JournalEntry
    from lab.journal.difference import Difference
    from lab.recorded import RecordedAnswer

COLUMNS = ("ID", "TIME", "CLIENT", "WHAT", "SUBJECT", "OUTCOME", "REFUSED BY", "FAULTS", "MS")
_WIDTHS = (5, 23, 15, 24, 24, 18, 20, 28, 0)


def cells(row: EntryRow) -> tuple[str, ...]:
    """Return an entry's cells for a table with `COLUMNS`."""
    shown = (
        row.number,
        f"{row.received_at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3],
        row.client_address,
        row.what,
        row.subject,
        row.outcome,
        row.refused_by,
        ",".join(row.faults) or None,
        f"{row.seconds * 1000:.1f}",
    )
    return tuple(text(value) for value in shown)


def line(row: EntryRow) -> str:
    """Return an entry in one line: in columns on a terminal, between tabs otherwise."""
    shown = cells(row)
    if not sys.stdout.isatty():
        return "\t".join(shown)
    return " ".join(f"{cell:<{width}}" for cell, width in zip(shown, _WIDTHS, strict=True)).rstrip()


def print_entry(view: EntryView, *, trees: Iterable[tuple[str, Sequence[Node]]], whole: bool) -> None:
    """Print an entry whole; ``trees`` are titles and what comes below them."""
    entry = view.entry()
    for name, value in _facts(entry):
        click.echo(f"{name:<12} {text(value)}".rstrip())
    _print_checks(entry)
    for title, nodes in trees:
        if nodes:
            click.echo(f"\n{title}")
            for node in nodes:
                click.echo(node.as_text(1, brief=not whole))


def _facts(entry: JournalEntry) -> Iterator[tuple[str, object]]:
    request, answer, verdict = entry.request, entry.answer, entry.verdict
    yield "Entry", f"{entry.number}, {entry.received_at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}Z"
    if entry.clock_offset:
        yield "Clock", f"{entry.clock_offset} away from the machine's"
    yield "Client", f"{request.client_address} at the {entry.listener} listener"
    yield (
        "Request",
        f"{request.method} {_short(request.target)} {request.protocol}, {entry.request_octets} octets",
    )
    if entry.operation is not None:
        yield "Operation", entry.what + (f", endpoint {entry.endpoint}" if entry.endpoint else "")
    if entry.transaction_id is not None:
        yield "Transaction", entry.transaction_id
    if entry.subject is not None:
        yield "Subject", entry.subject or "(empty)"
    yield "Answer", f"HTTP {answer.status} {answer.reason}, {entry.answer_octets} octets"
    if answer.delivery:
        yield "Delivery", answer.delivery
    refused = f", refused by {verdict.refused_by}" if verdict.refused_by else ""
    yield "Verdict", ("accepted" if verdict.accepted else "not accepted") + f": {verdict.word}{refused}"
    if verdict.detail:
        yield "", verdict.detail
    if entry.certificate is not None:
        issued = entry.certificate
        yield "Certificate", f"{issued.id}, {issued.subject}, serial number {issued.serial_number}"
    for fault in entry.faults:
        why = "by URL" if fault.rule_id is None else f"rule {fault.rule_id}"
        said = ", ".join(f"{name}={value}" for name, value in fault.parameters.items())
        yield "Fault", f"{fault.fault_id} ({why}{', ' + said if said else ''})"
    stages = ", ".join(f"{stage} {seconds * 1000:.1f}" for stage, seconds in entry.timings)
    yield "Took", f"{entry.seconds * 1000:.1f} ms" + (f": {stages}" if stages else "")


def _short(target: str) -> str:
    return target if len(target) <= 200 else f"{target[:160]}... ({len(target)} characters)"


def _print_checks(entry: JournalEntry) -> None:
    if not entry.checks:
        return
    click.echo("\nChecks")
    width = max(len(check.name) for check in entry.checks)
    for check in entry.checks:
        expected = f", expected {text(check.expected)}" if check.expected else ""
        said = f"{text(check.found)}{expected}" if check.found or expected else ""
        click.echo(
            f"  {check.verdict.value:<8} {check.name:<{width}}  {said}".rstrip() + f"  ({check.clause})"
        )


def print_answer(answer: RecordedAnswer, trees: Sequence[Node], *, whole: bool) -> None:
    """Print an answer that has just come."""
    click.echo(f"HTTP {answer.status} {text(answer.reason)}, {len(answer.body)} octets")
    for node in trees:
        click.echo(node.as_text(1, brief=not whole))


def print_differences(left: str, right: str, found: Sequence[Difference]) -> None:
    """Print how two things differ, attribute by attribute."""
    if not found:
        click.echo(f"{left} and {right} do not differ.")
        return
    width = max(len(left), len(right))
    for difference in found:
        click.echo(text(difference.place) + (": in another order" if difference.kind == "order" else ""))
        for name, value in ((left, difference.left), (right, difference.right)):
            click.echo(f"  {name:<{width}}  {'-' if value is None else text(value) or '(empty)'}")
