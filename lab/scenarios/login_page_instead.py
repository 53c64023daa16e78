"""Somebody else answers: a login page comes instead of the CA certificates.

A captive portal, an application proxy with pre-authentication, or an error page that comes with HTTP 200
answers in the server's place. The device gets HTML where it expects certificates, and complains about their
encoding. NDES has never been asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import BEFORE_THE_REQUEST, UNCONFIRMED, event_32

if TYPE_CHECKING:
    from .engine.stage import Stage

PAGE = b"<!DOCTYPE html><html><title>Sign in</title><form>Please sign in to use this network.</form></html>"


def set_the_stage(stage: Stage) -> None:
    """A proxy sends its sign-in page to everybody whom it does not know."""
    stage.put_proxy().page = PAGE


def apply_the_cure(stage: Stage) -> None:
    """The proxy lets requests for SCEP through without signing in."""
    stage.proxy.page = None


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x8009310B before any request; nothing at NDES",
    in_the_field=(
        event_32(0x8009310B),
        *BEFORE_THE_REQUEST,
        Sighting(
            where="device",
            text="CRYPT_E_ASN1_BADTAG: HTML or JSON came as GetCACert or CertRep, or a proxy rewrote the "
            "body",
            source=f"winerror.h; when it comes is {UNCONFIRMED}",
        ),
    ),
    failure=Failure(ending=Ending.CA_NOT_TRUSTED, hresult=0x8009310B),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=('curl "http://127.0.0.1:8080/scep?operation=GetCACert" | ndes-lab decode -',),
    on_windows=(
        "curl -i https://NDES/certsrv/mscep/mscep.dll/pkiclient.exe?operation=GetCACert from the device's "
        "network: Content-Type must be application/x-x509-ca-ra-cert.",
        "Set the application proxy's pre-authentication for NDES to Passthrough.",
    ),
)
