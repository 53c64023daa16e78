"""Which source of a setting wins, and what a bad one gets told."""

from __future__ import annotations

from pathlib import Path

import pytest

from ca.folders import PkiFolder
from ca.opening import database_url
from ca.process.settings import LoadedSettings, UnusableSettings, effective_rows
from lab.settings import LabSettings, load_settings


def rows(loaded: LoadedSettings) -> dict[str, tuple[object, str]]:
    return {row.name: (row.value, row.origin) for row in effective_rows(loaded)}


def written(folder: Path, text: str) -> Path:
    path = folder / "lab.toml"
    path.write_text(text)
    return path


def test_flag_outweighs_environment_outweighs_file_outweighs_default(tmp_path: Path) -> None:
    file = written(tmp_path, '[server]\nport = 1\npki_port = 1\nhost = "::1"\n')
    environment = {"NDES_LAB_SERVER__PORT": "2", "NDES_LAB_SERVER__PKI_PORT": "2"}
    loaded = load_settings({"server.port": 3, "server.host": None}, environment, file)
    found = rows(loaded)
    assert found["server.port"] == (3, "flag")
    assert found["server.pki_port"] == (2, "NDES_LAB_SERVER__PKI_PORT")
    assert found["server.host"] == ("::1", str(file))
    assert found["admin.port"] == (8082, "default")


def test_environment_reaches_every_depth() -> None:
    environment = {
        "NDES_LAB_SCEP__ENDPOINTS__DEFAULT__CHALLENGE": "none",
        "NDES_LAB_SCEP__ENDPOINTS__DEFAULT__RENEWAL__ENABLED": "false",
        "NDES_LAB_PKI__REQUEST_CERTIFICATES": '["Domain Users"]',
        "NDES_LAB_PKI__CRL_PERIOD": "2 Days",
    }
    settings = load_settings({}, environment, None).settings
    assert settings.scep.endpoints["default"].challenge == "none"
    assert settings.scep.endpoints["default"].renewal.enabled is False
    assert settings.pki.request_certificates == ("Domain Users",)
    assert str(settings.pki.crl_period) == "2 Days"


def test_none_means_none_where_a_setting_may_be_none(tmp_path: Path) -> None:
    file = written(tmp_path, '[challenges]\nvalidity_minutes = "none"\n')
    assert load_settings({}, {}, file).settings.challenges.validity is None
    environment = {"NDES_LAB_CHALLENGES__VALIDITY_MINUTES": "None"}
    assert load_settings({}, environment, None).settings.challenges.validity is None


def test_none_stays_a_word_where_it_is_one(tmp_path: Path) -> None:
    file = written(tmp_path, '[scep.endpoints.default]\nchallenge = "none"\n')
    assert load_settings({}, {}, file).settings.scep.endpoints["default"].challenge == "none"


def test_secrets_are_hidden() -> None:
    environment = {"NDES_LAB_ADMIN__TOKEN": "t" * 20, "NDES_LAB_PKI__KEY_PASSPHRASE": "p" * 20}
    loaded = load_settings({}, environment, None)
    shown = repr(effective_rows(loaded)) + repr(loaded)
    assert "t" * 20 not in shown
    assert "p" * 20 not in shown
    assert rows(loaded)["admin.token"][1] == "NDES_LAB_ADMIN__TOKEN"


def test_database_url_may_come_from_a_file_and_is_hidden(tmp_path: Path) -> None:
    file = written(tmp_path, "postgresql://ca:open-sesame@db.example/pki\n")
    loaded = load_settings({}, {"NDES_LAB_PKI__DATABASE_URL_FILE": str(file)}, None)
    url = loaded.settings.pki.database_url
    assert url is not None
    assert url.get_secret_value() == "postgresql://ca:open-sesame@db.example/pki"
    assert "open-sesame" not in repr(effective_rows(loaded)) + repr(loaded)
    assert "public_url" not in loaded.settings.pki.model_fields_set
    both = {"NDES_LAB_PKI__DATABASE_URL_FILE": str(file), "NDES_LAB_PKI__DATABASE_URL": "postgresql:///pki"}
    with pytest.raises(UnusableSettings, match="both set"):
        load_settings({}, both, None)
    with pytest.raises(UnusableSettings, match="ephemeral keeps nothing"):
        load_settings({"server.ephemeral": True, "pki.database_url": "postgresql:///pki"}, {}, None)


def test_database_password_may_be_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p@ss/w:rd\n")
    environment = {
        "NDES_LAB_PKI__DATABASE_URL": "postgresql://pki@db/pki?connect_timeout=5",
        "NDES_LAB_PKI__DATABASE_PASSWORD_FILE": str(tmp_path / "password"),
    }
    settings = load_settings({}, environment, None).settings
    url = database_url(PkiFolder(tmp_path), settings.pki)
    assert url == "postgresql://pki:p%40ss%2Fw%3Ard@db/pki?connect_timeout=5"
    assert "p@ss" not in repr(settings)


