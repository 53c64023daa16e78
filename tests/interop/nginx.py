"""Debian's nginx as a relying party: asks clients for a certificate, and checks revocation its own way."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from peers import require_peer

from interop.clients import Enrolment
from interop.process import run, run_well

# "ssl_ocsp on" would want a responder for the issuing CA too; its issuer is offline, and has none.
_CONFIGURATION = """
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  ssl_certificate {folder}/server.pem;
  ssl_certificate_key {folder}/server.key;
  ssl_client_certificate {folder}/trusted.pem;
  ssl_verify_client on;
  ssl_verify_depth 3;
  ssl_session_cache off;
  ssl_session_tickets off;
  server {{
    listen 127.0.0.1:{crl_port} ssl;
    ssl_crl {folder}/crls.pem;
    location / {{ return 200 "$ssl_client_verify $ssl_client_s_dn\\n"; }}
  }}
  server {{
    listen 127.0.0.1:{ocsp_port} ssl;
    ssl_ocsp leaf;
    location / {{ return 200 "$ssl_client_verify $ssl_client_s_dn\\n"; }}
  }}
  server {{
    listen 127.0.0.1:{plain_port};
    location / {{ return 200 "{generation}\\n"; }}
  }}
}}
"""


@dataclass(slots=True, kw_only=True)
class Nginx:
    """A running nginx; ``by_crl`` and ``by_ocsp`` are the two ways it looks at revocation."""

    folder: Path
    ports: dict[str, int]
    process: subprocess.Popen[bytes] | None = None
    generation: int = 0

    @property
    def by_crl(self) -> str:
        return f"https://127.0.0.1:{self.ports['crl_port']}/"

    @property
    def by_ocsp(self) -> str:
        return f"https://127.0.0.1:{self.ports['ocsp_port']}/"

    @property
    def log(self) -> str:
        return (self.folder / "error.log").read_text()

    def configure(self) -> None:
        self.generation += 1
        values = {"folder": self.folder, "generation": self.generation, **self.ports}
        (self.folder / "nginx.conf").write_text(_CONFIGURATION.format(**values))

    def reload(self) -> None:
        """Have nginx read everything anew, and wait until the new worker answers."""
        self.configure()
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)
        self.wait()

    def wait(self) -> None:
        """Wait until a worker of this generation answers and every older one has ended."""
        url = f"http://127.0.0.1:{self.ports['plain_port']}/"
        deadline = monotonic() + 30
        while True:
            assert self.process is not None
            assert self.process.poll() is None, self.log
            assert monotonic() < deadline, self.log
            done = run([require_peer("curl"), "--silent", "--max-time", "5", url])
            answers = done.stdout == f"{self.generation}\n".encode()
            if answers and self.log.count("exited with code 0") == self.generation - 1:
                return
            sleep(0.05)

    def ask(self, url: str, enrolment: Enrolment) -> tuple[int, str]:
        """Show the enrolled certificate; return the HTTP status and what was answered."""
        certificate = self.folder / f"{enrolment.common_name}.pem"
        certificate.write_bytes(enrolment.certificate_pem)
        done = run_well(
            [
                *(require_peer("curl"), "--silent", "--show-error", "--max-time", "20"),
                *("--cacert", self.folder / "server.pem", "--cert", certificate, "--key", enrolment.key),
                *("--write-out", "%{http_code}", url),
            ]
        )
        text = done.stdout.decode()
        return int(text[-3:]), text[:-3]


@contextmanager
def nginx(folder: Path, *, trusted: bytes, crls: bytes) -> Iterator[Nginx]:
    """Run nginx in the foreground, as a child, on free ports of loopback."""
    program = require_peer("nginx")
    server = Nginx(folder=folder, ports=_free_ports("crl_port", "ocsp_port", "plain_port"))
    (folder / "trusted.pem").write_bytes(trusted)
    (folder / "crls.pem").write_bytes(crls)
    run_well(
        [
            *(require_peer("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", folder / "server.key", "-out", folder / "server.pem", "-subj", "/CN=relying party"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ]
    )
    server.configure()
    with (folder / "output").open("wb") as output:
        server.process = subprocess.Popen(
            [program, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            server.wait()
            yield server
        finally:
            server.process.send_signal(signal.SIGQUIT)  # nothing happens when it has ended already
            try:
                server.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.process.terminate()
                server.process.wait(timeout=20)


def _free_ports(*names: str) -> dict[str, int]:
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
    ports = {name: one.getsockname()[1] for name, one in sockets.items()}
    for one in sockets.values():
        one.close()
    return ports
