"""4S: the attacks of the reference, and the countermeasure that stands against each.

Most countermeasures are rows of the tables; `COVERED` says which, and the tests below are for the rest.
"""

from __future__ import annotations

import hashlib
import socket
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from flow import (
    rows_4a,
    rows_4b,
    rows_4b_signer,
    rows_4c,
    rows_4d,
    rows_4d_wishes,
    rows_4e,
    rows_4e_holders,
    rows_4f,
    test_conversations,
    test_leaks,
    test_races,
)
from flow.stand import Stand
from forge import asn1, openssl, wire
from forge.bench import Bench, HttpRequest, Log
from forge.certificates import AIA, CDP, CertificateForge, extension, read_certificate, uri
from forge.envelope import Password
from forge.keys import KeyPool
from forge.reply import SUCCESS, Reply, read_degenerate

from scep_server.ca_certificates import NextCa
from scep_server.operations import ScepService
from scep_server.ra import KeyMessageSigner, RaIdentity

CHALLENGE_TEXT = "The challenge password is missing or was not accepted."

# Attack: rows of the tables (N..) and tests that hold its countermeasure.
COVERED: dict[str, tuple[str, ...]] = {
    "S01": (
        "N86",
        "test_generated_challenges_cannot_be_guessed",
        "test_guesses_are_braked_by_address_and_by_endpoint",
        "test_requests_of_one_address_are_limited",
    ),
    "S02": ("N94", "test_unbound_challenge_is_logged_as_such"),
    "S03": ("N105", "test_of_200_clients_racing_for_one_challenge_exactly_one_wins"),
    "S04": ("N40", "N109", "test_no_message_type_goes_round_the_challenge"),
    "S05": ("N64", "N66", "N67", "test_every_undecryptable_case_has_the_same_reply"),
    "S06": ("N67", "N70", "test_every_undecryptable_case_has_the_same_reply"),
    "S07": ("test_signature_is_judged_before_anything_is_decrypted",),
    "S08": ("N108",),
    "S09": ("N89", "N90", "N91", "N92", "N93"),
    "S10": ("N47",),
    "S11": ("N102", "N104", "N107"),
    "S12": ("N43", "N65", "test_weak_algorithms_leave_a_word_in_the_log"),
    "S13": ("N107", "N115", "test_polls_tell_strangers_nothing"),
    "S14": ("N39", "N41", "test_reply_stays_small_at_its_largest"),
    "S15": ("N120", "N121", "N122", "N123", "N124", "N125", "N126"),
    "S16": ("test_nothing_is_fetched_for_a_signer",),
    "S17": ("test_log_lines_stay_lines",),
    "S18": ("test_authority_key_never_opens_an_envelope",),
    "S19": ("N24", "test_next_authority_is_vouched_for_by_the_present_one"),
    "S20": ("N14", "N26"),
    "S21": ("test_password_recipients_need_generated_challenges",),
    "S22": ("test_challenges_are_not_in_the_database",),
    "S23": ("test_challenges_are_not_in_the_database",),
    "S24": ("N39", "N41", "test_ra_certificates_are_good_for_nothing_else"),
}


def test_every_attack_has_its_countermeasure_tested() -> None:
    tables = (
        rows_4a, rows_4b, rows_4b_signer, rows_4c, rows_4d, rows_4d_wishes, rows_4e, rows_4e_holders, rows_4f,
    )  # fmt: skip
    rows = {row.id for table in tables for row in table.ROWS}
    rows |= {id_ for table in tables for id_ in getattr(table, "CONVERSATIONS", {})}
    modules = (test_conversations, test_leaks, test_races)
    assert list(COVERED) == [f"S{number:02d}" for number in range(1, 25)]
    for attack, where in COVERED.items():
        for one in where:
            is_test = one in globals() or any(hasattr(module, one) for module in modules)
            assert one in rows or is_test, f"{attack} names {one}, which is not there"


def test_generated_challenges_cannot_be_guessed(bench: Bench) -> None:
    challenges = {bench.desk.new_challenge() for _ in range(20)}
    assert len(challenges) == 20
    for challenge in challenges:
        assert len(bytes.fromhex(challenge)) >= 16
        assert challenge == challenge.upper()  # only what Windows puts into a PrintableString


