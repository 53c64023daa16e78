"""Paths, queries and the many spellings of Base64 that clients send."""

from __future__ import annotations

import base64
import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scep_server.exchange import Operation
from scep_server.transport import BadQuery, Router, decode_message, read_query

# has + and / in Base64, and needs two padding characters
OCTETS = bytes(range(256)) + b"\xfb\xff\xfe" * 20 + b"\x3e"
PLAIN = base64.b64encode(OCTETS).decode()


def _lines(end: str) -> str:
    return "".join(PLAIN[at : at + 64] + end for at in range(0, len(PLAIN), 64))


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/scep", "default"),
        ("/scep/", "default"),
        ("/scep/pkiclient.exe", "default"),
        ("/SCEP/PkiClient.EXE", "default"),
        ("/scep/cgi-bin/pkiclient.exe", "default"),
        ("/scep/mscep.dll/pkiclient.exe", "default"),
        ("/certsrv/mscep", "default"),
        ("/certsrv/mscep/", "default"),
        ("/CertSrv/mscep/mscep.dll", "default"),
        ("/certsrv/mscep/mscep.dll/pkiclient.exe", "default"),
        ("/certsrv/mscep/mscep.dll/pkiclient.exe/", "default"),
        ("/cgi-bin/pkiclient.exe", "default"),
        ("/scep/Printers", "Printers"),
        ("/scep/printers/pkiclient.exe", "Printers"),
        ("/scep/printers/cgi-bin/pkiclient.exe", "Printers"),
        ("/scep/printers/mscep.dll/", "Printers"),
    ],
)
def test_finds_the_endpoint_of_every_path_clients_make_of_an_url(path: str, endpoint: str) -> None:
    assert Router(["default", "Printers"]).endpoint(path) == endpoint


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//",
        "/scep//",
        "//scep",
        "/scep/nobody",
        "/scep/printers/../default",
        "/scep/../../admin",
        "/scep/printers/..",
        "/scep/printers/\x00",
        "/scep/printers/\xc0\xae\xc0\xae",
        "/scep/printers/a/b/c/d/e",
        "/scep/printers/" + "a" * 65,
        "/scepx",
        "/certsrv",
        "/certsrv/mscep_admin",
        "/cgi-bin",
        "/cgi-bin/other.exe",
        "/pkiclient.exe",
    ],
)
def test_knows_no_endpoint_at_other_paths(path: str) -> None:
    assert Router(["default", "Printers"]).endpoint(path) is None


def test_takes_parameters_in_any_order_and_ignores_unknown_ones() -> None:
    query = read_query("message=AA%3D%3D&x=1&operation=PKIOperation&x=2")
    assert query.operation is Operation.PKI_OPERATION
    assert query.message == "AA%3D%3D"


@pytest.mark.parametrize("value", ["getcacert", "GETCACERT", "GetCACert"])
def test_takes_the_operation_in_any_case(value: str) -> None:
    assert read_query(f"operation={value}").operation is Operation.GET_CA_CERT


@pytest.mark.parametrize(
    "query",
    [
        "",
        "&&",
        "operation",
        "operation=",
        "operation=GetCAChain",
        "operation=../x",
        "operation=GetCACert%20",
        "operation=" + "x" * 10_000,
        "OPERATION=GetCACert",
        "Operation=GetCACert",
        "operation=GetCACert&operation=PKIOperation",
        "operation=GetCACert&operation=GetCACert",
        "operation=PKIOperation&message=AA&message=AA",
    ],
)
def test_refuses_absent_unknown_and_doubled_parameters(query: str) -> None:
    with pytest.raises(BadQuery, match=r"RFC 8894 4\.1"):
        read_query(query)


@pytest.mark.parametrize(
    "raw",
    [
        quote(PLAIN, safe=""),
        PLAIN,
        PLAIN.replace("+", " "),
        PLAIN.replace("+", "%20"),
        PLAIN.replace("+", "-").replace("/", "_"),
        quote(PLAIN.replace("+", "-").replace("/", "_"), safe=""),
        quote(_lines("\n"), safe="/="),
        quote(_lines("\r\n"), safe=""),
        PLAIN.rstrip("="),
        PLAIN[:-1],
        PLAIN + "%0A",
        PLAIN.replace("=", "%3D") + "%0A",
        quote(quote(PLAIN, safe=""), safe=""),
        quote(quote(_lines("\n"), safe=""), safe=""),
    ],
    ids=[
        "escaped",
        "nothing escaped (jscep)",
        "spaces for plus (macOS)",
        "escaped spaces",
        "base64url (scepclient)",
        "base64url escaped",
        "LF lines (sscep)",
        "CRLF lines (Cisco)",
        "no padding",
        "half the padding",
        "trailing LF",
        "trailing escaped padding and LF",
        "escaped twice (proxies)",
        "lines escaped twice",
    ],
)
def test_decodes_every_spelling_of_base64_clients_send(raw: str) -> None:
    assert decode_message(raw) == OCTETS


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "",
        "%0A",
        "=",
        "%3D%3D",
        "A",
        "AAAAA",
        "MII*AAAA",
        "MII%00AAA",
        "MII\xe4AAAA",
        "MIIA%zzAA",
        "QUJ=",  # trailing bits set
        "QQ==QUJD",  # octets after the padding
        "QQ===",
        "Q=Q=",
    ],
)
def test_refuses_what_is_not_the_one_base64_of_some_octets(raw: str | None) -> None:
    with pytest.raises(BadQuery):
        decode_message(raw)


@given(st.binary(min_size=1, max_size=200))
def test_decodes_what_any_encoder_writes(octets: bytes) -> None:
    assert decode_message(quote(base64.b64encode(octets).decode(), safe="")) == octets


@given(st.text(alphabet=string.printable + "%\xff", max_size=80))
def test_decodes_or_refuses_and_does_nothing_else(raw: str) -> None:
    try:
        assert decode_message(raw)
    except BadQuery:
        return
