"""Settings of the program ``python -m crl_publisher``, and of every other that publishes."""

from __future__ import annotations

from pydantic import Field

from ca.process.settings import Port, ProgramSettings
from ca.process.workers import ServingProgramSettings, WorkerSettings

from .settings import PublisherSettings

DEFAULT_PORT = 8081


class PublisherSections(ProgramSettings):
    """What says how CRLs and CA certificates are published, whichever program does."""

    publisher: PublisherSettings = PublisherSettings()


class PublisherWorkerSettings(WorkerSettings):
    """How the program serves."""

    port: Port = Field(
        default=DEFAULT_PORT, description="Port of CRLs, CA certificates and OCSP; 0 is any free one"
    )
    status_port: Port = Field(default=8084, description="Port of health and metrics; 0 is any free one")


class CrlPublisherSettings(PublisherSections, ServingProgramSettings):
    """Everything that the program can be told."""

    server: PublisherWorkerSettings = PublisherWorkerSettings()
