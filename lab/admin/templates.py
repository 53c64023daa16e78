"""What can be done about certificate templates at the desk of a running lab.

The models that server, client and ``--json`` share, and the desk as a protocol. Does not live here:
how it is done (`templates_local`), or asked for over HTTP (`templates_remote`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol, Self

from pydantic import Field

from ca.public_keys import KeyAlgorithm

from .models import ApiModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ca.templates import Template

TemplateName = Annotated[
    str,
    Field(min_length=1, max_length=64, description="A template's name, in any case", examples=["WebServer"]),
]
_Principals = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=100)
]
_Period = Annotated[str, Field(max_length=40, pattern=r"^\s*\d{1,9}\s*[A-Za-z]+\s*$")]


class TemplateView(ApiModel):
    """A template as it stands; ``changed`` tells that it is not what the folder or the program says."""

    name: str
    display_name: str
    oid: str
    schema_version: int
    revision: int
    minor_revision: int
    subject_type: str
    published: bool
    changed: bool
    validity_period: str
    renewal_period: str
    minimal_key_size: int
    key_algorithms: tuple[KeyAlgorithm, ...]
    enrollee_supplies_subject: bool
    manager_approval: bool
    key_usage: tuple[str, ...]
    application_policies: tuple[str, ...]
    enroll: tuple[str, ...]

    @classmethod
    def of(cls, template: Template, *, changed: bool) -> Self:
        """Return the view of a template."""
        return cls(
            name=template.name,
            display_name=template.display_name,
            oid=template.oid,
            schema_version=template.schema_version,
            revision=template.revision,
            minor_revision=template.minor_revision,
            subject_type=template.subject_type,
            published=template.published,
            changed=changed,
            validity_period=str(template.validity_period),
            renewal_period=str(template.renewal_period),
            minimal_key_size=template.cryptography.minimal_key_size,
            key_algorithms=template.cryptography.key_algorithms,
            enrollee_supplies_subject=template.subject_name.enrollee_supplies_subject,
            manager_approval=template.issuance_requirements.ca_certificate_manager_approval,
            key_usage=tuple(usage.rfc_name for usage in template.extensions.key_usage),
            application_policies=template.extensions.application_policies,
            enroll=template.security.enroll,
        )


class TemplateList(ApiModel):
    """All templates, by name."""

    templates: tuple[TemplateView, ...]


class TemplateChange(ApiModel):
    """What is to be another way; what is left out stays."""

    published: bool | None = Field(default=None, description="Whether the CA issues certificates of it")
    enroll: _Principals | None = Field(
        default=None, description="Principals with the Enroll permission, such as Authenticated Users"
    )
    manager_approval: bool | None = Field(
        default=None, description="Whether requests wait for a certificate manager"
    )
    minimal_key_size: Annotated[int, Field(ge=512, le=8192)] | None = Field(
        default=None, description="Least bits of an RSA key"
    )
    validity_period: _Period | None = Field(default=None, description="Such as 2 Years, or 30 Minutes")
    renewal_period: _Period | None = Field(default=None, description="Such as 6 Weeks")


class TemplateText(ApiModel):
    """A template as a file of the templates folder has it."""

    toml: Annotated[str, Field(max_length=100_000)]


class TemplateDesk(Protocol):
    """The desk; every method raises leaves of `DeskError`.

    What is changed holds for the next request, until the lab is reset or ends; nothing is written.
    """

    def list(self) -> Sequence[TemplateView]:
        """Return all templates, by name."""

    def show(self, name: str) -> TemplateView:
        """Return one template."""

    def change(self, name: str, change: TemplateChange) -> TemplateView:
        """Change a template."""

    def put(self, name: str, text: TemplateText) -> TemplateView:
        """Add a template, or replace the one of its name."""
