"""A test of a SCEP client against the chain in containers: pip install pytest testcontainers.

``docker compose up --wait`` comes back when all services are healthy; at the end nothing is left, volumes
included. The client here is Debian's scepclient: put yours in its place.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from testcontainers.compose import DockerCompose

DOCKER = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def chain() -> Iterator[DockerCompose]:
    with DockerCompose(DOCKER, compose_file_name="compose.yaml", build=True) as running:
        yield running


@pytest.fixture
def scep_url(chain: DockerCompose) -> str:
    host, port = chain.get_service_host_and_port("edge", 8080)
    return f"http://{host}:{port}/scep"


@pytest.fixture
def challenge(chain: DockerCompose) -> str:
    stdout, _, _ = chain.exec_in_container(["ndes-lab", "challenge", "new"], "scep")
    return stdout.strip()


def run_my_client(url: str, challenge: str, folder: Path) -> bool:
    command = ["scepclient", "-server-url", url, "-challenge", challenge, "-cn", "device"]
    command += ["-private-key", str(folder / "key.pem"), "-certificate", str(folder / "certificate.pem")]
    return subprocess.run(command, cwd=folder, check=False).returncode == 0


def test_enrols_and_chains_to_the_root(
    chain: DockerCompose, scep_url: str, challenge: str, tmp_path: Path
) -> None:
    assert run_my_client(scep_url, challenge, tmp_path)
    for name in ("root", "issuing"):
        certificate, _, _ = chain.exec_in_container(["cat", f"issuing/{name}.crt"], "scep")
        (tmp_path / f"{name}.pem").write_text(certificate)
    trust = ["-CAfile", str(tmp_path / "root.pem"), "-untrusted", str(tmp_path / "issuing.pem")]
    subprocess.run(["openssl", "verify", *trust, str(tmp_path / "certificate.pem")], check=True)


def test_is_refused_with_a_challenge_that_was_used(scep_url: str, challenge: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    assert run_my_client(scep_url, challenge, first)
    assert not run_my_client(scep_url, challenge, second)
