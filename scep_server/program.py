"""Settings of the program ``python -m scep_server``, and of every other that serves SCEP."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from ca.process.settings import Port, ProgramSettings, UnusableSettings
from ca.process.workers import ServingProgramSettings, WorkerSettings

from .ndes.settings import LogSettings, NdesSettings
from .settings import ScepSettings
from .transport import DEFAULT_ENDPOINT

DEFAULT_PORT = 8080


class ScepSections(ProgramSettings):
    """What says how SCEP is served, whichever program does."""

    scep: ScepSettings = ScepSettings()
    ndes: NdesSettings = NdesSettings()
    logs: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _ndes_and_scep_must_agree(self) -> Self:
        self.ndes.endpoint(self.scep.endpoints[DEFAULT_ENDPOINT])
        return self

    def with_registry(self) -> Self:
        """Return the settings with the endpoint at NDES's path as the registry values of ``ndes`` have it."""
        return self.model_copy(update={"scep": self.ndes.scep(self.scep, DEFAULT_ENDPOINT)})


class ScepWorkerSettings(WorkerSettings):
    """How the program serves."""

    port: Port = Field(default=DEFAULT_PORT, description="Port of SCEP and NDES; 0 is any free one")
    status_port: Port = Field(default=8083, description="Port of health and metrics; 0 is any free one")


class ScepServerSettings(ScepSections, ServingProgramSettings):
    """Everything that the program can be told."""

    server: ScepWorkerSettings = ScepWorkerSettings()

    def completed(self) -> Self:
        """Return the settings with what several processes need where nothing else is said.

        Raises:
            UnusableSettings: a file cannot be used, or what is said takes one process for all requests.

        """
        settings = super().completed()
        ndes = settings.ndes
        if "password_cache" in ndes.model_fields_set and ndes.password_cache == "memory":
            raise UnusableSettings(
                "ndes.password_cache is memory, which each of several processes would forget for all; "
                "leave it out, or make it store"
            )
        if "windows_authentication" in ndes.model_fields_set and ndes.windows_authentication:
            raise UnusableSettings(
                "ndes.windows_authentication is on, which needs every request of a connection in one "
                "process that knows the connection; leave it out, or use ndes-lab up"
            )
        several = {"password_cache": "store", "windows_authentication": False, "basic_authentication": True}
        return settings.model_copy(update={"ndes": ndes.model_copy(update=several)})
