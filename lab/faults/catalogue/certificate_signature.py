"""Faults of issued certificates: who signed them, and how."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ca import extensions
from ca.names import build_name
from lab.faults.minting import Scratched, WithDigest, foreign_key, with_extension, with_issuer
from lab.faults.registry import ClientMust, Seam, fault
from lab.faults.values import DraftCertificate

if TYPE_CHECKING:
    from ca.keys import SigningKey
    from lab.faults.tools import Tools

_SEAM: Final = Seam.CERTIFICATE
_ENROL: Final = frozenset({"PKIOperation"})


def _signed_by(draft: DraftCertificate, key: SigningKey) -> DraftCertificate:
    """Return the draft for another key, whose algorithm it names."""
    tbs = replace(draft.tbs, signature_algorithm=key.signature_algorithm_der)
    return replace(draft, tbs=tbs, key=key)


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 6.1",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
)
def from_another_issuer(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate is issued by a CA that GetCACert did not bring and that nobody knows.

    Two CAs behind one SCEP address. It is valid, and worth nothing with the root the client has.
    """
    del tools
    key, name = foreign_key("another CA"), build_name("CN=Another Issuing CA (ndes-lab)")
    return _signed_by(replace(draft, tbs=with_issuer(draft.tbs, name, key)), key)


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 6.1",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
)
def from_next_ca_key(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate is issued under the CA's name with a new key, which GetCACert did not bring.

    The CA was renewed, and the bag, or the client's memory of it, is older. Its key identifier says so.
    """
    del tools
    key = foreign_key("the next issuing CA")
    identifier = extensions.authority_key_identifier(key.subject_key_id)
    return _signed_by(replace(draft, tbs=with_extension(draft.tbs, identifier)), key)


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 6.1.3 (a)(1)",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
)
def signed_by_another_key(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate names the CA and its key, and is signed with another key.

    A forgery: only verifying the signature tells.
    """
    del tools
    return _signed_by(draft, foreign_key("an impostor"))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 6.1.3 (a)(1)",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
)
def signature_scratched(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate's signature has one bit turned; all else is as the CA wrote it."""
    del tools
    return replace(draft, key=Scratched(draft.key))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.1.1.2",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
)
def algorithms_disagree(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate says within what is signed that it is signed with SHA-512, and it is not.

    The two algorithm identifiers must be the same; the outer one is not protected by the signature.
    """
    del tools
    return replace(draft, tbs=replace(draft.tbs, signature_algorithm=draft.key.signature_algorithm("sha512")))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 9155; RFC 8894 2.9",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def sha1_signature(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate is signed with SHA-1.

    A CA of Windows Server 2008 that was never moved to a new provider. SCEP leaves it open; browsers and
    Windows have long refused it for servers.
    """
    del tools
    return _signed_by(draft, WithDigest(draft.key, "sha1"))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 6151 2; RFC 8894 2.9",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
)
def md5_signature(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate is signed with MD5, for which anybody can make a twin.

    MD5 must not be used where collisions matter. Of a CA with an ECDSA key it cannot be had.
    """
    del tools
    return _signed_by(draft, WithDigest(draft.key, "md5"))
