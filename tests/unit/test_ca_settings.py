"""Settings: what they mean for names, URLs and times, and what they refuse. Periods too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from ca import names
from ca.periods import Period
from ca.settings import PkiSettings, sanitized_name

AT = datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)


def test_defaults_say_that_it_is_a_test() -> None:
    settings = PkiSettings()
    for name in (settings.root_name, settings.issuing_name):
        assert "Test" in names.common_name(name)
        assert names.name_text(name).endswith("O=NDES Lab (test only)")


def test_locations_follow_the_url_and_the_names() -> None:
    settings = PkiSettings(
        public_url="https://pki.lab.example/base/",
        issuing_common_name="Corp CA",
        ocsp={"url": "http://o.lab.example"},
    )
    found = settings.issuing_locations
    assert found.crl_urls == ("https://pki.lab.example/base/CertEnroll/Corp%20CA.crl",)
    assert found.delta_crl_urls == ("https://pki.lab.example/base/CertEnroll/Corp%20CA+.crl",)
    assert found.ca_issuers_urls == ("https://pki.lab.example/base/CertEnroll/pki.lab.example_Corp%20CA.crt",)
    assert found.certificate_file == "pki.lab.example_Corp CA.crt"
    assert found.ocsp_urls == ("http://o.lab.example",)
    assert settings.root_locations.ocsp_urls == ()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("Corp Issuing CA", "Corp Issuing CA"),
        ("../../etc/x", "!002e.!002f..!002fetc!002fx"),
        ("a:b*c?", "a!003ab!002ac!003f"),
        ("Ünal 😀", "!00dcnal !d83d!de00"),
        ("100%!", "100!0025!0021"),
    ],
)
def test_file_names_are_sanitized_and_stay_apart(name: str, file: str) -> None:
    assert sanitized_name(name) == file
    locations = PkiSettings(issuing_common_name=name).issuing_locations
    assert "/" not in locations.crl_file
    assert locations.crl_urls[0].isascii()


@pytest.mark.parametrize(
    "wrong",
    [
        {"public_url": "ftp://x"},
        {"public_url": "http://x/?a"},
        {"public_url": "http://x/a b"},
        {"public_url": "http://user:secretive@x/"},
        {"root_common_name": ""},
        {"root_common_name": "x" * 65},
        {"root_common_name": "a\nb"},
        {"distinguished_name_suffix": "Nonsense=1"},
        {"root_common_name": "Same", "issuing_common_name": "SAME"},
        {"ra_key": "ecdsa-p256"},
        {"root_key": "rsa-1024"},
        {"root_validity": "0 Years"},
        {"root_validity": 5},
        {"crl_period": "sometimes"},
        {"key_passphrase": "short"},
        {"virtual_directory": "CertEnroll/../x"},
        {"virtual_directory": "/.."},
        {"public_url": "ftp://user:secretive@x/"},
        {"public_url": "http://x:99999"},
        {"public_url": "http://x:eighty"},
        {"public_url": "http://x:0"},
        {"server_dns_name": ".hidden"},
        {"crl_period": "101 Years"},
        {"crl_overlap": "999999999 Years"},
        {"root_crl_period": "999999999 Weeks"},
        {"ocsp": {"validity": "999999999 Years"}},
        {"retention": {"challenges": "999999999 Days"}},
        {"nonsense": 1},
    ],
)
def test_impossible_settings_are_refused_without_showing_secrets(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        PkiSettings.model_validate(wrong)
    for secret in ("short'", "secretive"):
        assert secret not in str(caught.value)


def test_settings_read_and_write_plain_values() -> None:
    settings = PkiSettings.model_validate({"crl_period": "2 days", "root_key": "rsa-4096"})
    dumped = settings.model_dump(mode="json")
    assert (dumped["crl_period"], dumped["root_key"]) == ("2 Days", "rsa-4096")
    assert PkiSettings.model_validate(dumped) == settings
    assert settings.crl_schedule.period == timedelta(days=2)
    assert "hidden" not in repr(PkiSettings(key_passphrase="hidden hidden"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("1 Years", datetime(2025, 2, 28, 23, 59, 59, tzinfo=UTC)),
        ("4 years", datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC)),
        ("11 Months", datetime(2025, 1, 29, 23, 59, 59, tzinfo=UTC)),
        ("12 month", datetime(2025, 2, 28, 23, 59, 59, tzinfo=UTC)),
        ("2 Weeks", AT + timedelta(days=14)),
        ("36 hours", AT + timedelta(hours=36)),
        ("90Minutes", AT + timedelta(minutes=90)),
        ("1 second", AT + timedelta(seconds=1)),
        ("999999999 Years", datetime.max.replace(tzinfo=UTC, microsecond=0)),
        ("999999999 Weeks", datetime.max.replace(tzinfo=UTC, microsecond=0)),
    ],
)
def test_periods_end_where_the_calendar_says(text: str, after: datetime) -> None:
    assert Period.parse(text).after(AT) == after


@pytest.mark.parametrize(
    "text", ["", "years", "1", "-1 Years", "1.5 Years", "1 Fortnight", "1e3 Days", "1 Years x"]
)
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a period"):
        Period.parse(text)


def test_a_period_writes_what_it_reads() -> None:
    for text in ("2 Years", "6 Weeks", "0 Hours"):
        assert str(Period.parse(text)) == text
    assert Period.parse("2 Years").about() == timedelta(days=730)
    assert Period.parse("999999999 Years").about() == timedelta.max


def test_certificates_name_the_responder_beside_the_crls_unless_it_is_off() -> None:
    url = "http://pki.lab.example:8081"
    assert PkiSettings(public_url=url).issuing_locations.ocsp_urls == (f"{url}/ocsp",)
    assert PkiSettings(public_url=url, ocsp={"enabled": False}).issuing_locations.ocsp_urls == ()
