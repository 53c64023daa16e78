"""One row of the reference's tables: an input, and the answer it must get.

`run` builds the input, sends it, judges the answer and looks for everything that must not have
happened. An `Outcome` says what the answer is; outcomes that refuse have no side effect.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .bench import Bench, HttpRequest, PkiRequest
from .reply import FAILURE, PENDING, SUCCESS, Issued, demand
from .wire import Response

Built = PkiRequest | HttpRequest


class Outcome:
    """What a row expects; subclasses judge."""

    def judge(self, bench: Bench, request: Built, response: Response) -> bool:
        """Fail unless the response is the one expected; return whether it is a refusal."""
        raise NotImplementedError


def pki_of(request: Built) -> PkiRequest:
    """Return the pkiMessage inside whatever is sent."""
    pki = request if isinstance(request, PkiRequest) else request.pki
    assert pki is not None, "this outcome needs a pkiMessage"
    return pki


@dataclass(frozen=True)
class Status(Outcome):
    """An answer below SCEP: this status, short, in plain text, with nothing of the sender in it.

    ``group``: all answers of one group have the same body. ``absent``: octets that must not come back.
    """

    code: int
    group: str | None = None
    absent: tuple[bytes, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)

    def judge(self, bench: Bench, request: Built, response: Response) -> bool:
        body = response.body.decode("latin-1")
        demand(response.status == self.code, f"HTTP {response.status} {body[:200]!r}, expected {self.code}")
        found = (response.header("Content-Type") or "").split(";")[0]
        demand(found in ("text/plain", ""), f"Content-Type of a refusal is {found!r}")
        demand(len(body) <= 300, f"a refusal of {len(body)} octets")
        demand("<" not in body, "a refusal in HTML")
        for octets in self.absent:
            value = octets.decode("latin-1")
            demand(value not in body, f"{value[:40]!r} is echoed in the body")
            demand(value not in str(response.headers), f"{value[:40]!r} is echoed in a header")
        for name, wanted in self.headers.items():
            demand(
                response.header(name) == wanted, f"{name} is {response.header(name)!r}, expected {wanted!r}"
            )
        if self.group:
            known = bench.groups.setdefault(self.group, body)
            demand(known == body, f"other words for the same: {body!r}, elsewhere {known!r}")
        return True


@dataclass(frozen=True)
class Closed(Outcome):
    """The connection is closed, with one of these statuses or without any answer."""

    codes: tuple[int, ...] = (400,)

    def judge(self, bench: Bench, request: Built, response: Response) -> bool:
        told = f"HTTP {response.status}, expected {self.codes} or an end"
        demand(response.status in (0, *self.codes), told)
        return True


@dataclass(frozen=True)
class Fail(Outcome):
    """A signed CertRep FAILURE with this failInfo; members of a ``group`` have one and the same text.

    ``silent``: the text is empty, because any word would tell causes apart (RFC 3218).
    """

    fail_info: int
    group: str | None = None
    silent: bool = False
    own_hresult: bool = False  # the sender knows anyway what sets this one apart

    def judge(self, bench: Bench, request: Built, response: Response) -> bool:
        reply = bench.reply(pki_of(request), response)
        expected = f"{reply}, expected FAILURE with failInfo {self.fail_info}"
        demand(reply.status == FAILURE and reply.fail_info == self.fail_info, expected)
        text = reply.fail_info_text
        demand(not (self.silent and text), f"the text {text!r} tells causes apart")
        if self.group:
            known = bench.groups.setdefault(self.group, text)
            demand(known == text, f"{text!r}, elsewhere {known!r}")
        if self.group and not self.own_hresult:
            known = bench.groups.setdefault(f"{self.group}: HRESULT", reply.hresult)
            demand(known == reply.hresult, f"HRESULT {reply.hresult}, elsewhere {known}")
        return True


@dataclass(frozen=True)
class Success(Outcome):
    """A SUCCESS with the certificate for the CSR's key; ``check`` looks closer.

    ``recorded`` False: the store holds afterwards what it held before.
    """

    check: Callable[[Bench, PkiRequest, Issued], None] | None = None
    recorded: bool = True

    def judge(self, bench: Bench, request: Built, response: Response) -> bool:
        pki = pki_of(request)
        reply = bench.reply(pki, response)
        demand(reply.status == SUCCESS, f"{reply}, expected SUCCESS")
        if self.check is not None:
            self.check(bench, pki, bench.deliver(pki, reply))
        else:
            bench.enrolled(pki, reply)
        return not self.recorded


@dataclass(frozen=True)
class Either(Outcome):
    """One of several answers, where the reference leaves the choice to policy."""

    outcomes: tuple[Outcome, ...]

    def judge(self, bench: Bench, request: Built, response: Response) -> bool:
        refusals = []
        for outcome in self.outcomes:
            try:
                return outcome.judge(bench, request, response)
            except AssertionError as error:
                refusals.append(str(error))
        raise AssertionError("; or ".join(refusals))


@dataclass(frozen=True)
class Pending(Outcome):
    """A PENDING; ``recorded`` False: of a request that is waiting already."""

    recorded: bool = True

    def judge(self, bench: Bench, request: Built, response: Response) -> bool:
        reply = bench.reply(pki_of(request), response)
        demand(reply.status == PENDING, f"{reply}, expected PENDING")
        return not self.recorded


@dataclass(frozen=True)
class Answer(Outcome):
    """A plain HTTP answer that is not a refusal; ``check`` looks at it. It has no side effect either."""

    check: Callable[[Bench, Response], None]

    def judge(self, bench: Bench, request: Built, response: Response) -> bool:
        demand(response.status == 200, f"HTTP {response.status} {response.body[:200]!r}, expected 200")
        self.check(bench, response)
        return True


@dataclass(frozen=True)
class Row:
    """One input of a row of the reference, and its answer."""

    id: str
    case: str
    build: Callable[[Bench], Built]
    expected: Outcome
    alive: bool = True
    fresh: bool = False  # needs a lab of its own: it moves the clock far, or takes something away
    cpu_seconds: float | None = None  # the most that answering may cost

    def __str__(self) -> str:
        return f"{self.id}-{self.case}"


def run(row: Row, bench: Bench) -> Response:
    """Send a row's input and judge everything about its answer; return it."""
    request = row.build(bench)
    before = bench.state()
    mark = len(bench.log.lines)
    begin = time.process_time()
    response = request.send(bench)
    spent = time.process_time() - begin
    if row.cpu_seconds is not None:
        demand(spent <= row.cpu_seconds, f"the answer cost {spent:.3f} s, allowed are {row.cpu_seconds} s")
    if row.expected.judge(bench, request, response):
        bench.demand_unchanged(before)
    bench.demand_quiet(mark, response)
    if row.alive:
        bench.demand_alive()
    return response
