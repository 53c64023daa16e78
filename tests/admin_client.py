"""The management application of a lab, called without a socket; and example calls of its operations."""

from __future__ import annotations

import json
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from flask import Flask
from flask.testing import FlaskClient
from lab_client import client_key
from pydantic import TypeAdapter

from lab import ScepLab
from lab.admin.app import create_app
from lab.admin.asking import Call, call_of
from lab.admin.examples import example_value
from lab.admin.operation import AdminFacts, Operation
from lab.admin.registry import all_operations

OPERATIONS = tuple(all_operations())
READING = tuple(operation for operation in OPERATIONS if operation.method == "GET")


def management_app(scep_lab: ScepLab, *, token: str | None = None, ready: str = "") -> Flask:
    facts = AdminFacts(
        version="1",
        root_pem="root\n",
        issuing_pem="issuing\n",
        ready=lambda: ready,
        health=scep_lab.health,
        metrics=lambda: b"",
        token=token,
    )
    return create_app(scep_lab.desk, facts)


def management(scep_lab: ScepLab, *, token: str | None = None, ready: str = "") -> FlaskClient:
    return management_app(scep_lab, token=token, ready=ready).test_client()


def csr(name: str = "device", key: int = 0) -> str:
    """Return a certificate request in PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder(subject).sign(client_key(key), hashes.SHA256())
    return request.public_bytes(Encoding.PEM).decode()


def example_path(operation: Operation[Any], **known: object) -> dict[str, object]:
    """Return values for the names in a path: what is known, and examples."""
    wanted = operation.shape.path.items()
    return {name: known.get(name, example_value(TypeAdapter(one).json_schema())) for name, one in wanted}


def example_call(operation: Operation[Any], **path: object) -> Call:
    """Return a call with the example body, and example values in the path unless others are given."""
    return call_of(operation, example_path(operation, **path), body=operation.example_body)


def send(client: FlaskClient, call: Call, **headers: str) -> Any:
    body = None if call.body is None else json.loads(call.body)
    return client.open(call.target, method=call.method, json=body, headers=headers)
