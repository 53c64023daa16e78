"""Recorded exchanges for tests of the journal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from lab.recorded import AppliedFault, RecordedAnswer, RecordedExchange, RecordedRequest

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def recorded(
    *,
    target: str = "/scep?operation=GetCACaps",
    method: str = "GET",
    body: bytes = b"",
    answer: bytes = b"POSTPKIOperation\n",
    status: int = 200,
    listener: str = "scep",
    headers: tuple[tuple[str, str], ...] = (("Host", "lab.test"),),
    answer_headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/plain"),),
    faults: tuple[AppliedFault, ...] = (),
    client: str = "127.0.0.1",
) -> RecordedExchange:
    return RecordedExchange(
        received_at=AT,
        listener=listener,  # type: ignore[arg-type]
        request=RecordedRequest(
            method=method,
            target=target,
            protocol="HTTP/1.1",
            headers=headers,
            body=body,
            client_address=client,
        ),
        answer=RecordedAnswer(status=status, reason="OK", headers=answer_headers, body=answer),
        faults=faults,
        seconds=0.0125,
    )


_headers = st.lists(st.tuples(st.text(max_size=20), st.text(max_size=40)), max_size=4).map(tuple)
_faults = st.builds(
    AppliedFault,
    fault_id=st.text(max_size=30),
    rule_id=st.none() | st.integers(min_value=1, max_value=1 << 70),
    parameters=st.dictionaries(
        st.text(max_size=8),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.timedeltas(),
        max_size=3,
    ),
)
any_exchange = st.builds(
    RecordedExchange,
    received_at=st.datetimes(timezones=st.just(UTC)),
    listener=st.sampled_from(["scep", "pki"]),
    request=st.builds(
        RecordedRequest,
        method=st.sampled_from(["GET", "POST", "HEAD"]) | st.text(max_size=10),
        target=st.sampled_from(["/scep?operation=PKIOperation&message=", "/ocsp/", ""]).flatmap(
            lambda begin: st.text(max_size=60).map(lambda end: begin + end)
        ),
        protocol=st.sampled_from(["HTTP/1.0", "HTTP/1.1", ""]),
        headers=_headers,
        body=st.binary(max_size=300) | st.binary(max_size=100).map(lambda rest: b"\x30\x80" + rest),
        client_address=st.text(max_size=20),
        client_port=st.text(max_size=6),
        scheme=st.sampled_from(["http", "https"]),
    ),
    answer=st.builds(
        RecordedAnswer,
        status=st.integers(min_value=100, max_value=999),
        reason=st.text(max_size=20),
        headers=_headers,
        body=st.binary(max_size=300),
        delivery=st.text(max_size=20),
    ),
    faults=st.lists(_faults, max_size=2).map(tuple),
    clock_offset=st.timedeltas(min_value=timedelta(days=-36500), max_value=timedelta(days=36500)),
    seconds=st.floats(min_value=0, max_value=1e6),
)
