"""What may be set, what GetCACaps makes of it, and that every error has its row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from ca.errors import CaError
from ca.records import StoreUnavailable
from scep_server.capabilities import capabilities, encode
from scep_server.ndes.profiles import MODERN
from scep_server.outcomes import TABLE, Outcome, Refusal, outcome_of
from scep_server.protocol.errors import BadRequest, MessageError, Unanswerable, Undecryptable
from scep_server.protocol.messages import FailInfo
from scep_server.settings import EndpointSettings, RenewalSettings, ScepSettings
from scep_server.transport import TransportError


def _leaves(kind: type[Exception]) -> set[type[Exception]]:
    found = {leaf for child in kind.__subclasses__() for leaf in _leaves(child)}
    return found or {kind}


def test_defaults_serve_one_endpoint_that_requires_a_challenge() -> None:
    settings = ScepSettings()
    assert list(settings.endpoints) == ["default"]
    assert settings.endpoints["default"].challenge == "required"
    assert settings.endpoints["default"].algorithm_policy.legacy == "accept"


def test_nothing_slows_clients_down_by_default() -> None:
    settings = ScepSettings()
    assert not settings.brakes.enabled
    assert settings.brakes.trusted_proxies == ()


def test_proxies_are_networks_or_addresses_and_read_back() -> None:
    given = {"brakes": {"trusted_proxies": ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]}}
    settings = ScepSettings.model_validate(given)
    shown = settings.model_dump(mode="json")
    assert shown["brakes"]["trusted_proxies"] == ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]
    assert ScepSettings.model_validate(shown) == settings


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"endpoints": {"printers": {}}}, "has no 'default'"),
        ({"endpoints": {"default": {}, "a": {}, "A": {}}}, "differ in more than case"),
        ({"endpoints": {"default": {}, "cgi-bin": {}}}, "cannot be the name"),
        ({"endpoints": {"default": {}, "a/b": {}}}, "pattern"),
        ({"endpoints": {"default": {"chalenge": "none"}}}, "chalenge"),
        ({"endpoints": {"default": {"challenge": "maybe"}}}, "challenge"),
        ({"limits": {"maximum_body_octets": 10}}, "maximum_body_octets"),
        ({"limits": {"pending_per_endpoint": 0}}, "pending_per_endpoint"),
        ({"brakes": {"burst": 0}}, "burst"),
        ({"brakes": {"trusted_proxies": ["10.0.0.1/8"]}}, "host bits set; expected a network such as"),
        ({"brakes": {"trusted_proxies": ["proxy.example"]}}, "expected a network such as"),
        ({"endpoints": {"default": {"maximum_clock_skew_minutes": 10**12}}}, "maximum_clock_skew_minutes"),
    ],
)
def test_refuses_settings_that_cannot_work_and_says_which(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        ScepSettings.model_validate(given)


def test_advertises_what_it_accepts_line_by_line() -> None:
    words = capabilities(EndpointSettings(), MODERN, next_ca=False)
    assert encode(words) == (
        b"AES\nDES3\nPOSTPKIOperation\nRenewal\nSHA-1\nSHA-256\nSHA-384\nSHA-512\nSCEPStandard\n"
    )


def test_advertises_nothing_it_would_refuse() -> None:
    endpoint = EndpointSettings(
        sha1="refuse",
        triple_des="refuse",
        advertise_sha384=False,
        renewal=RenewalSettings(enabled=False),
    )
    words = capabilities(endpoint, MODERN, next_ca=True)
    assert words == ("AES", "POSTPKIOperation", "SHA-256", "SHA-512", "SCEPStandard", "GetNextCACert")


def test_advertises_nothing_a_profile_never_offered() -> None:
    profile = replace(MODERN, capabilities=("SHA-1", "DES3"))
    assert capabilities(EndpointSettings(), profile, next_ca=True) == ("SHA-1", "DES3")
    assert encode(()) == b""


def test_every_error_and_every_refusal_has_a_row() -> None:
    wanted: set[object] = set(Refusal) | _leaves(MessageError) | _leaves(CaError) | _leaves(TransportError)
    wanted |= {Unanswerable, StoreUnavailable}
    assert wanted - TABLE.keys() == set()


def test_no_two_rows_share_a_name() -> None:
    names = [row.name for cause, row in TABLE.items() if row.name != "unavailable"]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("cause", list(TABLE), ids=str)
def test_texts_are_short_printable_and_fixed(cause: object) -> None:
    text = TABLE[cause].text or ""  # type: ignore[index]
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 200


@pytest.mark.parametrize("leaf", sorted(_leaves(MessageError), key=str))
def test_an_error_is_answered_with_the_fail_info_it_carries(leaf: type[MessageError]) -> None:
    assert TABLE[leaf].fail_info is leaf.fail_info


def test_tells_nothing_of_why_an_envelope_cannot_be_opened() -> None:
    row = outcome_of(Undecryptable())
    assert (row.fail_info, row.text) == (FailInfo.BAD_MESSAGE_CHECK, None)


def _family(prefix: str) -> list[Outcome]:
    return [TABLE[refusal] for refusal in Refusal if refusal.value.startswith(prefix)]


@pytest.mark.parametrize("prefix", ["challenge-", "poll-"])
def test_tells_refusals_of_one_family_apart_nowhere_on_the_wire(prefix: str) -> None:
    assert len(_family(prefix)) > 1
    assert len({(row.fail_info, row.text) for row in _family(prefix)}) == 1


def test_finds_the_row_of_a_subclass() -> None:
    class Odd(BadRequest):
        """A BadRequest of its own."""

    assert outcome_of(Odd("x")).name == "bad-request"


def test_knows_no_row_for_what_is_no_outcome() -> None:
    with pytest.raises(LookupError):
        outcome_of(ValueError("x"))
