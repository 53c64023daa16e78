"""How an entry is written down: in files, over the management API, and in what `export` prints."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from lab.recorded import AppliedFault, RecordedAnswer, RecordedRequest, Scheme
from scep_server.checks import Check, Verdict

from .entry import EntryVerdict, IssuedCertificate, JournalEntry


def _octets(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return b64decode(value, validate=True)
    except ValueError as error:
        raise ValueError(f"no Base64: {error}") from error


Octets = Annotated[
    bytes,
    BeforeValidator(_octets),
    PlainSerializer(lambda octets: b64encode(octets).decode(), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
"""Octets, in JSON as Base64."""


_REQUEST_FIELDS = ("method", "target", "protocol", "scheme", "client_address", "client_port", "body")
_ANSWER_FIELDS = ("status", "reason", "delivery", "body")
_ALIKE = (
    "endpoint",
    "operation",
    "message_type",
    "transaction_id",
    "subject",
    "seconds",
    "opened",
    "blanked",
)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class HeaderRecord(_Record):
    """A header; credentials in it are hidden."""

    name: str
    value: str


class RequestRecord(_Record):
    """A request as it came; ``octets`` is the length of the body, of which ``body`` may be the beginning."""

    method: str
    target: str
    protocol: str
    scheme: Scheme = "http"  # the only one that files had before it was written down
    headers: tuple[HeaderRecord, ...]
    client_address: str
    client_port: str
    octets: int
    body: Octets = Field(repr=False)

    @classmethod
    def of(cls, request: RecordedRequest, octets: int) -> Self:
        """Return a request written down."""
        fields = {name: getattr(request, name) for name in _REQUEST_FIELDS}
        return cls(headers=_headers(request.headers), octets=octets, **fields)

    def request(self) -> RecordedRequest:
        """Return the request itself."""
        fields = {name: getattr(self, name) for name in _REQUEST_FIELDS}
        return RecordedRequest(headers=_pairs(self.headers), **fields)


class AnswerRecord(_Record):
    """An answer as it went; ``delivery`` says so where not all of it was sent as usual."""

    status: int
    reason: str
    headers: tuple[HeaderRecord, ...]
    delivery: str
    octets: int
    body: Octets = Field(repr=False)

    @classmethod
    def of(cls, answer: RecordedAnswer, octets: int) -> Self:
        """Return an answer written down."""
        fields = {name: getattr(answer, name) for name in _ANSWER_FIELDS}
        return cls(headers=_headers(answer.headers), octets=octets, **fields)

    def answer(self) -> RecordedAnswer:
        """Return the answer itself."""
        fields = {name: getattr(self, name) for name in _ANSWER_FIELDS}
        return RecordedAnswer(headers=_pairs(self.headers), **fields)


class VerdictRecord(_Record):
    """How an exchange ended."""

    accepted: bool
    status: int
    refused_by: str | None
    detail: str
    pki_status: str | None
    fail_info: str | None


class CheckRecord(_Record):
    """A check: what was found, what was expected, by which clause, and how it came out."""

    name: str
    verdict: Verdict
    clause: str
    found: str
    expected: str


class FaultRecord(_Record):
    """A fault that was applied; ``rule_id`` is null where the URL asked for it."""

    fault_id: str
    rule_id: int | None
    parameters: dict[str, Any]


class CertificateRecord(_Record):
    """The certificate that came of an exchange."""

    id: int
    subject: str
    serial_number: str
    der: Octets = Field(repr=False)


class TimingRecord(_Record):
    """How long a stage took."""

    stage: str
    seconds: float


class EntryRecord(_Record):
    """An exchange whole. ``opened`` is the content of the request's envelope as the server saw it.

    ``blanked``: challenge passwords in it are overwritten with asterisks.
    """

    number: Annotated[int, Field(ge=1)]
    received_at: AwareDatetime
    clock_offset_seconds: float
    listener: Literal["scep", "pki"]
    endpoint: str | None
    operation: str | None
    message_type: str | None
    transaction_id: str | None
    subject: str | None
    verdict: VerdictRecord
    checks: tuple[CheckRecord, ...]
    faults: tuple[FaultRecord, ...]
    certificate: CertificateRecord | None
    timings: tuple[TimingRecord, ...]
    seconds: float
    request: RequestRecord
    answer: AnswerRecord
    opened: Octets | None = Field(repr=False)
    blanked: bool

    @classmethod
    def of(cls, entry: JournalEntry) -> Self:
        """Return an entry written down, as it is."""
        certificate = entry.certificate
        return cls(
            number=entry.number,
            received_at=entry.received_at,
            clock_offset_seconds=entry.clock_offset.total_seconds(),
            listener=entry.listener,
            verdict=VerdictRecord(**_fields(VerdictRecord, entry.verdict)),
            checks=tuple(CheckRecord(**_fields(CheckRecord, check)) for check in entry.checks),
            faults=tuple(
                FaultRecord(fault_id=each.fault_id, rule_id=each.rule_id, parameters=dict(each.parameters))
                for each in entry.faults
            ),
            certificate=None
            if certificate is None
            else CertificateRecord(**_fields(CertificateRecord, certificate)),
            timings=tuple(TimingRecord(stage=stage, seconds=seconds) for stage, seconds in entry.timings),
            request=RequestRecord.of(entry.request, entry.request_octets),
            answer=AnswerRecord.of(entry.answer, entry.answer_octets),
            **{name: getattr(entry, name) for name in _ALIKE},
        )

    def entry(self) -> JournalEntry:
        """Return the entry itself."""
        certificate = self.certificate
        return JournalEntry(
            number=self.number,
            received_at=self.received_at,
            clock_offset=timedelta(seconds=self.clock_offset_seconds),
            listener=self.listener,
            verdict=EntryVerdict(**_fields(VerdictRecord, self.verdict)),
            checks=tuple(Check(**_fields(CheckRecord, check)) for check in self.checks),
            faults=tuple(AppliedFault(**_fields(FaultRecord, fault)) for fault in self.faults),
            certificate=None
            if certificate is None
            else IssuedCertificate(**_fields(CertificateRecord, certificate)),
            timings=tuple((timing.stage, timing.seconds) for timing in self.timings),
            request=self.request.request(),
            request_octets=self.request.octets,
            answer=self.answer.answer(),
            answer_octets=self.answer.octets,
            **{name: getattr(self, name) for name in _ALIKE},
        )

    def as_line(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(self.model_dump(mode="json"), separators=(",", ":"))

    @classmethod
    def of_line(cls, line: str | bytes) -> Self:
        """Return what `as_line` wrote.

        Raises:
            ValueError: it is no such line.

        """
        return cls.model_validate_json(line)


def _fields(record: type[BaseModel], value: object) -> dict[str, Any]:
    """Return the fields of ``value`` that a record has, by name."""
    return {name: getattr(value, name) for name in record.model_fields}


def _headers(headers: tuple[tuple[str, str], ...]) -> tuple[HeaderRecord, ...]:
    return tuple(HeaderRecord(name=name, value=value) for name, value in headers)


def _pairs(headers: tuple[HeaderRecord, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((header.name, header.value) for header in headers)
