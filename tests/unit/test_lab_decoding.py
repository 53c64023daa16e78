"""`ndes-lab decode`: what it says of octets that openssl and the forge made."""

from __future__ import annotations

import base64
import json
import subprocess
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from forge import asn1
from forge.certificates import CertificateForge, common_name, dns, key_usage, subject_alt_name
from forge.csr import CsrForge
from forge.envelope import Envelope, KeyTransport, Password
from forge.keys import of
from forge.message import CERT_REP, FAIL_INFO, PKI_STATUS, PkiMessage

from lab.commands.decode import decode
from lab.decoding import EnvelopeKeys, NotUnderstood, explain


@pytest.fixture(scope="module")
def private():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def key(private):
    return of(private)


@pytest.fixture(scope="module")
def recipient(key):
    return CertificateForge(key=key, subject=common_name("Lab RA")).encode()


def csr(key):
    return CsrForge(
        key=key, challenge="S3cret_", extensions=[subject_alt_name(dns("device.test")), key_usage(0, 2)]
    ).encode()


def pkcs_req(key, recipients, **envelope):
    sealed = Envelope(plaintext=csr(key), recipients=recipients, **envelope).encode()
    certificate = CertificateForge(key=key).encode()
    return PkiMessage(key=key, certificate=certificate, content=sealed, transaction_id="F00D")


def only(trees):
    (tree,) = trees
    return tree


def test_explains_a_pkcs_req_down_to_the_challenge(key, private, recipient):
    message = pkcs_req(key, [KeyTransport(certificate=recipient)]).encode()
    closed = only(explain(message))
    assert closed.name == "SCEP pkiMessage: PKCSReq (19)"
    assert closed.find("transactionID").value == "F00D"
    assert closed.find("plaintext").note == "not opened: no key was given"
    assert "valid under the key of CN=forged device; messageDigest fits" in closed.find("signature").note
    opened = only(explain(message, EnvelopeKeys(private_keys=(private,))))
    assert opened.find("challengePassword 1.2.840.113549.1.9.7").value == "S3cret_"
    assert opened.find("DNS").value == "device.test"
    assert "RSA 2048 bits" in opened.as_text()


@pytest.mark.parametrize("oaep", [None, "sha1", "sha256"])
@pytest.mark.parametrize("cipher", ["aes128", "aes192", "aes256", "3des", "des"])
def test_opens_every_cipher_and_key_transport(key, private, recipient, cipher, oaep):
    message = pkcs_req(key, [KeyTransport(certificate=recipient, oaep=oaep)], cipher=cipher).encode()
    tree = only(explain(message, EnvelopeKeys(private_keys=(private,))))
    assert tree.find("certificate request (PKCS#10)").value == "CN=forged device"


@pytest.mark.parametrize("cipher", ["aes128", "aes256", "3des"])
def test_opens_an_envelope_made_for_a_password(key, cipher):
    message = pkcs_req(key, [Password(password=b"S3cret_", cipher=cipher)], cipher=cipher, version=3).encode()
    opened = only(explain(message, EnvelopeKeys(password=b"S3cret_")))
    assert opened.find("certificate request (PKCS#10)")
    closed = only(explain(message, EnvelopeKeys(password=b"wrong")))
    assert closed.find("plaintext").note.startswith("not opened: the password does not open it")


def test_says_that_another_key_does_not_open_it(key, recipient):
    message = pkcs_req(key, [KeyTransport(certificate=recipient)]).encode()
    other = rsa.generate_private_key(65537, 2048)
    assert (
        only(explain(message, EnvelopeKeys(private_keys=(other,))))
        .find("plaintext")
        .note.startswith("not opened")
    )


def test_words_a_failure_and_its_reason(key):
    message = PkiMessage(
        key=key,
        certificate=CertificateForge(key=key).encode(),
        content=b"",
        message_type=CERT_REP,
        transaction_id="F00D",
        replaced={
            PKI_STATUS: [asn1.string(asn1.PRINTABLE, "2")],
            FAIL_INFO: [asn1.string(asn1.PRINTABLE, "2")],
            "1.3.6.1.4.1.311.21.33": [asn1.string(asn1.PRINTABLE, "-2146875375")],
        },
    ).encode()
    tree = only(explain(message))
    assert tree.name == "SCEP pkiMessage: CertRep (3)"
    assert tree.find("pkiStatus").value == "FAILURE (2)"
    assert tree.find("failInfo").value == "badRequest (2)"
    assert "CERTSRV_E_KEY_LENGTH" in tree.as_text()
    assert tree.find("content").note == "0 octets: no envelope (RFC 8894 3.3.2)"


