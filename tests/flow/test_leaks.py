"""4G: what a stranger sends must not come back in a log, a name, a page or an answer (N130 to N135)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import NoReturn

import pytest
from flow.process import UpProcess
from flow.stand import Stand
from flow.test_killed import OutsideDesk
from forge import asn1, wire
from forge.bench import Bench, Log
from forge.certificates import AIA, CDP, common_name, read_certificate
from forge.keys import KeyPool
from forge.message import TRANSACTION_ID

from ca.folders import PkiFolder
from ca.records import StoreUnavailable
from scep_server.exchange import HttpExchangeRequest, HttpReply

# Row of the reference: the test that asserts it.
COVERED = {
    "N130": "test_log_lines_stay_lines",
    "N131": "test_refusals_for_one_reason_have_one_text",
    "N132": "test_names_in_a_certificate_choose_no_path",
    "N133": "test_secrets_are_nowhere",
    "N134": "test_parse_errors_are_all_alike",
    "N135": "test_refusals_below_scep_are_plain",
}

NASTY = {
    "newline": "device\r\n2026-01-01T00:00:00Z [info] forged entry",
    "escape": "\x1b[2J\x1b[31mred",
    "format": "%n%s%d{0}",
    "template": "{{1234*5678}}${1234*5678}",
    "formula": "=cmd|'/C calc'!A0",
    "html": "<script>alert(1)</script>",
    "bidi": "\u202egnp.exe",
    "separator": "line\u2028paragraph\u2029end",
    "json": '","verdict":"success","x":"',
}


def test_every_row_of_4g_has_its_test() -> None:
    assert list(COVERED) == [f"N{number}" for number in range(130, 136)]
    for test in COVERED.values():
        assert callable(globals().get(test)), f"{test} is not there"


@pytest.fixture(scope="module", params=["json", "human"])
def logged(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, key_pool: KeyPool, log: Log
) -> Iterator[tuple[str, Bench, UpProcess]]:
    """A lab in a process of its own, whose log is a file."""
    folder = tmp_path_factory.mktemp("logged")
    settings = {"SERVER__LOG_FORMAT": request.param, "SERVER__LOG_LEVEL": "debug"}
    process = UpProcess(folder / "data", folder / "up.log", settings=settings)
    place = PkiFolder(folder / "data")
    desk = OutsideDesk(place, place.store_url, process.scep_url)
    yield request.param, Bench(desk, key_pool, log), process  # type: ignore[arg-type]
    assert process.stop() == 0


def _send_nasty(bench: Bench) -> None:
    for text in NASTY.values():
        bench.request(csr={"subject": common_name(text)}).send(bench)
        bench.request(challenge=text.encode()).send(bench)
        tag = asn1.PRINTABLE if text.isascii() else asn1.UTF8
        bench.request(message={"replaced": {TRANSACTION_ID: [asn1.string(tag, text)]}}).send(bench)
        bench.request(message={"message_type": text if text.isascii() else "19"}).send(bench)
        quoted = "".join(f"%{octet:02x}" for octet in text.encode())
        for query in (f"operation={quoted}", f"operation=GetCACert&message={quoted}", quoted):
            wire.get(bench.url(), query, fields={"User-Agent": "agent\x1b[31m", "X-Forwarded-For": "a\tb"})
        wire.get(bench.url() + "/" + quoted, "operation=GetCACaps")


def test_log_lines_stay_lines(logged: tuple[str, Bench, UpProcess]) -> None:
    form, bench, process = logged
    _send_nasty(bench)
    bench.demand_alive()
    written = process.log.read_text()
    assert written.count("\n") > len(NASTY)
    for character in "\x1b\r\u202e\u2028\u2029\0":
        assert character not in written, f"{character!r} in the log"
    for line in written.splitlines():
        assert not line.startswith("2026-01-01T00:00:00Z [info] forged")
        if form == "json" and line.startswith("{"):
            assert json.loads(line)["event"]
    assert str(1234 * 5678) not in written
    assert "Traceback" not in written


def test_secrets_are_nowhere(logged: tuple[str, Bench, UpProcess]) -> None:
    _, bench, process = logged
    wrong = "GUESSED-0123456789-PASSWORD"
    granted = bench.enrol()
    refused = bench.send(bench.request(challenge=wrong))
    assert refused.fail_info == 2
    bench.send(bench.request(challenge=granted.request.challenge))
    admin = str(process.facts["admin_url"])
    pages = [
        wire.get(f"{admin}{path}").body.decode() for path in ("/health/live", "/health/ready", "/version")
    ]
    pages += [wire.get(f"{admin}/api/v1/challenges").body.decode(), process.log.read_text()]
    folder = process.log.parent / "data"
    private = [
        *bench.secrets,
        wrong,
        (folder / "secrets" / "key-passphrase").read_text().strip(),
        (folder / "root" / "passphrase").read_text().strip(),
    ]
    for page in pages:
        assert page
        assert not [secret for secret in private if secret in page]


# -- in process --------------------------------------------------------------------------


def test_refusals_for_one_reason_have_one_text(bench: Bench) -> None:
    """Different inputs, one reason, one text: nothing of the input can be in it."""
    groups = [
        [bench.request(csr={"key": bench.keys.rsa(bits)}) for bits in (512, 1024, 1536)],
        [bench.request(csr={"subject": common_name(text)}) for text in ("c" * 65, "d" * 9000, "a\0b")],
        [bench.request(challenge=text) for text in ("guess", "x" * 5000, "%n{0}", "'; DROP TABLE")],
        [bench.request(message={"message_type": text}) for text in ("0", "18", "<b>", "99999")],
    ]
    for group in groups:
        texts = {bench.send(request).words for request in group}
        assert len(texts) == 1


def test_names_in_a_certificate_choose_no_path(bench: Bench) -> None:
    stand = bench.desk
    assert isinstance(stand, Stand)
    usual = bench.enrol().parts.extensions
    folder = stand.world.folder.path
    before = {path for path in folder.rglob("*") if "store" not in path.name}
    for text in ("../../../etc/x", "/etc/passwd", "..\\..\\x", "a;b|c", "%2e%2e%2f"):
        leaf = read_certificate(bench.enrol(csr={"subject": common_name(text)}).certificate)
        for dotted in (CDP, AIA):
            assert leaf.extensions.get(dotted) == usual.get(dotted)
    assert {path for path in folder.rglob("*") if "store" not in path.name} == before


def test_parse_errors_are_all_alike(bench: Bench) -> None:
    good = bench.request().message
    bodies = {
        wire.post(bench.url(), octets).body
        for octets in (
            b"",
            b"x",
            good[:-1],
            good + b"x",
            b"\x30\x80",
            asn1.seq(),
            b"{}",
            b"<xml/>",
            bytes(5000),
        )
    }
    queries = ("operation=PKIOperation&message=!", "operation=x", "", "operation=PKIOperation&message=MIIB")
    bodies |= {wire.get(bench.url(), query).body for query in queries}
    assert len(bodies) == 1
    assert len(bodies.pop()) < 200


def _plain(answer: wire.Response) -> None:
    assert answer.header("Content-Type") == "text/plain"
    assert b"<" not in answer.body
    assert len(answer.body) < 200
    for name, value in answer.headers:
        if name.lower() in ("server", "x-powered-by", "via"):
            assert not any(character.isdigit() for character in value), f"{name} tells a version: {value}"
        assert "werkzeug" not in value.lower()
        assert "python" not in value.lower()
        assert "cheroot" not in value.lower()


def test_refusals_below_scep_are_plain(bench: Bench) -> None:
    url = bench.url()
    answers = {
        404: wire.get(url.rsplit("/", 1)[0] + "/nowhere"),
        405: wire.get(url, "operation=GetCACaps", method="PUT"),
        413: wire.post(url, bytes((1 << 20) + 1)),
        414: wire.get(url, "operation=GetCACert&message=" + "x" * (1 << 17)),
        415: wire.post(url, b"x", fields={"Content-Encoding": "gzip"}),
        400: wire.post(url, b"x"),
    }
    for status, answer in answers.items():
        assert answer.status == status
        _plain(answer)


class _Broken:
    """A service with a defect of the kind nobody foresaw."""

    maximum_body_octets = 1 << 20

    def handle(self, request: HttpExchangeRequest) -> HttpReply:
        raise RuntimeError(f"secret of /etc/shadow, SELECT * FROM challenges, {request.path}")


def test_an_unforeseen_error_tells_nothing(fresh_bench: Bench) -> None:
    stand = fresh_bench.desk
    assert isinstance(stand, Stand)
    usual, stand.world.service = stand.world.service, _Broken()  # type: ignore[assignment]
    before = fresh_bench.state()
    answer = wire.get(fresh_bench.url(), "operation=GetCACaps")
    stand.world.service = usual
    assert answer.status == 500
    _plain(answer)
    for word in (b"secret", b"shadow", b"SELECT", b"scep", b"Error", b"line"):
        assert word not in answer.body
    fresh_bench.demand_unchanged(before)
    fresh_bench.demand_alive()


def _locked() -> NoReturn:
    raise StoreUnavailable("sqlite3.OperationalError: database is locked: /var/lib/lab/store.sqlite3")


def test_a_database_that_is_gone_tells_nothing(fresh_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stand = fresh_bench.desk
    assert isinstance(stand, Stand)
    fresh_bench.demand_alive()
    pki = fresh_bench.request()
    with monkeypatch.context() as gone:
        for name in ("transaction", "reading"):
            gone.setattr(type(stand.world.store), name, lambda _: _locked())
        answer = pki.send(fresh_bench)
    assert answer.status == 503
    assert int(answer.header("Retry-After") or 0) > 0
    _plain(answer)
    for word in (b"sqlite", b"lock", b"database", b"store", b"/var"):
        assert word not in answer.body.lower()
    fresh_bench.enrolled(pki)  # the very same octets, once the database is back


def test_the_clock_of_a_lab_can_be_wrong_without_a_word(fresh_bench: Bench) -> None:
    """A CA certificate that has run out refuses to issue; the reply says so in AD CS's words only."""
    fresh_bench.demand_alive()
    fresh_bench.desk.advance(timedelta(days=366 * 40))
    before = fresh_bench.state()
    reply = fresh_bench.send(fresh_bench.request(challenge="whatever"))
    assert reply.status == "2"
    fresh_bench.demand_unchanged(before)
