"""OCSP over HTTP: how a question arrives, and the headers of the answer."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder, run_wsgi_app

from ca.ocsp import MAXIMUM_REQUEST_OCTETS, CertStatus, ResponseStatus
from ca.ocsp_responder import Freshness, OcspAnswer
from crl_publisher import PublishedFile
from crl_publisher.app import create_app
from crl_publisher.ocsp import is_ocsp_path, request_in_path

THIS_UPDATE = datetime(2026, 3, 1, 12, tzinfo=UTC)
# In base64: +, / and //, and padding.
REQUEST = b"0\xff\xff\xff\xfb\xef\xbe\xff\xff"  # MP////vvvv//
ODD = b"0\xfb\xe0\xbf\xff\xfe\x01\x02"


class Recorder:
    """A responder that gives one answer and remembers what it was asked."""

    def __init__(self, *statuses: CertStatus, shared: bool = True) -> None:
        self.asked: list[bytes] = []
        self._answer = OcspAnswer(
            der=b"the answer",
            status=ResponseStatus.SUCCESSFUL if statuses else ResponseStatus.TRY_LATER,
            cert_statuses=statuses,
            freshness=Freshness(
                this_update=THIS_UPDATE,
                next_update=THIS_UPDATE + timedelta(hours=1),
                maximum_age=timedelta(minutes=10),
            )
            if shared and statuses
            else None,
        )

    def answer(self, octets: bytes) -> OcspAnswer:
        self.asked.append(octets)
        return self._answer


class NoFiles:
    def find(self, name: str) -> PublishedFile | None:
        return None


@pytest.fixture
def responder() -> Recorder:
    return Recorder(CertStatus.GOOD)


def client_of(responder: Recorder | None) -> FlaskClient:
    return create_app(NoFiles(), responder=responder).test_client()


def call(
    responder: Recorder, path: str, method: str = "GET", **changes: Any
) -> tuple[str, dict[str, str], bytes]:
    """Call the application as a web server does, with PATH_INFO just as it is given."""
    environ = EnvironBuilder(method=method).get_environ() | {"PATH_INFO": path} | changes
    content, status, headers = run_wsgi_app(create_app(NoFiles(), responder=responder), environ)
    return status, dict(headers), b"".join(content)


# -- GET -------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [REQUEST, ODD])
@pytest.mark.parametrize(
    "path",
    [
        "/ocsp/{text}",
        "/OCSP/{text}",
        "/Ocsp//{text}",
        "//ocsp/{text}",
        "/ocsp/{quoted}",
        "/ocsp/{lower}",
        "/ocsp/{bare}",
        "/ocsp/{slashes}",
        "/ocsp/{spaces}",
        "/ocsp/{url_safe}",
        "/ocsp/{broken}",
        "/ocsp/{twice}",
    ],
)
def test_reads_base64_however_a_client_writes_it(responder: Recorder, path: str, request_: bytes) -> None:
    text = base64.b64encode(request_).decode()
    forms = {
        "text": text,
        "quoted": quote(text, safe=""),
        "lower": quote(text, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
        "bare": text.rstrip("="),
        "slashes": text.replace("/", "%2F"),  # as the embedded server hands a quoted slash on
        "spaces": text.replace("+", " "),
        "url_safe": base64.urlsafe_b64encode(request_).decode(),
        "broken": f"{text[:4]}\n{text[4:]}\r\n",
        "twice": quote(quote(text, safe=""), safe=""),
    }
    status, headers, content = call(responder, path.format(**forms))
    if "twice" in path:
        assert responder.asked == [b""]  # encoded twice is not what RFC 6960 A.1 says
    else:
        assert responder.asked == [request_]
    assert (status, content) == ("200 OK", b"the answer")
    assert headers["Content-Type"] == "application/ocsp-response"


@pytest.mark.parametrize(
    "path", ["/ocsp", "/ocsp/", "/OCSP", "/ocsp/%%%", "/ocsp/M", "/ocsp/\xff\xfe", "/ocsp/a*b="]
)
def test_what_is_no_base64_is_no_request_to_the_responder(responder: Recorder, path: str) -> None:
    status, _, _ = call(responder, path)
    assert (status, responder.asked) == ("200 OK", [b""])


@pytest.mark.parametrize("path", ["/", "/ocspx", "/x/ocsp", "/certenroll/ocsp", "/ocsp.crl"])
def test_other_paths_are_not_the_responders(responder: Recorder, path: str) -> None:
    status, _, _ = call(responder, path)
    assert (status, responder.asked) == ("404 NOT FOUND", [])


def test_without_a_responder_there_is_no_such_path() -> None:
    assert client_of(None).get("/ocsp/MAA=").status_code == 404


@given(st.text(max_size=200))
def test_any_path_is_read_or_is_no_request(text: str) -> None:
    assert isinstance(request_in_path(text), bytes)
    assert is_ocsp_path(f"/ocsp/{text}")


def test_a_path_that_is_too_long_is_refused(responder: Recorder) -> None:
    status, _, _ = call(responder, "/ocsp/" + "A" * (2 * MAXIMUM_REQUEST_OCTETS + 1))
    assert (status[:3], responder.asked) == ("414", [])


def test_head_has_everything_but_the_body(responder: Recorder) -> None:
    client = client_of(responder)
    get, head = client.get("/ocsp/MAA="), client.head("/ocsp/MAA=")
    assert head.data == b""
    assert dict(head.headers) == dict(get.headers)


# -- POST ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/ocsp", "/ocsp/", "/OCSP"])
@pytest.mark.parametrize("media_type", ["application/ocsp-request", "Application/OCSP-Request; x=y", None])
def test_reads_the_body(responder: Recorder, path: str, media_type: str | None) -> None:
    reply = client_of(responder).post(path, data=REQUEST, content_type=media_type)
    assert (reply.status_code, reply.data, responder.asked) == (200, b"the answer", [REQUEST])


def test_another_media_type_is_refused(responder: Recorder) -> None:
    reply = client_of(responder).post("/ocsp", data=REQUEST, content_type="application/json")
    assert (reply.status_code, responder.asked) == (415, [])
    assert b"application/ocsp-request" in reply.data


@pytest.mark.parametrize(
    ("octets", "status"), [(MAXIMUM_REQUEST_OCTETS, 200), (MAXIMUM_REQUEST_OCTETS + 1, 413)]
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_long_is_refused(octets: int, status: int, chunked: bool) -> None:
    responder = Recorder(CertStatus.GOOD)
    headers = {"wsgi.input_terminated": True} if chunked else {"CONTENT_LENGTH": str(octets)}
    body = {"wsgi.input": BytesIO(b"x" * octets), "CONTENT_TYPE": "application/ocsp-request"}
    found, _, _ = call(responder, "/ocsp", "POST", **body, **headers)
    assert found[:3] == str(status)
    assert responder.asked == ([b"x" * octets] if status == 200 else [])


def test_a_body_without_length_is_none(responder: Recorder) -> None:
    call(responder, "/ocsp", "POST", **{"wsgi.input": BytesIO(b"x"), "CONTENT_LENGTH": ""})
    assert responder.asked == [b""]


class Torn:
    """A body whose connection breaks."""

    def read(self, size: int = -1) -> bytes:
        raise OSError("reset by peer")


def test_a_body_that_breaks_off_is_no_request(responder: Recorder) -> None:
    call(responder, "/ocsp", "POST", **{"wsgi.input": Torn(), "CONTENT_LENGTH": "9"})
    assert responder.asked == [b""]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/ocsp", "GET, HEAD, POST"),
        ("DELETE", "/ocsp/", "GET, HEAD, POST"),
        ("OPTIONS", "/ocsp", "GET, HEAD, POST"),
        ("POST", "/ocsp/MAA=", "GET, HEAD"),
    ],
)
def test_other_methods_are_refused(responder: Recorder, method: str, path: str, allowed: str) -> None:
    status, headers, _ = call(responder, path, method)
    assert (status[:3], headers["Allow"], responder.asked) == ("405", allowed, [])


# -- caching (RFC 5019 6) --------------------------------------------------------------


def test_tells_caches_how_long_and_proves_what_they_hold(responder: Recorder) -> None:
    headers = client_of(responder).get("/ocsp/MAA=").headers
    assert headers["Last-Modified"] == "Sun, 01 Mar 2026 12:00:00 GMT"  # thisUpdate
    assert headers["Expires"] == "Sun, 01 Mar 2026 13:00:00 GMT"  # nextUpdate
    assert headers["ETag"] == f'"{hashlib.sha1(b"the answer").hexdigest()}"'
    assert headers["Cache-Control"] == "max-age=600, public, no-transform, must-revalidate"
    assert "Accept-Ranges" not in headers


@pytest.mark.parametrize(
    "answering", [Recorder(), Recorder(CertStatus.GOOD, shared=False)], ids=["error", "nonce"]
)
def test_errors_and_answers_with_a_nonce_are_not_to_be_kept(answering: Recorder) -> None:
    headers = client_of(answering).get("/ocsp/MAA=").headers
    assert headers["Cache-Control"] == "no-store"
    assert not {"ETag", "Last-Modified", "Expires"} & set(headers.keys())


def test_an_unchanged_answer_is_not_sent_again(responder: Recorder) -> None:
    client = client_of(responder)
    etag = client.get("/ocsp/MAA=").headers["ETag"]
    for headers in ({"If-None-Match": etag}, {"If-Modified-Since": "Sun, 01 Mar 2026 12:00:00 GMT"}):
        reply = client.get("/ocsp/MAA=", headers=headers)
        assert (reply.status_code, reply.data) == (304, b"")
        assert reply.headers["Cache-Control"].startswith("max-age=600")
    assert client.get("/ocsp/MAA=", headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_date_alone_never_hides_a_revocation() -> None:
    client = client_of(Recorder(CertStatus.REVOKED))
    later = {"If-Modified-Since": "Sun, 01 Mar 2026 12:30:00 GMT"}
    assert client.get("/ocsp/MAA=", headers=later).status_code == 200
    etag = client.get("/ocsp/MAA=").headers["ETag"]
    assert client.get("/ocsp/MAA=", headers={"If-None-Match": etag}).status_code == 304


def test_a_post_is_always_answered_in_full(responder: Recorder) -> None:
    client = client_of(responder)
    etag = client.get("/ocsp/MAA=").headers["ETag"]
    reply = client.post("/ocsp", data=b"0", headers={"If-None-Match": etag})
    assert (reply.status_code, reply.data) == (200, b"the answer")


def test_a_range_of_an_answer_is_not_served(responder: Recorder) -> None:
    reply = client_of(responder).get("/ocsp/MAA=", headers={"Range": "bytes=0-3"})
    assert (reply.status_code, reply.data) == (200, b"the answer")
