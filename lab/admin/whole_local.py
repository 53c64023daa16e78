"""A lab in this process as a whole: its settings, its reset, a whole set of things at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ca.process.settings import LoadedSettings, effective_rows
from ca.records import CertificateFilter

from .controls import required
from .desk import DeskRefused, DeskUnavailable
from .plainly import plainly
from .populating import populate
from .whole import ResetView, SettingList

if TYPE_CHECKING:
    from lab.world import World

    from .controls import Controls
    from .whole import PopulatedView, PopulateOrder


class LocalWholeDesk:
    """Works on a running lab directly; without ``controls`` none runs."""

    def __init__(self, world: World, controls: Controls | None) -> None:
        self._world = world
        self._controls = controls

    def settings(self) -> SettingList:
        """Return the settings in force, secrets hidden."""
        origins = {} if self._controls is None else self._controls.origins
        rows = effective_rows(LoadedSettings(settings=self._world.settings, origins=origins))
        return SettingList.model_validate(
            {"settings": [{"name": row.name, "value": row.value, "origin": row.origin} for row in rows]}
        )

    def reset(self) -> ResetView:
        """Make the lab as it was when it had just started: same keys and URLs, no memory since."""
        from lab.gate import StillAnswering
        from lab.running import NotEphemeral  # which imports this desk

        controls = required(self._controls)
        try:
            with plainly():
                controls.reset()
        except NotEphemeral as error:
            raise DeskRefused(str(error)) from error
        except StillAnswering as error:
            raise DeskUnavailable(str(error)) from error
        with plainly(), self._world.store.reading() as transaction:
            now = self._world.clock.now()
            return ResetView(
                certificates=transaction.count_certificates(CertificateFilter(), now=now),
                challenges=len(transaction.challenges()),
            )

    def populate(self, order: PopulateOrder) -> PopulatedView:
        """Make a whole set of things be there, all or nothing; what is there already stays as it is."""
        return populate(self._world, required(self._controls), order)