def test_guesses_are_braked_by_address_and_by_endpoint(braked_bench: Bench) -> None:
    """After so many wrong challenges good ones are refused too, in the same words, for a while."""
    bench = braked_bench

    def asks(address: str, challenge: str | None = None, endpoint: str = "default") -> Reply:
        request = bench.request(endpoint=endpoint, challenge=challenge or bench.new_challenge())
        return bench.reply(request, test_conversations.sent_from(address, bench, request))

    def is_wrong(reply: Reply) -> bool:
        return (reply.status, reply.fail_info, reply.fail_info_text) == ("2", 2, CHALLENGE_TEXT)

    mark = len(bench.log.lines)
    assert all(is_wrong(asks("192.0.2.1", f"guess {number}")) for number in range(5))
    assert "too many wrong challenges" in bench.log.since(mark)
    assert "guess" not in bench.log.since(mark)
    assert is_wrong(asks("192.0.2.1"))
    assert asks("192.0.2.2").status == SUCCESS
    for number in range(7):
        assert is_wrong(asks(f"198.51.100.{number}", "guess"))
    assert is_wrong(asks("192.0.2.2"))
    assert asks("192.0.2.2", endpoint="tolerant").status == SUCCESS
    bench.desk.advance(timedelta(seconds=30))
    assert asks("192.0.2.1").status == SUCCESS


def test_requests_of_one_address_are_limited(braked_bench: Bench) -> None:
    """HTTP says when to come back, and the message is not looked at: a good challenge stays good."""
    bench = braked_bench
    fields = {"X-Forwarded-For": "2001:db8::1"}
    asked = [wire.get(bench.url(), "operation=GetCACaps", fields=fields).status for _ in range(41)]
    assert asked == [200] * 40 + [429]
    request = bench.request()
    before = bench.state()
    answer = test_conversations.sent_from("2001:db8::2", bench, request)
    assert (answer.status, answer.header("Retry-After")) == (429, "1")
    bench.demand_unchanged(before)
    bench.desk.advance(timedelta(seconds=1))
    assert bench.enrolled(
        request, bench.reply(request, test_conversations.sent_from("2001:db8::2", bench, request))
    )


@pytest.mark.parametrize("kind", ["0", "3", "17", "18", "20", "21", "22", "23", "-19", "19.0"])
def test_no_message_type_goes_round_the_challenge(bench: Bench, kind: str) -> None:
    """A good CSR without a challenge, under every messageType but PKCSReq: never a certificate."""
    request = bench.request(challenge=None, message_type=kind)
    before = bench.state()
    reply = bench.send(request)
    assert reply.status == "2"
    bench.demand_unchanged(before)


def test_every_undecryptable_case_has_the_same_reply(bench: Bench) -> None:
    """Status, failInfo, attributes, their sizes and the length of the reply: all the same."""
    shapes = {}
    rows = [row for row in rows_4c.ROWS if row.expected == rows_4c.UNDECRYPTABLE and row.id != "N71"]
    assert len(rows) > 30
    for row in rows:
        request = row.build(bench)
        assert not isinstance(request, HttpRequest)
        answer = request.send(bench)
        reply = bench.reply(request, answer)
        sizes = {dotted: len(node.content) for dotted, node in reply.attributes.items()}
        names = tuple(sorted((name, value) for name, value in answer.headers if name != "Date"))
        shapes[str(row)] = (reply.fail_info, reply.words, reply.hresult, tuple(sorted(sizes.items())), names)
    assert len(set(shapes.values())) == 1, shapes


@pytest.mark.parametrize(
    "envelope",
    [{"cipher": "rc2"}, {"ciphertext": b"x"}, {"outer_type": "1.2.3.4"}, {"content_type": "1.2.3"}],
)
def test_signature_is_judged_before_anything_is_decrypted(bench: Bench, envelope: dict[str, object]) -> None:
    """With a wrong signature every envelope has the same answer, so nobody looked into it."""
    good = bench.request()
    spoilt = bench.request(envelope=envelope, message={"signature": b"\x01" * 256})
    plain = bench.request(message={"signature": b"\x01" * 256})
    replies = [bench.send(one) for one in (spoilt, plain)]
    assert {(reply.fail_info, reply.words, reply.hresult) for reply in replies} == {
        (1, replies[1].words, replies[1].hresult)
    }
    assert replies[0].words
    bench.enrolled(good)


