r"""The settings of NDES under the names they have in the Windows registry.

On Windows they live below ``HKLM\SOFTWARE\Microsoft\Cryptography\MSCEP``: the three templates in that
key itself, every other value in a sub-key of its own name. A real server's export can be read and its
behaviour had here; ours can be written and read there.

All are read when the service starts, as on Windows. A value this implementation gives no effect to is
named on import instead of being swallowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from .regfile import RegData, RegFileError, RegKey

MSCEP_KEY: Final = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Cryptography\MSCEP"
_TEMPLATE_VALUES: Final = ("SignatureTemplate", "EncryptionTemplate", "GeneralPurposeTemplate")

Switch = Annotated[int, Field(ge=0, le=1)]
TemplateName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class NdesRegistry(BaseModel):
    """MSCEP's values that have an effect here. Numbers are DWORDs; 0 and 1 are switches."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    SignatureTemplate: TemplateName = Field(
        default="SCEP-Client-Auth",
        description="Template (its CN) for requests with key usage digitalSignature alone.",
    )
    EncryptionTemplate: TemplateName = Field(
        default="SCEP-Client-Auth", description="Template for requests with keyEncipherment alone."
    )
    GeneralPurposeTemplate: TemplateName = Field(
        default="SCEP-Client-Auth", description="Template for both key usages, or none asked for."
    )
    EnforcePassword: Switch = Field(default=1, description="1: a challenge password is needed.")
    UseSinglePassword: Switch = Field(
        default=0, description="1: one shared password that never expires and can be used again."
    )
    PasswordLength: Annotated[int, Field(ge=1, le=512)] = Field(
        default=8, description="Length in octets; the password is printed as twice as many hex digits."
    )
    PasswordMax: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=5,
        description="How many unused passwords are kept; one more gets 'The password cache is full'.",
    )
    PasswordValidity: Annotated[int, Field(ge=1, le=525_600)] = Field(
        default=60, description="Minutes until an unused password expires."
    )
    PasswordVDir: Annotated[str, StringConstraints(pattern=r"^[^?#\s]+$", max_length=260)] = Field(
        default="CertSrv/mscep_admin", description="Virtual directory that hands out passwords."
    )
    DisableRenewalSubjectNameMatch: Switch = Field(
        default=0, description="1: a renewal may change the subject (unconfirmed on Windows)."
    )

    @property
    def mode(self) -> Literal["one-time", "single", "none"]:
        """Return how passwords are used; EnforcePassword 0 wins."""
        if not self.EnforcePassword:
            return "none"
        return "single" if self.UseSinglePassword else "one-time"


_WITHOUT_EFFECT: Final = {
    "configuration": "which CA to talk to; the lab's own issuing CA is used",
    "catype": "enterprise or standalone CA; the lab's CA is an enterprise one",
    "certsinmystore": "where the RA certificates are; the lab keeps them in its data directory",
    "cacherequest": "how long Windows caches requests (unconfirmed)",
    "refresh": "a refresh period in days (unconfirmed)",
    "hashalgorithm": "digest of NDES's own messages (unconfirmed); choose a behaviour profile instead",
    "requesthashalgorithm": "digest of NDES's own requests (unconfirmed)",
    "encryptedpassword": "the single password, encrypted under a Windows machine key that nothing else "
    "has; a new one is made, or set one with --single-password",
    "policy": "the policy module's ProgID, a COM class; name a Python policy module instead",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryImport:
    """What an export came to: the settings, and a sentence for each value that has no effect here."""

    registry: NdesRegistry
    taken: tuple[str, ...]
    notes: tuple[str, ...]


def import_registry(keys: tuple[RegKey, ...]) -> RegistryImport:
    """Read NDES's settings from a registry export.

    Raises:
        RegFileError: no MSCEP key, or a value of the wrong type or out of range.

    """
    below = [key for key in keys if _relative(key.path) is not None]
    if not below:
        raise RegFileError(f"the file has no key {MSCEP_KEY}; export that key, not another")
    names = {field.lower(): field for field in NdesRegistry.model_fields}
    found: dict[str, RegData] = {}
    notes: list[str] = []
    for key in below:
        place = _relative(key.path) or ""
        for name, data in key.values.items():
            field = names.get(name.lower())
            expected_place = "" if field in _TEMPLATE_VALUES else (field or "").lower()
            if field is not None and place.lower() == expected_place:
                found[field] = data
            elif field is not None:
                notes.append(
                    f"{name} stands in {key.path}, where NDES does not look for it "
                    f"(expected {_key_of(field)}); left out"
                )
            else:
                reason = _WITHOUT_EFFECT.get(name.lower(), "not a value of NDES that is known here")
                notes.append(f"{name} has no effect here: {reason}")
    try:
        registry = NdesRegistry.model_validate(found, strict=True)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise RegFileError(f"the export's values cannot be used: {problems}") from error
    return RegistryImport(registry=registry, taken=tuple(found), notes=tuple(notes))


def export_registry(registry: NdesRegistry) -> tuple[RegKey, ...]:
    """Return the settings as the keys that NDES reads."""
    values = registry.model_dump()
    root = RegKey(path=MSCEP_KEY, values={name: values[name] for name in _TEMPLATE_VALUES})
    others = (
        RegKey(path=_key_of(name), values={name: data})
        for name, data in values.items()
        if name not in _TEMPLATE_VALUES
    )
    return (root, *others)


def _key_of(field: str) -> str:
    return MSCEP_KEY if field in _TEMPLATE_VALUES else rf"{MSCEP_KEY}\{field}"


def _relative(path: str) -> str | None:
    r"""Return the part of ``path`` below the MSCEP key, None elsewhere; ``HKLM\`` is taken too."""
    full = "HKEY_LOCAL_MACHINE" + path[4:] if path.upper().startswith("HKLM\\") else path
    if full.lower() == MSCEP_KEY.lower():
        return ""
    prefix = MSCEP_KEY + "\\"
    return full[len(prefix) :] if full.lower().startswith(prefix.lower()) else None
