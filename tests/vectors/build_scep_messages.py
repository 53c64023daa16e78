"""Builds tests/vectors/scep_messages: SCEP messages that no line of the codec has touched.

Signatures, envelopes and attributes come from `forge`, the queries inside from asn1crypto, keys and
primitives from cryptography. Run it to make them anew::

    PYTHONPATH=tests python tests/vectors/build_scep_messages.py

Every run draws new keys, so the files change as a whole. Each message is verified with openssl before
it is written. The keys are in the folder and protect nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asn1crypto import cms, x509
from forge import asn1, openssl
from forge.certificates import CertificateForge, common_name, extension, key_usage
from forge.csr import CsrForge
from forge.envelope import Envelope, KeyTransport, Password
from forge.keys import Key, KeyPool
from forge.message import FAIL_INFO, FAIL_INFO_TEXT, PKI_STATUS, RECIPIENT_NONCE, PkiMessage, degenerate

FOLDER = Path(__file__).parent / "scep_messages"
CHALLENGE = "0F1E2D3C4B5A6978"
NONCE = bytes(range(16))


def main() -> None:
    """Write all vectors and their index."""
    keys = KeyPool(6)
    ra, device, ec = keys.fresh(), keys.fresh(), keys.ec()
    ra_certificate = CertificateForge(
        key=ra,
        subject=common_name("Vector RA"),
        serial=0x7EC7,
        extensions=[key_usage(0, 2), extension("2.5.29.14", asn1.octets(ra.identifier))],
    ).encode()
    device_certificate = CertificateForge(key=device, subject=common_name("Vector device")).encode()
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "ra.key.pem").write_bytes(ra.pem)
    (FOLDER / "ra.der").write_bytes(ra_certificate)
    (FOLDER / "device.key.pem").write_bytes(device.pem)
    (FOLDER / "device.der").write_bytes(device_certificate)
    index: dict[str, Any] = {}
    for name, message, expected in [
        *_requests(ra_certificate, device, device_certificate, ec),
        *_replies(ra, ra_certificate, device_certificate),
    ]:
        octets = message.encode()
        openssl.run("cms", "-verify", "-noverify", "-binary", "-inform", "DER", stdin=octets)
        (FOLDER / f"{name}.der").write_bytes(octets)
        index[name] = {"message_type": int(message.message_type), **expected}
    (FOLDER / "index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")


def _requests(
    ra: bytes, device: Key, certificate: bytes, ec: Key
) -> list[tuple[str, PkiMessage, dict[str, Any]]]:
    name = x509.Name.build({"common_name": "Vector CA"})
    by_serial = cms.IssuerAndSerialNumber({"issuer": name, "serial_number": 2**80 + 1}).dump()
    names = asn1.seq(name.dump(), common_name("Vector device"))
    csr = CsrForge(key=device, challenge=CHALLENGE).encode()
    ec_csr = CsrForge(key=ec, challenge=CHALLENGE).encode()
    found = []
    for title, kind, content, envelope, fields in (
        ("pkcs-req", 19, csr, {}, {}),
        ("pkcs-req-des-md5", 19, csr, {"cipher": "des"}, {"digest": "md5"}),
        (
            "renewal-req-oaep-pss",
            17,
            csr,
            {"cipher": "aes256", "oaep": "sha256"},
            {"digest": "sha512", "pss": True},
        ),
        ("cert-poll-3des-sha1", 20, names, {"cipher": "3des"}, {"digest": "sha1"}),
        ("get-cert-indefinite", 21, by_serial, {}, {"style": asn1.Style(indefinite=True, chunk=200)}),
        ("get-crl-unsorted", 22, by_serial, {"cipher": "aes192"}, {"sort_attributes": False}),
        ("pkcs-req-constructed", 19, csr, {"style": asn1.Style(implicit_chunk=10_000)}, {}),
    ):
        wanted = dict(envelope)
        style = wanted.pop("style", None)
        to = KeyTransport(certificate=ra, oaep=wanted.pop("oaep", None))
        sealed = Envelope(plaintext=content, recipients=[to], **wanted).encode()
        message = PkiMessage(
            key=device,
            certificate=certificate,
            content=asn1.restyle(sealed, style) if style else sealed,
            message_type=kind,
            transaction_id=title.upper(),
            sender_nonce=NONCE,
            **fields,
        )
        found.append((title, message, {"transaction_id": title.upper(), "content": content.hex()}))
    sealed = Envelope(
        plaintext=ec_csr, recipients=[Password(password=CHALLENGE.encode())], version=3
    ).encode()
    by_password = PkiMessage(
        key=ec,
        certificate=CertificateForge(key=ec).encode(),
        content=sealed,
        transaction_id="EC",
        sender_nonce=NONCE,
    )
    found.append(("pkcs-req-password", by_password, {"transaction_id": "EC", "content": ec_csr.hex()}))
    return found


def _replies(ra: Key, certificate: bytes, device: bytes) -> list[tuple[str, PkiMessage, dict[str, Any]]]:
    bag = degenerate(device)
    sealed = Envelope(plaintext=bag, recipients=[KeyTransport(certificate=device)]).encode()
    found = []
    for title, status, content, extra in (
        ("cert-rep-success", "0", sealed, {}),
        (
            "cert-rep-failure",
            "2",
            b"\0",
            {
                FAIL_INFO: [asn1.string(asn1.PRINTABLE, "2")],
                FAIL_INFO_TEXT: [asn1.string(asn1.UTF8, "no")],
            },
        ),
        ("cert-rep-pending", "3", b"", {}),
    ):
        replaced = {
            PKI_STATUS: [asn1.string(asn1.PRINTABLE, status)],
            RECIPIENT_NONCE: [asn1.octets(NONCE)],
            **extra,
        }
        message = PkiMessage(
            key=ra,
            certificate=certificate,
            content=content,
            message_type=3,
            transaction_id="PKCS-REQ",
            replaced=replaced,
        )
        found.append((title, message, {"transaction_id": "PKCS-REQ", "pki_status": int(status)}))
    return found


if __name__ == "__main__":
    main()
