"""Certificate templates: AD CS's, in TOML, with AD CS's own words.

A template is a file ``<name>.toml``; those of the user's folder overlay the built-in ones beside
this module. Key usage, purposes, basicConstraints and policies come from here and never from a
request. Does not live here: reading a request (`ca.pkcs10`), granting its wishes (`ca.wishes`).
"""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic import model_validator as _model_validator

from . import der, extensions, oids
from .errors import KeyLength, UnsupportedCertType
from .extensions import GENERAL_NAME_KINDS, Extension, GeneralName, KeyUsage
from .periods import Period, PeriodSetting, PeriodUnit
from .public_keys import KeyAlgorithm, PublicKeyInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

AUTHENTICATED_USERS: Final = "Authenticated Users"
EVERYONE: Final = "Everyone"

PURPOSES: Final = {
    "Any Purpose": oids.ANY_EXTENDED_KEY_USAGE,
    "Client Authentication": oids.CLIENT_AUTH,
    "Server Authentication": oids.SERVER_AUTH,
    "Code Signing": "1.3.6.1.5.5.7.3.3",
    "Secure Email": "1.3.6.1.5.5.7.3.4",
    "Time Stamping": "1.3.6.1.5.5.7.3.8",
    "OCSP Signing": oids.OCSP_SIGNING,
    "IP security IKE intermediate": oids.IPSEC_IKE_INTERMEDIATE,
    "Smart Card Logon": "1.3.6.1.4.1.311.20.2.2",
    "KDC Authentication": "1.3.6.1.5.2.3.5",
    "Certificate Request Agent": oids.CERTIFICATE_REQUEST_AGENT,
}
_FROM_THE_TEMPLATE_ONLY: Final = frozenset(
    {
        oids.KEY_USAGE,
        oids.EXTENDED_KEY_USAGE,
        oids.BASIC_CONSTRAINTS,
        oids.CERTIFICATE_POLICIES,
        oids.SUBJECT_ALT_NAME,
        oids.SUBJECT_KEY_IDENTIFIER,
        oids.AUTHORITY_KEY_IDENTIFIER,
        oids.CRL_DISTRIBUTION_POINTS,
        oids.FRESHEST_CRL,
        oids.AUTHORITY_INFORMATION_ACCESS,
        oids.OCSP_NO_CHECK,
        oids.MS_TEMPLATE,
        oids.MS_TEMPLATE_NAME,
        oids.MS_APPLICATION_POLICIES,
        oids.MS_CA_VERSION,
        oids.MS_PREVIOUS_CA_CERTIFICATE_HASH,
        "2.5.29.18",  # issuerAltName
        "2.5.29.30",  # nameConstraints
        "2.5.29.33",  # policyMappings
        "2.5.29.36",  # policyConstraints
        "2.5.29.54",  # inhibitAnyPolicy
    }
)
# An EC or Edwards key cannot encipher (RFC 8813 3, RFC 8410 5).
_RSA_ONLY: Final = frozenset({KeyUsage.KEY_ENCIPHERMENT, KeyUsage.DATA_ENCIPHERMENT})
_ALTERNATIVE_NAME_KINDS: Final = (*GENERAL_NAME_KINDS, "upn", "sid")


class BadTemplate(ValueError):
    """A template cannot be used; the message names the file and the key."""


def _oid(text: str) -> str:
    try:
        der.oid(text)
    except der.DerError as error:
        raise ValueError(str(error)) from error
    return text


def _purpose(text: Any) -> Any:
    if isinstance(text, str) and not text[:1].isdigit():
        if text not in PURPOSES:
            raise ValueError(f"{text!r} is no purpose; known: {', '.join(PURPOSES)}, or an OID")
        return PURPOSES[text]
    return text


def _usage(text: Any) -> Any:
    if isinstance(text, str):
        for usage in KeyUsage:
            if usage.rfc_name == text:
                return usage
        known = ", ".join(usage.rfc_name for usage in KeyUsage)
        raise ValueError(f"{text!r} is no key usage; known: {known}")
    return text


def _at_least_a_second(period: Period) -> Period:
    if period.units < 1:
        raise ValueError(f"the period is {period}, expected more than zero")
    return period


Oid = Annotated[str, AfterValidator(_oid)]
Purpose = Annotated[Oid, BeforeValidator(_purpose)]
Usage = Annotated[KeyUsage, BeforeValidator(_usage)]
TemplatePeriod = Annotated[PeriodSetting, AfterValidator(_at_least_a_second)]


