"""NDES's CertReps as they were captured, fact by fact, held against ours by openssl asn1parse.

Nothing here is read by the product's codec, nor by the forge: the tree is what ``openssl asn1parse``
prints, and the signature is verified by ``openssl cms``.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flow.ndes_stand import NdesStand
from forge import wire
from forge.bench import Bench, Log, PkiRequest
from forge.keys import KeyPool
from peers import require_peer

_LINE = re.compile(
    r"^\s*(?P<offset>\d+):d=(?P<depth>\d+)\s+hl=(?P<header>\d+) l=\s*(?P<length>\d+) "
    r"(?P<form>prim|cons): (?P<type>[^:]+?)\s*(?::(?P<value>.*))?$"
)
MESSAGE_TYPE, PKI_STATUS, FAIL_INFO = (f"2.16.840.1.113733.1.9.{number}" for number in (2, 3, 4))
SENDER_NONCE, RECIPIENT_NONCE, TRANSACTION_ID = (f"2.16.840.1.113733.1.9.{number}" for number in (5, 6, 7))
ERROR, SERVER_MESSAGE = "1.3.6.1.4.1.311.21.33", "1.3.6.1.4.1.311.21.38"


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of asn1parse."""

    depth: int
    type: str
    value: str
    raw: bytes  # whole element
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Element:
    """An element and what is in it."""

    line: Line
    children: tuple[Element, ...]

    @property
    def value(self) -> str:
        return self.line.value

    @property
    def type(self) -> str:
        return self.line.type

    def __getitem__(self, index: int) -> Element:
        return self.children[index]


def parse(octets: bytes) -> Element:
    """Return the tree that openssl prints of DER octets."""
    run = subprocess.run(
        [require_peer("openssl"), "asn1parse", "-inform", "DER"],
        input=octets,
        capture_output=True,
        check=True,
    )
    lines = []
    for text in run.stdout.decode("latin-1").splitlines():
        found = _LINE.match(text)
        assert found is not None, text
        start, header, length = (int(found[name]) for name in ("offset", "header", "length"))
        lines.append(
            Line(
                depth=int(found["depth"]),
                type=found["type"].removesuffix("[HEX DUMP]").strip(),
                value=found["value"] or "",
                raw=octets[start : start + header + length],
                content=octets[start + header : start + header + length],
            )
        )
    (tree,) = _nest(lines, 0)
    return tree


def _nest(lines: list[Line], depth: int) -> tuple[Element, ...]:
    starts = [index for index, line in enumerate(lines) if line.depth == depth]
    ends = [*starts[1:], len(lines)] if starts else []
    return tuple(
        Element(line=lines[start], children=_nest(lines[start + 1 : end], depth + 1))
        for start, end in zip(starts, ends, strict=True)
    )


@dataclass(frozen=True, kw_only=True)
class Captured:
    """A CertRep of ours, taken apart where the captures were."""

    octets: bytes
    request: PkiRequest
    profile: str

    @property
    def signed_data(self) -> Element:
        return parse(self.octets)[1][0]

    @property
    def signer_info(self) -> Element:
        return self.signed_data.children[-1][0]

    @property
    def content(self) -> bytes:
        return self.signed_data[2][1][0].line.content

    @property
    def attributes(self) -> list[tuple[str, Element]]:
        """Attribute names as openssl prints them, with their one value, in order."""
        found = []
        for attribute in self.signer_info[3].children:
            assert len(attribute[1].children) == 1
            found.append((attribute[0].value, attribute[1][0]))
        return found

    def value(self, name: str) -> Element:
        return dict(self.attributes)[name]


@pytest.fixture(scope="module", params=["ndes-2012r2", "ndes-2019"])
def bench(request: pytest.FixtureRequest, key_pool: KeyPool, log: Log) -> Iterator[Bench]:
    stand = NdesStand(request.param)
    yield Bench(stand, key_pool, log)  # type: ignore[arg-type]
    stand.close()


