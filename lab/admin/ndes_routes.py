"""The management API's paths about NDES: ``/api/v1/ndes/...``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request

from .answering import body_of, many, one
from .desk import Invalid, NotFound
from .ndes import ROLES, RaOrder, RaReplacement

if TYPE_CHECKING:
    from flask import Flask, Response

    from .desk import Desk
    from .ndes import RoleName

_BASE = "/api/v1/ndes"


def add_ndes(app: Flask, desk: Desk) -> None:
    """Add the paths to the management application."""

    @app.get(f"{_BASE}/events")
    def ndes_events() -> Response:
        return many("events", desk.ndes.events(_after()))

    @app.get(f"{_BASE}/log")
    def ndes_log() -> Response:
        return many("lines", desk.ndes.log(_after()))

    @app.get(f"{_BASE}/trace")
    def ndes_trace() -> Response:
        return many("lines", desk.ndes.trace(_after()))

    @app.get(f"{_BASE}/ra")
    def ra_certificates() -> Response:
        return many("certificates", desk.ndes.ra_certificates())

    @app.post(f"{_BASE}/ra/<role>/issue")
    def issue_ra(role: str) -> Response:
        return one(desk.ndes.issue_ra(_role(role), body_of(RaOrder)), 201)

    @app.post(f"{_BASE}/ra/<role>/renew")
    def renew_ra(role: str) -> Response:
        return one(desk.ndes.renew_ra(_role(role), body_of(RaOrder)), 201)

    @app.post(f"{_BASE}/ra/<role>/replace")
    def replace_ra(role: str) -> Response:
        return one(desk.ndes.replace_ra(_role(role), body_of(RaReplacement)), 201)

    @app.post(f"{_BASE}/recycle")
    def recycle() -> Response:
        desk.ndes.recycle()
        return many("events", desk.ndes.events()[-1:])


def _after() -> int:
    text = request.args.get("after", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Invalid(f"after is {text[:20]!r}, expected the last number that was seen")
    return int(text)


def _role(text: str) -> RoleName:
    for role in ROLES:
        if text == role:
            return role
    raise NotFound(f"the RA has no {text[:20]!r} certificate; known: {', '.join(ROLES)}")
