"""The templates of a world in this process, or of a folder that no process serves."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ca.process.wording import described
from ca.templates import BadTemplate, Template, TemplateSet, read_template

from .desk import DeskRefused, DeskUnavailable, Invalid, NotFound
from .templates import TemplateChange, TemplateView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.world import World

    from .controls import Controls
    from .templates import TemplateText

changing_templates = threading.Lock()
_CHANGES = tuple(TemplateChange.model_fields)


class LocalTemplateDesk:
    """Works on a world directly. Without ``controls`` none runs, and nothing that is changed would last."""

    def __init__(self, world: World, controls: Controls | None) -> None:
        self._world = world
        self._controls = controls

    def list(self) -> Sequence[TemplateView]:
        """Return all templates, by name."""
        stored = self._stored()
        return [self._view(template, stored) for template in self._world.authority.templates]

    def show(self, name: str) -> TemplateView:
        """Return one template."""
        return self._view(find_template(self._world.authority.templates, name), self._stored())

    def change(self, name: str, change: TemplateChange) -> TemplateView:
        """Change a template."""
        with changing_templates:
            return self._replace(changed(find_template(self._world.authority.templates, name), change))

    def put(self, name: str, text: TemplateText) -> TemplateView:
        """Add a template, or replace the one of its name."""
        with changing_templates:
            return self._replace(template_of(name, text))

    def _replace(self, template: Template) -> TemplateView:
        if self._controls is None:
            raise DeskRefused(
                f"no lab runs on this folder: write {self._world.folder.templates / template.name}.toml, "
                "or name the running lab instead"
            )
        use_templates(self._world, self._world.authority.templates.having(template))
        return self.show(template.name)

    def _stored(self) -> TemplateSet:
        try:
            return TemplateSet.load(self._world.folder.templates)
        except (BadTemplate, OSError) as error:
            raise DeskUnavailable(f"the templates in the folder cannot be read: {error}") from error

    @staticmethod
    def _view(template: Template, stored: TemplateSet) -> TemplateView:
        return TemplateView.of(template, changed=stored.find(template.name) != template)


def find_template(templates: TemplateSet, name: str) -> Template:
    """Return a template, published or not; raises NotFound."""
    found = templates.find(name)
    if found is None:
        known = ", ".join(template.name for template in templates)
        raise NotFound(f"there is no template {name!r}; known: {known}")
    return found


def use_templates(world: World, templates: TemplateSet) -> None:
    """Have the CA, under each of its keys, go by other templates from the next request on."""
    for authority in world.authorities:
        authority.templates = templates


def changed(template: Template, change: TemplateChange) -> Template:
    """Return a template with what is to be another way; raises Invalid for what no template can be."""
    values = template.model_dump()
    wanted = {name: value for name in _CHANGES if (value := getattr(change, name)) is not None}
    tabs: dict[str, dict[str, Any]] = {
        "security": {"enroll": "enroll"},
        "issuance_requirements": {"manager_approval": "ca_certificate_manager_approval"},
        "cryptography": {"minimal_key_size": "minimal_key_size"},
    }
    for tab, names in tabs.items():
        values[tab] |= {names[name]: wanted.pop(name) for name in names if name in wanted}
    try:
        return Template.model_validate(values | wanted)
    except ValidationError as error:
        raise Invalid(f"template {template.name}: {described(error, 'template', Template)}") from error


def template_of(name: str, text: TemplateText) -> Template:
    """Return the template in a text; raises Invalid."""
    try:
        return read_template(name, text.toml, f"template {name}")
    except BadTemplate as error:
        raise Invalid(str(error)) from error
