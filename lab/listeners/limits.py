"""What one client of a listener may cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerLimits:
    """What one client may cost: sizes in octets, times in seconds."""

    threads: int = 16
    header_octets: int = 128 * 1024  # a GET PKIOperation carries the whole message in its target
    body_octets: int = 4 * 1024 * 1024
    request_seconds: float = 30.0
    idle_seconds: float = 10.0
