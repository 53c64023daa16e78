"""Settings of the publisher."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field


class PublisherSettings(BaseModel):
    """How CRLs and CA certificates are handed out, and how often the schedule is looked at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cache_seconds: int = Field(
        default=0,
        ge=0,
        description="Cache-Control max-age of every file; 0 sends no Cache-Control, as IIS does",
    )
    retry_seconds: int = Field(
        default=60, ge=1, le=86_400, description="Pause before a publication that failed is tried again"
    )

    @property
    def retry(self) -> timedelta:
        """Pause before a publication that failed is tried again."""
        return timedelta(seconds=self.retry_seconds)
