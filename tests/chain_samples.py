"""Small PKIs for the chain engine: parties that sign what they are told to, right unless told otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.trust import (
    CertificateRevocationList,
    ChainRules,
    RevocationSources,
    TrustAnchors,
    X509Certificate,
    build_chain,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
CDP = "http://pki.test/CertEnroll/Test%20CA.crl"
AIA = "http://pki.test/CertEnroll/a%2Fb Test CA.crt"


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Party:
    """A key, its certificate, and what it signs."""

    name: str
    key: object
    certificate: x509.Certificate | None = None
    der: bytes = b""

    @property
    def read(self):
        return X509Certificate.read(self.der)

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)


@dataclass
class Shape:
    """How a certificate is made; the defaults are right."""

    ca: bool = True
    path_length: int | None = None
    usages: tuple[str, ...] = ("key_cert_sign", "crl_sign")
    eku: tuple[x509.ObjectIdentifier, ...] = ()
    start: datetime = NOW - 30 * DAY
    end: datetime = NOW + 30 * DAY
    cdp: str | None = None
    aia: str | None = None
    ocsp: str | None = None
    freshest: str | None = None
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    hash_algorithm: object = field(default_factory=hashes.SHA256)
    padding: object = None


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def key_usage(usages):
    every = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment"]
    every += ["key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{usage: usage in usages for usage in every})


def issue(subject, issuer, shape=None, *, key=None, signer_key=None):
    shape = shape or Shape()
    party = Party(name=subject, key=key or new_key())
    signer = signer_key or (issuer or party).key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name((issuer or party).name))
        .serial_number(x509.random_serial_number())
        .not_valid_before(shape.start)
        .not_valid_after(shape.end)
        .public_key(party.key.public_key())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(party.key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key((issuer or party).key.public_key()),
            critical=False,
        )
    )
    if shape.ca:
        builder = builder.add_extension(x509.BasicConstraints(True, shape.path_length), critical=True)
    builder = builder.add_extension(key_usage(shape.usages), critical=True)
    if shape.eku:
        builder = builder.add_extension(x509.ExtendedKeyUsage(shape.eku), critical=False)
    if shape.cdp:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(shape.cdp)], None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    if shape.freshest:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(shape.freshest)], None, None, None)
        builder = builder.add_extension(x509.FreshestCRL([point]), critical=False)
    methods = x509.AuthorityInformationAccessOID
    access = [
        x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
        for method, url in ((methods.CA_ISSUERS, shape.aia), (methods.OCSP, shape.ocsp))
        if url
    ]
    if access:
        builder = builder.add_extension(x509.AuthorityInformationAccess(access), critical=False)
    for value, critical in shape.extra:
        builder = builder.add_extension(value, critical=critical)
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else shape.hash_algorithm
    party.certificate = builder.sign(signer, digest, rsa_padding=shape.padding)
    party.der = party.certificate.public_bytes(serialization.Encoding.DER)
    return party


LEAF = {"ca": False, "usages": ("digital_signature",), "eku": (ExtendedKeyUsageOID.CLIENT_AUTH,)}


REASON, RELEASE = x509.ReasonFlags.key_compromise, x509.ReasonFlags.remove_from_crl


def crl(
    issuer,
    *,
    revoked=(),
    released=(),
    this_update=NOW - DAY,
    next_update=NOW + DAY,
    key=None,
    number=4,
    extra=(),
):
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name(issuer.name))
        .last_update(this_update)
        .next_update(next_update)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False
        )
    )
    for party, reason in [(party, REASON) for party in revoked] + [(party, RELEASE) for party in released]:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(party.certificate.serial_number)
            .revocation_date(NOW - DAY)
            .add_extension(x509.CRLReason(reason), critical=False)
            .build()
        )
    for value, critical in extra:
        builder = builder.add_extension(value, critical=critical)
    signed = builder.sign(key or issuer.key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


@dataclass
class Pki:
    root: Party
    issuing: Party
    leaf: Party
    untrusted: list[Party]
    anchors: list[Party]
    crls: list[bytes] | None = None
    usage: str | None = None
    purpose: str | None = None
    issuance_policy: str | None = None
    time_nesting: bool = False
    distrusted: tuple[Party, ...] = ()

    @property
    def trust_anchors(self):
        return TrustAnchors.of([party.read for party in self.anchors], origin="the test")


def pki(*, root=None, issuing=None, leaf=None, **overrides):
    root_party = issue("Test Root", None, Shape(**(root or {})))
    issuing_party = issue("Test Issuing", root_party, Shape(**(issuing or {})))
    leaf_party = issue("device", issuing_party, Shape(**(LEAF | (leaf or {}))))
    given = {"untrusted": [issuing_party], "anchors": [root_party]} | overrides
    return Pki(root=root_party, issuing=issuing_party, leaf=leaf_party, **given)


def judge(world, **more):
    crls = world.crls
    return build_chain(
        world.leaf.read,
        anchors=world.trust_anchors,
        at=NOW,
        intermediates=[party.read for party in world.untrusted],
        revocation=None
        if crls is None
        else RevocationSources(
            crls=tuple(CertificateRevocationList.read(der, origin="given") for der in crls)
        ),
        rules=ChainRules(
            usage=world.usage,
            issuance_policy=world.issuance_policy,
            time_nesting=world.time_nesting,
            distrusted=TrustAnchors.of([party.read for party in world.distrusted], origin="the refused"),
        ),
        **more,
    )
