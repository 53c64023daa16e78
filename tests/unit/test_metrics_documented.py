"""The README's table of metrics is what is told, name by name and label by label."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from metrics_text import families, names_of_samples
from ocsp_world import ocsp_world
from prometheus_client import CollectorRegistry, generate_latest
from scep_world import Client, World

from ca.records import CrlKind
from crl_publisher import Publication, PublisherState, SignedCrl
from crl_publisher.app import create_app as create_publisher_app
from crl_publisher.expiry import PublicationMetrics, PublisherExpiry
from crl_publisher.metrics import PublisherMetrics
from lab import ScepLab
from scep_server.app import create_app as create_scep_app
from scep_server.expiry import ScepExpiry
from scep_server.metrics import ScepMetrics

README = Path(__file__).parents[2] / "README.md"
SECTION = README.read_text().partition("\n## Logs and metrics\n")[2].partition("\n## ")[0]
OF_THE_LAB = {"ndes_lab_health", "x509_exporter_build_info"}
_MADE_BY_FORMAT = {"le", "quantile"}


def documented() -> dict[str, set[str]]:
    """Return the labels of each metric as the table has them."""
    found = {}
    for line in SECTION.splitlines():
        if line.startswith("| `"):
            _, names, labels, *_ = line.split("|")
            for name in re.findall("`(.+?)`", names):
                found[name] = set(re.findall("`(.+?)`", labels))
    return found


def labels(text: bytes) -> dict[str, set[str]]:
    """Return the labels of each metric that is told."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: {
            label for sample in family.samples for label in sample.labels
        }
        - _MADE_BY_FORMAT
        for family in families(text).values()
    }


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[dict[str, set[str]]]:
    """What both programs tell after each of their counters has counted something."""
    scep, publisher = CollectorRegistry(), CollectorRegistry()
    (tmp_path / "scep").mkdir()
    world = World(tmp_path / "scep")
    metrics = ScepMetrics(scep)
    world.service._observers = (metrics,)
    application = create_scep_app(world.service)
    application.wsgi_app = metrics.around(application.wsgi_app)  # type: ignore[assignment, method-assign]
    for password in (world.new_challenge(), "guessed"):
        message = Client(world=world).request(password)
        application.test_client().post("/scep?operation=PKIOperation", data=message)
    with ocsp_world(tmp_path / "pki") as pki:
        scep.register(ScepExpiry(pki.folder, pki.clock))
        publication = Publication(pki.folder.published, pki.clock, durable=False)
        (base, _) = pki.authority.sign_crls(pki.store, CrlKind.BASE)
        publication.publish(SignedCrl(name="x.crl", der=base.der, issuer=pki.authority.certificate.der))
        served = PublisherMetrics(publisher)
        pages = create_publisher_app(publication, responder=served.counted(pki.responder))
        pages.wsgi_app = served.around(pages.wsgi_app)  # type: ignore[assignment, method-assign]
        pages.test_client().get("/CertEnroll/x.crl")
        publisher.register(PublisherExpiry(pki.folder, publication, pki.clock))
        now = pki.clock.now()
        publisher.register(PublicationMetrics(lambda: PublisherState(due=now, last_success=now)))
        yield labels(generate_latest(scep)) | labels(generate_latest(publisher))


def test_the_programs_tell_what_the_table_has_and_nothing_else(programs: dict[str, set[str]]) -> None:
    assert programs == {name: found for name, found in documented().items() if name not in OF_THE_LAB}


def test_a_lab_tells_all_of_the_table_and_nothing_else() -> None:
    with ScepLab() as scep_lab:
        scep_lab.world.publishing.publish(CrlKind.BASE)
        with urllib.request.urlopen(f"{scep_lab.admin_url}/metrics") as answer:
            found = names_of_samples(answer.read())
    assert {name.removesuffix("_info") for name in found} == {
        name.removesuffix("_info") for name in documented()
    }


def test_alerts_and_text_name_metrics_that_there_are() -> None:
    _, _, after = SECTION.rpartition("|\n")
    named = set(re.findall(r"\b(?:scep|crl|x509|ndes_lab)_\w+", after))
    assert len(named) >= 2
    assert named <= set(documented())


def test_names_have_the_unit_and_the_ending_of_their_type(programs: dict[str, set[str]]) -> None:
    """Base units, spelt out (Prometheus, "Metric and label naming")."""
    assert not [name for name in programs if re.search(r"_(ms|milliseconds|minutes|days|kb)(_|$)", name)]
    assert all(re.fullmatch("[a-z][a-z0-9_]*", name) for name in programs)
    for name in programs:
        if "duration" in name or "expires_in" in name or "timestamp" in name:
            assert name.endswith("_seconds")
