"""The journal: every exchange at the SCEP and PKI listeners."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from lab.admin.desk import NotFound
from lab.admin.journal import EntryListQuery, EntryPage, EntryQuery, EntryView
from lab.admin.operation import AdminContext, Resource

resource = Resource("journal", "Every exchange at the SCEP and PKI listeners.")


def _number_or_last(given: object, read: ValidatorFunctionWrapHandler) -> object:
    try:
        return read(given)
    except ValidationError as error:
        raise ValueError("expected the number of an entry, which is 1 or more, or last") from error


EntryNumber = Annotated[
    Annotated[int, Field(ge=1, lt=1 << 63)] | Literal["last"],
    WrapValidator(_number_or_last),
    Field(description="Number of an entry, or last: the newest"),
]


@resource.get("/api/v1/journal")
def list_entries(context: AdminContext, query: EntryListQuery) -> EntryPage:
    """Show entries, oldest first, a line each.

    With wait_seconds the answer comes as soon as there is an entry that matches, or when that time is up;
    ask again with after = last_seen to follow. Fewer seconds are waited where many wait already.
    """
    return context.desk.journal.entries(query)


@resource.get("/api/v1/journal/{number}", errors=(NotFound,))
def show_entry(context: AdminContext, number: EntryNumber, query: EntryQuery) -> EntryView:
    """Show one entry whole: octets in Base64, what they say, every check, the certificate, the faults."""
    if number != "last":
        return context.desk.journal.entry(number, query)
    newest = context.desk.journal.entries(EntryListQuery(newest=True, limit=1)).entries
    if not newest:
        raise NotFound("the journal is empty")
    return context.desk.journal.entry(newest[0].number, query)


@resource.delete("/api/v1/journal", status=204)
def clear_journal(context: AdminContext) -> None:
    """Forget all entries; numbers begin at 1 again."""
    context.desk.journal.clear()
