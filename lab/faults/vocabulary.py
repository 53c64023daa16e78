"""The words by which exchanges are told apart, and what is said to who uses another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .limits import BadParameter

if TYPE_CHECKING:
    from collections.abc import Iterable

SCEP_OPERATIONS: Final = ("GetCACaps", "GetCACert", "GetNextCACert", "PKIOperation")
RESOURCES: Final = ("CRL", "DeltaCRL", "AIA", "OCSP")
OPERATIONS: Final = (*SCEP_OPERATIONS, *RESOURCES)
MESSAGE_TYPES: Final = ("PKCSReq", "RenewalReq", "CertPoll", "GetCert", "GetCRL")
_SHOWN: Final = 60  # characters


def must_be_known(name: str, word: str, known: Iterable[str]) -> None:
    """Refuse a word that nothing is called by, in any case.

    Raises:
        BadParameter: it is none of the known ones, which are named.

    """
    if word.lower() not in (one.lower() for one in known):
        raise BadParameter(f"{name} is {word[:_SHOWN]!a}, expected one of {', '.join(known)}")
