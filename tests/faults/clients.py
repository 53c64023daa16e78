"""What deployed clients do at every fault's URL, and the table of it.

``python -m tests.faults.clients`` runs every client against every fault and writes ``lab/faults/CLIENTS.md``;
``test_client_table.py`` holds the table against what the clients do now.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ca.clock import SystemClock
from lab.client import CaTrust, HttpTransport, Issued, Patience, Refused, ScepClient
from lab.client.errors import ClientError
from lab.client.orders import Order
from lab.client.requests import parse_subject
from lab.faults.registry import ClientMust, Fault, catalogue
from lab.http_exchange import HttpLimits
from lab.load.keys import keys_of, make_primes
from lab.scep_lab import ScepLab
from lab.trust import TrustAnchors, X509Certificate

TABLE = Path(__file__).parents[2] / "lab" / "faults" / "CLIENTS.md"
PATIENCE = 5.0  # seconds after which a client that has not ended counts as hung
_MESSAGE_LENGTH = 160
_HANDING_OUT = threading.Lock()
_BY_GET_ALONE = {"wire::query-too-long"}  # these clients post their messages


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a client ended: accepted, refused, hung or crashed; ``message`` is its own last word."""

    word: str
    message: str = ""

    def __str__(self) -> str:
        return f"{self.word}: {self.message}" if self.message else self.word


@dataclass(frozen=True, kw_only=True)
class Device:
    """What a client is given: where to enrol, with what, and a folder of its own."""

    url: str
    challenge: str
    root_pem: str
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client: the programs it needs, and how it enrols."""

    name: str
    version: str
    programs: tuple[str, ...]
    enrol: Callable[[Device], Verdict]
    asked: tuple[str, ...] = ()  # what it is asked for its version with

    @property
    def is_that_version(self) -> bool:
        """Whether the one on this machine is the one of the table."""
        if not self.asked:
            return True
        done = subprocess.run(self.asked, capture_output=True, text=True, check=False)
        return self.version in done.stdout + done.stderr


class _Hung(Exception):
    """The program did not end in time."""


def _run(words: Iterable[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [str(word) for word in words],
            cwd=folder,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        )
    except subprocess.TimeoutExpired as error:
        raise _Hung from error


def _scepclient(device: Device) -> Verdict:
    folder = device.folder
    words = ["scepclient", "-server-url", device.url, "-challenge", device.challenge, "-cn", "device"]
    done = _run([*words, "-private-key", _key(folder), "-certificate", "device.pem"], folder)
    return _verdict(done, folder / "device.pem")


def _strongswan(device: Device) -> Verdict:
    url, challenge, folder = device.url, device.challenge, device.folder
    done = _run(["pki", "--scepca", "--url", url, "--caout", "ca.crt", "--raout", "ra.crt"], folder)
    if done.returncode or not list(folder.glob("*.crt")):
        return _verdict(done, folder / "device.pem")
    words = ["pki", "--scep", "--url", url, "--dn", "CN=device", "--password", challenge, "--outform", "pem"]
    words += ["--interval", "1", "--maxpolltime", "3", "--in", _key(folder).name, *_ca_options(folder)]
    done = _run(words, folder)
    if done.stdout.startswith("-----BEGIN"):
        (folder / "device.pem").write_text(done.stdout)
        done = subprocess.CompletedProcess(done.args, done.returncode, "", done.stderr)
    return _verdict(done, folder / "device.pem")


def _own(device: Device) -> Verdict:
    """Enrol as ``ndes-lab enroll`` does, with the lab's root as trust, in this process."""
    root = x509.load_pem_x509_certificate(device.root_pem.encode()).public_bytes(Encoding.DER)
    anchors = TrustAnchors.of([X509Certificate.read(root)], origin="the lab's root")
    tls = ssl.create_default_context(cadata=device.root_pem) if device.url.startswith("https") else None
    client = ScepClient(
        HttpTransport(url=device.url, limits=HttpLimits(timeout=timedelta(seconds=1.5)), tls=tls),
        CaTrust(anchors=anchors),
        clock=SystemClock(),
        entropy=os.urandom,
        sleep=lambda _: None,
        patience=Patience(polls=5),
    )
    with _HANDING_OUT:
        key = next(_keys())
    order = Order(key=key, subject_der=parse_subject("CN=device"), challenge_password=device.challenge)
    try:
        outcome = client.enrol(order)
    except ClientError as error:
        return Verdict(word="refused", message=_plain(str(error)))
    if isinstance(outcome, Issued):
        return Verdict(word="accepted")
    said = outcome.describe() if isinstance(outcome, Refused) else "still pending after 5 polls"
    return Verdict(word="refused", message=_plain(said.removeprefix("refused: ")))


