"""The RA's keys opened from a folder, with whatever keeps them from being opened said in NDES's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ca.folders import PkiUnreadable
from ca.keys import UnusableKey
from ca.opening import open_registration_keys
from ca.registration import retired_keys

from .ra import MismatchedKey, RaIdentity, RegistrationAuthority, RetiredIdentity
from .ra_standing import RaTrouble, RaUnusable

if TYPE_CHECKING:
    from ca.folders import PkiFolder
    from ca.opening import KeyAndCertificate
    from ca.settings import PkiSettings


def open_ra(folder: PkiFolder, settings: PkiSettings, *, with_retired: bool) -> RegistrationAuthority:
    """Return the RA of a folder, with its retired encryption keys where they still count.

    Raises:
        NoPki: there is no PKI in the folder.
        RaUnusable: a key or certificate is missing, cannot be read, or does not fit the other.

    """
    try:
        keys = open_registration_keys(folder, settings)
        retired = retired_keys(folder, settings) if with_retired else ()
        return RegistrationAuthority(
            signing=_identity(keys.signing),
            encryption=_identity(keys.encryption),
            retired=[
                RetiredIdentity(identity=_identity(pair), until=pair.certificate.not_after)
                for pair in retired
            ],
        )
    except PkiUnreadable as error:
        trouble = _trouble_of(error, RaTrouble.UNREADABLE)
        raise RaUnusable(trouble, f"an RA certificate cannot be used: {error}") from error
    except MismatchedKey as error:
        raise RaUnusable(RaTrouble.BAD_KEY, f"an RA certificate cannot be used: {error}") from error
    except UnusableKey as error:
        trouble = _trouble_of(error, RaTrouble.BAD_KEY)
        raise RaUnusable(trouble, f"an RA key cannot be used: {error}") from error


def _trouble_of(error: Exception, otherwise: RaTrouble) -> RaTrouble:
    cause = error.__cause__
    if isinstance(cause, FileNotFoundError):
        return RaTrouble.MISSING
    if isinstance(cause, PermissionError):
        return RaTrouble.ACCESS_DENIED
    return otherwise


def _identity(pair: KeyAndCertificate) -> RaIdentity:
    return RaIdentity(certificate=pair.certificate, key=pair.key)
