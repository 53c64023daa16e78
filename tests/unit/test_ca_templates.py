"""Templates: the built-in ones are AD CS's, the user's overlay them, and mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from ca import oids
from ca.errors import UnsupportedCertType
from ca.extensions import GeneralName, KeyUsage
from ca.periods import Period
from ca.public_keys import KeyAlgorithm
from ca.templates import BadTemplate, TemplateSet, permitted, read_template

GOOD = """
display_name = "Mine"
oid = "1.2.3"
schema_version = 2
subject_type = "user"
[extensions]
key_usage = ["digitalSignature"]
application_policies = ["Client Authentication", "1.3.6.1.5.5.7.3.4"]
"""


def read(text: str) -> object:
    return read_template("Mine", text, "templates/Mine.toml")


@pytest.mark.parametrize(
    ("name", "version", "purpose", "usages", "validity", "enroll"),
    [
        (
            "IPSECIntermediateOffline",
            (1, 7, 1),
            oids.IPSEC_IKE_INTERMEDIATE,
            0xA0,
            "2 Years",
            "Authenticated Users",
        ),
        (
            "EnrollmentAgentOffline",
            (1, 4, 1),
            oids.CERTIFICATE_REQUEST_AGENT,
            0x80,
            "2 Years",
            "Domain Admins",
        ),
        ("CEPEncryption", (1, 4, 1), oids.CERTIFICATE_REQUEST_AGENT, 0x20, "2 Years", "Domain Admins"),
        ("WebServer", (1, 4, 1), oids.SERVER_AUTH, 0xA0, "2 Years", "Domain Admins"),
        ("OCSPResponseSigning", (3, 101, 0), oids.OCSP_SIGNING, 0x80, "2 Weeks", "Domain Admins"),
        ("SCEP-Client-Auth", (2, 100, 2), oids.CLIENT_AUTH, 0xA0, "1 Years", "Authenticated Users"),
    ],
)
def test_built_in_templates_are_those_of_ad_cs(
    name: str, version: tuple[int, int, int], purpose: str, usages: int, validity: str, enroll: str
) -> None:
    template = TemplateSet.load().published(name)
    assert (template.schema_version, template.revision, template.minor_revision) == version
    assert template.extensions.application_policies == (purpose,)
    assert sum(0x80 >> usage.value for usage in template.extensions.key_usage) == usages
    assert template.validity_period == Period.parse(validity)
    assert template.security.enroll[0] == enroll
    assert template.cryptography.minimal_key_size == 2048
    assert template.subject_name.enrollee_supplies_subject is (name != "OCSPResponseSigning")
    assert template.extensions.ocsp_no_check is (name == "OCSPResponseSigning")


def test_names_are_found_in_any_case_and_unknown_ones_are_refused() -> None:
    templates = TemplateSet.load()
    assert templates.published("webserver").name == "WebServer"
    assert templates.find("nothing") is None
    with pytest.raises(UnsupportedCertType, match="not known"):
        templates.published("nothing")


def test_a_set_can_have_another_template_in_place_of_one_and_is_itself_unchanged() -> None:
    first = TemplateSet.load()
    template = first.published("WebServer")
    second = first.having(template.model_copy(update={"published": False}))
    assert first.published("webserver") is template
    with pytest.raises(UnsupportedCertType):
        second.published("WebServer")
    assert len(list(first)) == len(list(second))


def test_a_users_file_replaces_the_built_in_and_may_unpublish_it(tmp_path: Path) -> None:
    (tmp_path / "webserver.toml").write_text(GOOD.replace('"user"', '"user"\npublished = false'))
    (tmp_path / "Mine.toml").write_text(GOOD)
    templates = TemplateSet.load(tmp_path)
    assert templates.published("Mine").extensions.application_policies[1] == "1.3.6.1.5.5.7.3.4"
    with pytest.raises(UnsupportedCertType, match="not published"):
        templates.published("WebServer")
    assert len(list(templates)) == 7
    assert len(list(TemplateSet.load(tmp_path / "absent"))) == 6


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (GOOD + "nonsense = 1", ["extensions.nonsense", "unknown key", "key_usage", "ocsp_no_check"]),
        ("nonsense = 1\n" + GOOD, ["nonsense", "unknown key", "display_name", "schema_version"]),
        (GOOD + "[cryptography]\nsize = 1", ["cryptography.size", "unknown key", "minimal_key_size"]),
        (GOOD.replace('display_name = "Mine"', ""), ["display_name", "required"]),
        (GOOD.replace("Client Authentication", "Clients"), ["Clients", "Client Authentication"]),
        (GOOD.replace("digitalSignature", "signing"), ["signing", "digitalSignature"]),
        (GOOD.replace("digitalSignature", "keyCertSign"), ["keyCertSign", "only a CA"]),
        (GOOD.replace('["digitalSignature"]', "[]"), ["extensions.key_usage"]),
        (GOOD.replace("1.2.3", "1.99.3"), ["1.99.3", "object identifier"]),
        (GOOD + 'from_request = ["2.5.29.15"]', ["2.5.29.15", "never taken"]),
        ('validity_period = "soon"\n' + GOOD, ["validity_period", "soon", "Weeks"]),
        ('renewal_period = "1 Years"\n' + GOOD, ["renewal_period", "CERTSRV_E_CERT_TYPE_OVERLAP"]),
        ('name = "Other"\n' + GOOD, ["name", "leave it out"]),
        (GOOD + '[subject_name.alternative_names]\nphone = ["*"]', ["phone", "dns", "upn"]),
        (
            GOOD.replace("digitalSignature", "keyEncipherment")
            + '[cryptography]\nkey_algorithms = ["RSA", "ECDSA_P256"]',
            ["key_algorithms", "encipher"],
        ),
        ("= 1", ["not TOML"]),
    ],
)
def test_mistakes_name_the_file_the_key_and_what_is_known(text: str, parts: list[str]) -> None:
    with pytest.raises(BadTemplate) as caught:
        read(text)
    message = str(caught.value)
    assert message.startswith("templates/Mine.toml: ")
    assert all(part in message for part in parts), message


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "Broken.toml").write_bytes(b"\xff")
    with pytest.raises(BadTemplate, match=r"Broken\.toml"):
        TemplateSet.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "granted"),
    [
        (GeneralName(2, b"", "A.Lab.Example"), True),
        (GeneralName(2, b"", "lab.example"), False),
        (GeneralName(2, b"", "secret.lab.example"), False),
        (GeneralName(2, b"", "*.lab.example"), False),
        (GeneralName(0, b"", "1.3.6.1.4.1.311.20.2.3=User@LAB.example"), True),
        (GeneralName(0, b"", "1.3.6.1.4.1.311.20.2.3=user@evil.example"), False),
        (GeneralName(0, b"", "1.2.3=user@lab.example"), False),
        (GeneralName(6, b"", "tag:microsoft.com,2022-09-14:sid:S-1-5"), False),
        (GeneralName(6, b"", "https://lab.example/"), True),
        (GeneralName(1, b"", "user@lab.example"), False),
    ],
)
def test_alternative_names_are_granted_by_kind_and_pattern(name: GeneralName, granted: bool) -> None:
    rules = """
