"""Who signs a reply, and over what, by ``openssl cms``."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from forge import asn1, openssl

from faults.evidence import shows
from faults.looks import (
    MESSAGE_TYPE,
    PKI_STATUS,
    PRINTABLE,
    RECIPIENT_NONCE,
    TRANSACTION_ID,
    assert_valid,
    field_of,
    last_octets,
    raised,
    says,
    signer_infos,
    subjects,
    values_of,
    verdict,
)
from faults.stand import NONCE, Sent, Side
from lab.faults.strangers import stranger_key

_BAD_SIGNATURE = "CMS_SignerInfo_verify:verification failure"
_BAD_CONTENT = "CMS_SignerInfo_verify_content:verification failure"
_RA = "C = US, CN = NDES-LAB-MSCEP-RA"


def _public_key_of_the_signer(sent: Sent) -> bytes:
    certificate = openssl.run("pkcs7", "-print_certs", "-inform", "DER", stdin=sent.reply)
    return openssl.run("x509", "-noout", "-pubkey", stdin=certificate)


def _verdict_with_ra(side: Side, sent: Sent, *options: str) -> str:
    """Verify with the RA's certificate at hand, whatever is in the reply."""
    authority = side.scep_lab.world.registration_authority
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ra.pem")
        path.write_bytes(openssl.run("x509", "-inform", "DER", stdin=authority.signing.der))
        return verdict(sent, "-certfile", str(path), *options)


# -- who signs -----------------------------------------------------------------------------


@shows("encoding::bad-signature")
def signature_is_no_signature_of_the_signer(side: Side) -> bool:
    sent = side.enrol()
    found = raised(last_octets(sent.parsed()), _public_key_of_the_signer(sent), public=True)
    assert found.startswith(b"\x00\x01\xff") == (verdict(sent) == "")
    return _BAD_SIGNATURE in verdict(sent)


@shows("encoding::wrong-signer")
def signature_is_of_the_strangers_key(side: Side) -> bool:
    sent = side.enrol()
    pem = stranger_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        found = raised(last_octets(sent.parsed()), pem, public=True)
    except openssl.Refused:  # a number beyond the other modulus
        found = b""
    assert subjects(sent.reply) == [_RA]
    return found.startswith(b"\x00\x01\xff") and _BAD_SIGNATURE in verdict(sent)


@shows("encoding::signer-not-included")
def certificate_of_the_signer_is_not_there(side: Side) -> bool:
    sent = side.enrol()
    assert _verdict_with_ra(side, sent) == ""
    return "signer certificate not found" in verdict(sent)


@shows("encoding::signed-by-the-ca")
def signer_is_the_ca(side: Side) -> bool:
    sent = side.enrol()
    assert_valid(sent)
    (issuer,) = field_of(signer_infos(sent), "issuer")
    assert len(subjects(sent.reply)) == 1
    return issuer.endswith("Root CA") and subjects(sent.reply)[0].endswith("Issuing CA")


@shows("encoding::signed-by-a-foreign-ra")
def certificate_has_the_names_of_the_ra_and_another_key(side: Side) -> bool:
    sent = side.enrol()
    assert_valid(sent)
    assert subjects(sent.reply) == [_RA]
    return _BAD_SIGNATURE in _verdict_with_ra(side, sent, "-nointern")


@shows("encoding::signed-by-a-stranger")
def certificate_is_of_somebody_else(side: Side) -> bool:
    sent = side.enrol()
    assert_valid(sent)
    return subjects(sent.reply) == ["CN = another client"]


@shows("encoding::more-certificates")
def root_and_ca_come_first(side: Side) -> bool:
    sent = side.enrol()
    assert_valid(sent)
    return [one.rpartition(" ")[2] for one in subjects(sent.reply)] == ["CA", "CA", "NDES-LAB-MSCEP-RA"]


@shows("encoding::signer-by-key-identifier")
def signer_is_named_by_its_key(side: Side) -> bool:
    sent = side.enrol()
    assert_valid(sent)
    return "d.subjectKeyIdentifier" in signer_infos(sent)


