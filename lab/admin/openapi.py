"""The OpenAPI 3.1 document of the management API, made from the declared operations and their models."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from .desk import DeskUnavailable, Invalid
from .models import ErrorView
from .operation import JSON
from .registry import RESOURCES, all_operations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel
    from pydantic.json_schema import JsonSchemaMode

    from .operation import Operation

_REFERENCE = "#/components/schemas/{model}"
_DESCRIPTION: Final = """Everything a running lab can be asked and told, except by its clients.

Bodies and answers are JSON; instants are ISO 8601 with a time zone, serial numbers and thumbprints
lower-case hex. What is not known is refused, in bodies as in queries. Where the lab has a token, every
operation but the two health probes and this description wants it (RFC 6750 2.1); where it has none, only
loopback gets in."""
_REFUSED: Final = {
    400: "What was asked makes no sense.",
    401: "A bearer token is needed, and was not given or is another.",
    403: "Without a token only loopback names are answered, and no other site's pages.",
    404: "There is no such thing.",
    409: "It cannot be done, or not in the state that the thing is in.",
    413: "The body is longer than the listener reads.",
    415: "The body is not application/json.",
    503: "It cannot be done now.",
}
_ALWAYS = (Invalid.status, 401, 403, DeskUnavailable.status)
_WITH_BODY = (413, 415)


def openapi_document(*, version: str, with_token: bool) -> dict[str, Any]:
    """Return the document; ``with_token`` tells whether the token is wanted."""
    schemas = _Schemas()
    bearer: list[dict[str, list[str]]] = [{"bearer": []}]
    paths: dict[str, dict[str, Any]] = {}
    for operation in all_operations():
        described = _operation(operation, schemas)
        if operation.open_to_all:
            described["security"] = []
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "ndes-lab management API", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": bearer if with_token else [],
        "tags": [{"name": each.name, "description": each.description} for each in RESOURCES],
        "paths": paths,
        "components": {
            "schemas": schemas.definitions,
            "responses": {str(status): _refused(status, schemas) for status in _REFUSED},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def statuses_of(operation: Operation[Any]) -> list[int]:
    """Return the statuses of its errors."""
    found = {*_ALWAYS, *(error.status for error in operation.errors)}
    if operation.shape.body is not None:
        found.update(_WITH_BODY)
    return sorted(found - operation.shape.answers.keys())


class _Schemas:
    """The schemas of all models, each once, and references to them."""

    def __init__(self) -> None:
        wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(ErrorView, "serialization"): None}
        self._queries: dict[str, dict[str, Any]] = {}
        for operation in all_operations():
            shape = operation.shape
            wanted |= {(model, "validation"): None for model in (shape.body, shape.query) if model}
            wanted |= {(model, "serialization"): None for model in shape.answers.values() if model}
        references, found = models_json_schema(list(wanted), ref_template=_REFERENCE)
        self._references = references
        self.definitions: dict[str, Any] = found["$defs"]
        for operation in all_operations():
            if query := operation.shape.query:
                name = self.name(query, "validation")
                self._queries[name] = self._queries.get(name) or self.definitions.pop(name)

    def name(self, model: type[BaseModel], mode: JsonSchemaMode) -> str:
        return str(self.reference(model, mode)["$ref"]).rpartition("/")[2]

    def reference(self, model: type[BaseModel], mode: JsonSchemaMode) -> Mapping[str, Any]:
        return self._references[(model, mode)]

    def query(self, model: type[BaseModel]) -> Iterator[dict[str, Any]]:
        """Yield the parameters that a query model comes to."""
        found = self._queries[self.name(model, "validation")]
        for name, schema in found["properties"].items():
            yield _parameter(name, "query", schema, required=name in found.get("required", ()))


def _operation(operation: Operation[Any], schemas: _Schemas) -> dict[str, Any]:
    shape = operation.shape
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.resource.name],
        "summary": operation.summary,
    }
    if operation.description:
        described["description"] = operation.description
    parameters = [
        _parameter(name, "path", TypeAdapter(wanted).json_schema(), required=True)
        for name, wanted in shape.path.items()
    ]
    parameters += schemas.query(shape.query) if shape.query else ()
    if parameters:
        described["parameters"] = parameters
    if shape.body is not None:
        described["requestBody"] = _body(operation, shape.body, schemas)
    described["responses"] = {
        str(status): _answer(operation, model, schemas) for status, model in shape.answers.items()
    } | {str(status): {"$ref": f"#/components/responses/{status}"} for status in statuses_of(operation)}
    return described


def _parameter(name: str, place: str, schema: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    found = {key: value for key, value in schema.items() if key not in ("title", "description", "default")}
    choices = [one for one in found.get("anyOf", ()) if one != {"type": "null"}]  # absent, not null
    if len(choices) == 1:
        found = {**{key: value for key, value in found.items() if key != "anyOf"}, **choices[0]}
    if schema.get("default") is not None:
        found["default"] = schema["default"]
    described: dict[str, Any] = {"name": name, "in": place, "required": required, "schema": found}
    if "description" in schema:
        described["description"] = schema["description"]
    return described


def _body(operation: Operation[Any], model: type[BaseModel], schemas: _Schemas) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schemas.reference(model, "validation")}
    if operation.example is not None:
        content["example"] = operation.example
    required = any(field.is_required() for field in model.model_fields.values())
    return {"required": required, "content": {JSON: content}}


def _answer(operation: Operation[Any], model: type[BaseModel] | None, schemas: _Schemas) -> dict[str, Any]:
    if operation.status == 204:
        return {"description": "Done."}
    content: dict[str, Any] = {
        media_type: {"schema": {"type": "object" if media_type == JSON else "string"}}
        for media_type in operation.media_types
    }
    if model is None:
        return {"description": operation.summary, "content": content}
    content[JSON] = {"schema": schemas.reference(model, "serialization")}
    return {"description": (model.__doc__ or "").partition("\n")[0], "content": content}


def _refused(status: int, schemas: _Schemas) -> dict[str, Any]:
    content = {JSON: {"schema": schemas.reference(ErrorView, "serialization")}}
    return {"description": f"{HTTPStatus(status).phrase}: {_REFUSED[status]}", "content": content}