def test_weak_algorithms_leave_a_word_in_the_log(bench: Bench) -> None:
    for options, word in (
        ({"message": {"digest": "md5"}}, "md5"),
        ({"envelope": {"cipher": "des"}}, "des"),
    ):
        mark = len(bench.log.lines)
        bench.enrol(**options)  # type: ignore[arg-type]
        assert word in bench.log.since(mark).lower()
        mark = len(bench.log.lines)
        bench.enrol()
        assert word not in bench.log.since(mark).lower().replace("description", "")


def test_unbound_challenge_is_logged_as_such(bench: Bench) -> None:
    mark = len(bench.log.lines)
    bench.enrol()
    assert "unbound" in bench.log.since(mark)
    mark = len(bench.log.lines)
    bench.enrol(
        challenge=bench.new_challenge(subject="CN=bound-2.lab.example"),
        csr={"subject": rows_4d.common_name("bound-2.lab.example")},
    )
    assert "unbound" not in bench.log.since(mark)


def test_polls_tell_strangers_nothing(bench: Bench) -> None:
    """Unknown, someone else's and granted transactions: one and the same answer to a stranger."""
    waiting = bench.request(endpoint="manual")
    assert bench.send(waiting).status == "3"
    granted = bench.request(endpoint="manual")
    bench.send(granted)
    bench.desk.approve(granted.sent.transaction_id)
    denied = bench.request(endpoint="manual")
    bench.send(denied)
    bench.desk.deny(denied.sent.transaction_id)
    never = bench.request(endpoint="manual", challenge=None)
    seen = set()
    for target in (waiting, granted, denied, never):
        stranger = bench.request(challenge=None)
        poll = bench.poll(target, key=stranger.key, certificate=stranger.sent.certificate)
        reply = bench.send(poll)
        seen.add((reply.status, reply.fail_info, reply.words, reply.hresult, len(reply.raw)))
    assert len(seen) == 1


