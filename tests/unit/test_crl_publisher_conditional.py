"""Conditions and ranges, in the order of RFC 9110 13.2.2."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from flask import Response

from crl_publisher.conditional import Representation, respond

FILE = Representation(
    content=b"0123456789",
    media_type="application/pkix-crl",
    etag="abc",
    modified=datetime(2026, 3, 1, 12, tzinfo=UTC),
)
BEFORE, THEN, AFTER = (f"Sun, 01 Mar 2026 {time} GMT" for time in ("11:59:59", "12:00:00", "12:00:01"))


def ask(method: str = "GET", **headers: str) -> Response:
    return respond(
        {"REQUEST_METHOD": method, **{f"HTTP_{name.upper()}": text for name, text in headers.items()}}, FILE
    )


@pytest.mark.parametrize(
    ("wanted", "content", "content_range"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=4-4", b"4", "bytes 4-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=8-100", b"89", "bytes 8-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=-100", b"0123456789", "bytes 0-9/10"),
        ("BYTES = 1 - 2", b"12", "bytes 1-2/10"),
    ],
)
def test_a_part_is_a_206(wanted: str, content: bytes, content_range: str) -> None:
    reply = ask(range=wanted)
    assert (reply.status_code, reply.data) == (206, content)
    assert reply.headers["Content-Range"] == content_range
    assert reply.headers["Content-Length"] == str(len(content))
    assert reply.headers["Content-Type"] == "application/pkix-crl"
    assert reply.headers["ETag"] == '"abc"'


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=99999999-", "bytes=10-20", "bytes=-0"])
def test_a_part_that_is_not_there_is_a_416_which_tells_the_length(wanted: str) -> None:
    reply = ask(range=wanted)
    assert (reply.status_code, reply.data) == (416, b"")
    assert reply.headers["Content-Range"] == "bytes */10"


@pytest.mark.parametrize(
    "wanted",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=x-y",
        "bytes=5-2",
        "lines=0-1",
        "bytes=0-1,3-4",
        "bytes=" + "9" * 99,
    ],
)
def test_what_is_no_single_range_of_octets_gets_the_whole(wanted: str) -> None:
    reply = ask(range=wanted)
    assert (reply.status_code, reply.data) == (200, FILE.content)
    assert reply.headers["Accept-Ranges"] == "bytes"
    assert "Content-Range" not in reply.headers


def test_a_range_is_of_a_get_only() -> None:
    reply = ask("HEAD", range="bytes=0-3")
    assert reply.status_code == 200
    assert reply.headers["Content-Length"] == "10"


@pytest.mark.parametrize(
    ("validator", "status"),
    [
        ('"abc"', 206),
        ('W/"abc"', 200),  # RFC 9110 13.1.5: the comparison is strong
        ('"abd"', 200),
        (THEN, 206),
        (BEFORE, 200),
        (AFTER, 200),
        ("nonsense", 200),
    ],
)
def test_if_range_gives_the_part_of_the_same_file_only(validator: str, status: int) -> None:
    assert ask(range="bytes=0-3", if_range=validator).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if_none_match": '"abc"'}, 304),
        ({"if_none_match": 'W/"abc"'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"x", "abc"'}, 304),
        ({"if_none_match": '"x"'}, 200),
        ({"if_none_match": '"x"', "if_modified_since": AFTER}, 200),  # the tag outweighs the date
        ({"if_modified_since": THEN}, 304),
        ({"if_modified_since": AFTER}, 304),
        ({"if_modified_since": BEFORE}, 200),
        ({"if_modified_since": "yesterday"}, 200),
        ({"if_match": '"abc"'}, 200),
        ({"if_match": "*"}, 200),
        ({"if_match": 'W/"abc"'}, 412),
        ({"if_match": '"x"'}, 412),
        ({"if_match": '"x"', "if_none_match": '"abc"'}, 412),
        ({"if_unmodified_since": THEN}, 200),
        ({"if_unmodified_since": BEFORE}, 412),
        ({"if_match": '"abc"', "if_unmodified_since": BEFORE}, 200),
        ({"if_none_match": '"abc"', "range": "bytes=0-3"}, 304),  # the condition comes before the range
        ({"if_match": '"x"', "range": "bytes=99-"}, 412),
    ],
)
def test_conditions_count_in_their_order(headers: dict[str, str], status: int) -> None:
    for method in ("GET", "HEAD"):
        reply = ask(method, **headers)
        assert reply.status_code == status
        assert reply.headers["ETag"] == '"abc"'


def test_what_cannot_be_divided_ignores_ranges() -> None:
    whole = Representation(
        content=b"0123", media_type="x/y", etag="e", modified=FILE.modified, divisible=False
    )
    reply = respond({"REQUEST_METHOD": "GET", "HTTP_RANGE": "bytes=0-1"}, whole)
    assert (reply.status_code, reply.data) == (200, b"0123")
    assert "Accept-Ranges" not in reply.headers
