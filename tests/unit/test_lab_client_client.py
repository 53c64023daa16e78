"""The strict client against a small server in memory; foreign servers judge it under `tests/interop`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from small_server import (
    CA_USAGES,
    KEY,
    SECRET,
    SUBJECT,
    Authority,
    Server,
    client_of,
    issue_like,
    order,
)

from ca import der, oids
from ca.certificates import read_certificate
from ca.keys import PrivateKey
from lab.client import (
    Identity,
    Issued,
    Patience,
    Pending,
    Refused,
    ReplyRejected,
    Unreachable,
    generate_key,
)
from lab.faults.minting import altered, foreign_key, with_key, without_extensions
from scep_server.protocol.algorithms import OAEP_SHA256, ContentCipher, DigestAlgorithm
from scep_server.protocol.codec import ScepCodec
from scep_server.protocol.messages import (
    FailInfo,
)
from scep_server.protocol.requests import public_key_der


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def server(authority):
    return Server(authority)


@pytest.mark.parametrize("transport", ["get", "post"])
@pytest.mark.parametrize("cipher", [one for one in ContentCipher if not one.legacy])
@pytest.mark.parametrize("digest", [one for one in DigestAlgorithm if one.capability])
def test_enrols_with_every_digest_and_cipher(server, digest, cipher, transport):
    outcome = client_of(server, digest=digest, cipher=cipher, transport=transport).enrol(order())
    assert isinstance(outcome, Issued)
    assert outcome.certificate.public_key_der == public_key_der(KEY)
    assert [one.subject for one in outcome.chain] == ["CN=Issuing", "CN=Root"]
    assert server.posted == [transport == "post"]


@pytest.mark.parametrize("key_type", ["rsa-3072", "ecdsa-p256", "ecdsa-p384"])
def test_enrols_with_every_kind_of_key(server, key_type):
    outcome = client_of(server).enrol(order(key=generate_key(key_type)))
    assert isinstance(outcome, Issued)


def test_enrols_with_oaep(server):
    assert isinstance(client_of(server, key_transport=OAEP_SHA256).enrol(order()), Issued)


def test_sends_a_conforming_signer_certificate_and_fresh_nonces(server):
    client = client_of(server)
    first, second = client.prepare(order()), client.prepare(order())
    assert first.transaction_id == second.transaction_id
    assert first.request.sender_nonce != second.request.sender_nonce
    signer = x509.load_der_x509_certificate(first.signer.certificate.der)
    usage = signer.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.key_encipherment
    assert signer.subject.public_bytes() == SUBJECT


def test_renews_with_renewal_req_only_if_announced(server):
    first = client_of(server).enrol(order())
    old = Identity.of(first.certificate.der, KEY)
    new_key = generate_key("rsa-2048")
    for capabilities, expected in ((server.capabilities, 17), (b"AES\nSHA-256\n", 19)):
        server.capabilities = capabilities
        client = client_of(server)
        enrolment = client.prepare(order(key=new_key, renewal_of=old, challenge_password=None))
        assert enrolment.request.message_type.value == expected
        assert enrolment.signer.certificate.der == first.certificate.der
        assert isinstance(client.submit(enrolment), Issued)


def test_polls_with_pauses_until_issued(server):
    server.pending = 3
    slept = []
    patience = Patience(polls=5, poll_interval=timedelta(hours=1))
    outcome = client_of(server, slept=slept, patience=patience).enrol(order())
    assert isinstance(outcome, Issued)
    assert slept == [timedelta(hours=1)] * 3
    assert [ScepCodec().parse(one).message_type for one in server.requests] == ["19", "20", "20", "20"]


def test_gives_up_polling_when_patience_ends(server):
    server.pending = 9
    outcome = client_of(server, patience=Patience(polls=2)).enrol(order())
    assert outcome == Pending(transaction_id=outcome.transaction_id, polls=2)


def test_repeats_the_same_octets_when_the_answer_is_lost(server):
    server.lost = 2
    slept = []
    assert isinstance(client_of(server, slept=slept).enrol(order()), Issued)
    assert len(server.requests) == 3
    assert len(set(server.requests)) == 1
    assert slept == [timedelta(seconds=2), timedelta(seconds=4)]


def test_stops_repeating_when_patience_ends(server):
    server.lost = 9
    with pytest.raises(Unreachable):
        client_of(server).enrol(order())
    assert len(server.requests) == 3


def test_tells_a_refusal_in_plain_words_with_the_hresult(server):
    server.refuse = FailInfo.BAD_REQUEST
    server.refusal_attributes = (("1.3.6.1.4.1.311.21.33", der.printable_string("-2146875375")),)
    outcome = client_of(server).enrol(order())
    assert isinstance(outcome, Refused)
    assert outcome.fail_info is FailInfo.BAD_REQUEST
    assert outcome.hresult.name == "CERTSRV_E_KEY_LENGTH"
    assert 'the server says "no such challenge [2J"' in outcome.describe()
    assert SECRET not in outcome.describe()


def test_fetches_certificate_crl_and_next_ca(server):
    client = client_of(server)
    issued = client.enrol(order())
    assert client.get_cert(issued.certificate.serial_number).der == issued.certificate.der
    assert client.get_crl().issuer == "CN=Issuing"
    assert [one.subject for one in client.get_next_ca()] == ["CN=Issuing 2"]
    server.refuse = FailInfo.BAD_CERT_ID
    assert client.get_cert(1).fail_info is FailInfo.BAD_CERT_ID


def other_transaction(rep):
    return replace(rep, transaction_id="ANOTHER")


def other_nonce(rep):
    return replace(rep, recipient_nonce=bytes(16))


def no_nonce(rep):
    return replace(rep, recipient_nonce=None)


def no_certificate(rep):
    return replace(rep, certificates=())


def a_crl_for_a_certificate(rep):
    return replace(rep, certificates=(), crls=(b"\x30\x00",))


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (other_transaction, "transaction-id"),
        (other_nonce, "recipient-nonce"),
        (no_nonce, "recipient-nonce"),
        (no_certificate, "certificate"),
        (a_crl_for_a_certificate, "certificate"),
    ],
)
def test_rejects_a_validly_signed_reply_that_is_wrong(server, wrong, check):
    server.wrong = wrong
    with pytest.raises(ReplyRejected) as caught:
        client_of(server).enrol(order())
    assert caught.value.check == check
    assert "RFC 8894" in str(caught.value)


def test_rejects_a_reply_signed_by_a_stranger(server):
    server.signer_name = "stranger"
    with pytest.raises(ReplyRejected, match="none of the 2 certificates of GetCACert"):
        client_of(server).enrol(order())
    with pytest.raises(ReplyRejected):
        client_of(server).get_next_ca()


def _registrar_again(server, key):
    """Have GetCACert bring the RA's signing certificate without its keyUsage, issuer and number the same."""
    issuing = server.authority.keys["i"].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    octets = altered(
        server.certificates["signing"],
        PrivateKey.from_pem(issuing, None),
        lambda tbs: without_extensions(with_key(tbs, key.public_key_der), oids.KEY_USAGE),
    )
    return [
        server.certificates["encryption"],
        octets,
        server.certificates["issuing"],
        server.certificates["root"],
    ]


