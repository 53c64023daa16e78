"""What docker/compose.yaml lets each service see, judged as it is written; test_chain.py runs it."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from peers import require_peer

from ca.process import settings as sources
from ca.process.settings import ProgramSettings
from crl_publisher.program import CrlPublisherSettings
from interop.compose_file import DOCKER, Image, Service, read_compose
from interop.process import run_well
from lab.commands import main
from lab.settings import LabSettings
from scep_server.program import ScepServerSettings

SERVICES, CONTENT = read_compose()
IMAGE = Image.read()
CHAIN = [name for name, service in SERVICES.items() if not service.profiles]
PROGRAMS: dict[str, type[ProgramSettings]] = {
    "root": LabSettings,
    "scep": ScepServerSettings,
    "publisher": CrlPublisherSettings,
    "lab": LabSettings,
}
SERVING = ("scep", "publisher", "edge", "lab", "relying-party", "db")


def users_of(volume: str) -> set[str]:
    """Which services mount a volume, those that hand it over included."""
    return {
        name for name, service in SERVICES.items() if volume in {mount.source for mount in service.mounts}
    }


def volumes_of(service: str) -> set[str]:
    return {mount.source for mount in SERVICES[service].mounts if mount.is_volume}


# -- what each may see -----------------------------------------------------------------


def test_without_profiles_it_is_the_chain() -> None:
    assert CHAIN == ["secrets", "root", "db", "scep", "publisher", "edge"]
    assert {name: service.profiles for name, service in SERVICES.items() if service.profiles} == {
        name: {name} for name in ("lab", "relying-party", "client")
    }


def test_the_root_is_mounted_nowhere_else() -> None:
    assert users_of("root") == {"root"}
    assert "root" not in {mount.source for name in SERVING for mount in SERVICES[name].mounts}


@pytest.mark.parametrize("role", ["scep", "publisher", "lab", "edge", "relying-party"])
def test_a_volume_is_its_services_and_the_keepers(role: str) -> None:
    assert users_of(role) == {role, "root"}


def test_each_service_has_its_own_volumes_and_no_more() -> None:
    assert {name: volumes_of(name) for name in SERVICES} == {
        "secrets": {"database-password"},
        "root": {
            "root", "scep", "publisher", "lab", "edge", "relying-party", "database-password"
        },
        "db": {"database", "database-password"},
        "scep": {"scep", "database-password"},
        "publisher": {"publisher", "database-password"},
        "edge": {"edge"},
        "lab": {"lab", "database-password"},
        "relying-party": {"relying-party"},
        "client": {"client"},
    }  # fmt: skip


def test_only_who_needs_the_database_reaches_it() -> None:
    reach = {name for name, service in SERVICES.items() if "database" in service.networks}
    assert reach == {"db", "root", "scep", "publisher", "lab"}
    assert {name for name, service in SERVICES.items() if "inside" in service.networks} == {
        "scep", "publisher", "edge",
    }  # fmt: skip
    assert SERVICES["db"].networks == SERVICES["root"].networks == {"database"}
    assert SERVICES["secrets"].words["network_mode"] == "none"
    assert all(CONTENT["networks"][name] == {"internal": True} for name in ("database", "inside"))


def test_only_the_edge_publishes_ports_unless_a_profile_is_asked_for() -> None:
    published = {
        name: service.words["ports"] for name, service in SERVICES.items() if "ports" in service.words
    }
    assert set(published) == {"edge", "lab", "relying-party"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    every = [port.split(":")[1] for ports in published.values() for port in ports]
    assert len(set(every)) == len(every)


def test_the_handed_over_folders_are_what_is_mounted() -> None:
    service = SERVICES["root"]
    told = {word.partition("=")[2] for word in service.command(IMAGE) if "=/handed/" in word}
    assert told == {mount.target for mount in service.mounts if mount.target.startswith("/handed/")}


# -- the words about it ----------------------------------------------------------------


def told_commands() -> list[str]:
    """The commands in docker/README.md, each on one line."""
    text = (DOCKER / "README.md").read_text()
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.partition("  #")[0] for line in lines if line.startswith("docker compose")]


@pytest.mark.parametrize("line", told_commands())
def test_commands_that_are_told_are_commands(line: str) -> None:
    for profile in re.findall(r"--profile (\w[\w-]*)", line):
        assert profile in SERVICES[profile].profiles
    for service in re.findall(r"(?:exec(?: -T)?|run --rm(?: --volume \S+)?) (\S+)", line):
        assert service in SERVICES
    ours = re.findall(r"exec(?: -T)? \S+ ndes-lab ([^$)]*)", line)
    ours += re.findall(r"run --rm(?: --volume \S+)? \S+ (\w[^$)]*)", line)
    for words in ours:
        command: click.Command | None = main
        for word in words.split():
            if isinstance(command, click.Group):
                command = command.get_command(click.Context(command), word)
            assert command is not None, word
        known = {name for parameter in (command.params if command else ()) for name in parameter.opts}
        assert {word for word in words.split() if word.startswith("--")} <= known


def test_variables_that_are_told_are_those_of_the_file() -> None:
    used = set(re.findall(r"\$\{(\w+):-", (DOCKER / "compose.yaml").read_text()))
    for text in (
        (DOCKER / "README.md").read_text(),
        (DOCKER / "compose.yaml").read_text().partition("\nname:")[0],
    ):
        told = set(re.findall(r"\bNDES_LAB_(?!\w*__)\w+", text))
        assert told == used


# -- confinement -----------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined(name: str) -> None:
    words = SERVICES[name].words
    assert words["read_only"] is True
    assert words["cap_drop"] == ["ALL"]
    assert words["security_opt"] == ["no-new-privileges:true"]
    assert words["user"] not in ("", "root", "0", "0:0")
    assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & set(words)


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_in_the_environment(name: str) -> None:
    environment = SERVICES[name].environment
    secret = re.compile("PASSWORD|SECRET|TOKEN|PASSPHRASE|KEY$")
    assert not [variable for variable in environment if secret.search(variable) and "_FILE" not in variable]
    assert all(
        ":" not in value.partition("//")[2].partition("@")[0]
        for value in environment.values()
        if "@" in value
    )


@pytest.mark.parametrize("name", SERVING)
def test_who_serves_has_a_health_check(name: str) -> None:
    words = SERVICES[name].words
    assert SERVICES[name].health_check
    assert {"interval", "timeout", "start_period"} <= set(words["healthcheck"])
    assert words["restart"] == "unless-stopped"


def test_waiting_for_it_ends_because_somebody_needs_each_that_runs_once() -> None:
    # docker compose up --wait takes an ended container for a failure unless a running one wants it to end.
    once = {name for name in CHAIN if SERVICES[name].words.get("restart") == "no"}
    wanted = {
        needed
        for name in CHAIN
        if name not in once
        for needed, condition in SERVICES[name].depends_on.items()
        if condition == "service_completed_successfully"
    }
    assert once == wanted == {"secrets", "root"}
    assert all(SERVICES[name].words["healthcheck"] == {"disable": True} for name in once)


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_can_come_true(name: str) -> None:
    for needed, condition in SERVICES[name].depends_on.items():
        words = SERVICES[needed].words
        assert not SERVICES[needed].profiles
        if condition == "service_healthy":
            assert "healthcheck" in words
        else:
            assert (condition, words["restart"]) == ("service_completed_successfully", "no")


# -- files and settings ----------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in SERVICES if SERVICES[name].is_ours])
def test_a_new_volume_gets_its_owner_from_the_image(name: str) -> None:
    for mount in SERVICES[name].mounts:
        if mount.is_volume and not mount.read_only:
            assert mount.target in IMAGE.folders, "a mount point that the image lacks belongs to root"
            public = mount.source == "database-password"
            assert IMAGE.folders[mount.target] == (0o755 if public else 0o700)


@pytest.mark.parametrize("name", SERVICES)
def test_mounted_files_are_there(name: str) -> None:
    for mount in SERVICES[name].mounts:
        if not mount.is_volume:
            assert (DOCKER / mount.source).is_file()
            assert mount.read_only
    assert set(CONTENT["volumes"]) == {
        mount.source for service in SERVICES.values() for mount in service.mounts if mount.is_volume
    }


@pytest.mark.parametrize(("name", "model"), PROGRAMS.items())
def test_programs_take_what_they_are_told(name: str, model: type[ProgramSettings], tmp_path: Path) -> None:
    service = SERVICES[name]
    environment = IMAGE.environment | service.environment
    password = tmp_path / "password"
    password.write_text("of the file\n")
    assert {mount.target for mount in service.mounts} >= {
        str(Path(environment["NDES_LAB_PKI__DATABASE_PASSWORD_FILE"]).parent), environment["NDES_LAB_CONFIG"],
        environment["NDES_LAB_SERVER__DATA_DIR"],
    }  # fmt: skip
    environment["NDES_LAB_PKI__DATABASE_PASSWORD_FILE"] = str(password)
    settings = sources.load_settings(model, {}, environment, DOCKER / "chain.toml").settings
    assert settings.pki.public_url == "http://localhost:8081"
    assert settings.pki.database_password is not None


def test_commands_in_the_container_of_the_scep_server_work_at_its_folder() -> None:
    assert SERVICES["scep"].environment["NDES_LAB_READY_FILE"] == ""
    assert "NDES_LAB_READY_FILE" not in SERVICES["lab"].environment


def test_password_is_made_once_and_readable_by_postgresql(tmp_path: Path) -> None:
    file = tmp_path / "password"
    script = DOCKER / "database" / "make-password"
    run_well(["/bin/sh", script, file])
    first = file.read_text()
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert file.stat().st_mode & 0o777 == 0o644
    run_well(["/bin/sh", script, file])
    assert file.read_text() == first
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.interop
@pytest.mark.parametrize("name", ["edge", "relying-party"])
def test_nginx_takes_its_configuration(name: str, tmp_path: Path) -> None:
    service = SERVICES[name]
    server = tmp_path / "server.pem"
    run_well(
        [
            *(require_peer("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", server, "-out", tmp_path / "certificate", "-subj", "/CN=edge"),
        ]
    )
    server.write_bytes(server.read_bytes() + (tmp_path / "certificate").read_bytes())
    (tmp_path / "trusted.pem").write_bytes((tmp_path / "certificate").read_bytes())
    text = _in_place(service, tmp_path)
    (tmp_path / "nginx.conf").write_text(text)
    done = run_well([require_peer("nginx"), "-t", "-e", "stderr", "-c", tmp_path / "nginx.conf"])
    assert "warn" not in done.stderr


def _in_place(service: Service, folder: Path) -> str:
    """Return the configuration with the paths of this machine, and ports that nobody has."""
    text = (DOCKER / service.name / "nginx.conf").read_text().replace("/tmp/", f"{folder}/")
    text = text.replace("http://edge:", "http://127.0.0.1:")  # looked up at the start
    for mount in service.mounts:
        path = folder if mount.is_volume else (DOCKER / mount.source).resolve()
        text = text.replace(mount.target, str(path))
    numbers = iter(range(9))
    return re.sub(r"listen (127\.0\.0\.1:)?\d+", lambda _: f"listen unix:{folder}/{next(numbers)}", text)
