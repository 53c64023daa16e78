"""``ndes-lab enroll`` judged by a foreign server: Debian's scepserver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from peers import require_peer

from interop.clients import Endpoint, Enrolment, EnrolmentRefused, NdesLabEnroll
from interop.process import run_well
from interop.recording import Recording, recording
from interop.scepserver import ScepServer, scep_server

pytestmark = pytest.mark.interop


class AcceptingLegacy(NdesLabEnroll):
    """Takes replies in single DES, which is all that scepserver sends.

    It also asks for the challenge to renew, however the request is signed.
    """

    options = ("--accept-legacy",)

    def renew(self, enrolment: Enrolment) -> Enrolment:
        self.options += ("--challenge-file", str(self.folder / "challenge.txt"))
        return super().renew(enrolment)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScepServer]:
    """One running scepserver."""
    with scep_server(tmp_path_factory.mktemp("scepserver"), challenge="foreign-secret") as running:
        yield running


@pytest.fixture
def recorded(server: ScepServer) -> Iterator[Recording]:
    """The same behind a recording proxy."""
    with recording(server.scep_url) as record:
        yield record


@pytest.fixture
def endpoint(server: ScepServer, recorded: Recording) -> Endpoint:
    """Where to enrol, with the CA certificate that the server's administrator handed over."""
    return Endpoint(scep_url=recorded.url, root_pem=server.ca_pem)


@pytest.mark.parametrize(
    ("digest", "cipher", "transport"),
    [
        ("sha1", "3des", "get"),
        ("sha256", "aes-128", "get"),
        ("sha256", "aes-128", "post"),
        ("sha512", "aes-256", "post"),
    ],
)
def test_obtains_and_renews(
    digest: str,
    cipher: str,
    transport: str,
    endpoint: Endpoint,
    server: ScepServer,
    recorded: Recording,
    tmp_path: Path,
) -> None:
    client = AcceptingLegacy(tmp_path, endpoint)
    client.options += ("--digest", digest, "--cipher", cipher, "--transport", transport)

    first = client.obtain("abroad", server.challenge)
    second = client.renew(first)

    assert first.certificate_pem != second.certificate_pem
    for obtained in (first, second):
        run_well([require_peer("openssl"), "verify", "-CAfile", server.ca_pem, obtained.certificate])
    assert [exchange.method for exchange in recorded.pki_operations] == [transport.upper()] * 2


def test_says_why_the_server_refused(endpoint: Endpoint, tmp_path: Path) -> None:
    with pytest.raises(EnrolmentRefused, match="badRequest"):
        AcceptingLegacy(tmp_path, endpoint).obtain("abroad", "not the secret")


def test_does_not_believe_single_des_unless_told_to(
    endpoint: Endpoint, server: ScepServer, tmp_path: Path
) -> None:
    with pytest.raises(EnrolmentRefused, match="DES_CBC is refused"):
        NdesLabEnroll(tmp_path, endpoint).obtain("abroad", server.challenge)


def test_does_not_enrol_at_a_ca_it_was_not_told_of(
    server: ScepServer, recorded: Recording, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    with scep_server(tmp_path / "elsewhere", challenge="x") as other:
        stranger = Endpoint(scep_url=recorded.url, root_pem=other.ca_pem)
        with pytest.raises(EnrolmentRefused):
            AcceptingLegacy(tmp_path, stranger).obtain("abroad", server.challenge)
    assert recorded.pki_operations == []
