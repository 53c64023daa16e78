"""``python -m scep_server`` and ``python -m crl_publisher``: what an administrator does to them."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import pytest
from flow.program import ProgramProcess, made_pki
from postgresql import PostgresqlServer

from ca.folders import PkiFolder
from ca.ocsp import MAXIMUM_REQUEST_OCTETS

PROGRAMS = ("scep_server", "crl_publisher")
TRIES = 600  # of something that comes soon; each waits for an answer, or a tenth of a second


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PkiFolder:
    """A PKI that no test changes."""
    return made_pki(tmp_path_factory.mktemp("pki") / "data")


@pytest.fixture(params=PROGRAMS)
def package(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ProgramProcess]]:
    """Start a program; what still runs in the end is killed."""
    started: list[ProgramProcess] = []

    def begin(package: str, pki: PkiFolder, *arguments: str, **options: object) -> ProgramProcess:
        log = tmp_path / f"{package}-{len(started)}.log"
        started.append(ProgramProcess(package, pki.path, log, *arguments, **options))  # type: ignore[arg-type]
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.kill()


def probe(package: str) -> str:
    """Return what a program of its kind answers with 200."""
    crl = quote("NDES Lab Test Issuing CA.crl")
    return "/scep?operation=GetCACaps" if package == "scep_server" else f"/CertEnroll/{crl}"


def ask(program: ProgramProcess, path: str, **headers: str) -> bytes:
    with urlopen(Request(program.url + path, headers=headers), timeout=60) as answer:
        return bytes(answer.read())


def ask_twice(program: ProgramProcess, path: str) -> bytes:
    """Ask, and once more where the connection was closed before anything was read from it (RFC 9112 9.5)."""
    try:
        return ask(program, path)
    except (http.client.RemoteDisconnected, ConnectionResetError):
        return ask(program, path)


def until(found: Callable[[], bool], program: ProgramProcess) -> None:
    """Wait until something is so; fails when it does not get so, with what the program logged."""
    waiting = threading.Event()
    for _ in range(TRIES):
        if found():
            return
        waiting.wait(0.1)
    raise AssertionError(program.log.read_text())


# -- what it says of itself --------------------------------------------------------------


def test_says_that_it_lives_and_is_ready_and_counts(
    package: str, pki: PkiFolder, start: Callable[..., ProgramProcess]
) -> None:
    program = start(package, pki, workers=2)
    ask(program, probe(package))
    assert program.get("/health/live") == (200, "live\n")
    assert program.get("/health/ready") == (200, "ready\n")
    assert program.get("/version")[0] == 200
    status, text = program.get("/metrics")
    assert status == 200
    assert "x509_cert_not_after{" in text
    counted = "scep_requests_total{" if package == "scep_server" else "crl_publisher_requests_total{"
    assert counted in text
    assert program.get("/elsewhere")[0] == 404
    assert program.stop() == 0
    assert "Traceback" not in program.log.read_text()


def test_counts_of_all_workers_are_one_sum_and_outlive_a_worker(
    pki: PkiFolder, start: Callable[..., ProgramProcess]
) -> None:
    program = start("scep_server", pki, workers=2)
    for _ in range(30):
        ask(program, "/scep?operation=GetCACert")
    labels = 'endpoint="default",message_type="-",operation="GetCACert",outcome="success"'
    name = f"scep_requests_total{{{labels}}}"

    def counted() -> float:
        lines = program.get("/metrics")[1].splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    assert counted() == 30
    first = program.workers()
    os.kill(next(pid for pid in first if is_worker(pid)), signal.SIGKILL)
    until(
        lambda: "Respawning" in program.log.read_text() or len(set(program.workers()) - set(first)) > 0,
        program,
    )
    assert ask(program, "/scep?operation=GetCACert")
    assert counted() == 31


def is_worker(pid: int) -> bool:
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_is_not_ready_while_its_workers_cannot_answer(
    pki: PkiFolder, start: Callable[..., ProgramProcess]
) -> None:
    program = start("scep_server", pki)
    ask(program, probe("scep_server"))
    (worker,) = (pid for pid in program.workers() if is_worker(pid))
    os.kill(worker, signal.SIGSTOP)
    try:
        status, text = program.get("/health/ready")
    finally:
        os.kill(worker, signal.SIGCONT)
    assert (status, text.split(":")[0]) == (503, "no worker answers")
    assert program.get("/health/live")[0] == 200


def test_is_not_ready_while_its_database_is_away(
    package: str, tmp_path: Path, postgresql: PostgresqlServer, start: Callable[..., ProgramProcess]
) -> None:
    with postgresql.database() as url:
        own = made_pki(tmp_path / "data", database_url=url)
        program = start(package, own, settings={"PKI__DATABASE_URL": url})
        assert program.get("/health/ready") == (200, "ready\n")
        postgresql.stop()
        try:
            status, text = program.get("/health/ready")
        finally:
            postgresql.start()
        assert status == 503
        assert "database" in text
        until(lambda: program.get("/health/ready")[0] == 200, program)
        assert program.stop() == 0


def test_takes_one_request_a_connection_so_that_any_worker_may_take_the_next(
    package: str, pki: PkiFolder, start: Callable[..., ProgramProcess]
) -> None:
    program = start(package, pki)
    with closing(http.client.HTTPConnection(urlsplit(program.url).netloc, timeout=60)) as connection:
        connection.request("GET", probe(package))  # which wants to go on
        answer = connection.getresponse()
        answer.read()
        assert answer.will_close


# -- signals -----------------------------------------------------------------------------


def test_a_request_that_is_under_way_when_the_signal_comes_is_answered(
    pki: PkiFolder, start: Callable[..., ProgramProcess]
) -> None:
    program = start("scep_server", pki)
    ask(program, probe("scep_server"))
    parts = urlsplit(program.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60) as client:
        head = (
            "POST /scep?operation=PKIOperation HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n"
            "Expect: 100-continue\r\n\r\n"
        )
        client.sendall(head.encode())
        assert client.recv(25).startswith(b"HTTP/1.1 100 Continue")  # so somebody is reading the body
        program.signal(signal.SIGTERM)
        until(lambda: not accepts(parts.hostname or "", parts.port or 0), program)
        client.sendall(b"no CMS\r\n")
        answer = b""
        while part := client.recv(4096):
            answer += part
    assert b"HTTP/1.1 400 Bad Request" in answer
    assert program.gone() == 0


def accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


def test_workers_end_when_their_parent_is_killed(
    package: str, pki: PkiFolder, start: Callable[..., ProgramProcess]
) -> None:
    program = start(package, pki, workers=2)
    ask(program, probe(package))
    parts = urlsplit(program.url)
    program.process.kill()
    program.gone()
    until(lambda: not accepts(parts.hostname or "", parts.port or 0), program)


@pytest.mark.parametrize("said", [b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /scep?operation="])
def test_who_never_ends_his_header_is_not_waited_for(
    pki: PkiFolder, start: Callable[..., ProgramProcess], said: bytes
) -> None:
    program = start("scep_server", pki, settings={"SERVER__REQUEST_SECONDS": "1"})
    parts = urlsplit(program.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60) as client:
        client.sendall(said)
        while client.recv(4096):
            pass


def test_ends_without_replacing_every_worker_first(
    pki: PkiFolder, start: Callable[..., ProgramProcess]
) -> None:
    program = start("scep_server", pki, workers=4)
    ask(program, probe("scep_server"))
    seen = set(program.workers())
    until(lambda: len(set(program.workers()) & seen) == len(seen), program)
    program.signal(signal.SIGHUP)
    until(lambda: bool(set(program.workers()) - seen), program)
    program.signal(signal.SIGTERM)
    while program.process.poll() is None:
        with suppress(OSError):
            seen |= set(program.workers())
    assert program.gone() == 0
    assert program.log.read_text().count("reloading") == 1
    assert len(seen) < 1 + 4 + 4  # the first four and what tracks their resources, and not as many again


def test_nothing_is_lost_while_workers_are_replaced(
    package: str, pki: PkiFolder, start: Callable[..., ProgramProcess]
) -> None:
    program = start(package, pki, workers=2)
    ask(program, probe(package))
    before = {pid for pid in program.workers() if is_worker(pid)}
    done = threading.Event()
    failures: list[Exception] = []
    answered = [0, 0, 0, 0]

    def keep_asking(number: int) -> None:
        while not done.is_set():
            try:
                ask_twice(program, probe(package))
                answered[number] += 1
            except OSError as error:
                failures.append(error)

    clients = [threading.Thread(target=keep_asking, args=(number,)) for number in range(len(answered))]
    for each in clients:
        each.start()
    program.signal(signal.SIGHUP)
    until(lambda: not before & set(program.workers()), program)
    done.set()
    for each in clients:
        each.join()
    assert failures == []
    assert min(answered) > 10
    assert program.stop() == 0


def test_settings_and_keys_are_read_anew(tmp_path: Path, start: Callable[..., ProgramProcess]) -> None:
    own = made_pki(tmp_path / "data")
    config = tmp_path / "scep.toml"
    config.write_text("")
    program = start("scep_server", own, "--config", str(config))
    assert b"Renewal" in ask(program, probe("scep_server"))
    config.write_text("[scep.endpoints.default.renewal]\nenabled = false\n")
    program.signal(signal.SIGHUP)
    until(lambda: b"Renewal" not in ask(program, probe("scep_server")), program)


def test_says_which_changed_settings_are_for_the_next_start(
    pki: PkiFolder, tmp_path: Path, start: Callable[..., ProgramProcess]
) -> None:
    config = tmp_path / "scep.toml"
    config.write_text("[server]\nthreads = 2\n")
    program = start("scep_server", pki, "--config", str(config))
    ask(program, probe("scep_server"))
    config.write_text('[server]\nthreads = 3\nlog_level = "warning"\n')
    program.signal(signal.SIGHUP)
    until(lambda: '"settings": "server.threads"' in program.log.read_text(), program)


@pytest.mark.parametrize("broken", ["settings", "template"])
def test_what_cannot_be_read_anew_changes_nothing(
    tmp_path: Path, start: Callable[..., ProgramProcess], broken: str
) -> None:
    own = made_pki(tmp_path / "data")
    config = tmp_path / "scep.toml"
    config.write_text("")
    program = start("scep_server", own, "--config", str(config))
    ask(program, probe("scep_server"))
    before = program.workers()
    if broken == "settings":
        config.write_text("[scep]\nprofil = 1\n")
    else:
        (own.templates / "x.toml").write_text("this is no TOML")
    program.signal(signal.SIGHUP)
    until(lambda: "not reloaded" in program.log.read_text(), program)
    assert ("no such setting" if broken == "settings" else "x.toml") in program.log.read_text()
    assert ask(program, probe("scep_server"))
    assert program.workers() == before
    assert program.get("/health/ready")[0] == 200


# -- what does not begin -----------------------------------------------------------------


def refusal(package: str, *arguments: str, **settings: str) -> str:
    """Return what a program says that does not start."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NDES_LAB_")}
    done = subprocess.run(
        [sys.executable, "-m", package, "--port", "0", "--status-port", "0", *arguments],
        env=environment | {f"NDES_LAB_{key}": value for key, value in settings.items()},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_says_that_there_is_no_pki(package: str, tmp_path: Path) -> None:
    assert "there is no PKI" in refusal(package, "--data-dir", str(tmp_path))


def test_says_that_a_port_is_taken(package: str, pki: PkiFolder) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        told = refusal(package, "--data-dir", str(pki.path), "--port", port)
        assert f"127.0.0.1 port {port} cannot be opened" in told
        told = refusal(package, "--data-dir", str(pki.path), "--status-port", port)
        assert f"127.0.0.1 port {port} cannot be opened" in told


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"NDES__PASSWORD_CACHE": "memory"}, "ndes.password_cache is memory"),
        ({"NDES__WINDOWS_AUTHENTICATION": "true"}, "ndes.windows_authentication is on"),
        ({"SCEP__PROFIL": "modern"}, "scep.profil: no such setting"),
        ({"SERVER__WORKERS": "0"}, "server.workers"),
    ],
)
def test_says_which_setting_cannot_be(pki: PkiFolder, settings: dict[str, str], says: str) -> None:
    assert says in refusal("scep_server", "--data-dir", str(pki.path), **settings)


