"""What Prometheus is told of a publisher."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from metrics_text import families, samples
from ocsp_world import OcspWorld, ocsp_world
from prometheus_client import CollectorRegistry

from ca.ocsp import ResponseStatus, error_response
from ca.ocsp_responder import OcspAnswer
from ca.records import CrlKind, RevocationReason
from crl_publisher import Publication, PublisherState, SignedCrl
from crl_publisher.app import create_app
from crl_publisher.expiry import PublicationMetrics, PublisherExpiry
from crl_publisher.metrics import PublisherMetrics
from crl_publisher.ocsp import REQUEST_MEDIA_TYPE

CRL = "Test Issuing CA.crl"
DELTA = "Test Issuing CA+.crl"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[OcspWorld]:
    with ocsp_world(tmp_path) as made:
        yield made


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def published(world: OcspWorld) -> Publication:
    """Return a publication with a base and a delta CRL."""
    publication = Publication(world.folder.published, world.clock, durable=False)
    issuer = world.authority.certificate.der
    signed = world.authority.sign_crls(world.store, CrlKind.BASE)
    for record in signed:
        name = CRL if record.kind is CrlKind.BASE else DELTA
        publication.publish(SignedCrl(name=name, der=record.der, issuer=issuer))
    assert {file.name for file in publication.files()} == {CRL, DELTA}
    return publication


class Ticking:
    """A stopwatch that goes on by so much at each look."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._now = seconds, 0.0

    def __call__(self) -> float:
        self._now += self._seconds
        return self._now


def browser(world: OcspWorld, metrics: PublisherMetrics, responder: Any = None) -> Any:
    application = create_app(published(world), responder=metrics.counted(responder or world.responder))
    application.wsgi_app = metrics.around(application.wsgi_app)  # type: ignore[assignment, method-assign]
    return application.test_client()


def test_fetches_are_counted_by_kind_and_status(world: OcspWorld, registry: CollectorRegistry) -> None:
    client = browser(world, PublisherMetrics(registry, stopwatch=Ticking(0.02)))
    client.get(f"/CertEnroll/{CRL}")
    etag = client.get(f"/certenroll/{CRL.upper()}").headers["ETag"]
    client.get(f"/CertEnroll/{CRL}", headers={"If-None-Match": etag})
    client.get(f"/CertEnroll/{DELTA}")
    client.head(f"/CertEnroll/{DELTA}")
    for path in ("/CertEnroll/none.crt", "/CertEnroll/none.p7c", "/CertEnroll/none", "/", "/secret.crl"):
        client.get(path)
    client.post(f"/CertEnroll/{CRL}")
    client.get("/ocsp/AAAA")
    assert samples(registry, "crl_publisher_requests_total", "kind", "status") == {
        ("crl", "200"): 2,
        ("crl", "304"): 1,
        ("crl", "405"): 1,
        ("delta-crl", "200"): 2,
        ("ca-certificate", "404"): 1,
        ("ca-certificates", "404"): 1,
        ("unknown", "404"): 3,
        ("ocsp", "200"): 1,
    }
    counts = samples(registry, "crl_publisher_request_duration_seconds_count", "kind")
    assert counts[("crl",)] == 4
    buckets = samples(registry, "crl_publisher_request_duration_seconds_bucket", "kind", "le")
    assert buckets[("crl", "0.025")] == 4
    assert ("crl", "0.01") not in buckets
    assert samples(registry, "crl_publisher_requests_in_progress") == {}


def test_ocsp_answers_are_counted_by_what_was_said(world: OcspWorld, registry: CollectorRegistry) -> None:
    client = browser(world, PublisherMetrics(registry))
    good, revoked = world.leaf(), world.leaf()
    world.revoke(revoked, RevocationReason.KEY_COMPROMISE)

    def ask(octets: bytes) -> None:
        client.post("/ocsp", data=octets, content_type=REQUEST_MEDIA_TYPE)

    for serial in (good.serial_number, good.serial_number, revoked.serial_number, 4711):
        ask(world.ask(serial))
    ask(b"garbage")
    world.store.close()
    ask(world.ask(good.serial_number))
    assert samples(registry, "crl_publisher_ocsp_answers_total", "status") == {
        ("good",): 2,
        ("revoked",): 1,
        ("unknown",): 1,
        ("malformed_request",): 1,
        ("try_later",): 1,
    }


@pytest.mark.parametrize("status", [one for one in ResponseStatus if one is not ResponseStatus.SUCCESSFUL])
def test_every_error_of_ocsp_has_a_counter_that_begins_at_zero(
    registry: CollectorRegistry, status: ResponseStatus
) -> None:
    metrics = PublisherMetrics(registry)
    found = families(registry)["crl_publisher_ocsp_answers"].samples
    assert status.name.lower() in {sample.labels["status"] for sample in found}
    metrics.note(OcspAnswer(der=error_response(status), status=status))
    assert samples(registry, "crl_publisher_ocsp_answers_total", "status") == {(status.name.lower(),): 1}


