"""What scenarios are written with, and what plays them.

Here are the words that a scenario's file uses. `run` plays one in a lab of its own, `report`, `document`
and `junit` put it into words. Does not live here: any scenario.
"""

from .attempts import enrol, observed, verify
from .device import Password
from .scenario import Scenario, Sighting
from .seen import ClientSaw, Ending, Failure, Finding, Seen

__all__ = [
    "ClientSaw",
    "Ending",
    "Failure",
    "Finding",
    "Password",
    "Scenario",
    "Seen",
    "Sighting",
    "enrol",
    "observed",
    "verify",
]
