"""Challenge passwords: made, examined, spent once, and never stored.

The store holds a keyed digest of each password (HMAC-SHA-256 under a key that is not in the
database), so neither the database alone nor the time a lookup takes tells a password. Where a client
without an RSA key needs its reply enciphered under the password (PasswordRecipientInfo, RFC 8894
3.1), the password is kept sealed as well, under a key derived from the same secret.

Does not live here: whether a challenge is needed at all, and what a client is told.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import names, oids
from .extensions import UPN, BadExtension, find, read_general_names
from .records import ChallengeKind, ChallengeRecord, NewChallenge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from .clock import Clock
    from .extensions import Extension
    from .records import StoreTransaction

_NONCE_SIZE: Final = 12
_SEALING_LABEL: Final = b"ndes-lab: sealing of challenge passwords"
_MINIMUM_KEY_SIZE: Final = 16


class ChallengeVerdict(Enum):
    """What a challenge password is worth for one request; the first that applies."""

    ACCEPTED = "accepted"
    ABSENT = "absent"
    UNKNOWN = "unknown"
    REVOKED = "revoked"
    SPENT = "spent"
    EXPIRED = "expired"
    WRONG_ENDPOINT = "wrong endpoint"
    WRONG_SUBJECT = "wrong subject"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeFinding:
    """A verdict, and the challenge it is about unless the password is absent or unknown."""

    verdict: ChallengeVerdict
    record: ChallengeRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedChallenge:
    """A new challenge; the only time its password is seen."""

    password: str
    record: ChallengeRecord

    def __repr__(self) -> str:
        return f"IssuedChallenge(record={self.record!r})"


class ChallengeBook:
    """Makes and judges challenges, within a transaction of the store that the caller holds.

    Args:
        digest_key: at least 16 random octets, kept apart from the database.
        clock: what tells whether a challenge has expired.
        entropy: returns so many random octets.
        sealing: keep generated passwords sealed beside their digests, for `recoverable`.

    Raises:
        ValueError: the digest key is too short.

    """

    def __init__(
        self, *, digest_key: bytes, clock: Clock, entropy: Callable[[int], bytes], sealing: bool = False
    ) -> None:
        if len(digest_key) < _MINIMUM_KEY_SIZE:
            raise ValueError(
                f"the digest key has {len(digest_key)} octets, expected at least {_MINIMUM_KEY_SIZE}"
            )
        self._digest_key = digest_key
        self._clock = clock
        self._entropy = entropy
        self._sealing = sealing
        self._cipher = AESGCM(hmac.digest(digest_key, _SEALING_LABEL, hashlib.sha256))

    def new(
        self,
        transaction: StoreTransaction,
        *,
        kind: ChallengeKind = ChallengeKind.ONE_TIME,
        validity: timedelta | None,
        subject: str | None = None,
        template: str | None = None,
        endpoint: str | None = None,
        label: str = "",
        password: str | None = None,
        length: int = 16,
    ) -> IssuedChallenge:
        """Make a challenge and remember it.

        Args:
            transaction: where it is remembered.
            kind: good for one request, or for any number.
            validity: how long it is good; None for ever.
            subject: RFC 4514 text of the only subject it is good for.
            template: template the request is issued under.
            endpoint: name of the only endpoint it is good for.
            label: for people.
            password: a given password instead of a generated one. Never sealed: what people choose
                can be guessed from one captured envelope under it (RFC 8894 7.3).
            length: octets of a generated password, which is their upper-case hex as NDES has it.

        Raises:
            ValueError: an empty password, a length below 1, or a text with the character NUL.
            ca.records.AlreadyExists: a given password that another challenge has.

        """
        text = self._generated(length) if password is None else password
        if not text:
            raise ValueError("a challenge password is empty: an empty one counts as absent")
        for name, value in (
            ("subject", subject), ("template", template), ("endpoint", endpoint), ("label", label),
        ):  # fmt: skip
            if value and "\0" in value:  # PostgreSQL has no such texts
                raise ValueError(f"the {name} of a challenge holds the character NUL")
        octets = text.encode()
        digest = self._digest(octets)
        now = self._clock.now()
        record = transaction.add_challenge(
            NewChallenge(
                digest=digest,
                kind=kind,
                created_at=now,
                expires_at=None if validity is None else now + validity,
                subject=subject,
                template=template,
                endpoint=endpoint,
                label=label,
                sealed=self._sealed(octets, digest) if self._sealing and password is None else None,
            )
        )
        return IssuedChallenge(password=text, record=record)

    def examine(
        self,
        transaction: StoreTransaction,
        password: bytes | None,
        *,
        subject: str,
        endpoint: str,
        extensions: Sequence[Extension] = (),
    ) -> ChallengeFinding:
        """Return what a password is worth; writes nothing.

        The octets are read as UTF-8, else as latin-1, whatever string type they came in: certmonger
        puts UTF-8 into PrintableString. An absent password costs the same lookup as a wrong one.

        Args:
            transaction: where to look.
            password: content octets of challengePassword, or None.
            subject: RFC 4514 text of the request's subject.
            endpoint: name of the endpoint the request came to.
            extensions: what the request asks for. A challenge bound to a subject covers only
                subjectAltNames that repeat a value of that subject, such as the DNS name in its CN.

        """
        digest = self._digest(_normalised(password or b""))
        record = transaction.challenge_by_digest(digest)
        if not password:
            return ChallengeFinding(verdict=ChallengeVerdict.ABSENT)
        if record is None or not hmac.compare_digest(record.digest, digest):
            return ChallengeFinding(verdict=ChallengeVerdict.UNKNOWN)
        verdict = self._judged(record, subject, endpoint)
        if (
            verdict is ChallengeVerdict.ACCEPTED
            and record.subject is not None
            and not _repeats_subject(extensions, record.subject)
        ):
            verdict = ChallengeVerdict.WRONG_SUBJECT
        return ChallengeFinding(verdict=verdict, record=record)

    def _judged(self, record: ChallengeRecord, subject: str, endpoint: str) -> ChallengeVerdict:
        if record.revoked_at is not None:
            return ChallengeVerdict.REVOKED
        if record.spent_at is not None:
            return ChallengeVerdict.SPENT
        if record.expires_at is not None and record.expires_at <= self._clock.now():
            return ChallengeVerdict.EXPIRED
        if record.endpoint is not None and record.endpoint != endpoint:
            return ChallengeVerdict.WRONG_ENDPOINT
        if record.subject is not None and not names.same_text(record.subject, subject):
            return ChallengeVerdict.WRONG_SUBJECT
        return ChallengeVerdict.ACCEPTED

    def redeem(self, transaction: StoreTransaction, record: ChallengeRecord) -> bool:
        """Use a challenge; False where another was quicker, or it has expired or been revoked by now.

        A static challenge stays usable and counts its uses.
        """
        return transaction.spend_challenge(record.id, self._clock.now())

    def list(self, transaction: StoreTransaction, *, usable_only: bool = False) -> Sequence[ChallengeRecord]:
        """Return every challenge, oldest first, or only those that are still good for something."""
        return transaction.challenges(usable_at=self._clock.now() if usable_only else None)

    def count(self, transaction: StoreTransaction, *, label: str | None = None) -> int:
        """Return how many challenges are still good for something, of one label or of any."""
        return transaction.count_challenges(usable_at=self._clock.now(), label=label)

    def revoke(self, transaction: StoreTransaction, challenge_id: int) -> bool:
        """Revoke a challenge; False when there is none that is neither spent nor revoked."""
        return transaction.revoke_challenge(challenge_id, self._clock.now())

    def recoverable(self, transaction: StoreTransaction) -> Sequence[tuple[ChallengeRecord, bytes]]:
        """Return every usable challenge whose password was sealed, with the password's octets.

        Nothing when sealing is off. What was sealed under another digest key is left out: its digest
        is of that key too, so no request can ever match it.
        """
        if not self._sealing:
            return []
        usable = transaction.challenges(usable_at=self._clock.now())
        opened = ((record, self._opened(record)) for record in usable)
        return [(record, octets) for record, octets in opened if octets is not None]

    def recover(self, record: ChallengeRecord) -> bytes | None:
        """Return the octets of one challenge's password, spent or not; None where it cannot be opened."""
        return self._opened(record)

    def _generated(self, length: int) -> str:
        if length < 1:
            raise ValueError(f"a password of {length} octets was asked for, expected at least 1")
        return self._entropy(length).hex().upper()

    def _digest(self, octets: bytes) -> str:
        return hmac.digest(self._digest_key, octets, hashlib.sha256).hex()

    def _sealed(self, octets: bytes, digest: str) -> bytes:
        nonce = self._entropy(_NONCE_SIZE)
        return nonce + self._cipher.encrypt(nonce, octets, digest.encode())

    def _opened(self, record: ChallengeRecord) -> bytes | None:
        if record.sealed is None:
            return None
        nonce, ciphertext = record.sealed[:_NONCE_SIZE], record.sealed[_NONCE_SIZE:]
        try:
            return self._cipher.decrypt(nonce, ciphertext, record.digest.encode())
        except InvalidTag:
            return None


def _normalised(octets: bytes) -> bytes:
    """Return UTF-8 octets of a password that may have come as latin-1."""
    try:
        octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1").encode()
    return octets


def _repeats_subject(extensions: Sequence[Extension], subject: str) -> bool:
    """Tell whether every name in subjectAltName says again what the subject says.

    Otherwise whoever holds the challenge of one device could have another's DNS name or UPN certified
    beside it. A subjectAltName that cannot be read repeats nothing.
    """
    wanted = find(extensions, oids.SUBJECT_ALT_NAME)
    if wanted is None:
        return True
    values = {attribute.text.casefold() for attribute in names.attributes(names.build_name(subject))}
    try:
        found = read_general_names(wanted.value)
    except BadExtension:
        return False
    return all(
        name.kind in ("dns", "email", "upn", "ip") and name.text.removeprefix(f"{UPN}=").casefold() in values
        for name in found
    )
