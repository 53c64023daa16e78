"""How an enrolment can end, as values, and the words for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ca.der import DerError, Reader
from lab.hresults import HResult, hresult
from scep_server.protocol.messages import FailInfo

if TYPE_CHECKING:
    from lab.trust import X509Certificate
    from scep_server.protocol.client import Reply

_HRESULT_ATTRIBUTE: Final = "1.3.6.1.4.1.311.21.33"
_PLAIN_WORDS: Final = {
    FailInfo.BAD_ALG: "an algorithm or key of the request is unknown to the server or refused by it",
    FailInfo.BAD_MESSAGE_CHECK: "the server could not verify the request's signature, or not decrypt it",
    FailInfo.BAD_REQUEST: "the server does not permit the request, or cannot read it: look at the "
    "challenge password, the subject, the key size and the template",
    FailInfo.BAD_TIME: "the request's signingTime is too far from the server's clock",
    FailInfo.BAD_CERT_ID: "the server knows no such certificate or transaction",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """The certificate that was asked for; ``chain`` is its issuer upwards, the anchor included."""

    transaction_id: str
    certificate: X509Certificate
    chain: tuple[X509Certificate, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A CertRep FAILURE (RFC 8894 3.3.2.2)."""

    transaction_id: str
    fail_info: FailInfo
    fail_info_text: str | None = None
    hresult: HResult | None = None
    warnings: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return the refusal in plain words, on one line."""
        text = f"refused: {self.fail_info.rfc_name} ({self.fail_info.value}): {_PLAIN_WORDS[self.fail_info]}"
        if self.fail_info_text:
            text += f'; the server says "{_printable(self.fail_info_text)}"'
        return f"{text}; {self.hresult}" if self.hresult is not None else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """The request waits for approval (RFC 8894 3.3.2.3)."""

    transaction_id: str
    polls: int = 0
    warnings: tuple[str, ...] = field(default=())

    def describe(self) -> str:
        """Return the state in plain words, on one line."""
        return f"pending: transaction {self.transaction_id} waits for approval; polled {self.polls} times"


Outcome = Issued | Refused | Pending


def refusal(reply: Reply, transaction_id: str) -> Refused:
    """Return what a reply with pkiStatus FAILURE says."""
    return Refused(
        transaction_id=transaction_id,
        fail_info=reply.fail_info or FailInfo.BAD_REQUEST,
        fail_info_text=reply.fail_info_text,
        hresult=_hresult(reply),
        warnings=reply.warnings,
    )


def _hresult(reply: Reply) -> HResult | None:
    """Return the HRESULT that NDES adds as a signed decimal in a PrintableString."""
    value = dict(reply.message.unverified.attribute_values).get(_HRESULT_ATTRIBUTE)
    if value is None:
        return None
    try:
        return hresult(int(Reader(value).element().content.decode("ascii")[:12]))
    except (DerError, ValueError):
        return None


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:300])
