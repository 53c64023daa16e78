"""Certificate revocation lists."""

from __future__ import annotations

from lab.admin.desk import DeskRefused
from lab.admin.models import CrlList, CrlOrder, CrlQuery
from lab.admin.operation import AdminContext, Resource

resource = Resource("crls", "Certificate revocation lists as they are published.", title="CRLs")


@resource.get("/api/v1/crls")
def list_crls(context: AdminContext, query: CrlQuery) -> CrlList:
    """Show the published CRLs, each base before its delta."""
    return CrlList(crls=tuple(context.desk.crls(pem=query.pem)))


@resource.post("/api/v1/crls", status=201, errors=(DeskRefused,), example={"kind": "delta"})
def publish_crls(context: AdminContext, body: CrlOrder) -> CrlList:
    """Sign and publish new CRLs of the issuing CA; the answer has all that are published."""
    return CrlList(crls=tuple(context.desk.publish_crls(body)))
