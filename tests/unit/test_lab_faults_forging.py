"""Parts of replies written by hand: what is not changed stays as it was, and openssl reads the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from forge import asn1, openssl

from ca import der
from lab.faults import forging
from lab.faults.strangers import double_of, recipient_certificate, stranger_key
from lab.faults.values import ReplyDraft, SigningDraft
from scep_server.protocol import attributes
from scep_server.protocol.algorithms import PKCS1_V15, ContentCipher, DigestAlgorithm
from scep_server.protocol.messages import (
    CertRep,
    FailInfo,
    KeyTransportRecipient,
    PasswordRecipient,
    PkiStatus,
    Recipient,
)
from scep_server.protocol.parts import sign_parts
from scep_server.protocol.replies import ReplyForm, make_reply_parts
from scep_server.protocol.signers import KeySigner

CLIENT = recipient_certificate()
TO_KEY = KeyTransportRecipient(certificate=CLIENT, key_transport=PKCS1_V15)


def signing(recipient: Recipient = TO_KEY, *, failed: bool = False) -> SigningDraft:
    """Return a SUCCESS with the stranger's certificate, or a FAILURE, about to be signed by the stranger."""
    cert_rep = CertRep(
        transaction_id="T1",
        pki_status=PkiStatus.FAILURE if failed else PkiStatus.SUCCESS,
        fail_info=FailInfo.BAD_REQUEST if failed else None,
        sender_nonce=b"s" * 16,
        recipient_nonce=b"r" * 16,
        certificates=() if failed else (CLIENT.der,),
        recipient=None if failed else recipient,
        cipher=None if failed else ContentCipher.AES_128_CBC,
        digest=DigestAlgorithm.SHA_256,
        signing_time=datetime(2026, 11, 22, tzinfo=UTC),
    )
    draft = ReplyDraft(
        cert_rep=cert_rep,
        signer=KeySigner(certificate=CLIENT, key=stranger_key()),
        form=ReplyForm(certificates=(CLIENT.der,)),
        cek=b"k" * 16,
        iv=b"i" * 16,
        password_seed=b"p" * 48,
    )
    parts = make_reply_parts(
        draft.cert_rep,
        draft.signer,
        draft.form,
        cek=draft.cek,
        iv=draft.iv,
        password_seed=draft.password_seed,
    )
    return SigningDraft(parts=parts, signer=draft.signer, digest=cert_rep.digest, draft=draft)


def signed(draft: SigningDraft) -> bytes:
    return sign_parts(draft.parts, draft.signer, draft.digest)


# -- attributes and content ----------------------------------------------------------------


def test_what_is_not_there_is_not_dropped() -> None:
    draft = signing()
    assert forging.drop_attributes(draft, attributes.FAIL_INFO) is draft


def test_changed_attributes_are_validly_signed_in_der_order() -> None:
    changed = forging.set_text(signing(), attributes.PKI_STATUS, "a rather long pkiStatus")
    changed = forging.add_attribute(changed, attributes.PKI_STATUS, der.printable_string("0"))
    openssl.verify_cms(signed(changed))
    encoded = [one.raw for one in der.Reader(changed.parts.signer.attributes_content()).elements()]
    assert encoded == sorted(encoded)
    assert len(encoded) == len(signing().parts.signer.attributes) + 1


@pytest.mark.parametrize("content", [b"", b"something else"])
def test_other_content_gets_its_digest(content: bytes) -> None:
    assert openssl.verify_cms(signed(forging.set_content(signing(), content))) == content


def test_signer_infos_hold_what_is_written() -> None:
    draft = forging.rewrite_signer_info(signing(), lambda usual: usual + usual)
    members = asn1.read(signed(draft))[1][0].children
    assert len(members[-1].children) == 2
    assert openssl.verify_cms(signed(forging.rewrite_signer_info(signing(), lambda usual: usual)))


# -- envelopes -----------------------------------------------------------------------------


@pytest.mark.parametrize("recipient", [TO_KEY, PasswordRecipient(password=b"secret")])
def test_envelope_that_is_read_is_written_as_it_was(recipient: Recipient) -> None:
    content = signing(recipient).parts.content or b""
    assert forging.Envelope.read(content).version == (0 if recipient is TO_KEY else 3)
    assert forging.Envelope.read(content).encode() == content


def test_recipient_that_is_read_is_written_as_it_was() -> None:
    draft = signing()
    assert forging.change_recipient(draft, lambda was: was).parts == draft.parts


def test_password_recipients_and_refusals_are_left_alone() -> None:
    for draft in (signing(PasswordRecipient(password=b"secret")), signing(failed=True)):
        assert forging.change_recipient(draft, lambda was: replace(was, encrypted_key=b"")) is draft
    failed = signing(failed=True)
    assert forging.change_envelope(failed, lambda was: replace(was, version=9)) is failed
    assert not forging.is_success(failed)


# -- octets --------------------------------------------------------------------------------


@pytest.mark.parametrize("failed", [False, True])
def test_message_that_is_rewritten_in_der_is_the_same(failed: bool) -> None:
    message = signed(signing(failed=failed))
    assert forging.rewrite_message(message, der.tlv) == message


@pytest.mark.parametrize("wrap", [forging.indefinite, forging.padded])
def test_openssl_reads_what_is_rewritten_in_ber(wrap: object) -> None:
    message = signed(signing())
    content = openssl.verify_cms(message)
    rewritten = forging.rewrite_message(message, wrap)  # type: ignore[arg-type]
    assert rewritten != message
    assert openssl.verify_cms(rewritten) == content == forging.content_of(message)


def test_segments_hold_all_octets() -> None:
    octets = bytes(range(256)) * 7
    found = list(der.Reader(forging.segments(octets)).elements())
    assert b"".join(one.content for one in found) == octets
    assert len(found) == 4


@pytest.mark.parametrize("levels", [1, 60, 300])
def test_nesting_is_as_deep_as_asked(levels: int) -> None:
    encoding, depth = forging.nested(levels), 0
    while encoding:
        encoding = der.Reader(encoding).element(der.SEQUENCE).content
        depth += 1
    assert depth == levels


# -- strangers -----------------------------------------------------------------------------


def test_double_has_the_names_and_the_number() -> None:
    text = openssl.run("x509", "-inform", "DER", "-noout", "-subject", "-issuer", "-serial", stdin=CLIENT.der)
    double = double_of(CLIENT.der)
    again = openssl.run(
        "x509", "-inform", "DER", "-noout", "-subject", "-issuer", "-serial", stdin=double.der
    )
    assert text == again
