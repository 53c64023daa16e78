"""The client's side: requests openssl and the forge can read, replies held to every rule."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from forge import asn1, openssl
from forge.certificates import CertificateForge, common_name
from forge.message import (
    FAIL_INFO,
    MESSAGE_TYPE,
    PKI_STATUS,
    RECIPIENT_NONCE,
    SENDER_NONCE,
    TRANSACTION_ID,
    attribute,
)
from protocol_bench import CHALLENGE, CODEC, NOW, SUBSTITUTE, ProtocolBench, decryptor_for, protocol_bench

from ca import der
from scep_server.protocol.algorithms import (
    OAEP_SHA1,
    OAEP_SHA256,
    PKCS1_V15,
    ContentCipher,
    DigestAlgorithm,
    KeyTransport,
)
from scep_server.protocol.certificates import read_certificate
from scep_server.protocol.client import ClientCodec, ClientRequest, Reply, ReplyError, usable_for
from scep_server.protocol.contents import encode_certs_only
from scep_server.protocol.messages import (
    CertificationRequest,
    CertRep,
    FailInfo,
    IssuerAndSerial,
    IssuerAndSubject,
    KeyTransportRecipient,
    MessageType,
    PasswordRecipient,
    PkiStatus,
)
from scep_server.protocol.replies import ReplyForm
from scep_server.protocol.requests import (
    RANDOM_OCTETS,
    RequestForm,
    make_certification_request,
    make_self_signed,
    transaction_id_for,
)
from scep_server.protocol.signers import KeySigner, SignatureScheme

SUBJECT = common_name("lab device")


def client(bench: ProtocolBench, **fields: Any) -> ClientCodec:
    """Return the device's codec, with an RSA key and a self-signed certificate."""
    private: Any = bench.device_key.private
    certificate = make_self_signed(
        private, SUBJECT, serial_number=1, not_before=NOW, not_after=NOW + timedelta(days=1)
    )
    values: dict[str, Any] = {
        "signer": KeySigner(certificate=certificate, key=private),
        "recipient": KeyTransportRecipient(
            certificate=read_certificate(bench.ra_certificate), key_transport=PKCS1_V15
        ),
        "trusted": (bench.ra_certificate,),
        "decryptors": (decryptor_for(bench.device_key, certificate.der),),
        **fields,
    }
    return ClientCodec(**values)


def certification_request(bench: ProtocolBench) -> CertificationRequest:
    private: Any = bench.device_key.private
    return make_certification_request(private, SUBJECT, challenge_password=CHALLENGE)


def send(codec: ClientCodec, **options: Any) -> ClientRequest:
    """Return a PKCSReq by the codec."""
    content = certification_request(protocol_bench())
    return codec.pkcs_req(content, transaction_id="F00D", random=os.urandom(RANDOM_OCTETS), **options)


def issued(bench: ProtocolBench) -> bytes:
    return CertificateForge(key=bench.device_key, serial=4711).encode()


def answer(
    bench: ProtocolBench, request: ClientRequest, form: ReplyForm | None = None, **fields: Any
) -> bytes:
    """Answer a request as a server does."""
    fields.setdefault("certificates", (issued(bench),))
    passwords = [CHALLENGE.encode()]
    cert_rep = bench.reply(bench.open(request.octets, passwords=passwords), **fields)
    assert cert_rep.cipher
    return CODEC.encode_reply(
        cert_rep,
        bench.signer,
        form or bench.form,
        cek=os.urandom(cert_rep.cipher.key_size),
        iv=os.urandom(cert_rep.cipher.block_size),
        password_seed=os.urandom(48),
    )


def decode(codec: ClientCodec, octets: bytes, request: ClientRequest) -> Reply:
    return codec.decode_reply(octets, request, substitute_cek=SUBSTITUTE)


