"""The SCEP clients that judge us, each driven as its users drive it.

``CLIENTS`` is what the tests are parametrised over: a driver that is registered is tested.
"""

from .base import Endpoint, Enrolment, EnrolmentRefused, ForeignClient
from .certmonger import Certmonger
from .ndes_lab import NdesLabEnroll
from .scepclient import ScepClient
from .strongswan import StrongSwanPki

CLIENTS: tuple[type[ForeignClient], ...] = (ScepClient, StrongSwanPki, Certmonger, NdesLabEnroll)

__all__ = [
    "CLIENTS",
    "Certmonger",
    "Endpoint",
    "Enrolment",
    "EnrolmentRefused",
    "ForeignClient",
    "NdesLabEnroll",
    "ScepClient",
    "StrongSwanPki",
]
