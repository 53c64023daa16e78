"""The envelope of a reply, by ``openssl cms``, with the client's key; all are validly signed."""

from __future__ import annotations

import re
from collections.abc import Callable

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from forge import openssl

from faults.evidence import shows
from faults.looks import (
    closed,
    decrypted,
    envelope_of,
    envelope_printed,
    field_of,
    parsed,
    raised,
    refusal,
    subjects,
)
from faults.stand import Sent, Side
from lab.faults.strangers import stranger_key

_LEGACY = ("-provider", "legacy", "-provider", "default")


def _stranger() -> bytes:
    return stranger_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _recipients(sent: Sent) -> list[str]:
    return field_of(envelope_printed(sent), "issuer")


def _cipher(sent: Sent) -> str:
    """Return the name, or the number, of the cipher."""
    found = field_of(envelope_printed(sent).partition("contentEncryptionAlgorithm:")[2], "algorithm")[0]
    return found if found.startswith("undefined") else found.split()[0]


def _encrypted_key(sent: Sent) -> bytes:
    """Return what RSA makes of the encrypted key, padding and all; nothing beyond the modulus."""
    (octets,) = re.findall(r"OCTET STRING +\[HEX DUMP\]:([0-9A-F]{512})", parsed(envelope_of(sent)))
    try:
        return raised(bytes.fromhex(octets), sent.key.pem)
    except openssl.Refused:
        return b""


# -- to whom -------------------------------------------------------------------------------


@shows("encoding::enveloped-for-another-key")
def client_is_named_and_another_can_open(side: Side) -> bool:
    sent = side.enrol(name="the-client")
    assert _recipients(sent) == ["CN=the-client"]
    if _encrypted_key(sent).startswith(b"\x00\x02"):
        return False
    return len(subjects(decrypted(envelope_of(sent), _stranger()))) == 1


@shows("encoding::enveloped-for-another-recipient")
def another_is_named_and_can_open(side: Side) -> bool:
    sent = side.enrol()
    if _recipients(sent) != ["CN=another client"]:
        return False
    return len(subjects(decrypted(envelope_of(sent), _stranger()))) == 1


@shows("encoding::other-recipient-first")
def recipients_are_two(side: Side) -> bool:
    sent = side.enrol(name="the-client")
    assert closed(sent) == ""
    return _recipients(sent) == ["CN=another client", "CN=the-client"]


@shows("encoding::recipient-by-key-identifier")
def recipient_is_named_by_its_key(side: Side) -> bool:
    sent = side.enrol()
    assert len(subjects(decrypted(envelope_of(sent), sent.key.pem))) == 1
    return "d.subjectKeyIdentifier" in envelope_printed(sent)


# -- the key and the cipher ----------------------------------------------------------------


@shows("encoding::key-transport-oaep")
def key_is_carried_by_oaep(side: Side) -> bool:
    sent = side.enrol()
    assert closed(sent) == ""
    return field_of(envelope_printed(sent), "algorithm")[0].startswith("rsaesOaep ")


@shows("encoding::encrypted-key-altered")
def key_has_no_padding(side: Side) -> bool:
    sent = side.enrol(name="the-client")
    assert _recipients(sent) == ["CN=the-client"]
    return not _encrypted_key(sent).startswith(b"\x00\x02")


@shows("encoding::content-key-too-short")
def key_has_fifteen_octets(side: Side) -> bool:
    padded = _encrypted_key(side.enrol())
    assert padded.startswith(b"\x00\x02")
    return len(padded[2:].partition(b"\x00")[2]) == 15


@shows("encoding::padding-corrupted")
def last_octet_of_the_content_is_zero(side: Side) -> bool:
    sent = side.enrol()
    key = _encrypted_key(sent)[-16:]
    lines = parsed(envelope_of(sent)).splitlines()
    (iv,) = re.findall(r"OCTET STRING +\[HEX DUMP\]:([0-9A-F]{32})$", lines[-2])
    (length,) = re.findall(r"l=\s*(\d+) prim: cont \[ 0 \]", lines[-1])
    options = ("-nopad", "-K", key.hex(), "-iv", iv)
    ciphertext = envelope_of(sent)[-int(length) :]
    return openssl.run("enc", "-d", "-aes-128-cbc", *options, stdin=ciphertext).endswith(b"\x00")


