"""Run a lab: challenges, certificates, templates, faults, clock, and the lab as a whole.

Lives here: the desk as a protocol (`desk`, and one module for each desk below it), at it directly
(`*local`) or over HTTP (`*remote`), the models both speak, and the management listener's web application
(`app`), which is never mounted on the product's. Each operation of that is declared once (`operations`);
routes, checks, OpenAPI, documentation, client and curl lines follow. Does not live here: what the words
on a terminal look like.
"""

from .desk import Desk, DeskRefused, DeskUnavailable, Invalid, NotFound

__all__ = ["Desk", "DeskRefused", "DeskUnavailable", "Invalid", "NotFound"]
