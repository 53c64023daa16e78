"""Publication URLs as AD CS writes them; expected texts are those of certutil's own output."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ca.locations import PublicationLocations
from ca.publication_urls import CertificateFlag, CrlFlag, PublicationLine, PublicationTokens, truncated_name
from ca.settings import PkiSettings

TOKENS = PublicationTokens(
    server_dns_name="ca01.corp.local",
    ca_name="Corp Issuing CA",
    configuration_container="CN=Configuration,DC=corp,DC=local",
)
RENEWED = PublicationTokens(
    server_dns_name="ca01.corp.local", ca_name="Corp Issuing CA", key_index=1, certificate_index=1
)
LDAP = "79:ldap:///CN=%7%8,CN=%2,CN=CDP,CN=Public Key Services,CN=Services,%6%10"


def line(text: str) -> PublicationLine:
    return PublicationLine.parse(text, known=CrlFlag)


def test_default_line_of_ad_cs_names_files_for_keys_and_deltas() -> None:
    local = line(r"65:C:\Windows\system32\CertSrv\CertEnroll\%3%8%9.crl")
    names = [local.file_name(tokens, delta=delta) for tokens in (TOKENS, RENEWED) for delta in (False, True)]
    assert names == [
        "Corp Issuing CA.crl",
        "Corp Issuing CA+.crl",
        "Corp Issuing CA(1).crl",
        "Corp Issuing CA(1)+.crl",
    ]
    assert local.flags == CrlFlag.PUBLISH_BASE | CrlFlag.PUBLISH_DELTA


def test_ldap_line_expands_as_in_a_certificate_of_ad_cs() -> None:
    assert line(LDAP).url(TOKENS) == (
        "ldap:///CN=Corp%20Issuing%20CA,CN=CA01,CN=CDP,CN=Public%20Key%20Services,CN=Services,"
        "CN=Configuration,DC=corp,DC=local"
        "?certificateRevocationList?base?objectClass=cRLDistributionPoint"
    )
    assert "CN=Corp%20Issuing%20CA(1),CN=CA01" in line(LDAP).url(RENEWED)
    assert (
        line(LDAP)
        .url(TOKENS, delta=True)
        .endswith("?deltaRevocationList?base?objectClass=cRLDistributionPoint")
    )
    issuers = PublicationLine.parse(
        "2:ldap:///CN=%7,CN=AIA,CN=Public Key Services,CN=Services,%6%11", known=CertificateFlag
    )
    assert issuers.url(TOKENS).endswith("?cACertificate?base?objectClass=certificationAuthority")


@pytest.mark.parametrize(
    ("key", "certificate", "crl_suffix", "certificate_suffix"),
    [(0, 0, "", ""), (1, 1, "(1)", "(1)"), (0, 1, "", "(0-1)"), (1, 2, "(1)", "(1-2)")],
)
def test_renewal_shows_in_both_suffixes(
    key: int, certificate: int, crl_suffix: str, certificate_suffix: str
) -> None:
    tokens = PublicationTokens(server_dns_name="a", ca_name="A", key_index=key, certificate_index=certificate)
    assert (tokens.crl_suffix, tokens.certificate_suffix) == (crl_suffix, certificate_suffix)


def test_per_cent_signs_are_written_twice_and_names_are_encoded() -> None:
    strange = PublicationTokens(server_dns_name="10.0.0.1", ca_name="50% & more")
    assert line("3:http://%1/a%%20b/%3.crl").url(strange) == "http://10.0.0.1/a%20b/50%25%20%26%20more.crl"
    assert line("1:x/%%%3.crl").file_name(strange) == "%50% & more.crl"
    assert strange.values(delta=False)[2] == "10.0.0.1"


def test_long_names_are_truncated_and_told_apart() -> None:
    assert truncated_name("x" * 32) == "x" * 32
    one, two = truncated_name("x" * 33), truncated_name("x" * 34)
    assert one != two
    assert (one[:33], len(one)) == ("x" * 32 + "-", 38)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http://a/%3.crl", "is not a publication URL"),
        ("79:", "is not a publication URL"),
        ("16:http://a/%3.crl", "flags 16, known are 1 PUBLISH_BASE"),
        ("2:http://a/%12.crl", "%12, expected %1 to %11"),
        ("2:http://a/%0.crl", "%0, expected"),
        ("2:http://a/%x.crl", "%, expected"),
        ("2:http://\u00fc/%3.crl", "characters that no URL has"),
    ],
)
def test_refuses_lines_that_ad_cs_could_not_have_written(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        line(text)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"crl_publication_urls": ("2:http://%1/%3%8%9.crl",)}, "publish as none, expected one name"),
        ({"crl_publication_urls": ("1:a\\%3%8.crl", "1:b\\x%3%8.crl")}, "expected one name"),
        ({"crl_publication_urls": ("65:a\\%3%9.crl",)}, "%8 is missing"),
        ({"crl_publication_urls": ("65:a\\%3%8.crl",)}, "%9.crl ends the name"),
        ({"crl_publication_urls": ("65:a\\ca%8%9.crl",)}, "%3 is missing"),
        ({"crl_publication_urls": ("79:a\\%3%8%9.crl",)}, "it is no URL"),
        ({"crl_publication_urls": ("65:a\\%3%8%9.txt",)}, "expected a name with .crl"),
        ({"ca_cert_publication_urls": ("1:a\\%1_%3.crt",)}, "%4 is missing"),
        ({"ca_cert_publication_urls": ("64:http://%1/%3%4.crt",)}, "flags 64"),
    ],
)
def test_refuses_settings_whose_files_would_not_be_told_apart(
    settings: dict[str, tuple[str, ...]], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        PkiSettings.model_validate(settings)


def test_every_flag_puts_its_line_where_it_belongs() -> None:
    settings = PkiSettings(
        server_dns_name="ca01.corp.local",
        issuing_common_name="Corp CA",
        ocsp={"enabled": False},  # type: ignore[arg-type]
        crl_publication_urls=(
            "65:C:\\CertEnroll\\%3%8%9.crl",
            "2:http://cdp/%3%8%9.crl",
            "4:http://freshest/%3%8%9.crl",
            "8:http://places/%3%8%9.crl",
            "128:http://scope/%3%8%9.crl",
        ),
        ca_cert_publication_urls=(
            "1:C:\\CertEnroll\\%1_%3%4.crt",
            "2:http://aia/%1_%3%4.crt",
            "32:http://ocsp/ask",
        ),
    )
    assert PublicationLocations.of(settings, "Corp CA", ocsp=True, key_index=3, certificate_index=3) == (
        PublicationLocations(
            crl_file="Corp CA(3).crl",
            delta_crl_file="Corp CA(3)+.crl",
            certificate_file="ca01.corp.local_Corp CA(3).crt",
            crl_urls=("http://cdp/Corp%20CA(3).crl",),
            delta_crl_urls=("http://freshest/Corp%20CA(3)+.crl",),
            ca_issuers_urls=("http://aia/ca01.corp.local_Corp%20CA(3).crt",),
            ocsp_urls=("http://ocsp/ask",),
            published_crl_urls=("http://places/Corp%20CA(3).crl",),
            published_delta_crl_urls=("http://places/Corp%20CA(3)+.crl",),
            distribution_point_urls=("http://scope/Corp%20CA(3).crl",),
            publishes_deltas=True,
        )
    )
