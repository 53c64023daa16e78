"""Of two processes one signs CRLs when they are due; killed, it is followed by the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

from flow.process import UpProcess
from flow.replicas import rows

from lab.running import RunningLab
from lab.settings import LabSettings

BASES = "SELECT number FROM crls WHERE kind = 'base' ORDER BY number"


class SetClock:
    def __init__(self) -> None:
        self.instant = datetime.now(UTC)

    def now(self) -> datetime:
        return self.instant


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = monotonic() + 30
    while not holds():
        assert monotonic() < deadline, "it did not come to that"
        sleep(0.001)


def publish_after(running: RunningLab, clock: SetClock, time: timedelta) -> None:
    """Move the clock, and wait until the lab has published what it publishes then."""
    clock.instant += time
    running.look_at_the_clock()
    wait_until(lambda: running.publisher_state.last_success == clock.instant)


def test_publisher_that_is_killed_is_followed_by_the_one_that_stood_by(
    tmp_path: Path, database_url: str
) -> None:
    on_duty = UpProcess(tmp_path / "data", tmp_path / "up.log", settings={"PKI__DATABASE_URL": database_url})
    settings = LabSettings.model_validate(
        {
            "server": {"port": 0, "pki_port": 0},
            "admin": {"port": 0},
            "pki": {"database_url": database_url},
        }
    )
    clock = SetClock()
    standing_by = RunningLab(settings, tmp_path / "data", clock=clock, entropy=os.urandom)
    try:
        before = rows(database_url, BASES)
        publish_after(standing_by, clock, timedelta(days=8))
        assert rows(database_url, BASES) == before, "signed while standing by"
        assert not standing_by.publisher_state.on_duty
        on_duty.kill()
        wait_until(lambda: standing_by.world.store.publishing.take())  # once the server has noticed as well
        publish_after(standing_by, clock, timedelta(seconds=10))
        assert rows(database_url, BASES) == [*before, (before[-1][0] + 1,)]
        assert standing_by.publisher_state.on_duty
    finally:
        standing_by.stop()
        on_duty.process.kill()
