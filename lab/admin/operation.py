"""Operations of the management API, each declared once; server, OpenAPI, docs and client follow from that.

A module of `lab.admin.operations` makes a `Resource` and declares functions with its decorators:

    challenges = Resource("challenges", "Challenge passwords of clients that enrol.")

    @challenges.post("/api/v1/challenges", status=201, errors=(DeskRefused,))
    def new_challenge(context: AdminContext, body: ChallengeOrder) -> NewChallengeView:
        \"\"\"Make a challenge; the only time its password is seen.\"\"\"
        return context.desk.new_challenge(body)

The function's first parameter is the `AdminContext`. ``body`` and ``query`` are models of what is read
from there, every name in braces in the path is a parameter with a type that pydantic knows, and
``media_type``, where it is taken, is the one the caller likes best. The return type is the answer: a
model is sent as JSON, None as 204, a str or bytes as the first of ``media_types``. The docstring's first
line is the summary. The decorator returns the `Operation`, by which `RemoteDesk` asks for it.

Does not live here: HTTP (`serving`), the description for machines and people (`openapi`, `docs_page`).
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from functools import cached_property
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    TypedDict,
    TypeVar,
    Union,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
)
from urllib.parse import quote

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lab.health import HealthReport

    from .desk import Desk, DeskError

Answered = TypeVar("Answered")
_Model = TypeVar("_Model", bound=BaseModel)
JSON = "application/json"
_BRACES = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminFacts:
    """What the listener says about the lab besides its desk.

    ``ready`` returns why the lab is not ready, or an empty text. ``health`` looks at everything and
    returns what was found, ``metrics`` returns Prometheus' text.
    """

    version: str
    root_pem: str
    issuing_pem: str
    ready: Callable[[], str]
    health: Callable[[], HealthReport]
    metrics: Callable[[], bytes]
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminContext:
    """What every operation works with."""

    desk: Desk
    facts: AdminFacts


@dataclass(frozen=True, slots=True)
class Otherwise(Generic[_Model]):
    """An answer with another status than the operation's usual one."""

    status: int
    answer: _Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What an operation takes and gives; ``answers`` has the model of each status, None for no JSON."""

    body: type[BaseModel] | None
    query: type[BaseModel] | None
    path: Mapping[str, Any]
    chooses: bool
    answers: Mapping[int, type[BaseModel] | None]


class Operation(Generic[Answered]):
    """One method at one path, and the function behind it."""

    def __init__(
        self,
        function: Callable[..., Answered],
        *,
        method: str,
        path: str,
        resource: Resource,
        status: int,
        otherwise: int | None,
        errors: tuple[type[DeskError], ...],
        media_types: tuple[str, ...],
        headers: Mapping[str, str],
        open_to_all: bool,
        example: Mapping[str, object] | None,
    ) -> None:
        self.function = function
        self.method = method
        self.path = path
        self.resource = resource
        self.status = status
        self.otherwise = otherwise
        self.errors = errors
        self.media_types = media_types
        self.headers = headers
        self.open_to_all = open_to_all
        self.example = example

    @property
    def name(self) -> str:
        """Its name in code and OpenAPI (operationId)."""
        return self.function.__name__

    @property
    def example_body(self) -> BaseModel | None:
        """The example as a model; raises ValidationError if it is no body that this operation takes."""
        model = self.shape.body
        return None if model is None or self.example is None else model.model_validate(self.example)

    @property
    def summary(self) -> str:
        """The first line of its documentation."""
        return self._documentation[0].rstrip(".")

    @property
    def description(self) -> str:
        """The rest of its documentation."""
        return "\n".join(self._documentation[1:]).strip()

    @cached_property
    def _documentation(self) -> list[str]:
        return (inspect.getdoc(self.function) or self.name).splitlines()

    @cached_property
    def shape(self) -> Shape:
        """What it takes and gives, read from the function's annotations."""
        hints = get_type_hints(self.function, include_extras=True)
        answer = hints.pop("return", None)
        return Shape(
            body=hints.get("body"),
            query=hints.get("query"),
            path={name: hints[name] for name in _BRACES.findall(self.path)},
            chooses="media_type" in hints,
            answers=self._answers(answer),
        )

    def _answers(self, annotation: Any) -> dict[int, type[BaseModel] | None]:
        found: dict[int, type[BaseModel] | None] = {self.status: None}
        parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
        for part in parts:
            if get_origin(part) is Otherwise and self.otherwise is not None:
                (found[self.otherwise],) = get_args(part)
            elif isinstance(part, type) and issubclass(part, BaseModel):
                found[self.status] = part
        return found

    def path_of(self, values: Mapping[str, object]) -> str:
        """Return the path with values in place of the names in braces, each quoted."""
        return _BRACES.sub(lambda match: quote(str(values[match[1]]), safe=""), self.path)


