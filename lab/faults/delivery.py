"""Delivering an answer step by step, below HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .values import Reset, Send, Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.listeners import RawConnection

    from .values import HttpAnswer, WireStep


def deliver(
    answer: HttpAnswer, connection: RawConnection, interrupted: Callable[[], bool] = lambda: False
) -> None:
    """Do what ``answer.delivery`` says, until done, or the client has gone, or waiting is to end."""
    if answer.delivery is None:
        raise ValueError("the answer is delivered as usual")
    with connection.taken_over():
        for step in answer.delivery(answer):
            if interrupted() or not _do(step, connection, interrupted):
                return


def _do(step: WireStep, connection: RawConnection, interrupted: Callable[[], bool]) -> bool:
    """Do one step; tell whether there is a next one."""
    if isinstance(step, Send):
        return connection.send(step.octets)
    if isinstance(step, Wait):
        return connection.wait(step.seconds, interrupted)
    if isinstance(step, Reset):
        connection.reset()
    return False
