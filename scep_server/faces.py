"""One endpoint as clients meet it: its settings, its behaviour profile, and what answers in its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .ca_certificates import ca_response
from .replies import Replier
from .settings import CaCertificateSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ca.certificates import CertificateInfo

    from .ca_certificates import CaResponse
    from .ndes.profiles import BehaviourProfile
    from .protocol.codec import Codec
    from .ra import RegistrationAuthority
    from .settings import EndpointSettings, ScepSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """An endpoint, made once when the service starts."""

    name: str
    endpoint: EndpointSettings
    profile: BehaviourProfile
    replier: Replier
    ca_response: CaResponse


def make_faces(
    settings: ScepSettings,
    *,
    profile: BehaviourProfile | None,
    codec: Codec,
    registration_authority: RegistrationAuthority,
    issuing: CertificateInfo,
    chain: Sequence[CertificateInfo],
    entropy: Callable[[int], bytes],
) -> dict[str, Face]:
    """Return the face of each endpoint; ``profile`` None means the one of its settings."""
    faces = {}
    for name, endpoint in settings.endpoints.items():
        shown = profile or settings.profile_of(name)
        bag = settings.ca_certificates
        if shown.ca_certificates == "ra-first":
            bag = CaCertificateSettings(include_root=True, order="ra-first")
        faces[name] = Face(
            name=name,
            endpoint=endpoint,
            profile=shown,
            replier=Replier(
                codec=codec, registration_authority=registration_authority, profile=shown, entropy=entropy
            ),
            ca_response=ca_response(
                codec, ra=registration_authority.certificates, issuing=issuing, chain=chain, settings=bag
            ),
        )
    return faces
