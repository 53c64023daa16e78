"""Which entries of a journal one wants to see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from .entry import JournalEntry

_Text = Annotated[str, Field(min_length=1, max_length=500)]
LISTED_AT_ONCE = 1000


class JournalQuery(BaseModel):
    """What entries must have; None is anything. Texts are compared without regard to case.

    ``operation``, ``message_type``, ``transaction_id``, ``client_address`` and ``refused_by`` must be equal
    to the whole, ``subject``, ``path`` and ``fault`` to a part.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    after: int = Field(default=0, ge=0, description="Only entries with greater numbers")
    listener: Literal["scep", "pki"] | None = Field(default=None, description="Where it came in")
    operation: _Text | None = Field(default=None, description="SCEP operation, such as PKIOperation")
    message_type: _Text | None = Field(default=None, description="Such as PKCSReq")
    transaction_id: _Text | None = Field(default=None, description="transactionID")
    subject: _Text | None = Field(default=None, description="Part of the subject asked for")
    client_address: _Text | None = Field(default=None, description="Address of the client")
    path: _Text | None = Field(default=None, description="Part of path and query")
    refused_by: _Text | None = Field(default=None, description="Check or error that refused it")
    fault: _Text | None = Field(default=None, description="Part of the id of a fault that was applied")
    accepted: bool | None = Field(default=None, description="Whether it was accepted; PENDING is")
    status: Annotated[int, Field(ge=100, le=999)] | None = Field(default=None, description="HTTP status")

    def matches(self, entry: JournalEntry) -> bool:
        """Tell whether an entry is one of those wanted."""
        verdict = entry.verdict
        return (
            entry.number > self.after
            and self.listener in (None, entry.listener)
            and self.accepted in (None, verdict.accepted)
            and self.status in (None, verdict.status)
            and _is(self.operation, entry.operation)
            and _is(self.message_type, entry.message_type)
            and _is(self.transaction_id, entry.transaction_id)
            and _is(self.client_address, entry.request.client_address)
            and _is(self.refused_by, verdict.refused_by)
            and _is_in(self.subject, entry.subject)
            and _is_in(self.path, entry.request.target)
            and (self.fault is None or any(_is_in(self.fault, each.fault_id) for each in entry.faults))
        )


def _is(wanted: str | None, found: str | None) -> bool:
    return wanted is None or (found is not None and wanted.casefold() == found.casefold())


def _is_in(wanted: str | None, found: str | None) -> bool:
    return wanted is None or (found is not None and wanted.casefold() in found.casefold())
