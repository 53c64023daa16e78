"""Run a lab: challenges, certificates, requests, CRLs.

Lives here: the desk as a protocol (`desk`), at it directly (`local`) or over HTTP (`remote`), the
models both speak (`models`), and the management listener's web application (`app`), which is never
mounted on the product's. Does not live here: what the words on a terminal look like.
"""

from .desk import Desk, DeskRefused, DeskUnavailable, Invalid, NotFound

__all__ = ["Desk", "DeskRefused", "DeskUnavailable", "Invalid", "NotFound"]