def test_nothing_is_fetched_for_a_signer(bench: Bench) -> None:
    """URLs in a stranger's certificate are his to choose: nobody connects to them."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.5)
        url = uri(f"http://127.0.0.1:{trap.getsockname()[1]}/")
        points = extension(CDP, asn1.seq(asn1.seq(asn1.explicit(0, asn1.explicit(0, url)))))
        methods = ("1.3.6.1.5.5.7.48.1", "1.3.6.1.5.5.7.48.2")
        access = extension(AIA, asn1.seq(*(asn1.seq(asn1.oid(method), url) for method in methods)))

        def watch() -> None:
            try:
                connections.append(trap.accept())
            except TimeoutError:
                return

        watcher = threading.Thread(target=watch)
        watcher.start()
        bench.enrol(signer={"extensions": [points, access]})
        stranger = bench.keys.fresh()
        foreign = CertificateForge(
            key=stranger,
            issuer=read_certificate(bench.authority_certificate).subject,
            issuer_key=bench.keys.other,
            extensions=[points, access],
        ).encode()
        request = bench.request(key=stranger, certificate=foreign, message_type=17, challenge=None)
        assert bench.send(request).fail_info == 1
        watcher.join()
    assert not connections


def test_authority_key_never_opens_an_envelope(bench: Bench) -> None:
    """Where there is an RA, an envelope for the CA itself is for nobody here (RFC 8894 7.2)."""
    recipient = bench.recipient(certificate=bench.authority_certificate)
    request = bench.request(envelope={"recipients": [recipient]})
    before = bench.state()
    reply = bench.send(request)
    assert (reply.status, reply.fail_info) == ("2", 1)
    bench.demand_unchanged(before)


def test_next_authority_is_vouched_for_by_the_present_one(fresh_bench: Bench, tmp_path: Path) -> None:
    stand = fresh_bench.desk
    assert isinstance(stand, Stand)
    world = stand.world
    following = CertificateForge(key=fresh_bench.keys.fresh()).encode()
    identity = RaIdentity(certificate=world.authority.certificate, key=stand.issuing_key())
    usual = world.service
    world.service = ScepService(  # type: ignore[assignment]
        settings=world.settings.scep,
        authority=world.authority,
        registration_authority=world.registration_authority,
        challenges=world.challenges,
        store=world.store,
        clock=world.clock,
        entropy=world.entropy,
        codec=world.codec,
        next_ca=NextCa(certificates=(following,), signer=KeyMessageSigner(identity)),
    )
    answer = wire.get(fresh_bench.url(), "operation=GetNextCACert")
    offered = wire.get(fresh_bench.url(), "operation=GetCACaps").body
    world.service = usual
    assert answer.status == 200
    assert answer.header("Content-Type") == "application/x-x509-next-ca-cert"
    assert b"GetNextCACert\n" in offered
    (tmp_path / "present.pem").write_bytes(
        openssl.run("x509", "-inform", "DER", stdin=fresh_bench.authority_certificate)
    )
    content = openssl.run(
        "cms", "-verify", "-binary", "-inform", "DER", "-partial_chain", "-purpose", "any",
        "-attime", str(int(stand.clock.now().timestamp())),
        "-CAfile", str(tmp_path / "present.pem"), "-certfile", str(tmp_path / "present.pem"),
        stdin=answer.body,
    )  # fmt: skip
    assert read_degenerate(content).certificates == (following,)


def test_password_recipients_need_generated_challenges(bench: Bench) -> None:
    """A password that people chose can be guessed from one captured message: it opens nothing (7.3)."""
    challenge = bench.new_challenge(password="Summer2026")
    request = bench.request(
        key=bench.keys.ec(),
        challenge=challenge,
        csr={"key": bench.keys.fresh()},
        envelope={"recipients": [Password(password=challenge.encode())], "version": 3},
        endpoint="pwri",
    )
    before = bench.state()
    reply = bench.send(request)
    assert (reply.status, reply.fail_info) == ("2", 1)
    bench.demand_unchanged(before)
    bench.enrol(challenge=challenge)  # it is good for everything else


def test_challenges_are_not_in_the_database(key_pool: KeyPool, log: Log) -> None:
    """Neither as they are nor as a digest that a list of guesses could be compared with."""
    stand = Stand(endpoints={"default": {}})
    try:
        bench = Bench(stand, key_pool, log)
        bench.new_challenge()
        spent = bench.enrol().request.challenge
        assert spent is not None
        database = stand.world.folder.store
        contents = b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))
    finally:
        stand.close()
    assert read_certificate(bench.bundle[0]).subject in contents  # the right files were read
    for challenge in bench.secrets:
        octets = challenge.encode()
        for form in (octets, octets.lower(), bytes.fromhex(challenge)):
            assert form not in contents
        for name in ("md5", "sha1", "sha256", "sha512"):
            digest = hashlib.new(name, octets, usedforsecurity=False)
            assert digest.digest() not in contents
            assert digest.hexdigest().encode() not in contents


def test_ra_certificates_are_good_for_nothing_else(bench: Bench) -> None:
    """Attacker-chosen octets get signed by this key: it must say nothing in any other place."""
    for certificate in (bench.signing_certificate, bench.encryption_certificate):
        found = read_certificate(certificate).extensions
        purposes = {one.dotted for one in asn1.read(found["2.5.29.37"][1]).children}
        assert purposes == {"1.3.6.1.4.1.311.20.2.1"}
        usage = asn1.read(found["2.5.29.15"][1]).content
        assert usage[1] & 0b11011111 == 0 or usage[1] == 0x80
    assert bench.signing_certificate != bench.encryption_certificate


def test_challenge_is_kept_when_the_certificate_is_denied(bench: Bench) -> None:
    """Whoever asks for too much may ask again for less, with the same challenge."""
    challenge = bench.new_challenge()
    refused = bench.request(challenge=challenge, csr={"key": bench.keys.rsa(1024)})
    assert bench.send(refused).fail_info == 0
    bench.enrol(challenge=challenge)


def test_expired_challenge_says_no_more_than_a_wrong_one(bench: Bench) -> None:
    expired = bench.new_challenge(validity=timedelta(minutes=1))
    bench.desk.advance(timedelta(minutes=2))
    used = bench.enrol().request.challenge
    replies = [bench.send(bench.request(challenge=one)) for one in (expired, used, "F" * 32)]
    assert len({(reply.fail_info, reply.words, reply.hresult, len(reply.raw)) for reply in replies}) == 1
