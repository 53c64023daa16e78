"""Orders a client takes, and the folder an enrolment leaves, also when it is cut short."""

from __future__ import annotations

import json
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from small_server import (
    SECRET,
    Authority,
    Server,
    certificate,
    client_of,
    issue_like,
    name,
    order,
)

from lab.assertions import (
    assert_certificate_answers_request,
)
from lab.client import (
    EnrolmentSession,
    HttpTransport,
    Identity,
    InvalidOrder,
    Issued,
    OutputFolder,
    Pending,
    Refused,
    Unreachable,
    generate_key,
    parse_alternative_name,
)
from lab.client.requests import names_to_renew
from lab.client.state import CERTIFICATE_FILE, CHAIN_FILE, KEY_FILE
from scep_server.protocol.codec import ScepCodec
from scep_server.protocol.messages import (
    FailInfo,
)


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def server(authority):
    return Server(authority)


@pytest.mark.parametrize(
    "text", ["dns:a.test", "email:a@b.test", "ip:192.0.2.1", "ip:2001:db8::1", "uri:urn:x", "upn:u@b.test"]
)
def test_reads_alternative_names(text):
    assert parse_alternative_name(text)


@pytest.mark.parametrize("text", ["a.test", "dns:", "ip:300.1.1.1", "dns:ä.test", "fax:1"])
def test_rejects_what_is_no_alternative_name(text):
    with pytest.raises(InvalidOrder, match="subject alternative name"):
        parse_alternative_name(text)


def test_asks_for_the_names_and_the_password_in_the_pkcs10(server):
    csrs = []
    server.issue = lambda request, key: csrs.append(request) or issue_like()(request, key)
    outcome = client_of(server).enrol(order(alternative_names=(parse_alternative_name("dns:a.test"),)))
    (request,) = csrs
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.test"]
    assert (
        request.attributes.get_attribute_for_oid(x509.oid.AttributeOID.CHALLENGE_PASSWORD).value
        == SECRET.encode()
    )
    assert_certificate_answers_request(
        outcome.certificate.der, request.public_bytes(serialization.Encoding.DER)
    )


def test_an_ec_key_needs_a_password(server):
    with pytest.raises(InvalidOrder, match=r"RFC 8894 3\.1"):
        client_of(server).enrol(order(key=generate_key("ecdsa-p256"), challenge_password=None))


def test_rejects_a_key_that_is_not_the_certificates(server):
    issued = client_of(server).enrol(order())
    with pytest.raises(InvalidOrder, match="do not belong together"):
        Identity.of(issued.certificate.der, generate_key("rsa-2048"))


def test_a_renewal_asks_for_the_same_names():
    key = generate_key("rsa-2048")
    octets = certificate("device", key)
    assert names_to_renew(octets) == (name("device").public_bytes(), ())


@pytest.mark.parametrize("url", ["ftp://x/", "http:///scep", "x", "http://u:p@x/"])
def test_rejects_what_is_no_scep_url(url):
    with pytest.raises(InvalidOrder):
        HttpTransport(url=url)


def test_an_url_without_a_path_gets_the_default_path():
    assert HttpTransport(url="http://x").url == "http://x/cgi-bin/pkiclient.exe"


def run(server, folder, *, wait=False, client=None, on_order=order):
    session = EnrolmentSession(
        client=client or client_of(server), url="http://test/scep", folder=OutputFolder(folder)
    )
    return session.enrol(on_order, challenge_password=SECRET, wait=wait, progress=lambda _: None)


def no_order():
    raise AssertionError("a second enrolment was begun")


def test_leaves_key_certificate_and_chain(server, tmp_path):
    run(server, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [CERTIFICATE_FILE, CHAIN_FILE, KEY_FILE]
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    key = serialization.load_pem_private_key((tmp_path / KEY_FILE).read_bytes(), None)
    found = x509.load_pem_x509_certificate((tmp_path / CERTIFICATE_FILE).read_bytes())
    assert found.public_key() == key.public_key()
    assert len(x509.load_pem_x509_certificates((tmp_path / CHAIN_FILE).read_bytes())) == 2


def test_repeats_the_same_request_after_it_was_killed(server, tmp_path):
    server.lost = 9
    with pytest.raises(Unreachable):
        run(server, tmp_path)
    server.lost = 0
    assert isinstance(run(server, tmp_path, on_order=no_order), Issued)
    assert len(set(server.requests)) == 1
    assert len(server.issued) == 1


def test_polls_for_what_was_pending_when_it_ended(server, tmp_path):
    server.pending = 1
    assert isinstance(run(server, tmp_path), Pending)
    assert isinstance(run(server, tmp_path, on_order=no_order), Issued)
    assert ScepCodec().parse(server.requests[-1]).message_type == "20"


def test_state_holds_no_secret_and_is_private(server, tmp_path):
    server.pending = 1
    run(server, tmp_path)
    state = tmp_path / ".enrolment" / "state.json"
    assert SECRET not in state.read_text()
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert json.loads(state.read_text())["stage"] == "pending"


def test_a_refusal_lets_the_next_run_begin_anew(server, tmp_path):
    server.refuse = FailInfo.BAD_REQUEST
    assert isinstance(run(server, tmp_path), Refused)
    server.refuse = None
    assert isinstance(run(server, tmp_path), Issued)


def test_does_not_go_on_at_another_server(server, tmp_path):
    server.pending = 1
    run(server, tmp_path)
    session = EnrolmentSession(client=client_of(server), url="http://other/", folder=OutputFolder(tmp_path))
    with pytest.raises(InvalidOrder, match="is under way"):
        session.enrol(no_order, challenge_password=SECRET, wait=False, progress=lambda _: None)


def test_says_which_state_file_is_broken(server, tmp_path):
    server.pending = 1
    run(server, tmp_path)
    (tmp_path / ".enrolment" / "state.json").write_text("{}")
    with pytest.raises(InvalidOrder, match=r"state\.json cannot be read"):
        run(server, tmp_path)


def test_finishes_an_installation_that_was_cut_short(server, tmp_path, monkeypatch):
    def crash(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(OutputFolder, "finish", crash)
    with pytest.raises(KeyboardInterrupt):
        run(server, tmp_path)
    monkeypatch.undo()
    before = len(server.requests)
    assert isinstance(run(server, tmp_path, on_order=no_order), Issued)
    assert len(server.requests) == before
    assert (tmp_path / KEY_FILE).exists()
    assert not (tmp_path / ".enrolment").exists()
