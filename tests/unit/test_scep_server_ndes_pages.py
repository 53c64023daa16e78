"""The pages of NDES, read the way the clients in the field read them."""

from __future__ import annotations

import re

import pytest

from scep_server.ndes.pages import (
    PasswordPage,
    cache_full_page,
    encode_page,
    grouped_thumbprint,
    information_page,
    no_permission_page,
    password_page,
)

ROOT_MD5 = "a656fa66ab12b433a2da5cf7cc153d9a"
PASSWORD = "8CE317021F690069"


def captured() -> str:
    return password_page(PasswordPage(root_md5=ROOT_MD5, password=PASSWORD))


def test_password_page_has_the_length_of_the_captured_one() -> None:
    assert len(captured()) == 1251


def test_password_page_is_one_line_without_doctype() -> None:
    assert captured().startswith("<HTML><Head><Meta ")
    assert "\n" not in captured()


@pytest.mark.parametrize("byte_order_mark", [False, True])
def test_fleets_expression_finds_the_password(byte_order_mark: bool) -> None:
    octets = encode_page(captured(), byte_order_mark=byte_order_mark)
    text = octets.decode("utf-16" if byte_order_mark else "utf-16-le")
    assert re.findall(r"(?i)The enrollment challenge password is: <B> (\S*)", text) == [PASSWORD]


def test_first_run_of_hex_digits_of_the_passwords_length_is_the_password() -> None:
    found = re.search(r"[A-F0-9]{16}", captured())
    assert found is not None
    assert found.group() == PASSWORD


def test_meta_says_utf_8_though_the_octets_are_utf_16() -> None:
    octets = encode_page(captured())
    assert octets[:12] == b"<\0H\0T\0M\0L\0>\0"
    assert "charset=UTF-8" in octets.decode("utf-16-le")


def test_quoted_parameters_follow_the_settings() -> None:
    assert "expire within 7 minutes" in password_page(
        PasswordPage(root_md5=ROOT_MD5, password=PASSWORD, validity_minutes=7)
    )
    full = cache_full_page(password_max=12, validity_minutes=7)
    assert "cache more than 12 passwords" in full
    assert "stored for 7 minutes" in full


def test_refusals_hold_the_sentences_that_clients_look_for() -> None:
    assert "The password cache is full." in cache_full_page(password_max=5, validity_minutes=60)
    assert (
        "You do not have sufficient permission to enroll with SCEP.  Please contact" in no_permission_page()
    )


def test_single_password_page_promises_reuse_and_no_password_page_has_none() -> None:
    single = password_page(PasswordPage(root_md5=ROOT_MD5, password=PASSWORD, mode="single"))
    assert "multiple times" in single
    assert PASSWORD in single
    free = password_page(PasswordPage(root_md5=ROOT_MD5, password=None, mode="none"))
    assert "challenge password is: " not in free


def test_information_page_escapes_and_links_the_admin_url() -> None:
    page = information_page(admin_url="http://ndes.example/CertSrv/mscep_admin?a=1&b=<x>")
    assert '<A HREF="http://ndes.example/CertSrv/mscep_admin?a=1&amp;b=&lt;x&gt;">' in page


def test_thumbprint_comes_in_four_groups_of_eight() -> None:
    assert grouped_thumbprint(ROOT_MD5) == "A656FA66 AB12B433 A2DA5CF7 CC153D9A"
