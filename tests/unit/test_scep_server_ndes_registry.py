"""NDES's settings, from and to registry exports as regedit writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scep_server.ndes.regfile import RegFileError, RegKey, parse_reg, write_reg
from scep_server.ndes.registry import MSCEP_KEY, NdesRegistry, export_registry, import_registry

EXPORT = "\r\n".join(
    [
        "Windows Registry Editor Version 5.00",
        "",
        rf"[{MSCEP_KEY}]",
        '"SignatureTemplate"="DeviceAuth"',
        '"EncryptionTemplate"="DeviceAuth"',
        '"GeneralPurposeTemplate"="IPSECIntermediateOffline"',
        "",
        rf"[{MSCEP_KEY}\CAInfo]",
        '"Configuration"="ca01.corp.local\\\\Corp Issuing CA"',
        "",
        rf"[{MSCEP_KEY}\EncryptedPassword]",
        '"EncryptedPassword"=hex:01,00,00,00,d0,8c,\\',
        "  9d,df,01",
        "",
        rf"[{MSCEP_KEY}\EnforcePassword]",
        '"EnforcePassword"=dword:00000001',
        "",
        rf"[{MSCEP_KEY}\PasswordMax]",
        '"PasswordMax"=dword:00000064',
        "",
        rf"[{MSCEP_KEY}\PasswordValidity]",
        '"PasswordValidity"=dword:0000001e',
        "; a comment",
        "",
    ]
)


def as_regedit_writes(text: str) -> bytes:
    return ("\ufeff" + text).encode("utf-16-le")


@pytest.mark.parametrize("encode", [as_regedit_writes, str.encode], ids=["utf-16", "utf-8"])
def test_a_servers_export_gives_its_settings(encode) -> None:
    taken = import_registry(parse_reg(encode(EXPORT)))
    assert taken.registry.PasswordMax == 100
    assert taken.registry.PasswordValidity == 30
    assert taken.registry.SignatureTemplate == "DeviceAuth"
    assert taken.registry.GeneralPurposeTemplate == "IPSECIntermediateOffline"
    assert taken.registry.PasswordLength == 8
    assert set(taken.taken) == {
        "SignatureTemplate",
        "EncryptionTemplate",
        "GeneralPurposeTemplate",
        "EnforcePassword",
        "PasswordMax",
        "PasswordValidity",
    }


def test_values_without_effect_are_named() -> None:
    notes = "\n".join(import_registry(parse_reg(EXPORT.encode())).notes)
    assert "Configuration has no effect here" in notes
    assert "EncryptedPassword has no effect here" in notes


def test_a_value_in_the_wrong_key_is_named_and_left_out() -> None:
    text = f'Windows Registry Editor Version 5.00\n\n[{MSCEP_KEY}]\n"PasswordMax"=dword:00000007\n'
    taken = import_registry(parse_reg(text.encode()))
    assert taken.registry.PasswordMax == 5
    assert "where NDES does not look for it" in taken.notes[0]


def test_octets_and_continued_lines_are_joined() -> None:
    keys = parse_reg(EXPORT.encode())
    data = next(key.value("encryptedpassword") for key in keys if key.path.endswith("EncryptedPassword"))
    assert data == bytes.fromhex("01000000d08c9ddf01")


@given(
    st.builds(
        NdesRegistry,
        PasswordMax=st.integers(1, 100_000),
        PasswordValidity=st.integers(1, 525_600),
        PasswordLength=st.integers(1, 512),
        EnforcePassword=st.integers(0, 1),
        UseSinglePassword=st.integers(0, 1),
        SignatureTemplate=st.text(
            st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=64
        ),
    )
)
def test_what_is_exported_comes_back(registry: NdesRegistry) -> None:
    taken = import_registry(parse_reg(write_reg(export_registry(registry))))
    assert taken.registry == registry
    assert taken.notes == ()


def test_export_has_regedits_shape() -> None:
    text = write_reg(export_registry(NdesRegistry())).decode("utf-16")
    assert text.startswith("Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\")
    assert "[" + MSCEP_KEY + '\\PasswordMax]\r\n"PasswordMax"=dword:00000005\r\n' in text
    assert '"SignatureTemplate"="SCEP-Client-Auth"' in text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1 is"),
        ("[HKLM]", "line 1 is"),
        ("REGEDIT4\n\nPasswordMax=5", "line 3 is no key, value or comment"),
        (f'REGEDIT4\n[{MSCEP_KEY}]\n"A"=dword:xyz', "dword of 'xyz'"),
        (f'REGEDIT4\n[{MSCEP_KEY}]\n"A"=hex:0g', "hex octets"),
        (f'REGEDIT4\n[{MSCEP_KEY}]\n"A"=qword:1', 'no "text", dword: or hex:'),
        (f"REGEDIT4\n[-{MSCEP_KEY}]", "deletes a key"),
        (f"REGEDIT4\n[{MSCEP_KEY}", "does not close it"),
        ("REGEDIT4\n[HKEY_CURRENT_USER\\X]\n", "has no key"),
        (f'REGEDIT4\n[{MSCEP_KEY}\\PasswordMax]\n"PasswordMax"="five"', "PasswordMax"),
        (f'REGEDIT4\n[{MSCEP_KEY}\\PasswordMax]\n"PasswordMax"=dword:0', "greater than or equal to 1"),
    ],
)
def test_what_is_no_export_is_refused_with_the_line_and_the_cure(text: str, says: str) -> None:
    with pytest.raises(RegFileError) as caught:
        import_registry(parse_reg(text.encode()))
    assert says in str(caught.value)


def test_multi_strings_and_default_values_survive() -> None:
    key = RegKey(path="HKEY_LOCAL_MACHINE\\X", values={"": "d", "List": ("a", "b"), "Bin": b"\x00\xff"})
    (back,) = parse_reg(write_reg([key]))
    assert back == RegKey(path=key.path, values=dict(key.values))