@shows("encoding::ciphertext-cut-off")
def ciphertext_is_not_made_of_blocks(side: Side) -> bool:
    sent = side.enrol()
    (length,) = re.findall(r"l=\s*(\d+) prim: cont \[ 0 \]", parsed(envelope_of(sent)).splitlines()[-1])
    assert (int(length) % 16 == 0) == (closed(sent) == "")
    return int(length) % 16 == 15


@shows("encoding::ciphertext-missing")
def ciphertext_is_absent(side: Side) -> bool:
    sent = side.enrol()
    return "encryptedContent: <ABSENT>" in envelope_printed(sent) and "no content" in closed(sent)


@shows("encoding::iv-missing")
def parameters_are_null(side: Side) -> bool:
    printed = envelope_printed(side.enrol()).partition("contentEncryptionAlgorithm:")[2]
    return field_of(printed, "parameter") == ["NULL"]


def _enciphered_with(name: str, *options: str) -> Callable[[Side], bool]:
    def look(side: Side) -> bool:
        sent = side.enrol()
        assert len(subjects(decrypted(envelope_of(sent), sent.key.pem, *options))) == 1
        return _cipher(sent) == name

    return look


shows("encoding::content-in-des")(_enciphered_with("des-cbc", *_LEGACY))
shows("encoding::content-in-rc2")(_enciphered_with("rc2-cbc", *_LEGACY))
shows("encoding::content-in-triple-des")(_enciphered_with("des-ede3-cbc"))
shows("encoding::content-in-aes-256")(_enciphered_with("aes-256-cbc"))


@shows("encoding::content-in-aes-gcm")
def envelope_is_authenticated(side: Side) -> bool:
    sent = side.enrol()
    assert closed(sent) == ""
    head = "CMS_ContentInfo: \n  contentType: id-smime-ct-authEnvelopedData "
    return envelope_printed(sent).startswith(head) and "aes-128-gcm" in envelope_printed(sent)


@shows("encoding::content-cipher-unknown")
def cipher_is_unknown(side: Side) -> bool:
    sent = side.enrol()
    return _cipher(sent) == "undefined (1.3.6.1.4.1.99999.8894.3)" and "unknown cipher" in closed(sent)


# -- the structure, and what is in it ------------------------------------------------------


@shows("encoding::enveloped-data-version")
def version_does_not_exist(side: Side) -> bool:
    sent = side.enrol()
    assert closed(sent) == ""
    return field_of(envelope_printed(sent), "version")[0] == "99"


@shows("encoding::encrypted-content-called-signed-data")
def encrypted_content_is_called_signed_data(side: Side) -> bool:
    sent = side.enrol()
    assert closed(sent) == ""
    return field_of(envelope_printed(sent), "contentType")[1].startswith("pkcs7-signedData ")


@shows("encoding::encrypted-content-in-segments")
def encrypted_content_is_constructed(side: Side) -> bool:
    sent = side.enrol()
    assert closed(sent) == ""
    return re.search(r"d=4 .* cons: cont \[ 0 \]", parsed(envelope_of(sent))) is not None


@shows("encoding::csr-in-envelope")
def content_is_the_request(side: Side) -> bool:
    content = side.enrol().opened()
    return refusal("req", "-verify", "-noout", "-inform", "DER", stdin=content) == ""


@shows("encoding::bare-certificate-in-envelope")
def content_is_a_certificate(side: Side) -> bool:
    content = side.enrol().opened()
    return refusal("x509", "-noout", "-inform", "DER", stdin=content) == ""


@shows("encoding::content-info-missing-in-envelope")
def content_begins_with_its_version(side: Side) -> bool:
    content = side.enrol().opened()
    begins = parsed(content).splitlines()[1].endswith("INTEGER           :01")
    assert begins == (refusal("pkcs7", "-noout", "-inform", "DER", stdin=content) != "")
    return begins


@shows("encoding::trailing-octets-in-envelope")
def octets_follow_the_content(side: Side) -> bool:
    content = side.enrol().opened()
    assert len(subjects(content)) == 1
    return content.endswith(bytes(16))


@shows("encoding::not-enveloped")
def certificate_is_signed_in_the_clear(side: Side) -> bool:
    sent = side.enrol(name="seen-by-all")
    if not envelope_printed(sent).startswith("CMS_ContentInfo: \n  contentType: pkcs7-signedData "):
        return False
    return subjects(envelope_of(sent)) == ["CN = seen-by-all"]
