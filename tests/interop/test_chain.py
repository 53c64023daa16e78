"""The chain of docker/compose.yaml at work, as processes: clients enrol, and nobody sees too much."""

from __future__ import annotations

import inspect
import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from peers import require_peer
from postgresql import PostgresqlServer

from ca.folders import PkiFolder
from interop import openssl
from interop.chain import (
    Compose,
    answered,
    ask,
    enrol,
    held,
    issuer_of,
    log,
    new_challenge,
    reread,
    revoked_of,
    serial_of,
    visit,
    wait_until,
    workers,
)
from interop.clients import Endpoint, EnrolmentRefused, ScepClient
from interop.compose_file import DOCKER
from interop.composition import Composition, Replica, composition
from interop.lab_process import NDES_LAB
from interop.process import run

pytestmark = [pytest.mark.interop, pytest.mark.slow]

SOME = 40  # requests that go each to a replica by chance: enough for all of them
REFUSED = 400  # nginx's "The SSL certificate error"


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, postgresql: PostgresqlServer) -> Iterator[Composition]:
    """All services, healthy, in the order that the compose file says."""
    for program in ("nginx", "curl", "openssl", "scepclient"):
        require_peer(program)
    folder = tmp_path_factory.mktemp("chain")
    two = {"NDES_LAB_PUBLISHER_REPLICAS": "2"}
    with postgresql.database() as url, composition(folder, url, **two) as composed:
        composed.complete("secrets")
        composed.complete("root")
        for name in ("scep", "publisher", "edge", "relying-party"):
            composed.start(name)
        yield composed


@pytest.fixture
def root_pem(chain: Composition) -> Path:
    return chain.volume("edge") / "root.pem"


@pytest.fixture
def scep(chain: Composition) -> Replica:
    return chain.replicas["scep"][0]


# -- enrolment -------------------------------------------------------------------------


def test_scepclient_enrols_through_the_edge_and_openssl_finds_everything_there(
    chain: Composition, tmp_path: Path, root_pem: Path
) -> None:
    enrolment = enrol(chain, tmp_path, "plain")
    publication = openssl.verify_chain(enrolment.certificate_pem, root_pem=root_pem, folder=tmp_path)
    assert len(publication.issuers) == 2


def test_our_client_enrols_over_tls_whose_certificate_is_of_the_pki(
    chain: Composition, tmp_path: Path, root_pem: Path
) -> None:
    challenge = tmp_path / "challenge"
    challenge.write_text(new_challenge(chain))
    done = run(
        [
            *(NDES_LAB, "enroll", f"{chain.url('edge', 8443, 'https')}/scep"),
            *("--tls-ca-file", root_pem, "--ca-file", root_pem, "--challenge-file", challenge),
            *("--subject", "CN=over-tls", "--out", tmp_path / "out"),
        ]
    )
    assert done.ok, done.text
    found = (tmp_path / "out" / "certificate.pem").read_bytes()
    openssl.verify_chain(found, root_pem=root_pem, folder=tmp_path)


def test_client_container_enrols_and_renews_as_is_told(
    chain: Composition, scep: Replica, tmp_path: Path
) -> None:
    root = tmp_path / "root.pem"
    root.write_bytes(chain.execute(scep, "cat", "issuing/root.crt").stdout)
    client = chain.prepared("client")
    client.places["/root.pem"] = root
    enroll = ("ndes-lab", "enroll", "http://edge:8080/scep", "--ca-file", "/root.pem")
    once = ("--subject", "CN=device-1", "--challenge", new_challenge(chain))
    done = chain.execute(client, *enroll, *once, "--out", "device-1")
    assert done.ok, done.text
    held_now = ("device-1/certificate.pem", "device-1/key.pem")
    done = chain.execute(client, *enroll, "--renew-with", *held_now, "--out", "device-1-renewed")
    assert done.ok, done.text
    assert {path.name for path in chain.volume("client").iterdir()} == {"device-1", "device-1-renewed"}


def test_requests_go_round_the_replicas(chain: Composition) -> None:
    replicas = chain.replicas["scep"]
    assert len(replicas) == 2
    before = [answered(replica) for replica in replicas]
    for _ in range(SOME):
        assert ask(f"{chain.url('edge', 8080)}/scep?operation=GetCACaps")[0] == 200
    after = [answered(replica) for replica in replicas]
    assert all(later > earlier for earlier, later in zip(before, after, strict=True)), (before, after)


def test_replica_that_dies_is_not_missed_and_is_found_again(chain: Composition) -> None:
    url = f"{chain.url('edge', 8080)}/scep?operation=GetCACaps"
    dead = chain.replicas["scep"][1]
    chain.kill(dead)
    assert {ask(url)[0] for _ in range(SOME)} == {200}
    chain.begin(dead)
    chain.wait(dead)
    before = answered(dead)
    assert {ask(url)[0] for _ in range(SOME)} == {200}
    assert answered(dead) > before


