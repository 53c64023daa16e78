"""Name constraints along a chain (RFC 5280 4.2.1.10, 6.1.3 b and c), told in Windows' five bits.

A name form that no permitted subtree speaks of is free, as RFC 5280 has it; only Windows XP made
CERT_TRUST_HAS_NOT_DEFINED_NAME_CONSTRAINT of it. Does not live here: matching a name (`names`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asn1crypto import x509

from .names import GeneralName, directory_name
from .status import TrustError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .certificates import X509Certificate
    from .names import NameConstraints


def unsupported_constraints(certificate: X509Certificate) -> list[str]:
    """Return the subtrees of ``certificate`` that Windows does not evaluate, in words."""
    constraints = certificate.name_constraints
    if constraints is None:
        return []
    return [
        f"{subtree.base.kind} with minimum {subtree.minimum}, maximum {subtree.maximum}"
        for subtree in constraints.permitted + constraints.excluded
        if not subtree.supported
    ]


def constraint_violations(path: Sequence[X509Certificate], index: int) -> Iterator[tuple[TrustError, str]]:
    """Yield a bit and a note for each name of element ``index`` that a CA above does not allow.

    Self-issued CAs in the middle of the path are let pass (RFC 5280 6.1.3 b).
    """
    certificate = path[index]
    if index and certificate.self_issued:
        return
    names = list(names_of(certificate))
    for issuer in path[index + 1 :]:
        if issuer.name_constraints is not None:
            yield from _violations(names, issuer.name_constraints, issuer.subject)


def _violations(
    names: list[GeneralName], constraints: NameConstraints, issuer: str
) -> Iterator[tuple[TrustError, str]]:
    for name in names:
        excluded = [tree for tree in constraints.excluded if tree.supported and tree.base.kind == name.kind]
        permitted = [tree for tree in constraints.permitted if tree.supported and tree.base.kind == name.kind]
        if any(tree.contains(name) for tree in excluded):
            yield (
                TrustError.HAS_EXCLUDED_NAME_CONSTRAINT,
                f"{issuer} excludes the {name.kind} name {name.text} (RFC 5280 6.1.3 c)",
            )
        if permitted and not any(tree.contains(name) for tree in permitted):
            yield (
                TrustError.HAS_NOT_PERMITTED_NAME_CONSTRAINT,
                f"{issuer} does not permit the {name.kind} name {name.text} (RFC 5280 6.1.3 b)",
            )


def names_of(certificate: X509Certificate) -> Iterator[GeneralName]:
    """Yield every name constraints apply to: subject, subjectAltName, and mailboxes in the subject.

    A mailbox in the subject counts where subjectAltName has none (RFC 5280 4.2.1.10).
    """
    subject = x509.Name.load(certificate.subject_der)
    if len(subject.chosen):
        yield directory_name(subject)
    yield from certificate.names
    if all(name.kind != "email" for name in certificate.names):
        for rdn in subject.chosen:
            for attribute in rdn:
                if attribute["type"].native == "email_address":
                    yield GeneralName(kind="email", text=str(attribute["value"].native))
