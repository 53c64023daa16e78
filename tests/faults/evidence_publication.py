"""Evidence for faults below what a CRL, a certificate or an OCSP response says: HTTP and raw octets."""

from __future__ import annotations

from forge import wire

from faults import published
from faults.evidence import Look, shows
from faults.stand import Side

_QUIET = 3.0  # seconds that nothing comes for, of the twenty that it takes


def _ocsp(side: Side) -> wire.Response:
    """Ask about a certificate of the lab."""
    return wire.post(f"{side.pki}/ocsp", published.ocsp_request(side), "", fields=published.OCSP_FIELDS)


_FETCHES = {
    "crl": published.crl,
    "delta-crl": published.delta_crl,
    "aia": published.aia,
    "ocsp": _ocsp,
}


def _answers(what: str, status: int) -> Look:
    def look(side: Side) -> bool:
        return _FETCHES[what](side).status == status

    return look


def _is_page(what: str) -> Look:
    def look(side: Side) -> bool:
        found = _FETCHES[what](side)
        is_page = found.body.startswith(b"<!DOCTYPE html>")
        assert is_page == (found.header("Content-Type") or "").startswith("text/html")
        return found.status == 200 and is_page

    return look


def _is_empty(what: str) -> Look:
    def look(side: Side) -> bool:
        found = _FETCHES[what](side)
        assert found.status == 200
        return found.body == b"" and found.header("Content-Length") == "0"

    return look


def _is_late(what: str) -> Look:
    def look(side: Side) -> bool:
        locations = side.scep_lab.world.authority.locations
        paths = {
            "crl": published.path(locations.crl_file),
            "delta-crl": published.path(locations.delta_crl_file),
            "aia": published.path(locations.certificate_file),
            "ocsp": "/ocsp",
        }
        url = side.pki + paths[what]
        octets = wire.request_line(url, "GET") + wire.headers({"Connection": "close"})
        if what == "ocsp":
            body = published.ocsp_request(side)
            fields = {**published.OCSP_FIELDS, "Content-Length": str(len(body)), "Connection": "close"}
            octets = wire.request_line(url, "POST") + wire.headers(fields) + body
        return side.raw(octets, url, patience=_QUIET) == b""

    return look


for _what in ("crl", "delta-crl", "aia", "ocsp"):
    shows(f"publication::{_what}-not-found")(_answers(_what, 404))
    shows(f"publication::{_what}-slow")(_is_late(_what))
    shows(f"publication::{_what}-html")(_is_page(_what))
for _what in ("crl", "aia", "ocsp"):
    shows(f"publication::{_what}-empty")(_is_empty(_what))
shows("publication::crl-server-error")(_answers("crl", 500))
shows("publication::crl-unreadable")(_answers("crl", 503))
shows("publication::ocsp-server-error")(_answers("ocsp", 503))


@shows("publication::crl-redirected")
def crl_redirected(side: Side) -> bool:
    """The other place has the CRL, and is not the one that was asked."""
    found = published.crl(side)
    if found.status != 302:
        return False
    location = found.header("Location") or ""
    assert side.pki not in location
    return published.crl_verifies(side, wire.get(location).body)


@shows("publication::crl-redirected-to-itself")
def crl_redirected_to_itself(side: Side) -> bool:
    """The other place is the one that was asked."""
    found = published.crl(side)
    own = side.pki + published.path(side.scep_lab.world.authority.locations.crl_file)
    return found.status == 302 and found.header("Location") == own


@shows("publication::crl-media-type")
def crl_media_type(side: Side) -> bool:
    """The type is another, and the octets are a CRL that verifies."""
    found = published.crl(side)
    assert published.crl_verifies(side, found.body)
    return (found.header("Content-Type") or "").startswith("text/plain")
