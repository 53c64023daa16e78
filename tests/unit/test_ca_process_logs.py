"""What log lines look like, and what they never hold."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from ca.process.logs import log_to
from lab import ScepLab

SECRET = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_lines_hold_the_fields_in_a_fixed_order() -> None:
    stream = io.StringIO()
    log_to(stream, level="info", log_format="json")
    structlog.get_logger("lab.test").info("happened", number=3)
    logging.getLogger("ca.test").warning("by the standard library", extra={"number": 4})
    logging.getLogger("somebody.else").info("not shown")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert list(first) == ["timestamp", "level", "logger", "event", "number"]
    assert (first["event"], first["number"], first["logger"]) == ("happened", 3, "lab.test")
    assert (second["event"], second["number"], second["level"]) == ("by the standard library", 4, "warning")


@pytest.mark.parametrize(("level", "lines"), [("debug", 2), ("info", 1), ("warning", 0)])
def test_level_decides_what_is_logged(level: str, lines: int) -> None:
    stream = io.StringIO()
    log_to(stream, level=level, log_format="json")
    log = structlog.get_logger("lab.test")
    log.debug("a")
    log.info("b")
    assert len(stream.getvalue().splitlines()) == lines


@pytest.mark.parametrize("log_format", ["human", "json"])
def test_a_trace_shows_no_local_variables(log_format: str) -> None:
    def fail() -> None:
        secret = SECRET
        raise ValueError(len(secret))

    stream = io.StringIO()
    log_to(stream, level="info", log_format=log_format)  # type: ignore[arg-type]
    try:
        fail()
    except ValueError:
        structlog.get_logger("lab.test").exception("failed")
    assert "ValueError" in stream.getvalue()
    assert SECRET not in stream.getvalue()


@pytest.mark.parametrize("log_format", ["human", "json"])
def test_nothing_in_a_line_begins_another_or_colours_a_terminal(log_format: str) -> None:
    forged = "x\n2026-03-01T12:00:00Z [info     ] scep exchange\r\x1b[31m\x9b1m"
    stream = io.StringIO()
    log_to(stream, level="info", log_format=log_format)  # type: ignore[arg-type]
    structlog.get_logger("lab.test").info("happened", value=forged, escape="\x1b[2J")
    logging.getLogger("ca.test").warning(forged)
    structlog.get_logger("lab.test").error("failed", exc_info=ValueError(forged))
    lines = stream.getvalue().split("\n")
    assert all(line.isprintable() for line in lines)
    assert len([line for line in lines if line and not line.startswith("  ")]) == 3


def test_lines_of_the_standard_library_carry_what_was_bound() -> None:
    stream = io.StringIO()
    log_to(stream, level="info", log_format="json")
    with structlog.contextvars.bound_contextvars(transaction_id="5D0A"):
        logging.getLogger("ca.test").warning("by the standard library")
    assert json.loads(stream.getvalue())["transaction_id"] == "5D0A"


def test_logging_again_replaces_the_last_destination_and_no_other() -> None:
    first, second = io.StringIO(), io.StringIO()
    log_to(io.StringIO(), level="info", log_format="json")  # what another test may have left is replaced
    ours = logging.getLogger().handlers[-1:]
    before = [handler for handler in logging.getLogger().handlers if handler not in ours]
    log_to(first, level="info", log_format="json")
    log_to(second, level="info", log_format="json")
    structlog.get_logger("lab.test").info("once")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1
    assert set(before) <= set(logging.getLogger().handlers)
    second.close()
    structlog.get_logger("lab.test").info("nowhere")


def test_an_exchange_is_one_line_whatever_a_stranger_sends(capsys: pytest.CaptureFixture[str]) -> None:
    import urllib.error
    import urllib.request

    stream = io.StringIO()
    log_to(stream, level="info", log_format="json")
    with ScepLab() as scep_lab:
        password = scep_lab.new_challenge()
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{scep_lab.scep_url}?operation=x%0aevil&message={password}")
        caught.value.close()
    lines = [json.loads(text) for text in stream.getvalue().splitlines()]  # other labs may be running
    (line,) = [one for one in lines if one["event"].startswith("scep exchange")]
    assert (line["event"], line["status"]) == ("scep exchange refused", 400)
    assert password not in stream.getvalue()
    assert capsys.readouterr().out == ""