def _key(folder: Path) -> Path:
    """Write a key that no client has had before, as micromdm's and strongSwan's clients read it."""
    with _HANDING_OUT:
        key = next(_keys())
    path = folder / "device.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return path


@functools.cache
def _keys() -> Iterator[RSAPrivateKey]:
    return keys_of(make_primes(64, 2048))


def _ca_options(folder: Path) -> list[str]:
    """Name the fetched certificates by what they may do, as the manual page has it."""
    found: dict[str, list[str]] = {"enc": [], "sig": [], "ca": []}
    for path in sorted(folder.glob("*.crt")):
        text = subprocess.run(
            ["openssl", "x509", "-in", path, "-inform", "DER", "-noout", "-text"],
            check=False,
            capture_output=True,
            text=True,
        ).stdout
        if "CA:TRUE" in text:
            found["ca"].append(path.name)
        elif "Key Encipherment" in text:
            found["enc"].append(path.name)
        else:
            found["sig"].append(path.name)
    everyone = found["enc"] or found["sig"] or found["ca"]
    options = ["--cacert-enc", everyone[0], "--cacert-sig", (found["sig"] or everyone)[0]]
    for name in found["ca"]:
        options += ["--cacert", name]
    return options


CLIENTS: Mapping[str, Client] = {
    client.name: client
    for client in (
        Client(
            name="scepclient",
            version="2.1.0",
            programs=("scepclient",),
            enrol=_scepclient,
            asked=("scepclient", "-version"),
        ),
        Client(
            name="strongSwan pki",
            version="5.9.8",
            programs=("pki", "openssl"),
            enrol=_strongswan,
            asked=("pki", "--help"),
        ),
        Client(name="ndes-lab enroll", version="", programs=(), enrol=_own),
    )
}


def meet(client: Client, fault: Fault, scep_lab: ScepLab) -> Verdict:
    """Let a client enrol at the URL where a fault is always met."""
    with TemporaryDirectory(prefix="ndes-lab-client-") as folder:
        try:
            return client.enrol(
                Device(
                    url=scep_lab.fault_url(fault.id),
                    challenge=scep_lab.new_challenge(),
                    root_pem=scep_lab.root_pem,
                    folder=Path(folder),
                )
            )
        except _Hung:
            return Verdict(word="hung")


def _verdict(done: subprocess.CompletedProcess[str], certificate: Path) -> Verdict:
    said = f"{done.stdout}\n{done.stderr}"
    panic = re.search(r"^panic: ([^\n]*)|^(?:fatal error|runtime error)[^\n]*", said, re.MULTILINE)
    if done.returncode < 0:
        return Verdict(word="crashed", message=signal.Signals(-done.returncode).name)
    if panic or "\ngoroutine " in said:
        return Verdict(word="crashed", message=_plain(panic[0] if panic else "panic"))
    if done.returncode == 0 and certificate.exists():
        return Verdict(word="accepted")
    lines = [line for line in said.splitlines() if line.strip() and "error=null" not in line]
    told = [line for line in lines if 'error="' in line] or lines  # what a body of octets does to lines
    return Verdict(word="refused", message=_plain(told[-1] if told else f"exit {done.returncode}, silent"))


