"""What the strict client says of certificates that it is issued: refusals, and what is odd and no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from small_server import NOW, Authority, Server, client_of, issue_like, order

from ca import extensions, oids
from ca.certificates import sign_certificate
from ca.extensions import KeyUsage
from ca.keys import PrivateKey
from lab.client import Issued, ReplyRejected, parse_alternative_name
from lab.client.requests import encode_names
from lab.client.state import EnrolmentState
from lab.faults.minting import WithDigest, parts_of, signed, with_extension, without_extensions
from scep_server.protocol.messages import MessageType

ASKED = "dns:device.example"
GOOD = (
    extensions.key_usage((KeyUsage.DIGITAL_SIGNATURE,)),
    extensions.extended_key_usage((oids.CLIENT_AUTH,)),
    extensions.subject_alt_name([extensions.GeneralName(2, b"device.example", "device.example")]),
)


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def server(authority):
    return Server(authority)


def enrol(server, change=lambda tbs: tbs, key=lambda key: key, resign=signed):
    """Enrol for a good certificate of a month, with one change."""

    def issue(request, issuing):
        pem = issuing.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        tbs = parts_of(issue_like(end=timedelta(hours=20))(request, issuing))
        for extension in GOOD:
            tbs = with_extension(tbs, extension)
        return resign(change(tbs), key(PrivateKey.from_pem(pem, None)))

    server.issue = issue
    return client_of(server).enrol(order(alternative_names=(parse_alternative_name(ASKED),)))


def odd(outcome):
    """Return what was odd; that nothing lives here for longer than a day is left aside."""
    assert isinstance(outcome, Issued)
    return [text for text in outcome.warnings if not text.startswith("the certificate ends already")]


def test_finds_nothing_odd_in_what_was_asked_for(server):
    assert odd(enrol(server)) == []


def replaced(extension):
    return lambda tbs: with_extension(tbs, extension)


def removed(*dotted):
    return lambda tbs: without_extensions(tbs, *dotted)


def with_fields(**fields):
    return lambda tbs: replace(tbs, **fields)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (removed(oids.KEY_USAGE), "no keyUsage"),
        (replaced(extensions.key_usage((KeyUsage.KEY_AGREEMENT,))), "lacks digitalSignature"),
        (removed(oids.EXTENDED_KEY_USAGE), "no extKeyUsage"),
        (replaced(extensions.extended_key_usage(("1.3.6.1.5.5.7.3.3",))), "neither clients nor servers"),
        (removed(oids.SUBJECT_ALT_NAME), "lacks dns device.example"),
        (
            replaced(
                extensions.subject_alt_name(
                    [
                        extensions.GeneralName(2, b"device.example", ""),
                        extensions.GeneralName(2, b"b.example", "b.example"),
                    ]
                )
            ),
            "has dns b.example, which was not asked for",
        ),
        (replaced(extensions.subject_alt_name([extensions.GeneralName(2, b"", "")])), "cannot be told"),
        (replaced(extensions.authority_key_identifier(b"\x01" * 20)), None),
        (with_fields(serial_number=-5), "serialNumber is -5"),
        (with_fields(not_after=NOW + timedelta(days=900)), "after its issuer's"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_accepts_what_is_odd_and_says_so(server, change, says):
    found = odd(enrol(server, change))
    assert len(found) == (says is not None)
    assert says is None or says in found[0]


def test_says_that_a_certificate_without_extensions_is_of_version_1(server):
    found = " ".join(odd(enrol(server, with_fields(version=1, extensions=()))))
    assert "is of version 1" in found


def test_says_that_a_certificate_has_little_time_left(server):
    outcome = enrol(server)
    assert "the certificate ends already at 2030-01-01 20:00:00Z" in outcome.warnings


def test_says_that_a_serial_number_is_that_of_the_ra(server):
    used = parts_of(server.certificates["signing"]).serial_number
    assert odd(enrol(server, with_fields(serial_number=used))) == [
        "serialNumber is that of CN=RA, expected one of its own (RFC 5280 4.1.2.2)"
    ]


def test_says_that_a_signature_is_sha_1(server):
    assert "SHA-1" in odd(enrol(server, key=lambda key: WithDigest(key, "sha1")))[0]


def test_rejects_a_certificate_whose_two_algorithms_differ(server):
    def resign(tbs, key):
        return sign_certificate(replace(tbs, signature_algorithm=key.signature_algorithm("sha512")), key)

    with pytest.raises(ReplyRejected, match=r"RFC 5280 4\.1\.1\.2") as caught:
        enrol(server, resign=resign)
    assert caught.value.hresult.code == 0x80096004


def test_rejects_a_certificate_signed_with_md5(server):
    with pytest.raises(ReplyRejected, match="no longer protects"):
        enrol(server, key=lambda key: WithDigest(key, "md5"))


def test_keeps_the_names_that_were_asked_for_over_an_interruption():
    names = encode_names((parse_alternative_name(ASKED),))
    state = EnrolmentState(
        url="http://test/scep",
        stage="sent",
        transaction_id="1",
        message_type=MessageType.PKCS_REQ,
        sender_nonce=bytes(16),
        signer=b"",
        csr_subject=b"",
        csr_names=names,
        request=b"",
    )
    assert EnrolmentState.of_json(state.as_json()) == state
    unknown = replace(state, csr_names=None)
    assert EnrolmentState.of_json(unknown.as_json()) == unknown
