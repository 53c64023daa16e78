"""What holds for every operation of the management API: who gets in, what is refused, what is described."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from admin_client import OPERATIONS, READING, example_call, management_app, send
from flask import Flask
from flask.testing import FlaskClient
from pydantic import BaseModel, Field

from lab import ScepLab
from lab.admin.curl import curl_line
from lab.admin.desk import DeskRefused
from lab.admin.docs_page import render_docs
from lab.admin.examples import example_of
from lab.admin.openapi import openapi_document, statuses_of
from lab.admin.operation import AdminContext, Operation, Resource

TOKEN = "0123456789abcdef"
LOOPBACK = "127.0.0.1:8082"
OPEN = {"/health/live", "/health/ready", "/docs", "/openapi.json"}
every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
takes_body = pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if one.shape.body], ids=lambda operation: operation.name
)


@pytest.fixture(scope="module")
def running() -> Iterator[ScepLab]:
    with ScepLab() as scep_lab:
        yield scep_lab


@pytest.fixture
def scep_lab(running: ScepLab) -> ScepLab:
    running.reset()
    return running


@pytest.fixture(scope="module")
def open_app(running: ScepLab) -> Flask:
    return management_app(running)


@pytest.fixture(scope="module")
def guarded_app(running: ScepLab) -> Flask:
    return management_app(running, token=TOKEN)


@pytest.fixture
def client(scep_lab: ScepLab, open_app: Flask) -> FlaskClient:
    return open_app.test_client()


@pytest.fixture
def guarded(scep_lab: ScepLab, guarded_app: Flask) -> FlaskClient:
    return guarded_app.test_client()


# -- who gets in -----------------------------------------------------------------------


def test_every_route_is_a_declared_operation(open_app: Flask) -> None:
    rules = open_app.url_map.iter_rules()
    routes = {
        (method, re.sub(r"<(\w+)>", r"{\1}", rule.rule))
        for rule in rules
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert routes == {(operation.method, operation.path) for operation in OPERATIONS}
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS) == len(routes)


@every_operation
def test_without_its_token_nobody_outside_gets_in(
    scep_lab: ScepLab, operation: Operation[Any], guarded: FlaskClient
) -> None:
    before = state(scep_lab)
    reply = send(guarded, example_call(operation))
    if operation.path in OPEN:
        assert reply.status_code == 200
        assert TOKEN not in reply.text
        return
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")
    assert set(reply.json) == {"error"}
    assert state(scep_lab) == before


@every_operation
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:8082"},
        {"Host": LOOPBACK, "Origin": "http://evil.example"},
        {"Host": LOOPBACK, "Sec-Fetch-Site": "cross-site"},
    ],
    ids=["rebound-name", "foreign-origin", "foreign-site"],
)
def test_without_a_token_no_page_of_another_site_gets_in(
    scep_lab: ScepLab, operation: Operation[Any], headers: dict[str, str], client: FlaskClient
) -> None:
    before = state(scep_lab)
    assert send(client, example_call(operation), **headers).status_code == 403
    assert state(scep_lab) == before


@pytest.mark.parametrize("operation", READING, ids=lambda operation: operation.name)
def test_the_token_opens_every_reading_operation(
    scep_lab: ScepLab, operation: Operation[Any], guarded: FlaskClient
) -> None:
    call = example_call(operation, **there(scep_lab))
    reply = send(guarded, call, Authorization=f"Bearer {TOKEN}")
    assert reply.status_code == operation.status, reply.text


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_a_browser_opens_the_documentation_without_the_token_and_reads_how_it_is_sent(
    path: str, guarded: FlaskClient
) -> None:
    reply = guarded.get(path, headers={"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Site": "none"})
    assert reply.status_code == 200
    assert "bearer" in reply.text.lower()


def state(scep_lab: ScepLab) -> tuple[object, ...]:
    """What a call could have changed, as far as the desk tells."""
    desk = scep_lab.desk
    crls = [(crl.file, crl.number) for crl in desk.crls()]
    rest = (
        desk.challenges(),
        desk.requests(),
        desk.templates.list(),
        desk.faults.rules(),
        scep_lab.certificates(),
    )
    return (*rest, crls, desk.clock.show().offset, len(scep_lab.journal))


def there(scep_lab: ScepLab) -> dict[str, object]:
    """Path values that name something, and one exchange in the journal."""
    urllib.request.urlopen(f"{scep_lab.scep_url}?operation=GetCACaps").close()
    return {"selector": 1, "number": 1}


# -- what is refused -------------------------------------------------------------------


@every_operation
def test_refuses_unknown_query_parameters(operation: Operation[Any], client: FlaskClient) -> None:
    call = example_call(operation)
    reply = client.open(f"{call.target}?colour=red", method=call.method)
    assert reply.status_code == 400
    assert "'colour'" in reply.json["error"]["message"]


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if not one.shape.body], ids=lambda operation: operation.name
)
def test_refuses_a_body_where_none_is_taken(operation: Operation[Any], client: FlaskClient) -> None:
    call = example_call(operation)
    reply = client.open(call.target, method=call.method, json={})
    assert (reply.status_code, reply.json["error"]["message"]) == (400, "this operation takes no body")


@takes_body
@pytest.mark.parametrize(
    ("body", "kind", "status", "says"),
    [
        (b"{", "application/json", 400, "not JSON"),
        (b"\xff", "application/json", 400, "not JSON in UTF-8"),
        (b"[" * 50_000, "application/json", 400, ""),
        (b"[]", "application/json", 400, ""),
        (b"null", "application/json", 400, ""),
        (b'{"colour": 1}', "application/json", 400, "colour"),
        (b'{"colour": "\\u0000"}', "application/json", 400, "NUL"),
        (b'{"colour": "\\ud800"}', "application/json", 400, "surrogate"),
        (b"{}", "text/plain", 415, "application/json"),
        (b'{"x": "' + b"x" * 1_100_000 + b'"}', "application/json", 413, ""),
    ],
    ids=["cut-off", "no-utf-8", "deep", "list", "null", "unknown", "nul", "surrogate", "text", "long"],
)
def test_refuses_bodies_that_are_none(
    operation: Operation[Any], body: bytes, kind: str, status: int, says: str, client: FlaskClient
) -> None:
    call = example_call(operation)
    reply = client.open(call.target, method=call.method, data=body, content_type=kind)
    assert reply.status_code == status, reply.text
    assert says in reply.json["error"]["message"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/api/v1/challenges?usable=true&usable=true", "given 2 times"),
        ("/api/v1/certificates?subject=%00", "NUL"),
        ("/api/v1/certificates?subject=%ED%A0%80", ""),
        (f"/api/v1/certificates?after_id={1 << 63}", "after_id"),
        ("/api/v1/certificates?limit=1e3", "limit"),
        ("/api/v1/certificates/%00", "NUL"),
        (f"/api/v1/certificates/{'1' * 201}", "selector"),
        ("/api/v1/journal/0", "number"),
    ],
)
def test_refuses_values_that_are_none(path: str, says: str, client: FlaskClient) -> None:
    reply = client.get(path)
    assert reply.status_code in (200, 400) if not says else reply.status_code == 400, reply.text
    assert says in reply.text


@every_operation
def test_other_methods_are_refused_and_the_right_ones_named(
    operation: Operation[Any], client: FlaskClient
) -> None:
    target = example_call(operation).target
    here = {one.method for one in OPERATIONS if one.path == operation.path}
    reply = client.open(target, method="TRACE")
    assert reply.status_code == 405
    allowed = set(reply.headers["Allow"].split(", "))
    assert allowed == here | {"OPTIONS"} | ({"HEAD"} if "GET" in here else set())
    assert reply.json["error"]["code"] == "MethodNotAllowed"


@every_operation
def test_no_answer_is_kept_or_guessed_at(client: FlaskClient, operation: Operation[Any]) -> None:
    reply = send(client, example_call(operation))
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.status_code == 204 or reply.headers["Cache-Control"] == "no-store"


def test_head_is_get_without_a_body(client: FlaskClient) -> None:
    reply = client.head("/api/v1/challenges")
    assert (reply.status_code, reply.data, reply.mimetype) == (200, b"", "application/json")


# -- what is described -----------------------------------------------------------------


@every_operation
def test_every_operation_explains_itself(operation: Operation[Any]) -> None:
    assert operation.function.__doc__
    assert not operation.summary.endswith(".")
    assert operation.shape.path.keys() == set(re.findall(r"{(\w+)}", operation.path))


@takes_body
def test_examples_are_bodies_that_are_taken(operation: Operation[Any]) -> None:
    body = operation.shape.body
    assert body is not None
    needed = [name for name, field in body.model_fields.items() if field.is_required()]
    assert operation.example_body is not None or not needed


@every_operation
def test_an_example_can_be_made_of_every_answer(operation: Operation[Any]) -> None:
    for model in operation.shape.answers.values():
        if model is not None:
            assert isinstance(example_of(model), model)


def test_every_reference_of_the_document_leads_somewhere() -> None:
    document = openapi_document(version="1", with_token=True)
    references = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)))
    assert references
    for reference in references:
        found: Any = document
        for part in reference.split("/"):
            found = found[part]
    assert set(document["paths"]) == {operation.path for operation in OPERATIONS}


def test_the_document_says_which_operations_want_the_token() -> None:
    document = openapi_document(version="1", with_token=True)
    free = {
        path
        for path, methods in document["paths"].items()
        for described in methods.values()
        if described.get("security") == []
    }
    assert document["security"] == [{"bearer": []}]
    assert free == OPEN
    assert openapi_document(version="1", with_token=False)["security"] == []


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.names: set[str] = set()
        self.tags: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "link"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("href", "src", "action", "style") or name.startswith("on"):
                self.links.add(f"{name}={value}")
            if name == "id":
                assert value not in self.names
                self.names.add(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_docs_page_shows_every_operation_and_needs_nothing_from_outside(client: FlaskClient) -> None:
    reply = client.get("/docs")
    assert reply.mimetype == "text/html"
    assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'")
    page = _Page()
    page.feed(reply.text)
    assert page.open == []
    assert {operation.name for operation in OPERATIONS} <= page.names
    inner = {link for link in page.links if link.startswith("href=#")}
    assert page.links - inner == {"href=/openapi.json"}
    assert {link.removeprefix("href=#") for link in inner} <= page.names
    assert not page.tags & {"script", "img", "link", "iframe", "object", "form"}
    assert reply.text.count("<pre>curl ") == len(OPERATIONS)
    assert "url(" not in reply.text
    assert "@import" not in reply.text


def test_the_docs_page_shows_the_token_as_a_variable_only() -> None:
    assert "NDES_LAB_ADMIN__TOKEN" in render_docs(version="1", with_token=True)
    assert "NDES_LAB_ADMIN__TOKEN" not in render_docs(version="1", with_token=False)


# -- the framework itself --------------------------------------------------------------


class Wanted(BaseModel):
    """What is wanted."""

    name: str
    size: int = Field(default=3, ge=1)


class Given(BaseModel):
    """What is given."""

    name: str


def test_an_operation_is_what_its_function_says() -> None:
    resource = Resource("things", "Things.")

    @resource.put("/things/{number}", status=201, errors=(DeskRefused,), example={"name": "it's"})
    def put_thing(context: AdminContext, number: int, body: Wanted) -> Given:
        """Put a thing.

        There is more to say.
        """
        return Given(name=f"{body.name}{number}{context}")

    assert resource.operations == [put_thing]
    assert (put_thing.name, put_thing.summary) == ("put_thing", "Put a thing")
    assert put_thing.description == "There is more to say."
    assert put_thing.shape.body is Wanted
    assert put_thing.shape.answers == {201: Given}
    assert statuses_of(put_thing) == [400, 401, 403, 409, 413, 415, 503]
    call = example_call(put_thing, number=7)
    assert (call.method, call.target, call.body) == ("PUT", "/things/7", '{"name": "it\'s"}')
    line = curl_line(call, "http://h", token="$T")
    assert line == (
        'curl -sS --fail-with-body -X PUT -H "Authorization: Bearer $T" '
        "-H 'Content-Type: application/json' "
        '-d \'{"name": "it\'"\'"\'s"}\' http://h/things/7'
    )