def _captured(bench: Bench, request: PkiRequest) -> Captured:
    response = request.send(bench)
    assert response.status == 200
    assert response.header("Content-Type") == "application/x-pki-message"
    assert response.header("Content-Length") == str(len(response.body))
    profile = bench.desk.world.settings.scep.ndes_profile.name  # type: ignore[attr-defined]
    return Captured(octets=response.body, request=request, profile=profile)


@pytest.fixture(scope="module")
def success(bench: Bench) -> Captured:
    return _captured(bench, bench.request(message={"transaction_id": "HVvzN0228V+AW+dUuDe8OPyDXD0="}))


@pytest.fixture(scope="module")
def failure(bench: Bench) -> Captured:
    """The failure that was captured: a challengePassword that is a UTF8String."""
    return _captured(bench, bench.request(csr={"challenge_tag": 0x0C}))


@pytest.fixture(scope="module")
def pending(bench: Bench) -> Captured:
    return _captured(bench, bench.request(endpoint="manual"))


@pytest.fixture(params=["success", "failure", "pending"])
def any_reply(request: pytest.FixtureRequest, bench: Bench) -> Captured:
    found: Captured = request.getfixturevalue(request.param)
    return found


def test_signed_data_is_version_1_without_certificates_and_crls(any_reply: Captured) -> None:
    signed = any_reply.signed_data
    assert parse(any_reply.octets)[0].value == "pkcs7-signedData"
    assert (signed[0].type, signed[0].value) == ("INTEGER", "01")
    assert [child.type for child in signed.children] == ["INTEGER", "SET", "SEQUENCE", "SET"]


def test_digest_is_sha_1_with_null_and_signature_is_rsa_encryption_with_null(any_reply: Captured) -> None:
    signed, info = any_reply.signed_data, any_reply.signer_info
    for identifier, name in ((signed[1][0], "sha1"), (info[2], "sha1"), (info[4], "rsaEncryption")):
        assert [child.type for child in identifier.children] == ["OBJECT", "NULL"]
        assert identifier[0].value == name


def test_signer_is_the_ra_signing_certificate_by_issuer_and_serial(any_reply: Captured, bench: Bench) -> None:
    info = any_reply.signer_info
    certificate = parse(bench.bundle[0])[0]
    assert info[0].value == "01"
    assert info[1].line.content == certificate[3].line.raw + certificate[1].line.raw


def test_status_attributes_are_printable_strings(
    success: Captured, failure: Captured, pending: Captured
) -> None:
    for reply, status in ((success, "0"), (failure, "2"), (pending, "3")):
        for name, expected in ((MESSAGE_TYPE, "3"), (PKI_STATUS, status)):
            found = reply.value(name)
            assert (found.type, found.value) == ("PRINTABLESTRING", expected)
    fail_info = failure.value(FAIL_INFO)
    assert (fail_info.type, fail_info.value) == ("PRINTABLESTRING", "2")


def test_transaction_id_and_nonce_are_echoed_and_the_own_nonce_has_16_octets(any_reply: Captured) -> None:
    sent = any_reply.request.sent
    transaction = any_reply.value(TRANSACTION_ID)
    assert transaction.type == "PRINTABLESTRING"
    assert transaction.line.content == sent.transaction_id.encode()
    assert any_reply.value(RECIPIENT_NONCE).line.content == sent.sender_nonce
    nonce = any_reply.value(SENDER_NONCE)
    assert nonce.type == "OCTET STRING"
    assert len(nonce.line.content) == 16


def test_attributes_come_in_the_captured_order(success: Captured, failure: Captured) -> None:
    assert [name for name, _ in success.attributes] == [
        MESSAGE_TYPE,
        PKI_STATUS,
        SERVER_MESSAGE,
        "contentType",
        SENDER_NONCE,
        RECIPIENT_NONCE,
        "messageDigest",
        TRANSACTION_ID,
    ]
    assert [name for name, _ in failure.attributes] == [
        MESSAGE_TYPE,
        PKI_STATUS,
        FAIL_INFO,
        "contentType",
        ERROR,
        SENDER_NONCE,
        RECIPIENT_NONCE,
        "messageDigest",
        TRANSACTION_ID,
    ]


