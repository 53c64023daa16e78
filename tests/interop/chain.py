"""What tests do with a running chain: enrol at its edge, ask it, look into its volumes, have it read anew."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

from peers import require_peer

from interop import openssl
from interop.clients import Endpoint, Enrolment, ScepClient
from interop.composition import Composition, Replica
from interop.process import run, run_well


def new_challenge(chain: Composition) -> str:
    return chain.execute(chain.replicas["scep"][0], "ndes-lab", "challenge", "new").stdout.decode().strip()


def enrol(chain: Composition, folder: Path, name: str) -> Enrolment:
    endpoint = Endpoint(
        scep_url=f"{chain.url('edge', 8080)}/scep", root_pem=chain.volume("edge") / "root.pem"
    )
    with ScepClient(folder, endpoint) as client:
        return client.obtain(name, new_challenge(chain))


def ask(*words: str | Path) -> tuple[int, str]:
    """Return status and content of what curl is told to ask."""
    curl = (require_peer("curl"), "--silent", "--max-time", "20", "--write-out", "%{http_code}")
    done = run([*curl, *words])
    text = done.stdout.decode(errors="replace")
    return int(text[-3:]), text[:-3]


def visit(chain: Composition, enrolment: Enrolment | None = None) -> tuple[int, str]:
    """Return what the relying party says to the holder of a certificate."""
    words: list[str | Path] = ["--cacert", chain.volume("relying-party") / "root.pem"]
    if enrolment is not None:
        words += ["--cert", enrolment.certificate, "--key", enrolment.key]
    port, address = chain.port(9443), chain.replicas["relying-party"][0].address
    found = ("--resolve", f"relying-party:{port}:{address}", f"https://relying-party:{port}/")
    return ask(*words, *found)


def held(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def answered(replica: Replica) -> int:
    """Return how many requests a replica has logged."""
    return replica.log.count("GetCACaps")


def wait_until(comes_true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = monotonic() + seconds
    while not comes_true():
        assert monotonic() < deadline
        sleep(0.05)


def revoked_of(enrolment: Enrolment) -> set[str]:
    """Return the serial numbers in the CRL that a certificate names."""
    (crl, *_) = openssl.walk(enrolment.certificate_pem).crls
    return {f"{entry.serial_number:X}" for entry in crl}


def reread(chain: Composition, *services: str) -> None:
    """Have services read anew what they serve with."""
    for replica in (replica for name in services for replica in chain.replicas[name]):
        assert replica.process is not None
        replica.process.send_signal(signal.SIGHUP)


def serial_of(enrolment: Enrolment) -> str:
    words = [require_peer("openssl"), "x509", "-noout", "-serial", "-in", enrolment.certificate]
    return run_well(words).stdout.decode().strip().removeprefix("serial=")


def log(chain: Composition) -> str:
    return chain.replicas["relying-party"][0].log


def workers(chain: Composition) -> set[str]:
    """Return the processes that answer for SCEP server and publisher."""
    found = set()
    for replica in (*chain.replicas["scep"], *chain.replicas["publisher"]):
        assert replica.process is not None
        for children in Path(f"/proc/{replica.process.pid}/task").glob("*/children"):
            found |= {pid for pid in children.read_text().split() if is_worker(pid)}
    assert found
    return found


def is_worker(pid: str) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:  # it has ended
        return False


def issuer_of(enrolment: Enrolment) -> str:
    words = [require_peer("openssl"), "x509", "-noout", "-ext", "authorityKeyIdentifier"]
    return run_well([*words, "-in", enrolment.certificate]).stdout.decode()


class Compose:
    """What the example uses of `testcontainers.compose.DockerCompose`, with its parameters and results."""

    def __init__(self, chain: Composition) -> None:
        self._chain = chain

    def get_service_host_and_port(
        self, service_name: str | None = None, port: int | None = None
    ) -> tuple[str | None, int | None]:
        assert service_name is not None
        assert port is not None
        return self._chain.replicas[service_name][0].address, self._chain.port(port)

    def exec_in_container(self, command: list[str], service_name: str | None = None) -> tuple[str, str, int]:
        assert service_name is not None
        done = self._chain.execute(self._chain.replicas[service_name][0], *command)
        assert done.ok, done.text
        return done.stdout.decode(), done.stderr, done.status
