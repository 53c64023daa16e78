"""The ready file: everything a script needs to use a running lab, written once all of it answers."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    from pathlib import Path


class UnusableReadyFile(Exception):
    """The ready file cannot be read or written; the text says why."""


class ReadyFacts(BaseModel):
    """What the ready file holds. Thumbprints are lower-case hex."""

    model_config = ConfigDict(frozen=True)

    scep_url: str
    scep_tls_url: str | None = None
    mscep_url: str
    mscep_admin_url: str | None = None
    ndes_user: str | None = None
    ndes_password: str | None = None
    pki_url: str
    ocsp_url: str | None = None
    admin_url: str
    admin_token: str | None = None
    challenge: str
    root_pem: str  # the certificate itself
    root_sha256: str
    root_sha1: str
    root_md5: str
    pid: int


def write_ready_file(path: Path, facts: ReadyFacts) -> None:
    """Write the file at once and readable for its owner only: it holds a challenge and a token.

    Raises:
        UnusableReadyFile: it cannot be written.

    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # in a folder of many, a link or a file that others may read
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(facts.model_dump_json(indent=2) + "\n")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UnusableReadyFile(f"the ready file {path} cannot be written: {error.strerror}") from error


def read_ready_file(path: Path) -> ReadyFacts:
    """Return what a running lab wrote.

    Raises:
        UnusableReadyFile: it cannot be read, or is none.

    """
    try:
        return ReadyFacts.model_validate(json.loads(path.read_text()))
    except OSError as error:
        raise UnusableReadyFile(f"the ready file {path} cannot be read: {error.strerror}") from error
    except (ValueError, ValidationError) as error:
        raise UnusableReadyFile(f"{path} is no ready file of a lab") from error