def test_says_so_when_a_signature_or_digest_is_wrong(key):
    certificate = CertificateForge(key=key).encode()
    message = PkiMessage(key=key, certificate=certificate, content=b"x", transaction_id="F00D")
    wrong_digest = only(explain(message.with_(message_digest=bytes(32)).encode()))
    assert "messageDigest does NOT fit" in wrong_digest.find("signature").note
    wrong_signature = only(explain(message.with_(signature=bytes(256)).encode()))
    assert "invalid under the key" in wrong_signature.find("signature").note


def test_reads_ber_and_says_so(key, recipient):
    message = pkcs_req(key, [KeyTransport(certificate=recipient)]).with_(
        style=asn1.Style(indefinite=True, chunk=100)
    )
    tree = only(explain(message.encode()))
    assert tree.note == "BER, shown in its DER form"
    assert tree.find("transactionID").value == "F00D"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda der: der,
        base64.b64encode,
        base64.encodebytes,
        lambda der: quote(base64.b64encode(der), safe="").encode(),
        base64.urlsafe_b64encode,
        lambda der: (
            b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
        ),
    ],
    ids=["der", "base64", "lines", "percent", "url", "pem"],
)
def test_reads_every_wrapping(recipient, wrap):
    tree = only(explain(wrap(recipient)))
    assert (tree.name, tree.value) == ("certificate", "CN=Lab RA")


def test_reads_what_openssl_makes(tmp_path):
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True)

    openssl(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=Test/O=Lab",
        "-keyout",
        "k",
        "-out",
        "c",
    )
    (tmp_path / "index.txt").write_text("R\t400101000000Z\t200101000000Z,keyCompromise\t0A\tunknown\t/CN=x\n")
    (tmp_path / "number").write_text("1A\n")
    (tmp_path / "conf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha256\ncrl_extensions=e\n[e]\n"
    )
    openssl("ca", "-gencrl", "-config", "conf", "-cert", "c", "-keyfile", "k", "-crldays", "7", "-out", "crl")
    crl = only(explain((tmp_path / "crl").read_bytes()))
    assert crl.name == "certificate revocation list"
    assert crl.find("0a").note == "keyCompromise"
    assert crl.find("cRLNumber 2.5.29.20").value == "26"
    openssl("req", "-new", "-key", "k", "-subj", "/CN=Test", "-outform", "DER", "-out", "r")
    assert only(explain((tmp_path / "r").read_bytes())).name == "certificate request (PKCS#10)"
    openssl("crl2pkcs7", "-nocrl", "-certfile", "c", "-out", "p7")
    bag = only(explain((tmp_path / "p7").read_bytes()))
    assert bag.name == "SignedData, degenerate (certificates and CRLs only)"
    assert bag.find("certificate").value == "O=Lab, CN=Test"


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (b"", "there is nothing"),
        (b"beer\n", "5 octets, was taken for Base64: 3 octets beginning 6de7ab"),
        (b"<!DOCTYPE html>", "neither ASN.1, PEM, Base64 nor hexadecimal"),
        (
            b"\x30\x82\xff\xff",
            "stopped at octet 4 of 4: the octets end here, inside SEQUENCE at 0; 65535 octets of",
        ),
        (b"\x30\x03\x02\x01\x01", "no CMS, certificate, certificate request, CRL or OCSP message"),
        (b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----", "it is not shown"),
    ],
)
def test_says_what_it_is_not(octets, says):
    with pytest.raises(NotUnderstood, match=says):
        explain(octets)


def test_escapes_what_would_drive_a_terminal(key):
    tree = only(explain(CertificateForge(key=key, subject=common_name("a\x1b[2Jb\r\nc")).encode()))
    text = tree.as_text()
    assert "\x1b" not in text
    assert "\r" not in text
    assert "a\\x1b[2Jb\\x0d\\x0ac" in text


def test_command_prints_text_and_json_and_tells_failure(tmp_path, key, private, recipient):
    message = tmp_path / "message.der"
    message.write_bytes(pkcs_req(key, [KeyTransport(certificate=recipient)]).encode())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(pem)
    run = CliRunner()
    text = run.invoke(decode, [str(message), "--key", str(tmp_path / "key.pem")])
    assert text.exit_code == 0
    assert "challengePassword 1.2.840.113549.1.9.7: S3cret_" in text.stdout
    document = json.loads(run.invoke(decode, ["-", "--json"], input=message.read_bytes()).stdout)
    assert document["name"] == "SCEP pkiMessage: PKCSReq (19)"
    refused = run.invoke(decode, ["-"], input=b"<html>")
    assert refused.exit_code == 1
    assert "neither ASN.1" in refused.stderr
    assert run.invoke(decode, [str(message), "--key", str(message)]).exit_code == 2
