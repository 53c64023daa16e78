"""The container image: what its recipe promises, and, where it is asked for, the image itself.

`NDES_LAB_IMAGE=1` builds it and tries it (`docker/verify`), which takes minutes, root, buildah, crun and
debootstrap.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ca.process import settings as sources
from ca.process.settings import ProgramSettings
from crl_publisher.program import CrlPublisherSettings
from lab.commands import main
from lab.settings import LabSettings, load_settings
from scep_server.program import ScepServerSettings

TOP = Path(__file__).parents[2]
DOCKER = TOP / "docker"
ASKED = "NDES_LAB_IMAGE"
EXTRAS = ("postgres", "scale")
PUBLIC_HOST = "NDES_LAB_SERVER__PUBLIC_HOST"
FILES = sorted(path for path in DOCKER.rglob("*") if path.is_file() and path.suffix != ".pyc")
REGISTRY = re.compile(
    r"https?://(?!localhost|127\.|\w+\.example)[\w-]+\.[\w.-]+|\b[\w-]+\.(?:io|com|org)/[\w/-]+"
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words of an exec form; a shell form has none."""
        found = json.loads(self.text) if self.text.startswith("[") else []
        assert isinstance(found, list)
        return [str(word) for word in found]


def stages() -> list[list[Instruction]]:
    """The Dockerfile's instructions, those before the first FROM first."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    found: list[list[Instruction]] = [[]]
    for line in filter(None, text.replace("\\\n", " ").splitlines()):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append(Instruction(name, rest.strip()))
    return found


ARGUMENTS, BUILD, IMAGE = stages()


def only(name: str) -> Instruction:
    (found,) = (one for one in IMAGE if one.name == name)
    return found


def environment() -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(only("ENV").text))


def copied() -> set[str]:
    """What is copied from the build context."""
    words = [shlex.split(one.text) for one in (*BUILD, *IMAGE) if one.name == "COPY"]
    return {source for sources in words if "--from=build" not in sources for source in sources[:-1]}


# -- base and index --------------------------------------------------------------------


def test_base_image_and_index_are_arguments() -> None:
    assert [one.text.partition("=")[0] for one in ARGUMENTS] == ["BASE_IMAGE"]
    bases = [one.text.split()[0] for stage in (BUILD, IMAGE) for one in stage if one.name == "FROM"]
    assert bases == ["${BASE_IMAGE}"] * 2
    told = {one.text for one in BUILD if one.name == "ARG"}
    assert {"PIP_INDEX_URL", "PIP_CERT"} <= told


def test_the_index_and_what_may_be_in_its_url_stay_out_of_the_image() -> None:
    assert not [one for one in IMAGE if "PIP_" in one.text]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.name))
def test_no_registry_is_named(path: Path) -> None:
    assert not REGISTRY.findall(path.read_text())


# -- what is in it ---------------------------------------------------------------------


def test_only_what_is_copied_gets_into_the_build() -> None:
    lines = [line for line in (TOP / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied()
    assert "**/__pycache__" in lines
    assert all((TOP / name).exists() for name in copied())


def test_every_package_is_in_the_build() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= copied()


def test_the_pins_are_what_the_project_needs() -> None:
    lines = (DOCKER / "requirements.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert list(pins) == sorted(canonicalize_name(name) for name in pins)
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in EXTRAS:
        wanted += project["optional-dependencies"][extra]
    for needed in map(Requirement, wanted):
        assert needed.specifier.contains(pins[canonicalize_name(needed.name)]), f"{needed}: make image-pins"
    assert f"[{','.join(EXTRAS)}]" in (DOCKER / "pin").read_text()


# -- how it runs -----------------------------------------------------------------------


def test_it_does_not_run_as_root() -> None:
    user, _, group = only("USER").text.partition(":")
    assert int(user) > 0
    assert int(group) > 0


def test_all_it_writes_is_in_its_one_volume() -> None:
    (volume,) = only("VOLUME").words
    told = environment()
    settings = load_settings({}, told, None).settings
    assert settings.server.data_dir == Path(volume)
    assert Path(told["NDES_LAB_UP_READY_FILE"]).parent == Path(volume)
    assert told["NDES_LAB_READY_FILE"] == told["NDES_LAB_UP_READY_FILE"]
    assert told["TMPDIR"] == only("WORKDIR").text == volume


@pytest.mark.parametrize("program", [ScepServerSettings, CrlPublisherSettings])
def test_programs_can_be_told_what_the_image_tells(program: type[ProgramSettings]) -> None:
    loaded = sources.load_settings(program, {}, environment(), DOCKER / "chain.toml")
    assert loaded.settings.server.host == "0.0.0.0"
    assert str(loaded.settings.server.data_dir) == only("WORKDIR").text


def test_it_is_reached_at_published_ports_and_management_only_with_a_token() -> None:
    settings = load_settings({}, environment(), DOCKER / "lab.toml").settings
    server = settings.server
    assert (server.host, server.public_host) == ("0.0.0.0", "localhost")
    ports = (server.port, server.pki_port, settings.admin.port)
    assert only("EXPOSE").text.split() == [str(port) for port in ports]
    assert settings.admin.make_token
    assert settings.admin.host is None
    assert settings.admin.token is None


def test_settings_may_be_mounted_where_the_image_looks_for_them() -> None:
    place = environment()["NDES_LAB_CONFIG"]
    assert f"docker/lab.toml {place}" in [one.text for one in IMAGE if one.name == "COPY"]
    LabSettings.model_validate(tomllib.loads((DOCKER / "lab.toml").read_text()))


def test_signals_reach_our_own_process() -> None:
    assert only("ENTRYPOINT").words == ["ndes-lab"]
    assert only("CMD").words == ["up"]
    assert not [one for one in IMAGE if one.name == "SHELL"]


def test_its_health_check_is_a_command_of_ours() -> None:
    options, _, check = only("HEALTHCHECK").text.partition("CMD ")
    assert {"--interval", "--timeout", "--start-period"} <= {word.split("=")[0] for word in options.split()}
    program, name = json.loads(check)
    assert program == "ndes-lab"
    assert main.get_command(click.Context(main), name) is not None


def test_it_is_labelled() -> None:
    labels = dict(word.split("=", 1) for word in shlex.split(only("LABEL").text))
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    assert labels["org.opencontainers.image.title"] == project["name"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]
    assert labels["org.opencontainers.image.version"] == "${VERSION}"
    assert f"VERSION={project['version']}" in [one.text for one in IMAGE if one.name == "ARG"]


# -- the composition -------------------------------------------------------------------


def test_the_service_is_the_image_with_its_ports_its_volume_and_its_health_check() -> None:
    composed = yaml.safe_load((DOCKER / "lab.compose.yaml").read_text())
    (service,) = composed["services"].values()
    assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).samefile(
        DOCKER / "Dockerfile"
    )
    host = "${NDES_LAB_BIND:-127.0.0.1}"
    assert service["ports"] == [f"{host}:{port}:{port}" for port in only("EXPOSE").text.split()]
    (volume,) = only("VOLUME").words
    assert service["volumes"] == [f"{name}:{volume}" for name in composed["volumes"]]
    options, _, check = only("HEALTHCHECK").text.partition("CMD ")
    told = {name.replace("_", "-"): str(value) for name, value in service["healthcheck"].items()}
    assert json.loads(check) == service["healthcheck"]["test"][1:]
    assert shlex.split(options) == [
        f"--{name}={told[name]}" for name in ("interval", "timeout", "start-period", "retries")
    ]
    assert service["read_only"] is True
    load_settings({}, environment() | service["environment"] | {PUBLIC_HOST: "lab"}, None)


# -- the image itself ------------------------------------------------------------------


@pytest.mark.interop
@pytest.mark.slow
def test_the_image_enrols_stops_and_goes_on() -> None:
    if os.environ.get(ASKED) != "1":
        pytest.skip(f"builds an image, which takes minutes: set {ASKED}=1, or run `make image-verify`")
    missing = [tool for tool in ("buildah", "crun", "debootstrap") if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(missing) or 'nothing else'}")
    done = subprocess.run([DOCKER / "verify"], cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
