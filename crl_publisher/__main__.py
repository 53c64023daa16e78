"""The command line: ``python -m crl_publisher``."""

from ca.process.program import Program, command

from .errors import PublicationRefused
from .program import CrlPublisherSettings
from .serving import PublisherStanding, application

if __name__ == "__main__":
    command(
        Program(
            name="crl_publisher",
            settings=CrlPublisherSettings,
            application=application,
            standing=PublisherStanding,
            mistakes=(PublicationRefused,),
        )
    )()
