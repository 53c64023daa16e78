"""Answers as they might be, made from the models: for the documentation, and where a call is only shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Mapping

_Model = TypeVar("_Model", bound=BaseModel)
_TEXTS = {"date-time": "2026-01-31T12:00:00Z", "duration": "P1D", "uri": "http://127.0.0.1:8081/"}
_DEPTH = 12


def example_of(model: type[_Model]) -> _Model:
    """Return an instance with every field set: its first example or choice, or a value of its type."""
    schema = model.model_json_schema(mode="validation")
    return model.model_validate(_value(schema, schema.get("$defs", {}), 0))


def example_value(schema: Mapping[str, Any]) -> Any:
    """Return a value that a JSON schema without references takes."""
    return _value(schema, {}, 0)


def _value(schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int) -> Any:
    if "$ref" in schema:
        return _value(definitions[schema["$ref"].rpartition("/")[2]], definitions, depth + 1)
    for word in ("examples", "enum"):
        if word in schema:
            return schema[word][0]
    if "const" in schema:
        return schema["const"]
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return _value(schema[word][0], definitions, depth)
    if schema.get("type") == "object":
        return {
            name: _value(part, definitions, depth + 1) for name, part in schema.get("properties", {}).items()
        }
    if schema.get("type") == "array":
        return [] if depth > _DEPTH else [_value(schema.get("items", {}), definitions, depth + 1)]
    return _simple(schema)


def _simple(schema: Mapping[str, Any]) -> Any:
    """Return a text, number, truth value or null."""
    if schema.get("type") == "string":
        text = _TEXTS.get(schema.get("format", ""), "text")
        return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]
    if schema.get("type") in ("integer", "number"):
        return max(1, schema.get("minimum", 1))
    return {"boolean": True}.get(schema.get("type", ""))