class _Tab(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RequestHandling(_Tab):
    """The Request Handling tab."""

    private_key_exportable: bool = Field(default=False, description="Allow private key to be exported")


class Cryptography(_Tab):
    """The Cryptography tab."""

    minimal_key_size: Annotated[int, Field(ge=512, le=8192)] = Field(
        default=2048, description="Least bits of an RSA key (msPKI-Minimal-Key-Size)"
    )
    key_algorithms: Annotated[tuple[KeyAlgorithm, ...], Field(min_length=1)] = (KeyAlgorithm.RSA,)


class SubjectName(_Tab):
    """The Subject Name tab."""

    enrollee_supplies_subject: bool = Field(
        default=True, description="Supply in the request; else the CA writes CN=<requester>"
    )
    alternative_names: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Kinds of names granted in subjectAltName, each with the patterns one must match; "
        "a pattern that begins with ! refuses what it matches",
    )
    wildcard_dns: bool = Field(default=False, description="Grant dNSNames such as *.lab.example")
    alternative_name_required: bool = Field(
        default=False, description="Refuse requests without a subjectAltName"
    )
    other_alternative_names: Literal["refuse", "drop"] = Field(
        default="refuse", description="What becomes of names that are not granted"
    )

    @_model_validator(mode="after")
    def _kinds_must_be_known(self) -> Self:
        for kind in self.alternative_names:
            if kind not in _ALTERNATIVE_NAME_KINDS:
                known = ", ".join(_ALTERNATIVE_NAME_KINDS)
                raise ValueError(f"alternative_names has no kind {kind!r}; known: {known}")
        return self

    def grants(self, name: GeneralName) -> bool:
        """Tell whether a requested alternative name is granted; a malformed one never is."""
        patterns = self.alternative_names.get(name.kind)
        if patterns is None or not extensions.is_well_formed(name):
            return False
        text = name.text.partition("=")[2] if name.number == 0 else name.text
        text = text.lower()
        if name.kind == "dns" and "*" in text and not self.wildcard_dns:
            return False
        refused = any(fnmatchcase(text, pattern[1:].lower()) for pattern in patterns if pattern[:1] == "!")
        return not refused and any(fnmatchcase(text, pattern.lower()) for pattern in patterns)


class IssuanceRequirements(_Tab):
    """The Issuance Requirements tab."""

    ca_certificate_manager_approval: bool = Field(
        default=False, description="A certificate manager must approve (PEND_ALL_REQUESTS)"
    )
    reenrollment: Literal["same_criteria", "valid_existing_certificate"] = Field(
        default="same_criteria",
        description="Whether a renewal by a valid certificate still needs the approval",
    )


class Extensions(_Tab):
    """The Extensions tab."""

    key_usage: tuple[Usage, ...] = Field(min_length=1)
    application_policies: tuple[Purpose, ...] = Field(
        min_length=1, description="Purposes (extendedKeyUsage): names as AD CS shows them, or OIDs"
    )
    certificate_policies: tuple[Oid, ...] = Field(default=(), description="Issuance policies")
    basic_constraints: bool = Field(default=False, description="Write basicConstraints with cA FALSE")
    ocsp_no_check: bool = Field(default=False, description="Write id-pkix-ocsp-nocheck")
    revocation_information: bool = Field(default=True, description="Write CDP and AIA")
    from_request: tuple[Oid, ...] = Field(
        default=(), description="Extensions copied from requests as they are (EnableRequestExtensionList)"
    )

    @_model_validator(mode="after")
    def _some_are_never_the_clients(self) -> Self:
        for dotted in self.from_request:
            if dotted in _FROM_THE_TEMPLATE_ONLY:
                raise ValueError(f"from_request has {dotted}, which is never taken from a request")
        if {KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN} & set(self.key_usage):
            raise ValueError("key_usage has keyCertSign or cRLSign, which only a CA's certificate has")
        return self


class Security(_Tab):
    """The Security tab."""

    enroll: tuple[str, ...] = Field(
        default=(AUTHENTICATED_USERS,), description="Principals with the Enroll permission"
    )


