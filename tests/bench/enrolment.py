"""Enrolment over HTTP: how long one takes, and how many a second there are.

Messages are made beforehand by the forge, so that the client costs next to nothing while the clock
runs. Every reply is read afterwards: a quick refusal is no enrolment.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from forge import asn1
from forge.certificates import CertificateForge, common_name, read_certificate
from forge.csr import CsrForge
from forge.envelope import Envelope, KeyTransport
from forge.keys import KeyPool
from forge.message import PkiMessage, transaction_id_of
from forge.reply import SUCCESS, read_reply
from interop.lab_process import LabProcess, lab_process
from interop.scepserver import scep_server

_WARM_UP = 20
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds from sending a message until its reply is there, one client at a time."""

    median: float
    mean: float


def compare_latencies(data_dirs: Sequence[Path], keys: KeyPool, count: int) -> list[Latency]:
    """Start the lab of each folder, as a user does, and enrol ``count`` devices at each, in turns.

    In turns, so that whatever else the machine does meanwhile is in all figures alike.
    """
    with contextlib.ExitStack() as stack:
        labs = [
            stack.enter_context(lab_process(data_dir.parent, "--data-dir", str(data_dir)))
            for data_dir in data_dirs
        ]
        urls = [lab.ready["scep_url"] for lab in labs]
        messages = [_messages_for(lab, keys, count + _WARM_UP) for lab in labs]
        connections = [stack.enter_context(closing(_connection(url))) for url in urls]
        took: list[list[float]] = [[] for _ in labs]
        for number in range(count + _WARM_UP):
            for place, connection in enumerate(connections):
                took[place].append(_timed(connection, urls[place], messages[place][number]))
    seconds = [each[_WARM_UP:] for each in took]
    return [
        Latency(median=statistics.median(each) * 1000, mean=statistics.fmean(each) * 1000) for each in seconds
    ]


def measure_throughput(data_dir: Path, keys: KeyPool, count: int, *, clients: int) -> float:
    """Start the lab of a folder and return enrolments per second with so many clients at once."""
    with lab_process(data_dir.parent, "--data-dir", str(data_dir)) as lab:
        messages = _messages_for(lab, keys, count + _WARM_UP)
        return _throughput(lab.ready["scep_url"], messages, clients)


def measure_scepserver(folder: Path, keys: KeyPool, count: int, *, clients: int) -> float:
    """Return the same of Debian's scepserver.

    Its depot is no place for several at once: some of what they ask for is refused, and not counted.
    """
    challenge = "bench-secret"
    with scep_server(folder, challenge=challenge) as server:
        with urlopen(f"{server.scep_url}?operation=GetCACert") as reply:
            recipient = reply.read()
        messages = [_message(keys, recipient, challenge) for _ in range(count + _WARM_UP)]
        return _throughput(server.scep_url, messages, clients, all_must=False)


def openssl_signatures_per_second() -> float:
    """Return what two processes of `openssl speed` sign with RSA-2048 in a second."""
    command = ["openssl", "speed", "-seconds", "2", "-multi", "2", "rsa2048"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    found = re.search(r"^rsa\s+2048 bits\s+\S+\s+\S+\s+([\d.]+)", done.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"openssl speed says {done.stdout!r}")
    return float(found[1])


# -- messages --------------------------------------------------------------------------


def _messages_for(lab: LabProcess, keys: KeyPool, count: int) -> list[bytes]:
    """Return PKCSReq messages, each with a challenge, a key and a name of its own."""
    with urlopen(f"{lab.ready['scep_url']}?operation=GetCACert") as reply:
        signed = asn1.read(reply.read())[1][0]
    certificates = [one.raw for one in signed[3].children]
    recipient = next(one for one in certificates if _enciphers(one))
    return [_message(keys, recipient, _challenge(lab)) for _ in range(count)]


def _enciphers(certificate: bytes) -> bool:
    extensions = read_certificate(certificate).extensions
    usage = asn1.read(extensions["2.5.29.15"][1]).content[1:]
    return bool(usage[0] & 0x20)


def _challenge(lab: LabProcess) -> str:
    request = Request(
        f"{lab.ready['admin_url']}/api/v1/challenges",
        data=b"{}",
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {lab.ready['admin_token']}"},
    )
    with urlopen(request) as reply:
        password: str = json.load(reply)["password"]
        return password


def _message(keys: KeyPool, recipient: bytes, challenge: str) -> bytes:
    key = keys.fresh()
    subject = common_name(f"bench-{next(_numbers):06d}.lab.example")
    csr = CsrForge(key=key, subject=subject, challenge=challenge).encode()
    envelope = Envelope(plaintext=csr, recipients=[KeyTransport(certificate=recipient)])
    certificate = CertificateForge(key=key, subject=subject).encode()
    return PkiMessage(
        key=key,
        certificate=certificate,
        transaction_id=transaction_id_of(key),
        content=envelope.encode(),
    ).encode()


# -- clients ---------------------------------------------------------------------------


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)


def _timed(connection: http.client.HTTPConnection, url: str, message: bytes) -> float:
    began = time.perf_counter()
    body = _post(connection, url, message)
    seconds = time.perf_counter() - began
    _count_successes([body], all_must=True)
    return seconds


def _post(connection: http.client.HTTPConnection, url: str, message: bytes) -> bytes:
    headers = {"Content-Type": "application/x-pki-message"}
    connection.request("POST", f"{urlsplit(url).path}?operation=PKIOperation", message, headers)
    return connection.getresponse().read()


def _count_successes(replies: Sequence[bytes], *, all_must: bool) -> int:
    read = [read_reply(octets) for octets in replies]
    refused = [reply for reply in read if reply.status != SUCCESS]
    if len(refused) > (0 if all_must else len(read) // 2):
        raise RuntimeError(f"{len(refused)} of {len(read)} enrolments were refused, such as {refused[0]}")
    return len(read) - len(refused)


def _throughput(url: str, messages: Sequence[bytes], clients: int, *, all_must: bool = True) -> float:
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(_client(url), [messages[:_WARM_UP]]))
        shares = [messages[_WARM_UP + number :: clients] for number in range(clients)]
        began = time.perf_counter()
        replies = list(itertools.chain.from_iterable(pool.map(_client(url), shares)))
        seconds = time.perf_counter() - began
    return _count_successes(replies, all_must=all_must) / seconds


def _client(url: str) -> Callable[[Sequence[bytes]], list[bytes]]:
    def run(messages: Sequence[bytes]) -> list[bytes]:
        with closing(_connection(url)) as connection:
            return [_post(connection, url, one) for one in messages]

    return run
