"""4A, HTTP: what arrives around a pkiMessage, and what must never get past it (rows N01 to N26)."""

from __future__ import annotations

import base64
import gzip
import itertools
import os
from collections.abc import Callable, Iterator
from urllib.parse import quote

from forge import wire
from forge.bench import Bench, HttpRequest, PkiRequest
from forge.reply import demand
from forge.table import Answer, Closed, Row, Status, Success

BAD = Status(400, group="400")
MEBIBYTE = 1 << 20


def http(
    query: str = "",
    *,
    method: str = "GET",
    body: bytes = b"",
    fields: dict[str, str] | None = None,
    path: str = "",
    version: str = "HTTP/1.1",
) -> Callable[[Bench], HttpRequest]:
    """Return a builder of one plain HTTP request to the default endpoint, or to a path beside it."""

    def build(bench: Bench) -> HttpRequest:
        top = wire.request_line(_at(bench, path), method, query, version)
        more = {
            "Connection": "close",
            **({"Content-Length": str(len(body))} if body else {}),
            **(fields or {}),
        }
        return HttpRequest(octets=top + wire.headers(more) + body, head=method == "HEAD")

    return build


def _at(bench: Bench, path: str) -> str:
    """Return the URL of a path: absolute, or appended to the endpoint's."""
    base = bench.url()
    return "http://" + base.split("/")[2] + path if path.startswith("/") else base + path


def as_get(encode: Callable[[bytes], str], *, path: str = "", want: Callable[[bytes], bool] | None = None):
    """Return a builder of a GET PKIOperation whose message parameter is what ``encode`` makes of it."""

    def build(bench: Bench) -> HttpRequest:
        sizes = itertools.count(10)
        pki = bench.request()
        while want is not None and not want(pki.message):
            # Another length of the transactionID makes another length of the message.
            pki = bench.request(message={"transaction_id": os.urandom(next(sizes)).hex()})
        query = "operation=PKIOperation&message=" + encode(pki.message)
        top = wire.request_line(_at(bench, path), "GET", query) + wire.headers({"Connection": "close"})
        return HttpRequest(octets=top, pki=pki)

    return build


def as_post(
    change: Callable[[bytes], bytes] = lambda body: body,
    *,
    query: str = "operation=PKIOperation",
    fields: dict[str, str] | None = None,
    path: str = "",
    version: str = "HTTP/1.1",
    frame: Callable[[bytes], Iterator[bytes]] | None = None,
) -> Callable[[Bench], HttpRequest]:
    """Return a builder of a POST PKIOperation; ``frame`` sends the body its own way."""

    def build(bench: Bench) -> HttpRequest:
        pki = bench.request()
        body = change(pki.message)
        top = wire.request_line(_at(bench, path), "POST", query, version)
        if frame is not None:
            chunked = {"Connection": "close", "Transfer-Encoding": "chunked", **(fields or {})}
            return HttpRequest(octets=[top + wire.headers(chunked), *frame(body)], pki=pki)
        usual = {"Connection": "close", "Content-Length": str(len(body)), **(fields or {})}
        return HttpRequest(octets=top + wire.headers(usual) + body, pki=pki)

    return build


def _b64(message: bytes) -> str:
    return base64.b64encode(message).decode()


def _lines(message: bytes, end: str) -> str:
    text = _b64(message)
    return end.join(text[at : at + 64] for at in range(0, len(text), 64))


def _padded(message: bytes) -> bool:
    return len(message) % 3 != 0


def _plus(message: bytes) -> bool:
    text = _b64(message)
    return "+" in text and "/" in text and text.endswith("=")


def _chunks(size: int, *, end: bool = True) -> Callable[[bytes], Iterator[bytes]]:
    def frame(body: bytes) -> Iterator[bytes]:
        for at in range(0, len(body), size):
            piece = body[at : at + size]
            yield b"%x\r\n" % len(piece) + piece + b"\r\n"
        if end:
            yield b"0\r\n\r\n"

    return frame


