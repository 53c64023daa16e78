"""Faults of the CA's certificate at the place that AIA names."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from ca.certificates import certs_only
from ca.folders import to_pem
from crl_publisher.publication import CERTIFICATES_MEDIA_TYPE, PublishedFile
from lab.faults.minting import altered, ended, foreign_key, root_key, with_key
from lab.faults.published import CHAINING, bit_flipped, with_content
from lab.faults.registry import ClientMust, Seam, Step, fault

if TYPE_CHECKING:
    from lab.faults.tools import Tools

_aia_fault = functools.partial(
    fault,
    seam=Seam.PUBLICATION,
    takes=PublishedFile,
    clause="RFC 5280 4.2.2.1",
    step=Step.VERIFY,
    operations={"AIA"},
)


def _with_certificate(file: PublishedFile, certificate: bytes) -> PublishedFile:
    """Return the file with another certificate, in the form that its name calls for."""
    return with_content(file, certs_only([certificate]) if file.name.endswith(".p7c") else certificate)


def _issuing(file: PublishedFile, tools: Tools) -> bytes | None:
    """Return the issuing CA's certificate where it is in this file."""
    own = tools.lab.authority.certificate.der
    return own if own in file.content else None


@_aia_fault(client_must=ClientMust.REJECT, symptom=CHAINING)
def aia_wrong_certificate(file: PublishedFile, tools: Tools) -> PublishedFile:
    """At the place of the issuing CA's certificate is that of the root.

    Somebody has copied the wrong file. It is a good CA certificate, and did not issue what names it.
    """
    return file if _issuing(file, tools) is None else _with_certificate(file, tools.lab.root.der)


@_aia_fault(client_must=ClientMust.REJECT)
def aia_foreign_ca(file: PublishedFile, tools: Tools) -> PublishedFile:
    """At the place of the CA's certificate is that of another CA of the same name, with another key.

    The CA was set up anew under its old name, and its file replaced the old one. It is signed by the same
    root; the device's certificate does not verify under it.
    """
    own = _issuing(file, tools)
    if own is None:
        return file
    other = foreign_key("another CA of the same name").public_key_der
    return _with_certificate(file, altered(own, root_key(tools.lab), lambda tbs: with_key(tbs, other)))


@_aia_fault(client_must=ClientMust.REJECT)
def aia_expired_certificate(file: PublishedFile, tools: Tools, *, days: int = 1) -> PublishedFile:
    """At the place of the CA's certificate is one of the same key that ended yesterday.

    The CA was renewed with its key, and the file of before is still there: CryptoAPI fetches it and does not
    look further.
    """
    own, now = _issuing(file, tools), tools.lab.clock.now()
    if own is None:
        return file
    return _with_certificate(file, altered(own, root_key(tools.lab), lambda tbs: ended(tbs, now, days)))


@_aia_fault(client_must=ClientMust.REJECT)
def aia_bad_signature(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The CA's certificate at its place has one bit of its signature changed.

    The key in it is right, so that the device's certificate verifies under it; the root's signature does not.
    """
    own = _issuing(file, tools)
    return file if own is None else _with_certificate(file, bit_flipped(own))


@_aia_fault(client_must=ClientMust.MAY)
def aia_pem(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The CA's certificate is published as PEM; the standard wants DER.

    Whoever copies it out of a web server's configuration publishes this. Some clients read it.
    """
    own = _issuing(file, tools)
    return file if own is None else with_content(file, to_pem(own))


@_aia_fault(client_must=ClientMust.SUCCEED)
def aia_certs_only(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The CA's certificate comes within a certs-only CMS message, root beside it, as application/pkcs7-mime.

    The standard has both forms, and clients that take one alone meet the other some day.
    """
    own = _issuing(file, tools)
    if own is None:
        return file
    return with_content(file, certs_only([own, tools.lab.root.der]), CERTIFICATES_MEDIA_TYPE)
