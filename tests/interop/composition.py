"""docker/compose.yaml without an engine: its services as processes of this machine.

Each replica has an address of its own on loopback; a volume is one folder for all who mount it. Words,
environment and configuration files are those of the compose file, with paths, addresses and ports of this
machine in place of the container's. Names are looked up as in networks of an engine: each service has a name
server that knows those it shares a network with. PostgreSQL alone is not started as written: the tests have
one.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

from peers import require_peer

from interop.compose_file import DOCKER, Image, Service, read_compose
from interop.process import Run, run

_PORTS = re.compile(r"\b(8080|8081|8082|8083|8084|8090|8091|8443|9080|9443)\b")
_HEALTHY_SECONDS = 60


class NameServer:
    """Answers, on a port of loopback, for the names that one service may know (RFC 1035, type A alone)."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self.names = dict(names)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it: an empty packet wakes it up."""
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, asker = self._socket.recvfrom(512)
            if not query:
                return
            self._socket.sendto(self._answer(query), asker)

    def _answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode())
            at += 1 + length
        question = query[12 : at + 5]
        found = self.names.get(".".join(labels), ())
        flags = 0x8180 if found else 0x8183  # an answer, or NXDOMAIN
        head = query[:2] + struct.pack(">5H", flags, 1, len(found), 0, 0)
        records = (b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + socket.inet_aton(one) for one in found)
        return head + question + b"".join(records)


@dataclass(slots=True, kw_only=True)
class Replica:
    """One container's stand-in. ``folder`` is what is not mounted; ``address`` is where it listens."""

    service: Service
    number: int
    address: str
    folder: Path
    places: dict[str, Path]  # of the container's paths
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


