"""Secrets in files that variables name, for every setting that is a secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel, SecretStr

from ca.process.environment import is_model, misspelt_variables, variable_of
from ca.process.settings import UnusableSettings, effective_rows
from lab.commands import main
from lab.commands._settings import COMMAND_VARIABLES
from lab.settings import LabSettings, load_settings

SECRET = "[none of JSON] und Größe"
PARTICULAR = {  # what else a secret must be like, and what goes with it
    "alerts.webhook_url": ("http://hook.example/", {}),
    "alerts.mail.password": (SECRET, {"NDES_LAB_ALERTS__MAIL__USERNAME": "lab"}),
    "ndes.single_password": ("sixteen-or-more-", {}),
    "pki.database_url": ("postgresql://user:password@host/database", {}),
    "pki.database_password": (SECRET, {"NDES_LAB_PKI__DATABASE_URL": "postgresql://user@host/database"}),
}


def secrets_of(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        if is_model(field.annotation):
            yield from secrets_of(field.annotation, (*path, name))
        elif "SecretStr" in repr(field.annotation):
            yield (*path, name)


SECRETS = sorted(secrets_of(LabSettings))
OWN_FILE = (("admin", "token"), ("pki", "database_url"))  # admin.token_file is a setting itself


def value_of(settings: LabSettings, path: tuple[str, ...]) -> str:
    found: object = settings
    for key in path:
        found = getattr(found, key)
    assert isinstance(found, SecretStr)
    return found.get_secret_value()


def test_there_are_secrets() -> None:
    assert {("pki", "key_passphrase"), ("ndes", "password"), ("alerts", "mail", "password")} <= set(SECRETS)


@pytest.mark.parametrize("path", SECRETS, ids=".".join)
def test_every_secret_may_come_from_a_file(path: tuple[str, ...], tmp_path: Path) -> None:
    secret, others = PARTICULAR.get(".".join(path), (SECRET, {}))
    file = tmp_path / "secret"
    file.write_text(secret + "\r\n")
    variable = variable_of(path, file=True)
    loaded = load_settings({}, {variable: str(file), **others}, None)
    assert value_of(loaded.settings, path) == secret
    if path not in OWN_FILE:
        (origin,) = {row.origin for row in effective_rows(loaded) if row.name == ".".join(path)}
        assert origin == variable
    assert secret not in repr(loaded) + repr(effective_rows(loaded))


def test_a_file_outweighs_the_toml_file_and_a_flag_outweighs_both(tmp_path: Path) -> None:
    toml = tmp_path / "lab.toml"
    toml.write_text('[ndes]\npassword = "of-the-toml-file"\n')
    file = tmp_path / "secret"
    file.write_text("of-the-file")
    environment = {"NDES_LAB_NDES__PASSWORD_FILE": str(file)}
    path = ("ndes", "password")
    assert value_of(load_settings({}, environment, toml).settings, path) == "of-the-file"
    assert value_of(load_settings({"ndes.password": "flag"}, environment, toml).settings, path) == "flag"


@pytest.mark.parametrize(
    ("environment", "content", "says"),
    [
        (
            {"NDES_LAB_PKI__KEY_PASSPHRASE_FILE": "{}"},
            None,
            "secret cannot be read: No such",
        ),
        (
            {"NDES_LAB_PKI__KEY_PASSPHRASE_FILE": "{}"},
            b"\r\n",
            "PASSPHRASE_FILE: .*secret is empty",
        ),
        ({"NDES_LAB_PKI__KEY_PASSPHRASE_FILE": "{}"}, b"hunter2\xff", "cannot be read: it is not UTF-8"),
        (
            {"NDES_LAB_NDES__PASSWORD_FILE": "{}", "ndes_lab_ndes__password": "hunter2"},
            b"hunter2",
            "NDES_LAB_NDES__PASSWORD_FILE and ndes_lab_ndes__password are both set; one is enough",
        ),
        ({"NDES_LAB_SERVER__PORT_FILE": "{}"}, b"hunter2", r"server.port_file: no such setting"),
        (
            {"NDES_LAB_NDES__SINGLE_PASSWORD_FILE": "{}"},
            b"hunter2\nhunter3",
            "single_password: .*SWORD_FILE",
        ),
    ],
)
def test_says_what_is_wrong_with_a_file(
    environment: dict[str, str], content: bytes | None, says: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UnusableSettings, match=says) as caught:
        load_settings({}, {name: value.format(file) for name, value in environment.items()}, None)
    assert "hunter" not in str(caught.value)


# -- variables that nothing reads ------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("NDES_LAB_ADMIN_TOKEN", "NDES_LAB_ADMIN__TOKEN"),
        ("NDES_LAB_ADMIN_TOKEN_FILE", "NDES_LAB_ADMIN__TOKEN_FILE"),
        ("NDES_LAB_SERVER_PKI_PORT", "NDES_LAB_SERVER__PKI_PORT"),
        ("NDES_LAB_PKI_KEY_PASSPHRASE_FILE", "NDES_LAB_PKI__KEY_PASSPHRASE_FILE"),
        ("NDES_LAB_ALERTS_MAIL_USERNAME", "NDES_LAB_ALERTS__MAIL__USERNAME"),
        ("NDES_LAB_ADMINURL", "NDES_LAB_ADMIN_URL"),
        ("NDES_LAB_READYFILE", "NDES_LAB_READY_FILE"),
        ("ndes_lab_config", "NDES_LAB_CONFIG"),
    ],
)
def test_a_variable_that_is_not_read_leads_to_the_one_that_is(given: str, meant: str) -> None:
    assert misspelt_variables(LabSettings, {given: "x"}, COMMAND_VARIABLES) == {given: meant}


@pytest.mark.parametrize(
    "name",
    [
        *COMMAND_VARIABLES,
        "NDES_LAB_ADMIN__TOKEN",
        "NDES_LAB_PUBLIC_HOST",
        "NDES_LAB_BIND",
        "NDES_LAB_URL",
        "PATH",
    ],
)
def test_variables_that_are_read_and_those_of_others_are_passed_over(name: str) -> None:
    assert misspelt_variables(LabSettings, {name: "x"}, COMMAND_VARIABLES) == {}


def test_the_command_line_warns_of_one_without_its_value() -> None:
    environment = {"NDES_LAB_ADMIN_TOKEN": "canary-0123456789"}
    done = CliRunner().invoke(main, ["config", "show"], env=environment)
    assert done.exit_code == 0
    assert done.stderr == "Warning: NDES_LAB_ADMIN_TOKEN is not read; NDES_LAB_ADMIN__TOKEN is\n"
    assert "canary" not in done.stdout


def test_every_variable_of_an_option_is_known_to_be_read() -> None:
    assert set(variables_of_options(main)) == set(COMMAND_VARIABLES)


def variables_of_options(command: click.Command) -> Iterator[str]:
    yield from (str(parameter.envvar) for parameter in command.params if parameter.envvar)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from variables_of_options(found)
