"""A CA as the key ceremony makes it, with keys made once for the whole run and a clock moved by hand."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ca.authority import CertificateAuthority
from ca.ceremony import hold_ceremony
from ca.folders import PkiFolder
from ca.keys import KeyKind, PrivateKey, generate_key
from ca.opening import open_authority, open_store
from ca.records import CrlKind
from ca.settings import PkiSettings
from ca.store import SqlStore

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


class HandClock:
    """A clock that moves when told to."""

    def __init__(self, now: datetime = NOW) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def advance(self, **by: float) -> None:
        self.time += timedelta(**by)


@functools.cache
def _key(kind: KeyKind, number: int) -> PrivateKey:
    del number
    return generate_key(kind)


def ready_keys(kinds: Sequence[KeyKind]) -> list[PrivateKey]:
    """Return the run's keys of these kinds, a different one for each place."""
    return [_key(kind, number) for number, kind in enumerate(kinds)]


@dataclass(kw_only=True)
class CaWorld:
    """A PKI on disk, opened."""

    folder: PkiFolder
    settings: PkiSettings
    clock: HandClock
    authority: CertificateAuthority
    store: SqlStore

    def issue(self, csr: bytes, template: str = "SCEP-Client-Auth", requester: str = "device") -> bytes:
        """Issue what ``csr`` asks for and return the certificate."""
        from ca.pkcs10 import parse_request

        with self.store.transaction() as transaction:
            prepared = self.authority.prepare(
                transaction, parse_request(csr), template=template, requester=requester
            )
            return self.authority.issue(transaction, prepared).der

    def crl(self) -> bytes:
        """Return the issuing CA's latest CRL."""
        with self.store.reading() as transaction:
            latest = transaction.latest_crl(self.authority.issuer_key_id, CrlKind.BASE)
        assert latest is not None
        return latest.der


@contextmanager
def ca_world(path: Path, **settings: Any) -> Iterator[CaWorld]:
    """Hold a ceremony in ``path`` and open what came of it."""
    chosen, clock, folder = PkiSettings(**settings), HandClock(), PkiFolder(path)
    hold_ceremony(folder, chosen, clock=clock, entropy=os.urandom, make_keys=ready_keys, durable=False)
    store = open_store(folder, chosen, durable=False)
    try:
        authority = open_authority(folder, chosen, clock=clock, entropy=os.urandom)
        yield CaWorld(folder=folder, settings=chosen, clock=clock, authority=authority, store=store)
    finally:
        store.close()


def openssl(*arguments: str | Path, given: bytes | None = None, succeeds: bool = True) -> str:
    """Run openssl and return what it printed; it must succeed unless told otherwise."""
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    text = (done.stdout + done.stderr).decode(errors="replace")
    assert (done.returncode == 0) is succeeds, text
    return text


def openssl_verify(
    world: CaWorld, certificate: bytes, folder: Path, *options: str, succeeds: bool = True
) -> str:
    """Let openssl judge a certificate against root, chain and both CRLs at the world's time."""
    from ca.folders import to_pem

    def pem(crl: bytes) -> bytes:
        done = subprocess.run(
            ["openssl", "crl", "-inform", "DER"], input=crl, capture_output=True, check=True
        )
        return done.stdout

    (folder / "leaf.pem").write_bytes(to_pem(certificate))
    (folder / "crls.pem").write_bytes(pem(world.folder.issuing_root_crl.read_bytes()) + pem(world.crl()))
    return openssl(
        "verify", "-x509_strict", "-crl_check_all", "-attime", str(int(world.clock.now().timestamp())),
        "-CAfile", world.folder.issuing_root_certificate, "-untrusted", world.folder.issuing_certificate,
        "-CRLfile", folder / "crls.pem", *options, folder / "leaf.pem", succeeds=succeeds,
    )  # fmt: skip
