"""Rules: to which exchanges a fault is applied, how often, and in what order."""

from __future__ import annotations

import ipaddress
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from .registry import BadParameter, ParameterValue, UnknownFault, find
from .values import Doorway
from .vocabulary import MESSAGE_TYPES, OPERATIONS, must_be_known

if TYPE_CHECKING:
    from .circumstances import Circumstances
    from .registry import Fault

_Pattern = Annotated[str, Field(min_length=1, max_length=500)]
_WORDS = {"operation": OPERATIONS, "message_type": MESSAGE_TYPES}
_FACTS = ("operation", "message_type", "transaction_id", "subject", "user_agent", "endpoint", "path")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Match(_Model):
    """Which exchanges; what is left out matches all. Texts are compared without case, with * and ?."""

    operation: _Pattern | None = Field(
        default=None,
        description="GetCACaps, GetCACert, GetNextCACert or PKIOperation; CRL, DeltaCRL, AIA or OCSP",
        examples=["PKIOperation"],
    )
    message_type: _Pattern | None = Field(
        default=None, description="PKCSReq, RenewalReq, CertPoll, GetCert or GetCRL", examples=["PKCSReq"]
    )
    transaction_id: _Pattern | None = None
    subject: _Pattern | None = Field(default=None, description="Of the certificate request, RFC 4514")
    client_address: _Pattern | None = Field(
        default=None, description="Address or network", examples=["10.0.0.0/8"]
    )
    user_agent: _Pattern | None = None
    endpoint: _Pattern | None = None
    path: _Pattern | None = None

    @field_validator("client_address")
    @classmethod
    def _must_be_network(cls, value: str | None) -> str | None:
        if value is not None:
            ipaddress.ip_network(value, strict=False)
        return value

    @field_validator("operation", "message_type")
    @classmethod
    def _must_be_known(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.field_name is not None and "*" not in value and "?" not in value:
            must_be_known(info.field_name, value, _WORDS[info.field_name])
        return value

    def matches(self, circumstances: Circumstances) -> bool:
        """Tell whether an exchange matches, as far as it is known; what is unknown does not match."""
        for name in _FACTS:
            wanted = getattr(self, name)
            if wanted is None:
                continue  # nor is it looked for: a subject would have to be read first
            found = getattr(circumstances, name)
            if found is None or not fnmatchcase(found.lower(), wanted.lower()):
                return False
        return self.client_address is None or _is_in(circumstances.client_address, self.client_address)


class RuleOrder(_Model):
    """A rule to be set: one fault, or a sequence of them.

    The faults of a ``sequence`` are applied in turn, one to each matching exchange; null leaves one alone.
    """

    fault: _Pattern | None = Field(default=None, description="Id of the fault; or else a sequence")
    sequence: Annotated[tuple[_Pattern | None, ...], Field(max_length=1000)] = ()
    match: Match = Match()
    after: Annotated[int, Field(ge=0, le=1_000_000, description="Exchanges left alone at first")] = 0
    times: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="How often; none: until removed, or to the end of the sequence"
    )
    chance: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="Probability for each exchange; none: always"
    )
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] | None = Field(
        default=None, description="Of the chance; none: one is chosen and told"
    )
    parameters: Annotated[dict[str, ParameterValue], Field(max_length=20)] = Field(
        default_factory=dict, description="Of the fault; see the catalogue"
    )
    label: Annotated[str, Field(max_length=200)] = ""

    @model_validator(mode="after")
    def _must_be_applicable(self) -> Self:
        if (self.fault is None) == (not self.sequence):
            raise ValueError("expected either fault or sequence")
        if self.sequence and not any(self.sequence):
            raise ValueError("the sequence names no fault, expected one at least")
        if self.seed is not None and self.chance is None:
            raise ValueError("seed is given without a chance")
        try:
            for one in self.faults:
                if one is not None:
                    _must_meet_requests(one)
                    one.read_parameters(self.parameters)
        except (UnknownFault, BadParameter) as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def faults(self) -> tuple[Fault | None, ...]:
        """The faults in the order of their turns."""
        named = self.sequence if self.fault is None else (self.fault,)
        return tuple(None if one is None else find(one) for one in named)


class RuleView(_Model):
    """A rule as it stands. ``hits`` are the exchanges it was applied to; ``left`` is none without an end."""

    id: int
    faults: tuple[str | None, ...]
    match: Match
    after: int
    times: int | None
    chance: float | None
    seed: int | None
    parameters: dict[str, ParameterValue]
    label: str
    hits: int
    left: int | None


def _must_meet_requests(fault: Fault) -> None:
    if fault.takes is Doorway:
        raise BadParameter(
            f"{fault.id} comes before HTTP, where rules choose nobody: it has an address of its own"
        )


def _is_in(address: str, network: str) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found) in ipaddress.ip_network(network, strict=False)
