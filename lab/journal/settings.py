"""How much of what happens a lab keeps, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from pathlib import Path


class JournalSettings(BaseModel):
    """The journal of exchanges at the SCEP and PKI listeners."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    files: bool = Field(
        default=False,
        description="Also write it to files, in journal/ in the data folder; secrets are blanked there",
    )
    keep: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        default=1000, description="How many exchanges are kept, in memory and in files each"
    )
    keep_octets: Annotated[int, Field(ge=1 << 16, le=1 << 40)] = Field(
        default=64 << 20, description="How many octets they may take, in memory and in files each"
    )
    body_octets: Annotated[int, Field(ge=1, le=1 << 30)] = Field(
        default=1 << 20, description="How many octets of a request or answer are kept"
    )


def journal_folder(data_dir: Path) -> Path:
    """Return the folder of the journal's files."""
    return data_dir / "journal"
