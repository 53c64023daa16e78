"""What is tried before and after the cure: enrolling, or using the certificate one has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .seen import ClientSaw, Seen

if TYPE_CHECKING:
    from collections.abc import Callable

    from .stage import Stage


def observed(stage: Stage, attempt: Callable[[], ClientSaw], *, pki_view: bool = False) -> Seen:
    """Return what an attempt came to, at both ends; ``pki_view``: look at Enterprise PKI as well."""
    logbook = stage.lab.logbook()
    client = attempt()
    view = stage.pki_view() if pki_view else ()
    return Seen(client=client, server=logbook.logged(), pki_view=view)


def enrol(stage: Stage) -> Seen:
    """The device enrols."""
    return observed(stage, stage.device.enrol)


def verify(stage: Stage) -> Seen:
    """The device's certificate is verified as certutil -verify -urlfetch does."""
    return observed(stage, stage.device.verify, pki_view=True)
