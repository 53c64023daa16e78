"""The templates of a running lab, over its management listener."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .operations import templates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .asking import Ask
    from .templates import TemplateChange, TemplateText, TemplateView


class RemoteTemplateDesk:
    """Has ``ask`` perform the operations."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def list(self) -> Sequence[TemplateView]:
        """Return all templates, by name."""
        return self._ask(templates.list_templates).templates

    def show(self, name: str) -> TemplateView:
        """Return one template."""
        return self._ask(templates.show_template, name=name)

    def change(self, name: str, change: TemplateChange) -> TemplateView:
        """Change a template."""
        return self._ask(templates.change_template, body=change, name=name)

    def put(self, name: str, text: TemplateText) -> TemplateView:
        """Add a template, or replace the one of its name."""
        return self._ask(templates.put_template, body=text, name=name)
