"""How results look: tables on a terminal, tab-separated lines in a pipe, JSON when asked."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import BaseModel


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(content: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(content, indent=2))


def print_models(models: Iterable[BaseModel], *, leave_out: frozenset[str] = frozenset()) -> None:
    """Print models as a JSON list."""
    print_json([model.model_dump(mode="json", exclude=set(leave_out)) for model in models])


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table."""
    shown = [[text(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for line in (columns, *shown):
            click.echo("\t".join(line))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for line in shown:
        table.add_row(*(Text(cell, overflow="fold") for cell in line))
    Console().print(table)


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one a line."""
    shown = [(name, text(value)) for name, value in fields]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        click.echo(f"{name:<{width}}  {value}".rstrip())


def text(value: object) -> str:
    """Return a value for people; control characters of strangers are escaped."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    if isinstance(value, Enum):
        return str(value.value)
    found = str(value)
    return found if found.isprintable() else ascii(found)[1:-1]
