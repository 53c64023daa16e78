"""The image as the programs of docker/compose.yaml: the root's keeper, a SCEP server, and a publisher.

Part of `docker/verify`. One database is between them: SQLite in a folder that is mounted to all three. They
share a network, which is that of `oci_container.private_host`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oci_container import Container, Mount, new_volume
from verifying import CannotRun, Checks, is_confined, scepclient_enrols, step, stops, wait_healthy

if TYPE_CHECKING:
    from collections.abc import Mapping

_HANDED = ("scep", "publisher", "edge")
_KEEPER_SECONDS = 60
_DATABASE = "/run/database"
_ENVIRONMENT = {
    "NDES_LAB_CONFIG": "",
    "NDES_LAB_READY_FILE": "",
    "NDES_LAB_PKI__PUBLIC_URL": "http://localhost:8081",
    "NDES_LAB_PKI__DATABASE_URL": f"sqlite:///{_DATABASE}/store.sqlite3",
}
_KEEPER = ("pki", "hand-over", "--init", "--sign-root", "--server-name=localhost")


@dataclass(slots=True)
class ChainVerification:
    """The programs of one image, in containers that share a network."""

    work: Path
    root: Path
    config: Mapping[str, Any]
    checks: Checks

    def run(self) -> None:
        """Hand over, serve, enrol, stop."""
        (self.root / _DATABASE.lstrip("/")).mkdir(parents=True, exist_ok=True)
        (self.work / "volumes").mkdir()
        volumes = {
            name: new_volume(self.work / "volumes" / name, self.root, f"/handed/{name}") for name in _HANDED
        }
        (destination,) = self.config["Volumes"]
        for name in ("root", "database"):
            volumes[name] = new_volume(self.work / "volumes" / name, self.root, destination)
        step("docker run --read-only ... pki hand-over --init")
        self._keep("keeper", volumes, "the root's keeper ends well, and hands over", new=True)
        self._sees(volumes)
        step("python -m scep_server, python -m crl_publisher")
        scep = self._container("chain-scep", volumes["scep"], volumes, "scep_server", "--workers=2")
        publisher = self._container(
            "chain-publisher", volumes["publisher"], volumes, "crl_publisher", "--workers=1"
        )
        with scep, publisher:
            for container, port in ((scep, 8083), (publisher, 8084)):
                check = ("ndes-lab", "ready", f"--admin-url=http://127.0.0.1:{port}")
                wait_healthy(self.checks, container, check)
                is_confined(self.checks, container)
            self._enrols(scep, volumes["scep"])
            self._stops(scep, 8080, "/scep?operation=PKIOperation")
            self._stops(publisher, 8081, "/ocsp")
        step("docker run --read-only ... pki hand-over, again")
        self._keep("keeper-again", volumes, "it ends well again, and hands over nothing", new=False)

    def _keep(self, name: str, volumes: Mapping[str, Path], text: str, *, new: bool) -> None:
        where = tuple(f"{'server' if one == 'edge' else one}=/handed/{one}" for one in _HANDED)
        handed = tuple(
            Mount(source=volumes[one], destination=f"/handed/{one}", read_only=False) for one in _HANDED
        )
        with self._container(name, volumes["root"], volumes, *_KEEPER, *where, mounts=handed) as keeper:
            status = keeper.wait(_KEEPER_SECONDS)
            if status != 0:
                raise CannotRun(f"pki hand-over ended with {status}: {keeper.log}")
            rows = [line.split("\t") for line in keeper.log.splitlines() if line.count("\t") == 2][1:]
        self.checks.that(len(rows) == len(where) and all((row[2] != "-") is new for row in rows), text, rows)

    def _sees(self, volumes: Mapping[str, Path]) -> None:
        that = self.checks.that
        key = (volumes["root"] / "root" / "root.key").read_bytes()
        for name in _HANDED:
            found = [path for path in volumes[name].rglob("*") if path.is_file()]
            that(
                found and all(path.read_bytes() != key for path in found),
                f"the root's key is not in {name}'s",
            )
            owners = {path.stat().st_uid for path in (volumes[name], *found)}
            user = int(self.config["User"].partition(":")[0])
            that(owners == {user}, f"what is in {name}'s volume is the user's", owners)
        that((volumes["scep"] / "ra").exists(), "the SCEP server has the RA's keys")
        that(not (volumes["publisher"] / "ra").exists(), "the publisher has not")

    def _enrols(self, scep: Container, folder: Path) -> None:
        client = self.work / "chain-client"
        client.mkdir()
        for name, file in (("root", "root.crt"), ("issuing", "issuing.crt")):
            (client / f"{name}.pem").write_bytes((folder / "issuing" / file).read_bytes())
        made = scep.execute("ndes-lab", "challenge", "new")
        self.checks.that(
            made.returncode == 0, "a challenge is made in the SCEP server's container", made.stderr
        )
        scepclient_enrols(self.checks, client, "http://localhost:8080/scep", made.stdout.strip())

    def _stops(self, container: Container, port: int, target: str) -> None:
        """Stop it while it waits for the second half of a body; what arrives is no message, and told so."""
        head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nConnection: close\r\n\r\n"
        stops(self.checks, container, port, f"{head}half".encode(), b" more", statuses=(200, 400, 415, 503))

    def _container(
        self,
        name: str,
        volume: Path,
        volumes: Mapping[str, Path],
        program: str,
        *arguments: str,
        mounts: tuple[Mount, ...] = (),
    ) -> Container:
        """Return a container of one of the programs, or of ``ndes-lab`` where it is none."""
        is_program = program in ("scep_server", "crl_publisher")
        database = Mount(source=volumes["database"], destination=_DATABASE, read_only=False)
        return Container(
            name=name,
            work=self.work,
            root=self.root,
            config=self.config,
            volume=volume,
            entrypoint=("python3", "-m", program) if is_program else (),
            arguments=arguments if is_program else (program, *arguments),
            environment=_ENVIRONMENT,
            mounts=(database, *mounts),
            shares_network=True,
        )
