"""Debian's SCEP clients against a running lab: a new machine's first certificate, and the next."""

from __future__ import annotations

from pathlib import Path
from time import monotonic, sleep

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.records import RequestStatus
from interop import openssl
from interop.clients import Enrolment, EnrolmentRefused, ForeignClient
from interop.recording import Recording
from lab import ScepLab

pytestmark = pytest.mark.interop

PKCS_REQ = 19


def test_obtains_a_certificate_that_openssl_verifies_with_its_crls(
    client: ForeignClient, recorded: Recording, running_lab: ScepLab, tmp_path: Path
) -> None:
    enrolment = client.obtain(f"{client.name}-first", running_lab.new_challenge())

    certificate = assert_usable(enrolment)
    publication = openssl.verify_chain(
        enrolment.certificate_pem, root_pem=running_lab.root_pem_path, folder=tmp_path
    )
    root = x509.load_pem_x509_certificate(running_lab.root_pem_path.read_bytes())
    assert publication.issuers[-1] == root, "AIA leads to the root that was given out of band"
    assert certificate.issuer == publication.issuers[0].subject
    assert [openssl.message_type(sent.request_message) for sent in recorded.pki_operations] == [PKCS_REQ]


def test_reply_decrypts_with_openssl_to_the_certificate_alone(
    client: ForeignClient, recorded: Recording, running_lab: ScepLab, chain_pem: Path
) -> None:
    enrolment = client.obtain(f"{client.name}-opened", running_lab.new_challenge())

    (cert_rep,) = recorded.cert_reps
    envelope = openssl.verify_cert_rep(cert_rep, chain_pem=chain_pem)
    (sent,) = openssl.degenerate_certificates(openssl.decrypt_envelope(envelope, enrolment.key))
    assert x509.load_pem_x509_certificate(sent) == x509.load_pem_x509_certificate(enrolment.certificate_pem)


def test_renews_without_a_new_challenge(
    client: ForeignClient, recorded: Recording, running_lab: ScepLab, tmp_path: Path
) -> None:
    first = client.obtain(f"{client.name}-renewing", running_lab.new_challenge())
    second = client.renew(first)

    old, new = assert_usable(first), assert_usable(second)
    assert new.serial_number != old.serial_number
    assert new.subject == old.subject
    assert (new.public_key() != old.public_key()) == client.renews_with_new_key
    openssl.verify_chain(second.certificate_pem, root_pem=running_lab.root_pem_path, folder=tmp_path)
    sent = [openssl.message_type(exchange.request_message) for exchange in recorded.pki_operations]
    assert sent == [PKCS_REQ, client.renewal_message_type]


def test_says_that_a_used_challenge_is_refused(client: ForeignClient, running_lab: ScepLab) -> None:
    challenge = running_lab.new_challenge()
    client.obtain(f"{client.name}-wins", challenge)

    with pytest.raises(EnrolmentRefused) as refusal:
        client.obtain(f"{client.name}-is-late", challenge)

    assert client.refusal_words in str(refusal.value)


def test_enrols_after_a_refusal_with_the_right_challenge(client: ForeignClient, running_lab: ScepLab) -> None:
    with pytest.raises(EnrolmentRefused):
        client.obtain(f"{client.name}-mistyped", "0000000000000000")

    assert_usable(client.obtain(f"{client.name}-corrected", running_lab.new_challenge()))


@pytest.mark.parametrize("endpoint_path", ["/manual"])
def test_waits_until_a_certificate_manager_approves(
    client: ForeignClient, recorded: Recording, running_lab: ScepLab
) -> None:
    name, desk = f"{client.name}-approved", running_lab.desk

    def approve() -> None:
        deadline = monotonic() + 60
        while not (waiting := [one for one in desk.requests(RequestStatus.PENDING) if name in one.subject]):
            assert monotonic() < deadline, "no request became pending"
            sleep(0.05)
        desk.approve(waiting[0].id)

    assert_usable(client.obtain_once_approved(name, running_lab.new_challenge(), approve))

    first, *polls = [openssl.message_type(sent.request_message) for sent in recorded.pki_operations]
    assert first == PKCS_REQ
    assert set(polls) == {client.poll_message_type}


def assert_usable(enrolment: Enrolment) -> x509.Certificate:
    """A Client Authentication certificate for the name asked for and the key the client holds."""
    certificate = x509.load_pem_x509_certificate(enrolment.certificate_pem)
    key = load_pem_private_key(enrolment.key.read_bytes(), password=None)
    assert certificate.public_key() == key.public_key()
    (common_name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert common_name.value == enrolment.common_name
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.CLIENT_AUTH in usages
    return certificate
