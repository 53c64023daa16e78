"""What the parts of `docker/verify` share: checks, tools, and a client that is in the middle of a request."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_container import Container

TOP = Path(__file__).resolve().parents[1]
HEALTHY_SECONDS = 90.0
STOP_SECONDS = 5.0


class CannotRun(Exception):
    """Something is missing, or a tool failed; the text says what."""


@dataclass(slots=True)
class Checks:
    """What was checked, printed as it goes."""

    failed: int = 0

    def that(self, fact: object, text: str, found: object = "") -> None:
        """Print one check, and what was found where it fails."""
        self.failed += not fact
        print(f"ok    {text}" if fact else f"FAIL  {text}: found {found!r}", flush=True)


def step(text: str) -> None:
    """Print what comes."""
    print(f"\n== {text}", flush=True)


def fetch(url: str, token: str = "") -> tuple[int, bytes]:
    """Return status and content of a GET."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=30) as response:  # noqa: S310
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        return 0, str(error).encode()


def command(*words: str, env: dict[str, str] | None = None, stdin: bytes | None = None) -> str:
    """Return what a tool prints; raises CannotRun where it fails.

    When we are ended meanwhile, so is the tool with all that it has started.
    """
    pipe = subprocess.PIPE
    how: dict[str, Any] = {"cwd": TOP, "env": os.environ | (env or {}), "start_new_session": True}
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, **how) as process:
        try:
            out, err = process.communicate(stdin)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode != 0:
        said = (out + err).decode(errors="replace")[-3000:]
        raise CannotRun(f"{words[0]} ended with {process.returncode}: {' '.join(words)}\n{said}")
    return out.decode()


# -- containers ------------------------------------------------------------------------


def wait_healthy(checks: Checks, container: Container, check: Sequence[str]) -> None:
    """Wait as an engine does, by a health check."""
    start = time.monotonic()
    healthy = container.execute(*check)
    while healthy.returncode == 1 and container.running and time.monotonic() < start + HEALTHY_SECONDS:
        time.sleep(0.1)
        healthy = container.execute(*check)
    if healthy.returncode != 0:
        said = f"{healthy.stdout}{healthy.stderr}\n{container.log}"
        raise CannotRun(f"the container is not healthy: {said}")
    checks.that(True, f"its health check is content after {time.monotonic() - start:.1f} s")


def is_confined(checks: Checks, container: Container) -> None:
    """Check that it runs as its user, without capabilities, and cannot change itself."""
    lines = Path(f"/proc/{container.pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    identity = {*status["Uid"].split(), *status["Gid"].split()}
    user = container.config["User"].partition(":")[0]
    checks.that(identity == {user}, f"it runs as {user}, and as nobody else", identity)
    checks.that(int(status["CapEff"], 16) == 0, "it has no capabilities", status["CapEff"])
    written = container.execute("python3", "-c", "open('/opt/ndes-lab/x', 'w')")
    checks.that(written.returncode != 0, "it cannot write to itself", written)


def scepclient_enrols(checks: Checks, folder: Path, url: str, challenge: str) -> None:
    """Enrol with scepclient, and let openssl and the CRL's URL judge; ``folder`` holds the CAs' PEM."""
    client = ["scepclient", "-server-url", url, "-challenge", challenge, "-cn", "outside"]
    client += ["-private-key", f"{folder}/key.pem", "-certificate", f"{folder}/certificate.pem"]
    done = subprocess.run(client, capture_output=True, text=True, check=False, cwd=folder)
    said = done.stdout + done.stderr
    checks.that((folder / "certificate.pem").exists(), "scepclient enrols through a published port", said)
    trust = ["-CAfile", f"{folder}/root.pem", "-untrusted", f"{folder}/issuing.pem"]
    verify = ["openssl", "verify", *trust, f"{folder}/certificate.pem"]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    checks.that(done.returncode == 0, "openssl verifies the certificate up to the root", done.stderr)
    show = ["-in", f"{folder}/certificate.pem", "-noout", "-ext", "crlDistributionPoints"]
    text = command("openssl", "x509", *show)
    urls = [word.removeprefix("URI:") for word in text.split() if word.startswith("URI:http")]
    checks.that(urls and all(fetch(url)[0] == 200 for url in urls), "its CRL is where it says", urls)


def stops(
    checks: Checks,
    container: Container,
    port: int,
    begun: bytes,
    rest: bytes,
    *,
    statuses: Sequence[int] = (200, 503),
) -> None:
    """Stop it while one client is silent and another is in the middle of a request."""
    with connected(port), contextlib.closing(connected(port)) as busy:
        busy.sendall(begun)
        time.sleep(0.3)  # until the program has read what there is
        start = time.monotonic()
        container.signal(signal.SIGTERM)
        time.sleep(0.2)
        answer = b""
        with contextlib.suppress(OSError):
            busy.sendall(rest)
            answer = busy.recv(65536)
        told = answer.startswith(tuple(f"HTTP/1.1 {status} ".encode() for status in statuses))
        checks.that(told, "who is in the middle of a request gets an answer, 503 at worst", answer[:80])
        status = container.wait(STOP_SECONDS)
    seconds = time.monotonic() - start
    checks.that(
        status == 0, f"SIGTERM ends it within {STOP_SECONDS:.0f} s ({seconds:.1f} s), status 0", status
    )
    checks.that("Traceback" not in container.log, "nothing went wrong in its log", container.log[-2000:])


def connected(port: int) -> socket.socket:
    """Return a connection to a port of this host."""
    return socket.create_connection(("127.0.0.1", port), timeout=10)