def _trailing_bits(message: bytes) -> str:
    """Set a bit that the padding leaves unused."""
    text = _b64(message).rstrip("=")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet[alphabet.index(text[-1]) | 1]
    return quote(text[:-1] + last + "=" * (-len(text) % 4), safe="")


def _default_authority(bench: Bench, response: wire.Response) -> None:
    demand(response.header("Content-Type") == "application/x-x509-ca-ra-cert", "not a bundle")
    demand(response.body == wire.get(bench.url(), "operation=GetCACert").body, "another bundle")
    names = {name.lower() for name, _ in response.headers}
    demand("set-cookie" not in names, "a header was injected")


def _capabilities(_bench: Bench, response: wire.Response) -> None:
    demand(response.header("Content-Type") == "text/plain", "charset on GetCACaps breaks clients")
    lines = response.body.decode("ascii").splitlines()
    demand("POSTPKIOperation" in lines and "" not in lines, f"GetCACaps is {lines}")


def _head_only(bench: Bench, response: wire.Response) -> None:
    whole = wire.get(bench.url(), "operation=GetCACaps")
    demand(not response.body, "HEAD has a body")
    for name in ("Content-Type", "Content-Length"):
        demand(response.header(name) == whole.header(name), f"{name} of HEAD differs from GET's")


# -- the operation (N01 to N05) --------------------------------------------------------


def _operation_rows() -> Iterator[Row]:
    yield Row("N01", "no-query", http(), BAD)
    yield Row("N01", "no-operation", http("message=abc"), BAD)
    odd = {
        "empty": "",
        "unknown": "GetCAChain",
        "traversal": "../x",
        "script": "%3Cscript%3E",
        "10-kB": "x" * 10_000,
    }
    for case, value in odd.items():
        echoed = (value[:30].encode(), b"<script>") if value else ()
        yield Row(
            "N02",
            case,
            http(f"operation={value}"),
            Status(400, group="400", absent=echoed if case != "unknown" else (b"GetCAChain",)),
        )
    yield Row("N03", "two", http("operation=GetCACert&operation=PKIOperation"), BAD)
    yield Row("N03", "same-twice", http("operation=GetCACert&operation=GetCACert"), BAD)
    yield Row("N04", "name", http("OPERATION=GetCACert"), BAD)
    yield Row("N04", "value", http("operation=getcacert"), Answer(_default_authority))
    allow = Status(405, headers={"Allow": "GET, POST"})
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "BREW"):
        yield Row("N05", method.lower(), http("operation=GetCACaps", method=method), allow)
    yield Row("N05", "head", http("operation=GetCACaps", method="HEAD"), Answer(_head_only))


# -- the message parameter (N06 to N10) ------------------------------------------------


def _message_rows() -> Iterator[Row]:
    yield Row("N06", "absent", http("operation=PKIOperation"), BAD)
    yield Row("N06", "empty", http("operation=PKIOperation&message="), BAD)
    for case, value in {
        "words": "hello%20there%21",
        "one-character": "M",
        "only-padding": "%3D%3D",
        "one-padding": "=",
        "percent": "%25%25%25",
        "bad-escape": "%zz",
    }.items():
        yield Row("N07", case, http(f"operation=PKIOperation&message={value}"), BAD)
    good: dict[str, tuple[Callable[[bytes], str], Callable[[bytes], bool] | None]] = {
        "raw": (_b64, _plus),
        "escaped": (lambda message: quote(_b64(message), safe=""), _plus),
        "spaces": (lambda message: _b64(message).replace("+", "%20").replace("=", "%3D"), _plus),
        "urlsafe": (lambda message: base64.urlsafe_b64encode(message).decode(), _plus),
        "lf": (lambda message: quote(_lines(message, "\n"), safe="/"), None),
        "crlf": (lambda message: quote(_lines(message, "\r\n"), safe=""), None),
        "no-padding": (lambda message: quote(_b64(message).rstrip("="), safe=""), _padded),
        "trailing-lf": (lambda message: quote(_b64(message) + "\n", safe=""), _padded),
        "raw-padding": (
            lambda message: quote(_b64(message).rstrip("="), safe="") + "=" * (-len(message) % 3),
            _padded,
        ),
        "escaped-twice": (lambda message: quote(quote(_b64(message), safe=""), safe=""), _plus),
    }
    for case, (encode, want) in good.items():
        yield Row("N08", case, as_get(encode, want=want), Success())
    yield Row(
        "N08",
        "message-first",
        lambda bench: _message_first(bench),
        Success(),
    )
    junk = {
        "star": lambda message: "MII*" + quote(_b64(message)[3:], safe=""),
        "inside": lambda message: quote(_b64(message)[:100] + "!" + _b64(message)[100:], safe=""),
        "nul": lambda message: (
            quote(_b64(message)[:100], safe="") + "%00" + quote(_b64(message)[100:], safe="")
        ),
    }
    for case, encode in junk.items():
        yield Row("N09", case, as_get(encode), BAD)
    yield Row("N10", "trailing-bits", as_get(_trailing_bits, want=_padded), BAD)
    yield Row(
        "N10",
        "after-padding",
        as_get(lambda message: quote(_b64(message) + "AAAA", safe=""), want=_padded),
        BAD,
    )


