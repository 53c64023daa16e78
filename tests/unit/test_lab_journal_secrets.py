"""What is secret in an exchange is blanked, keeps its length, and is all that changes."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from forge import asn1
from forge.certificates import CertificateForge
from forge.csr import CsrForge
from forge.keys import of
from forge.message import PkiMessage
from hypothesis import given
from hypothesis import strategies as st
from journal_samples import recorded
from lab_client import client_key

from lab.decoding import explain
from lab.journal import Journal
from lab.journal.secrets import blanked_octets, without_credentials
from scep_server.ndes.pages import PasswordPage, encode_page, password_page

SECRET = "S3cret-Passw0rd"
CHALLENGE_PASSWORD = "1.2.840.113549.1.9.7"


@pytest.fixture(scope="module")
def key():
    return of(client_key())


@pytest.fixture(scope="module")
def csr(key):
    return CsrForge(key=key, challenge=SECRET).encode()


@pytest.fixture(scope="module")
def naked(key, csr):
    """A message of a client that forgot the envelope."""
    certificate = CertificateForge(key=key).encode()
    return PkiMessage(key=key, certificate=certificate, content=csr, transaction_id="F00D").encode()


def attribute(value: bytes) -> bytes:
    return asn1.tlv(0x30, asn1.oid(CHALLENGE_PASSWORD) + value)


def test_a_request_keeps_its_length_and_all_but_the_password(csr):
    blanked = blanked_octets(csr)
    changed = [index for index in range(len(csr)) if csr[index] != blanked[index]]
    assert len(blanked) == len(csr)
    start = csr.index(SECRET.encode())
    assert changed == list(range(start, start + len(SECRET)))
    (tree,) = explain(blanked)
    assert tree.find(f"challengePassword {CHALLENGE_PASSWORD}").value == "*" * len(SECRET)


@pytest.mark.parametrize(
    "value",
    [
        asn1.tlv(0x31, asn1.string(asn1.PRINTABLE, SECRET)),
        asn1.tlv(0x31, asn1.tlv(0x0C, SECRET.encode())),
        asn1.tlv(0x31, asn1.tlv(0x1E, SECRET.encode("utf-16-be"))),
        asn1.tlv(0x31, asn1.tlv(0x04, SECRET.encode())),
        asn1.tlv(0x31, asn1.tlv(0x0C, b"x") + asn1.tlv(0x0C, SECRET.encode())),
        asn1.tlv(0x30, asn1.tlv(0x0C, SECRET.encode())),  # no SET
        asn1.tlv(0x0C, SECRET.encode()),  # nor anything else
        asn1.tlv(0x31, asn1.tlv(0x30, asn1.tlv(0x0C, SECRET.encode()))),
        b"\x31\x80" + asn1.tlv(0x0C, SECRET.encode()) + b"\x00\x00",
        b"\x31\x80\x2c\x80" + asn1.tlv(0x0C, SECRET.encode()) + b"\x00\x00\x00\x00",
        asn1.tlv(0x31, b"\x0c\x7f" + SECRET.encode()),  # claims more than there is
        asn1.tlv(0x31, b"\x0c\x80" + SECRET.encode()),
        b"\x31\x84\x7f\xff\xff\xff" + SECRET.encode(),
        b"\x31" + bytes([len(SECRET) + 2]) + b"\x0c" + bytes([len(SECRET)]) + SECRET.encode()[:6],
    ],
    ids=lambda value: value[:8].hex(),
)
def test_no_way_to_write_the_password_lets_it_through(value):
    octets = attribute(value) + b"what follows"
    blanked = blanked_octets(octets)
    assert len(blanked) == len(octets)
    for encoding in ("ascii", "utf-16-be"):
        assert SECRET[:6].encode(encoding) not in blanked


def test_what_follows_a_password_stays(csr):
    octets = attribute(b"\x31\x80" + asn1.tlv(0x0C, SECRET.encode()) + b"\x00\x00") + csr[-50:]
    assert blanked_octets(octets).endswith(csr[-50:])


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_blanking_never_fails_and_never_changes_a_length(before, after):
    octets = before + asn1.oid(CHALLENGE_PASSWORD) + after
    blanked = blanked_octets(octets)
    assert len(blanked) == len(octets)
    assert blanked.startswith(before)
    assert blanked_octets(blanked) == blanked


def test_a_message_without_an_envelope_is_blanked_in_a_post(naked):
    entry = Journal(5).add(recorded(method="POST", target="/scep?operation=PKIOperation", body=naked))
    assert SECRET.encode() in entry.request.body
    blanked = entry.without_secrets()
    assert blanked.blanked
    assert blanked.request.body == naked.replace(SECRET.encode(), b"*" * len(SECRET))


@pytest.mark.parametrize(
    "escape", [lambda text: quote(text, safe=""), lambda text: text], ids=["escaped", "bare"]
)
def test_a_message_without_an_envelope_is_blanked_in_a_get(naked, escape):
    message = escape(base64.b64encode(naked).decode())
    for target in (
        f"/scep?operation=PKIOperation&message={message}",
        f"/scep?message={message}&operation=PKIOperation",
    ):
        entry = Journal(5).add(recorded(target=target)).without_secrets()
        assert entry.message == naked.replace(SECRET.encode(), b"*" * len(SECRET))
        assert entry.request.target.startswith(target[:12])


def test_a_message_that_hides_nothing_is_sent_and_kept_octet_for_octet(key):
    certificate = CertificateForge(key=key).encode()
    plain = PkiMessage(key=key, certificate=certificate, content=b"x", transaction_id="F00D").encode()
    target = "/scep?operation=PKIOperation&message=" + base64.b64encode(plain).decode()  # nothing escaped
    entry = Journal(5).add(recorded(target=target, body=plain))
    assert entry.without_secrets().request == entry.request


@pytest.mark.parametrize("mode", ["one-time", "single"])
@pytest.mark.parametrize(
    "encode", [encode_page, lambda page: page.encode(), lambda page: encode_page(page, byte_order_mark=True)]
)
@pytest.mark.parametrize("cut", [None, -600])
def test_the_password_on_ndes_page_is_blanked_and_nothing_else(mode, encode, cut):
    page = encode(password_page(PasswordPage(root_md5="AB" * 16, password=SECRET, mode=mode)))[:cut]
    entry = Journal(5).add(recorded(target="/certsrv/mscep_admin/", answer=page)).without_secrets()
    assert len(entry.answer.body) == len(page)
    for encoding in ("ascii", "utf-16-le"):
        assert SECRET.encode(encoding) not in entry.answer.body
    if cut is None:
        assert entry.answer.body == encode(
            password_page(PasswordPage(root_md5="AB" * 16, password="*" * len(SECRET), mode=mode))
        )


def test_what_a_policy_module_generates_is_blanked_whole():
    target = "/certsrv/mscep_admin/mscep.dll?operation=NDESGenerateChallenge&keyUsage=160"
    entry = Journal(5).add(recorded(target=target, answer=SECRET.encode())).without_secrets()
    assert entry.answer.body == b"*" * len(SECRET)


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (("Authorization", "NTLM TlRMTVNTUAAD"), "NTLM (hidden, 12 characters)"),
        (("authorization", "Basic dXNlcjpwYXNz"), "Basic (hidden, 12 characters)"),
        (("Authorization", "my secret words"), "(hidden, 15 characters)"),
        (("Proxy-Authorization", "Negotiate YII"), "Negotiate (hidden, 3 characters)"),
        (("Cookie", "session=1; other=2"), "(hidden, 18 characters)"),
        (("Set-Cookie", "session=1"), "(hidden, 9 characters)"),
        (("WWW-Authenticate", "NTLM"), "NTLM"),
        (("User-Agent", "Basic client"), "Basic client"),
    ],
)
def test_credentials_are_never_kept(header, kept):
    assert without_credentials((header,)) == ((header[0], kept),)
    entry = Journal(5).add(recorded(headers=(header,), answer_headers=(header,)))
    assert entry.request.headers == entry.answer.headers == ((header[0], kept),)
