"""What the CA remembers of certificates that a fault has made wrong: that which was issued."""

from __future__ import annotations

import pytest
from forge import openssl
from forge.keys import KeyPool

from faults.pkix import enrolled, shown
from faults.stand import Side
from lab.faults.engine import path_of
from lab.scep_lab import ScepLab


@pytest.fixture
def side_of(fault_lab: ScepLab, fault_keys: KeyPool):
    fault_lab.reset()
    base = fault_lab.scep_url.removesuffix("/scep")
    return lambda fault_id: Side(fault_lab, base + path_of(fault_id, "/scep"), fault_lab.pki_url, fault_keys)


@pytest.mark.parametrize(
    "name", ["negative-serial", "huge-serial", "for-another-subject", "too-short", "version-1", "ca-true"]
)
def test_is_remembered_as_it_is_and_revoked_under_its_own_number(side_of, name):
    side = side_of(f"certificate::{name}")
    (certificate,) = shown(enrolled(side).issued_pem())
    record = side.scep_lab.certificates()[-1]
    assert record.serial_number == certificate.serial.lower()
    assert (record.not_before, record.not_after) == (certificate.begin, certificate.end)
    assert certificate.subject.replace(" = ", "=").split(", ")[::-1] == record.subject.split(",")
    side.scep_lab.revoke(record)
    crl = side.scep_lab.world.latest_crl()
    assert crl is not None
    text = openssl.run("crl", "-inform", "DER", "-noout", "-text", stdin=crl.der).decode()
    assert f"Serial Number: {certificate.serial}\n" in text.replace("\\\n", "")  # openssl folds long ones


def test_who_asks_again_gets_the_same_wrong_one(side_of):
    side = side_of("certificate::for-another-key")
    sent = enrolled(side)
    known = side.scep_lab.certificates()
    assert side.again(sent).issued_pem() == sent.issued_pem()
    assert side.scep_lab.certificates() == known


def test_a_fault_of_the_reply_leaves_the_records_alone(side_of):
    side = side_of("certificate::serial-used-twice")
    (certificate,) = shown(enrolled(side).issued_pem())
    record = side.scep_lab.certificates()[-1]
    assert record.serial_number != certificate.serial.lower()
    assert record.subject == "CN=look,O=Stand"
