"""What a user or an administrator can put right: told in one sentence, without a stack trace."""

from __future__ import annotations

import click


class CannotRun(click.ClickException):
    """The command could not run; exit status 2."""

    exit_code = 2

    def __init__(self, error: BaseException) -> None:
        super().__init__(sentence(error))


def users_mistakes() -> tuple[type[Exception], ...]:
    """Return the exceptions that mean so; imported only once something was raised."""
    from ca.errors import CaError
    from ca.folders import FolderError
    from ca.keys import UnusableKey
    from ca.records import StoreUnavailable
    from ca.templates import BadTemplate
    from crl_publisher import PublicationRefused
    from lab.admin.desk import DeskError
    from lab.listeners import ListenerError
    from lab.ready import UnusableReadyFile
    from lab.running import NotAnswering
    from lab.settings import UnusableSettings

    return (
        BadTemplate,
        CaError,
        DeskError,
        FolderError,
        ListenerError,
        NotAnswering,
        OSError,
        PublicationRefused,
        StoreUnavailable,
        UnusableKey,
        UnusableReadyFile,
        UnusableSettings,
    )


def sentence(error: BaseException) -> str:
    """Return what happened, on one line."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