def _plain(line: str) -> str:
    """Return a client's last word without what differs from run to run, fit for a table's cell."""
    line = re.sub(r"^ts=\S+ (?:caller=\S+ )?", "", line.strip())
    line = re.sub(r"https?://[^\s\"']+", "URL", line)
    line = re.sub(r"\b127\.\d+\.\d+\.\d+(?::\d+)?", "ADDRESS", line)
    line = re.sub(r" \(_ssl\.c:\d+\)", "", line)
    line = re.sub(r"\b[0-9A-Fa-f]{16,}\b", "HEX", line)
    line = re.sub(r"\b\d{4}-\d\d-\d\d[T ][\d:.]+Z?", "TIME", line)
    line = re.sub(r"took=\S+", "", line)
    line = re.sub(r", msg: .*", ' ..."', line)  # the whole body, page or octets
    line = re.sub(r"\b\d{3,}\b(?! [A-Z])", "N", line)
    printable = "".join(char if char.isprintable() else " " for char in line)
    return " ".join(printable.replace("|", "/").replace("`", "'").split())[:_MESSAGE_LENGTH].strip()


# -- the table -----------------------------------------------------------------------------

_HEAD = """# What clients do at every fault

Every client of this table was sent to every fault's URL (`/fault/<id>/scep`, or the fault's own
address), with a good challenge. Written by `make client-table`; a test holds it against what the
clients do.

*accepted*: it ended well and kept a certificate. *refused*: it ended without one, and said so.
*hung*: it had not ended after {patience:g} seconds (for some faults that is patience, and no
mistake). *crashed*: a panic or a signal. A **bold** cell is a client that accepted what it must
reject, refused what it must accept, or crashed. These clients do not look at CRLs, AIA or OCSP, so
that they meet nothing of the `publication` faults; and they post, so that a query is never too long.

"""


def read_table(text: str) -> dict[tuple[str, str], str]:
    """Return the cells of a table, by fault and client."""
    cells = {}
    for line in text.splitlines():
        fields = [field.strip() for field in line.strip("|").split("|")]
        if line.startswith("| `") and len(fields) == 2 + len(CLIENTS):
            for name, cell in zip(CLIENTS, fields[2:], strict=True):
                cells[fields[0].strip("`"), name] = cell.strip("*")
    return cells


def write_table(cells: Mapping[tuple[str, str], Verdict]) -> str:
    """Return the document."""
    heads = [f"{client.name} {client.version}".strip() for client in CLIENTS.values()]
    lines = [f"| fault | a client | {' | '.join(heads)} |", "|---" * (2 + len(heads)) + "|"]
    for fault in catalogue().values():
        row = [_cell(fault, cells[fault.id, name]) for name in CLIENTS]
        lines.append(f"| `{fault.id}` | {fault.client_must.value} | {' | '.join(row)} |")
    summary = []
    for name in CLIENTS:
        wrong = sum(is_wrong(fault, cells[fault.id, name].word) for fault in catalogue().values())
        summary.append(f"{name}: {wrong} of {len(catalogue())} bold")
    return _HEAD.format(patience=PATIENCE) + "; ".join(summary) + ".\n\n" + "\n".join(lines) + "\n"


def is_wrong(fault: Fault, word: str) -> bool:
    """Tell whether a client did what it must not."""
    if fault.id in _BY_GET_ALONE:
        return False
    if word == "crashed":
        return True
    if fault.client_must is ClientMust.REJECT and fault.step.value != "verify":
        return word == "accepted"
    return fault.client_must is ClientMust.SUCCEED and word != "accepted"


def _cell(fault: Fault, verdict: Verdict) -> str:
    return f"**{verdict}**" if is_wrong(fault, verdict.word) else str(verdict)


def main() -> int:
    """Write the table; arguments are parts of fault ids, none means all."""
    logging.disable()
    wanted = [
        one for one in catalogue().values() if not sys.argv[1:] or any(p in one.id for p in sys.argv[1:])
    ]
    with ScepLab() as scep_lab, ThreadPoolExecutor(4) as pool:
        todo = [(fault, client) for fault in wanted for client in CLIENTS.values()]
        found = pool.map(lambda pair: meet(pair[1], pair[0], scep_lab), todo)
        cells = {}
        for (fault, client), verdict in zip(todo, found, strict=True):
            cells[fault.id, client.name] = verdict
            print(f"{fault.id:50} {client.name:15} {verdict}")
    if len(wanted) == len(catalogue()):
        TABLE.write_text(write_table(cells))
    return 0


if __name__ == "__main__":
    sys.exit(main())
