"""The command line: ``python -m scep_server``."""

from ca.process.program import Program, command

from .program import ScepServerSettings
from .ra_standing import RaUnusable
from .serving import ScepStanding, application

if __name__ == "__main__":
    command(
        Program(
            name="scep_server",
            settings=ScepServerSettings,
            application=application,
            standing=ScepStanding,
            mistakes=(RaUnusable,),
        )
    )()