class Declared(TypedDict, total=False):
    """What may be said of an operation; see `Resource.declare`."""

    status: int
    otherwise: int | None
    errors: tuple[type[DeskError], ...]
    media_types: tuple[str, ...]
    headers: Mapping[str, str] | None
    open_to_all: bool
    example: Mapping[str, object] | None


class Resource:
    """Operations that belong together; a tag in OpenAPI, a section of the documentation."""

    def __init__(self, name: str, description: str, *, title: str | None = None) -> None:
        self.name = name
        self.description = description
        self.title = title or name.capitalize()
        self.operations: list[Operation[Any]] = []

    def get(
        self, path: str, **declared: Unpack[Declared]
    ) -> Callable[[Callable[..., Answered]], Operation[Answered]]:
        """Declare a reading operation; arguments as `declare`."""
        return self.declare("GET", path, **declared)

    def post(
        self, path: str, **declared: Unpack[Declared]
    ) -> Callable[[Callable[..., Answered]], Operation[Answered]]:
        """Declare an operation that does or makes something; arguments as `declare`."""
        return self.declare("POST", path, **declared)

    def put(
        self, path: str, **declared: Unpack[Declared]
    ) -> Callable[[Callable[..., Answered]], Operation[Answered]]:
        """Declare an operation that changes nothing when repeated; arguments as `declare`."""
        return self.declare("PUT", path, **declared)

    def patch(
        self, path: str, **declared: Unpack[Declared]
    ) -> Callable[[Callable[..., Answered]], Operation[Answered]]:
        """Declare an operation that changes parts of something; arguments as `declare`."""
        return self.declare("PATCH", path, **declared)

    def delete(
        self, path: str, **declared: Unpack[Declared]
    ) -> Callable[[Callable[..., Answered]], Operation[Answered]]:
        """Declare an operation that removes something; arguments as `declare`."""
        return self.declare("DELETE", path, **declared)

    def declare(
        self,
        method: str,
        path: str,
        *,
        status: int = 200,
        otherwise: int | None = None,
        errors: tuple[type[DeskError], ...] = (),
        media_types: tuple[str, ...] = (JSON,),
        headers: Mapping[str, str] | None = None,
        open_to_all: bool = False,
        example: Mapping[str, object] | None = None,
    ) -> Callable[[Callable[..., Answered]], Operation[Answered]]:
        """Return a decorator that makes an operation of a function.

        Args:
            method: HTTP method.
            path: path at the listener, names of parameters in braces.
            status: of an answer that is no error.
            otherwise: status of an answer wrapped in `Otherwise`.
            errors: what it raises besides Invalid and DeskUnavailable.
            media_types: what it answers with, the usual one first.
            headers: of every answer that is no error.
            open_to_all: whether it is answered without the token.
            example: a body for the documentation, as JSON has it.

        """

        def decorate(function: Callable[..., Answered]) -> Operation[Answered]:
            operation = Operation(
                function,
                method=method,
                path=path,
                resource=self,
                status=status,
                otherwise=otherwise,
                errors=errors,
                media_types=media_types,
                headers=headers or {},
                open_to_all=open_to_all,
                example=example,
            )
            self.operations.append(operation)
            return operation

        return decorate
