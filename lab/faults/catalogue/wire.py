"""Faults of HTTP and below: what happens to the octets of a request and of its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.faults.registry import ClientMust, Seam, fault
from lab.faults.values import HttpAnswer, Reset, Send

if TYPE_CHECKING:
    from lab.faults.tools import Tools


@fault(
    seam=Seam.WIRE,
    takes=HttpAnswer,
    clause="RFC 9112 9.6",
    client_must=ClientMust.RETRY,
    operations={"PKIOperation"},
)
def reset_within_headers(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """The connection is reset within the header section of a PKIOperation's answer.

    The server has worked on the request: whoever sends it again gets the same certificate.
    """
    del tools
    return answer.delivered(
        "reset within the headers", lambda whole: (Send(whole.head()[: len(whole.head()) // 2]), Reset())
    )
