"""Judge a certificate as a Windows device does: build its chain, look at revocation, say why not.

Lives here: reading certificates and CRLs, building chains, checking them, fetching AIA and CDP,
and printing the verdict in certutil's shape. Everything is a value: `build_chain` returns a
`ChainContext` of `ChainElement`s with CERT_TRUST bits; `render` only prints it. Does not live
here: SCEP, the command line, the choice of anchors.
"""

from .anchors import TrustAnchors
from .bundles import read_certificates
from .certificates import UnreadableCertificate, X509Certificate
from .chain import ChainContext, ChainElement, ChainRules, build_chain
from .crls import CertificateRevocationList, UnreadableCrl
from .fetch import HttpUrlFetcher, UrlFetcher
from .revocation import RevocationResult, RevocationSources, RevocationVerdict
from .status import TrustError, TrustInfo, TrustStatus

__all__ = [
    "CertificateRevocationList",
    "ChainContext",
    "ChainElement",
    "ChainRules",
    "HttpUrlFetcher",
    "RevocationResult",
    "RevocationSources",
    "RevocationVerdict",
    "TrustAnchors",
    "TrustError",
    "TrustInfo",
    "TrustStatus",
    "UnreadableCertificate",
    "UnreadableCrl",
    "UrlFetcher",
    "X509Certificate",
    "build_chain",
    "read_certificates",
]
