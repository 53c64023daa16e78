"""The lab as a whole."""

from __future__ import annotations

from lab.admin.desk import DeskRefused, NotFound
from lab.admin.operation import AdminContext, Resource
from lab.admin.whole import PopulatedView, PopulateOrder, ResetView, SettingList

resource = Resource(
    "whole", "Its settings, its reset, a whole set of things at once.", title="The lab as a whole"
)
_EXAMPLE = {
    "clock": "+400d",
    "challenges": [{"password": "sesame", "kind": "static"}],
    "fault_rules": [{"fault": "wire::reset-within-headers", "times": 1}],
}


@resource.get("/api/v1/settings")
def list_settings(context: AdminContext) -> SettingList:
    """Show the settings in force and where each came from; secrets are stars."""
    return context.desk.lab.settings()


@resource.post("/api/v1/reset", errors=(DeskRefused,))
def reset(context: AdminContext) -> ResetView:
    """Make the lab as it was when it had just started: same keys and URLs, no memory since.

    Only an ephemeral lab is reset; one that keeps its data refuses (409).
    """
    return context.desk.lab.reset()


@resource.put("/api/v1/populate", errors=(NotFound, DeskRefused), example=_EXAMPLE)
def populate(context: AdminContext, body: PopulateOrder) -> PopulatedView:
    """Make a whole set of things be there, all or nothing; sent again, it changes nothing.

    A challenge is known again by its password, a certificate by its key and template, a fault rule word
    for word. The clock is set first and templates come before certificates, so that they hold for what is
    issued here.
    """
    return context.desk.lab.populate(body)