def test_no_reply_has_signing_time_or_fail_info_text(any_reply: Captured) -> None:
    names = {name for name, _ in any_reply.attributes}
    assert not names & {"signingTime", "1.3.6.1.5.5.7.24.1", "id-aa-failInfoText"}


def test_hresult_is_a_signed_decimal_and_the_message_a_utf8_string(
    success: Captured, failure: Captured
) -> None:
    error, message = failure.value(ERROR), success.value(SERVER_MESSAGE)
    assert (error.type, error.value) == ("PRINTABLESTRING", "-2147024809")
    assert (message.type, message.line.content) == ("UTF8STRING", b"Issued")


def test_content_of_failure_and_pending_is_one_octet_00(failure: Captured, pending: Captured) -> None:
    for reply in (failure, pending):
        assert reply.signed_data[2][0].value == "pkcs7-data"
        assert reply.signed_data[2][1][0].type == "OCTET STRING"
        assert reply.content == b"\x00"
        assert reply.value("messageDigest").line.content == hashlib.sha1(b"\x00").digest()


def test_envelope_has_the_algorithms_of_the_profile(success: Captured) -> None:
    outer = parse(success.content)
    assert outer[0].value == "pkcs7-envelopedData"
    enveloped = outer[1][0]
    assert enveloped[0].value in ("", "00")
    (recipient,) = enveloped[1].children
    transport, encrypted = recipient[2], enveloped[2]
    if success.profile == "ndes-2019":
        assert [transport[0].value, transport[1].line.raw] == ["rsaesOaep", b"\x30\x00"]
        assert encrypted[1][0].value == "aes-128-cbc"
    else:
        assert [transport[0].value, transport[1].line.raw] == ["rsaEncryption", b"\x05\x00"]
        assert encrypted[1][0].value == "des-ede3-cbc"
    assert encrypted[2].line.raw[0] == 0x80  # primitive [0]


def test_openssl_verifies_every_reply_with_the_certificate_of_get_ca_cert(
    any_reply: Captured, bench: Bench, tmp_path: Path
) -> None:
    signing = tmp_path / "ra.der"
    signing.write_bytes(bench.bundle[0])
    reply = tmp_path / "reply.der"
    reply.write_bytes(any_reply.octets)
    openssl = require_peer("openssl")
    pem = tmp_path / "ra.pem"
    subprocess.run([openssl, "x509", "-inform", "DER", "-in", signing, "-out", pem], check=True)
    run = subprocess.run(
        [openssl, "cms", "-verify", "-inform", "DER", "-in", reply, "-certfile", pem, "-noverify", "-binary"],
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == any_reply.content


def test_get_ca_cert_sends_signing_encryption_issuing_ca_and_root(bench: Bench) -> None:
    answer = wire.get(bench.url(), "operation=GetCACert&message=default")
    assert answer.header("Content-Type") == "application/x-x509-ca-ra-cert"
    certificates = [parse(certificate.line.raw) for certificate in parse(answer.body)[1][0][3].children]
    subjects = [certificate[0][5].line.raw for certificate in certificates]
    issuers = [certificate[0][3].line.raw for certificate in certificates]
    assert subjects[0] == subjects[1]
    assert len(certificates) == 4
    assert issuers[:3] == [subjects[2], subjects[2], subjects[3]]
    assert issuers[3] == subjects[3]
    usages = [_key_usage(certificate) for certificate in certificates[:2]]
    assert usages == ["0780", "0520"]  # unused bits, then digitalSignature, keyEncipherment


def test_capabilities_are_the_keywords_known_of_ndes(bench: Bench) -> None:
    answer = wire.get(bench.url(), "operation=GetCACaps&message=default")
    assert answer.header("Content-Type") == "text/plain"
    assert answer.body.decode().splitlines() == [
        "POSTPKIOperation",
        "Renewal",
        "SHA-512",
        "SHA-256",
        "SHA-1",
        "DES3",
    ]


def _key_usage(certificate: Element) -> str:
    for extension in certificate[0].children[-1][0].children:
        if extension[0].value == "X509v3 Key Usage":
            return extension.children[-1].line.content[2:].hex()
    raise AssertionError("no key usage")
