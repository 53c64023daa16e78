"""Section [ndes]: registry names beside SCEP's own words, and what contradicts itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from ca.process.settings import UnusableSettings, effective_rows
from lab.commands import main
from lab.settings import LabSettings, load_settings
from scep_server.ndes.profiles import MODERN, NDES_2019
from scep_server.ndes.registry import MSCEP_KEY
from scep_server.ndes.settings import NdesSettings
from scep_server.settings import EndpointSettings

EXPORT = "\r\n".join(
    [
        "Windows Registry Editor Version 5.00",
        "",
        f"[{MSCEP_KEY}]",
        '"SignatureTemplate"="Device\\\\Auth"',
        '"GeneralPurposeTemplate"="SCEP-Client-Auth"',
        "",
        f"[{MSCEP_KEY}\\CAInfo]",
        '"Configuration"="ca01\\\\Corp CA"',
        "",
        f"[{MSCEP_KEY}\\PasswordMax]",
        '"PasswordMax"=dword:00000064',
        "",
    ]
)


def effective(**sections: object) -> EndpointSettings:
    return LabSettings.model_validate(sections).with_registry().scep.endpoints["default"]


def test_registry_values_become_the_endpoints() -> None:
    found = effective(
        ndes={"EnforcePassword": 0, "SignatureTemplate": "A", "DisableRenewalSubjectNameMatch": 1}
    )
    assert found.challenge == "none"
    assert (found.templates.signature, found.templates.encryption) == ("A", "SCEP-Client-Auth")
    assert found.renewal.subject_must_match is False


def test_what_is_not_given_is_what_the_endpoint_says() -> None:
    endpoint = EndpointSettings.model_validate({"challenge": "none", "templates": {"encryption": "E"}})
    registry = NdesSettings().registry(endpoint)
    assert (registry.EnforcePassword, registry.EncryptionTemplate, registry.mode) == (0, "E", "none")
    assert NdesSettings().endpoint(endpoint) == endpoint


@pytest.mark.parametrize(
    ("ndes", "endpoint"),
    [
        ({"EnforcePassword": 1}, {"challenge": "none"}),
        ({"EnforcePassword": 0}, {"challenge": "required"}),
        ({"EnforcePassword": 1}, {"challenge": "optional"}),
        ({"SignatureTemplate": "A"}, {"templates": {"signature": "B"}}),
        ({"DisableRenewalSubjectNameMatch": 1}, {"renewal": {"subject_must_match": True}}),
    ],
)
def test_contradictions_are_refused(ndes: dict, endpoint: dict) -> None:
    with pytest.raises(ValidationError, match="leave one of them out"):
        effective(ndes=ndes, scep={"endpoints": {"default": endpoint}})


def test_saying_the_same_twice_is_fine() -> None:
    found = effective(ndes={"EnforcePassword": 0}, scep={"endpoints": {"default": {"challenge": "none"}}})
    assert found.challenge == "none"


@pytest.mark.parametrize(
    "bad",
    [
        {"users": [{"name": "NDES-Admin", "password": "x"}]},
        {"windows_authentication": False},
        {"user": "a\\b"},
        {"password": ""},
        {"single_password": "naïve"},
        {"PasswordMax": 0},
        {"EnforcePassword": 2},
        {"allowed_addresses": ["192.0.2.0/33"]},
        {"computer_name": '"><script>'},
        {"PasswordsMax": 1},
        {"iis": {"maxURL": 1}},
    ],
)
def test_settings_that_cannot_be_are_refused(bad: dict) -> None:
    with pytest.raises(ValidationError):
        NdesSettings.model_validate(bad)


def test_environment_spells_registry_names_without_case() -> None:
    variables = {"NDES_LAB_NDES__PASSWORDMAX": "7", "NDES_LAB_NDES__IIS__MAXURL": "9"}
    loaded = load_settings({}, variables, None)
    assert (loaded.settings.ndes.PasswordMax, loaded.settings.ndes.iis.maxUrl) == (7, 9)
    origins = {row.name: row.origin for row in effective_rows(loaded)}
    assert origins["ndes.PasswordMax"] == "NDES_LAB_NDES__PASSWORDMAX"


def test_secrets_stay_hidden_in_complaints_and_rows() -> None:
    loaded = load_settings({"ndes.password": "hush hush", "ndes.single_password": "psst psst"}, {}, None)
    assert not any("hush" in str(row.value) or "psst" in str(row.value) for row in effective_rows(loaded))
    with pytest.raises(UnusableSettings) as caught:
        load_settings({"ndes.password": "hush hush", "ndes.single_password": "psst ü"}, {}, None)
    assert "psst" not in str(caught.value)


def test_limits_are_the_profiles_unless_given() -> None:
    assert NdesSettings().limits(MODERN).max_query_string == 0
    assert NdesSettings().limits(NDES_2019).max_query_string == 65_536
    given = NdesSettings.model_validate({"iis": {"maxQueryString": 0, "MaxFieldLength": 65_534}})
    limits = given.limits(NDES_2019)
    assert (limits.max_query_string, limits.max_field_length, limits.max_url) == (0, 65_534, 4096)


# -- ndes-lab ndes reg --------------------------------------------------------------------


@pytest.fixture
def export_file(tmp_path: Path) -> Path:
    path = tmp_path / "mscep.reg"
    path.write_bytes(("\ufeff" + EXPORT).encode("utf-16-le"))
    return path


def run(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


def test_import_prints_a_section_that_loads_and_notes_what_has_no_effect(
    export_file: Path, tmp_path: Path
) -> None:
    status, printed, said = run("ndes", "reg", "import", export_file)
    assert status == 0
    assert "Configuration has no effect here" in said
    settings = tmp_path / "lab.toml"
    settings.write_text(printed)
    ndes = load_settings({}, {}, settings).settings.ndes
    assert (ndes.SignatureTemplate, ndes.PasswordMax) == ("Device\\Auth", 100)
    assert "PasswordLength" not in printed


def test_import_into_appends_once(export_file: Path, tmp_path: Path) -> None:
    settings = tmp_path / "lab.toml"
    settings.write_text("[server]\nport = 0")
    assert run("ndes", "reg", "import", export_file, "--into", settings)[0] == 0
    loaded = load_settings({}, {}, settings).settings
    assert (loaded.server.port, loaded.ndes.PasswordMax) == (0, 100)
    status, _, said = run("ndes", "reg", "import", export_file, "--into", settings)
    assert status == 2
    assert "has a section [ndes] already" in said


def test_import_of_something_else_is_a_users_mistake(tmp_path: Path) -> None:
    other = tmp_path / "other.reg"
    other.write_text("hello")
    status, _, said = run("ndes", "reg", "import", other)
    assert (status, "line 1 is" in said) == (2, True)


def test_export_writes_what_import_reads(export_file: Path, tmp_path: Path) -> None:
    settings, back = tmp_path / "lab.toml", tmp_path / "back.reg"
    settings.write_text('[scep.endpoints.default]\nchallenge = "none"\n')
    run("ndes", "reg", "import", export_file, "--into", settings)
    assert run("ndes", "reg", "export", back, "--config", settings)[0] == 0
    text = back.read_bytes().decode("utf-16")
    assert '"EnforcePassword"=dword:00000000' in text
    assert '"PasswordMax"=dword:00000064' in text
    status, printed, _ = run("ndes", "reg", "import", back)
    assert (status, "EnforcePassword = 0" in printed) == (0, True)
    piped = CliRunner().invoke(main, ["ndes", "reg", "export", "-", "--config", str(settings)])
    assert piped.stdout_bytes == back.read_bytes()
