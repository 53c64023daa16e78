"""``ndes-lab fault``: what goes wrong on purpose at a running lab."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ._desk import at_the_desk
from ._output import json_option, print_fields, print_json, print_models, print_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lab.admin import Desk
    from lab.admin.faults import FaultView
    from lab.faults.rules import RuleOrder, RuleView

_NOTHING = "-"
_Found = TypeVar("_Found")


@click.group()
def fault() -> None:
    """List what can go wrong on purpose, and say which exchanges meet it.

    Each fault is met in two ways: by a rule (fault set), or always, at the URL that fault show prints.
    """


@fault.command("list")
@click.option("--seam", metavar="NAME", help="Only those that sit there, such as wire or reply.")
@click.option("--rules", "only_rules", is_flag=True, help="The rules that are set, instead of the catalogue.")
@json_option
@at_the_desk
def list_(desk: Desk, seam: str | None, only_rules: bool, as_json: bool) -> None:
    """List the faults there are by seam, outermost first, with what a client must do about each.

    Where no lab runs and none is named, the faults of this installation are listed.
    """
    if only_rules:
        _print_rules(desk.faults.rules(), as_json)
        return
    from lab.admin.faults_local import CatalogueFaults
    from lab.faults.registry import Seam

    known = [each.value for each in Seam]
    if seam is not None and seam not in known:
        raise click.UsageError(f"there is no seam {seam!r}; known: {', '.join(known)}")
    wanted = None if seam is None else Seam(seam)
    found = _known(lambda: desk.faults.catalogue(wanted), lambda: CatalogueFaults().catalogue(wanted))
    if as_json:
        print_models(found)
        return
    for name, faults in groupby(found, key=lambda one: one.seam.value):
        click.echo(f"{name}")
        print_rows(
            ("FAULT", "A CLIENT", "TITLE"), ((one.id, one.client_must.value, one.title) for one in faults)
        )
        click.echo()


@fault.command("show")
@click.argument("fault_id", metavar="ID")
@json_option
@at_the_desk
def show(desk: Desk, fault_id: str, as_json: bool) -> None:
    """Show one fault, with the URL where it is always met.

    Where no lab runs and none is named, that is the path at the SCEP listener of any lab.
    """
    from lab.admin.faults_local import CatalogueFaults

    found = _known(lambda: desk.faults.show(fault_id), lambda: CatalogueFaults().show(fault_id))
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    print_fields(_fields(found))
    click.echo(f"\n{found.text}")


@fault.command("set")
@click.argument("fault_id", metavar="ID", required=False)
@click.option(
    "--sequence", metavar="ID,ID,-", help="Faults in turn, one to each matching exchange; - leaves one alone."
)
@click.option(
    "--match",
    "matches",
    multiple=True,
    metavar="WHAT=PATTERN",
    help="Only exchanges like this, such as operation=PKIOperation or subject=*device-7*; repeat it.",
)
@click.option(
    "--after", type=click.IntRange(0, 1_000_000), default=0, metavar="N", help="Leave N alone at first."
)
@click.option("--times", type=click.IntRange(1, 1_000_000), metavar="N", help="So often, and then no longer.")
@click.option("--chance", type=click.FloatRange(0, 1), metavar="P", help="With this probability.")
@click.option(
    "--seed", type=click.IntRange(0, (1 << 32) - 1), metavar="S", help="Of the chance, to repeat it."
)
@click.option(
    "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="Of the fault, as fault show says."
)
@click.option("--label", default="", help="A word for people.")
@json_option
@at_the_desk
def set_(
    desk: Desk,
    fault_id: str | None,
    sequence: str | None,
    matches: tuple[str, ...],
    after: int,
    times: int | None,
    chance: float | None,
    seed: int | None,
    parameters: tuple[str, ...],
    label: str,
    as_json: bool,
) -> None:
    """Have exchanges meet a fault, from the next one on, until the rule is cleared."""
    order = _order(
        {
            "fault": fault_id,
            "sequence": _turns(sequence),
            "match": _pairs("--match", matches),
            "after": after,
            "times": times,
            "chance": chance,
            "seed": seed,
            "parameters": _pairs("--parameter", parameters),
            "label": label,
        }
    )
    rule = desk.faults.add(order)
    if as_json:
        print_json(rule.model_dump(mode="json"))
        return
    _print_rules([rule], as_json=False)
    url = None if fault_id is None else desk.faults.show(fault_id).url
    if url is not None:
        click.echo(f"Always met at {url}", err=True)


@fault.command("clear")
@click.argument("rule_id", metavar="RULE", type=click.IntRange(min=1), required=False)
@json_option
@at_the_desk
def clear(desk: Desk, rule_id: int | None, as_json: bool) -> None:
    """Remove the rule with this number, as `fault list --rules` shows it, or all rules."""
    if rule_id is None:
        removed = desk.faults.clear().removed
    else:
        desk.faults.remove(rule_id)
        removed = 1
    if as_json:
        print_json({"removed": removed})
    else:
        click.echo("1 rule is removed." if removed == 1 else f"{removed} rules are removed.")


def _known(of_lab: Callable[[], _Found], of_all: Callable[[], _Found]) -> _Found:
    """Return what a lab says of the catalogue, or what holds for all where none runs and none was named."""
    from lab.admin.desk import NobodyThere

    try:
        return of_lab()
    except NobodyThere:
        given = click.get_current_context().params
        if given["ready_file"] is not None or given["admin_url"] is not None:
            raise
        return of_all()


def _turns(sequence: str | None) -> tuple[str | None, ...]:
    if sequence is None:
        return ()
    turns = (turn.strip() for turn in sequence.split(","))
    return tuple(None if turn == _NOTHING else turn for turn in turns)


def _pairs(option: str, given: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name or not value:
            raise click.UsageError(f"{option} {pair!r}: expected a name, =, and a value")
        if name in found:
            raise click.UsageError(f"{option} names {name} twice")
        found[name.replace("-", "_")] = value
    return found


def _order(wanted: dict[str, Any]) -> RuleOrder:
    from pydantic import ValidationError

    from ca.process.wording import described
    from lab.faults.rules import RuleOrder

    try:
        return RuleOrder.model_validate(wanted)
    except ValidationError as error:
        raise click.UsageError(described(error, "the rule", RuleOrder)) from error


def _fields(found: FaultView) -> list[tuple[str, object]]:
    return [
        ("Fault", found.id),
        ("A client", found.client_must.value),
        ("Clause", found.clause),
        ("Windows shows", found.symptom),
        ("Met on", found.step.value),
        ("Applied to", ", ".join(found.operations) if found.operations else "wherever it can be"),
        ("Parameters", _named_values(found.parameters)),
        ("Limits", _named_values(found.limits)),
        ("Always met at", found.url),
    ]


def _named_values(values: Mapping[str, object]) -> str | None:
    return ", ".join(f"{name}={value}" for name, value in values.items()) or None


def _print_rules(rules: Sequence[RuleView], as_json: bool) -> None:
    if as_json:
        print_models(rules)
        return
    print_rows(
        ("RULE", "FAULTS", "MATCH", "AFTER", "TIMES", "CHANCE", "PARAMETERS", "HITS", "LEFT", "LABEL"),
        (
            (
                one.id,
                ", ".join(each or _NOTHING for each in one.faults),
                _named_values(one.match.model_dump(exclude_none=True)),
                one.after or None,
                one.times,
                None if one.chance is None else f"{one.chance:g}, seed {one.seed}",
                _named_values(one.parameters),
                one.hits,
                one.left,
                one.label or None,
            )
            for one in rules
        ),
    )
