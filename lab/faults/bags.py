"""The certificates of a GetCACert answer by what they are: of an RA, of the issuing CA, of a root."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ca.certificates import read_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ca.certificates import CertificateInfo

    from .values import CaCertificatesAnswer


def is_ra(certificate: CertificateInfo) -> bool:
    """Tell whether it is an RA's: of no CA."""
    return not certificate.is_ca


def is_issuing(certificate: CertificateInfo) -> bool:
    """Tell whether it is the issuing CA's: a CA's, certified by another."""
    return certificate.is_ca and not certificate.is_self_issued


def is_root(certificate: CertificateInfo) -> bool:
    """Tell whether it is a root's."""
    return certificate.is_ca and certificate.is_self_issued


def with_certificates(answer: CaCertificatesAnswer, certificates: Iterable[bytes]) -> CaCertificatesAnswer:
    """Return the answer with these certificates; the very same where they are those it has."""
    changed = tuple(certificates)
    return answer if changed == answer.certificates else replace(answer, certificates=changed)


def with_only(
    answer: CaCertificatesAnswer, wanted: Callable[[CertificateInfo], bool]
) -> CaCertificatesAnswer:
    """Return the answer with the certificates that are ``wanted`` alone."""
    return with_certificates(answer, (one for one in answer.certificates if wanted(read_certificate(one))))


def with_each(
    answer: CaCertificatesAnswer,
    wanted: Callable[[CertificateInfo], bool],
    change: Callable[[bytes], bytes],
) -> CaCertificatesAnswer:
    """Return the answer with each certificate that is ``wanted`` changed."""
    return with_certificates(
        answer, (change(one) if wanted(read_certificate(one)) else one for one in answer.certificates)
    )
