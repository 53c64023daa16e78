"""Behaviour profiles: every field documented, every guess said to be one, and each can be put right."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
from pydantic import ValidationError

from scep_server.ndes.profiles import (
    MODERN,
    NDES_2012R2,
    NDES_2019,
    PROFILES,
    BadProfile,
    BehaviourProfile,
    profile_with,
)
from scep_server.settings import ScepSettings

UNCONFIRMED = {
    "capabilities",
    "capabilities_content_type",
    "capabilities_line_end",
    "next_ca_certificate",
    "empty_content",
    "reply_digest",
    "reply_cipher",
    "reply_key_transport",
    "failure_message",
    "pending_message",
    "challenge_fail_info",
    "spent_challenge_hresult",
    "absent_challenge_event",
    "challenge_string_event",
    "denial_fail_info",
    "denial_event_number",
    "renewal_req",
    "renewal_fail_info",
    "signer_hresult",
    "valid_challenge_beats_signature",
    "queries",
    "undecodable_status",
    "unreadable_status",
    "unverifiable",
    "undecryptable_status",
    "when_unavailable",
    "retries_failed_start",
    "expired_ra_stops",
    "retired_ra_keys",
    "unknown_operation",
    "http_sys_max_field_length",
    "iis_errors",
}


def _texts() -> dict[str, str]:
    """Return the documentation of each field."""
    text = BehaviourProfile.__doc__ or ""
    found: dict[str, str] = {}
    for names, said in re.findall(r"\n    ([a-z_0-9]+(?:,\s+[a-z_0-9]+)*): (.*?)(?=\n    \S|\Z)", text, re.S):
        for name in re.split(r",\s+", names):
            found[name] = said
    return found


def test_every_field_is_documented() -> None:
    assert {field.name for field in fields(BehaviourProfile)} - set(_texts()) == {"name"}


@pytest.mark.parametrize("name", sorted(UNCONFIRMED))
def test_every_guess_says_that_it_is_one(name: str) -> None:
    assert "*unconfirmed*" in _texts()[name]


def test_the_two_ndes_profiles_differ_in_what_clients_were_seen_to_need() -> None:
    differing = {
        field.name
        for field in fields(BehaviourProfile)
        if getattr(NDES_2012R2, field.name) != getattr(NDES_2019, field.name)
    }
    assert {"reply_cipher", "reply_key_transport", "default_cipher"} <= differing


@pytest.mark.parametrize("name", PROFILES)
def test_profile_is_chosen_for_the_service_and_for_an_endpoint(name: str) -> None:
    whole = ScepSettings.model_validate({"profile": name})
    assert whole.profile_of("default").name == name
    one = ScepSettings.model_validate({"endpoints": {"default": {}, "other": {"profile": name}}})
    assert (one.profile_of("default"), one.profile_of("other").name) == (MODERN, name)


def test_single_fields_are_changed_the_endpoints_last() -> None:
    settings = ScepSettings.model_validate(
        {
            "profile": "ndes-2019",
            "profile_fields": {"reply_key_transport": "pkcs1v15", "reply_cipher": "des3"},
            "endpoints": {"default": {}, "other": {"profile_fields": {"reply_cipher": "aes256"}}},
        }
    )
    assert settings.profile_of("default").reply_cipher == "des3"
    other = settings.profile_of("other")
    assert (other.reply_cipher, other.reply_key_transport) == ("aes256", "pkcs1v15")


@pytest.mark.parametrize(
    ("change", "told"),
    [({"reply_digestt": "sha1"}, "has no field reply_digestt"), ({"reply_digest": "md5"}, "reply_digest")],
)
def test_refuses_fields_and_values_that_are_none(change: dict[str, str], told: str) -> None:
    with pytest.raises(BadProfile, match=told):
        profile_with("modern", change)
    with pytest.raises(ValidationError, match=told):
        ScepSettings.model_validate({"profile_fields": change})
