"""The lab's own client at a lab in this process: keys made once, pauses that take no time."""

from __future__ import annotations

import functools
import os
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from lab import ScepLab
from lab.client import (
    CaTrust,
    HttpTransport,
    Identity,
    Issued,
    Order,
    Outcome,
    Patience,
    ScepClient,
    generate_key,
    parse_subject,
)
from lab.http_exchange import HttpLimits
from lab.trust import TrustAnchors, X509Certificate

if TYPE_CHECKING:
    from scep_server.protocol.messages import MessageType


@functools.cache
def client_key(number: int = 0) -> rsa.RSAPrivateKey:
    """The run's client keys."""
    key = generate_key("rsa-2048")
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def client_of(
    scep_lab: ScepLab, endpoint: str = "", *, url: str | None = None, attempts: int = 1
) -> ScepClient:
    """The client of an endpoint, or of a URL, which trusts the lab's root and goes by its clock."""
    root = X509Certificate.read(scep_lab.world.root.der)
    return ScepClient(
        HttpTransport(
            url=url or scep_lab.scep_url + endpoint, limits=HttpLimits(timeout=timedelta(seconds=20))
        ),
        CaTrust(anchors=TrustAnchors.of([root], origin="the lab's root")),
        clock=scep_lab.world.clock,
        entropy=os.urandom,
        sleep=lambda _: None,
        patience=Patience(attempts=attempts),
    )


def order(
    subject: str = "CN=device",
    *,
    challenge: str | None = None,
    key: int = 0,
    renewal_of: Identity | None = None,
    message_type: MessageType | None = None,
    names: tuple[x509.GeneralName, ...] = (),
) -> Order:
    """What the client is to ask for."""
    return Order(
        key=client_key(key),
        subject_der=parse_subject(subject),
        challenge_password=challenge,
        renewal_of=renewal_of,
        message_type=message_type,
        alternative_names=names,
    )


def enrol(scep_lab: ScepLab, endpoint: str = "", subject: str = "CN=device", *, key: int = 0) -> Outcome:
    """Enrol with a new challenge."""
    wanted = order(subject, challenge=scep_lab.new_challenge(), key=key)
    return client_of(scep_lab, endpoint).enrol(wanted)


def enrolled(scep_lab: ScepLab, subject: str = "CN=device", *, key: int = 0) -> Identity:
    """Enrol, and return certificate and key."""
    outcome = enrol(scep_lab, subject=subject, key=key)
    assert isinstance(outcome, Issued), outcome
    return Identity.of(outcome.certificate.der, client_key(key))
