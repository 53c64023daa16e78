"""GetCACaps: the keywords of RFC 8894 3.5.2, derived from what is really accepted.

No blank line and no other octet may be in the body: strongSwan takes an empty line for every
capability at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .ndes.profiles import BehaviourProfile
    from .settings import EndpointSettings


def capabilities(endpoint: EndpointSettings, profile: BehaviourProfile, *, next_ca: bool) -> tuple[str, ...]:
    """Return the keywords an endpoint advertises, in the order they are sent.

    ``next_ca``: whether GetNextCACert has an answer. A profile that never offered a keyword leaves
    it out, and says in which order the others come; none adds one that the endpoint would not live up
    to.
    """
    wanted = {
        "AES": True,
        "DES3": endpoint.triple_des == "accept",
        "POSTPKIOperation": True,
        "Renewal": endpoint.renewal.enabled,
        "SHA-1": endpoint.sha1 == "accept",
        "SHA-256": True,
        "SHA-384": endpoint.advertise_sha384,
        "SHA-512": True,
        "SCEPStandard": True,
        "GetNextCACert": next_ca,
    }
    return tuple(word for word in profile.capabilities if wanted.get(word))


def encode(keywords: tuple[str, ...], line_end: str = "\n") -> bytes:
    """Return the body of a GetCACaps reply: one keyword a line, each ended by ``line_end``."""
    return "".join(f"{word}{line_end}" for word in keywords).encode("ascii")
