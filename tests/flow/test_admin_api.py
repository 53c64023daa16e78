"""The management API, called at random by schemathesis, after what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from lab import ScepLab
from lab.admin.app import create_app
from lab.admin.operation import AdminFacts, Operation
from lab.admin.registry import all_operations

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    negative_data_rejection,
]
OPERATIONS = list(all_operations())
AT_RANDOM = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)


def takes_something(operation: Operation[Any]) -> bool:
    shape = operation.shape
    return bool(shape.path or shape.query or shape.body)


@pytest.fixture(scope="module")
def api() -> Iterator[BaseSchema]:
    # One thread: nobody may wait for what comes into the journal.
    with ScepLab({"server": {"threads": 1}}) as scep_lab:
        facts = AdminFacts(
            version="1",
            root_pem=scep_lab.root_pem,
            issuing_pem=scep_lab.root_pem,
            ready=lambda: "",
            health=scep_lab.health,
            metrics=lambda: b"",
        )
        yield schemathesis.openapi.from_wsgi("/openapi.json", create_app(scep_lab.desk, facts))


def judge(api: BaseSchema, operation: Operation[Any], mode: GenerationMode) -> None:
    @AT_RANDOM
    @given(case=api[operation.path][operation.method].as_strategy(mode))
    def answers_as_the_document_says(case: Case) -> None:
        case.call_and_validate(checks=CHECKS)

    answers_as_the_document_says()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_answers_what_it_takes_as_the_document_says(api: BaseSchema, operation: Operation[Any]) -> None:
    judge(api, operation, GenerationMode.POSITIVE)


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if takes_something(one)], ids=lambda operation: operation.name
)
def test_refuses_what_it_does_not_take(api: BaseSchema, operation: Operation[Any]) -> None:
    judge(api, operation, GenerationMode.NEGATIVE)
