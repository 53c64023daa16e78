"""What Prometheus is told of SCEP: true numbers, few labels, nothing that a client wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from forge.certificates import common_name
from metrics_text import families, samples
from prometheus_client import CollectorRegistry
from scep_world import Client, HandClock, World

from ca.ceremony import hold_ceremony
from ca.folders import PkiFolder
from ca.settings import PkiSettings
from scep_server.app import create_app
from scep_server.expiry import ScepExpiry
from scep_server.metrics import ScepMetrics
from scep_server.settings import EndpointSettings, ScepSettings


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def counted(world: World, registry: CollectorRegistry, **changes: Any) -> World:
    """Return the world with a service whose exchanges are counted in ``registry``."""
    world.service = world.make_service(**changes)
    world.service._observers = (ScepMetrics(registry), world.recorder)
    return world


def test_requests_are_counted_by_operation_type_and_outcome(
    world: World, registry: CollectorRegistry
) -> None:
    counted(world, registry)
    client = Client(world=world)
    world.handle(query="operation=GetCACaps")
    world.handle(query="operation=GetCACaps")
    world.handle(path="/nowhere")
    client.send(client.request(world.new_challenge()))
    world.post(Client(world=world).request("guessed"))
    world.post(b"garbage", path="/scep/other")
    labels = ("endpoint", "operation", "message_type", "outcome")
    assert samples(registry, "scep_requests_total", *labels) == {
        ("default", "GetCACaps", "-", "success"): 2,
        ("-", "-", "-", "rejected"): 1,
        ("default", "PKIOperation", "PKCSReq", "success"): 1,
        ("default", "PKIOperation", "PKCSReq", "failure"): 1,
        ("other", "PKIOperation", "-", "rejected"): 1,
    }
    assert samples(registry, "scep_refusals_total", "endpoint", "reason") == {
        ("-", "unknown-path"): 1,
        ("default", "challenge-unknown"): 1,
        ("other", "unreadable-message"): 1,
    }
    assert samples(registry, "scep_request_duration_seconds_count", "operation") == {
        ("GetCACaps",): 2,
        ("PKIOperation",): 3,
        ("-",): 1,
    }


def test_the_database_that_is_away_is_an_error(world: World, registry: CollectorRegistry) -> None:
    counted(world, registry)
    message = Client(world=world).request(world.new_challenge())
    world.store.close()
    world.post(message)
    (found,) = samples(registry, "scep_requests_total", "operation", "outcome")
    assert found == ("PKIOperation", "error")


def test_certificates_are_counted_once_by_template(world: World, registry: CollectorRegistry) -> None:
    counted(world, registry)
    client = Client(world=world)
    message = client.request(world.new_challenge())
    client.send(message)
    client.send(message)  # the same again: a copy of the answer, no other certificate
    assert samples(registry, "scep_certificates_issued_total", "endpoint", "template") == {
        ("default", "SCEP-Client-Auth"): 1
    }
    assert sum(samples(registry, "scep_requests_total", "outcome").values()) == 2


def test_challenges_are_counted_by_what_was_found(world: World, registry: CollectorRegistry) -> None:
    counted(world, registry)
    used = world.new_challenge()
    bound, expired = world.new_challenge(subject="CN=somebody else"), world.new_challenge()
    elsewhere, good = world.new_challenge(endpoint="other"), world.new_challenge(validity=timedelta(days=9))
    for password in (used, used, bound, elsewhere, "guessed", ""):
        client = Client(world=world)
        client.send(client.request(password))
    world.clock.advance(hours=2)
    for password in (expired, good):
        client = Client(world=world)
        client.send(client.request(password))
    assert samples(registry, "scep_challenges_total", "outcome") == {
        ("accepted",): 2,
        ("spent",): 1,
        ("wrong-subject",): 1,
        ("wrong-endpoint",): 1,
        ("unknown",): 1,
        ("absent",): 1,
        ("expired",): 1,
    }


def test_what_brakes_refuse_is_counted_by_brake(world: World, registry: CollectorRegistry) -> None:
    brakes = {
        "enabled": True, "requests_per_minute": 1, "burst": 4, "wrong_challenges_per_address": 1,
        "wrong_challenges_per_endpoint": None, "pending_per_address": 1,
    }  # fmt: skip
    settings = ScepSettings.model_validate(
        {"brakes": brakes, "endpoints": {"default": EndpointSettings(), "slow": {"approval": "manual"}}}
    )
    assert samples(registry, "scep_brake_refusals_total", "brake") == {}
    counted(world, registry, settings=settings)
    waiting = [Client(world=world) for _ in range(2)]
    for client in waiting:
        world.post(client.request(world.new_challenge()), path="/scep/slow")
    for password in ("guessed", world.new_challenge(), "not even looked at"):
        world.post(Client(world=world).request(password))
    assert samples(registry, "scep_brake_refusals_total", "brake") == {
        ("pending",): 1,
        ("challenges",): 1,
        ("requests",): 1,
    }
    assert samples(registry, "scep_challenges_total", "outcome") == {
        ("accepted",): 2, ("unknown",): 1, ("brake",): 1,
    }  # fmt: skip


def test_every_brake_is_there_before_it_refuses(registry: CollectorRegistry) -> None:
    ScepMetrics(registry)
    found = families(registry)["scep_brake_refusals"].samples
    assert {sample.labels["brake"]: sample.value for sample in found if sample.name.endswith("_total")} == {
        "requests": 0,
        "challenges": 0,
        "pending": 0,
    }


def test_http_responses_are_counted_unforeseen_errors_too(world: World, registry: CollectorRegistry) -> None:
    metrics = ScepMetrics(registry)
    world.service._observers = (metrics,)
    during: list[float] = []

    class Service:
        maximum_body_octets = 1 << 20

        def handle(self, request: Any) -> Any:
            during.append(sum(samples(registry, "scep_http_requests_in_progress").values()))
            if request.path == "/breaks":
                raise RuntimeError("a defect")
            return world.service.handle(request)

    application = create_app(Service())
    application.wsgi_app = metrics.around(application.wsgi_app)  # type: ignore[assignment, method-assign]
    browser = application.test_client()
    for path in ("/breaks", "/nowhere", "/scep?operation=GetCACaps"):
        browser.open(path, method="GET")
    assert samples(registry, "scep_http_responses_total", "status") == {("500",): 1, ("404",): 1, ("200",): 1}
    assert during == [1, 1, 1]
    assert samples(registry, "scep_http_requests_in_progress") == {}


def test_nothing_that_a_client_writes_becomes_a_label(world: World, registry: CollectorRegistry) -> None:
    counted(world, registry)
    for number in range(40):
        mark = f"mark-{number}"
        world.handle(method=f"M{mark}", path="/scep")
        world.handle(path=f"/scep/{mark}", query="operation=GetCACaps")
        world.handle(query=f"operation={mark}&message={mark}", user_agent=mark, remote_address=mark)
        world.handle(query="operation=PKIOperation&message=AAAA", host=mark)
    client = Client(world=world, subject=common_name("mark-x"), transaction_id="mark-y")
    world.post(client.request("mark-z"))
    text = {
        value
        for family in families(registry).values()
        for sample in family.samples
        for value in sample.labels.values()
    }
    assert not [value for value in text if "mark" in value]
    assert (
        len(samples(registry, "scep_requests_total", "endpoint", "operation", "message_type", "outcome")) == 4
    )


def test_names_units_and_texts_are_as_prometheus_wants_them(registry: CollectorRegistry) -> None:
    metrics = ScepMetrics(registry)
    assert metrics
    found = {family.name: family for family in registry.collect()}
    assert all(family.documentation.endswith(".") for family in found.values())
    assert all(name.startswith("scep_") for name in found)
    histogram = families(registry)["scep_request_duration_seconds"]
    assert histogram.type == "histogram"
    assert {family.type for family in found.values()} == {"counter", "gauge", "histogram"}


WORKER = """
import os, sys
from types import SimpleNamespace as Value
from prometheus_client import CollectorRegistry
from scep_server.exchange import Ending, Operation
from scep_server.metrics import ScepMetrics
metrics = ScepMetrics(CollectorRegistry())
exchange = Value(endpoint="default", operation=Operation.GET_CA_CAPS, message=None, ending=Ending.SUCCESS,
                 duration=0.003, refused_by=None, checks=(), answer=None)
