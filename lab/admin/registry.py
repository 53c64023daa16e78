"""All operations of the management API, by resource, in the order of the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .operations import (
    certificates,
    challenges,
    clock,
    crls,
    documentation,
    facts,
    faults,
    journal,
    ndes,
    requests,
    templates,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .operation import Operation, Resource

RESOURCES: Final[tuple[Resource, ...]] = (
    challenges.resource,
    certificates.resource,
    requests.resource,
    crls.resource,
    templates.resource,
    faults.resource,
    journal.resource,
    clock.resource,
    whole.resource,
    ndes.resource,
    facts.resource,
    documentation.resource,
)


def all_operations() -> Iterator[Operation[Any]]:
    """Yield every operation."""
    for resource in RESOURCES:
        yield from resource.operations
