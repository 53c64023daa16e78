"""A lab, the address where one fault is always met, and the clean one beside it."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from forge import openssl, wire
from forge.certificates import CertificateForge, common_name, read_certificate
from forge.csr import CsrForge
from forge.envelope import Envelope, KeyTransport
from forge.keys import Key, KeyPool
from forge.message import CERT_POLL, PKCS_REQ, RENEWAL_REQ, PkiMessage, transaction_id_of

from ca.clock import SystemClock
from faults.evidence import Transport
from lab.client import CaTrust, HttpTransport, Patience, ScepClient
from lab.client.capabilities import Preferences
from lab.client.orders import Identity, Order
from lab.client.requests import parse_alternative_name, parse_subject
from lab.faults.engine import FaultEngine, path_of
from lab.faults.registry import Fault
from lab.http_exchange import HttpLimits
from lab.scep_lab import ScepLab
from lab.trust import (
    ChainContext,
    HttpUrlFetcher,
    RevocationSources,
    TrustAnchors,
    X509Certificate,
    build_chain,
)
from lab.trust.fetch import Fetched, UrlFetcher

NONCE = bytes(range(16))
PATIENCE = 1.5  # seconds that a client waits for an answer


@dataclass(frozen=True, kw_only=True)
class Sent:
    """An enrolment that was sent by the forge: what went out, with what, and what came back."""

    response: wire.Response
    key: Key
    certificate: bytes  # self-signed; the reply is enveloped to it
    subject: bytes
    transaction_id: str
    message: bytes = field(repr=False)

    @property
    def reply(self) -> bytes:
        """The body that came back."""
        return self.response.body

    def printed(self) -> str:
        """Return the reply as ``openssl cms -cmsout -print`` shows it."""
        return openssl.run("cms", "-cmsout", "-print", "-noout", "-inform", "DER", stdin=self.reply).decode()

    def parsed(self) -> str:
        """Return the reply as ``openssl asn1parse`` shows it."""
        return openssl.run("asn1parse", "-inform", "DER", stdin=self.reply).decode(errors="replace")

    def opened(self) -> bytes:
        """Return what is in the reply's envelope, by ``openssl cms``."""
        envelope = openssl.run("cms", "-verify", "-noverify", "-binary", "-inform", "DER", stdin=self.reply)
        return openssl.decrypt_by_command(envelope, key_pem=self.key.pem, certificate=self.certificate)

    def issued_pem(self) -> bytes:
        """Return the certificates in the reply as PEM, by ``openssl pkcs7``."""
        return openssl.run("pkcs7", "-print_certs", "-inform", "DER", stdin=self.opened())

    def issued_text(self, *options: str) -> str:
        """Return the first certificate in the reply as ``openssl x509 -text`` shows it."""
        return openssl.run("x509", "-noout", "-text", *options, stdin=self.issued_pem()).decode(
            errors="replace"
        )


def engine_of(scep_lab: ScepLab) -> FaultEngine:
    """Return the faults of a lab."""
    return scep_lab._lab.faults


def fault_url(scep_lab: ScepLab, fault_id: str) -> str:
    """Return the SCEP URL where a fault is always met."""
    running = scep_lab._lab
    found = getattr(running, "fault_url", None)
    return running.scep_base_url + path_of(fault_id, "/scep") if found is None else found(fault_id)


