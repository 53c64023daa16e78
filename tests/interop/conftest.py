"""A lab for foreign clients, and a recording of everything that goes to and fro."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.clients import CLIENTS, Endpoint, ForeignClient
from interop.openssl import fetch, verify_cert_rep
from interop.recording import Recording, recording
from lab import ScepLab

ENDPOINTS = {
    "default": {},
    "manual": {"approval": "manual"},
    "password": {"password_recipients": True},
    "password-manual": {"password_recipients": True, "approval": "manual"},
}


@pytest.fixture(scope="module")
def running_lab() -> Iterator[ScepLab]:
    """One lab for all clients of a module: they meet a server with a past."""
    with ScepLab({"scep": {"endpoints": ENDPOINTS}}) as scep_lab:
        yield scep_lab


@pytest.fixture
def chain_pem(running_lab: ScepLab, tmp_path: Path) -> Path:
    """A file with the lab's root and issuing CA, as the management listener hands them out."""
    path = tmp_path / "lab-chain.pem"
    path.write_bytes(
        b"".join(fetch(f"{running_lab.admin_url}/{kind}/0") for kind in ("roots", "intermediates"))
    )
    return path


@pytest.fixture
def recorded(running_lab: ScepLab, chain_pem: Path) -> Iterator[Recording]:
    """The lab's SCEP endpoint behind a recording proxy; openssl judges every CertRep afterwards."""
    with recording(running_lab.scep_url) as record:
        yield record
    for cert_rep in record.cert_reps:
        verify_cert_rep(cert_rep, chain_pem=chain_pem)


@pytest.fixture
def endpoint_path() -> str:
    """What follows /scep in the client's URL; a test that wants another endpoint parametrises it."""
    return ""


@pytest.fixture(params=CLIENTS, ids=lambda client: client.name)
def client(
    request: pytest.FixtureRequest,
    recorded: Recording,
    running_lab: ScepLab,
    endpoint_path: str,
    tmp_path: Path,
) -> Iterator[ForeignClient]:
    """Each foreign client in turn, in a folder of its own."""
    folder = tmp_path / "client"
    folder.mkdir()
    endpoint = Endpoint(scep_url=recorded.url + endpoint_path, root_pem=running_lab.root_pem_path)
    with request.param(folder, endpoint) as driver:
        yield driver