def test_says_what_to_install(pki: PkiFolder) -> None:
    code = (
        "import runpy, sys; sys.modules['granian'] = None; "
        "sys.argv[1:] = ['--data-dir', sys.argv[1], '--port', '0', '--status-port', '0']; "
        "runpy.run_module('scep_server', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code, pki.path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "install ndes-lab[scale]" in done.stderr


def test_leaves_the_settings_of_other_programs_alone_and_says_so(
    pki: PkiFolder, tmp_path: Path, start: Callable[..., ProgramProcess]
) -> None:
    config = tmp_path / "chain.toml"
    config.write_text("[publisher]\ncache_seconds = 5\n")
    program = start("scep_server", pki, "--config", str(config), settings={"ADMIN__PORT": "1"})
    assert ask(program, probe("scep_server"))
    assert '"sections": "admin, publisher"' in program.log.read_text()


# -- NDES's face -------------------------------------------------------------------------


def test_every_worker_knows_the_same_password_and_challenges_of_all(
    tmp_path: Path, start: Callable[..., ProgramProcess]
) -> None:
    own = made_pki(tmp_path / "data")
    settings = {"NDES__PASSWORDMAX": "20"}
    programs = [start("scep_server", own, workers=2, settings=settings) for _ in range(2)]
    seen = set()
    for number in range(20):
        seen.add(_challenge_page(programs[number % 2], own))
    assert len(seen) == 20
    with pytest.raises(HTTPError) as caught:
        ask(programs[0], "/certsrv/mscep_admin/")
    assert caught.value.code == 401
    assert caught.value.headers["WWW-Authenticate"].startswith("Basic")
    caught.value.close()


def _challenge_page(program: ProgramProcess, pki: PkiFolder) -> str:
    assert program.url  # it has begun, and made a password
    password = (pki.path / "secrets" / "ndes-password").read_text().strip()
    login = base64.b64encode(f"ndes-admin:{password}".encode()).decode()
    page = ask(program, "/certsrv/mscep_admin/", Authorization=f"Basic {login}").decode("utf-16-le")
    return page.partition("password is:")[2].partition("<P>")[0]


# -- publishing --------------------------------------------------------------------------


def test_publishes_what_was_revoked_when_it_is_told_to(
    tmp_path: Path, start: Callable[..., ProgramProcess]
) -> None:
    own = made_pki(tmp_path / "data")
    program = start("crl_publisher", own, workers=2)
    first = ask(program, probe("crl_publisher"))
    done = subprocess.run(
        [Path(sys.executable).with_name("ndes-lab"), "crl", "publish", "--data-dir", own.path],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert ask(program, probe("crl_publisher")) != first
    assert "crl_publication_on_duty 1.0" in program.get("/metrics")[1]


def test_stands_by_while_another_is_on_duty(tmp_path: Path, start: Callable[..., ProgramProcess]) -> None:
    own = made_pki(tmp_path / "data")
    programs = [start("crl_publisher", own) for _ in range(2)]
    for program in programs:
        assert program.get("/health/ready")[0] == 200

    def on_duty() -> list[bool]:
        return ["crl_publication_on_duty 1.0" in one.get("/metrics")[1] for one in programs]

    assert sorted(on_duty()) == [False, True]
    first = on_duty().index(True)
    assert programs[first].stop() == 0
    rest = programs[1 - first]
    until(lambda: "crl_publication_on_duty 1.0" in rest.get("/metrics")[1], rest)


def test_says_where_it_listens_for_people_too(
    pki: PkiFolder, start: Callable[..., ProgramProcess], tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "scep_server", "--data-dir", pki.path, "--port", "0", "--status-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
        finally:
            process.terminate()
    assert line.startswith("http://127.0.0.1:")
    assert f"{os.cpu_count()} workers; health and metrics: http://127.0.0.1:" in line
    assert process.returncode == 0


# -- slow clients --------------------------------------------------------------------------


def test_bodies_that_do_not_come_keep_nobody_else_out(
    package: str, pki: PkiFolder, start: Callable[..., ProgramProcess]
) -> None:
    program = start(package, pki, settings={"SERVER__REQUEST_SECONDS": "5", "SERVER__THREADS": "2"})
    ask(program, probe(package))
    parts = urlsplit(program.url)
    path = "/scep?operation=PKIOperation" if package == "scep_server" else "/ocsp"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nbeginning"
    chunked = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n"
    with contextlib.ExitStack() as undo:
        slow = [
            undo.enter_context(socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60))
            for _ in range(20)
        ]
        for number, each in enumerate(slow):
            each.sendall((head, chunked)[number % 2].encode())
        assert ask(program, probe(package))
        for each in slow:
            answer = b""
            while part := each.recv(4096):
                answer += part
            assert answer.startswith(b"HTTP/1.1 408 Request Timeout")
    assert ask(program, probe(package))
    assert "Traceback" not in program.log.read_text()


@pytest.mark.parametrize("declared", [True, False])
def test_bodies_that_are_too_long_are_refused(
    package: str, pki: PkiFolder, start: Callable[..., ProgramProcess], declared: bool
) -> None:
    program = start(package, pki)
    parts = urlsplit(program.url)
    path = "/scep?operation=PKIOperation" if package == "scep_server" else "/ocsp"
    most = (1 << 20) if package == "scep_server" else MAXIMUM_REQUEST_OCTETS
    body = bytes(most + 100_000)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=60)) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", path, body if declared else iter([body]), encode_chunked=not declared)
        try:
            status = connection.getresponse().status
        except (ConnectionResetError, BrokenPipeError):
            status = 413  # closed before the answer could be read: no more of it is taken
    assert status == 413
    assert ask(program, probe(package))


