"""A container from an image's root file system and configuration, without an engine: an OCI bundle and crun.

What an engine would apply is applied: user, environment, entrypoint, working folder, volume, read-only root
file system, no capabilities, namespaces of its own, and ports published by a process that forwards them.
Whoever uses it must be root, and have called `private_host` first, so that nothing of the machine's network
or mounts changes.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NEW_MOUNTS, _NEW_NETWORK = 0x00020000, 0x40000000  # CLONE_NEWNS, CLONE_NEWNET
_OUTSIDE, _INSIDE = "192.0.2.1", "192.0.2.2"  # of documentation (RFC 5737), seen by nobody else
_START_SECONDS = 30
_CGROUPS = Path("/sys/fs/cgroup")


def private_host() -> None:
    """Give this process mounts and a network of its own; what it starts from now on has them too."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_MOUNTS | _NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), "no namespaces of one's own: unshare")
    _run("mount", "--make-rprivate", "/")
    _run("ip", "link", "set", "lo", "up")
    if (_CGROUPS / "unified").exists():  # crun refuses hybrid control groups, even where it uses none
        _run("umount", "--recursive", "--lazy", _CGROUPS)
        _run("mount", "-t", "cgroup2", "none", _CGROUPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A file or folder of ours in the container."""

    source: Path
    destination: str
    read_only: bool = True


@dataclass(slots=True, kw_only=True)
class Container:
    """One container; use it as a context manager, and nothing of it is left running.

    Args:
        name: of the container.
        work: folder for bundle, state and log.
        root: the image's root file system.
        config: the image's configuration, in Docker's words.
        volume: our folder that is the image's volume.
        arguments: what takes the place of the image's command.
        entrypoint: what takes the place of the image's.
        environment: besides the image's.
        mounts: besides the volume.
        read_only: whether the root file system is.
        ports: published on 127.0.0.1.
        shares_network: has no network of its own, but that of `private_host`; any number of such containers
            may run at once, and of others one.

    """

    name: str
    work: Path
    root: Path
    config: Mapping[str, Any]
    volume: Path
    arguments: Sequence[str] = ()
    entrypoint: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    read_only: bool = True
    ports: Sequence[int] = ()
    shares_network: bool = False
    pid: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _published: list[socket.socket] = field(default_factory=list)

    @property
    def log(self) -> str:
        """What it has written to standard output and standard error."""
        return (self._folder / "log").read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Container:
        """Start it, and publish its ports."""
        self._folder.mkdir()
        here = "127.0.0.1" if self.shares_network else _INSIDE
        (self._folder / "hosts").write_text(f"127.0.0.1 localhost\n{here} {self.name}\n")
        (self._folder / "config.json").write_text(json.dumps(self._bundle()))
        pid_file = self._folder / "pid"
        run = self._runtime("run", "--bundle", self._folder, "--pid-file", pid_file, self.name)
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(run, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + _START_SECONDS
        while not (pid_file.exists() and pid_file.read_text()):
            if not self.running or time.monotonic() > end:
                self.__exit__()
                raise RuntimeError(f"crun did not start the container: {self.log}")
            time.sleep(0.02)
        self.pid = int(pid_file.read_text())
        if not self.shares_network:
            self._connect()
        self._published = [_publish(port) for port in self.ports]
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it if it still runs, and take its ports and its network away."""
        for listener in self._published:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        if self.running and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid or self._process.pid, signal.SIGKILL)
            self._process.wait()
        tidying = [self._runtime("delete", "--force", self.name)]
        if not self.shares_network:
            tidying.append(["ip", "link", "delete", "outside"])
        for tidy in tidying:
            subprocess.run(tidy, capture_output=True, check=False)

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as its user and with its environment."""
        how = ("--user", self.config["User"], "--cwd", self.config["WorkingDir"])
        run = self._runtime("exec", *how, self.name, *command)
        return subprocess.run(run, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def signal(self, number: signal.Signals) -> None:
        """Send its first process a signal, as an engine does."""
        os.kill(self.pid, number)

    def wait(self, seconds: float) -> int | None:
        """Return its exit status; None if it runs on."""
        try:
            return self._process.wait(seconds) if self._process else None
        except subprocess.TimeoutExpired:
            return None

    @property
    def _folder(self) -> Path:
        return self.work / self.name

    def _runtime(self, *words: str | Path) -> list[str]:
        always = ["crun", "--cgroup-manager=disabled", "--root", self.work / "crun"]
        return [str(word) for word in (*always, *words)]

    def _bundle(self) -> dict[str, Any]:
        user, _, group = self.config["User"].partition(":")
        (destination,) = self.config["Volumes"]
        told = dict(entry.split("=", 1) for entry in self.config["Env"]) | dict(self.environment)
        ours = [
            Mount(source=self.volume, destination=destination, read_only=False),
            Mount(source=self._folder / "hosts", destination="/etc/hosts"),
            *self.mounts,
        ]
        return {
            "ociVersion": "1.0.2",
            "hostname": self.name,
            "root": {"path": str(self.root), "readonly": self.read_only},
            "process": {
                "user": {"uid": int(user), "gid": int(group)},
                "args": [
                    *(self.entrypoint or self.config["Entrypoint"]),
                    *(self.arguments or self.config["Cmd"]),
                ],
                "env": [f"{name}={value}" for name, value in told.items()],
                "cwd": self.config["WorkingDir"],
                "noNewPrivileges": True,
                "capabilities": {"bounding": [], "effective": [], "permitted": []},
            },
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {
                    "destination": "/dev",
                    "type": "tmpfs",
                    "source": "tmpfs",
                    "options": ["nosuid", "mode=755"],
                },
                {
                    "destination": "/dev/shm",  # noqa: S108 - an engine gives one
                    "type": "tmpfs",
                    "source": "shm",
                    "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=64m"],
                },
                *(_bound(mount) for mount in ours),
            ],
            "linux": {
                "namespaces": [
                    {"type": kind}
                    for kind in ("pid", "mount", "ipc", "uts", *(() if self.shares_network else ("network",)))
                ]
            },
        }

    def _connect(self) -> None:
        """Lay a cable between the container's network and ours."""
        inside = ("nsenter", "--target", str(self.pid), "--net", "ip")
        _run("ip", "link", "add", "outside", "type", "veth", "peer", "name", "eth0", "netns", str(self.pid))
        _run("ip", "address", "add", f"{_OUTSIDE}/30", "dev", "outside")
        _run("ip", "link", "set", "outside", "up")
        _run(*inside, "address", "add", f"{_INSIDE}/30", "dev", "eth0")
        _run(*inside, "link", "set", "eth0", "up")


def new_volume(folder: Path, root: Path, destination: str) -> Path:
    """Make ``folder`` what an engine makes of a new volume: what the image has there, owner and mode too."""
    here = root / destination.lstrip("/")
    shutil.copytree(here, folder)
    status = here.stat()
    os.chown(folder, status.st_uid, status.st_gid)
    folder.chmod(status.st_mode & 0o7777)
    return folder


def _bound(mount: Mount) -> dict[str, Any]:
    options = ["rbind", "nosuid", "nodev", "ro" if mount.read_only else "rw"]
    return {
        "destination": mount.destination,
        "type": "bind",
        "source": str(mount.source),
        "options": options,
    }


def _run(*command: str | Path) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")


# -- published ports -------------------------------------------------------------------


def _publish(port: int) -> socket.socket:
    """Forward connections to this port of 127.0.0.1 to the container's."""
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    threading.Thread(target=_accept, args=(listener, port), daemon=True).start()
    return listener


def _accept(listener: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError):  # the listener has been closed
        while True:
            near, _ = listener.accept()
            try:
                far = socket.create_connection((_INSIDE, port), timeout=10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_forward, args=(one, other), daemon=True).start()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while octets := source.recv(65536):
            target.sendall(octets)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
