"""An enrolment with its folder: begun, gone on with after a crash, installed when it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.trust import read_certificates
from scep_server.protocol.client import ClientRequest
from scep_server.protocol.requests import public_key_der

from .errors import InvalidOrder
from .orders import Enrolment, Identity
from .outcomes import Issued, Outcome, Pending, Refused
from .reports import certificate_pem
from .requests import key_pem, load_key
from .state import CERTIFICATE_FILE, CHAIN_FILE, EnrolmentState, OutputFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .client import ScepClient
    from .orders import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentSession:
    """One enrolment whose key, state and result live in ``folder``.

    Whoever runs `enrol` again after the client was killed, or the answer lost, sends the same request
    with the same key; a request that is pending is polled for.
    """

    client: ScepClient
    url: str
    folder: OutputFolder
    signer_key_file: Path | None = None  # of the certificate that is renewed

    def enrol(
        self,
        order: Callable[[], Order],
        *,
        challenge_password: str | None,
        wait: bool,
        progress: Callable[[Pending], None],
    ) -> Outcome:
        """Go on with what is under way, else begin; ``order`` is asked for only to begin.

        Raises:
            ClientError: what is under way belongs to another server, or the enrolment fails.

        """
        kept = self.folder.load()
        if kept is None:
            enrolment = self.client.prepare(order())
            state = self._begin(enrolment)
        else:
            state, enrolment = self._resume(*kept, challenge_password)
            if state.stage == "issued":
                self.folder.finish()
                return self._installed(state)
        if state.stage == "pending":
            outcome = self.client.poll(enrolment, polls=state.polls)
        else:
            outcome = self.client.submit(enrolment)
        return self._settle(outcome, state, enrolment, wait, progress)

    def _begin(self, enrolment: Enrolment) -> EnrolmentState:
        request = enrolment.request
        renewing = enrolment.signer.key is not enrolment.key
        state = EnrolmentState(
            url=self.url,
            stage="sent",
            transaction_id=request.transaction_id,
            message_type=request.message_type,
            sender_nonce=request.sender_nonce,
            signer=enrolment.signer.certificate.der,
            signer_key=str(self.signer_key_file) if renewing and self.signer_key_file else None,
            csr_subject=enrolment.subject_der,
            csr_names=enrolment.names_der,
            request=request.octets,
        )
        self.folder.begin(state, key_pem(enrolment.key))
        return state

    def _resume(
        self, state: EnrolmentState, key_octets: bytes, challenge_password: str | None
    ) -> tuple[EnrolmentState, Enrolment]:
        if state.url != self.url:
            raise InvalidOrder(
                f"an enrolment at {state.url} is under way in {self.folder.path}; "
                "finish it there or start afresh with --restart"
            )
        key = load_key(key_octets, origin=str(self.folder.path))
        signer_key = key
        if state.signer_key is not None:
            path = self.folder.path / state.signer_key
            try:
                signer_key = load_key(path.read_bytes(), origin=str(path))
            except OSError as error:
                raise InvalidOrder(f"{path} cannot be read: {error.strerror}") from error
        enrolment = Enrolment(
            request=ClientRequest(
                octets=state.request,
                message_type=state.message_type,
                transaction_id=state.transaction_id,
                sender_nonce=state.sender_nonce,
                public_key_der=public_key_der(key),
            ),
            key=key,
            subject_der=state.csr_subject,
            names_der=state.csr_names,
            signer=Identity.of(state.signer, signer_key),
            challenge_password=challenge_password,
        )
        return state, enrolment

    def _settle(
        self,
        outcome: Outcome,
        state: EnrolmentState,
        enrolment: Enrolment,
        wait: bool,
        progress: Callable[[Pending], None],
    ) -> Outcome:
        """Keep what came of it; a pending request is waited for if that is wanted."""
        if isinstance(outcome, Pending):
            state = self.folder.advance(state, stage="pending", polls=outcome.polls)
            if wait:
                outcome = self.client.wait(enrolment, outcome, progress)
        if isinstance(outcome, Pending):
            self.folder.advance(state, stage="pending", polls=outcome.polls)
        elif isinstance(outcome, Refused):
            self.folder.discard()
        else:
            chain = b"".join(certificate_pem(certificate) for certificate in outcome.chain)
            self.folder.install(state, certificate_pem(outcome.certificate), chain)
        return outcome

    def _installed(self, state: EnrolmentState) -> Issued:
        """Return what an interrupted run had already received."""
        (leaf,) = read_certificates((self.folder.path / CERTIFICATE_FILE).read_bytes())
        chain = read_certificates((self.folder.path / CHAIN_FILE).read_bytes())
        return Issued(transaction_id=state.transaction_id, certificate=leaf, chain=tuple(chain))
