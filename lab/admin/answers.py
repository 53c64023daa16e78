"""The management API's answers, read: JSON to models, or the desk's error."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from .desk import DeskUnavailable

_Model = TypeVar("_Model", bound=BaseModel)


def read_model(model: type[_Model], answer: object) -> _Model:
    """Return the model an answer is; raises DeskUnavailable."""
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        raise DeskUnavailable(f"the answer is no {model.__name__}; is the lab of another version?") from error


def read_models(model: type[_Model], answer: Any, name: str) -> list[_Model]:
    """Return the models in the list ``name`` of an answer; raises DeskUnavailable."""
    items = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(items, list):
        raise DeskUnavailable(f"the answer has no {name}; is the lab of another version?")
    return [read_model(model, item) for item in items]