@shows("encoding::no-signer")
def signer_infos_are_empty(side: Side) -> bool:
    sent = side.enrol()
    return "<EMPTY>" in signer_infos(sent)[:20] and "no signers" in verdict(sent)


@shows("encoding::two-signers")
def signer_infos_are_two_and_both_verify(side: Side) -> bool:
    sent = side.enrol()
    assert_valid(sent)
    return signer_infos(sent).count("signatureAlgorithm:") == 2


# -- what is signed ------------------------------------------------------------------------


@shows("encoding::message-digest-wrong")
def message_digest_is_zero(side: Side) -> bool:
    sent = side.enrol()
    assert verdict(sent, "-no_content_verify") == ""
    zero = values_of(sent, "messageDigest") == [[("OCTET STRING", "00" * 32)]]
    return zero and _BAD_CONTENT in verdict(sent)


@shows("encoding::content-altered")
def digest_is_of_other_content(side: Side) -> bool:
    sent = side.enrol()
    assert verdict(sent, "-no_content_verify") == ""
    assert values_of(sent, "messageDigest") != [[("OCTET STRING", "00" * 32)]]
    return _BAD_CONTENT in verdict(sent)


@shows("encoding::message-digest-missing")
def message_digest_is_missing(side: Side) -> bool:
    sent = side.enrol()
    return not values_of(sent, "messageDigest") and "attribute error" in verdict(sent)


@shows("encoding::content-type-missing")
def content_type_is_missing(side: Side) -> bool:
    sent = side.enrol()
    return not values_of(sent, "contentType") and "attribute error" in verdict(sent)


shows("encoding::content-type-wrong")(
    says(
        "contentType",
        lambda found, sent: (
            found == [[("OBJECT", "pkcs7-envelopedData")]] and "eContentType: pkcs7-data " in sent.printed()
        ),
    )
)
shows("encoding::content-is-enveloped-data")(
    says(
        "contentType",
        lambda found, sent: (
            found == [[("OBJECT", "pkcs7-envelopedData")]]
            and "eContentType: pkcs7-envelopedData " in sent.printed()
        ),
    )
)


@shows("encoding::signed-attributes-missing")
def there_are_no_attributes_and_the_content_is_signed(side: Side) -> bool:
    sent = side.enrol()
    assert_valid(sent)
    return bool(re.search(r"\ssignedAttrs:\s+<ABSENT>", signer_infos(sent)))


@shows("encoding::attributes-not-signed")
def scep_attributes_are_behind_the_signature(side: Side) -> bool:
    sent = side.enrol()
    assert_valid(sent)
    signed, _, unsigned = signer_infos(sent).partition("unsignedAttrs:")
    there = [
        [oid in part for oid in (PKI_STATUS, TRANSACTION_ID, MESSAGE_TYPE)] for part in (signed, unsigned)
    ]
    return there == [[False] * 3, [True] * 3] and values_of(sent, PKI_STATUS) == [[(PRINTABLE, "0")]]


@shows("encoding::signature-over-content")
def signature_holds_the_digest_of_the_content(side: Side) -> bool:
    sent = side.enrol()
    content = openssl.run(
        "cms", "-verify", "-noverify", "-nosigs", "-binary", "-inform", "DER", stdin=sent.reply
    )
    recovered = raised(last_octets(sent.parsed()), _public_key_of_the_signer(sent), public=True)
    assert values_of(sent, PKI_STATUS) == [[(PRINTABLE, "0")]]
    return recovered.endswith(hashlib.sha256(content).digest()) and _BAD_SIGNATURE in verdict(sent)


@shows("encoding::detached-content")
def content_is_absent(side: Side) -> bool:
    sent = side.enrol()
    assert values_of(sent, PKI_STATUS) == [[(PRINTABLE, "0")]]
    return "eContent: <ABSENT>" in sent.printed() and "no content" in verdict(sent)


def _in_order(sent: Sent) -> bool:
    signer = asn1.read(sent.reply)[1][0].children[-1][0]
    attributes = [one.raw for one in next(one for one in signer.children if one.tag == 0xA0).children]
    return attributes == sorted(attributes)


@shows("encoding::attributes-unsorted")
def attributes_are_signed_in_another_order(side: Side) -> bool:
    sent = side.enrol()
    assert_valid(sent)
    return not _in_order(sent)