class Side:
    """A lab as seen from one SCEP URL; ``pki`` is the base of CRLs, AIA and OCSP, without a slash."""

    def __init__(
        self, scep_lab: ScepLab, url: str, pki: str, keys: KeyPool, fields: dict[str, str] | None = None
    ) -> None:
        self.scep_lab = scep_lab
        self.fields = fields or {}  # HTTP header fields of every PKIOperation
        self.url = url
        self.pki = pki
        self._keys = keys

    @classmethod
    def clean_of(cls, other: Side) -> Side:
        """Return the same lab where nothing is wrong."""
        lab = other.scep_lab
        return cls(lab, lab.scep_url, lab.pki_url, other._keys)

    # -- octets ------------------------------------------------------------------------

    def raw(self, octets: bytes, url: str | None = None, *, patience: float = PATIENCE) -> bytes:
        """Send octets to the server of a URL; return all that comes until it closes or falls silent.

        Raises:
            OSError: the connection is refused or reset.

        """
        parts = urlsplit(url or self.url)
        received = b""
        with socket.create_connection((parts.hostname, parts.port or 80), timeout=patience) as connection:
            connection.sendall(octets)
            with contextlib.suppress(TimeoutError):
                while part := connection.recv(65536):
                    received += part
        return received

    def raw_get(self, query: str = "operation=GetCACaps", **options: Any) -> bytes:
        """Return all octets of the answer to a GET, status line and all; raises OSError."""
        return self.raw(wire.request_line(self.url, "GET", query) + b"Connection: close\r\n\r\n", **options)

    def get(self, operation: str) -> wire.Response:
        """Ask for GetCACaps, GetCACert or GetNextCACert."""
        return wire.get(self.url, f"operation={operation}")

    def fetch(self, path: str) -> wire.Response:
        """Get what is published at a path such as ``/CertEnroll/...`` of this side."""
        return wire.get(f"{self.pki}{path}")

    # -- a client that believes everything ---------------------------------------------

    def enrol(
        self,
        *,
        challenge: str | None = None,
        name: str = "",
        subject: bytes = b"",
        csr: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Sent:
        """Send a PKCSReq of the forge's by POST; whatever comes back is returned unread."""
        key = self._keys.fresh()
        subject = subject or common_name(name or f"device-{os.urandom(4).hex()}")
        certificate = CertificateForge(key=key, subject=subject, serial=b"\x5c" * 16).encode()
        request = CsrForge(
            key=key, subject=subject, challenge=challenge or self.scep_lab.new_challenge(), **(csr or {})
        )
        return self._send(key, certificate, subject, request.encode(), PKCS_REQ, fields)

    def poll(self, sent: Sent) -> Sent:
        """Ask again for what was pending, by CertPoll."""
        from forge import asn1

        names = asn1.seq(read_certificate(self._ra(0x80)).subject, sent.subject)
        return self._send(sent.key, sent.certificate, sent.subject, names, CERT_POLL, {})

    def renew(self, sent: Sent, certificate: bytes) -> Sent:
        """Renew what was issued, with the same key, by a RenewalReq that its certificate signs."""
        key = sent.key
        request = CsrForge(key=key, subject=sent.subject, challenge=self.scep_lab.new_challenge())
        ids = {"transaction_id": os.urandom(16).hex()}
        return self._send(key, certificate, sent.subject, request.encode(), RENEWAL_REQ, ids)

    def again(self, sent: Sent) -> Sent:
        """Send the very same octets again."""
        response = wire.post(self.url, sent.message, fields=self.fields)
        return Sent(**{**_fields(sent), "response": response})

    def _send(
        self,
        key: Key,
        certificate: bytes,
        subject: bytes,
        plaintext: bytes,
        kind: int,
        fields: dict[str, Any],
    ) -> Sent:
        envelope = Envelope(plaintext=plaintext, recipients=[KeyTransport(certificate=self._ra(0x20))])
        transaction_id = fields.pop("transaction_id", transaction_id_of(key))
        message = PkiMessage(
            key=key,
            certificate=certificate,
            content=envelope.encode(),
            message_type=kind,
            transaction_id=transaction_id,
            sender_nonce=fields.pop("sender_nonce", NONCE),
            **fields,
        ).encode()
        return Sent(
            response=wire.post(self.url, message, fields=self.fields),
            key=key,
            certificate=certificate,
            subject=subject,
            transaction_id=transaction_id,
            message=message,
        )

    def _ra(self, usage: int) -> bytes:
        authority = self.scep_lab.world.registration_authority
        return authority.encryption.der if usage == 0x20 else authority.signing.der


def _fields(sent: Sent) -> dict[str, Any]:
    return {name: getattr(sent, name) for name in sent.__dataclass_fields__}


class StrictClient:
    """The lab's own client with the lab's root, and its judge of issued certificates."""

    def __init__(self, scep_lab: ScepLab, keys: KeyPool, transport: Transport = "auto") -> None:
        self.scep_lab = scep_lab
        self._keys = keys
        self._transport = transport
        self.slept: list[timedelta] = []
        root = X509Certificate.read(scep_lab.world.root.der)
        self.anchors = TrustAnchors.of([root], origin="the lab's root")

    def client(self, url: str) -> ScepClient:
        """Return the client of a URL; its pauses take no time."""
        import ssl

        tls = None
        if url.startswith("https"):
            tls = ssl.create_default_context(cadata=self.scep_lab.root_pem)
        return ScepClient(
            HttpTransport(url=url, limits=HttpLimits(timeout=timedelta(seconds=PATIENCE)), tls=tls),
            CaTrust(anchors=self.anchors),
            clock=SystemClock(),
            entropy=os.urandom,
            sleep=self.slept.append,
            patience=Patience(polls=5),
            preferences=Preferences(transport=self._transport),
        )

    def enrol(self, url: str) -> object:
        """Enrol; return the client's outcome; raises ClientError."""
        return self.client(url).enrol(self._order())

    def renew(self, first_url: str, url: str) -> object:
        """Enrol at one URL and renew at the other; return what became of that; raises ClientError."""
        order = self._order()
        first: Any = self.client(first_url).enrol(order)
        held = Identity.of(first.certificate.der, order.key)
        again = replace(self._order(), subject_der=order.subject_der, renewal_of=held)
        return self.client(url).enrol(again)

    def _order(self) -> Order:
        key = self._keys.fresh()
        return Order(
            key=load_pem_private_key(key.pem, password=None),  # type: ignore[arg-type]
            subject_der=parse_subject(f"CN=strict-{os.urandom(4).hex()},O=Stand"),
            alternative_names=(parse_alternative_name("dns:strict.example"),),
            challenge_password=self.scep_lab.new_challenge(),
        )

    def judge(self, outcome: Any, fault: Fault | None = None) -> ChainContext:
        """Judge an issued certificate with its CRLs, AIA and OCSP, fetched from where it says.

        Where a fault is about one of these, the judge has no other source: CRLs alone, OCSP alone, or no
        issuer but the one that AIA brings. Else the others would make up for it.
        """
        broken = frozenset() if fault is None else fault.operations or frozenset()
        fetcher: UrlFetcher = HttpUrlFetcher(limits=HttpLimits(timeout=timedelta(seconds=PATIENCE)))
        if broken == {"OCSP"}:
            fetcher = _Without(fetcher, frozenset(outcome.certificate.crl_urls))
        sources = RevocationSources(
            fetcher=fetcher, entropy=os.urandom, ocsp=not broken & {"CRL", "DeltaCRL"} or "OCSP" in broken
        )
        return build_chain(
            outcome.certificate,
            anchors=self.anchors,
            at=SystemClock().now(),
            intermediates=() if "AIA" in broken else outcome.chain,
            revocation=sources,
            fetcher=fetcher,
        )


class _Without:
    """A fetcher that does not get at some URLs."""

    def __init__(self, fetcher: UrlFetcher, urls: frozenset[str]) -> None:
        self._fetcher = fetcher
        self._urls = urls

    def fetch(self, url: str) -> Fetched:
        """Return what came of asking ``url``."""
        return Fetched(url=url, detail="not asked") if url in self._urls else self._fetcher.fetch(url)

    def post(self, url: str, body: bytes, media_type: str) -> Fetched:
        """Return what came of sending ``body`` to ``url``."""
        return self._fetcher.post(url, body, media_type)


@dataclass(frozen=True, kw_only=True)
class Stand:
    """One fault's stand."""

    fault: Fault
    faulty: Side
    clean: Side
    strict: StrictClient
    folder: Path
