"""Who gets a certificate: challenges, templates, keys. Over real CA, store and codec."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from forge import asn1, openssl
from forge import keys as forged_keys
from forge.certificates import (
    CertificateForge,
    basic_constraints,
    common_name,
    dns,
    key_usage,
    subject_alt_name,
    uri,
)
from forge.csr import challenge_attribute
from forge.envelope import Envelope, Password
from forge.message import RENEWAL_REQ, PkiMessage
from scep_world import Client, World, ca_key, refused

from ca import names
from ca.certificates import read_certificate
from ca.records import ChallengeKind
from scep_server.checks import Verdict
from scep_server.settings import TemplateChoice

if TYPE_CHECKING:
    from pathlib import Path

CHALLENGE_TEXT = "The challenge password is missing or was not accepted."


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_issues_for_a_good_challenge_what_openssl_verifies(world: World) -> None:
    client = Client(world=world)
    certificate = client.enrol()
    pem = openssl.run("x509", "-inform", "DER", stdin=world.root.der)
    openssl.verify_chain(certificate, pem, [world.issuing.der], at=int(world.clock.now().timestamp()))
    leaf = read_certificate(certificate)
    assert leaf.subject_der == client.subject
    assert leaf.public_key_der == client.key.spki
    assert [check.name for check in world.last.checks] == [
        "signature",
        "envelope",
        "request-signature",
        "request-key",
        "signer",
        "signer-key",
        "transaction",
        "challenge",
        "template",
    ]
    assert all(check.verdict is Verdict.PASSED and check.clause for check in world.last.checks)


def test_takes_a_signer_with_another_key_and_subject_than_the_request(world: World) -> None:
    """Apple's and micromdm's clients sign with a key of their own."""
    signer = Client(world=world).key
    client = Client(world=world, signer_key=signer)
    client = Client(
        world=world,
        key=client.key,
        signer_key=signer,
        certificate=CertificateForge(key=signer, subject=common_name("SCEP SIGNER")).encode(),
    )
    leaf = read_certificate(client.enrol())
    assert leaf.public_key_der == client.key.spki
    assert ("signer-key", Verdict.WARNED) in [(check.name, check.verdict) for check in world.last.checks]


def test_refuses_a_signer_with_another_key_where_that_is_set(tmp_path: Path) -> None:
    world = World(tmp_path, csr_key_must_sign=True)
    client = Client(world=world, signer_key=Client(world=world).key)
    refused(world, client, client.request(world.new_challenge()), 2, "request-key-not-signer")
    Client(world=world).enrol()


@pytest.mark.parametrize(
    ("challenge", "by"),
    [
        (None, "challenge-absent"),
        ("", "challenge-absent"),
        ("wrong", "challenge-unknown"),
        ("spent", "challenge-spent"),
        ("expired", "challenge-expired"),
        ("revoked", "challenge-revoked"),
        ("other subject", "challenge-wrong-subject"),
        ("other endpoint", "challenge-wrong-endpoint"),
        ("trailing space", "challenge-unknown"),
        ("twice", "challenge-unreadable"),
        ("sequence", "challenge-unreadable"),
    ],
)
def test_refuses_every_bad_challenge_with_one_text_and_says_which_in_the_checks(
    world: World, challenge: str | None, by: str
) -> None:
    client, csr, password = Client(world=world), {}, challenge
    if challenge == "spent":
        password = world.new_challenge()
        other = Client(world=world)
        other.obtain(other.request(password))
    elif challenge == "expired":
        password = world.new_challenge(validity=timedelta(minutes=5))
        world.clock.advance(minutes=5)
    elif challenge == "revoked":
        password = world.new_challenge()
        with world.store.transaction() as transaction:
            world.challenges.revoke(transaction, world.challenges.list(transaction)[-1].id)
    elif challenge == "other subject":
        password = world.new_challenge(subject="CN=somebody else")
    elif challenge == "other endpoint":
        password = world.new_challenge(endpoint="other")
    elif challenge == "trailing space":
        password = world.new_challenge() + " "
    elif challenge == "twice":
        attribute = challenge_attribute(world.new_challenge())
        password, csr = None, {"attributes": [attribute, attribute]}
    elif challenge == "sequence":
        password, csr = None, {"attributes": [challenge_attribute(b"", asn1.SEQUENCE)]}
    text = refused(world, client, client.request(password, csr=csr), 2, by)
    assert text == CHALLENGE_TEXT


def test_takes_a_challenge_of_every_string_type(world: World) -> None:
    for tag in (asn1.PRINTABLE, asn1.UTF8, 0x14, 0x16, 0x1E):
        client = Client(world=world)
        client.obtain(client.request(world.new_challenge(), csr={"challenge_tag": tag}))


def test_a_challenge_for_a_subject_is_good_for_that_subject(world: World) -> None:
    client = Client(world=world)
    client.obtain(client.request(world.new_challenge(subject=names.name_text(client.subject))))


def test_a_challenge_names_the_template(world: World) -> None:
    client = Client(world=world)
    client.obtain(client.request(world.new_challenge(template="IPSECIntermediateOffline")))
    answer = world.last.answer
    assert answer.certificate.template == "IPSECIntermediateOffline"


def test_a_challenge_stays_good_when_the_ca_denies(world: World) -> None:
    challenge, client = world.new_challenge(), Client(world=world)
    refused(
        world,
        client,
        client.request(challenge, csr={"subject": world.issuing.subject_der}),
        2,
        "bad-request-subject",
    )
    client.obtain(client.request(challenge))


def test_a_static_challenge_is_good_for_many(world: World) -> None:
    challenge = world.new_challenge(kind=ChallengeKind.STATIC, validity=None)
    for _ in range(3):
        client = Client(world=world)
        client.obtain(client.request(challenge))


def test_refuses_the_keys_of_ca_and_ra(world: World) -> None:
    for name in ("issuing", "encryption", "root"):
        reserved = forged_keys.of(ca_key(name)._key)
        client = Client(world=world, key=reserved, signer_key=Client(world=world).key)
        refused(world, client, client.request(world.new_challenge()), 2, "request-key-reserved")


def test_chooses_the_template_by_the_key_usage_asked_for(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        templates=TemplateChoice(signature="IPSECIntermediateOffline", encryption="WebServer"),
        requester="Domain Admins",
    )
    chosen = {}
    for usage in ((0,), (2,), (0, 2), None):
        client = Client(world=world)
        asked = [] if usage is None else [key_usage(*usage)]
        client.obtain(
            client.request(
                world.new_challenge(), csr={"extensions": [*asked, subject_alt_name(dns("a.example"))]}
            )
        )
        chosen[usage] = world.last.answer.certificate.template
    assert chosen == {
        (0,): "IPSECIntermediateOffline",
        (2,): "WebServer",
        (0, 2): "SCEP-Client-Auth",
        None: "SCEP-Client-Auth",
    }


def test_says_what_of_a_request_was_not_granted(world: World) -> None:
    client = Client(world=world)
    asked = [basic_constraints(is_authority=False), key_usage(0, 5)]
    certificate = client.obtain(client.request(world.new_challenge(), csr={"extensions": asked}))
    assert not read_certificate(certificate).is_ca
    found = [check for check in world.last.checks if check.verdict is Verdict.WARNED]
    assert [check.name for check in found] == ["request-wish"] * len(found)
    assert found


def test_denies_with_the_code_and_text_of_ad_cs(world: World) -> None:
    client = Client(world=world)
    asked = [subject_alt_name(uri("file:///etc/passwd"))]
    message = client.request(world.new_challenge(), csr={"extensions": asked})
    text = refused(world, client, message, 2, "unacceptable-extension")
    assert world.last.outcome is not None
    assert (text, world.last.outcome.hresult) == ("One or more arguments are invalid.", 0x80070057)


def test_a_client_with_an_ec_key_is_answered_under_its_challenge(world: World) -> None:
    client = Client(world=world, key=forged_keys.of(ec.generate_private_key(ec.SECP256R1())))
    challenge = world.new_challenge()
    certificate = client.obtain(client.request(challenge), password=challenge.encode())
    assert read_certificate(certificate).public_key_der == client.key.spki


def test_a_client_with_an_ec_key_and_no_password_is_refused_before_anything_is_issued(
    world: World,
) -> None:
    client, challenge = (
        Client(world=world, key=forged_keys.of(ec.generate_private_key(ec.SECP256R1()))),
        world.new_challenge(),
    )
    certificate = client.obtain(client.request(challenge), password=challenge.encode())
    held = client.holding(certificate)
    refused(world, held, held.request(None, RENEWAL_REQ), 0, "signer-cannot-decrypt")


def test_an_ec_client_polls_and_repeats_under_the_challenge_it_spent(tmp_path: Path) -> None:
    world = World(tmp_path, approval="manual", password_recipients=True)
    client = Client(world=world, key=forged_keys.of(ec.generate_private_key(ec.SECP256R1())))
    challenge = world.new_challenge()
    password = challenge.encode()

    def under_password(plaintext: bytes, message_type: int) -> bytes:
        envelope = Envelope(plaintext=plaintext, recipients=[Password(password=password)], version=3)
        return PkiMessage(
            key=client.key,
            certificate=client.certificate,
            content=envelope.encode(),
            message_type=message_type,
            transaction_id=client.transaction_id,
            sender_nonce=b"nonce-of-16-byte",
        ).encode()

    assert client.send(under_password(client.csr(challenge), 19)).status == "3"
    with world.store.transaction() as transaction:
        issued = world.authority.approve(transaction, 1)
    poll = under_password(asn1.seq(world.issuing.subject_der, client.subject), 20)
    assert client.obtain(poll, password=password) == issued.der
    again = under_password(client.csr(challenge), 19)
    assert client.obtain(again, password=password) == issued.der
