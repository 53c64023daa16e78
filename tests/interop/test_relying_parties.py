"""What relying parties fetch: openssl and curl ask a running lab for OCSP, CRLs and CA certificates."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from ca_world import HandClock
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from peers import require_peer

from ca import names
from ca.folders import PkiFolder, to_pem
from ca.keys import KeyKind, generate_key
from ca.ocsp_credentials import TEMPLATE
from ca.pkcs10 import parse_request, sign_request
from ca.renewal import renew_issuing
from ca.root import OfflineRoot
from interop.process import Run, run, run_well
from lab import ScepLab
from lab.settings import LabSettings
from lab.world import World

pytestmark = pytest.mark.interop
LATER = "Fri, 01 Jan 2100 00:00:00 GMT"


@pytest.fixture(scope="module")
def scep_lab() -> Iterator[ScepLab]:
    with ScepLab() as started:
        yield started


class RelyingParty:
    """Someone with the root, a certificate, and openssl and curl."""

    def __init__(self, scep_lab: ScepLab, folder: Path) -> None:
        self.lab = scep_lab
        self.folder = folder
        self.leaf = _issue_in(scep_lab.world)
        certificate = x509.load_der_x509_certificate(self.leaf)
        self.serial = certificate.serial_number
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        self.ocsp_url = _url(access, x509.AuthorityInformationAccessOID.OCSP)
        self.issuer_url = _url(access, x509.AuthorityInformationAccessOID.CA_ISSUERS)
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        assert points[0].full_name is not None
        self.crl_url = str(points[0].full_name[0].value)
        (folder / "leaf.pem").write_bytes(to_pem(self.leaf))
        (folder / "root.pem").write_text(scep_lab.root_pem)
        (folder / "issuing.pem").write_bytes(to_pem(scep_lab.world.authority.certificate.der))

    def openssl_ocsp(self, *options: str) -> str:
        done = run_well(
            [
                require_peer("openssl"), "ocsp", "-issuer", "issuing.pem", "-CAfile", "root.pem",
                "-verify_other", "issuing.pem", *options,
            ],
            cwd=self.folder,
        )  # fmt: skip
        return done.stdout.decode() + done.stderr

    def ask(self, *options: str) -> str:
        """Ask by POST and have the answer verified."""
        said = self.openssl_ocsp("-url", self.ocsp_url, *options)
        assert "Response verify OK" in said
        return said

    def curl(self, *options: str | Path, fails: bool = False) -> Run:
        words = [require_peer("curl"), "--silent", "--show-error", "--fail", "--path-as-is", *options]
        return run(words, cwd=self.folder) if fails else run_well(words, cwd=self.folder)


def _issue_in(world: World) -> bytes:
    csr = sign_request(names.build_name("CN=device,O=Example"), generate_key(KeyKind.ECDSA_P256))
    with world.store.transaction() as transaction:
        prepared = world.authority.prepare(
            transaction, parse_request(csr), template="SCEP-Client-Auth", requester="device"
        )
        return world.authority.issue(transaction, prepared).der


def _url(access: x509.AuthorityInformationAccess, method: x509.ObjectIdentifier) -> str:
    return next(str(each.access_location.value) for each in access if each.access_method == method)


@pytest.fixture
def party(scep_lab: ScepLab, tmp_path: Path) -> RelyingParty:
    return RelyingParty(scep_lab, tmp_path)


# -- OCSP ------------------------------------------------------------------------------


def test_openssl_asks_where_the_certificate_says_and_sees_a_revocation_at_once(party: RelyingParty) -> None:
    assert party.ocsp_url == party.lab.ocsp_url
    said = party.ask("-cert", "leaf.pem", "-serial", "0x1234")
    assert "leaf.pem: good" in said
    assert "0x1234: unknown" in said
    assert "WARNING" not in said  # the nonce came back
    assert "leaf.pem: good" in party.ask("-no_nonce", "-cert", "leaf.pem")
    party.lab.revoke(f"{party.serial:x}", "keyCompromise")
    for options in (("-no_nonce",), ()):
        said = party.ask(*options, "-cert", "leaf.pem")
        assert "leaf.pem: revoked" in said
        assert "Reason: keyCompromise" in said


def test_openssl_is_told_that_a_foreign_issuer_is_not_answered_for(party: RelyingParty) -> None:
    done = run(
        [
            require_peer("openssl"),
            "ocsp",
            "-issuer",
            "root.pem",
            "-cert",
            "issuing.pem",
            "-url",
            party.ocsp_url,
        ],
        cwd=party.folder,
    )
    assert "Responder Error: unauthorized (6)" in done.stdout.decode() + done.stderr


def _forms(request: bytes) -> dict[str, str]:
    text = base64.b64encode(request).decode()
    return {
        "percent-encoded": "/ocsp/" + quote(text, safe=""),
        "as-it-is": f"/ocsp/{text}",
        "two-slashes": f"/ocsp//{text}",
        "three-slashes-in-front": f"///ocsp/{text}",
        "upper-case": f"/OCSP/{text}",
        "half-encoded": f"/oCsP/{text.replace('+', '%2b')}",
    }


@pytest.mark.parametrize("form", _forms(b""))
def test_curl_gets_the_same_answer_by_get_however_it_writes_the_path(party: RelyingParty, form: str) -> None:
    for digest in (
        "-sha1",
        "-sha256",
        "-sha384",
        "-sha512",
    ) * 5:  # until base64 has all that is odd in a path
        if digest == "-sha1":
            party = RelyingParty(party.lab, party.folder)
        party.openssl_ocsp(digest, "-no_nonce", "-cert", "leaf.pem", "-reqout", "request.der")
        request = (party.folder / "request.der").read_bytes()
        if {"+", "/"} <= set(base64.b64encode(request).decode()):
            break
    url = party.lab.pki_url + _forms(request)[form]
    party.curl("--output", "answer.der", "--dump-header", "headers", url)
    assert "content-type: application/ocsp-response\n" in (party.folder / "headers").read_text().lower()
    said = party.openssl_ocsp(digest, "-respin", "answer.der", "-no_nonce", "-cert", "leaf.pem")
    assert "Response verify OK" in said
    assert "leaf.pem: good" in said


def test_curl_posts_and_heads_and_is_told_its_copy_is_still_good(party: RelyingParty) -> None:
    party.openssl_ocsp("-no_nonce", "-cert", "leaf.pem", "-reqout", "request.der")
    text = base64.b64encode((party.folder / "request.der").read_bytes()).decode()
    url = f"{party.ocsp_url}/{quote(text, safe='')}"
    media_type = "Content-Type: application/ocsp-request"
    posted = party.curl("--header", media_type, "--data-binary", "@request.der", party.ocsp_url).stdout
    got = party.curl("--etag-save", "etag", url).stdout
    assert posted == got
    assert f"content-length: {len(got)}\r\n" in party.curl("--head", url).stdout.decode().lower()
    again = party.curl("--etag-compare", "etag", "--write-out", "%{http_code}", url)
    assert again.stdout == b"304"
    party.lab.revoke(f"{party.serial:x}")
    assert party.curl("--etag-compare", "etag", url).stdout not in (b"", got)
    party.curl("--time-cond", "now", "--output", "revoked.der", url)
    assert "leaf.pem: revoked" in party.openssl_ocsp(
        "-respin", "revoked.der", "-no_nonce", "-cert", "leaf.pem"
    )


def test_a_body_beyond_all_requests_is_refused(party: RelyingParty) -> None:
    (party.folder / "big").write_bytes(b"0" * 20_000)
    done = party.curl(
        "--header", "Content-Type: application/ocsp-request", "--data-binary", "@big",
        "--write-out", "%{http_code}", party.ocsp_url, fails=True,
    )  # fmt: skip
    assert done.stdout == b"413"


def test_answers_go_on_while_the_responders_certificate_is_replaced(tmp_path: Path) -> None:
    clock = HandClock()
    with ScepLab(clock=clock) as scep_lab:
        party = RelyingParty(scep_lab, tmp_path)
        for _ in range(4):
            now = int(clock.now().timestamp())
            times = ("-attime", str(now), "-validity_period", "999999999")
            assert "leaf.pem: good" in party.ask("-cert", "leaf.pem", *times)
            clock.advance(days=13)
        assert len(scep_lab.certificates(template=TEMPLATE)) == 4


def test_a_renewed_ca_answers_for_its_earlier_key_too(tmp_path: Path) -> None:
    clock, settings = HandClock(), LabSettings()
    folder = PkiFolder(tmp_path / "pki")
    before = World.make(folder, settings, clock=clock, entropy=os.urandom, durable=False)
    leaves = [_issue_in(before)]
    (tmp_path / "issuer0.pem").write_bytes(to_pem(before.authority.certificate.der))
    before.close()
    root = OfflineRoot.open(folder, settings.pki, clock=clock)
    for new_key in (True, False):
        renew_issuing(folder, settings.pki, root=root, entropy=os.urandom, new_key=new_key)
    after = World(folder, settings, clock=clock, entropy=os.urandom, durable=False)
    leaves.append(_issue_in(after))
    (tmp_path / "issuer1.pem").write_bytes(to_pem(after.authority.certificate.der))
    (tmp_path / "root.pem").write_bytes(to_pem(after.root.der))
    openssl = require_peer("openssl")
    for number, leaf in enumerate(leaves):
        (tmp_path / "leaf.pem").write_bytes(to_pem(leaf))
        issuer = ("-issuer", f"issuer{number}.pem", "-no_nonce", "-cert", "leaf.pem")
        run_well([openssl, "ocsp", *issuer, "-reqout", "request.der"], cwd=tmp_path)
        (tmp_path / "answer.der").write_bytes(after.answer((tmp_path / "request.der").read_bytes()).der)
        judged = (
            "-respin", "answer.der", "-CAfile", "root.pem", "-verify_other", f"issuer{number}.pem",
            "-attime", str(int(clock.now().timestamp())), "-validity_period", "999999999",
        )  # fmt: skip
        done = run_well([openssl, "ocsp", *issuer, *judged], cwd=tmp_path)
        assert "leaf.pem: good" in done.stdout.decode()
        assert "Response verify OK" in done.stderr
    after.close()


# -- CRL and AIA -----------------------------------------------------------------------


def _p7c(url: str) -> str:
    return url.removesuffix(".crt") + ".p7c"


def test_the_issuer_comes_as_a_certificate_and_as_a_message(party: RelyingParty) -> None:
    issuing = party.lab.world.authority.certificate.der
    assert party.curl(party.issuer_url).stdout == issuing
    party.curl("--output", "ca.p7c", "--write-out", "%{content_type}", _p7c(party.issuer_url))
    said = run_well(
        [require_peer("openssl"), "pkcs7", "-inform", "DER", "-in", "ca.p7c", "-print_certs"],
        cwd=party.folder,
    )
    assert x509.load_pem_x509_certificate(said.stdout).public_bytes(Encoding.DER) == issuing
    (party.folder / "found.pem").write_bytes(said.stdout)
    run_well(
        [require_peer("openssl"), "verify", "-CAfile", "root.pem", "-untrusted", "found.pem", "leaf.pem"],
        cwd=party.folder,
    )


@pytest.mark.parametrize("which", ["crl", "crt", "p7c", "root.crt", "root.p7c", "root.crl"])
def test_every_file_comes_whole_in_parts_and_only_when_changed(party: RelyingParty, which: str) -> None:
    locations = party.lab.world.root_locations
    root = f"{party.lab.pki_url}/CertEnroll/{quote(locations.certificate_file)}"
    url, media_type = {
        "crl": (party.crl_url, "application/pkix-crl"),
        "crt": (party.issuer_url, "application/pkix-cert"),
        "p7c": (_p7c(party.issuer_url), "application/pkcs7-mime"),
        "root.crt": (root, "application/pkix-cert"),
        "root.p7c": (_p7c(root), "application/pkcs7-mime"),
        "root.crl": (f"{party.lab.pki_url}/CertEnroll/{quote(locations.crl_file)}", "application/pkix-crl"),
    }[which]
    whole = party.curl("--etag-save", "etag", url).stdout
    assert party.curl("--write-out", "%{content_type}", "--output", "x", url).stdout.decode() == media_type
    middle = len(whole) // 2
    parts = [party.curl("--range", span, url).stdout for span in (f"0-{middle - 1}", f"{middle}-")]
    assert b"".join(parts) == whole
    (party.folder / "begun").write_bytes(whole[:100])
    party.curl("--continue-at", "-", "--output", "begun", url)
    assert (party.folder / "begun").read_bytes() == whole
    for options in (["--etag-compare", "etag"], ["--header", f"If-Modified-Since: {LATER}"]):
        assert party.curl(*options, "--write-out", "%{http_code}", url).stdout == b"304"
    beyond = party.curl("--range", f"{len(whole)}-", "--write-out", "%{http_code}", url, fails=True)
    assert beyond.stdout == b"416"
    head = party.curl("--head", url).stdout.decode().lower()
    assert f"content-length: {len(whole)}\r\n" in head
    assert "accept-ranges: bytes\r\n" in head
    assert _old_client(url).partition(b"\r\n\r\n")[2] == whole


def test_an_old_client_gets_ocsp_without_a_host_header(party: RelyingParty) -> None:
    party.openssl_ocsp("-no_nonce", "-cert", "leaf.pem", "-reqout", "request.der")
    text = base64.b64encode((party.folder / "request.der").read_bytes()).decode()
    head, _, body = _old_client(f"{party.ocsp_url}/{text}").partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0]
    (party.folder / "answer.der").write_bytes(body)
    assert "leaf.pem: good" in party.openssl_ocsp("-respin", "answer.der", "-no_nonce", "-cert", "leaf.pem")


def _old_client(url: str) -> bytes:
    """Return what HTTP/1.0 without any header gets, until the connection is closed."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(f"GET {parts.path} HTTP/1.0\r\n\r\n".encode())
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received