_DIGESTS = [one for one in DigestAlgorithm if not one.legacy]
_KINDS = [
    *[(cipher, transport, None, _DIGESTS[2]) for cipher in ContentCipher if not cipher.legacy
      for transport in (PKCS1_V15, OAEP_SHA1, OAEP_SHA256)],
    *[(ContentCipher.AES_128_CBC, PKCS1_V15, scheme, digest) for digest in _DIGESTS
      for scheme in (None, SignatureScheme.RSA_WITH_DIGEST, SignatureScheme.RSA_PSS)],
]  # fmt: skip


@pytest.mark.parametrize(("cipher", "transport", "scheme", "digest"), _KINDS)
def test_openssl_reads_every_kind_of_request(
    cipher: ContentCipher, transport: KeyTransport, scheme: SignatureScheme | None, digest: DigestAlgorithm
) -> None:
    bench = protocol_bench()
    codec = client(bench, form=RequestForm(digest=digest, cipher=cipher, signing_time=NOW))
    assert isinstance(codec.signer, KeySigner)
    codec = replace(
        codec,
        signer=replace(codec.signer, scheme=scheme),
        recipient=KeyTransportRecipient(
            certificate=read_certificate(bench.ra_certificate), key_transport=transport
        ),
    )
    request = send(codec)
    content = openssl.run("cms", "-verify", "-noverify", "-binary", "-inform", "DER", stdin=request.octets)
    opened = openssl.decrypt(content, key_pem=bench.ra_key.pem, certificate=bench.ra_certificate)
    assert CHALLENGE in openssl.check_request(opened)
    assert decode(codec, answer(bench, request), request).certificate == issued(bench)


@pytest.mark.parametrize(
    ("message_type", "content"),
    [
        (MessageType.CERT_POLL, IssuerAndSubject(issuer_der=SUBJECT, subject_der=SUBJECT)),
        (MessageType.GET_CERT, IssuerAndSerial(issuer_der=common_name("forged device"), serial_number=4711)),
        (MessageType.GET_CRL, IssuerAndSerial(issuer_der=SUBJECT, serial_number=2**159)),
    ],
)
def test_queries_arrive_as_asked(message_type: MessageType, content: Any) -> None:
    bench = protocol_bench()
    codec = client(bench)
    request = codec.encode(message_type, content, transaction_id="a b", random=os.urandom(RANDOM_OCTETS))
    assert bench.receive(request.octets) == content
    crls = (der.sequence(der.null()),) if message_type is MessageType.GET_CRL else ()
    certificates = () if crls else (issued(bench),)
    reply = decode(codec, answer(bench, request, certificates=certificates, crls=crls), request)
    assert (reply.certificates, reply.crls) == (certificates, crls)


def test_convenient_names_make_the_same_requests() -> None:
    bench = protocol_bench()
    codec, random = client(bench), os.urandom(RANDOM_OCTETS)
    names = IssuerAndSubject(issuer_der=SUBJECT, subject_der=SUBJECT)
    wanted = IssuerAndSerial(issuer_der=SUBJECT, serial_number=1)
    csr = certification_request(bench)
    for request, message_type, content in (
        (codec.pkcs_req(csr, transaction_id="A", random=random), MessageType.PKCS_REQ, csr),
        (codec.renewal_req(csr, transaction_id="A", random=random), MessageType.RENEWAL_REQ, csr),
        (codec.cert_poll(names, transaction_id="A", random=random), MessageType.CERT_POLL, names),
        (codec.get_cert(wanted, transaction_id="A", random=random), MessageType.GET_CERT, wanted),
        (codec.get_crl(wanted, transaction_id="A", random=random), MessageType.GET_CRL, wanted),
    ):
        opened = bench.open(request.octets)
        assert opened.message.message_type is message_type is request.message_type
        assert CODEC.interpret(opened) == content
        assert opened.message.sender_nonce == random[:16] == request.sender_nonce