def test_nothing_that_a_client_asks_for_becomes_a_label(
    world: OcspWorld, registry: CollectorRegistry
) -> None:
    client = browser(world, PublisherMetrics(registry))
    for number in range(50):
        client.open(f"/mark{number}/x.crl", method=f"MARK{number}")
        client.get(f"/CertEnroll/mark{number}.crl")
        client.get(f"/ocsp/mark{number}")
    kinds = samples(registry, "crl_publisher_requests_total", "kind")
    assert set(kinds) == {("unknown",), ("crl",), ("ocsp",)}


WORKER = """
import sys
from prometheus_client import CollectorRegistry
from crl_publisher.metrics import PublisherMetrics
metrics = PublisherMetrics(CollectorRegistry())
def application(environ, start_response):
    start_response("200 OK", [])
    return []
for _ in range(int(sys.argv[1])):
    metrics.around(application)({"PATH_INFO": "/CertEnroll/x.crl"}, lambda *_: None)
"""
PARENT = """
import sys
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from crl_publisher import PublisherState
from crl_publisher.expiry import PublicationMetrics
registry = CollectorRegistry()
MultiProcessCollector(registry, path=sys.argv[1])
registry.register(PublicationMetrics(PublisherState))
sys.stdout.write(generate_latest(registry).decode())
"""


def test_the_parent_tells_the_workers_counters_and_what_it_knows_itself(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def run(code: str, argument: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, argument],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    run(WORKER, "2")
    run(WORKER, "5")
    text = run(PARENT, str(tmp_path))
    assert samples(text, "crl_publisher_requests_total", "kind", "status") == {("crl", "200"): 7}
    assert samples(text, "crl_publisher_request_duration_seconds_count", "kind") == {("crl",): 7}
    assert samples(text, "crl_publication_on_duty") == {(): 1}


# -- what ends, and how publication goes -----------------------------------------------


def test_tells_when_what_is_published_ends(world: OcspWorld, registry: CollectorRegistry) -> None:
    publication = published(world)
    world.responder.answer(world.ask(world.leaf().serial_number))  # makes the responder's certificate
    registry.register(PublisherExpiry(world.folder, publication, world.clock))
    now = world.clock.now().timestamp()
    crls = samples(registry, "x509_crl_next_update", "source_kind", "source_name", "issuer_CN")
    assert set(crls) == {
        ("cdp", CRL, "NDES Lab Test Issuing CA"),
        ("delta", DELTA, "NDES Lab Test Issuing CA"),
    }
    assert min(crls.values()) > now > max(samples(registry, "x509_crl_this_update", "filepath").values()) - 1
    assert set(samples(registry, "x509_crl_number", "source_kind").values()) == {
        publication.crl_facts(CRL).number  # type: ignore[union-attr]
    }
    kinds = samples(registry, "x509_cert_expires_in_seconds", "source_kind", "issuer_CN")
    assert set(kinds) == {
        ("ca", "NDES Lab Test Root CA"),
        ("ocsp-responder", "NDES Lab Test Issuing CA"),
    }
    assert samples(registry, "x509_crl_stale", "source_kind") == {}
    world.clock.advance(days=60)
    assert samples(registry, "x509_crl_stale", "source_kind") == {("cdp",): 1, ("delta",): 1}
    assert samples(registry, "x509_cert_expired", "source_kind") == {("ocsp-responder",): 1}


def test_a_published_file_that_is_no_crl_is_a_source_that_is_down(
    world: OcspWorld, registry: CollectorRegistry
) -> None:
    publication = published(world)
    (world.folder.published / CRL).write_bytes(b"damaged")
    registry.register(PublisherExpiry(world.folder, publication, world.clock))
    up = {
        sample.labels["source_name"]: sample.value for sample in families(registry)["x509_source_up"].samples
    }
    assert (up[CRL], up[DELTA]) == (0, 1)


def test_tells_how_publication_goes(registry: CollectorRegistry) -> None:
    now = datetime.fromisoformat("2026-03-01T12:00:00+00:00")
    state = PublisherState()
    registry.register(PublicationMetrics(lambda: state))

    def told() -> dict[str, float]:
        found = families(registry)
        return {
            name.removeprefix("crl_publication_"): family.samples[0].value for name, family in found.items()
        }

    assert told() == {"failing": 0, "failures": 0, "on_duty": 1}
    state = PublisherState(
        due=now + timedelta(minutes=1), last_success=now, last_error="x", failing_since=now, failures=3,
        on_duty=False,
    )  # fmt: skip
    assert told() == {
        "failing": 1,
        "failures": 3,
        "on_duty": 0,
        "last_success_timestamp_seconds": now.timestamp(),
        "due_timestamp_seconds": now.timestamp() + 60,
    }
