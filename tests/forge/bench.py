"""A running lab as the tables see it: requests to build, replies to judge, traces to look for.

`Bench` knows URLs and certificates the way a client does, from GetCACert; what it knows beyond
(challenges, approvals, the database file, the log) it is given by `Desk`, which the test session
makes of the lab it started.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from . import asn1, wire
from .certificates import CertificateForge, CertificateParts, common_name, read_certificate
from .csr import CsrForge
from .envelope import Envelope, KeyTransport, issuer_and_serial
from .keys import Key, KeyPool
from .message import CERT_POLL, GET_CERT, GET_CRL, PKCS_REQ, RENEWAL_REQ, PkiMessage, transaction_id_of
from .reply import SUCCESS, Issued, Reply, Sent, check_reply, demand, open_reply, read_reply
from .watch import State, Watch, watch

MEDIA_TYPE = "application/x-pki-message"


class Desk(Protocol):
    """What the administrator of the lab under test can do and see."""

    database: Path | str | None  # a file of SQLite's, or an URL

    def url(self, endpoint: str) -> str: ...
    def new_challenge(self, **options: Any) -> str: ...
    def approve(self, transaction_id: str) -> None: ...
    def deny(self, transaction_id: str) -> None: ...
    def revoke(self, certificate: bytes) -> None: ...
    def reserved_keys(self) -> dict[str, tuple[Key, bytes]]: ...
    def forget_crls(self) -> None: ...
    def second_opinion(self, request: PkiRequest, reply: Reply) -> None: ...
    def revoke_newest_challenge(self) -> None: ...
    def advance(self, time: timedelta) -> None: ...


class Log(logging.Handler):
    """Everything the process logged, with tracebacks, for the tests that look for what must not be there."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        fields = record.msg if isinstance(record.msg, dict) else {}
        error = record.exc_info or (sys.exc_info() if fields.get("exc_info") else None)
        if error and error[0]:
            text += "\n" + "".join(traceback.format_exception(*error))
        self.lines.append(text)
        self.records.append(record)

    def since(self, mark: int) -> str:
        """Return what was logged after ``mark`` lines."""
        return "\n".join(self.lines[mark:])


@dataclass(frozen=True, kw_only=True)
class PkiRequest:
    """A pkiMessage ready to be posted, and what its reply must agree with."""

    message: bytes
    sent: Sent
    endpoint: str = "default"
    key: Key | None = None
    csr: CsrForge | None = None
    forged: PkiMessage | None = None
    challenge: str | None = None
    prior: tuple[bytes, ...] = ()  # certificates that the answer is to be compared with

    def send(self, bench: Bench) -> wire.Response:
        """Post the message as strongSwan does, without a Content-Type."""
        return wire.post(bench.url(self.endpoint), self.message)

    def with_message(self, message: bytes, **sent: Any) -> PkiRequest:
        """Return the request with other octets, and other expectations."""
        return replace(self, message=message, sent=replace(self.sent, **sent))


@dataclass(frozen=True, kw_only=True)
class Enrolment:
    """A certificate that was issued to us, and how."""

    request: PkiRequest
    certificate: bytes
    key: Key
    subject: bytes
    reply: Reply

    @property
    def parts(self) -> CertificateParts:
        """The certificate, read."""
        return read_certificate(self.certificate)