@pytest.mark.parametrize("kind", ["p256", "p384", "ed25519"])
def test_keys_that_cannot_decrypt_enrol_under_their_challenge(kind: str) -> None:
    bench = protocol_bench()
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}
    key: Any = (
        ec.generate_private_key(curves[kind]) if kind in curves else ed25519.Ed25519PrivateKey.generate()
    )
    certificate = make_self_signed(
        key, SUBJECT, serial_number=2, not_before=NOW, not_after=NOW + timedelta(days=1)
    )
    codec = client(
        bench,
        signer=KeySigner(certificate=certificate, key=key),
        recipient=PasswordRecipient(password=CHALLENGE.encode()),
        decryptors=(),
        passwords=(CHALLENGE.encode(),),
    )
    csr = make_certification_request(key, SUBJECT, challenge_password=CHALLENGE)
    request = codec.pkcs_req(csr, transaction_id="EC", random=os.urandom(RANDOM_OCTETS))
    if kind != "ed25519":  # which openssl 3.0 cannot verify in CMS
        openssl.run("cms", "-verify", "-noverify", "-binary", "-inform", "DER", stdin=request.octets)
    content = asn1.read(request.octets)[1][0][2][1][0].content
    assert openssl.decrypt_with_password(content, CHALLENGE.encode()) == csr.csr
    leaf = CertificateForge(key=bench.device_key, spki=certificate.public_key_der).encode()
    assert decode(codec, answer(bench, request, certificates=(leaf,)), request).certificate == leaf


def test_self_signed_certificate_and_request_are_good_x509() -> None:
    bench = protocol_bench()
    private: Any = bench.device_key.private
    certificate = client(bench).signer.certificate
    parsed = x509.load_der_x509_certificate(certificate.der)
    parsed.verify_directly_issued_by(parsed)
    usage = parsed.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert usage.value.key_encipherment
    assert not usage.value.key_cert_sign
    assert parsed.not_valid_before_utc == NOW
    extension = x509.SubjectAlternativeName([x509.DNSName("device.example")])
    encoded = der.sequence(der.oid("2.5.29.17"), der.octet_string(extension.public_bytes()))
    request = make_certification_request(
        private,
        SUBJECT,
        challenge_password=CHALLENGE,
        challenge_tag=der.PRINTABLE_STRING,
        extensions=[encoded],
    )
    csr = x509.load_der_x509_csr(request.csr)
    assert csr.is_signature_valid
    assert (
        csr.attributes.get_attribute_for_oid(x509.oid.AttributeOID.CHALLENGE_PASSWORD).value
        == CHALLENGE.encode()
    )
    assert csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == extension


def test_equal_values_make_equal_certificates() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    made = {
        make_self_signed(key, SUBJECT, serial_number=3, not_before=NOW, not_after=NOW).der for _ in range(3)
    }
    assert len(made) == 1
    assert transaction_id_for(b"key") == transaction_id_for(b"key") != transaction_id_for(b"other")


def test_reply_without_certificates_is_verified_with_those_of_get_ca_cert() -> None:
    bench = protocol_bench()
    codec = client(bench)
    request = send(codec)
    reply = decode(codec, answer(bench, request, ReplyForm()), request)
    assert reply.certificate == issued(bench)
    assert reply.signer.der == bench.ra_certificate
    assert reply.warnings == ()


@pytest.mark.parametrize("form", ["zero-length", "absent", "nul-octet"])
@pytest.mark.parametrize("status", [PkiStatus.FAILURE, PkiStatus.PENDING])
def test_reads_replies_without_content(form: Any, status: PkiStatus) -> None:
    bench = protocol_bench()
    codec = client(bench)
    request = send(codec)
    fail_info = FailInfo.BAD_TIME if status is PkiStatus.FAILURE else None
    octets = answer(
        bench,
        request,
        replace(bench.form, empty_content=form),
        pki_status=status,
        fail_info=fail_info,
        fail_info_text="late" if fail_info else None,
    )
    reply = decode(codec, octets, request)
    assert (reply.pki_status, reply.fail_info) == (status, fail_info)
    assert reply.fail_info_text == ("late" if fail_info else None)
    assert (reply.certificate, reply.certificates, reply.warnings) == (None, (), ())


