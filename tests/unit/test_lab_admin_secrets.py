"""No page and no answer of the management API says a secret that it should not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from admin_client import READING, example_path, send
from flask.testing import FlaskClient
from lab_client import client_of, enrolled, order
from pydantic import BaseModel, SecretStr

from ca.folders import PkiFolder
from ca.opening import database_url
from ca.process.settings import LoadedSettings, effective_rows
from lab import ScepLab
from lab.admin.app import create_app
from lab.admin.asking import call_of
from lab.admin.models import ChallengeOrder
from lab.admin.operation import AdminFacts, Operation
from lab.settings import LabSettings

TOKEN = "canary-admin-token-0123456789"
CHALLENGE = "canary-challenge-that-is-good"
SPENT = "canary-challenge-that-is-spent"
USER = "canary-of-another-user"
WRONG = "canary-challenge-that-is-wrong"


def secret_settings(
    model: type[BaseModel] = LabSettings, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Yield the paths of all settings that are secret."""
    for name, field in model.model_fields.items():
        parts = _parts(field.annotation)
        if SecretStr in parts:
            yield (*path, name)
        for part in parts:
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from secret_settings(part, (*path, name))


def _parts(annotation: Any) -> list[Any]:
    found = [annotation]
    for part in get_args(annotation):
        found += _parts(part)
    return found


PLANTED = {
    ("pki", "database_url"): "canary-database",
    ("pki", "key_passphrase"): "canary-key-passphrase",
    ("pki", "root_passphrase"): "canary-root-passphrase",
    ("pki", "challenge_digest_key"): "ca4a12" * 12,
    ("ndes", "single_password"): "canary-single",
    ("ndes", "password"): "canary-ndes-password",
    ("admin", "token"): TOKEN,
    ("alerts", "mail", "password"): "canary-mail-password",
    ("alerts", "webhook_url"): "http://127.0.0.1:9/canary-webhook",
}
IN_LISTS = {("ndes", "users", "password")}  # planted with the list
OF_POSTGRESQL = {("pki", "database_password")}  # SQLite has none


def test_every_secret_setting_is_planted() -> None:
    assert set(secret_settings()) - IN_LISTS - OF_POSTGRESQL == set(PLANTED)


def test_the_database_password_is_shown_nowhere() -> None:
    pki = {"database_url": "postgresql://user@host/database", "database_password": "canary-password"}
    settings = LabSettings.model_validate({"pki": pki})
    shown = effective_rows(LoadedSettings(settings=settings, origins={}))
    assert "canary" not in repr(settings) + repr(shown) + settings.model_dump_json()
    assert "canary-password" in database_url(PkiFolder(Path()), settings.pki)


@pytest.fixture(scope="module")
def scep_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScepLab]:
    settings: dict[str, Any] = {"alerts": {"mail": {"host": "127.0.0.1", "recipients": ["a@example.com"]}}}
    for path, value in PLANTED.items():
        place = settings
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value
    database = tmp_path_factory.mktemp("database") / PLANTED["pki", "database_url"]
    settings["pki"]["database_url"] = f"sqlite:///{database}"
    settings["ndes"] |= {"UseSinglePassword": 1, "users": [{"name": "eve", "password": USER}]}
    settings["alerts"]["mail"]["username"] = "alice"
    with ScepLab(settings) as running:
        for password in (CHALLENGE, SPENT):
            running.desk.new_challenge(ChallengeOrder.model_validate({"password": password}))
        client_of(running).enrol(order("CN=spent", challenge=SPENT))
        client_of(running).enrol(order("CN=wrong", challenge=WRONG, key=1))
        enrolled(running, key=2)
        yield running


@pytest.fixture(scope="module")
def client(scep_lab: ScepLab) -> FlaskClient:
    facts = AdminFacts(
        version="1",
        root_pem=scep_lab.root_pem,
        issuing_pem=scep_lab.root_pem,
        ready=lambda: "",
        health=scep_lab.health,
        metrics=lambda: b"",
        token=TOKEN,
    )
    return create_app(scep_lab.desk, facts).test_client()


def keys_of(folder: Path) -> set[str]:
    """Lines of every key file in the lab's folders that could be recognised elsewhere."""
    lines: set[str] = set()
    for file in folder.parent.rglob("*.key"):
        lines |= {line for line in file.read_text().splitlines() if len(line) == 64}
    return lines


@pytest.mark.parametrize("operation", READING, ids=lambda operation: operation.name)
def test_no_answer_to_a_question_has_a_secret(
    client: FlaskClient, scep_lab: ScepLab, operation: Operation[Any]
) -> None:
    secrets = {*PLANTED.values(), CHALLENGE, SPENT, WRONG, USER, scep_lab.ndes_password}
    entries = [entry.number for entry in scep_lab.journal] if "number" in operation.shape.path else [1]
    for number in entries:
        path = example_path(operation, selector="3", number=number)
        reply = send(client, call_of(operation, path), Authorization=f"Bearer {TOKEN}")
        assert reply.status_code == operation.status, reply.text
        text = reply.text + json.dumps(dict(reply.headers))
        assert [secret for secret in secrets if secret.lower() in text.lower()] == []
        assert not re.search(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]{64}", text)
        assert [line for line in keys_of(scep_lab.world.folder.path) if line in text] == []


def test_settings_are_told_with_stars_for_secrets(client: FlaskClient) -> None:
    reply = client.get("/api/v1/settings", headers={"Authorization": f"Bearer {TOKEN}"})
    told = {one["name"]: one for one in reply.json["settings"]}
    for path in PLANTED:
        assert told[".".join(path)]["value"] == "**********"
    assert told["server.threads"] == {"name": "server.threads", "value": 16, "origin": "default"}
    assert told["ndes.UseSinglePassword"]["value"] == 1


def test_errors_do_not_repeat_what_was_sent(client: FlaskClient) -> None:
    bad = {"password": CHALLENGE, "validity_minutes": 0, "label": 7}
    reply = client.post("/api/v1/challenges", json=bad, headers={"Authorization": f"Bearer {TOKEN}"})
    assert reply.status_code == 400
    assert CHALLENGE not in reply.text
