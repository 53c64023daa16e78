"""What a lab may be told about its faults."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class FaultSettings(BaseModel):
    """Faults: those of URLs, and how they show."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    urls: bool = Field(default=True, description="Serve /fault/<id>/..., where that fault is always met")
    header: bool = Field(
        default=True, description="Name the faults of an answer in its header field X-Ndes-Lab-Fault"
    )
