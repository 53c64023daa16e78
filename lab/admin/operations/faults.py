"""What goes wrong on purpose."""

from __future__ import annotations

from lab.admin.desk import DeskRefused, NotFound
from lab.admin.faults import FaultId, FaultList, FaultQuery, FaultView, RemovedView, RuleList
from lab.admin.models import Id
from lab.admin.operation import AdminContext, Resource
from lab.faults.rules import RuleOrder, RuleView

resource = Resource(
    "faults",
    "What goes wrong on purpose: the catalogue, and the rules that say which exchanges meet which fault.",
)


@resource.get("/api/v1/faults")
def list_faults(context: AdminContext, query: FaultQuery) -> FaultList:
    """List the faults there are, with what a client must do about each."""
    return FaultList(faults=tuple(context.desk.faults.catalogue(query.seam)))


@resource.get("/api/v1/faults/{fault_id}", errors=(NotFound,))
def show_fault(context: AdminContext, fault_id: FaultId) -> FaultView:
    """Show one fault."""
    return context.desk.faults.show(fault_id)


@resource.get("/api/v1/fault-rules", errors=(DeskRefused,))
def list_fault_rules(context: AdminContext) -> RuleList:
    """List the rules as they stand, oldest first."""
    return RuleList(rules=tuple(context.desk.faults.rules()))


@resource.post(
    "/api/v1/fault-rules",
    status=201,
    errors=(DeskRefused,),
    example={"fault": "wire::reset-within-headers", "match": {"message_type": "PKCSReq"}, "times": 1},
)
def add_fault_rule(context: AdminContext, body: RuleOrder) -> RuleView:
    """Set a rule, from the next exchange on."""
    return context.desk.faults.add(body)


@resource.delete("/api/v1/fault-rules/{rule_id}", errors=(NotFound, DeskRefused))
def remove_fault_rule(context: AdminContext, rule_id: Id) -> RuleView:
    """Remove a rule; the answer is how it last stood."""
    return context.desk.faults.remove(rule_id)


@resource.delete("/api/v1/fault-rules", errors=(DeskRefused,))
def clear_fault_rules(context: AdminContext) -> RemovedView:
    """Remove all rules."""
    return context.desk.faults.clear()