for _ in range(int(sys.argv[1])):
    metrics.observe(exchange)
def application(environ, start_response):
    start_response("200 OK", [])
    if len(sys.argv) > 2:
        os._exit(0)  # as a worker that is killed while it answers
    return []
list(metrics.around(application)({}, lambda *_: None))
"""
PARENT = """
import sys
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
registry = CollectorRegistry()
MultiProcessCollector(registry, path=sys.argv[1])
for pid in sys.argv[2:]:
    mark_process_dead(int(pid), sys.argv[1])
sys.stdout.write(generate_latest(registry).decode())
"""


def run(code: str, folder: Path, *arguments: str) -> tuple[str, int]:
    """Run a program of its own as a worker of those whose counters are in ``folder``."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    done = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    )
    out, _ = done.communicate(timeout=60)
    assert done.returncode == 0
    return out, done.pid


def test_counters_of_two_processes_are_one_and_outlive_them(tmp_path: Path) -> None:
    _, first = run(WORKER, tmp_path, "3")
    _, second = run(WORKER, tmp_path, "4", "killed")
    text, _ = run(PARENT, tmp_path, str(tmp_path))
    assert samples(text, "scep_requests_total", "outcome") == {("success",): 7}
    assert samples(text, "scep_request_duration_seconds_count", "operation") == {("GetCACaps",): 7}
    assert samples(text, "scep_request_duration_seconds_bucket", "le")[("0.005",)] == 7
    assert ("0.0025",) not in samples(text, "scep_request_duration_seconds_bucket", "le")
    assert samples(text, "scep_http_responses_total", "status") == {("200",): 2}
    assert samples(text, "scep_http_requests_in_progress") == {(): 1}  # of the one that was killed
    text, _ = run(PARENT, tmp_path, str(tmp_path), str(first), str(second))
    assert samples(text, "scep_http_requests_in_progress") == {}
    assert samples(text, "scep_requests_total", "outcome") == {("success",): 7}


