"""A lab under an NDES profile, as the tables of NDES's behaviour see it."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

from flow.stand import HandClock
from forge import asn1
from forge.certificates import read_certificate

from ca.certificates import TbsCertificate
from ca.errors import ServiceUnavailable
from ca.opening import open_authority
from ca.records import RevocationReason
from lab.scep_lab import ScepLab
from scep_server.ndes.events import Event

TEMPLATES = Path(__file__).with_name("ndes_templates")
ADMIN, STRANGER, PASSWORD = "mscep-admin", "mscep-stranger", "correct horse battery"


def _templates(name: str) -> dict[str, str]:
    return {"signature": name, "encryption": name, "general_purpose": name}


ENDPOINTS: dict[str, dict[str, Any]] = {
    "default": {},
    "manual": {"approval": "manual"},
    "withdrawn": {"templates": _templates("Withdrawn")},
    "unknown-template": {"templates": _templates("Nowhere")},
    "forbidden": {"templates": _templates("WebServer")},
    "by-usage": {
        "templates": {
            "signature": "SCEP-Client-Auth",
            "encryption": "Withdrawn",
            "general_purpose": "IPSECIntermediateOffline",
        }
    },
    "no-renewal": {"renewal": {"enabled": False}},
    "renewal-req": {"renewal": {"renewal_req": "accept"}},
    "spent-wrong-usage": {"profile_fields": {"spent_challenge_hresult": 0x800B0110}},
}


class _NoAnswer:
    """A CA whose service is stopped."""

    def sign(self, tbs: TbsCertificate) -> bytes:
        raise ServiceUnavailable("the CA does not answer")


class NdesStand:
    """A `ScepLab` of one profile, and what its administrator does and reads."""

    def __init__(self, profile: str, **sections: Any) -> None:
        self.clock = HandClock()
        settings: dict[str, Any] = {
            "scep": {"profile": profile, "endpoints": ENDPOINTS},
            "ndes": {
                "user": ADMIN,
                "password": PASSWORD,
                "users": [{"name": STRANGER, "password": PASSWORD, "enroll": False}],
                "basic_authentication": True,
            },
            "pki": {"check_request_agent_revocation": True},
        }
        for name, values in sections.items():
            settings[name] = {**settings.get(name, {}), **values}
        self.scep_lab = ScepLab(settings, clock=self.clock).start()
        self.world = self.scep_lab.world
        shutil.copytree(TEMPLATES, self.world.folder.templates, dirs_exist_ok=True)
        self._authority = self._open_authority()
        self.world.authority = self._authority
        self.world.service = self.world.new_service()

    def _open_authority(self) -> Any:
        return open_authority(self.world.folder, self.world.pki, clock=self.clock, entropy=os.urandom)

    def close(self) -> None:
        self.scep_lab.stop()

    # -- what the administrator does ---------------------------------------------------

    def stop_the_ca(self) -> None:
        """Take the CA down, as when its service is stopped."""
        self.world.authority = open_authority(
            self.world.folder, self.world.pki, clock=self.clock, entropy=os.urandom, signer=_NoAnswer()
        )
        self.world.service = self.world.new_service()

    def start_the_ca(self) -> None:
        self.world.authority = self._authority
        self.world.service = self.world.new_service()

    def advance(self, time: timedelta) -> None:
        self.clock.advance(time)

    def revoke(self, certificate: bytes) -> None:
        serial = asn1.read(read_certificate(certificate).serial).number
        with self.world.store.transaction() as transaction:
            record = transaction.certificate_by_serial(self.world.authority.issuer_key_id, serial)
            assert record is not None
            self.world.authority.revoke(transaction, record.id, RevocationReason.SUPERSEDED)

    # -- what the administrator reads --------------------------------------------------

    def last_event(self) -> int:
        """Return the number of the newest event."""
        events = self.world.ndes_logs.events.events()
        return events[-1].record_id if events else 0

    def events_since(self, number: int) -> list[Event]:
        """Return the events after that one, without those of starting and stopping."""
        return [event for event in self.world.ndes_logs.events.events(number) if event.id not in (1, 3)]

    # -- what the forge's Desk asks for ------------------------------------------------

    @property
    def database(self) -> Path:
        return self.world.folder.store

    def url(self, endpoint: str) -> str:
        """Return the URL; Windows appends /pkiclient.exe to NDES's own."""
        if endpoint == "default":
            return f"{self.scep_lab.mscep_url}/pkiclient.exe"
        return f"{self.scep_lab.scep_url}/{endpoint}"

    def new_challenge(self, **options: Any) -> str:
        options.setdefault("validity", timedelta(hours=1))
        with self.world.store.transaction() as transaction:
            return self.world.challenges.new(transaction, **options).password
