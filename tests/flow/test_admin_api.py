"""The management API, called at random by schemathesis, after what it says of itself."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import schemathesis
from admin_client import OPERATIONS, csr, example_path, management_app
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, Phase, given, settings
from lab_client import client_key
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from lab import ScepLab
from lab.admin.models import CertificateOrder, ChallengeOrder
from lab.admin.operation import JSON, Operation
from lab.admin.templates import TemplateChange
from lab.faults.rules import RuleOrder

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
AT_RANDOM = settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)


def stranger() -> dict[str, str]:
    """A certificate that no CA issued, with its key."""
    key, name = client_key(3), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return {
        "certificate": certificate.public_bytes(Encoding.PEM).decode(),
        "key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    }


def takes_something(operation: Operation[Any]) -> bool:
    shape = operation.shape
    return bool(shape.path or shape.query or shape.body)


@pytest.fixture(scope="module")
def running() -> Iterator[ScepLab]:
    # One thread: nobody may wait for what comes into the journal.
    with ScepLab({"server": {"threads": 1}}) as scep_lab:
        desk = scep_lab.desk
        desk.new_challenge(ChallengeOrder(label="there"))
        desk.issue_certificate(CertificateOrder(csr=csr("device-0", 0)))
        desk.templates.change("WebServer", TemplateChange(manager_approval=True, enroll=("Everyone",)))
        desk.issue_certificate(CertificateOrder(csr=csr("device-1", 1), template="WebServer"))
        scep_lab.remember()
        yield scep_lab


@pytest.fixture(scope="module")
def api(running: ScepLab) -> BaseSchema:
    return schemathesis.openapi.from_wsgi("/openapi.json", management_app(running))


@pytest.fixture
def scep_lab(running: ScepLab) -> ScepLab:
    """A lab in which there is one of everything, with the number 1 or the name of the examples."""
    running.reset()
    running.desk.faults.add(RuleOrder(fault="wire::reset-within-headers", times=1))
    urllib.request.urlopen(f"{running.scep_url}?operation=GetCACaps").close()
    return running


def judge(api: BaseSchema, operation: Operation[Any], mode: GenerationMode, checks: list[Any]) -> None:
    @AT_RANDOM
    @given(case=api[operation.path][operation.method].as_strategy(mode))
    def answers_as_the_document_says(case: Case) -> None:
        answer = case.call()
        too_long = answer.status_code == 413  # a refusal, too
        case.validate_response(answer, checks=CHECKS if too_long else checks)

    answers_as_the_document_says()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_answers_what_it_takes_as_the_document_says(
    api: BaseSchema, scep_lab: ScepLab, operation: Operation[Any]
) -> None:
    judge(api, operation, GenerationMode.POSITIVE, CHECKS)


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if takes_something(one)], ids=lambda operation: operation.name
)
def test_refuses_what_it_does_not_take(api: BaseSchema, scep_lab: ScepLab, operation: Operation[Any]) -> None:
    judge(api, operation, GenerationMode.NEGATIVE, [*CHECKS, negative_data_rejection])


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_what_is_there_is_answered_as_the_document_says(
    api: BaseSchema, scep_lab: ScepLab, operation: Operation[Any]
) -> None:
    bodies: dict[str, Any] = {
        "issue_certificate": {"csr": csr("device-2", 2)},
        "replace_ra_certificate": stranger(),
    }
    path = example_path(operation, selector="3")
    given_body = {"body": bodies.get(operation.name, operation.example), "media_type": JSON}
    case = api[operation.path][operation.method].Case(
        path_parameters=path, **(given_body if operation.shape.body and given_body["body"] else {})
    )
    answer = case.call_and_validate(checks=CHECKS)
    assert answer.status_code == operation.status, answer.text
