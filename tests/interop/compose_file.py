"""docker/compose.yaml as a value: variables put in, each service with what it is started with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DOCKER = Path(__file__).parents[2] / "docker"
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of ``volumes``: a named volume, or a file beside the compose file."""

    source: str
    target: str
    read_only: bool

    @property
    def is_volume(self) -> bool:
        return not self.source.startswith((".", "/"))


@dataclass(frozen=True, slots=True)
class Service:
    """One service, as it is written."""

    name: str
    words: Mapping[str, Any]

    @property
    def replicas(self) -> int:
        return int(self.words.get("deploy", {}).get("replicas", 1))

    @property
    def mounts(self) -> list[Mount]:
        found = []
        for line in self.words.get("volumes", []):
            source, target, *how = line.split(":")
            found.append(Mount(source, target, how == ["ro"]))
        return found

    @property
    def tmpfs(self) -> list[str]:
        return [str(path) for path in self.words.get("tmpfs", [])]

    @property
    def networks(self) -> set[str]:
        return set(self.words.get("networks", []))

    @property
    def environment(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.words.get("environment", {}).items()}

    @property
    def profiles(self) -> set[str]:
        return set(self.words.get("profiles", []))

    @property
    def depends_on(self) -> dict[str, str]:
        return {name: how["condition"] for name, how in self.words.get("depends_on", {}).items()}

    @property
    def health_check(self) -> list[str]:
        kind, *words = self.words["healthcheck"]["test"]
        assert kind == "CMD"
        return words

    @property
    def is_ours(self) -> bool:
        return "build" in self.words

    def command(self, image: Image) -> list[str]:
        """Return what is run: an entrypoint of one's own does away with the image's command, too."""
        entrypoint = self.words.get("entrypoint")
        command = self.words.get("command", image.command if entrypoint is None else [])
        return [*(image.entrypoint if entrypoint is None else entrypoint), *command]


@dataclass(frozen=True, slots=True)
class Image:
    """What docker/Dockerfile says of our image."""

    entrypoint: list[str]
    command: list[str]
    environment: dict[str, str]
    folder: str
    folders: dict[str, int]

    @classmethod
    def read(cls) -> Image:
        text = re.sub(r"^ *#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
        lines = text.replace("\\\n", " ").splitlines()
        last = {line.partition(" ")[0]: line.partition(" ")[2].strip() for line in lines}
        made = re.findall(r"install -d -m (\d+)((?: +/\S+)+)", text.replace("\\\n", " "))
        return cls(
            entrypoint=yaml.safe_load(last["ENTRYPOINT"]),
            command=yaml.safe_load(last["CMD"]),
            environment=dict(word.split("=", 1) for word in shlex.split(last["ENV"])),
            folder=last["WORKDIR"],
            folders={
                re.sub("^/data/", "/var/lib/", folder): int(mode, 8)
                for mode, folders in made
                for folder in folders.split()
            },
        )


def read_compose(
    file: str = "compose.yaml", variables: Mapping[str, str] | None = None
) -> tuple[dict[str, Service], dict[str, Any]]:
    """Return the services by name, and the whole file, with variables put in as compose does."""
    told = variables or {}

    def put_in(value: Any) -> Any:
        if isinstance(value, str):
            return _VARIABLE.sub(lambda found: told.get(found[1]) or found[2], value)
        if isinstance(value, list):
            return [put_in(one) for one in value]
        if isinstance(value, dict):
            return {key: put_in(one) for key, one in value.items()}
        return value

    content = put_in(yaml.safe_load((DOCKER / file).read_text()))
    return {name: Service(name, words) for name, words in content["services"].items()}, content