class Composition:
    """Services that run; `start` one after the other, in the order of the file.

    Args:
        folder: for volumes and what is not mounted.
        database_url: of an empty PostgreSQL database.
        variables: those of the compose file that are told.

    """

    def __init__(self, folder: Path, database_url: str, **variables: str) -> None:
        self.folder = folder
        self._database_url = database_url
        self._image = Image.read()
        self._octets = secrets.token_bytes(2)
        self._count = 0
        self._ports = 0
        self.replicas: dict[str, list[Replica]] = {}
        self._name_servers: dict[str, NameServer] = {}
        self._addresses = {name: self._address() for name in ("edge", "relying-party")}
        self._ports = self._free_ports()
        told = {"NDES_LAB_PUBLIC_HOST": self._addresses["edge"], **variables}
        self.services, _ = read_compose(variables=told)

    def url(self, service: str, port: int, scheme: str = "http") -> str:
        """Return the URL of a service's port, as the compose file has it."""
        return f"{scheme}://{self.replicas[service][0].address}:{self.port(port)}"

    def port(self, port: int) -> int:
        """Return what a container's port is here."""
        return port + self._ports

    def volume(self, name: str) -> Path:
        return self.folder / "volumes" / name

    # -- services ----------------------------------------------------------------------

    def complete(self, name: str) -> Run:
        """Run a service that ends, to its end."""
        replica = self.prepared(name)
        done = self.execute(replica, *replica.service.command(self._image))
        assert done.ok, done.text
        return done

    def prepared(self, name: str) -> Replica:
        """Return a container's stand-in of a service in which nothing runs."""
        return self._prepare(name, 1)

    def start(self, name: str) -> list[Replica]:
        """Start all replicas of a service, and wait until its health check is content with each."""
        service = self.services[name]
        self.replicas[name] = [self._prepare(name, number + 1) for number in range(service.replicas)]
        for asker, server in self._name_servers.items():
            server.names |= self._known_to(asker)
        for replica in self.replicas[name]:
            self.begin(replica)
        for replica in self.replicas[name]:
            self.wait(replica)
        return self.replicas[name]

    def begin(self, replica: Replica) -> None:
        """Start a replica's process."""
        with (replica.folder / "log").open("ab") as log:
            replica.process = subprocess.Popen(
                self._words(replica, replica.service.command(self._image)),
                cwd=self._cwd(replica),
                env=replica.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, replica: Replica) -> None:
        """Wait until the health check is content."""
        assert replica.process is not None
        deadline = monotonic() + _HEALTHY_SECONDS
        while True:
            done = self.execute(replica, *replica.service.health_check)
            if done.ok:
                return
            assert replica.process.poll() is None, replica.log
            assert monotonic() < deadline, f"{done.text}\n{replica.log}"
            sleep(0.1)

    def execute(self, replica: Replica, *words: str) -> Run:
        """Do what ``docker compose exec`` does."""
        return run(self._words(replica, words), env=replica.environment, cwd=self._cwd(replica))

    def kill(self, replica: Replica) -> None:
        """End a replica at once, with every process in it, as the end of a container's first process does."""
        assert replica.process is not None
        os.killpg(replica.process.pid, signal.SIGKILL)
        replica.process.wait()

    def stop(self, replica: Replica) -> int:
        """End a replica as an engine does, and return its status."""
        assert replica.process is not None
        replica.process.send_signal(signal.SIGTERM)
        return replica.process.wait(
            timeout=float(str(replica.service.words["stop_grace_period"]).rstrip("s"))
        )

    def close(self) -> None:
        """End everything that still runs, the last one first."""
        try:
            for replicas in reversed(self.replicas.values()):
                for replica in replicas:
                    if replica.process is not None and replica.process.poll() is None:
                        self.stop(replica)
        finally:
            for replicas in self.replicas.values():
                for replica in replicas:
                    if replica.process is not None and replica.process.poll() is None:
                        self.kill(replica)
            for server in self._name_servers.values():
                server.stop()

    # -- a container's view ------------------------------------------------------------

    def _prepare(self, name: str, number: int) -> Replica:
        service = self.services[name]
        folder = self.folder / "containers" / f"{name}-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        address = self._addresses.get(name) or self._address()
        replica = Replica(service=service, number=number, address=address, folder=folder, places={})
        if name not in self._name_servers:
            self._name_servers[name] = NameServer(self._known_to(name))
        for path in service.tmpfs:
            (folder / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
            replica.places[path] = folder / path.lstrip("/")
        for mount in service.mounts:
            if mount.is_volume:
                replica.places[mount.target] = self._made(mount.source, mount.target)
        for mount in service.mounts:
            if not mount.is_volume:
                place = folder / mount.target.lstrip("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                replica.places[mount.target] = place
        for mount in service.mounts:
            if not mount.is_volume:
                text = (DOCKER / mount.source).read_text()
                replica.places[mount.target].write_text(self._here(replica, text))
        replica.environment = self._environment(replica)
        return replica

    def _made(self, name: str, target: str) -> Path:
        """Return a volume, which gets its mode from who mounts it first, as an engine has it."""
        volume = self.volume(name)
        if not volume.exists():
            volume.mkdir(parents=True)
            volume.chmod(self._image.folders.get(target, 0o755))
        return volume

    def _environment(self, replica: Replica) -> dict[str, str]:
        of_image = self._image.environment if replica.service.is_ours else {}
        told = of_image | replica.service.environment
        found = {key: self._here(replica, value) for key, value in told.items() if key != "PATH"}
        if replica.service.is_ours:
            found["NDES_LAB_SERVER__HOST"] = replica.address
        if "NDES_LAB_PKI__DATABASE_URL" in found:
            found["NDES_LAB_PKI__DATABASE_URL"] = self._database_url
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        return found | {"PATH": path}

    def _words(self, replica: Replica, words: Sequence[str]) -> list[str]:
        program, *others = (self._here(replica, word) for word in words)
        if program == "python3":
            return [sys.executable, *others, f"--status-host={replica.address}"]
        if program == "nginx":
            mine = ["-g", "user root;"] if os.geteuid() == 0 else []
            return [str(require_peer("nginx")), *others, *mine]
        return [program, *others]

    def _here(self, replica: Replica, text: str) -> str:
        """Put paths, addresses and ports of this machine in place of the container's."""
        text = _PORTS.sub(lambda found: str(self.port(int(found[0]))), text)
        text = re.sub(r"listen (\d+)\b(?!\.)", rf"listen {replica.address}:\1", text)
        text = re.sub(r"\b127\.0\.0\.1\b", replica.address, text)
        text = text.replace("http://edge:", f"http://{self._addresses['edge']}:")
        known = "|".join(re.escape(path) for path in sorted(replica.places, key=len, reverse=True))
        if known:
            paths = rf"(?<![\w/.-])(?:{known})(?![\w.-])"
            text = re.sub(paths, lambda found: str(replica.places[found[0]]), text)
        server = self._name_servers[replica.service.name]
        return text.replace("resolver 127.0.0.11", f"resolver 127.0.0.1:{server.port}")

    def _cwd(self, replica: Replica) -> Path:
        return replica.places.get(self._image.folder, replica.folder)

    # -- networks ----------------------------------------------------------------------

    def _known_to(self, asker: str) -> dict[str, list[str]]:
        networks = self.services[asker].networks
        return {
            name: [replica.address for replica in replicas]
            for name, replicas in self.replicas.items()
            if networks & self.services[name].networks
        }

    def _address(self) -> str:
        self._count += 1
        return f"127.{self._octets[0] or 1}.{self._octets[1]}.{self._count}"

    def _free_ports(self) -> int:
        """Return what to add to every port, so that nobody has them."""
        while True:
            shift = 2000 + secrets.randbelow(20000)
            with ExitStack() as stack:
                try:
                    for port in (8080, 8081, 8082, 8083, 8084, 8090, 8091, 8443, 9080, 9443):
                        stack.enter_context(socket.create_server((self._addresses["edge"], port + shift)))
                except OSError:
                    continue
                return shift


@contextmanager
def composition(folder: Path, database_url: str, **variables: str) -> Iterator[Composition]:
    """Yield a composition of which nothing runs yet; nothing is left running."""
    composed = Composition(folder, database_url, **variables)
    try:
        yield composed
    finally:
        composed.close()
