"""A lab for the tables: its endpoints, its clock, and the desk through which the tests administer it."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from forge import asn1, keys
from forge.bench import PkiRequest
from forge.certificates import common_name, read_certificate
from forge.csr import CsrForge
from forge.reply import Reply
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.pool import NullPool

from ca.certificates import read_certificate as info
from ca.challenges import ChallengeBook
from ca.keys import KeyKind, PrivateKey, generate_key
from ca.opening import database_url as url_of
from ca.opening import open_authority, open_issuing_key, open_registration_keys
from ca.pkcs10 import parse_request, verify_request
from ca.records import RevocationReason
from lab.conformance import assert_certrep_conforms
from lab.scep_lab import ScepLab
from scep_server.ra import RaIdentity, RegistrationAuthority, RetiredIdentity

TEMPLATES = Path(__file__).with_name("templates")


class HandClock:
    """A clock that goes only when told to."""

    def __init__(self) -> None:
        self._beginning = self._now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, time: timedelta) -> None:
        self._now += time

    def begin_again(self) -> None:
        self._now = self._beginning


def _templates(name: str) -> dict[str, str]:
    return {"signature": name, "encryption": name, "general_purpose": name}


ENDPOINTS: dict[str, dict[str, Any]] = {
    "default": {},
    "strict": {
        "legacy_algorithms": "refuse",
        "sha1": "refuse",
        "triple_des": "refuse",
        "get_cert": "refuse",
    },
    "tolerant": {"accept_base64_body": True, "get_cert": "anyone"},
    "punctual": {"maximum_clock_skew_minutes": 10},
    "bound": {"csr_key_must_sign": True},
    "open": {"challenge": "none"},
    "optional": {"challenge": "optional"},
    "manual": {"approval": "manual"},
    "pwri": {"password_recipients": True},
    "nameless": {"templates": _templates("Names-Refused")},
    "encipherment-only": {"templates": _templates("Encipherment-Only")},
    "server-certificates": {"templates": _templates("WebServer"), "requester": "Domain Admins"},
    "graceful": {"renewal": {"grace_days_after_expiry": 30}},
    "late": {"renewal": {"earliest_days_before_expiry": 42}},
    "one-template": {"renewal": {"templates": ["SCEP-Client-Auth"]}},
    "demanding": {"renewal": {"require_challenge": True}},
    "no-renewal": {"renewal": {"enabled": False}},
}


class Stand:
    """A `ScepLab`, and everything an administrator can do with it, as the forge's `Desk` has it."""

    def __init__(
        self,
        *,
        server: dict[str, Any] | None = None,
        endpoints: Any = None,
        brakes: Any = None,
        database_url: str | None = None,
    ) -> None:
        self.clock = HandClock()
        scep = {"endpoints": endpoints or ENDPOINTS, "brakes": brakes or {}}
        settings = {"scep": scep, "server": server or {}, "pki": {"database_url": database_url}}
        self.scep_lab = ScepLab(settings, clock=self.clock).start()
        self.world = self.scep_lab.world
        folder = self.world.folder
        shutil.copytree(TEMPLATES, folder.templates, dirs_exist_ok=True)
        self.world.authority = open_authority(folder, self.world.pki, clock=self.clock, entropy=os.urandom)
        self.world.service = self.world.new_service()
        self.scep_lab.remember()

    def begin_again(self) -> None:
        """Make the lab as it was at first: its clock, its RA, its database."""
        self.clock.begin_again()
        self.scep_lab.reset()

    def close(self) -> None:
        self.scep_lab.stop()

    # -- what the forge's Desk asks for ------------------------------------------------

    @property
    def database(self) -> str:
        return url_of(self.world.folder, self.world.pki)

    @property
    def challenges(self) -> ChallengeBook:
        return self.world.challenges

    def url(self, endpoint: str) -> str:
        suffix = "" if endpoint == "default" else f"/{endpoint}"
        return self.scep_lab.scep_url + suffix

    def second_opinion(self, request: PkiRequest, reply: Reply) -> None:
        """Hold a reply against the lab's own assertions, which users have too."""
        if request.sent.sender_nonce is None or reply.digest == "sha224":
            return
        assert_certrep_conforms(
            reply.raw,
            transaction_id=request.sent.transaction_id,
            sender_nonce=request.sent.sender_nonce,
            published=[
                *(one.der for one in self.world.registration_authority.certificates),
                self.world.authority.certificate.der,
            ],
            content_type="application/x-pki-message",
        )

    def new_challenge(self, **options: Any) -> str:
        options.setdefault("validity", timedelta(hours=1))
        with self.world.store.transaction() as transaction:
            return self.world.challenges.new(transaction, **options).password

    def revoke_newest_challenge(self) -> None:
        with self.world.store.transaction() as transaction:
            newest = max(self.world.challenges.list(transaction), key=lambda one: one.id)
            assert self.world.challenges.revoke(transaction, newest.id)

    def _request_of(self, transaction: Any, transaction_id: str) -> int:
        found = [transaction.scep_transaction(name, transaction_id) for name in ("manual", "optional")]
        record = next(one for one in found if one is not None)
        return int(record.request_id)

    def approve(self, transaction_id: str) -> None:
        with self.world.store.transaction() as transaction:
            self.world.authority.approve(transaction, self._request_of(transaction, transaction_id))

    def deny(self, transaction_id: str) -> None:
        with self.world.store.transaction() as transaction:
            number = self._request_of(transaction, transaction_id)
            self.world.authority.deny(transaction, number, "not this one")

    def revoke(self, certificate: bytes) -> None:
        serial = asn1.read(read_certificate(certificate).serial).number
        with self.world.store.transaction() as transaction:
            record = transaction.certificate_by_serial(self.world.authority.issuer_key_id, serial)
            assert record is not None
            self.world.authority.revoke(transaction, record.id, RevocationReason.SUPERSEDED)

    def reserved_keys(self) -> dict[str, tuple[keys.Key, bytes]]:
        """Return the lab's own keys and certificates, as a thief would have them."""
        folder = self.world.folder
        passphrase = folder.key_passphrase.read_bytes().strip()
        files = {
            "issuing": (folder.issuing_key, folder.issuing_certificate),
            "ra-signing": (folder.ra_signing_key, folder.ra_signing_certificate),
            "ra-encryption": (folder.ra_encryption_key, folder.ra_encryption_certificate),
        }
        found = {}
        for name, (key, certificate) in files.items():
            private = load_pem_private_key(key.read_bytes(), passphrase)
            assert isinstance(private, RSAPrivateKey)
            der = load_pem_x509_certificate(certificate.read_bytes()).public_bytes(keys.DER)
            found[name] = (keys.of(private), der)
        return found

    def issuing_key(self) -> PrivateKey:
        """Return the issuing CA's key."""
        return open_issuing_key(self.world.folder, self.world.pki).key

    def forget_crls(self) -> None:
        """Take every CRL out of the database, as if none had been signed yet."""
        engine = create_engine(self.database, poolclass=NullPool)
        names = [name for name in inspect(engine).get_table_names() if "crl" in name.lower()]
        assert names, "no table of CRLs to empty"
        with engine.begin() as connection:
            for name in names:
                connection.execute(text(f'DELETE FROM "{name}"'))

    def renew_ra_encryption(self, *, retire_for: timedelta) -> None:
        """Give the RA a new encryption key, and let the old one open requests a while longer."""
        key = generate_key(KeyKind.RSA_2048)
        old = self.world.registration_authority
        csr = CsrForge(key=keys.of(key._key), subject=common_name("New RA")).encode()
        request = verify_request(parse_request(csr), allow_sha1=False, allow_md5=False)
        with self.world.store.transaction() as transaction:
            prepared = self.world.authority.prepare(
                transaction, request, template="CEPEncryption", requester="Enterprise Admins"
            )
            issued = self.world.authority.issue(transaction, prepared)
        signing, encryption = self._identities()
        assert encryption.certificate.der == old.encryption.der
        self.world.registration_authority = RegistrationAuthority(
            signing=signing,
            encryption=RaIdentity(certificate=info(issued.der), key=key),
            retired=[RetiredIdentity(identity=encryption, until=self.clock.now() + retire_for)],
        )
        self.world.service = self.world.new_service()

    def _identities(self) -> tuple[RaIdentity, RaIdentity]:
        found = open_registration_keys(self.world.folder, self.world.pki)
        return (
            RaIdentity(certificate=found.signing.certificate, key=found.signing.key),
            RaIdentity(certificate=found.encryption.certificate, key=found.encryption.key),
        )

    def advance(self, time: timedelta) -> None:
        self.clock.advance(time)