def test_leaf_is_found_wherever_it_is_and_the_order_is_remarked() -> None:
    bench = protocol_bench()
    codec = client(bench)
    request = send(codec)
    reply = decode(codec, answer(bench, request, certificates=(bench.ra_certificate, issued(bench))), request)
    assert reply.certificate == issued(bench)
    assert "first" in reply.warnings[0]


@pytest.mark.parametrize(
    ("fields", "check"),
    [
        ({"transaction_id": "OTHER"}, "transaction-id"),
        ({"recipient_nonce": b"n" * 16}, "recipient-nonce"),
        ({"recipient_nonce": None}, "recipient-nonce"),
        ({"certificates": ()}, "certificate"),
        ({"certificates": "ra"}, "certificate"),
        ({"recipient": "other"}, "envelope"),
        ({"recipient": PasswordRecipient(password=b"x")}, "envelope"),
    ],
)
def test_rejects_validly_signed_replies_that_are_wrong(fields: dict[str, Any], check: str) -> None:
    bench = protocol_bench()
    codec = client(bench)
    request = send(codec)
    fields = dict(fields)
    if fields.get("certificates") == "ra":
        fields["certificates"] = (bench.ra_certificate,)
    if fields.get("recipient") == "other":
        fields["recipient"] = KeyTransportRecipient(
            certificate=read_certificate(bench.ra_certificate), key_transport=PKCS1_V15
        )
    with pytest.raises(ReplyError) as caught:
        decode(codec, answer(bench, request, **fields), request)
    assert caught.value.check == check


@pytest.mark.parametrize(
    ("fields", "check"),
    [
        ({}, None),
        ({"replaced": {MESSAGE_TYPE: [asn1.string(asn1.PRINTABLE, "19")]}}, "attributes"),
        ({"replaced": {SENDER_NONCE: None}}, "attributes"),
        ({"replaced": {PKI_STATUS: None}}, "pki-status"),
        ({"replaced": {PKI_STATUS: [asn1.string(asn1.PRINTABLE, "1")]}}, "pki-status"),
        ({"added": [attribute(PKI_STATUS, asn1.string(asn1.PRINTABLE, "3"))]}, "pki-status"),
        ({"replaced": {FAIL_INFO: None}}, "fail-info"),
        ({"replaced": {FAIL_INFO: [asn1.string(asn1.PRINTABLE, "5")]}}, "fail-info"),
        ({"replaced": {TRANSACTION_ID: None}}, "message"),
        ({"replaced": {RECIPIENT_NONCE: None}}, "recipient-nonce"),
        ({"replaced": {RECIPIENT_NONCE: asn1.UTF8}}, "recipient-nonce"),
        ({"signature": b"\1" * 256}, "signature"),
        ({"content": b"x" * 5, "message_digest": b"\0" * 32}, "signature"),
        ({"digest": "sha3-256"}, "algorithm"),
        ({"certificates": "stranger"}, "signer"),
    ],
)
def test_holds_forged_failures_to_the_rules(fields: dict[str, Any], check: str | None) -> None:
    bench = protocol_bench()
    codec = client(bench)
    request = send(codec)
    replaced = {
        MESSAGE_TYPE: [asn1.string(asn1.PRINTABLE, "3")],
        PKI_STATUS: [asn1.string(asn1.PRINTABLE, "2")],
        FAIL_INFO: [asn1.string(asn1.PRINTABLE, "4")],
        RECIPIENT_NONCE: [asn1.octets(request.sender_nonce)],
        **fields.get("replaced", {}),
    }
    if isinstance(replaced[RECIPIENT_NONCE], int):
        replaced[RECIPIENT_NONCE] = [asn1.tlv(replaced[RECIPIENT_NONCE], request.sender_nonce)]
    values: dict[str, Any] = {
        "key": bench.ra_key,
        "certificate": bench.ra_certificate,
        "content": b"",
        **fields,
        "replaced": replaced,
    }
    if fields.get("certificates") == "stranger":
        values["certificate"] = CertificateForge(key=bench.ra_key, subject=common_name("stranger")).encode()
        values["certificates"] = None
    octets = bench.message(**values).encode()
    if check is None:
        assert decode(codec, octets, request).fail_info is FailInfo.BAD_CERT_ID
        return
    with pytest.raises(ReplyError) as caught:
        decode(codec, octets, request)
    assert caught.value.check == check


