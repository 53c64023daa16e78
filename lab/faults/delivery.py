"""Delivering an answer step by step, below HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .values import Reset, Send, Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.listeners import RawConnection

    from .values import HttpAnswer


def deliver(
    answer: HttpAnswer, connection: RawConnection, interrupted: Callable[[], bool] = lambda: False
) -> None:
    """Do what ``answer.delivery`` says, until done, or the client has gone, or waiting is to end."""
    if answer.delivery is None:
        raise ValueError("the answer is delivered as usual")
    connection.take_over()
    for step in answer.delivery(answer):
        if isinstance(step, Send):
            there = connection.send(step.octets)
        elif isinstance(step, Wait):
            there = connection.wait(step.seconds, interrupted)
        else:
            if isinstance(step, Reset):
                connection.reset()
            return
        if not there:
            return