@shows("encoding::attributes-unsorted-signed-sorted")
def attributes_are_sent_in_another_order_than_signed(side: Side) -> bool:
    sent = side.enrol()
    return not _in_order(sent) and _BAD_SIGNATURE in verdict(sent)


# -- algorithms and versions ---------------------------------------------------------------


def _digests(sent: Sent) -> set[str]:
    assert_valid(sent)
    before = sent.printed().partition("encapContentInfo")[0]
    return {
        field_of(before, "algorithm")[0].split()[0],
        field_of(signer_infos(sent), "algorithm")[0].split()[0],
    }


def _signature_algorithm(sent: Sent) -> str:
    assert_valid(sent)
    return field_of(signer_infos(sent), "algorithm")[1].split()[0]


shows("encoding::digest-md5")(lambda side: _digests(side.enrol()) == {"md5"})
shows("encoding::digest-sha1")(lambda side: _digests(side.enrol()) == {"sha1"})
shows("encoding::signature-pss")(lambda side: _signature_algorithm(side.enrol()) == "rsassaPss")
shows("encoding::signature-named-with-digest")(
    lambda side: _signature_algorithm(side.enrol()) == "sha256WithRSAEncryption"
)


@shows("encoding::digest-parameters-absent")
def parameters_of_both_digests_are_absent(side: Side) -> bool:
    sent = side.enrol()
    assert_valid(sent)
    before, after = sent.printed().partition("encapContentInfo")[0], signer_infos(sent)
    return {field_of(before, "parameter")[0], field_of(after, "parameter")[0]} == {"<ABSENT>"}


@shows("encoding::digest-algorithms-empty")
def digest_algorithms_are_empty(side: Side) -> bool:
    sent = side.enrol()
    return "<EMPTY>" in sent.printed().partition("encapContentInfo")[0] and verdict(sent) != ""


@shows("encoding::signed-data-version")
def version_of_signed_data_does_not_exist(side: Side) -> bool:
    sent = side.enrol()
    assert_valid(sent)
    return field_of(sent.printed(), "version")[0] == "99"


@shows("encoding::signer-info-version")
def version_of_signer_info_does_not_exist(side: Side) -> bool:
    sent = side.enrol()
    assert_valid(sent)
    return field_of(signer_infos(sent), "version") == ["99"]


# -- types and sizes -----------------------------------------------------------------------

for name, kind in (
    ("utf8-string", "UTF8STRING"),
    ("ia5-string", "IA5STRING"),
    ("octet-string", "OCTET STRING"),
):
    shows(f"encoding::transaction-id-as-{name}")(
        says(TRANSACTION_ID, lambda found, sent, kind=kind: found == [[(kind, sent.transaction_id)]])
    )
shows("encoding::pki-status-as-utf8-string")(
    says(PKI_STATUS, lambda found, _: found == [[("UTF8STRING", "0")]])
)
shows("encoding::pki-status-as-integer")(says(PKI_STATUS, lambda found, _: found == [[("INTEGER", "00")]]))
shows("encoding::message-type-as-integer")(
    says(MESSAGE_TYPE, lambda found, _: found == [[("INTEGER", "03")]])
)
shows("encoding::message-type-with-leading-zero")(
    says(MESSAGE_TYPE, lambda found, _: found == [[(PRINTABLE, "03")]])
)


@shows("encoding::recipient-nonce-as-utf8-string")
def nonce_is_no_octet_string(side: Side) -> bool:
    sent = side.enrol()
    assert_valid(sent)
    assert sent.reply.count(NONCE) == 1
    assert values_of(sent, RECIPIENT_NONCE)
    return sent.reply.partition(NONCE)[0].endswith(b"\x0c\x10")


@shows("encoding::nested-too-deep")
def sequences_are_nested(side: Side) -> bool:
    sent = side.enrol()
    assert_valid(sent)
    return max(map(int, re.findall(r":d=(\d+)", sent.parsed()))) > 60


@shows("encoding::larger-than-16-kib")
def reply_is_large(side: Side) -> bool:
    sent = side.enrol()
    assert_valid(sent)
    return len(sent.reply) > 16_384
