"""Worker processes that serve one WSGI application: how many, and how they are begun and ended."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .settings import Port, ServingSettings


class WorkerSettings(ServingSettings):
    """How a program of several processes serves."""

    port: Port = Field(default=0, description="Port; 0 is any free one")
    status_host: str = Field(
        default="127.0.0.1", min_length=1, description="Address of the listener for health and metrics"
    )
    status_port: Port = Field(default=0, description="Its port; 0 is any free one")
    workers: Annotated[int, Field(ge=1, le=256)] | None = Field(
        default=None, description="Processes that answer; none: one for each processor"
    )
    threads: Annotated[int, Field(ge=1, le=256)] = Field(
        default=4, description="Requests that each process works on at once"
    )
