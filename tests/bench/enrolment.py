"""Enrolment over HTTP: how long one takes, and how long the first one of all.

Messages are made beforehand by the forge, so that the client costs next to nothing while the clock
runs. Every reply is read afterwards: a quick refusal is no enrolment.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from forge import asn1
from forge.certificates import CertificateForge, common_name, read_certificate
from forge.csr import CsrForge
from forge.envelope import Envelope, KeyTransport
from forge.keys import Key, KeyPool
from forge.message import PkiMessage, transaction_id_of
from forge.reply import SUCCESS, read_reply
from interop.lab_process import LabProcess, lab_process

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


def first_certificate(folder: Path, keys: KeyPool) -> float:
    """Return the seconds from ``ndes-lab up`` in an empty folder until a client has its certificate."""
    key = keys.fresh()
    began = time.perf_counter()
    with lab_process(folder, "--data-dir", str(folder / "data")) as lab:
        recipient = _recipient(lab.ready["scep_url"])
        message = _message(key, recipient, lab.ready["challenge"])
        with closing(_connection(lab.ready["scep_url"])) as connection:
            _timed(connection, lab.ready["scep_url"], message)
        return time.perf_counter() - began


# -- messages --------------------------------------------------------------------------


def _messages_for(lab: LabProcess, keys: KeyPool, count: int) -> list[bytes]:
    """Return PKCSReq messages, each with a challenge, a key and a name of its own."""
    recipient = _recipient(lab.ready["scep_url"])
    return [_message(keys.fresh(), recipient, _challenge(lab)) for _ in range(count)]


def _recipient(scep_url: str) -> bytes:
    """Return the RA's certificate that messages are enveloped for."""
    with urlopen(f"{scep_url}?operation=GetCACert") as reply:
        signed = asn1.read(reply.read())[1][0]
    return next(one.raw for one in signed[3].children if _enciphers(one.raw))


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


def _message(key: Key, recipient: bytes, challenge: str) -> bytes:
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
    _require_success(body)
    return seconds


def _post(connection: http.client.HTTPConnection, url: str, message: bytes) -> bytes:
    headers = {"Content-Type": "application/x-pki-message"}
    connection.request("POST", f"{urlsplit(url).path}?operation=PKIOperation", message, headers)
    return connection.getresponse().read()


def _require_success(octets: bytes) -> None:
    reply = read_reply(octets)
    if reply.status != SUCCESS:
        raise RuntimeError(f"an enrolment was refused: {reply}")
