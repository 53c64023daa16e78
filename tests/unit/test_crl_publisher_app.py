"""What a client gets over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient

from crl_publisher import PublishedFile, PublisherSettings
from crl_publisher.app import create_app

CRL = PublishedFile(
    name="Lab CA.crl",
    media_type="application/pkix-crl",
    etag="abc",
    modified=datetime(2026, 3, 1, 12, tzinfo=UTC),
    content=b"crl",
)
DELTA = PublishedFile(
    name="Lab CA+.crl",
    media_type="application/pkix-crl",
    etag="def",
    modified=CRL.modified,
    content=b"delta",
)
CERTIFICATE = PublishedFile(
    name="pki.test_Lab CA.crt",
    media_type="application/pkix-cert",
    etag="ghi",
    modified=CRL.modified,
    content=b"certificate",
)


class Shelf:
    def find(self, name: str) -> PublishedFile | None:
        return next((file for file in (CRL, DELTA, CERTIFICATE) if file.name.lower() == name.lower()), None)


class BrokenShelf:
    def find(self, name: str) -> PublishedFile | None:
        raise OSError("disk gone")


@pytest.fixture
def client() -> FlaskClient:
    return create_app(Shelf()).test_client()


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/CertEnroll/Lab%20CA.crl", b"crl"),
        ("/certenroll/lab%20ca.CRL", b"crl"),
        ("/CERTENROLL/Lab%20CA+.crl", b"delta"),
        ("/CertEnroll/Lab%20CA%2B.crl", b"delta"),
        ("/CertEnroll/pki.test_Lab%20CA.crt", b"certificate"),
    ],
)
def test_serves_each_file_whatever_the_case(client: FlaskClient, path: str, content: bytes) -> None:
    reply = client.get(path)
    assert (reply.status_code, reply.data) == (200, content)
    assert reply.headers["Content-Length"] == str(len(content))


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/CertEnroll/Lab%20CA.crl", "application/pkix-crl"),
        ("/CertEnroll/pki.test_Lab%20CA.crt", "application/pkix-cert"),
    ],
)
def test_media_type_stands_alone(client: FlaskClient, path: str, media_type: str) -> None:
    assert client.get(path).headers["Content-Type"] == media_type


def test_head_has_everything_but_the_body(client: FlaskClient) -> None:
    head, get = client.head("/CertEnroll/Lab%20CA.crl"), client.get("/CertEnroll/Lab%20CA.crl")
    assert head.data == b""
    assert dict(head.headers) == dict(get.headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"If-None-Match": '"abc"'},
        {"If-None-Match": 'W/"zzz", "abc"'},
        {"If-Modified-Since": "Sun, 01 Mar 2026 12:00:00 GMT"},
    ],
)
def test_an_unchanged_file_is_not_sent_again(client: FlaskClient, headers: dict[str, str]) -> None:
    reply = client.get("/CertEnroll/Lab%20CA.crl", headers=headers)
    assert (reply.status_code, reply.data, reply.headers["ETag"]) == (304, b"", '"abc"')


@pytest.mark.parametrize(
    "headers", [{"If-None-Match": '"abd"'}, {"If-Modified-Since": "Sun, 01 Mar 2026 11:59:59 GMT"}, {}]
)
def test_a_changed_file_is(client: FlaskClient, headers: dict[str, str]) -> None:
    reply = client.get("/CertEnroll/Lab%20CA.crl", headers=headers)
    assert (reply.status_code, reply.data) == (200, b"crl")
    assert reply.headers["Last-Modified"] == "Sun, 01 Mar 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    "path",
    ["/", "/CertEnroll", "/CertEnroll/", "/CertEnroll/x.crl", "/Lab%20CA.crl", "/CertEnroll/../x", "/%00"],
)
def test_says_plainly_that_nothing_is_there(client: FlaskClient, path: str) -> None:
    reply = client.get(path)
    assert reply.status_code == 404
    assert reply.mimetype == "text/plain"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_refuses_other_methods_and_says_which_are_allowed(client: FlaskClient, method: str) -> None:
    reply = client.open("/CertEnroll/Lab%20CA.crl", method=method)
    assert reply.status_code == 405
    assert {"GET", "HEAD"} <= set(reply.headers["Allow"].split(", "))


def test_says_unavailable_when_the_files_cannot_be_read() -> None:
    reply = create_app(BrokenShelf()).test_client().get("/CertEnroll/Lab%20CA.crl")
    assert (reply.status_code, reply.mimetype) == (503, "text/plain")
    assert b"disk" not in reply.data


def test_tells_caches_how_long_when_asked_to() -> None:
    app = create_app(Shelf(), settings=PublisherSettings(cache_seconds=60))
    assert app.test_client().get("/CertEnroll/Lab%20CA.crl").headers["Cache-Control"] == "max-age=60"
