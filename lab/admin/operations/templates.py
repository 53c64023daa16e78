"""Certificate templates."""

from __future__ import annotations

from lab.admin.desk import DeskRefused, NotFound
from lab.admin.operation import AdminContext, Resource
from lab.admin.templates import TemplateChange, TemplateList, TemplateName, TemplateText, TemplateView

resource = Resource(
    "templates",
    "Certificate templates, in AD CS's words. What is changed here holds from the next request on, until "
    "the lab is reset or ends.",
)
_EXAMPLE = """display_name = "Lab Client"
oid = "1.3.6.1.4.1.311.21.8.1.2.3"
schema_version = 2
subject_type = "computer"

[extensions]
key_usage = ["digitalSignature"]
application_policies = ["Client Authentication"]
"""


@resource.get("/api/v1/templates")
def list_templates(context: AdminContext) -> TemplateList:
    """List all templates, by name."""
    return TemplateList(templates=tuple(context.desk.templates.list()))


@resource.get("/api/v1/templates/{name}", errors=(NotFound,))
def show_template(context: AdminContext, name: TemplateName) -> TemplateView:
    """Show one template."""
    return context.desk.templates.show(name)


@resource.patch("/api/v1/templates/{name}", errors=(NotFound, DeskRefused), example={"published": False})
def change_template(context: AdminContext, name: TemplateName, body: TemplateChange) -> TemplateView:
    """Publish a template or not, change its permissions, approval, key size or periods."""
    return context.desk.templates.change(name, body)


@resource.put("/api/v1/templates/{name}", errors=(DeskRefused,), example={"toml": _EXAMPLE})
def put_template(context: AdminContext, name: TemplateName, body: TemplateText) -> TemplateView:
    """Add a template, or replace the one of its name; the text is that of a template's file."""
    return context.desk.templates.put(name, body)