def test_get_crl_has_one_crl_and_nothing_else() -> None:
    bench = protocol_bench()
    codec = client(bench)
    asked = IssuerAndSerial(issuer_der=SUBJECT, serial_number=1)
    request = codec.get_crl(asked, transaction_id="A", random=os.urandom(RANDOM_OCTETS))
    crl = der.sequence(der.null())
    for certificates, crls in (((), ()), ((issued(bench),), (crl,)), ((), (crl, crl))):
        with pytest.raises(ReplyError) as caught:
            decode(codec, answer(bench, request, certificates=certificates, crls=crls), request)
        assert caught.value.check == "content"


def test_get_cert_has_the_certificate_asked_for() -> None:
    bench = protocol_bench()
    codec = client(bench)
    other = IssuerAndSerial(issuer_der=common_name("forged device"), serial_number=4712)
    request = codec.get_cert(other, transaction_id="A", random=os.urandom(RANDOM_OCTETS))
    with pytest.raises(ReplyError) as caught:
        decode(codec, answer(bench, request), request)
    assert caught.value.check == "certificate"


def test_next_ca_is_believed_from_the_current_ca_only() -> None:
    bench = protocol_bench()
    codec = client(bench)
    octets = CODEC.encode_next_ca([issued(bench)], bench.signer, bench.form, digest=DigestAlgorithm.SHA_256)
    assert codec.decode_next_ca(octets) == (issued(bench),)
    nothing = CODEC.encode_next_ca([], bench.signer, bench.form, digest=DigestAlgorithm.SHA_256)
    for wrong, trusted, check in (
        (octets, (issued(bench),), "signer"),
        (octets[:-5] + b"\1" * 5, (bench.ra_certificate,), "signature"),
        (encode_certs_only([issued(bench)]), (bench.ra_certificate,), "attributes"),
        (nothing, (bench.ra_certificate,), "content"),
        (b"", (bench.ra_certificate,), "attributes"),
    ):
        with pytest.raises(ReplyError) as caught:
            replace(codec, trusted=trusted).decode_next_ca(wrong)
        assert caught.value.check == check


def test_key_usage_chooses_the_certificate() -> None:
    bench = protocol_bench()
    some = (bench.ra_certificate, bench.device_certificate)
    assert usable_for(some, 0) == some
    assert usable_for(some, 0, 2) == some
    assert usable_for(some, 5) == (bench.device_certificate,)


def test_wrong_use_is_a_value_error() -> None:
    bench = protocol_bench()
    codec = client(bench)
    csr = certification_request(bench)
    with pytest.raises(ValueError, match="does not carry"):
        codec.encode(MessageType.GET_CERT, csr, transaction_id="A", random=os.urandom(RANDOM_OCTETS))
    with pytest.raises(ValueError, match="does not carry"):
        codec.encode(MessageType.CERT_REP, csr, transaction_id="A", random=os.urandom(RANDOM_OCTETS))
    with pytest.raises(ValueError, match="random octets"):
        codec.pkcs_req(csr, transaction_id="A", random=b"")
    assert isinstance(bench.reply(bench.open(send(codec).octets)), CertRep)
