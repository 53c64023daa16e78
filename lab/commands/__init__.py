"""The command ``ndes-lab``: words in, words out. What the words do lives elsewhere.

Every public module here is one command of the same name and is loaded only when it is used; modules
whose names begin with an underscore are shared between them.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib import metadata
from typing import Any

import click

from ._mistakes import CannotRun, users_mistakes

__all__ = ["CommandModules", "main"]


class CommandModules(click.Group):
    """A group whose commands are the public modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands."""
        return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run, turning what a user can put right into one sentence and exit status 2."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click ends quietly where nobody reads on, as head does
        except users_mistakes() as error:
            raise CannotRun(error) from error


@click.group(cls=CommandModules, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(metadata.version("ndes-lab"), prog_name="ndes-lab")
def main() -> None:
    """Run a complete NDES/SCEP chain for tests: offline root, issuing CA, challenges, CRL and AIA."""
