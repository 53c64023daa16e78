"""A rule may meet any reply there is: refusals, PENDING, CRLs, replies to passwords and old algorithms.

No fault of a reply may break the server on one of them, whatever it has to change there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from forge import wire
from forge.keys import KeyPool

from ca.clock import SystemClock
from faults.stand import Side, StrictClient, engine_of, fault_url
from lab.client import CaTrust, HttpTransport, Patience, ScepClient
from lab.client.capabilities import Preferences
from lab.client.orders import Order
from lab.client.requests import generate_key, parse_subject
from lab.faults.registry import Fault, Seam, catalogue
from lab.http_exchange import HttpReply
from lab.scep_lab import ScepLab
from scep_server.protocol.algorithms import OAEP_SHA256, ContentCipher, DigestAlgorithm

FAULTS = [each for each in catalogue().values() if each.seam in (Seam.REPLY, Seam.ENCODING)]
ENDPOINTS: dict[str, Any] = {
    "default": {"get_cert": "anyone", "get_crl": "anyone"},
    "manual": {"approval": "manual"},
    "pwri": {"password_recipients": True},
}


class Recording:
    """A transport that remembers the messages it has carried."""

    def __init__(self, url: str) -> None:
        self._transport = HttpTransport(url=url)
        self.sent: list[bytes] = []

    def query(self, operation: str, message: str | None = None) -> HttpReply:
        return self._transport.query(operation, message)

    def send(self, pki_message: bytes, *, post: bool) -> HttpReply:
        self.sent.append(pki_message)
        return self._transport.send(pki_message, post=post)


class Kinds:
    """A lab, and a message of each kind with the endpoint it goes to."""

    def __init__(self, scep_lab: ScepLab, keys: KeyPool) -> None:
        self.scep_lab = scep_lab
        clean = Side(scep_lab, scep_lab.scep_url, scep_lab.pki_url, keys)
        manual = Side(scep_lab, f"{scep_lab.scep_url}/manual", scep_lab.pki_url, keys)
        self._anchors = StrictClient(scep_lab, keys).anchors
        modern = self._recorded("", Preferences())
        old = Preferences(digest=DigestAlgorithm.SHA_1, cipher=ContentCipher.DES_EDE3_CBC)
        oaep = Preferences(digest=DigestAlgorithm.SHA_512, key_transport=OAEP_SHA256)
        self.messages = {
            "success": ("", clean.enrol().message),
            "refusal": ("", clean.enrol(challenge="wrong").message),
            "pending": ("/manual", manual.enrol().message),
            "crl": ("", self._asked(modern)),
            "old": ("", self._enrolled("", old, "rsa-2048")),
            "oaep": ("", self._enrolled("", oaep, "rsa-2048")),
            "password": ("/pwri", self._enrolled("/pwri", Preferences(), "ecdsa-p256")),
        }

    def _recorded(self, endpoint: str, preferences: Preferences) -> tuple[ScepClient, Recording]:
        transport = Recording(self.scep_lab.scep_url + endpoint)
        client = ScepClient(
            transport,
            CaTrust(anchors=self._anchors),
            clock=SystemClock(),
            entropy=os.urandom,
            sleep=lambda _: None,
            preferences=preferences,
            patience=Patience(attempts=1),
        )
        return client, transport

    @staticmethod
    def _asked(recorded: tuple[ScepClient, Recording]) -> bytes:
        client, transport = recorded
        client.get_crl()
        return transport.sent[0]

    def _enrolled(self, endpoint: str, preferences: Preferences, key_type: str) -> bytes:
        client, transport = self._recorded(endpoint, preferences)
        client.enrol(
            Order(
                key=generate_key(key_type),
                subject_der=parse_subject("CN=kind"),
                challenge_password=self.scep_lab.new_challenge(),
            )
        )
        return transport.sent[0]


@pytest.fixture(scope="module")
def kinds() -> Iterator[Kinds]:
    with ScepLab({"scep": {"endpoints": ENDPOINTS}}) as scep_lab:
        yield Kinds(scep_lab, KeyPool())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_every_kind_of_reply_goes_out(fault: Fault, kinds: Kinds) -> None:
    for kind, (endpoint, message) in kinds.messages.items():
        response = wire.post(fault_url(kinds.scep_lab, fault.id) + endpoint, message)
        assert response.status == 200, f"{kind}: HTTP {response.status} {response.body[:200]!r}"
        assert response.header("Content-Type") == "application/x-pki-message", kind
    engine_of(kinds.scep_lab).clear()


@pytest.mark.parametrize("profile", ["ndes-2012r2", "ndes-2019"])
def test_every_fault_works_under_the_profiles_of_ndes(profile: Any) -> None:
    with ScepLab(profile=profile) as scep_lab:
        side = Side(scep_lab, scep_lab.scep_url, "", KeyPool())
        message = side.enrol().message
        for fault in FAULTS:
            response = wire.post(fault_url(scep_lab, fault.id), message)
            assert response.status == 200, f"{fault.id}: HTTP {response.status} {response.body[:200]!r}"


def test_messages_are_of_the_kinds_they_are_meant_to_be(kinds: Kinds) -> None:
    statuses = {}
    for kind, (endpoint, message) in kinds.messages.items():
        wire.post(kinds.scep_lab.scep_url + endpoint, message)
        statuses[kind] = kinds.scep_lab.journal[-1].verdict.pki_status
    assert statuses.pop("refusal") == "FAILURE"
    assert statuses.pop("pending") == "PENDING"
    assert set(statuses.values()) == {"SUCCESS"}
