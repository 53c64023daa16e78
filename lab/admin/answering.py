"""How the management API reads bodies and writes answers: JSON, checked by models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Response, request
from pydantic import BaseModel, ValidationError

from .desk import Invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

_Model = TypeVar("_Model", bound=BaseModel)


def body_of(model: type[_Model]) -> _Model:
    """Return the request's body as a model, its defaults where there is no body; raises Invalid."""
    data = request.get_data()
    if not data:
        return model_of(model, {})
    if request.mimetype != "application/json":
        raise Invalid("the body is not application/json")
    try:
        return model_of(model, json.loads(data))
    except (ValueError, RecursionError) as error:
        raise Invalid("the body is not JSON") from error


def model_of(model: type[_Model], values: object) -> _Model:
    """Return values as a model; raises Invalid."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        said = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in problems)
        raise Invalid(said) from error


def one(model: BaseModel, status: int = 200) -> Response:
    """Return an answer of one model."""
    return as_json(model.model_dump(mode="json"), status)


def many(name: str, models: Sequence[BaseModel], status: int = 200) -> Response:
    """Return an answer with a list of models under ``name``."""
    return as_json({name: [model.model_dump(mode="json") for model in models]}, status)


def as_json(content: dict[str, Any], status: int = 200) -> Response:
    """Return an answer in JSON."""
    response = Response(json.dumps(content) + "\n", status=status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
