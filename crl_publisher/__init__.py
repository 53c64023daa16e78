"""Put signed CRLs and CA certificates where clients look for them. No signing happens here.

Lives here: the set of published files and what must hold before one is replaced
(`publication`, `inspection`), when to publish again (`schedule`), who of several does it (`duty`), and
the web server that hands the files out and carries OCSP (`app`, `ocsp`). Does not live here: keys, the
database, what a CRL should say, and who answers OCSP.
"""

from .duty import Duty, PublishingByTurns
from .errors import PublicationRefused, Superseded
from .publication import CaCertificate, CaCertificates, FileSource, Publication, PublishedFile, SignedCrl
from .schedule import PublisherState, Republisher
from .settings import PublisherSettings

__all__ = [
    "CaCertificate",
    "CaCertificates",
    "Duty",
    "FileSource",
    "Publication",
    "PublicationRefused",
    "PublishedFile",
    "PublisherSettings",
    "PublisherState",
    "PublishingByTurns",
    "Republisher",
    "SignedCrl",
    "Superseded",
]
