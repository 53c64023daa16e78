"""Challenges and certificates made at the desk of a world, within a transaction of its store."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca import names
from ca.pkcs10 import parse_request

from .desk import Invalid

if TYPE_CHECKING:
    from ca.challenges import IssuedChallenge
    from ca.pkcs10 import CertificateRequest
    from ca.records import CertificateRecord, RequestRecord, StoreTransaction
    from lab.world import World

    from .models import CertificateOrder, ChallengeOrder


def check_challenge(world: World, order: ChallengeOrder) -> None:
    """Raise Invalid for a challenge that could never be used."""
    if order.subject is not None:
        try:
            names.build_name(order.subject)
        except ValueError as error:
            raise Invalid(f"subject: {error}") from error
    if order.template is not None and world.authority.templates.find(order.template) is None:
        raise Invalid(f"there is no template {order.template!r}")
    known = world.settings.scep.endpoints
    if order.endpoint is not None and order.endpoint not in known:
        raise Invalid(f"there is no endpoint {order.endpoint!r}; known: {', '.join(known)}")


def make_challenge(world: World, transaction: StoreTransaction, order: ChallengeOrder) -> IssuedChallenge:
    """Make a challenge; raises Invalid, AlreadyExists."""
    check_challenge(world, order)
    settings = world.settings.challenges
    validity = settings.validity
    if order.validity_minutes != "default":
        minutes = order.validity_minutes
        validity = None if minutes is None else timedelta(minutes=minutes)
    return world.challenges.new(
        transaction,
        kind=order.kind,
        validity=validity,
        subject=order.subject,
        template=order.template,
        endpoint=order.endpoint,
        label=order.label,
        password=None if order.password is None else order.password.get_secret_value(),
        length=settings.length_octets,
    )


def read_csr(text: str) -> CertificateRequest:
    """Return the request in PEM; raises Invalid, CaError."""
    try:
        found = x509.load_pem_x509_csr(text.encode())
    except ValueError as error:
        raise Invalid(f"csr: not a certificate request in PEM: {error}") from error
    return parse_request(found.public_bytes(Encoding.DER))


def issue_certificate(
    world: World, transaction: StoreTransaction, order: CertificateOrder
) -> CertificateRecord | RequestRecord:
    """Issue a certificate, or have the request wait where its template wants approval.

    Raises:
        Invalid: the request cannot be read.
        CaError: the CA refuses.

    """
    prepared = world.authority.prepare(
        transaction, read_csr(order.csr), template=order.template, requester=order.requester
    )
    if prepared.needs_approval:
        return world.authority.submit(transaction, prepared)
    return world.authority.issue(transaction, prepared)