@pytest.mark.parametrize(
    "name", ["test_enrols_and_chains_to_the_root", "test_is_refused_with_a_challenge_that_was_used"]
)
def test_the_example_for_testcontainers_passes(
    chain: Composition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    library = ModuleType("testcontainers.compose")
    library.DockerCompose = Compose  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "testcontainers", ModuleType("testcontainers"))
    monkeypatch.setitem(sys.modules, library.__name__, library)
    example = runpy.run_path(str(DOCKER / "examples" / "test_enrolment.py"))
    compose = Compose(chain)
    fixtures: dict[str, object] = {"chain": compose, "tmp_path": tmp_path}
    for fixture in ("scep_url", "challenge"):
        fixtures[fixture] = example[fixture].__wrapped__(compose)
    wanted = inspect.signature(example[name]).parameters
    example[name](**{key: value for key, value in fixtures.items() if key in wanted})


# -- the edge --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/", "/certsrv/mscep_admin/", "/certsrv/mscep_admin/mscep.dll", "/certsrv/mscep_admin",
        "/api/v1/challenges", "/health/live", "/health/ready", "/metrics", "/version", "/roots/0", "/docs",
        "/fault/wire::overloaded/scep", "/certsrv/mscep/../mscep_admin/", "/scep/../metrics", "/scep/a/b/c",
        "/certsrv/mscep/%2e%2e/mscep_admin/", "/CertEnroll/x.crl",
    ],
)  # fmt: skip
def test_the_edge_knows_no_other_path_than_those_of_scep(chain: Composition, path: str) -> None:
    assert ask("--path-as-is", f"{chain.url('edge', 8080)}{path}")[0] == 404


@pytest.mark.parametrize(
    "path", ["/", "/published", "/CertEnroll/", "/CertEnroll/a/b", "/metrics", "/scep", "/ocspx"]
)
def test_the_edge_knows_no_other_path_than_those_of_the_pki(chain: Composition, path: str) -> None:
    assert ask("--path-as-is", f"{chain.url('edge', 8081)}{path}")[0] == 404


def test_the_edge_takes_paths_as_iis_does(chain: Composition) -> None:
    for path in (
        "/SCEP", "/scep/pkiclient.exe", "/certsrv/mscep/mscep.dll", "/CertSrv/mscep/MSCEP.DLL/pkiclient.exe",
        "/cgi-bin/pkiclient.exe",
    ):  # fmt: skip
        assert ask(f"{chain.url('edge', 8080)}{path}?operation=GetCACaps")[0] == 200, path


def test_the_edge_limits_methods_and_bodies(chain: Composition, tmp_path: Path) -> None:
    url = f"{chain.url('edge', 8080)}/scep?operation=PKIOperation"
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE"):
        assert ask("--request", method, url)[0] in (403, 405), method
    (tmp_path / "long").write_bytes(bytes(200_000))
    assert ask("--data-binary", f"@{tmp_path / 'long'}", url)[0] == 413
    assert ask("--data-binary", f"@{tmp_path / 'long'}", f"{chain.url('edge', 8081)}/ocsp")[0] == 413


def test_the_edge_takes_requests_without_a_host(chain: Composition) -> None:
    url = f"{chain.url('edge', 8080)}/scep?operation=GetCACaps"
    status, text = ask("--http1.0", "--header", "Host:", url)
    assert (status, "POSTPKIOperation" in text) == (200, True)


@pytest.mark.parametrize(
    ("file", "changes", "status"),
    [
        ("clients.conf", {"allow 127.0.0.0/8;": "deny 127.0.0.0/8;"}, 403),
        ("nginx.conf", {"rate=1000r/s": "rate=1r/m", "burst=2000 nodelay": "burst=1 nodelay"}, 429),
    ],
    ids=["networks", "rate"],
)
def test_the_edge_refuses_clients_of_other_networks_and_those_that_ask_too_often(
    chain: Composition, file: str, changes: dict[str, str], status: int
) -> None:
    (edge,) = chain.replicas["edge"]
    place = edge.places[f"/etc/ndes-lab/{file}"]
    text = place.read_text()
    urls = [f"{chain.url('edge', 8080)}/scep?operation=GetCACaps", f"{chain.url('edge', 8081)}/ocsp"]
    try:
        changed = text
        for there, instead in changes.items():
            assert there in changed
            changed = changed.replace(there, instead)
        place.write_text(changed)
        reread(chain, "edge")
        wait_until(lambda: {ask(url)[0] for url in urls} == {status})
    finally:
        place.write_text(text)
        reread(chain, "edge")
        wait_until(lambda: ask(urls[0])[0] == 200)


# -- revocation ------------------------------------------------------------------------


def test_relying_party_takes_certificates_of_the_pki_until_they_are_revoked(
    chain: Composition, tmp_path: Path, scep: Replica
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "lost").mkdir()
    kept, lost = enrol(chain, tmp_path / "kept", "kept"), enrol(chain, tmp_path / "lost", "lost")
    assert visit(chain)[0] == REFUSED, "without a certificate"
    for enrolment in (kept, lost):
        status, text = visit(chain, enrolment)
        assert (status, f"CN={enrolment.common_name}" in text) == (200, True), log(chain)
    done = chain.execute(scep, "ndes-lab", "cert", "revoke", serial_of(lost), "--reason", "keyCompromise")
    assert done.ok, done.text
    assert visit(chain, lost)[0] == REFUSED
    assert "certificate revoked" in log(chain)
    assert visit(chain, kept)[0] == 200, log(chain)
    reread(chain, "publisher")
    wait_until(lambda: serial_of(lost) in revoked_of(lost))
    assert serial_of(kept) not in revoked_of(kept)


