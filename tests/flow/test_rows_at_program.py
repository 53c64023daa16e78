"""The reference's tables once more, at ``python -m scep_server``: another HTTP server, the same answers.

All of 4A, which is about HTTP; of the other tables, which end in the same code, one case of each row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flow import rows_4a
from flow.program import ProgramStand
from flow.test_rows import ROWS
from forge.bench import Bench, Log
from forge.keys import KeyPool
from forge.table import Row, Status, run

# A head that is longer than the HTTP server takes: it says so before anybody looks at the path.
TOO_LONG = {"N23-1-MB": Status(431), "N128-1000000-escapes": Status(431)}
FIRST_CASES = {row.id: row for row in reversed(ROWS)}.values()
CHOSEN = {str(row) for row in (*rows_4a.ROWS, *FIRST_CASES)} | TOO_LONG.keys()
AT_PROGRAM = [
    replace(row, expected=TOO_LONG.get(str(row), row.expected))
    for row in ROWS
    if str(row) in CHOSEN and not row.fresh
]


@pytest.fixture(scope="module")
def program_bench(tmp_path_factory: pytest.TempPathFactory, key_pool: KeyPool, log: Log) -> Iterator[Bench]:
    stand = ProgramStand(tmp_path_factory.mktemp("program"))
    yield Bench(stand, key_pool, log)
    stand.close()


@pytest.mark.parametrize("row", [pytest.param(row, id=str(row)) for row in AT_PROGRAM])
def test_row(row: Row, program_bench: Bench) -> None:
    run(row, program_bench)
