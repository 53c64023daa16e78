"""How a world was at one moment, kept in memory: database, files, and what it was made of.

Coming back to it takes milliseconds, because keys and certificates stay as they were opened and only
what has changed is written.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from scep_server.ndes.logs import logs_folder

from .folder_image import FolderImage
from .journal.settings import journal_folder

if TYPE_CHECKING:
    from .world import World


class Beginning:
    """How ``world`` is now, once the service is loaded.

    Its logs and its journal are not part of it: they begin anew.

    Raises:
        StoreUnavailable, OSError: database or folder cannot be read.

    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._logs = logs_folder(world.folder.path)
        apart = {self._logs.name, journal_folder(world.folder.path).name}
        database = world.folder.store.name
        self._rows = world.store.contents()
        self._files = FolderImage(
            world.folder.path, leaves_out=lambda name: name in apart or name.startswith(database)
        )
        self._parts = [(part, dict(vars(part))) for part in (world, *world.authorities)]

    def restore(self) -> None:
        """Make the world as it was; nobody may be using it meanwhile.

        Raises:
            StoreUnavailable, OSError: database or folder cannot be written.
            RaUnusable: time has gone on, and the RA's certificates have ended.

        """
        self._world.unload()
        for part, attributes in self._parts:
            for name in vars(part).keys() - attributes.keys():
                delattr(part, name)
            vars(part).update(attributes)
        self._world.store.reset(self._rows)
        self._files.restore()
        shutil.rmtree(self._logs, ignore_errors=True)
        self._world.begin_again()
