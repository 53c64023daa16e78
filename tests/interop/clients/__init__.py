"""The SCEP clients that judge us, each driven as its users drive it.

``CLIENTS`` is what the tests are parametrised over: a driver that is registered is tested.
"""

from .base import Endpoint, Enrolment, EnrolmentRefused, ForeignClient
from .certmonger import Certmonger
from .scepclient import ScepClient
from .strongswan import StrongSwanPki

CLIENTS: tuple[type[ForeignClient], ...] = (ScepClient, StrongSwanPki, Certmonger)

__all__ = ["CLIENTS", "Endpoint", "Enrolment", "EnrolmentRefused", "ForeignClient"]
