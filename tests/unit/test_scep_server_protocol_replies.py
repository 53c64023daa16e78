"""Replies as clients read them: every rule of 4H, judged by the forge's reader and by openssl."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.serialization import pkcs7
from forge import asn1, openssl
from forge.certificates import CertificateForge, common_name
from forge.certificates import read_certificate as forged_parts
from forge.envelope import KeyTransport
from forge.message import PKI_STATUS, SENDER_NONCE
from forge.reply import Sent, check_reply, open_reply, read_reply
from protocol_bench import CHALLENGE, CODEC, NOW, protocol_bench

from ca import der
from scep_server.protocol.algorithms import ContentCipher, DigestAlgorithm
from scep_server.protocol.contents import decode_ca_certificates, encode_certs_only
from scep_server.protocol.messages import CertRep, FailInfo, PasswordRecipient, PkiStatus
from scep_server.protocol.parts import in_der_order, sign_parts
from scep_server.protocol.replies import ReplyForm, make_reply_parts
from scep_server.protocol.signed import ID_SIGNED_DATA, read_certs_only

NONCE = b"sixteen octets !"


def failure(**fields: Any) -> CertRep:
    values: dict[str, Any] = {
        "transaction_id": "F00D",
        "pki_status": PkiStatus.FAILURE,
        "sender_nonce": os.urandom(16),
        "recipient_nonce": NONCE,
        "fail_info": FailInfo.BAD_REQUEST,
        "fail_info_text": "no challenge password",
        "digest": DigestAlgorithm.SHA_256,
        **fields,
    }
    return CertRep(**values)


def sent(**fields: Any) -> Sent:
    bench = protocol_bench()
    values: dict[str, Any] = {
        "transaction_id": "F00D",
        "sender_nonce": NONCE,
        "certificate": bench.device_certificate,
        "key": bench.device_key,
        **fields,
    }
    return Sent(**values)


@pytest.mark.parametrize("digest", ["sha1", "sha224", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("cipher", ["3des", "aes128", "aes192", "aes256"])
@pytest.mark.parametrize("oaep", [None, "sha1", "sha256"])
def test_success_mirrors_the_request_and_conforms(digest: str, cipher: str, oaep: str | None) -> None:
    bench = protocol_bench()
    to = KeyTransport(certificate=bench.ra_certificate, oaep=oaep)
    envelope = bench.envelope(cipher=cipher, recipients=[to]).encode()
    message = bench.message(digest=digest, content=envelope, sender_nonce=NONCE)
    cert_rep = bench.reply(bench.open(message.encode()))
    assert cert_rep.cipher is not None
    octets = CODEC.encode_reply(
        cert_rep,
        bench.signer,
        bench.form,
        cek=os.urandom(cert_rep.cipher.key_size),
        iv=os.urandom(cert_rep.cipher.block_size),
    )
    reply, expected = read_reply(octets), sent(digest=digest, cipher=cipher, oaep=oaep)
    check_reply(reply, expected, [bench.ra_certificate])
    assert reply.digest == digest
    assert open_reply(reply, expected).certificates == (bench.device_certificate,)
    assert reply.signer_info[3].raw.count(asn1.oid("1.2.840.113549.1.9.5")) == 1


@pytest.mark.parametrize("fail_info", list(FailInfo))
def test_failure_conforms(fail_info: FailInfo) -> None:
    bench = protocol_bench()
    octets = CODEC.encode_reply(failure(fail_info=fail_info), bench.signer, bench.form)
    reply = read_reply(octets)
    check_reply(reply, sent(), [bench.ra_certificate])
    assert (reply.fail_info, reply.fail_info_text) == (fail_info.value, "no challenge password")
    assert reply.signed_data[2][1].raw == b"\xa0\x02\x04\x00"


def test_pending_conforms() -> None:
    bench = protocol_bench()
    pending = failure(pki_status=PkiStatus.PENDING, fail_info=None, fail_info_text=None, signing_time=NOW)
    reply = read_reply(CODEC.encode_reply(pending, bench.signer, bench.form))
    check_reply(reply, sent(), [bench.ra_certificate])
    assert reply.status == "3"


@pytest.mark.parametrize(
    ("form", "element"),
    [("zero-length", b"\xa0\x02\x04\x00"), ("nul-octet", b"\xa0\x03\x04\x01\x00"), ("absent", b"")],
)
def test_empty_content_takes_the_form_wanted(form: Any, element: bytes) -> None:
    bench = protocol_bench()
    octets = CODEC.encode_reply(failure(), bench.signer, ReplyForm(empty_content=form))
    signed = asn1.read(octets)[1][0]
    assert signed[2].body == asn1.oid("1.2.840.113549.1.7.1") + element
    assert [one.tag for one in signed.children] == [2, 0x31, 0x30, 0x31]  # no certificates, as NDES
    assert cms.ContentInfo.load(octets, strict=True)["content"]["version"].native == "v1"


def test_a_reply_to_a_password_opens_with_openssl() -> None:
    bench = protocol_bench()
    opened = bench.open(bench.message(sender_nonce=NONCE).encode())
    cert_rep = bench.reply(opened, recipient=PasswordRecipient(password=CHALLENGE.encode()))
    octets = CODEC.encode_reply(
        cert_rep, bench.signer, bench.form, cek=b"k" * 16, iv=b"i" * 16, password_seed=os.urandom(48)
    )
    reply, expected = read_reply(octets), sent(password=CHALLENGE.encode())
    check_reply(reply, expected, [bench.ra_certificate])
    assert open_reply(reply, expected).certificates == (bench.device_certificate,)


def test_recipient_is_copied_octet_for_octet_from_the_signer_certificate() -> None:
    bench = protocol_bench()
    odd = CertificateForge(
        key=bench.device_key, serial=b"\xff" + b"1F" * 16, subject=common_name("t61", asn1.T61)
    ).encode()
    opened = bench.open(bench.message(certificate=odd, sender_nonce=NONCE).encode())
    octets = CODEC.encode_reply(bench.reply(opened), bench.signer, bench.form, cek=b"k" * 16, iv=b"i" * 16)
    assert open_reply(read_reply(octets), sent(certificate=odd)).certificates
    parts = forged_parts(odd)
    assert asn1.read(read_reply(octets).content)[1][0][1][0][1].raw == asn1.seq(parts.issuer, parts.serial)


def test_order_of_certificates_is_kept() -> None:
    bench = protocol_bench()
    some = (bench.ra_certificate, bench.device_certificate)
    for order in (some, some[::-1]):
        bag = encode_certs_only(order, (der.sequence(),))
        assert read_certs_only(bag) == (order, (der.sequence(),))
        assert decode_ca_certificates(bag) == order
        assert CODEC.encode_ca_certificates(order) == encode_certs_only(order)


def test_openssl_and_cryptography_read_our_bag() -> None:
    bench = protocol_bench()
    bag = CODEC.encode_ca_certificates([bench.ra_certificate, bench.device_certificate])
    printed = openssl.run("pkcs7", "-inform", "DER", "-print_certs", "-noout", stdin=bag)
    assert printed.index(b"RA") < printed.index(b"forged device")
    in_order = sorted([bench.ra_certificate, bench.device_certificate])  # cryptography wants DER's order
    assert len(pkcs7.load_der_pkcs7_certificates(CODEC.encode_ca_certificates(in_order))) == 2
    content = asn1.read(bag)[1][0]
    assert content[2].raw == asn1.seq(asn1.oid("1.2.840.113549.1.7.1"))


def test_a_lone_certificate_is_read_as_a_ca_response() -> None:
    certificate = protocol_bench().ra_certificate
    assert decode_ca_certificates(certificate) == (certificate,)
    for octets in (b"", certificate + b"\0", encode_certs_only(()), b"\x30\x00"):
        with pytest.raises(der.DerError):
            decode_ca_certificates(octets)


def test_next_ca_is_signed_by_this_one() -> None:
    bench = protocol_bench()
    octets = CODEC.encode_next_ca(
        [bench.device_certificate], bench.signer, bench.form, digest=DigestAlgorithm.SHA_256, signing_time=NOW
    )
    content = openssl.verify_cms(octets)
    assert read_certs_only(content)[0] == (bench.device_certificate,)
    assert asn1.read(content)[0].dotted == ID_SIGNED_DATA


def test_extra_attributes_are_signed_and_sorted() -> None:
    bench = protocol_bench()
    extra = ("1.3.6.1.4.1.311.21.33", der.printable_string("-2147024809"))
    octets = CODEC.encode_reply(failure(extra_attributes=(extra,)), bench.signer, bench.form)
    reply = read_reply(octets)
    assert reply.attributes["1.3.6.1.4.1.311.21.33"].content == b"-2147024809"
    assert list(reply.order) == asn1.sort_set(reply.order)
    openssl.verify_cms(octets)


def test_a_changed_part_is_signed_as_it_is() -> None:
    bench = protocol_bench()
    parts = make_reply_parts(failure(), bench.signer, bench.form)
    signer = parts.signer
    kept = tuple(pair for pair in signer.attributes if pair[0] != SENDER_NONCE)
    octets = sign_parts(
        replace(parts, signer=replace(signer, attributes=kept[::-1])), bench.signer, DigestAlgorithm.SHA_256
    )
    reply = read_reply(octets)
    assert SENDER_NONCE not in reply.attributes
    assert PKI_STATUS in reply.attributes
    assert in_der_order(kept) == kept
    assert list(reply.order) == asn1.sort_set(reply.order)[::-1]
    unverified = CODEC.parse(octets)
    assert unverified.transaction_id == "F00D"


def test_nothing_weak_or_oversized_is_emitted() -> None:
    bench = protocol_bench()
    opened = bench.open(bench.message().encode())
    for cert_rep, text in (
        (failure(digest=DigestAlgorithm.MD5), "md5 is never emitted"),
        (failure(transaction_id="A" * 256), "not sent back"),
        (failure(recipient_nonce=b"n" * 65), "not sent back"),
        (bench.reply(opened, cipher=ContentCipher.DES_CBC), "not emitted"),
    ):
        with pytest.raises(ValueError, match=text):
            CODEC.encode_reply(cert_rep, bench.signer, bench.form, cek=b"k" * 8, iv=b"i" * 8)
