"""What can be wrong with a SCEP message, as two exceptions.

`MessageError` and its leaves are answered with a signed CertRep FAILURE: each leaf carries the
failInfo it is answered with (RFC 8894 3.2.1.4). `Unanswerable` is raised when no CertRep can be
addressed, because the outer SignedData or its transactionID cannot be read; the transport then
answers with an HTTP status.

A message says what was found, what was expected, and the clause. It never holds a secret.
"""

from __future__ import annotations

from typing import ClassVar

from .messages import FailInfo


class Unanswerable(Exception):
    """No CertRep can be addressed to the sender; answered below SCEP, by HTTP 400."""


class MessageError(Exception):
    """A message whose transactionID is known and that is refused for the reason in the text."""

    fail_info: ClassVar[FailInfo] = FailInfo.BAD_REQUEST


class BadAlgorithm(MessageError):
    """An algorithm or key that is unknown, or refused by policy (failInfo badAlg)."""

    fail_info = FailInfo.BAD_ALG


class BadMessageCheck(MessageError):
    """A signature or digest that does not verify, or a signer that is not there (badMessageCheck)."""

    fail_info = FailInfo.BAD_MESSAGE_CHECK


class Undecryptable(BadMessageCheck):
    """The envelope cannot be opened. One text for every cause, so that no padding oracle arises.

    RFC 3218 and the note in RFC 8017 7.2.2; raised without arguments only.
    """

    def __init__(self) -> None:
        super().__init__("the envelope cannot be opened with our keys")


class BadRequest(MessageError):
    """A well signed message whose content is not what its messageType calls for (badRequest)."""

    fail_info = FailInfo.BAD_REQUEST


class BadTime(MessageError):
    """signingTime too far from our clock (badTime); raised only where a tolerance is configured."""

    fail_info = FailInfo.BAD_TIME


class BadCertId(MessageError):
    """The certificate, CRL or transaction that is asked for does not exist here (badCertId)."""

    fail_info = FailInfo.BAD_CERT_ID