class Template(_Tab):
    """A certificate template; ``name`` is the file's name without ``.toml``."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")]
    display_name: Annotated[str, Field(min_length=1)]
    oid: Oid = Field(description="msPKI-Cert-Template-OID")
    schema_version: Annotated[int, Field(ge=1, le=4)]
    revision: Annotated[int, Field(ge=0)] = Field(default=100, description="Major version")
    minor_revision: Annotated[int, Field(ge=0)] = 0
    subject_type: Literal["user", "computer"]
    published: bool = Field(default=True, description="Whether the CA issues certificates of it")
    validity_period: TemplatePeriod = Period(1, PeriodUnit.YEARS)
    renewal_period: TemplatePeriod = Period(6, PeriodUnit.WEEKS)
    request_handling: RequestHandling = RequestHandling()
    cryptography: Cryptography = Cryptography()
    subject_name: SubjectName = SubjectName()
    issuance_requirements: IssuanceRequirements = IssuanceRequirements()
    extensions: Extensions
    security: Security = Security()

    @_model_validator(mode="after")
    def _must_agree(self) -> Self:
        if self.renewal_period.about() >= self.validity_period.about():
            raise ValueError(
                f"renewal_period {self.renewal_period} is not shorter than validity_period "
                f"{self.validity_period} (CERTSRV_E_CERT_TYPE_OVERLAP)"
            )
        if set(self.extensions.key_usage) <= _RSA_ONLY and set(self.cryptography.key_algorithms) != {
            KeyAlgorithm.RSA
        }:
            raise ValueError("key_algorithms has keys that cannot encipher, and key_usage nothing else")
        return self

    def permits(self, principal: str) -> bool:
        """Tell whether a principal has the Enroll permission."""
        return permitted(principal, self.security.enroll)

    def check_key(self, key: PublicKeyInfo) -> None:
        """Refuse a key of another kind or size than the template takes.

        Raises:
            KeyLength: it does not meet the template.

        """
        if key.algorithm not in self.cryptography.key_algorithms:
            taken = ", ".join(algorithm.value for algorithm in self.cryptography.key_algorithms)
            raise KeyLength(f"the key is {key.algorithm.value}, template {self.name} takes {taken}")
        least = self.cryptography.minimal_key_size
        if key.algorithm is KeyAlgorithm.RSA and key.bits < least:
            raise KeyLength(f"the RSA key has {key.bits} bits, template {self.name} wants {least}")

    def constant_extensions(self, algorithm: KeyAlgorithm) -> tuple[Extension, ...]:
        """Return the extensions that are the same in each certificate, in AD CS's order.

        Key usages that the kind of key cannot have are left out; such a key gets digitalSignature.
        """
        wanted = self.extensions
        usages = set(wanted.key_usage)
        if algorithm is not KeyAlgorithm.RSA and usages & _RSA_ONLY:
            usages = usages - _RSA_ONLY | {KeyUsage.DIGITAL_SIGNATURE}
        found = [self._template_extension()]
        found.append(extensions.extended_key_usage(wanted.application_policies))
        found.append(extensions.key_usage(usages))
        if self.schema_version > 1:
            found.append(extensions.application_policies(wanted.application_policies))
        if wanted.certificate_policies:
            policies = der.sequence(*(der.sequence(der.oid(one)) for one in wanted.certificate_policies))
            found.append(Extension(oid=oids.CERTIFICATE_POLICIES, value=policies))
        if wanted.basic_constraints:
            found.append(extensions.basic_constraints(is_ca=False))
        if wanted.ocsp_no_check:
            found.append(extensions.ocsp_no_check())
        return tuple(found)

    def _template_extension(self) -> Extension:
        if self.schema_version == 1:
            return extensions.template_name(self.name)
        return extensions.template_information(self.oid, self.revision, self.minor_revision)

    @cached_property
    def is_for_request_agents(self) -> bool:
        """Whether its certificates may request in another's name, as an RA's do."""
        return oids.CERTIFICATE_REQUEST_AGENT in self.extensions.application_policies

    def directory_attributes(self) -> dict[str, int | str | list[str]]:
        """Return the template as the attributes of its directory object ([MS-CRTD] 2)."""
        subject, handling = self.subject_name, self.request_handling
        requirements, wanted = self.issuance_requirements, self.extensions
        return {
            "cn": self.name,
            "displayName": self.display_name,
            "flags": 0x40 if self.subject_type == "computer" else 0,
            "revision": self.revision,
            "msPKI-Template-Schema-Version": self.schema_version,
            "msPKI-Template-Minor-Revision": self.minor_revision,
            "msPKI-Cert-Template-OID": self.oid,
            "msPKI-Minimal-Key-Size": self.cryptography.minimal_key_size,
            "msPKI-Certificate-Name-Flag": 0x1 if subject.enrollee_supplies_subject else 0x40000000,
            "msPKI-Enrollment-Flag": (0x2 if requirements.ca_certificate_manager_approval else 0)
            | (0x40 if requirements.reenrollment == "valid_existing_certificate" else 0)
            | (0x1000 if wanted.ocsp_no_check else 0)
            | (0 if wanted.revocation_information else 0x4000)
            | (0x8000 if wanted.basic_constraints else 0),
            "msPKI-Private-Key-Flag": 0x10 if handling.private_key_exportable else 0,
            "pKIExtendedKeyUsage": list(wanted.application_policies),
            "pKIExpirationPeriod": str(self.validity_period),
            "pKIOverlapPeriod": str(self.renewal_period),
        }


def permitted(principal: str, principals: tuple[str, ...]) -> bool:
    """Tell whether ``principal`` is among those named; Authenticated Users is everyone with a name."""
    wanted = principal.strip().lower()
    for name in principals:
        if name.lower() == wanted or name == EVERYONE or (name == AUTHENTICATED_USERS and wanted):
            return True
    return False


# -- the set of templates --------------------------------------------------------------


class TemplateSet:
    """The templates a CA knows, by name without regard to case, as a directory compares names."""

    def __init__(self, templates: Mapping[str, Template]) -> None:
        self._templates = {name.lower(): template for name, template in templates.items()}

    @classmethod
    def load(cls, folder: Path | None = None) -> Self:
        """Return the built-in templates, overlaid by those in ``folder`` if it exists.

        Raises:
            BadTemplate: a file cannot be read, or says what no template can be.

        """
        found = {template.name.lower(): template for template in _built_in()}
        if folder is not None and folder.is_dir():
            for path in sorted(folder.glob("*.toml")):
                found[path.stem.lower()] = read_template_file(path)
        return cls(found)

    def __iter__(self) -> Iterator[Template]:
        return iter(sorted(self._templates.values(), key=lambda template: template.name.lower()))

    def find(self, name: str) -> Template | None:
        """Return the template of this name, published or not."""
        return self._templates.get(name.lower())

    def having(self, template: Template) -> Self:
        """Return the set with one template more, or in place of the one of its name."""
        return type(self)({**self._templates, template.name: template})

    def published(self, name: str) -> Template:
        """Return the template of this name.

        Raises:
            UnsupportedCertType: there is none, or it is not published.

        """
        template = self.find(name)
        if template is None or not template.published:
            state = "is not published" if template else "is not known"
            raise UnsupportedCertType(f"template {name!r} {state} at this CA")
        return template


def _built_in() -> Iterator[Template]:
    for entry in resources.files(__package__).joinpath("templates").iterdir():
        if entry.name.endswith(".toml"):
            yield read_template(entry.name.removesuffix(".toml"), entry.read_text("utf-8"), entry.name)


def read_template_file(path: Path) -> Template:
    """Return the template in one file.

    Raises:
        BadTemplate: it cannot be read, or says what no template can be.

    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadTemplate(f"{path}: cannot be read: {error}") from error
    return read_template(path.stem, text, str(path))


def read_template(name: str, text: str, source: str) -> Template:
    """Return the template in TOML ``text``; ``source`` names it in errors.

    Raises:
        BadTemplate: no TOML, an unknown key, or a value no template can have.

    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadTemplate(f"{source}: not TOML: {error}") from error
    if "name" in content:
        raise BadTemplate(f"{source}: name: the template's name is the file's name, leave it out")
    try:
        return Template(name=name, **content)
    except ValidationError as error:
        raise BadTemplate(f"{source}: {'; '.join(map(_described, error.errors()))}") from error


def _described(problem: Any) -> str:
    """Return one of pydantic's findings in the words of the file."""
    where = ".".join(map(str, problem["loc"]))
    if problem["type"] != "extra_forbidden":
        return f"{where or 'template'}: {str(problem['msg']).removeprefix('Value error, ')}"
    model: Any = Template
    for part in problem["loc"][:-1]:
        model = model.model_fields[part].annotation
    known = ", ".join(field for field in model.model_fields if field != "name")
    return f"{where}: unknown key; known here: {known}"