[subject_name.alternative_names]
dns = ["*.lab.example", "!secret.*"]
upn = ["*@lab.example"]
uri = ["*"]
"""
    assert read_template("Mine", GOOD + rules, "x").subject_name.grants(name) is granted


def test_key_usage_follows_what_the_kind_of_key_can_do() -> None:
    template = TemplateSet.load().published("SCEP-Client-Auth")

    def usage(algorithm: KeyAlgorithm) -> bytes:
        return next(one.value for one in template.constant_extensions(algorithm) if one.oid == oids.KEY_USAGE)

    assert usage(KeyAlgorithm.RSA) == bytes.fromhex("030205a0")
    assert usage(KeyAlgorithm.ECDSA_P256) == bytes.fromhex("03020780")


def test_a_version_1_template_writes_its_name_and_no_application_policies() -> None:
    for template in TemplateSet.load():
        written = [one.oid for one in template.constant_extensions(KeyAlgorithm.RSA)]
        assert (oids.MS_TEMPLATE_NAME in written) is (template.schema_version == 1)
        assert (oids.MS_TEMPLATE in written) is (oids.MS_APPLICATION_POLICIES in written)
        assert written.count(oids.KEY_USAGE) == 1


def test_directory_attributes_are_those_of_ms_crtd() -> None:
    flags = """
[request_handling]
private_key_exportable = true
[issuance_requirements]
ca_certificate_manager_approval = true
reenrollment = "valid_existing_certificate"
"""
    found = read_template("Mine", GOOD + "basic_constraints = true" + flags, "x").directory_attributes()
    assert found["msPKI-Private-Key-Flag"] == 0x10
    assert found["msPKI-Enrollment-Flag"] == 0x8000 | 0x40 | 0x2
    assert found["msPKI-Certificate-Name-Flag"] == 0x1
    ocsp = TemplateSet.load().published("OCSPResponseSigning").directory_attributes()
    assert (ocsp["msPKI-Enrollment-Flag"], ocsp["flags"]) == (0x1000 | 0x4000, 0x40)
    assert ocsp["msPKI-Certificate-Name-Flag"] == 0x40000000


@pytest.mark.parametrize(
    ("principal", "principals", "allowed"),
    [
        ("Authenticated Users", ("Authenticated Users",), True),
        ("LAB\\device$", ("Authenticated Users",), True),
        ("", ("Authenticated Users",), False),
        (" ", ("Authenticated Users",), False),
        ("", ("Everyone",), True),
        ("lab\\NDES", ("LAB\\ndes",), True),
        ("other", ("LAB\\ndes", "Domain Admins"), False),
        ("other", (), False),
    ],
)
def test_permissions_are_compared_as_windows_does(
    principal: str, principals: tuple[str, ...], allowed: bool
) -> None:
    assert permitted(principal, principals) is allowed


def test_usages_are_known_by_their_rfc_names() -> None:
    assert {usage.rfc_name for usage in KeyUsage} >= {"digitalSignature", "decipherOnly"}
    assert KeyUsage(8) is KeyUsage.DECIPHER_ONLY
