"""What the management API is, for machines and for people; it holds no secret, and a browser has no token."""

from __future__ import annotations

import json

from lab.admin.operation import JSON, AdminContext, Resource

resource = Resource("documentation", "This API itself.")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@resource.get("/openapi.json", media_types=(JSON,), open_to_all=True)
def openapi(context: AdminContext) -> str:
    """Describe every operation (OpenAPI 3.1)."""
    from lab.admin.openapi import openapi_document

    found = openapi_document(version=context.facts.version, with_token=context.facts.token is not None)
    return json.dumps(found, indent=2) + "\n"


@resource.get(
    "/docs", media_types=("text/html",), headers={"Content-Security-Policy": _POLICY}, open_to_all=True
)
def docs(context: AdminContext) -> str:
    """Describe every operation on a page that needs nothing from outside."""
    from lab.admin.docs_page import render_docs

    return render_docs(version=context.facts.version, with_token=context.facts.token is not None)
