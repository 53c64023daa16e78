"""Messages in bulk, made by several processes before the load begins."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from multiprocessing import get_context
from typing import TYPE_CHECKING, Self, cast
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization

from ca.clock import SystemClock
from lab.client import CaTrust, HttpTransport, Identity, Issued, ScepClient
from lab.client.errors import ClientError
from lab.client.orders import Order
from lab.client.requests import parse_subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cryptography.hazmat.primitives.asymmetric import rsa

    from lab.client.orders import Enrolment
    from lab.client.requests import ClientKey


class Kind(Enum):
    """What one request of a load is."""

    ENROL = "enrol"  # a new key, by PKCSReq
    RENEW = "renew"  # a certificate issued just before, by RenewalReq or PKCSReq
    REPEAT = "repeat"  # a request that was answered already, octet for octet
    CA_CERT = "cacert"
    CA_CAPS = "cacaps"

    @property
    def is_message(self) -> bool:
        """Whether it is a PKIOperation."""
        return self not in (Kind.CA_CERT, Kind.CA_CAPS)


class CannotPrepare(Exception):
    """The messages cannot be made; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The server: ``url``, which has a path; messages are sent by POST."""

    url: str
    user_agent: str = "ndes-lab load"

    def http(self, query: str, body: bytes | None = None) -> bytes:
        """Return a whole HTTP request for an operation."""
        parts = urlsplit(self.url)
        asked = f"{parts.query}&{query}" if parts.query else query
        method = "GET" if body is None else "POST"
        lines = [f"{method} {parts.path}?{asked} HTTP/1.1", f"Host: {parts.netloc}"]
        lines.append(f"User-Agent: {self.user_agent}")
        if body is not None:
            lines += ["Content-Type: application/x-pki-message", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One request, ready to be sent."""

    kind: Kind
    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One message to be made, as it goes to another process."""

    kind: Kind
    key: bytes = field(repr=False)
    renewed_key: bytes = field(repr=False, default=b"")
    challenge: str | None = field(repr=False)
    subject: str

    @classmethod
    def of(
        cls,
        kind: Kind,
        key: rsa.RSAPrivateKey,
        challenge: str | None,
        subject: str,
        renewed: rsa.RSAPrivateKey | None = None,
    ) -> Self:
        """Return the wish for a message with this key."""
        return cls(
            kind=kind,
            key=_der(key),
            challenge=challenge,
            subject=subject,
            renewed_key=b"" if renewed is None else _der(renewed),
        )


def prepare(
    target: Target,
    wishes: Sequence[Wish],
    *,
    processes: int,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Prepared]:
    """Return the messages of ``wishes``, in their order.

    Those that renew or repeat are preceded by an enrolment at the server, one after the other.

    Raises:
        CannotPrepare: the server cannot be used, or refuses such an enrolment.

    """
    made: list[Prepared] = []
    pieces = [wishes[start : start + 25] for start in range(0, len(wishes), 25)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for piece in pool.map(_prepare, [target] * len(pieces), pieces):
            made += piece
            progress(len(made))
    return made


def questions(target: Target, kind: Kind) -> Prepared:
    """Return a request for CA certificates or capabilities."""
    operation = {Kind.CA_CERT: "GetCACert", Kind.CA_CAPS: "GetCACaps"}[kind]
    return Prepared(kind=kind, octets=target.http(f"operation={operation}"))


def _prepare(target: Target, wishes: Iterable[Wish]) -> list[Prepared]:
    client = ScepClient(
        HttpTransport(url=target.url, user_agent=target.user_agent),
        CaTrust(insecure=True),
        clock=SystemClock(),
        entropy=os.urandom,
        sleep=lambda _: None,
    )
    try:
        return [_message(target, client, wish) for wish in wishes]
    except ClientError as error:
        raise CannotPrepare(str(error)) from error


def _message(target: Target, client: ScepClient, wish: Wish) -> Prepared:
    order = Order(
        key=_loaded(wish.key),
        subject_der=parse_subject(wish.subject),
        challenge_password=wish.challenge,
    )
    enrolment = client.prepare(order)
    if wish.kind is Kind.REPEAT:
        _issued(client, enrolment)
    elif wish.kind is Kind.RENEW:
        certificate = _issued(client, enrolment)
        old = Identity.of(certificate, order.key)
        new = _loaded(wish.renewed_key)
        enrolment = client.prepare(Order(key=new, subject_der=order.subject_der, renewal_of=old))
    octets = enrolment.request.octets
    return Prepared(kind=wish.kind, octets=target.http("operation=PKIOperation", octets))


def _issued(client: ScepClient, enrolment: Enrolment) -> bytes:
    outcome = client.submit(enrolment)
    if not isinstance(outcome, Issued):
        raise CannotPrepare(f"an enrolment that is to be renewed or repeated ended so: {outcome}")
    return outcome.certificate.der


def _loaded(octets: bytes) -> ClientKey:
    """Return a key that `_der` wrote; proving again that its primes are primes would take 80 ms."""
    key = serialization.load_der_private_key(octets, None, unsafe_skip_rsa_key_validation=True)
    return cast("ClientKey", key)


def _der(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
