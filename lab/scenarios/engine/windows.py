"""What a Windows device asks of the CA certificates beyond RFC 8894."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ca import oids
from lab.client import UntrustedCa

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.trust import X509Certificate

_NO_SUCH_CERTIFICATE: Final = 0x8010002C
_USAGES: Final = {"digital_signature": "digitalSignature", "key_encipherment": "keyEncipherment"}
_PURPOSES: Final = {oids.SERVER_AUTH, oids.CERTIFICATE_REQUEST_AGENT}


def require_registrars(certificates: Sequence[X509Certificate]) -> None:
    """Refuse RA certificates that Windows would not find.

    One must be good for digitalSignature and one for keyEncipherment, both for serverAuth or as a Certificate
    Request Agent (microsoft/Intune-Resource-Access issue 87). A CA without a separate RA needs neither.

    Raises:
        UntrustedCa: with 0x8010002C, SCARD_E_NO_SUCH_CERTIFICATE.

    """
    registrars = [certificate for certificate in certificates if not certificate.acts_as_ca]
    fit = [one for one in registrars if one.key_usage is not None and _has_purpose(one)]
    for usage, name in _USAGES.items():
        if registrars and not any(one.allows(usage) for one in fit):
            raise UntrustedCa(
                f"none of the {len(registrars)} RA certificates has keyUsage {name} and an extendedKeyUsage "
                "of serverAuth or Certificate Request Agent: Windows takes none of them",
                _NO_SUCH_CERTIFICATE,
            )


def _has_purpose(certificate: X509Certificate) -> bool:
    return bool(_PURPOSES & set(certificate.extended_key_usage or ()))
