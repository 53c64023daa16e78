"""A CA with templates of its own, and the requests its tests ask it with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from ca_world import NOW, CaWorld, ca_world
from cryptography import x509
from forge import asn1
from forge import certificates as forged
from forge import keys as forged_keys
from forge.csr import CsrForge, attribute

from ca import errors
from ca.authority import PreparedCertificate
from ca.certificates import TbsCertificate
from ca.opening import open_authority
from ca.pkcs10 import ENROLLMENT_NAME_VALUE_PAIR, parse_request
from ca.records import CertificateFilter

KEYS = forged_keys.KeyPool(primes=12)
KEY = KEYS.fresh()
SUBJECT = forged.common_name("device-1")
CSR = CsrForge(key=KEY, subject=SUBJECT)
REQUESTER = "LAB\\device-1$"

LENIENT = """
display_name = "Lenient"
oid = "1.2.3.4"
schema_version = 2
subject_type = "computer"
[cryptography]
minimal_key_size = 1024
key_algorithms = ["RSA", "ECDSA_P256", "ECDSA_P384", "ECDSA_P521", "Ed25519"]
[subject_name]
other_alternative_names = "drop"
[subject_name.alternative_names]
dns = ["*.lab.example", "!secret.lab.example"]
[extensions]
key_usage = ["digitalSignature", "keyEncipherment"]
application_policies = ["Client Authentication"]
certificate_policies = ["1.2.3.4.5"]
basic_constraints = true
from_request = ["1.3.6.1.4.1.311.25.2"]
"""
PENDING = """
display_name = "Pending"
oid = "1.2.3.5"
schema_version = 2
subject_type = "user"
[issuance_requirements]
ca_certificate_manager_approval = true
reenrollment = "valid_existing_certificate"
[extensions]
key_usage = ["digitalSignature"]
application_policies = ["Client Authentication"]
"""
WANTS_SAN = """
display_name = "Wants SAN"
oid = "1.2.3.6"
schema_version = 2
subject_type = "computer"
[subject_name]
alternative_name_required = true
other_alternative_names = "drop"
[subject_name.alternative_names]
dns = ["*"]
[extensions]
key_usage = ["digitalSignature"]
application_policies = ["Client Authentication"]
"""
BY_DIRECTORY = """
display_name = "Named by the directory"
oid = "1.2.3.7"
schema_version = 2
subject_type = "computer"
[subject_name]
enrollee_supplies_subject = false
[extensions]
key_usage = ["digitalSignature"]
application_policies = ["Client Authentication"]
"""
HIDDEN = PENDING.replace('"user"', '"user"\npublished = false')
OWN = {
    "Lenient": LENIENT,
    "Pending": PENDING,
    "Wants-SAN": WANTS_SAN,
    "By-Directory": BY_DIRECTORY,
    "Hidden": HIDDEN,
}


class Untouchable:
    """A signer that must not be asked."""

    def sign(self, tbs: TbsCertificate) -> bytes:
        raise AssertionError(f"the key was touched for {tbs.serial_number}")


@contextmanager
def templated_world(folder: Path) -> Iterator[CaWorld]:
    """A PKI in ``folder`` with the templates above among its own."""
    (folder / "templates").mkdir(parents=True)
    for name, text in OWN.items():
        (folder / "templates" / f"{name}.toml").write_text(text)
    with ca_world(folder) as made:
        yield made


def emptied(world: CaWorld) -> CaWorld:
    """The same PKI as if nothing had been issued yet."""
    world.store.reset()
    world.clock.time = NOW
    return world


def prepare(
    world: CaWorld, csr: CsrForge, template: str = "SCEP-Client-Auth", requester: str = REQUESTER
) -> PreparedCertificate:
    """Prepare with an authority that cannot sign."""
    authority = open_authority(
        world.folder, world.settings, clock=world.clock, entropy=os.urandom, signer=Untouchable()
    )
    with world.store.transaction() as transaction:
        return authority.prepare(
            transaction, parse_request(csr.encode()), template=template, requester=requester
        )


def refusal(world: CaWorld, csr: CsrForge, template: str = "SCEP-Client-Auth") -> errors.CaError:
    """Prepare, which must refuse and leave no trace."""
    with pytest.raises(errors.CaError) as caught:
        prepare(world, csr, template)
    with world.store.reading() as transaction:
        assert not transaction.find_certificates(CertificateFilter(), now=NOW)
        assert not transaction.requests()
    return caught.value


def issued(world: CaWorld, csr: CsrForge, template: str = "SCEP-Client-Auth") -> x509.Certificate:
    return x509.load_der_x509_certificate(world.issue(csr.encode(), template, REQUESTER))


def oids_of(certificate: x509.Certificate) -> list[str]:
    return [extension.oid.dotted_string for extension in certificate.extensions]


def prepare_in(world: CaWorld, template: str) -> PreparedCertificate:
    with world.store.reading() as transaction:
        return world.authority.prepare(
            transaction, parse_request(CSR.encode()), template=template, requester=REQUESTER
        )


def wish(units: str, period: str) -> CsrForge:
    def pair(name: str, value: str) -> bytes:
        return asn1.seq(asn1.string(asn1.BMP, name), asn1.string(asn1.BMP, value))

    wish = attribute(
        ENROLLMENT_NAME_VALUE_PAIR, pair("ValidityPeriod", period), pair("ValidityPeriodUnits", units)
    )
    return replace(CSR, attributes=[wish])