def _message_first(bench: Bench) -> HttpRequest:
    pki = bench.request()
    query = f"message={quote(_b64(pki.message), safe='')}&operation=PKIOperation&extra=1"
    top = wire.request_line(bench.url(), "GET", query) + wire.headers({"Connection": "close"})
    return HttpRequest(octets=top, pki=pki)


# -- the body (N11 to N18) -------------------------------------------------------------


def _both(*, good_body: bool) -> Callable[[Bench], HttpRequest]:
    """Return a POST with a message in the query and another in the body; the body's one counts."""

    def build(bench: Bench) -> HttpRequest:
        pki, garbage = bench.request(), b"\x30\x03\x02\x01\x00"
        body, parameter = (pki.message, garbage) if good_body else (garbage, pki.message)
        query = "operation=PKIOperation&message=" + quote(_b64(parameter), safe="")
        top = wire.request_line(bench.url(), "POST", query)
        fields = {"Connection": "close", "Content-Length": str(len(body))}
        return HttpRequest(octets=top + wire.headers(fields) + body, pki=pki)

    return build


def _pem(message: bytes) -> bytes:
    return b"-----BEGIN PKCS7-----\n" + base64.encodebytes(message) + b"-----END PKCS7-----\n"


def _body_rows() -> Iterator[Row]:
    yield Row(
        "N11",
        "empty",
        http("operation=PKIOperation", method="POST", fields={"Content-Length": "0"}),
        BAD,
    )
    yield Row("N11", "no-length", http("operation=PKIOperation", method="POST"), BAD)
    yield Row("N11", "body-wins", _both(good_body=True), Success())
    yield Row("N11", "query-loses", _both(good_body=False), BAD)
    for case, change in {"base64": base64.b64encode, "base64-lines": base64.encodebytes, "pem": _pem}.items():
        yield Row("N12", case, as_post(change), BAD)
        yield Row(
            "N12",
            f"{case}-allowed",
            _on_endpoint("tolerant", change),
            Success(),
        )
    for case, value in {
        "octet-stream": "application/octet-stream",
        "text": "text/plain",
        "multipart": "multipart/form-data; boundary=x",
        "multipart-bare": "multipart/form-data",
        "form": "application/x-www-form-urlencoded",
        "pki": "application/x-pki-message",
        "nonsense": "\xff/;;=",
    }.items():
        yield Row("N13", case, as_post(fields={"Content-Type": value}), Success())
    yield Row("N13", "none", as_post(), Success())
    yield from _framing_rows()
    yield Row(
        "N16",
        "one-over",
        as_post(lambda _: b"\x30\x83\x0f\xff\xfd" + bytes(MEBIBYTE - 4)),
        Status(413),
    )
    yield Row(
        "N16",
        "at-the-limit",
        as_post(lambda _: b"\x30\x83\x0f\xff\xfb" + bytes(MEBIBYTE - 5)),
        BAD,
    )
    yield Row(
        "N16",
        "2-GiB-declared",
        http("operation=PKIOperation", method="POST", fields={"Content-Length": str(1 << 31)}),
        Status(413),
    )
    yield Row(
        "N16",
        "chunked-over",
        as_post(lambda _: bytes(MEBIBYTE + 1), frame=_chunks(65536)),
        Status(413),
    )
    filler = "x" * (16 * 1024 - 200)
    yield Row(
        "N17",
        "16-KiB",
        http(f"operation=GetCACert&message={filler}"),
        Answer(_default_authority),
    )
    yield Row(
        "N17",
        "128-KiB",
        http("operation=GetCACert&message=" + "x" * (128 * 1024)),
        Status(414),
    )
    for coding in ("gzip", "deflate", "br"):
        yield Row(
            "N18",
            coding,
            as_post(lambda _: gzip.compress(bytes(MEBIBYTE * 8)), fields={"Content-Encoding": coding}),
            Status(415),
        )


