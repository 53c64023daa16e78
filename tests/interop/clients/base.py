"""What every driver of a foreign SCEP client offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from peers import require_peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to enrol, and the root certificate that was given out of band."""

    scep_url: str
    root_pem: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What a client obtained: its files, the name it asked for, and all it said on the way.

    ``certificate_pem`` is what the file held at that moment: some clients overwrite it to renew.
    """

    certificate: Path
    certificate_pem: bytes
    key: Path
    common_name: str
    transcript: str


class EnrolmentRefused(Exception):
    """The client ended without a certificate; the message is what it said."""


class ForeignClient(ABC):
    """A foreign client at work in its own folder; a context manager."""

    name: ClassVar[str]
    commands: ClassVar[tuple[str, ...]]  # the programs it needs, keys of PEERS
    renewal_message_type: ClassVar[int]  # what it sends to renew: 17 RenewalReq or 19 PKCSReq
    renews_with_new_key: ClassVar[bool]
    refusal_words: ClassVar[str]  # what it says of a CertRep FAILURE badRequest
    poll_message_type: ClassVar[int]  # what it sends to ask again: 20 CertPoll, or its PKCSReq once more

    def __init__(self, folder: Path, endpoint: Endpoint) -> None:
        self.programs = {command: require_peer(command) for command in self.commands}
        self.folder = folder
        self.endpoint = endpoint
        self._leaving = ExitStack()  # undoes what the driver started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._leaving.close()

    @abstractmethod
    def obtain(self, common_name: str, challenge: str) -> Enrolment:
        """Enrol for the first time; raises EnrolmentRefused."""

    @abstractmethod
    def renew(self, enrolment: Enrolment) -> Enrolment:
        """Renew what ``obtain`` got, authenticated by it alone; raises EnrolmentRefused."""

    def obtain_once_approved(
        self, common_name: str, challenge: str, approve: Callable[[], None]
    ) -> Enrolment:
        """Enrol where somebody must approve: ``approve`` waits for the request, and approves it."""
        with ThreadPoolExecutor(max_workers=1) as background:
            waiting = background.submit(self.obtain, common_name, challenge)
            approve()
            return waiting.result()
