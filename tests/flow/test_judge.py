"""The judge of replies is judged: each thing section 4H promises, broken once, must not get past it.

A conforming CertRep is made with the forge, and then with one deviation at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flow.stand import Stand
from forge import asn1, openssl
from forge.bench import Bench
from forge.certificates import CertificateForge
from forge.envelope import ENVELOPED_DATA, OAEP, Envelope, KeyTransport
from forge.keys import KeyPool
from forge.message import (
    CONTENT_TYPE,
    FAIL_INFO,
    FAIL_INFO_TEXT,
    MESSAGE_DIGEST,
    MESSAGE_TYPE,
    MICROSOFT_ERROR,
    PKI_STATUS,
    RECIPIENT_NONCE,
    SENDER_NONCE,
    TRANSACTION_ID,
    PkiMessage,
    attribute,
    degenerate,
)
from forge.reply import Sent, check_reply, open_reply, read_reply

NONCE = b"nonce of request"


def _printable(text: str) -> bytes:
    return asn1.string(asn1.PRINTABLE, text)


def _attributes(**more: bytes) -> dict[str, Any]:
    return {
        RECIPIENT_NONCE: [asn1.octets(NONCE)],
        **{dotted: [value] for dotted, value in more.items()},
    }


@pytest.fixture(scope="module")
def sent(key_pool: KeyPool) -> Sent:
    certificate = CertificateForge(key=key_pool.other).encode()
    return Sent(transaction_id="F00D", sender_nonce=NONCE, certificate=certificate, key=key_pool.other)


@pytest.fixture(scope="module")
def failure(key_pool: KeyPool) -> PkiMessage:
    """A conforming FAILURE."""
    return PkiMessage(
        key=key_pool.signer,
        certificate=CertificateForge(key=key_pool.signer, serial=1).encode(),
        content=b"",
        message_type=3,
        transaction_id="F00D",
        replaced=_attributes(**{PKI_STATUS: _printable("2"), FAIL_INFO: _printable("2")}),
    )


@pytest.fixture(scope="module")
def success(failure: PkiMessage, sent: Sent, key_pool: KeyPool) -> PkiMessage:
    """A conforming SUCCESS."""
    content = Envelope(
        plaintext=degenerate(CertificateForge(key=key_pool.other).encode()),
        recipients=[KeyTransport(certificate=sent.certificate)],
    )
    return failure.with_(content=content.encode(), replaced=_attributes(**{PKI_STATUS: _printable("0")}))


def _judge(message: PkiMessage, sent: Sent) -> None:
    reply = read_reply(message.encode())
    check_reply(reply, sent, [message.certificate])
    if reply.status == "0":
        open_reply(reply, sent)


def test_accepts_what_conforms(failure: PkiMessage, success: PkiMessage, sent: Sent) -> None:
    _judge(failure, sent)
    _judge(success, sent)


def _replaced(**values: list[bytes] | None) -> Callable[[PkiMessage], PkiMessage]:
    return lambda good: good.with_(replaced={**good.replaced, **values})


BROKEN: dict[str, Callable[[PkiMessage], PkiMessage]] = {
    "SignedData version": lambda good: good.with_(version=3),
    "SignerInfo version": lambda good: good.with_(signer_version=3),
    "two signers": lambda good: good.with_(signer_infos=[good.signer_info()] * 2),
    "eContentType": lambda good: good.with_(content_type=ENVELOPED_DATA),
    "eContent absent": lambda good: good.with_(content_element=b""),
    "unsorted attributes": lambda good: good.with_(sort_attributes=False),
    "no contentType": _replaced(**{CONTENT_TYPE: None}),
    "no messageDigest": _replaced(**{MESSAGE_DIGEST: None}),
    "wrong messageDigest": lambda good: good.with_(message_digest=bytes(32)),
    "messageType": _replaced(**{MESSAGE_TYPE: [_printable("19")]}),
    "messageType as UTF8String": _replaced(**{MESSAGE_TYPE: [asn1.string(asn1.UTF8, "3")]}),
    "no pkiStatus": _replaced(**{PKI_STATUS: None}),
    "pkiStatus 1": _replaced(**{PKI_STATUS: [_printable("1")]}),
    "SUCCESS without content": _replaced(**{PKI_STATUS: [_printable("0")], FAIL_INFO: None}),
    "transactionID": lambda good: good.with_(transaction_id="F00E"),
    "transactionID as UTF8String": _replaced(**{TRANSACTION_ID: [asn1.string(asn1.UTF8, "F00D")]}),
    "no senderNonce": _replaced(**{SENDER_NONCE: None}),
    "senderNonce of 8": lambda good: good.with_(sender_nonce=bytes(8)),
    "no recipientNonce": _replaced(**{RECIPIENT_NONCE: None}),
    "foreign recipientNonce": _replaced(**{RECIPIENT_NONCE: [asn1.octets(bytes(16))]}),
    "two values": _replaced(**{RECIPIENT_NONCE: [asn1.octets(NONCE)] * 2}),
    "no failInfo": _replaced(**{FAIL_INFO: None}),
    "failInfo 5": _replaced(**{FAIL_INFO: [_printable("5")]}),
    "failInfo in a PENDING": _replaced(**{PKI_STATUS: [_printable("3")]}),
    "failInfoText as PrintableString": _replaced(**{FAIL_INFO_TEXT: [_printable("no")]}),
    "failInfoText with a newline": _replaced(**{FAIL_INFO_TEXT: [asn1.string(asn1.UTF8, "a\nb")]}),
    "failInfoText too long": _replaced(**{FAIL_INFO_TEXT: [asn1.string(asn1.UTF8, "x" * 201)]}),
    "HRESULT that is none": _replaced(**{MICROSOFT_ERROR: [_printable("1")]}),
    "unknown attribute": lambda good: good.with_(added=[attribute("1.2.3.4", asn1.NULL)]),
    "attribute twice": lambda good: good.with_(added=[attribute(RECIPIENT_NONCE, asn1.octets(NONCE))]),
    "sha256WithRSAEncryption": lambda good: good.with_(
        signature_algorithm=asn1.algorithm("1.2.840.113549.1.1.11")
    ),
    "rsaEncryption without NULL": lambda good: good.with_(
        signature_algorithm=asn1.algorithm("1.2.840.113549.1.1.1", None)
    ),
    "MD5": lambda good: good.with_(digest="md5"),
    "wrong signature": lambda good: good.with_(signature=b"\1" * 256),
    "digestAlgorithms": lambda good: good.with_(digest_algorithms=asn1.set_of()),
    "no certificates": lambda good: good.with_(certificates=()),
    "certificate not published": lambda good: good.with_(
        certificates=[good.certificate, CertificateForge(key=good.key, serial=2).encode()]
    ),
    "BER": lambda good: good.with_(style=asn1.Style(indefinite=True)),
    "padded lengths": lambda good: good.with_(style=asn1.Style(padded_lengths=1)),
    "trailing octets": lambda good: good.with_(trailing=b"\0"),
    "too large": lambda good: good.with_(
        unsigned=asn1.explicit(1, attribute("1.2.3", asn1.octets(bytes(16384))))
    ),
}


@pytest.mark.parametrize("deviation", BROKEN)
def test_refuses_a_failure_with_one_deviation(failure: PkiMessage, sent: Sent, deviation: str) -> None:
    with pytest.raises(Exception) as caught:
        _judge(BROKEN[deviation](failure), sent)
    assert isinstance(caught.value, AssertionError | KeyError | IndexError | ValueError) or "Invalid" in str(
        type(caught.value)
    )


ENVELOPES: dict[str, dict[str, Any]] = {
    "another cipher than asked": {"cipher": "aes256"},
    "single DES": {"cipher": "des"},
    "version 2": {"version": 2},
    "not id-data": {"content_type": ENVELOPED_DATA},
    "bad padding": {"padded": b"x" * 15 + b"\x03"},
    "constructed encryptedContent": {"encrypted_content": asn1.explicit(0, asn1.octets(bytes(64)))},
    "not degenerate": {"plaintext": asn1.seq()},
}


@pytest.mark.parametrize("deviation", ENVELOPES)
def test_refuses_a_success_with_a_deviating_envelope(
    success: PkiMessage, sent: Sent, key_pool: KeyPool, deviation: str
) -> None:
    fields = {"plaintext": degenerate(sent.certificate), **ENVELOPES[deviation]}
    content = Envelope(recipients=[KeyTransport(certificate=sent.certificate)], **fields).encode()
    with pytest.raises((AssertionError, IndexError)):
        _judge(success.with_(content=content), sent)


def test_refuses_a_success_for_somebody_else(success: PkiMessage, sent: Sent, key_pool: KeyPool) -> None:
    other = CertificateForge(key=key_pool.other, serial=99).encode()
    oaep = asn1.algorithm(OAEP, asn1.seq())
    for recipients in (
        [KeyTransport(certificate=other)],
        [KeyTransport(certificate=sent.certificate)] * 2,
        [KeyTransport(certificate=sent.certificate, oaep="sha256", algorithm=oaep)],
    ):
        content = Envelope(plaintext=degenerate(sent.certificate), recipients=recipients).encode()
        with pytest.raises(AssertionError):
            _judge(success.with_(content=content), sent)
    with pytest.raises(AssertionError):
        _judge(success, replace(sent, oaep="sha1"))


# -- the command and the library it is made of --------------------------------------------


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("cipher", ["3des", "aes128", "aes256"])
def test_openssl_command_judges_replies_as_its_library_does(bench: Bench, digest: str, cipher: str) -> None:
    request = bench.request(message={"digest": digest}, envelope={"cipher": cipher})
    reply = bench.send(request)
    assert openssl.verify_by_command(reply.raw) == openssl.verify_cms(reply.raw) == reply.content
    opened = [
        decrypt(reply.content, key_pem=request.sent.key.pem, certificate=request.sent.certificate)
        for decrypt in (openssl.decrypt, openssl.decrypt_by_command)
    ]
    assert opened[0] == opened[1]
    assert b"BEGIN CERTIFICATE" in openssl.run("pkcs7", "-inform", "DER", "-print_certs", stdin=opened[0])


@pytest.mark.parametrize("endpoint", ["default", "manual"])
def test_openssl_command_judges_replies_without_content(bench: Bench, endpoint: str) -> None:
    challenge = "F" * 32 if endpoint == "default" else ""
    reply = bench.send(bench.request(challenge=challenge, endpoint=endpoint))
    assert reply.status == {"default": "2", "manual": "3"}[endpoint]
    assert openssl.verify_by_command(reply.raw) == b""
    with pytest.raises(openssl.Refused):
        openssl.verify_by_command(reply.raw[:-1] + bytes((reply.raw[-1] ^ 1,)))
    with pytest.raises(openssl.Refused):
        openssl.verify_cms(reply.raw[:-1] + bytes((reply.raw[-1] ^ 1,)))


def test_issued_certificates_verify_up_to_the_root(bench: Bench, key_pool: KeyPool) -> None:
    stand = bench.desk
    assert isinstance(stand, Stand)
    at = int(stand.clock.now().timestamp())
    root = stand.scep_lab.root_pem.encode()
    for key in (key_pool.fresh(), key_pool.ec()):
        leaf = bench.enrol(csr={"key": key}).certificate
        openssl.verify_chain(leaf, root, [bench.authority_certificate], at=at)
