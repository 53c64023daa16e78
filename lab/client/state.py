"""What an enrolment leaves on disk, so that a client that was killed goes on where it was.

In the output folder: ``key.pem`` (0600), ``certificate.pem``, ``chain.pem``. While an enrolment is
under way its key, its request and its state are in ``.enrolment`` below it, and nothing of an earlier
certificate is touched. The request is kept as it was sent: whoever repeats it after a lost answer
sends the same octets, so that the server can tell a repetition from a second request.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from scep_server.protocol.messages import MessageType

from .errors import InvalidOrder

if TYPE_CHECKING:
    from pathlib import Path

KEY_FILE: Final = "key.pem"
CERTIFICATE_FILE: Final = "certificate.pem"
CHAIN_FILE: Final = "chain.pem"
_WORK_FOLDER: Final = ".enrolment"
_STATE_FILE: Final = "state.json"

Stage = Literal["sent", "pending", "issued"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentState:
    """One enrolment under way. ``request`` is the pkiMessage as sent; it is enveloped for the RA."""

    url: str
    stage: Stage
    transaction_id: str
    message_type: MessageType
    sender_nonce: bytes
    signer: bytes = field(repr=False)  # certificate the request is signed with, DER
    signer_key: str | None = None  # file of its key; None: the key of the enrolment itself
    csr_subject: bytes = field(repr=False)
    csr_names: bytes | None = field(default=None, repr=False)  # None: not known
    request: bytes = field(repr=False)
    polls: int = 0

    def as_json(self) -> str:
        """Return the state as JSON text."""
        return json.dumps(
            {
                "url": self.url,
                "stage": self.stage,
                "transaction_id": self.transaction_id,
                "message_type": self.message_type.name,
                "sender_nonce": self.sender_nonce.hex(),
                "signer": base64.b64encode(self.signer).decode(),
                "signer_key": self.signer_key,
                "csr_subject": base64.b64encode(self.csr_subject).decode(),
                "csr_names": None if self.csr_names is None else base64.b64encode(self.csr_names).decode(),
                "request": base64.b64encode(self.request).decode(),
                "polls": self.polls,
            },
            indent=2,
        )

    @classmethod
    def of_json(cls, text: str) -> EnrolmentState:
        """Return the state that JSON text holds; raises ValueError, KeyError or TypeError."""
        fields: dict[str, Any] = json.loads(text)
        names = fields.get("csr_names")
        return cls(
            url=fields["url"],
            stage=fields["stage"],
            transaction_id=fields["transaction_id"],
            message_type=MessageType[fields["message_type"]],
            sender_nonce=bytes.fromhex(fields["sender_nonce"]),
            signer=base64.b64decode(fields["signer"]),
            signer_key=fields["signer_key"],
            csr_subject=base64.b64decode(fields["csr_subject"]),
            csr_names=None if names is None else base64.b64decode(names),
            request=base64.b64decode(fields["request"]),
            polls=fields["polls"],
        )


class OutputFolder:
    """A folder that holds a key, a certificate and its chain, and the work in progress."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._work = path / _WORK_FOLDER

    @property
    def holds_certificate(self) -> bool:
        """Whether an enrolment was finished here."""
        return (self.path / CERTIFICATE_FILE).exists()

    @property
    def holds_key(self) -> bool:
        """Whether there is a private key here."""
        return (self.path / KEY_FILE).exists()

    def load(self) -> tuple[EnrolmentState, bytes] | None:
        """Return state and key of the enrolment under way, or None.

        Raises:
            InvalidOrder: there is one that cannot be read; the text names the file.

        """
        path = self._work / _STATE_FILE
        try:
            return EnrolmentState.of_json(path.read_text()), (self._work / KEY_FILE).read_bytes()
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidOrder(f"{path} cannot be read: {error}; start afresh with --restart") from error

    def begin(self, state: EnrolmentState, key: bytes) -> None:
        """Keep key and state before the request is sent."""
        self._work.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(self._work / KEY_FILE, key)
        write_atomically(self._work / _STATE_FILE, state.as_json().encode())

    def advance(self, state: EnrolmentState, *, stage: Stage, polls: int) -> EnrolmentState:
        """Keep that the enrolment has come further, and return the new state."""
        moved = replace(state, stage=stage, polls=polls)
        write_atomically(self._work / _STATE_FILE, moved.as_json().encode())
        return moved

    def discard(self) -> None:
        """Forget the enrolment under way, with its key."""
        shutil.rmtree(self._work, ignore_errors=True)

    def install(self, state: EnrolmentState, certificate: bytes, chain: bytes) -> None:
        """Put key, certificate and chain in place; `finish` completes it after a crash at any point."""
        write_atomically(self._work / CERTIFICATE_FILE, certificate, mode=0o644)
        write_atomically(self._work / CHAIN_FILE, chain, mode=0o644)
        self.advance(state, stage="issued", polls=state.polls)
        self.finish()

    def finish(self) -> None:
        """Move what was issued into place, then forget the work folder; may be repeated."""
        for name in (KEY_FILE, CERTIFICATE_FILE, CHAIN_FILE):
            source = self._work / name
            if source.exists():
                source.replace(self.path / name)
        self.discard()


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a whole file or none: beside it, to disk, then renamed over it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