def _on_endpoint(endpoint: str, change: Callable[[bytes], bytes]) -> Callable[[Bench], PkiRequest]:
    def build(bench: Bench) -> PkiRequest:
        pki = bench.request(endpoint=endpoint)
        return pki.with_message(change(pki.message))

    return build


def _framing_rows() -> Iterator[Row]:
    def lengths(fields: list[tuple[str, str]], *, end: bool = False) -> Callable[[Bench], HttpRequest]:
        def build(bench: Bench) -> HttpRequest:
            pki = bench.request()
            size = len(pki.message)
            lines = b"".join(
                f"{name}: {value.format(size=size, more=size + 9, less=size - 9)}\r\n".encode()
                for name, value in fields
            )
            top = wire.request_line(bench.url(), "POST", "operation=PKIOperation") + b"Connection: close\r\n"
            return HttpRequest(octets=top + lines + b"\r\n" + pki.message, pki=pki, end=end)

        return build

    length = "Content-Length"
    cases = {
        "larger": lengths([(length, "{more}")], end=True),
        "smaller": lengths([(length, "{less}")]),
        "negative": lengths([(length, "-1")]),
        "words": lengths([(length, "many")]),
        "plus": lengths([(length, "+{size}")]),
        "two-different": lengths([(length, "{size}"), (length, "5")]),
        "two-in-one": lengths([(length, "{size}, 5")]),
        "with-chunked": lengths([(length, "{size}"), ("Transfer-Encoding", "chunked")]),
        "unknown-coding": lengths([("Transfer-Encoding", "gzip, identity")]),
    }
    for case, build in cases.items():
        yield Row("N14", case, build, Closed((400, 501)))
    yield Row("N15", "chunked", as_post(frame=_chunks(1000)), Success())
    yield Row("N15", "one-octet-chunks", as_post(frame=_chunks(1)), Success())
    yield Row(
        "N15",
        "bad-size",
        as_post(frame=lambda body: iter([b"zz\r\n", body, b"\r\n0\r\n\r\n"])),
        Closed(),
    )


# -- connections, paths, parameters of the other operations (N19, N21 to N26) -----------


def _expecting(bench: Bench) -> HttpRequest:
    pki = bench.request()
    top = wire.request_line(bench.url(), "POST", "operation=PKIOperation")
    fields = {"Connection": "close", "Content-Length": str(len(pki.message)), "Expect": "100-continue"}
    return HttpRequest(octets=[top + wire.headers(fields), pki.message], pki=pki)


def _ancient(bench: Bench) -> HttpRequest:
    pki = bench.request()
    query = "operation=PKIOperation&message=" + quote(_lines(pki.message, "\n"), safe="")
    top = wire.request_line(bench.url(), "GET", query, version="HTTP/1.0")
    return HttpRequest(octets=top + b"\r\n", pki=pki)


