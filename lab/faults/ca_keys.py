"""The keys that faults sign with, so that what they change is as validly signed as before."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ca.certificates import read_certificate
from ca.folders import read_certificate_file
from ca.keys import read_key_file
from ca.opening import open_ocsp_credentials, serving_passphrase

if TYPE_CHECKING:
    from pathlib import Path

    from ca.authority import CertificateAuthority
    from ca.certificates import CertificateInfo
    from ca.keys import PrivateKey
    from ca.ocsp_credentials import ResponderCredential
    from lab.world import World

_RESPONDERS: WeakKeyDictionary[CertificateAuthority, ResponderCredential] = WeakKeyDictionary()


def issuing_key(world: World, key_id: bytes | None) -> PrivateKey | None:
    """Return the issuing CA's key with this identifier; None where it has none such, as for the root's."""
    for generation in reversed(world.folder.issuing_generations()):
        certificate = read_certificate(read_certificate_file(generation / "issuing.crt"))
        if key_id is not None and certificate.subject_key_id == key_id:
            return _key(world.folder.issuing_key_of(generation), serving_passphrase(world.folder, world.pki))
    return None


@functools.lru_cache(maxsize=16)
def _key(path: Path, passphrase: bytes) -> PrivateKey:
    return read_key_file(path, passphrase)


def responder_credential(world: World, certificate: CertificateInfo) -> ResponderCredential | None:
    """Return what goes with the certificate in an OCSP response; None where no CA of this lab issued it.

    Where the responder has meanwhile got another one, that is returned. Raises as
    `ca.ocsp_credentials.CredentialSource.current`.
    """
    owners = (one for one in world.authorities if one.issuer_key_id == certificate.issuer_key_id)
    authority = next(owners, None)
    if authority is None:
        return None
    known = _RESPONDERS.get(authority)
    if known is None or known.certificate.der != certificate.der:
        known = _RESPONDERS[authority] = open_ocsp_credentials(
            world.folder, world.pki, authority=authority, store=world.store, clock=world.clock
        ).current()
    return known
