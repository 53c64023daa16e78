"""Events of NDES: Microsoft's texts, and XML that a foreign parser accepts."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

import pytest
from peers import require_peer

from scep_server.ndes.events import EVENTS, Event, Level

AT = datetime(2026, 3, 4, 5, 6, 7, 890, tzinfo=UTC)


def event(number: int, code: str = "0x8009310b", message: str = "ASN1 bad tag value met.") -> Event:
    return Event(record_id=7, id=number, at=AT, error_code=code, error_message=message)


@pytest.mark.parametrize("number", sorted(EVENTS))
def test_xmllint_accepts_every_event_and_finds_its_data(number: int) -> None:
    xmllint = require_peer("xmllint")
    nasty = 'a<b>&"c"\x00\x1b[31m\ud800 ü'
    run = subprocess.run(
        [xmllint, "--noout", "-"],
        input=event(number, message=nasty).as_xml().encode(),
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = subprocess.run(
        [xmllint, "--xpath", "string(//*[local-name()='EventID'])", "-"],
        input=event(number).as_xml().encode(),
        capture_output=True,
        check=True,
    )
    assert found.stdout.decode().strip() == str(number)


@pytest.mark.parametrize("number", sorted(EVENTS))
def test_every_rendering_tells_a_synthetic_text_or_none_does(number: int) -> None:
    rendered = event(number)
    synthetic = EVENTS[number].synthetic
    assert ("synthetic" in rendered.as_text()) is synthetic
    assert rendered.as_json()["synthetic"] is synthetic


def test_event_17_reads_as_in_the_event_viewer() -> None:
    assert event(17).text == (
        "The Network Device Enrollment Service cannot retrieve required information, such as the "
        "transaction ID, message type, or signing certificate, from the client's PKCS7 message "
        "(0x8009310b).  ASN1 bad tag value met."
    )


def test_event_31_of_a_denial_has_text_and_number_swapped() -> None:
    swapped = event(31, "The requested certificate template is not supported by this CA.", "0x80004005")
    assert swapped.text.endswith(
        "(The requested certificate template is not supported by this CA.).  0x80004005"
    )


def test_event_29_says_nothing_of_codes() -> None:
    assert "%" not in event(29).text
    assert EVENTS[29].level is Level.ERROR
    assert "<Data" not in event(29).as_xml()


def test_ids_are_those_a_source_names() -> None:
    named = {1, 2, 3, 4, 6, 7, 8, 9, 10, 13, 16, 17, 18, 19, 28, 29, 31, 34, 35, 44, 49, 51, 53}
    assert set(EVENTS) == named
    assert {number for number, template in EVENTS.items() if template.synthetic} == {
        9, 19, 28, 34, 35, 44, 49, 51, 53,
    }  # fmt: skip