def _connection_rows() -> Iterator[Row]:
    yield Row("N19", "expect-continue", _expecting, Success())
    yield Row("N19", "http-1.0-get", _ancient, Success())
    yield Row("N19", "http-1.0-post", as_post(version="HTTP/1.0"), Success())
    missing = Status(404, group="404")
    for case, path in {
        "dot-dot": "/scep/../../admin",
        "encoded-dots": "/scep/%2e%2e/%2e%2e/admin",
        "encoded-slash": "/scep/..%2f..%2fapi/v1/certificates",
        "double-slash": "//scep",
        "nul": "/scep/default%00",
        "overlong": "/scep/%c0%ae%c0%ae/x",
        "unknown": "/nowhere",
        "unknown-endpoint": "/scep/no-such-endpoint",
        "root": "/",
        "management": "/api/v1/challenges",
        "backslash": "/scep/..%5c..%5cadmin",
    }.items():
        yield Row("N21", case, http("operation=GetCACaps", path=path), missing)
    for case, path in {
        "scep": "/scep",
        "slash": "/scep/",
        "pkiclient": "/scep/pkiclient.exe",
        "named": "/scep/default/pkiclient.exe",
        "named-cgi-bin": "/scep/default/cgi-bin/pkiclient.exe",
        "mscep": "/certsrv/mscep/mscep.dll",
        "mscep-folder": "/certsrv/mscep/",
        "mscep-pkiclient": "/certsrv/mscep/mscep.dll/pkiclient.exe",
        "mscep-case": "/CertSrv/MSCEP/MSCEP.DLL/PKICLIENT.EXE",
        "cgi-bin": "/cgi-bin/pkiclient.exe",
        "scep-mscep": "/scep/mscep.dll/pkiclient.exe",
    }.items():
        yield Row("N22", case, as_post(path=path), Success())
        yield Row(
            "N22",
            f"{case}-caps",
            http("operation=GetCACaps&message=default", path=path),
            Answer(_capabilities),
            alive=False,
        )
    for case, value in {
        "unknown-authority": "No%20Such%20CA",
        "default": "default",
        "zero": "0",
        "identifier": "CAIdentifier",
        "sql": "%27%3B%20DROP%20TABLE%20certificates%3B--",
        "html": "%3Cscript%3Ealert(1)%3C/script%3E",
        "nul": "%00",
        "header": "%0d%0aSet-Cookie:%20a=b",
        "bytes": "%ff%fe",
    }.items():
        yield Row(
            "N23",
            case,
            http(f"operation=GetCACert&message={value}"),
            Answer(_default_authority),
        )
    yield Row(
        "N23",
        "1-MB",
        http("operation=GetCACert&message=" + "A" * 1_000_000),
        Status(414, absent=(b"AAAA",)),
    )
    yield Row("N24", "get", http("operation=GetNextCACert"), Status(404))
    yield Row("N24", "named", http("operation=GetNextCACert&message=default"), Status(404))
    yield Row(
        "N25",
        "cacert",
        http("operation=GetCACert", method="POST", body=b"x"),
        Answer(_default_authority),
    )
    yield Row(
        "N25",
        "caps",
        http("operation=GetCACaps", method="POST", fields={"Content-Length": "0"}),
        Answer(_capabilities),
    )
    yield Row(
        "N26",
        "forwarded-for",
        as_post(fields={"X-Forwarded-For": "203.0.113.77", "Forwarded": "for=203.0.113.77"}),
        Success(_not_believed),
    )


def _not_believed(bench: Bench, pki: PkiRequest, issued: object) -> None:
    """No proxy is trusted, so the address in the header is nobody's."""
    demand(issued, "nothing was issued")
    log = bench.log.since(0)
    demand("203.0.113.77" not in log, "X-Forwarded-For of a stranger was believed")


ROWS: tuple[Row, ...] = (
    *_operation_rows(),
    *_message_rows(),
    *_body_rows(),
    *_connection_rows(),
)

# Rows of 4A that need a conversation rather than one request; the test of that name asserts each.
CONVERSATIONS = {
    "N15": "test_chunked_body_without_an_end_times_out",
    "N19": "test_pipelined_requests_are_answered_in_order",
    "N20": "test_slow_clients_do_not_exhaust_the_workers",
}
