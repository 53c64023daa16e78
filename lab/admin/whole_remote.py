"""A running lab as a whole, over its management listener."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .operations import whole

if TYPE_CHECKING:
    from .asking import Ask
    from .whole import PopulatedView, PopulateOrder, ResetView, SettingList


class RemoteWholeDesk:
    """Has ``ask`` perform the operations."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def settings(self) -> SettingList:
        """Return the settings in force, secrets hidden."""
        return self._ask(whole.list_settings)

    def reset(self) -> ResetView:
        """Make the lab as it was when it had just started: same keys and URLs, no memory since."""
        return self._ask(whole.reset)

    def populate(self, order: PopulateOrder) -> PopulatedView:
        """Make a whole set of things be there, all or nothing; what is there already stays as it is."""
        return self._ask(whole.populate, body=order)
