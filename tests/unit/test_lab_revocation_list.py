"""Lists of certificates to revoke: read whole, or refused with every line that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ca.records import RevocationReason
from lab.revocation_list import BadRevocationList, ListedRevocation, read_revocation_list

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def test_reads_plain_lines_csv_and_other_separators() -> None:
    text = (
        "\ufeffSerial Number,Reason,Date\r\n"
        "# from the old CA\r\n"
        "\r\n"
        "4700000003\r\n"
        '"47:00:00:00:04",keyCompromise\n'
        "0x4700000005;superseded;2026-03-01\n"
        "47 00 00 00 06\tCERTIFICATEHOLD\t2026-03-01T01:00:00+01:00\n"
        f"{'ab' * 20},9,\n"
    )
    assert read_revocation_list(text) == [
        ListedRevocation(4, "4700000003", "unspecified", None),
        ListedRevocation(5, "4700000004", "keyCompromise", None),
        ListedRevocation(6, "4700000005", "superseded", DAY),
        ListedRevocation(7, "4700000006", "certificateHold", DAY),
        ListedRevocation(8, "ab" * 20, "privilegeWithdrawn", None),
    ]


@pytest.mark.parametrize("reason", list(RevocationReason))
def test_every_reason_may_be_named_or_numbered(reason: RevocationReason) -> None:
    for word in (reason.rfc_name, reason.rfc_name.upper(), str(reason.value)):
        assert read_revocation_list(f"01,{word}")[0].reason == reason.rfc_name


def test_lines_without_a_reason_get_the_one_given() -> None:
    assert read_revocation_list("01\n02,", default_reason="superseded")[1].reason == "superseded"


@pytest.mark.parametrize("text", ["", "\n \n", "# nothing\n", "serial,reason\n"])
def test_refuses_an_empty_list(text: str) -> None:
    with pytest.raises(BadRevocationList, match="no certificate is listed"):
        read_revocation_list(text)


def test_tells_every_line_that_is_wrong() -> None:
    text = "01\nxyz\n02,becauseOfRain\n03,1,yesterday\n04,1,2026-01-01,x\n0 1\n"
    with pytest.raises(BadRevocationList) as caught:
        read_revocation_list(text)
    assert [line for line, _ in caught.value.problems] == [2, 3, 4, 5, 6]
    said = str(caught.value)
    assert "line 2: 'xyz' is no serial number" in said
    assert "line 3: 'becauseOfRain' is no reason" in said
    assert "line 4: 'yesterday' is no date" in said
    assert "line 5: 4 fields" in said
    assert "line 6: '0 1' is on line 1 already" in said


def test_shows_the_first_of_very_many() -> None:
    with pytest.raises(BadRevocationList, match="and 80 more"):
        read_revocation_list("no\n" * 100)
