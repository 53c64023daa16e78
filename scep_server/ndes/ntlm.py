"""The accepting side of NTLM and Negotiate, on pyspnego.

pyspnego's own acceptor takes its accounts from a file that an environment variable names: one for the
whole process, and clear text on disk. `_Acceptor` is the same acceptor with the accounts as an argument;
only the last step, where the client's answer is held against the password, is its own ([MS-NLMP] 3.2.5).
It takes NTLMv2 alone: NTLMv1 and LM answers can be turned back into the password.

Does not live here: HTTP, and which connection a handshake belongs to.
"""

from __future__ import annotations

import hmac
import struct
from typing import TYPE_CHECKING, Final, cast

import spnego
from spnego._context import GSSMech
from spnego._ntlm import NTLMProxy
from spnego._ntlm_raw.crypto import compute_response_v2, ntowfv1, ntowfv2, rc4k
from spnego._ntlm_raw.messages import Authenticate, AvFlags, AvId, NegotiateFlags, NTClientChallengeV2
from spnego.exceptions import InvalidTokenError, NegotiateOptions, SpnegoError

if TYPE_CHECKING:
    from spnego._ntlm_raw.messages import Challenge, Negotiate
    from spnego.channel_bindings import GssChannelBindings

    from .accounts import Account, Accounts

MAXIMUM_TOKEN_OCTETS: Final = 16_384
_NTLMV1_OCTETS: Final = 24
# What pyspnego raises over octets that are no token, besides its own errors.
_UNREADABLE: Final = (
    SpnegoError,
    ArithmeticError,
    AttributeError,
    LookupError,
    StopIteration,
    TypeError,
    ValueError,
    struct.error,
)


class LogOnRefused(Exception):
    """The handshake is over and nobody has logged on; the text is for the server's log."""


class Handshake:
    """One NTLM or Negotiate handshake; its first `step` answers a token, a later one ends it.

    Args:
        accounts: who may log on.

    """

    def __init__(self, accounts: Accounts) -> None:
        self._acceptor = _Acceptor(accounts)
        self._context = spnego.server(
            protocol="negotiate",
            options=NegotiateOptions.use_negotiate,
            _negotiate_contexts={GSSMech.ntlm: self._acceptor},
        )

    @property
    def account(self) -> Account | None:
        """Who has logged on, once the handshake is complete."""
        return self._acceptor.account if self._context.complete else None

    def step(self, token: bytes) -> bytes:
        """Take the client's next token and return ours, which may be empty.

        Raises:
            LogOnRefused: the token is none, or the client does not know the password.

        """
        if not token or len(token) > MAXIMUM_TOKEN_OCTETS:
            raise LogOnRefused(f"the token has {len(token)} octets, expected 1 to {MAXIMUM_TOKEN_OCTETS}")
        try:
            answer = self._context.step(token)
        except _UNREADABLE as error:
            raise LogOnRefused(f"{type(error).__name__}: {error}") from error
        return answer or b""


class _Acceptor(NTLMProxy):
    """pyspnego's NTLM acceptor over given accounts."""

    def __init__(self, accounts: Accounts) -> None:
        # Made as an initiator: as an acceptor pyspnego wants its file of accounts.
        nobody = spnego.NTLMHash(username="nobody", nt_hash="00" * 16)
        super().__init__(username=nobody, hostname="unspecified", service="http", usage="initiate")
        self.usage = "accept"
        self._accounts = accounts
        self.account: Account | None = None

    def _step_accept_authenticate(
        self,
        token: bytes,
        channel_bindings: GssChannelBindings | None,  # noqa: ARG002 - there is no TLS to be bound to
    ) -> None:
        """Hold the client's AUTHENTICATE_MESSAGE against the password of the account it names."""
        message = Authenticate.unpack(token)
        response = message.nt_challenge_response or b""
        if len(response) <= _NTLMV1_OCTETS:
            raise InvalidTokenError(context_msg="the client answers with LM or NTLMv1, expected NTLMv2")
        account = self._accounts.find(message.user_name or "")
        challenge = cast("Challenge", self._temp_challenge)
        hashed = ntowfv2(
            message.user_name or "", ntowfv1(account.password if account else ""), message.domain_name
        )
        blob = NTClientChallengeV2.unpack(response[16:])
        expected, _, exchange_key = compute_response_v2(
            hashed, challenge.server_challenge, blob.challenge_from_client, blob.time_stamp, blob.av_pairs
        )
        if not hmac.compare_digest(expected, response) or account is None:
            raise InvalidTokenError(context_msg="user name or password is wrong")
        self._session_key = _session_key(message, exchange_key)
        if blob.av_pairs.get(AvId.flags, 0) & AvFlags.mic:
            self._check_mic(message, challenge)
        self._context_attr = message.flags
        self._complete = True
        self.account = account

    def _check_mic(self, message: Authenticate, challenge: Challenge) -> None:
        """Refuse a handshake whose messages were changed on the way ([MS-NLMP] 3.2.5.1.2)."""
        sent, message.mic = message.mic, b"\0" * 16
        negotiate = cast("Negotiate", self._temp_negotiate)
        computed = self._calculate_mic(self.session_key, negotiate.pack(), challenge.pack(), message.pack())
        if not hmac.compare_digest(computed, sent or b""):
            raise InvalidTokenError(context_msg="the message integrity code is wrong")


def _session_key(message: Authenticate, exchange_key: bytes) -> bytes:
    """Return the exported session key ([MS-NLMP] 3.4.5.1)."""
    protected = message.flags & (NegotiateFlags.sign | NegotiateFlags.seal)
    if message.flags & NegotiateFlags.key_exch and protected:
        return rc4k(exchange_key, message.encrypted_random_session_key or b"")
    return exchange_key
