"""What can be done about a running lab as a whole: settings, reset, populate.

The models that server, client and ``--json`` share, and the desk as a protocol.
"""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

from pydantic import Field, JsonValue

from lab.faults.rules import RuleOrder

from .clock import Shift
from .models import ApiModel, BulkEntry, CertificateOrder, ChallengeOrder, ReasonName, Secret
from .templates import TemplateChange, TemplateName

ItemKind = Literal["clock", "template", "challenge", "certificate", "revocation", "fault-rule"]
Outcome = Literal["made", "changed", "pending", "unchanged"]


class SettingView(ApiModel):
    """A setting in force; ``value`` is stars where it is secret.

    ``origin`` is where it came from: a flag, the environment, a file, default, or lab for what the lab has
    set or worked out itself.
    """

    name: str
    value: JsonValue
    origin: str


class SettingList(ApiModel):
    """All settings in force."""

    settings: tuple[SettingView, ...]


class ResetView(ApiModel):
    """What a reset has come back to."""

    certificates: int
    challenges: int


class WantedChallenge(ChallengeOrder):
    """A challenge that is to be there; by its password it is known again."""

    password: Annotated[Secret, Field(min_length=1, max_length=255)]


class WantedTemplate(TemplateChange):
    """A template that is to be there, and how: its text, if any, and then what is to be another way."""

    name: TemplateName
    toml: Annotated[str, Field(max_length=100_000)] | None = None


class WantedCertificate(CertificateOrder):
    """A certificate that is to be there, and may be revoked; by key and template it is known again."""

    revoked: ReasonName | None = Field(default=None, description="Why it is revoked; none: it is left alone")


class PopulateOrder(ApiModel):
    """A whole set of things that are to be there. What else is there stays."""

    clock: Shift | None = Field(default=None, description="How far the lab's clock is from the machine's")
    templates: Annotated[tuple[WantedTemplate, ...], Field(max_length=100)] = ()
    challenges: Annotated[tuple[WantedChallenge, ...], Field(max_length=5000)] = ()
    certificates: Annotated[tuple[WantedCertificate, ...], Field(max_length=1000)] = ()
    revocations: Annotated[tuple[BulkEntry, ...], Field(max_length=5000)] = ()
    fault_rules: Annotated[tuple[RuleOrder, ...], Field(max_length=1000)] = ()
    publish: Literal["base", "delta", "none"] = Field(
        default="base", description="CRL that is published at once where something was revoked"
    )


class PopulatedItem(ApiModel):
    """What became of one thing; ``id`` is its number, where it has one."""

    kind: ItemKind
    name: str
    outcome: Outcome
    id: int | None = None


class PopulatedView(ApiModel):
    """What became of everything, in the order of the body; ``problem``: why the CRL was not published."""

    changed: bool
    items: tuple[PopulatedItem, ...]
    problem: str = ""


class WholeDesk(Protocol):
    """The desk; every method raises leaves of `DeskError`."""

    def settings(self) -> SettingList:
        """Return the settings in force, secrets hidden."""

    def reset(self) -> ResetView:
        """Make the lab as it was when it had just started: same keys and URLs, no memory since."""

    def populate(self, order: PopulateOrder) -> PopulatedView:
        """Make a whole set of things be there, all or nothing; what is there already stays as it is."""
