"""The codec against recorded messages that other code made (see tests/vectors/build_scep_messages.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from scep_server.protocol.algorithms import PKCS1_V15
from scep_server.protocol.certificates import read_certificate, subject_key_identifier
from scep_server.protocol.client import ClientCodec, ClientRequest
from scep_server.protocol.codec import ScepCodec
from scep_server.protocol.contents import encode_content
from scep_server.protocol.enveloped import KeyDecryptor
from scep_server.protocol.messages import FailInfo, KeyTransportRecipient, MessageType
from scep_server.protocol.signers import KeySigner

FOLDER = Path(__file__).parent.parent / "vectors" / "scep_messages"
INDEX: dict[str, dict[str, Any]] = json.loads((FOLDER / "index.json").read_text())
REQUESTS = [name for name, entry in INDEX.items() if entry["message_type"] != 3]
CODEC = ScepCodec()
SUBSTITUTE = bytes(32)


def decryptor(name: str) -> KeyDecryptor:
    certificate = read_certificate((FOLDER / f"{name}.der").read_bytes())
    key: Any = load_pem_private_key((FOLDER / f"{name}.key.pem").read_bytes(), None)
    return KeyDecryptor(
        certificate=certificate, subject_key_identifier=subject_key_identifier(certificate), key=key
    )


def test_every_message_type_has_a_vector() -> None:
    assert {MessageType(entry["message_type"]) for entry in INDEX.values()} == set(MessageType)


@pytest.mark.parametrize("name", REQUESTS)
def test_reads_the_request_as_it_was_meant(name: str) -> None:
    entry = INDEX[name]
    message = CODEC.verify(CODEC.parse((FOLDER / f"{name}.der").read_bytes()))
    assert message.message_type.value == entry["message_type"]
    assert message.transaction_id == entry["transaction_id"]
    assert message.sender_nonce == bytes(range(16))
    opened = CODEC.open(
        message, [decryptor("ra")], passwords=[b"0F1E2D3C4B5A6978"], substitute_cek=SUBSTITUTE
    )
    assert encode_content(CODEC.interpret(opened)).hex() == entry["content"]


def client() -> tuple[ClientCodec, ClientRequest]:
    device, ra = decryptor("device"), decryptor("ra").certificate
    codec = ClientCodec(
        signer=KeySigner(certificate=device.certificate, key=device.key),
        recipient=KeyTransportRecipient(certificate=ra, key_transport=PKCS1_V15),
        trusted=(ra.der,),
        decryptors=(device,),
    )
    request = ClientRequest(
        octets=(FOLDER / "pkcs-req.der").read_bytes(),
        message_type=MessageType.PKCS_REQ,
        transaction_id="PKCS-REQ",
        sender_nonce=bytes(range(16)),
        public_key_der=device.certificate.public_key_der,
    )
    return codec, request


@pytest.mark.parametrize("name", [name for name in INDEX if name not in REQUESTS])
def test_reads_the_reply_as_it_was_meant(name: str) -> None:
    codec, request = client()
    reply = codec.decode_reply((FOLDER / f"{name}.der").read_bytes(), request, substitute_cek=SUBSTITUTE)
    assert reply.pki_status.value == INDEX[name]["pki_status"]
    success = name == "cert-rep-success"
    assert reply.certificates == ((FOLDER / "device.der").read_bytes(),) * success
    failed = name == "cert-rep-failure"
    assert (reply.fail_info, reply.fail_info_text) == (
        (FailInfo.BAD_REQUEST, "no") if failed else (None, None)
    )