class Bench:
    """One lab under test."""

    def __init__(self, desk: Desk, keys: KeyPool, log: Log) -> None:
        self.desk = desk
        self.keys = keys
        self.log = log
        self.groups: dict[str, str] = {}
        self.nonces: dict[bytes, wire.Response] = {}
        self.secrets: list[str] = []
        self._numbers = itertools.count(1)
        self._bundle: list[bytes] = []
        self._watch: Watch | None = None

    # -- what a client knows -----------------------------------------------------------

    def url(self, endpoint: str = "default") -> str:
        """Return the URL of an endpoint."""
        return self.desk.url(endpoint)

    def forget_bundle(self) -> None:
        """Ask for the CA's certificates anew the next time."""
        self._bundle = []

    @property
    def bundle(self) -> list[bytes]:
        """The certificates of GetCACert, in order."""
        if not self._bundle:
            answer = wire.get(self.url(), "operation=GetCACert")
            demand(answer.status == 200, f"GetCACert is answered {answer.status}")
            if answer.header("Content-Type") == "application/x-x509-ca-cert":
                self._bundle = [answer.body]
            else:
                signed = asn1.read(answer.body)[1][0]
                self._bundle = [one.raw for one in signed[3].children]
        return self._bundle

    def _peer(self, bit: int) -> bytes:
        for one in self.bundle:
            extensions = read_certificate(one).extensions
            _, usage = extensions.get("2.5.29.15", (False, asn1.named_bits(0, 2)))
            octets = asn1.read(usage).content[1:]
            authority = extensions.get("2.5.29.19", (False, asn1.seq()))[1] != asn1.seq()
            if octets[0] & (0x80 >> bit) and not authority:
                return one
        return self.bundle[0]

    @property
    def encryption_certificate(self) -> bytes:
        """The certificate envelopes are made out to: of the RA where there is one."""
        return self._peer(2)

    @property
    def signing_certificate(self) -> bytes:
        """The certificate replies are signed with."""
        return self._peer(0)

    @property
    def authority_certificate(self) -> bytes:
        """The issuing CA's certificate: the issuer of the RA's, else the first."""
        issuer = read_certificate(self.encryption_certificate).issuer
        return next((one for one in self.bundle if read_certificate(one).subject == issuer), self.bundle[0])

    # -- building requests -------------------------------------------------------------

    def new_challenge(self, **options: Any) -> str:
        """Return a fresh challenge, remembered as a secret that no log may show."""
        challenge = self.desk.new_challenge(**options)
        self.secrets.append(challenge)
        return challenge

    def subject(self) -> bytes:
        """Return a Name nobody had yet."""
        return common_name(f"device-{next(self._numbers):06d}.lab.example")

    def recipient(self, **changes: Any) -> KeyTransport:
        """Return a KeyTransRecipientInfo for the server."""
        return KeyTransport(**{"certificate": self.encryption_certificate, **changes})

    def request(
        self,
        *,
        message_type: int | str = PKCS_REQ,
        plaintext: bytes | None = None,
        key: Key | None = None,
        certificate: bytes | None = None,
        signer: dict[str, Any] | None = None,
        csr: dict[str, Any] | None = None,
        challenge: str | bytes | None = "",
        envelope: dict[str, Any] | None = None,
        message: dict[str, Any] | None = None,
        sent: dict[str, Any] | None = None,
        endpoint: str = "default",
    ) -> PkiRequest:
        """Return a request that is well formed but for what the dictionaries override.

        ``challenge`` "" asks for a fresh one, None for none. ``signer`` overrides fields of the
        self-signed signer certificate.
        """
        key = key or self.keys.fresh()
        if challenge == "" and plaintext is None:
            challenge = self.new_challenge()
        subject = (csr or {}).get("subject") or self.subject()
        forge = CsrForge(**{"key": key, "subject": subject, "challenge": challenge or None, **(csr or {})})
        if certificate is None:
            certificate = CertificateForge(**{"key": key, "subject": subject, **(signer or {})}).encode()
        inside = plaintext if plaintext is not None else forge.encode()
        outside = Envelope(**{"plaintext": inside, "recipients": [self.recipient()], **(envelope or {})})
        fields = {
            "key": key,
            "certificate": certificate,
            "message_type": message_type,
            "transaction_id": transaction_id_of(forge.key),
            "content": None,
            **(message or {}),
        }
        if "content" not in (message or {}):
            fields["content"] = outside.encode()
        forged = PkiMessage(**fields)
        return PkiRequest(
            message=forged.encode(),
            sent=self._expectation(forged, outside, challenge, sent or {}),
            endpoint=endpoint,
            key=key,
            csr=forge,
            forged=forged,
            challenge=challenge if isinstance(challenge, str) else None,
        )

    @staticmethod
    def _expectation(
        forged: PkiMessage, envelope: Envelope, challenge: str | bytes | None, changes: dict[str, Any]
    ) -> Sent:
        first = envelope.recipients[0] if envelope.recipients else None
        password = challenge.encode() if isinstance(challenge, str) else challenge
        fields: dict[str, Any] = {
            "transaction_id": forged.transaction_id,
            "sender_nonce": forged.sender_nonce,
            "certificate": forged.certificate,
            "key": forged.key,
            "password": password,
            "digest": forged.digest if forged.digest.startswith("sha") else "sha256",
            "cipher": envelope.cipher if envelope.cipher in ("3des", "aes192", "aes256") else "aes128",
            "oaep": first.oaep if isinstance(first, KeyTransport) else None,
        }
        return Sent(**{**fields, **changes})

    def renewal(self, old: Enrolment, *, message_type: int = RENEWAL_REQ, **options: Any) -> PkiRequest:
        """Return a renewal with a new key, signed by the old certificate, without a challenge."""
        csr = {"key": self.keys.fresh(), "subject": old.subject, **options.pop("csr", {})}
        options.setdefault("challenge", None)
        return self.request(
            message_type=message_type, key=old.key, certificate=old.certificate, csr=csr, **options
        )

    def poll(self, of: PkiRequest, **options: Any) -> PkiRequest:
        """Return a CertPoll for a pending request."""
        plaintext = asn1.seq(
            read_certificate(self.authority_certificate).subject, of.csr.subject if of.csr else asn1.seq()
        )
        message = {"transaction_id": of.sent.transaction_id, **options.pop("message", {})}
        options.setdefault("key", of.sent.key)
        options.setdefault("certificate", of.sent.certificate)
        options.setdefault("plaintext", plaintext)
        options.setdefault("endpoint", of.endpoint)
        return self.request(message_type=CERT_POLL, message=message, **options)

    def get_cert(self, of: bytes, holder: Enrolment, **options: Any) -> PkiRequest:
        """Return a GetCert for a certificate, signed by a holder of another."""
        options.setdefault("plaintext", issuer_and_serial(read_certificate(of)))
        options.setdefault("key", holder.key)
        options.setdefault("certificate", holder.certificate)
        return self.request(message_type=GET_CERT, **options)

    def get_crl(self, of: bytes, holder: Enrolment, **options: Any) -> PkiRequest:
        """Return a GetCRL for the CRL that a certificate is subject to."""
        options.setdefault("plaintext", issuer_and_serial(read_certificate(of)))
        options.setdefault("key", holder.key)
        options.setdefault("certificate", holder.certificate)
        return self.request(message_type=GET_CRL, **options)

    # -- sending and judging -----------------------------------------------------------

    def reply(self, request: PkiRequest, response: wire.Response) -> Reply:
        """Read a CertRep and hold it against everything section 4H promises."""
        demand(response.status == 200, f"HTTP {response.status} {response.body[:200]!r}, expected a CertRep")
        found = response.header("Content-Type")
        demand(found == MEDIA_TYPE, f"Content-Type is {found!r}")
        length = response.header("Content-Length")
        demand(length == str(len(response.body)), f"Content-Length is {length}, body {len(response.body)}")
        reply = read_reply(response.body)
        check_reply(reply, request.sent, self.bundle)
        self.desk.second_opinion(request, reply)
        self._demand_fixed_words(request, reply.words)
        nonce = reply.attributes["2.16.840.1.113733.1.9.5"].content
        demand(self.nonces.setdefault(nonce, response) is response, "senderNonce is not fresh")
        return reply

    @staticmethod
    def _demand_fixed_words(request: PkiRequest, text: str) -> None:
        """Check that failInfoText has nothing of the sender, of an exception or of the machine (N131)."""
        own = [request.sent.transaction_id, request.challenge or ""]
        subject = request.csr.subject if request.csr else b""
        own += [match.decode() for match in re.findall(rb"[\w.-]{6,}", subject)]
        shown = [one for one in own if len(one) > 3 and one in text]
        demand(not shown, f"failInfoText {text!r} repeats what was sent: {shown}")
        demand(not re.search(r"[/\\<>{}@=_]|0x|Error|Exception|\.py", text), f"failInfoText {text!r}")

    def send(self, request: PkiRequest) -> Reply:
        """Send a request and return its checked reply."""
        return self.reply(request, request.send(self))

    def deliver(self, request: PkiRequest, reply: Reply) -> Issued:
        """Open a SUCCESS, checking that digest and cipher mirror the request (K23)."""
        demand(reply.status == SUCCESS, f"{reply}, expected SUCCESS")
        demand(
            reply.digest == request.sent.digest, f"reply digest {reply.digest}, {request.sent.digest} sent"
        )
        return open_reply(reply, request.sent)

    def enrolled(self, request: PkiRequest, reply: Reply | None = None) -> Enrolment:
        """Send a request for a certificate that is issued, and check that it is the one asked for."""
        reply = reply or self.send(request)
        issued = self.deliver(request, reply)
        assert request.csr is not None
        leaf = read_certificate(issued.certificates[0])
        demand(
            leaf.spki == (request.csr.spki or request.csr.key.spki), "the leaf is not for the key of the CSR"
        )
        demand(not issued.crls, "a SUCCESS for a certificate carries a CRL")
        return Enrolment(
            request=request,
            certificate=issued.certificates[0],
            key=request.csr.key,
            subject=request.csr.subject,
            reply=reply,
        )

    def enrol(self, **options: Any) -> Enrolment:
        """Enrol once, well."""
        return self.enrolled(self.request(**options))

    def demand_alive(self) -> None:
        """Check that the next good request succeeds."""
        self.enrol()

    # -- traces ------------------------------------------------------------------------

    def state(self) -> State:
        """Return what the database holds."""
        if self.desk.database is None:
            raise AssertionError("the lab under test has no database to look into")
        if self._watch is None:
            self._watch = watch(self.desk.database)
        return self._watch.state()

    def close(self) -> None:
        """Look into the database no more."""
        if self._watch is not None:
            self._watch.close()

    def count(self, word: str) -> int:
        """Return how many rows the table has whose name ends in the plural of this word."""
        (rows,) = (rows for name, (rows, _) in self.state().tables.items() if name.endswith(f"{word}s"))
        return rows

    def demand_unchanged(self, before: State) -> None:
        """Check that the database holds what it held before: no side effect.

        CRLs are left out: they are signed when they are due, whoever asks what meanwhile.
        """
        changed = [name for name in before.difference(self.state()) if "crl" not in name.split("_")[0]]
        demand(not changed, f"a refused request left something in {', '.join(changed)}")

    def demand_quiet(self, mark: int, response: wire.Response | None = None) -> None:
        """Check that neither log nor body shows a stack trace or a secret, and nothing went wrong.

        What the publisher has to say at the same time is not about the request.
        """
        places = {"log": self.log.since(mark)}
        if response is not None:
            places["body"] = response.body.decode("latin-1")
        for place, text in places.items():
            demand("Traceback" not in text, f"a stack trace in the {place}: {text[-2000:]}")
            leaked = [secret for secret in self.secrets[-8:] if secret in text]
            demand(not leaked, f"a challenge password in the {place}")
        answering = [one for one in self.log.records[mark:] if not one.name.startswith("crl_publisher")]
        failures = [one for one in answering if one.levelno >= logging.ERROR]
        demand(not failures, f"logged as an error: {[one.getMessage() for one in failures]}")


def fresh_nonce(size: int = 16) -> bytes:
    """Return a nonce of any size."""
    return os.urandom(size)


@dataclass(frozen=True, kw_only=True)
class HttpRequest:
    """HTTP octets as they are, or several pieces of them; ``sent`` is there when a CertRep is due."""

    octets: bytes | Sequence[bytes]
    pki: PkiRequest | None = None
    head: bool = False
    end: bool = False
    endpoint: str = field(default="default")

    def send(self, bench: Bench) -> wire.Response:
        """Send the octets."""
        return wire.exchange(bench.url(self.endpoint), self.octets, head=self.head, end=self.end)
