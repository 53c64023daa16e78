"""Operations as routes: what was sent is checked by the declared models, what is returned is sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Response, request
from pydantic import BaseModel, TypeAdapter, ValidationError
from werkzeug.exceptions import UnsupportedMediaType

from ca.process.wording import described

from .desk import Invalid
from .operation import JSON, Otherwise

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from .operation import AdminContext, Operation

_Model = TypeVar("_Model", bound=BaseModel)
_Given = TypeVar("_Given")
_Read = TypeVar("_Read")
_SURROGATES = range(0xD800, 0xE000)


def add_operation(app: Flask, operation: Operation[Any], context: AdminContext) -> None:
    """Add the route of an operation."""
    rule = operation.path.replace("{", "<").replace("}", ">")

    def view(**path: str) -> Response:
        return _serve(operation, context, path)

    app.add_url_rule(rule, endpoint=operation.name, view_func=view, methods=[operation.method])


def as_json(content: object, status: int = 200) -> Response:
    """Return an answer in JSON."""
    response = Response(json.dumps(content) + "\n", status=status, mimetype=JSON)
    response.headers["Cache-Control"] = "no-store"
    return response


def _serve(operation: Operation[Any], context: AdminContext, path: dict[str, str]) -> Response:
    shape = operation.shape
    taken: dict[str, Any] = {
        name: _value(name, text, TypeAdapter(shape.path[name]).validate_strings)
        for name, text in path.items()
    }
    query = _query(shape.query)
    if query is not None:
        taken["query"] = query
    body = _body(shape.body)
    if body is not None:
        taken["body"] = body
    if shape.chooses:
        taken["media_type"] = request.accept_mimetypes.best_match(operation.media_types)
    answer = operation.function(context, **taken)
    response = _response(operation, answer)
    response.headers.extend(operation.headers)
    return response


def _response(operation: Operation[Any], answer: Any) -> Response:
    if answer is None:
        return Response(status=204)
    if isinstance(answer, Otherwise):
        return as_json(answer.answer.model_dump(mode="json"), answer.status)
    if isinstance(answer, BaseModel):
        return as_json(answer.model_dump(mode="json"), operation.status)
    response = Response(answer, status=operation.status, content_type=_text_type(operation.media_types[0]))
    response.headers["Cache-Control"] = "no-store"
    return response


def _text_type(media_type: str) -> str:
    bare = media_type.startswith("text/") and "charset" not in media_type
    return f"{media_type}; charset=utf-8" if bare else media_type


# -- what was sent ---------------------------------------------------------------------


def _query(model: type[BaseModel] | None) -> BaseModel | None:
    given = request.args.to_dict(flat=False)
    known = model.model_fields if model else {}
    for name, values in given.items():
        if name not in known:
            offered = f"known: {', '.join(known)}" if known else "this operation takes none"
            raise Invalid(f"there is no query parameter {name[:40]!r}; {offered}")
        if len(values) > 1:
            raise Invalid(f"the query parameter {name} is given {len(values)} times, expected once")
        _check_text(name, values[0])
    if model is None:
        return None
    single = {name: values[0] for name, values in given.items()}
    return _value("query", single, model.model_validate_strings)


def _body(model: type[BaseModel] | None) -> BaseModel | None:
    data = request.get_data()
    if model is None:
        if data:
            raise Invalid("this operation takes no body")
        return None
    if not data:
        return _value("body", b"{}", _reader_of(model), model)
    if request.mimetype != JSON:
        raise UnsupportedMediaType(f"the body is {request.mimetype or 'of no type'}, expected {JSON}")
    try:
        _check_texts(json.loads(data.decode()))
    except (ValueError, RecursionError) as error:
        raise Invalid("the body is not JSON in UTF-8") from error
    return _value("body", data, _reader_of(model), model)


def _reader_of(model: type[_Model]) -> Callable[[bytes], _Model]:
    return lambda data: model.model_validate_json(data, strict=True)


def _value(
    name: str, given: _Given, read: Callable[[_Given], _Read], model: type[BaseModel] | None = None
) -> _Read:
    """Return what was given as what is wanted, which ``model`` describes; raises Invalid."""
    if isinstance(given, str):
        _check_text(name, given)
    try:
        return read(given)
    except ValidationError as error:
        raise Invalid(described(error, name, model)) from error
    except (OverflowError, RecursionError) as error:
        raise Invalid(f"{name}: {error}") from error


def _check_texts(content: object) -> None:
    """Refuse what no store and no certificate can hold, in every text of a JSON document."""
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            _check_text("body", one)
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one


def _check_text(name: str, text: str) -> None:
    if "\0" in text:
        raise Invalid(f"{name}: a text holds the character NUL")
    if any(ord(character) in _SURROGATES for character in text):
        raise Invalid(f"{name}: a text holds half a character, a lone surrogate")
