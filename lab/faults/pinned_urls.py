"""URLs of the publisher below the fault that a request asked for.

A client that enrols at ``/fault/publication::crl-expired/scep`` gets a certificate whose CDP, AIA and OCSP
URLs lie below ``/fault/publication::crl-expired/`` too: it meets exactly that failure, and nobody else does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ca import oids
from ca.extensions import authority_information_access, crl_distribution_points, freshest_crl

from .circumstances import current
from .registry import Seam
from .signed_crls import naming_delta_at

if TYPE_CHECKING:
    from ca.certificates import TbsCertificate
    from crl_publisher.publication import PublishedFile
    from lab.recorded import ListenerName
    from lab.world import World

    from .circumstances import Circumstances


def with_pinned_urls(tbs: TbsCertificate, world: World) -> TbsCertificate:
    """Return a certificate about to be signed with its places below the URL's fault, if that publishes.

    Places that the lab does not serve itself stay as they are.
    """
    circumstances = _publishing("scep")
    if circumstances is None:
        return tbs
    places = world.authority.locations
    moved = {
        oids.CRL_DISTRIBUTION_POINTS: crl_distribution_points(_below(circumstances, places.crl_urls, world)),
        oids.FRESHEST_CRL: freshest_crl(_below(circumstances, places.delta_crl_urls, world)),
        oids.AUTHORITY_INFORMATION_ACCESS: authority_information_access(
            _below(circumstances, places.ca_issuers_urls, world),
            _below(circumstances, places.ocsp_urls, world),
        ),
    }
    return replace(tbs, extensions=tuple(moved.get(each.oid, each) for each in tbs.extensions))


def with_pinned_delta(file: PublishedFile, world: World) -> PublishedFile:
    """Return a base CRL that names its delta CRL below the URL's fault, where that is about delta CRLs.

    Else clients would be led away from the fault they are to meet.
    """
    circumstances = _publishing("pki")
    if (
        circumstances is None
        or circumstances.pinned is None
        or circumstances.operation != "CRL"
        or "DeltaCRL" not in (circumstances.pinned.fault.operations or ())
    ):
        return file
    urls = _below(circumstances, world.authority.locations.delta_crl_urls, world)
    crl = naming_delta_at(file.content, urls, world)
    return replace(file, content=crl, etag=f"{file.etag}-pinned")


def _publishing(listener: ListenerName) -> Circumstances | None:
    circumstances = current()
    if circumstances is None or circumstances.pinned is None or circumstances.listener != listener:
        return None
    return circumstances if circumstances.pinned.fault.seam is Seam.PUBLICATION else None


def _below(circumstances: Circumstances, urls: tuple[str, ...], world: World) -> tuple[str, ...]:
    base = world.pki.public_url
    prefix = "" if circumstances.pinned is None else circumstances.pinned.prefix
    return tuple(
        f"{base}{prefix}{url.removeprefix(base)}" if url.startswith(f"{base}/") else url for url in urls
    )
