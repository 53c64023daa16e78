"""Names: text judged by `cryptography` and openssl, comparison by RFC 5280 7.1."""

from __future__ import annotations

import contextlib

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from ca import der, names


def _attribute(dotted: str, tag: int, content: bytes) -> bytes:
    return der.sequence(der.oid(dotted), der.tlv(tag, content))


def _name(*rdns: bytes) -> bytes:
    return der.sequence(*(der.set_in_order([rdn]) for rdn in rdns))


@pytest.mark.parametrize(
    "text",
    [
        "CN=device-1,OU=Lab,O=Example,C=US",
        r"CN=Last\, First,O=a\+b",
        r"CN=\#hash,O=\ lead and trail\ ",
        "CN=a+OU=b,DC=example,DC=org",
        "CN=größer ✓,UID=x",
        "",
    ],
)
def test_builds_the_name_that_cryptography_builds(text: str) -> None:
    expected = x509.Name.from_rfc4514_string(text)
    built = names.build_name(text)
    assert names.same_name(built, expected.public_bytes())
    assert names.same_name(names.build_name(names.name_text(built)), expected.public_bytes())


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), min_size=1, max_size=5
    )
)
def test_text_reads_back_to_the_same_values(values: list[str]) -> None:
    name = der.sequence(
        *(der.set_of([der.sequence(der.oid("2.5.4.11"), der.utf8_string(value))]) for value in values)
    )
    text = names.name_text(name)
    assert text.isprintable()
    assert [attribute.text for attribute in names.attributes(names.build_name(text))] == values


@given(st.binary(max_size=120))
def test_reading_any_octets_raises_nothing_but_bad_name(octets: bytes) -> None:
    for name in (octets, der.sequence(octets), _name(octets)):
        with contextlib.suppress(names.BadName):
            names.name_text(name)


@pytest.mark.parametrize("text", ["CN", "CN=a,", "=x", "Nonsense=1", "CN=a<b", r"CN=\C3", "CN=#30", "CN=a\\"])
def test_refuses_text_that_is_no_name(text: str) -> None:
    with pytest.raises(names.BadName):
        names.build_name(text)


def test_hostile_text_is_refused_without_backtracking_for_ever() -> None:
    for text in (
        "CN=" + " " * 200_000 + "<",
        "CN=" + "a " * 200_000 + "<",
        "CN" + " " * 200_000,
        '"' * 200_000,
    ):
        with pytest.raises(names.BadName):
            names.build_name(text)


@pytest.mark.parametrize(
    ("tag", "content", "text"),
    [
        (der.PRINTABLE_STRING, "zoë@x".encode(), "zoë@x"),
        (der.T61_STRING, b"zo\xeb", "zoë"),
        (der.BMP_STRING, "zoë".encode("utf-16-be"), "zoë"),
        (der.UNIVERSAL_STRING, "zoë".encode("utf-32-be"), "zoë"),
        (der.NUMERIC_STRING, b"12 3", "12 3"),
        (der.IA5_STRING, b"a@b", "a@b"),
    ],
)
def test_every_string_type_is_read(tag: int, content: bytes, text: str) -> None:
    assert names.values_of(_name(_attribute("2.5.4.3", tag, content)), "2.5.4.3") == (text,)


def test_bmp_string_cut_off_is_no_name() -> None:
    with pytest.raises(names.BadName, match="cut off"):
        names.read_name(_name(_attribute("2.5.4.3", der.BMP_STRING, b"\x00a\x00")))


def test_control_and_direction_characters_do_not_reach_the_terminal() -> None:
    text = names.name_text(_name(_attribute("2.5.4.3", der.UTF8_STRING, "a\r\n\x1b[31m\u202eb\x00".encode())))
    assert text == r"CN=a\0D\0A\1B[31m\E2\80\AEb\00"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("CN=Device 1,O=X", "CN=device  1,O=x", True),
        ("CN=Device 1,O=X", "O=X,CN=Device 1", False),
        ("CN=a+OU=b", "OU=b+CN=a", True),
        ("CN=a+OU=b", "CN=a,OU=b", False),
        ("CN=a", "CN=a,CN=a", False),
        ("CN=ﬁ", "CN=FI", True),
    ],
)
def test_comparison_follows_rfc_5280_7_1(one: str, other: str, same: bool) -> None:
    assert names.same_name(names.build_name(one), names.build_name(other)) is same
    assert names.same_text(one, other) is same


def test_string_type_does_not_count_when_comparing() -> None:
    printable = _name(_attribute("2.5.4.3", der.PRINTABLE_STRING, b"Lab"))
    for tag, content in ((der.UTF8_STRING, b"LAB"), (der.BMP_STRING, b"\0L\0a\0b"), (der.T61_STRING, b"lab")):
        assert names.same_name(printable, _name(_attribute("2.5.4.3", tag, content)))


def test_only_values_outside_their_own_repertoire_are_retyped() -> None:
    good = _name(
        _attribute("2.5.4.3", der.T61_STRING, b"zo\xeb"), _attribute("2.5.4.6", der.PRINTABLE_STRING, b"US")
    )
    assert names.well_formed(good, names.read_name(good)) is good
    bad = _name(
        _attribute("2.5.4.3", der.PRINTABLE_STRING, b"me@x"),
        _attribute("2.5.4.6", der.PRINTABLE_STRING, b"US"),
    )
    repaired = names.well_formed(bad, names.read_name(bad))
    assert repaired == _name(
        _attribute("2.5.4.3", der.UTF8_STRING, b"me@x"), _attribute("2.5.4.6", der.PRINTABLE_STRING, b"US")
    )
    assert names.same_name(bad, repaired)


def test_common_name_is_the_most_specific_one() -> None:
    assert names.common_name(names.build_name("CN=leaf,CN=container,O=x")) == "leaf"
    assert names.common_name(names.build_name("O=x")) == "O=x"