# -- what ends -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> PkiFolder:
    found = PkiFolder(tmp_path_factory.mktemp("pki"))
    hold_ceremony(found, PkiSettings(), clock=HandClock(), entropy=os.urandom, durable=False)
    return found


def test_tells_when_what_scep_is_answered_with_ends(folder: PkiFolder, registry: CollectorRegistry) -> None:
    clock = HandClock()
    registry.register(ScepExpiry(folder, clock))
    left = samples(registry, "x509_cert_expires_in_seconds", "source_kind", "source_name")
    assert set(left) == {
        ("ca", "NDES Lab Test Root CA: CA Certificate"),
        ("ca", "NDES Lab Test Issuing CA: CA Certificate"),
        ("ra", "NDES Lab Test Issuing CA: RA Certificate (signing)"),
        ("ra", "NDES Lab Test Issuing CA: RA Certificate (encryption)"),
    }
    ends = samples(registry, "x509_cert_not_after", "source_kind", "source_name")
    assert {key: ends[key] - clock.time.timestamp() for key in ends} == left
    assert samples(registry, "x509_cert_expired", "source_name") == {}
    assert len(samples(registry, "x509_source_up", "source_name")) == 4
    assert set(samples(registry, "x509_cert_not_after", "filepath")) == {
        ("issuing/root.crt",), ("issuing/issuing.crt",), ("ra/signing.crt",), ("ra/encryption.crt",)
    }  # fmt: skip


def test_an_ra_certificate_that_has_ended_is_expired_and_an_error(
    folder: PkiFolder, registry: CollectorRegistry
) -> None:
    clock = HandClock()
    registry.register(ScepExpiry(folder, clock))
    clock.advance(days=3 * 365)
    expired = samples(registry, "x509_cert_expired", "source_kind")
    assert expired == samples(registry, "x509_cert_error", "source_kind") == {("ra",): 1}
    assert samples(registry, "x509_cert_expires_in_seconds", "source_kind")[("ra",)] < 0


def test_a_certificate_that_cannot_be_read_is_a_source_that_is_down(
    tmp_path: Path, registry: CollectorRegistry
) -> None:
    registry.register(ScepExpiry(PkiFolder(tmp_path), HandClock()))
    down = {
        sample.labels["source_name"]: sample.value for sample in families(registry)["x509_source_up"].samples
    }
    assert len(down) == 4
    assert set(down.values()) == {0}
    assert "RA Certificate (signing), signing.crt" in down
