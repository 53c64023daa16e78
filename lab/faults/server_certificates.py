"""What a TLS server shows when something is wrong with its certificate; each wrong in one way only."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from ca import extensions, oids
from ca.certificates import sign_certificate
from ca.opening import open_issuing_key
from lab.server_certificate import common_name, general_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ca.certificates import TbsCertificate
    from lab.server_certificate import ServerCertificate
    from lab.world import World

    from .values import ServerCertificateKind

WRONG_NAME: Final = "another-server.invalid"  # RFC 6761 6.4: nobody's, ever
_YEAR: Final = timedelta(days=365)
_INSPECTION: Final = x509.Name(
    [
        x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "NDES Lab (test only)"),
        x509.NameAttribute(x509.NameOID.COMMON_NAME, "TLS Inspection CA"),
    ]
)


def chain_shown(
    kind: ServerCertificateKind, server: ServerCertificate, world: World, names: Sequence[str]
) -> tuple[bytes, ...]:
    """Return the certificates (DER) that the server shows, its own first.

    All are for the key of ``server``. Spoiled ones of the issuing CA are not remembered by it.
    """
    if kind == "good":
        return server.issue()
    now = world.clock.now().replace(microsecond=0)
    if kind == "self-signed":
        return (_self_signed(server, names, now),)
    if kind == "untrusted":
        return _by_strangers(server, names, now)
    with world.store.transaction() as transaction:
        tbs = server.prepare(transaction).tbs
    issuing = open_issuing_key(world.folder, world.pki)
    return sign_certificate(_spoiled(tbs, kind, now), issuing.key), issuing.certificate.der


def _spoiled(tbs: TbsCertificate, kind: ServerCertificateKind, now: datetime) -> TbsCertificate:
    if kind == "expired":
        return replace(tbs, not_before=now - 2 * _YEAR, not_after=now - timedelta(days=1))
    if kind == "not-yet-valid":
        return replace(tbs, not_before=now + timedelta(days=30), not_after=now + 2 * _YEAR)
    if kind == "wrong-name":
        name = extensions.GeneralName(2, WRONG_NAME.encode(), WRONG_NAME)
        tbs = replace(tbs, subject_der=common_name(WRONG_NAME).public_bytes())
        return _with(tbs, extensions.subject_alt_name([name]))
    client = [oids.CLIENT_AUTH]
    return _with(tbs, extensions.extended_key_usage(client), extensions.application_policies(client))


def _with(tbs: TbsCertificate, *others: extensions.Extension) -> TbsCertificate:
    """Return the certificate with other extensions in place of those of their kind."""
    chosen = {extension.oid: extension for extension in others}
    return replace(tbs, extensions=tuple(chosen.get(each.oid, each) for each in tbs.extensions))


def _builder(
    server: ServerCertificate, names: Sequence[str], issuer: x509.Name, now: datetime
) -> x509.CertificateBuilder:
    key = load_der_public_key(server.key.public_key_der)
    alternative_names = x509.SubjectAlternativeName(map(general_name, names))
    return (
        x509.CertificateBuilder()
        .subject_name(common_name(names[0]))
        .issuer_name(issuer)
        .public_key(key)  # type: ignore[arg-type] # RSA, which is any of them
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _YEAR)
        .add_extension(alternative_names, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )


def _self_signed(server: ServerCertificate, names: Sequence[str], now: datetime) -> bytes:
    key = serialization.load_pem_private_key(server.key.plain_pem(), None)
    built = _builder(server, names, common_name(names[0]), now).sign(key, hashes.SHA256())  # type: ignore[arg-type]
    return built.public_bytes(serialization.Encoding.DER)


def _by_strangers(server: ServerCertificate, names: Sequence[str], now: datetime) -> tuple[bytes, ...]:
    """Return a chain to a CA that nobody knows, as a proxy that reads along shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = _builder(server, names, _INSPECTION, now).sign(key, hashes.SHA256())
    authority = (
        x509.CertificateBuilder()
        .subject_name(_INSPECTION)
        .issuer_name(_INSPECTION)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _YEAR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return tuple(one.public_bytes(serialization.Encoding.DER) for one in (leaf, authority))
