"""What can be read of the journal at the desk: the models, and the desk as a protocol.

Does not live here: how it is done (`journal_local`), or asked for over HTTP (`journal_remote`).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, Self

from pydantic import Field

from lab.journal.query import LISTED_AT_ONCE, JournalQuery
from lab.journal.records import EntryRecord

from .models import ApiModel

if TYPE_CHECKING:
    from lab.decoding import Node
    from lab.journal import JournalEntry
    from lab.journal.trees import EntryTrees

LONGEST_WAIT_SECONDS = 30


class EntryListQuery(JournalQuery):
    """Which entries to list, and whether to wait for one."""

    limit: Annotated[int, Field(ge=1, le=LISTED_AT_ONCE)] = Field(
        default=LISTED_AT_ONCE, description="How many are listed at once"
    )
    newest: bool = Field(default=False, description="List the newest that match, not the oldest")
    wait_seconds: Annotated[float, Field(ge=0, le=LONGEST_WAIT_SECONDS, allow_inf_nan=False)] = Field(
        default=0,
        description="How long to wait for an entry where none matches; less where many wait already",
    )


class EntryQuery(ApiModel):
    """How an entry is shown."""

    secrets: bool = Field(
        default=False, description="Show challenge passwords, where the lab has seen them since its start"
    )
    trees: bool = Field(default=True, description="Also say what the octets mean")


class EntryRow(ApiModel):
    """An entry in a line; ``what`` is the SCEP operation and message, or method and path."""

    number: int
    received_at: datetime
    listener: Literal["scep", "pki"]
    client_address: str
    user_agent: str | None
    what: str
    endpoint: str | None
    operation: str | None
    message_type: str | None
    transaction_id: str | None
    subject: str | None
    accepted: bool
    outcome: str
    status: int
    pki_status: str | None
    fail_info: str | None
    refused_by: str | None
    detail: str
    faults: tuple[str, ...]
    certificate_id: int | None
    serial_number: str | None
    seconds: float

    @classmethod
    def of(cls, entry: JournalEntry) -> Self:
        """Return an entry in a line."""
        verdict, certificate = entry.verdict, entry.certificate
        return cls(
            number=entry.number,
            received_at=entry.received_at,
            listener=entry.listener,
            client_address=entry.request.client_address,
            user_agent=entry.request.header("User-Agent"),
            what=entry.what,
            endpoint=entry.endpoint,
            operation=entry.operation,
            message_type=entry.message_type,
            transaction_id=entry.transaction_id,
            subject=entry.subject,
            accepted=verdict.accepted,
            outcome=verdict.word,
            status=verdict.status,
            pki_status=verdict.pki_status,
            fail_info=verdict.fail_info,
            refused_by=verdict.refused_by,
            detail=verdict.detail,
            faults=tuple(fault.fault_id for fault in entry.faults),
            certificate_id=certificate.id if certificate else None,
            serial_number=certificate.serial_number if certificate else None,
            seconds=entry.seconds,
        )


class EntryPage(ApiModel):
    """Entries, oldest first.

    ``last_seen`` is the number up to which this page tells all that matches: to be asked for as ``after``
    next. ``more``: further entries that match are there already.
    """

    entries: tuple[EntryRow, ...]
    last_seen: int
    more: bool


class NodeView(ApiModel):
    """A named thing in a decoded message, with a value, a note for people, and what it consists of."""

    name: str
    value: str
    note: str
    children: tuple[NodeView, ...]

    @classmethod
    def of(cls, node: Node) -> Self:
        """Return the view of a tree."""
        return cls(
            name=node.name,
            value=node.value,
            note=node.note,
            children=tuple(NodeView.of(child) for child in node.children),
        )

    def node(self) -> Node:
        """Return the tree itself."""
        from lab.decoding import Node

        return Node(
            name=self.name,
            value=self.value,
            note=self.note,
            children=tuple(child.node() for child in self.children),
        )


class EntryView(EntryRecord):
    """An exchange whole, with its octets and what they say.

    The request's tree has the content of its envelope as the server saw it. Both are empty where they were
    not asked for.
    """

    request_tree: tuple[NodeView, ...]
    answer_tree: tuple[NodeView, ...]

    def trees(self) -> EntryTrees:
        """Return what the octets say."""
        from lab.journal.trees import EntryTrees

        return EntryTrees(
            request=tuple(view.node() for view in self.request_tree),
            answer=tuple(view.node() for view in self.answer_tree),
        )


class JournalDesk(Protocol):
    """The journal; every method raises leaves of `DeskError`."""

    def entries(self, query: EntryListQuery) -> EntryPage:
        """Return entries, oldest first; with ``wait_seconds`` not before there is one, or time is up."""

    def entry(self, number: int, query: EntryQuery) -> EntryView:
        """Return one entry whole."""

    def clear(self) -> None:
        """Forget all entries; numbers begin at 1 again."""