# -- who sees what ---------------------------------------------------------------------


def test_the_root_is_in_no_volume_but_its_own(chain: Composition) -> None:
    secret = [
        content
        for name, content in held(chain.volume("root") / "root").items()
        if name not in ("root.crt", "root.crl")
    ]
    assert len(secret) == 3
    for volume in chain.volume("root").parent.iterdir():
        if volume.name != "root":
            found = held(volume)
            assert not any(content in secret for content in found.values()), volume.name
            assert not [name for name in found if name.startswith("root/")], volume.name


def test_the_publisher_has_neither_ra_nor_challenges(chain: Composition) -> None:
    root, publisher = (PkiFolder(chain.volume(name)) for name in ("root", "publisher"))
    hidden = (root.ra_signing_key, root.ra_encryption_key, root.challenge_digest_key)
    kept = {path.read_bytes() for path in hidden}
    found = held(publisher.path)
    assert not kept & set(found.values())
    assert not [name for name in found if name.startswith("ra/")]
    assert kept <= set(held(chain.volume("scep")).values())


def test_the_edge_and_the_relying_party_have_no_key_but_their_own(chain: Composition) -> None:
    ca_keys = {path.read_bytes() for path in chain.volume("root").rglob("*.key")}
    own = set()
    for name in ("edge", "relying-party"):
        found = held(chain.volume(name))
        assert set(found) == {"server.pem", "root.pem", "trusted.pem"}
        assert not ca_keys & set(found.values())
        own.add(found["server.pem"])
    assert len(own) == 2


def test_nothing_is_written_into_what_is_mounted_to_be_read(chain: Composition) -> None:
    for name in ("edge", "relying-party", "database-password"):
        assert len(held(chain.volume(name))) == (1 if name == "database-password" else 3)


# -- the lab beside it -----------------------------------------------------------------


def test_lab_breaks_the_same_pki_on_purpose_and_disturbs_nobody_at_the_edge(
    chain: Composition, tmp_path: Path, scep: Replica
) -> None:
    (lab,) = chain.start("lab")
    try:
        rule = ("wire::overloaded", "--match", "operation=PKIOperation", "--times", "1")
        done = chain.execute(lab, "ndes-lab", "fault", "set", *rule)
        assert done.ok, done.text
        with ScepClient(
            tmp_path, Endpoint(scep_url=f"{chain.url('lab', 8090)}/scep", root_pem=tmp_path)
        ) as client:
            with pytest.raises(EnrolmentRefused):
                client.obtain("bent", new_challenge(chain))
            client.obtain("straight", new_challenge(chain))
        assert enrol(chain, tmp_path, "undisturbed")
        listed = chain.execute(scep, "ndes-lab", "cert", "list", "--subject", "straight").stdout.decode()
        assert "CN=straight" in listed
    finally:
        assert chain.stop(lab) == 0, lab.log


# -- life ------------------------------------------------------------------------------


def test_renewed_ca_reaches_everybody_by_handing_over_again(
    chain: Composition, tmp_path: Path, root_pem: Path
) -> None:
    keeper = chain.prepared("root")
    before = issuer_of(enrol(chain, tmp_path, "before"))
    done = chain.execute(keeper, "ndes-lab", "pki", "renew-ca")
    assert done.ok, done.text
    done = chain.execute(keeper, "ndes-lab", "ra", "renew", "encryption")
    assert done.ok, done.text
    said = chain.complete("root").stdout.decode()
    assert "issuing/1/issuing.key" in said
    assert "ra/encryption.crt" in said
    old = workers(chain)
    reread(chain, "scep", "publisher")
    wait_until(lambda: not old & workers(chain))
    enrolment = enrol(chain, tmp_path, "after")
    assert issuer_of(enrolment) != before
    openssl.verify_chain(enrolment.certificate_pem, root_pem=root_pem, folder=tmp_path)


def test_handing_over_again_brings_nothing_new(chain: Composition) -> None:
    lines = chain.complete("root").stdout.decode().splitlines()[1:]
    assert [line.split("\t")[2] for line in lines] == ["-"] * 5


def test_minutes_tell_everybody_the_same(chain: Composition) -> None:
    told = {
        json.dumps(json.loads(PkiFolder(chain.volume(name)).minutes.read_text()))
        for name in ("root", "scep", "publisher", "lab")
    }
    assert len(told) == 1


def test_everything_ends_well(chain: Composition) -> None:
    for name in ("relying-party", "edge", "publisher", "scep"):
        for replica in chain.replicas[name]:
            assert chain.stop(replica) == 0, replica.log
            assert "Traceback" not in replica.log