@pytest.mark.parametrize(
    "url", [None, "sqlite:////data/store", "postgresql://pki:known@db/pki", "postgresql://db/pki"]
)
def test_rejects_a_database_password_that_does_not_go_with_the_url(url: str | None) -> None:
    with pytest.raises(UnusableSettings, match="database_password goes with") as raised:
        load_settings({"pki.database_url": url, "pki.database_password": "secret"}, {}, None)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://ca:open-sesame@host/pki", "begins 'mysql'.*expected sqlite.*postgresql"),
        ("open-sesame", "begins ''"),
        ("sqlite:///open-sesame.sqlite3", "not absolute"),
        ("postgresql://ca:open-sesame@host:port/pki", "cannot be read"),
        ("postgresql://ca:open/sesame@host/pki", "cannot be read"),
        ("postgresql://ca:open-sesame@host/pki\0", "cannot be read"),
    ],
)
def test_rejects_database_url_without_repeating_its_password(tmp_path: Path, url: str, says: str) -> None:
    for flags, environment in (
        ({"pki.database_url": url}, {}),
        ({}, {"NDES_LAB_PKI__DATABASE_URL_FILE": str(written(tmp_path, url))}),
    ):
        with pytest.raises(UnusableSettings, match=says) as caught:
            load_settings(flags, environment, None)
        assert "sesame" not in str(caught.value)
    with pytest.raises(UnusableSettings, match="cannot be read"):
        load_settings({"pki.database_url_file": tmp_path / "missing"}, {}, None)


def test_token_may_come_from_a_file(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    admin = load_settings({"admin.token_file": token}, {}, None).settings.admin
    assert admin.token is not None
    assert admin.token.get_secret_value() == "0123456789abcdef"


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"NDES_LAB_SERVR__PORT": "1"}, "NDES_LAB_SERVR__PORT: no section 'servr'; known: pki, server, "),
        ({"NDES_LAB_SERVER__PROT": "1"}, r"server.prot: no such setting; known: host, data_dir.*\(NDES_LAB_"),
        ({"NDES_LAB_SERVER__PORT": "x"}, r"server.port: .*integer.*\(NDES_LAB_SERVER__PORT\)"),
        ({"NDES_LAB_SERVER__PORT": "65536"}, "server.port: .*65535"),
        ({"NDES_LAB_PKI__REQUEST_CERTIFICATES": "[x"}, "begins like JSON and is none"),
        ({"NDES_LAB_ADMIN__TOKEN": "short"}, "admin.token: .*16"),
        ({"NDES_LAB_SERVER__HOST": "a", "NDES_LAB_SERVER__HOST__X": "b"}, "set the same thing"),
        ({"NDES_LAB_SERVER__HOST__X": "b", "NDES_LAB_SERVER__HOST": "a"}, "set the same thing"),
        ({"NDES_LAB_SERVER__HOST": "a", "NDES_LAB_SERVER__HOST__X__Y": "b"}, "set the same thing"),
        ({"NDES_LAB_PUBLISHER__RETRY_SECONDS": str(10**12)}, "publisher.retry_seconds: .*86400"),
        ({"NDES_LAB__PORT": "1"}, "NDES_LAB__PORT: no section ''"),
        ({"NDES_LAB_CHALLENGES__VALIDITY_MINUTES": str(10**12)}, "challenges.validity_minutes: .*52704000"),
    ],
)
def test_says_what_is_wrong_and_where_it_came_from(environment: dict[str, str], says: str) -> None:
    with pytest.raises(UnusableSettings, match=says):
        load_settings({}, environment, None)


def test_a_section_that_is_no_table_is_told_also_where_a_flag_sets_something_in_it(tmp_path: Path) -> None:
    file = written(tmp_path, "server = 3\n")
    with pytest.raises(UnusableSettings, match=r"server: found 3, expected a table such as \[server\]"):
        load_settings({"server.port": 1}, {}, file)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[server\n", "is not TOML"),
        ("[server]\nport = 99999\n", r"server.port: .*lab.toml"),
        ("[nothing]\n", "nothing: no such setting; known: pki, server, publisher, scep"),
        ("server = 1\n", "server: "),
    ],
)
def test_says_what_is_wrong_with_a_file(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UnusableSettings, match=says):
        load_settings({}, {}, written(tmp_path, text))


def test_complaint_holds_no_secret() -> None:
    environment = {"NDES_LAB_PKI__KEY_PASSPHRASE": "hunter2"}
    with pytest.raises(UnusableSettings) as caught:
        load_settings({}, environment, None)
    assert "hunter2" not in str(caught.value)


def test_variables_of_others_are_left_alone() -> None:
    environment = {"NDES_LAB_ADMIN_URL": "http://x", "HOME__X": "y", "PATH": "z"}
    assert load_settings({}, environment, None).settings == LabSettings()
