"""What a user or an administrator can put right: told in one sentence, without a stack trace."""

from __future__ import annotations

import sys

import click

_MISTAKES = (
    ("ca.errors", "CaError"),
    ("ca.folders", "FolderError"),
    ("ca.keys", "UnusableKey"),
    ("ca.records", "StoreUnavailable"),
    ("ca.store.transfer", "TransferRefused"),
    ("ca.templates", "BadTemplate"),
    ("crl_publisher.errors", "PublicationRefused"),
    ("lab.admin.desk", "DeskError"),
    ("lab.lab_listeners", "NotAnswering"),
    ("lab.listeners", "ListenerError"),
    ("lab.ready", "UnusableReadyFile"),
    ("lab.revocation_list", "BadRevocationList"),
    ("ca.process.settings", "UnusableSettings"),
    ("pydantic_core", "ValidationError"),  # of an order: arguments are what models are made from here
    ("scep_server.ra_standing", "RaUnusable"),
)


class CannotRun(click.ClickException):
    """The command could not run; exit status 2."""

    exit_code = 2

    def __init__(self, error: BaseException) -> None:
        super().__init__(sentence(error))


def users_mistakes() -> tuple[type[Exception], ...]:
    """Return the exceptions that mean so, of the modules that are loaded: others cannot have raised."""
    loaded = ((sys.modules.get(module), name) for module, name in _MISTAKES)
    return (OSError, *(getattr(module, name) for module, name in loaded if module is not None))


def sentence(error: BaseException) -> str:
    """Return what happened, on one line."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(error, pydantic.ValidationError):
        from ca.process.wording import described

        return described(error, error.title)
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
