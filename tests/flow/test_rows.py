"""Every row of the reference's tables 4A to 4F and of its transaction table 1D over HTTP, on either database.

The tables are in the modules `rows_*`; a row that needs a conversation instead of one input is
asserted by the test that its table names. `test_no_row_is_missing` compares both with the list below.
"""

from __future__ import annotations

import pytest
from flow import (
    rows_4a,
    rows_4b,
    rows_4b_signer,
    rows_4c,
    rows_4d,
    rows_4d_wishes,
    rows_4e,
    rows_4e_holders,
    rows_4f,
    test_conversations,
)
from forge.bench import Bench
from forge.table import Row, run

TABLES = (
    rows_4a,
    rows_4b,
    rows_4b_signer,
    rows_4c,
    rows_4d,
    rows_4d_wishes,
    rows_4e,
    rows_4e_holders,
    rows_4f,
)
ROWS = [row for table in TABLES for row in table.ROWS]

# What the reference lists: 4A to 4F, and the transaction table 1D.
REFERENCE = (
    *(f"N{number:02d}" for number in range(1, 27)),
    *(f"N{number:02d}" for number in range(30, 56)),
    *(f"N{number:02d}" for number in range(60, 74)),
    *(f"N{number:02d}" for number in range(80, 97)),
    *(f"N{number}" for number in range(100, 119)),
    *(f"N{number}" for number in range(120, 129)),
    *(f"1D-{number}" for number in range(1, 13)),
)


def _conversations() -> dict[str, str]:
    return {id_: test for table in TABLES for id_, test in getattr(table, "CONVERSATIONS", {}).items()}


def test_no_row_is_missing() -> None:
    covered = {row.id for row in ROWS} | set(_conversations())
    assert set(REFERENCE) == covered


@pytest.mark.parametrize(("row_id", "test"), sorted(_conversations().items()))
def test_rows_that_are_conversations_have_their_test(row_id: str, test: str) -> None:
    assert callable(getattr(test_conversations, test, None)), f"{row_id} names a test that is not there"


def test_no_case_is_written_twice() -> None:
    names = [str(row) for row in ROWS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("row", [pytest.param(row, id=str(row)) for row in ROWS if not row.fresh])
def test_row(row: Row, bench_of_each: Bench) -> None:
    run(row, bench_of_each)


@pytest.mark.parametrize("row", [pytest.param(row, id=str(row)) for row in ROWS if row.fresh])
def test_row_in_a_lab_of_its_own(row: Row, fresh_bench_of_each: Bench) -> None:
    run(row, fresh_bench_of_each)
