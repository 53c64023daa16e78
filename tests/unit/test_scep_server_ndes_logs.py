"""What an administrator of NDES reads: event log, IIS's log, trace; bounded, and kept in files."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ca.errors import KeyLength, ServiceUnavailable
from scep_server.checks import Check, Verdict
from scep_server.decisions import Refuse
from scep_server.exchange import Exchange, HttpExchangeRequest, HttpReply, Operation
from scep_server.ndes.event_log import EventLog
from scep_server.ndes.ladder import Stage, refusal_outcome
from scep_server.ndes.profiles import MODERN, NDES_2019
from scep_server.ndes.recent import LineFile
from scep_server.ndes.trace import TraceLog, trace
from scep_server.ndes.w3c import FIELDS, W3cLog, heading, render
from scep_server.outcomes import Refusal, outcome_of
from scep_server.protocol.errors import Undecryptable

AT = datetime(2026, 11, 22, 12, 0, 1, 500_000, tzinfo=UTC)


class Clock:
    def now(self) -> datetime:
        return AT


def exchange(**changes: Any) -> Exchange:
    request = HttpExchangeRequest(
        method="GET",
        path="/certsrv/mscep/mscep.dll/pkiclient.exe",
        query="operation=GetCACaps&message=default",
        remote_address="192.0.2.7",
        user_agent="Mozilla/4.0 (compatible; Win32; NDES client)",
    )
    reply = HttpReply(status=200, content_type="text/plain", body=b"x")
    fields: dict[str, Any] = {"number": 7, "received_at": AT, "request": request, "reply": reply}
    return Exchange(**{**fields, "operation": Operation.GET_CA_CAPS, "duration": 0.0304, **changes})


def refused(cause: Refusal | Exception, **changes: Any) -> Exchange:
    outcome = refusal_outcome(cause, Stage.OPENED, NDES_2019)
    return exchange(answer=Refuse(cause=cause), outcome=outcome, refused_by=outcome.name, **changes)


# -- events ----------------------------------------------------------------------------


def test_refusal_writes_the_event_of_its_outcome() -> None:
    log = EventLog(Clock(), NDES_2019)
    log.observe(refused(Refusal.CHALLENGE_SPENT))
    (event,) = log.events()
    assert (event.id, event.error_code, event.error_message, event.at) == (29, "", "", AT)


def test_success_writes_no_event() -> None:
    log = EventLog(Clock(), NDES_2019)
    log.observe(exchange())
    assert log.events() == ()


def test_denial_has_the_words_where_the_number_belongs() -> None:
    log = EventLog(Clock(), NDES_2019)
    log.observe(refused(KeyLength("found 1024 bits")))
    (event,) = log.events()
    assert (event.error_code, event.error_message) == (KeyLength.message, "0x80004005")


def test_profile_may_have_the_denials_own_number_there() -> None:
    log = EventLog(Clock(), replace(NDES_2019, denial_event_number="hresult"))
    log.observe(refused(KeyLength("found 1024 bits")))
    assert log.events()[0].error_message == "0x80094811"


def test_ca_that_is_down_has_number_and_words_in_their_places() -> None:
    log = EventLog(Clock(), NDES_2019)
    log.observe(refused(ServiceUnavailable("down")))
    (event,) = log.events()
    assert (event.error_code, event.error_message) == ("0x800706ba", "The RPC server is unavailable.")


def test_oldest_events_go_and_numbers_never_repeat() -> None:
    log = EventLog(Clock(), NDES_2019, capacity=3)
    for _ in range(5):
        log.write(1)
    assert [event.record_id for event in log.events()] == [3, 4, 5]
    assert [event.record_id for event in log.events(4)] == [5]
    assert [event.record_id for event in log.events(0, limit=1)] == [3]


def test_log_goes_on_where_its_file_ended(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "events.jsonl"
    EventLog(Clock(), NDES_2019, file=file).write_error(2, 0x80070057)
    with file.open("a") as stream:
        stream.write("half a li")
        stream.write("\n")
    log = EventLog(Clock(), NDES_2019, file=file)
    assert log.write(1).record_id == 2
    assert [(event.id, event.error_code) for event in log.events()] == [(2, "0x80070057"), (1, "")]
    lines = [line for line in file.read_text().splitlines() if line.startswith("{")]
    assert [json.loads(line)["event_id"] for line in lines] == [2, 1]


def test_line_that_cannot_be_written_does_not_end_the_request(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder should be")
    LineFile(blocked / "log").append("lost")


# -- IIS's log -------------------------------------------------------------------------


def test_line_has_iis_fields_with_plus_for_blanks() -> None:
    line = render(exchange(), address="192.0.2.1", port=80)
    assert line == (
        "2026-11-22 12:00:01 192.0.2.1 GET /certsrv/mscep/mscep.dll/pkiclient.exe "
        "operation=GetCACaps&message=default 80 - 192.0.2.7 "
        "Mozilla/4.0+(compatible;+Win32;+NDES+client) - 200 0 0 30"
    )
    assert len(line.split(" ")) == len(FIELDS)


def test_line_names_substatus_win32_status_and_user() -> None:
    reply = HttpReply(
        status=500, content_type="text/html", body=b"", win32_status=1346, substatus=0, user="LAB\\ad min"
    )
    fields = dict(
        zip(FIELDS, render(exchange(reply=reply), address="::1", port=8080).split(" "), strict=True)
    )
    assert (fields["sc-status"], fields["sc-substatus"], fields["sc-win32-status"]) == ("500", "0", "1346")
    assert fields["cs-username"] == "LAB\\ad+min"


@pytest.mark.parametrize("agent", ["a\r\n#Fields: forged", "tab\tand\x1b[31m", "\u2028"])
def test_stranger_cannot_add_a_line_or_a_field(agent: str) -> None:
    request = replace(exchange().request, user_agent=agent, referer=agent)
    line = render(exchange(request=request), address="-", port=1)
    assert len(line.splitlines()) == 1
    assert len(line.split(" ")) == len(FIELDS)


def test_http_sys_leaves_no_line() -> None:
    log = W3cLog()
    log.observe(exchange(reply=HttpReply(status=503, content_type="", body=b"", kernel=True)))
    log.observe(exchange())
    assert len(log.lines()) == 1


def test_file_of_a_day_begins_with_the_directives(tmp_path: Path) -> None:
    log = W3cLog(folder=tmp_path)
    log.listen("192.0.2.1", 80)
    log.observe(exchange())
    log.observe(exchange())
    text = (tmp_path / "u_ex261122.log").read_text()
    assert text.startswith(heading(AT))
    assert f"#Fields: {' '.join(FIELDS)}\n" in text
    assert text.count("#Fields:") == 1
    assert [line for line in text.splitlines() if line[0] != "#"] == [line.item for line in log.lines()]


# -- trace -----------------------------------------------------------------------------


def test_trace_tells_a_refused_challenge_in_the_policy_modules_words() -> None:
    check = Check(name="challenge", verdict=Verdict.FAILED, clause="RFC 8894 2.4", found="spent")
    told = trace(refused(Refusal.CHALLENGE_SPENT, checks=(check,)))
    known = [line.text for line in told if not line.synthetic]
    assert known == [
        "Calling VerifyRequest ...",
        "Verify challenge returns false",
        "Exiting VerifyRequest with 0x80070490",
    ]
    assert told[0].text.startswith("HTTP request GET /certsrv/mscep")
    assert told[-1].text.startswith("HTTP 200")


def test_cmtrace_line_says_whether_its_words_are_ours() -> None:
    line = trace(exchange())[0].as_text()
    assert re.fullmatch(
        r'<!\[LOG\[.*\]LOG\]!><time="12:00:01\.500\+0" date="11-22-2026" component="NDES" '
        r'context="synthetic" type="1" thread="7" file="">',
        line,
    )


def test_stranger_cannot_end_an_entry() -> None:
    request = replace(exchange().request, user_agent="]LOG]!><x>\n<![LOG[forged")
    line = trace(exchange(request=request))[0].as_text()
    assert len(line.splitlines()) == 1
    assert line.count("]LOG]!>") == 1


def test_trace_is_kept_in_a_file_and_bounded_in_memory(tmp_path: Path) -> None:
    log = TraceLog(file=tmp_path / "NdesSvc.log", capacity=3)
    for _ in range(4):
        log.observe(exchange())
    assert len(log.lines()) == 3
    assert len((tmp_path / "NdesSvc.log").read_text().splitlines()) > 3


# -- the ladder ------------------------------------------------------------------------


def test_modern_tells_nobody_why_a_signer_does_not_authenticate() -> None:
    causes = (Refusal.SIGNER_EXPIRED, Refusal.SIGNER_REVOKED, Refusal.SIGNER_FOREIGN, Refusal.SIGNER_FORGED)
    rows = {
        (row.hresult, row.fail_info, row.server_message)
        for row in (refusal_outcome(cause, Stage.OPENED, MODERN) for cause in causes)
    }
    assert len(rows) == 1


@pytest.mark.parametrize("profile", [MODERN, NDES_2019], ids=lambda one: one.name)
def test_envelope_that_cannot_be_opened_has_no_words(profile: Any) -> None:
    row = refusal_outcome(Undecryptable(), Stage.VERIFIED, profile)
    assert row.server_message is None
    assert row.event_id == 18
    assert (row.fail_info is None) == (profile is NDES_2019)


def test_unavailable_store_is_unlike_in_each_profile() -> None:
    cause = ServiceUnavailable("down")
    assert refusal_outcome(cause, Stage.OPENED, MODERN) == outcome_of(cause)
    row = refusal_outcome(cause, Stage.OPENED, NDES_2019)
    assert (row.status, row.retry_later) == (200, False)
    assert row.fail_info is not None
