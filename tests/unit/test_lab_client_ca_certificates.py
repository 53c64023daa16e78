"""Which CA certificates are believed, and what is made of GetCACaps."""

from __future__ import annotations

import pytest
from small_server import (
    CA_USAGES,
    DAY,
    Authority,
    Server,
    certificate,
    client_of,
    order,
    reply,
)

from lab.client import (
    Capabilities,
    CaTrust,
    HttpRefused,
    InvalidOrder,
    Issued,
    Preferences,
    UntrustedCa,
    generate_key,
)
from lab.client.capabilities import choose
from lab.trust import TrustAnchors, X509Certificate


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def server(authority):
    return Server(authority)


@pytest.mark.parametrize("digest", ["sha256", "sha1", "md5"])
@pytest.mark.parametrize("who", ["root", "issuing"])
def test_trusts_by_fingerprint_of_any_ca(server, who, digest):
    found = X509Certificate.read(server.certificates[who])
    text = getattr(found, digest).upper()
    colons = ":".join(text[place : place + 2] for place in range(0, len(text), 2))
    client = client_of(server, trust=CaTrust(fingerprints=(colons,)))
    assert isinstance(client.enrol(order()), Issued)
    assert any("MD5" in warning for warning in client.warnings) == (digest == "md5")


def test_trusts_by_ca_file_even_if_the_root_is_not_sent(server, authority):
    root = X509Certificate.read(server.certificates["root"])
    server.bag = [server.certificates[who] for who in ("issuing", "signing", "encryption")]
    trust = CaTrust(anchors=TrustAnchors.of([root], origin="a file"))
    assert isinstance(client_of(server, trust=trust).enrol(order()), Issued)


def test_refuses_to_start_without_anything_to_trust():
    with pytest.raises(InvalidOrder, match=r"RFC 8894 2\.1\.1"):
        CaTrust()


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32])
def test_rejects_what_is_no_fingerprint(text):
    with pytest.raises(InvalidOrder, match="is no fingerprint"):
        CaTrust(fingerprints=(text,))


def distrusts(server, says, code, trust=None):
    with pytest.raises(UntrustedCa, match=says) as caught:
        client_of(server, trust=trust).enrol(order())
    assert caught.value.hresult.code == code
    assert not server.requests


def test_distrusts_a_ca_with_another_fingerprint(server):
    distrusts(server, "has the fingerprint", 0x80091007, CaTrust(fingerprints=("ab" * 32,)))


def test_distrusts_the_fingerprint_of_an_ra(server):
    registrar = X509Certificate.read(server.certificates["signing"])
    distrusts(server, "has the fingerprint", 0x80091007, CaTrust(fingerprints=(registrar.sha256,)))


def test_distrusts_an_expired_ra(server, authority):
    expired = authority.make(start=-2 * DAY, end=-DAY)
    server.bag = [
        expired["signing"],
        expired["encryption"],
        server.certificates["issuing"],
        server.certificates["root"],
    ]
    distrusts(server, "notAfter was", 0x800B0101)


def test_distrusts_a_bag_of_strangers_under_a_known_root(server):
    stranger = certificate(
        "Issuing", generate_key("rsa-2048"), "Root", generate_key("rsa-2048"), ca=True, usages=CA_USAGES
    )
    server.bag = [stranger, server.certificates["root"]]
    distrusts(server, "signature under the key of CN=Root is invalid", 0x80096004)


def test_distrusts_a_bag_without_a_ca(server):
    server.bag = [server.certificates["signing"]]
    distrusts(server, "no CA certificate", 0x8010002C)


def test_insecure_is_said_aloud(server):
    client = client_of(server, trust=CaTrust(insecure=True))
    assert isinstance(client.enrol(order()), Issued)
    assert any("not authenticated" in warning for warning in client.warnings)


def test_reads_html_instead_of_ca_certificates_as_what_it_is(server):
    server.query = lambda operation, message=None: reply(b"<html>", "text/html")
    with pytest.raises(UntrustedCa, match="text/html") as caught:
        client_of(server).enrol(order())
    assert caught.value.hresult.code == 0x8009310B


def test_takes_an_http_error_on_get_ca_caps_for_no_capabilities(server):
    whole = server.query
    server.query = lambda operation, message=None: (
        reply(b"", "", 404) if operation == "GetCACaps" else whole(operation)
    )
    client = client_of(server)
    assert client.capabilities == Capabilities()
    assert isinstance(client.enrol(order()), Issued)
    assert server.posted == [False]
    assert any("SHA-1 is used" in warning for warning in client.warnings)


def test_does_not_take_an_http_error_on_get_ca_cert(server):
    server.query = lambda operation, message=None: reply(b"no such thing", "text/plain", 404)
    with pytest.raises(HttpRefused, match="no such thing") as caught:
        client_of(server).enrol(order())
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("body", "digest", "cipher", "post"),
    [
        (b"AES\nSHA-256\nPOSTPKIOperation", "sha256", "AES_128_CBC", True),
        (b"aes\r\nsha-512\r\n\r\n", "sha512", "AES_128_CBC", False),
        (b"SCEPStandard", "sha256", "AES_128_CBC", True),
        (b"DES3\nSHA-1\nPOSTPKIOperation\nExample.com-Thing", "sha1", "DES_EDE3_CBC", True),
        (b"", "sha1", "DES_EDE3_CBC", False),
        (b"<html>\xff", "sha1", "DES_EDE3_CBC", False),
    ],
)
def test_chooses_the_best_that_is_announced_and_never_des_or_md5(body, digest, cipher, post):
    chosen = choose(Capabilities.parse(body), Preferences())
    assert (chosen.digest.hash_name, chosen.cipher.name, chosen.post) == (digest, cipher, post)