def test_a_client_that_goes_away_leaves_no_trace(
    package: str, pki: PkiFolder, start: Callable[..., ProgramProcess]
) -> None:
    program = start(package, pki)
    ask(program, probe(package))
    parts = urlsplit(program.url)
    path = "/scep?operation=PKIOperation" if package == "scep_server" else "/ocsp"
    for beginning in (b"", b"abc", b"5\r\nab"):
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60) as client:
            framing = "Transfer-Encoding: chunked" if beginning.startswith(b"5") else "Content-Length: 1000"
            client.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode() + beginning)
    assert ask(program, probe(package))
    assert program.stop() == 0
    log = program.log.read_text()
    assert "Traceback" not in log
    assert "ERROR" not in log


# -- NDES's logs ---------------------------------------------------------------------------


@pytest.mark.parametrize("files", [True, False])
def test_ndes_logs_are_written_where_the_settings_say_so(
    tmp_path: Path, start: Callable[..., ProgramProcess], files: bool
) -> None:
    own = made_pki(tmp_path / "data")
    program = start("scep_server", own, settings={"LOGS__FILES": str(files).lower()})
    ask(program, probe("scep_server"))
    assert program.stop() == 0
    written = sorted(path.name for path in (own.path / "logs").rglob("*") if path.is_file())
    if files:
        assert written[0] == "NdesSvc.log"
        assert any(name.startswith("u_ex") for name in written)
    else:
        assert [name for name in written if name.startswith("u_ex")] == []
