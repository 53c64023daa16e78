"""How a PKI is: every certificate and location looked at, in the words of Microsoft's Enterprise PKI.

Lives here: what is looked at (`subjects`), looking (`examine`), what was found (`report`), and what is
made of it: a web page, metrics, alerts. Does not live here: judging chains (`lab.trust`), which takes long
to load, and so each name is loaded when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .report import HealthReport, HealthRow, HealthWord
    from .subjects import AuthoritySubject, PkiSubjects, RaSubject, subjects_of_folder

__all__ = [
    "AuthoritySubject",
    "HealthReport",
    "HealthRow",
    "HealthWord",
    "PkiSubjects",
    "RaSubject",
    "subjects_of_folder",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "report" if name.startswith("Health") else "subjects"
    return getattr(importlib.import_module(f".{module}", __name__), name)