def test_knows_a_signer_by_what_get_ca_cert_brought_not_by_what_the_message_brings(server):
    registrar = read_certificate(server.certificates["signing"])
    server.bag = _registrar_again(server, registrar)
    assert isinstance(client_of(server).enrol(order()), Issued)


def test_rejects_a_signer_of_the_same_name_and_number_with_another_key(server):
    server.bag = _registrar_again(server, foreign_key("another RA"))
    with pytest.raises(ReplyRejected) as caught:
        client_of(server).enrol(order())
    assert caught.value.check == "signature"


@pytest.mark.parametrize("place", [-1, 200])
def test_rejects_a_reply_with_a_flipped_bit(server, place):
    def flip(octets):
        changed = bytearray(octets)
        changed[place] ^= 1
        return bytes(changed)

    server.raw = flip
    with pytest.raises(ReplyRejected):
        client_of(server).enrol(order())


def test_says_what_came_when_it_is_no_reply_at_all(server):
    server.raw = lambda _: b"<html>please sign in</html>"
    with pytest.raises(ReplyRejected) as caught:
        client_of(server).enrol(order())
    assert caught.value.check == "message"


def test_rejects_a_crl_of_somebody_else(server):
    server.crl_key = "s"
    with pytest.raises(ReplyRejected, match="not signed by the CA"):
        client_of(server).get_crl()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"key": generate_key("rsa-2048").public_key()}, "none of 1 certificates is the one asked for"),
        ({"subject": "somebody else"}, "not the subject that was asked for"),
        ({"ca": True, "usages": CA_USAGES}, "is a CA certificate"),
        ({"end": -timedelta(hours=1)}, "notAfter was"),
        ({"start": timedelta(hours=1)}, "notBefore is"),
        ({"issuer": "Nobody", "issuer_key": KEY}, "the certificate of CN=Nobody is missing"),
        ({"issuer_key": generate_key("rsa-2048")}, "signature under the key of CN=Issuing is invalid"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_rejects_a_certificate_it_did_not_ask_for(server, changes, says):
    server.issue = issue_like(**changes)
    with pytest.raises(ReplyRejected, match=says):
        client_of(server).enrol(order())
