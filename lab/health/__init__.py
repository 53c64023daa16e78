"""How a PKI is: every certificate and location looked at, in the words of Microsoft's Enterprise PKI.

Lives here: what is looked at (`subjects`), looking (`examine`), what was found (`report`), and what is
made of it: a web page, metrics, alerts. Does not live here: judging chains (`lab.trust`).
"""

from .examine import examine
from .report import HealthReport, HealthRow, HealthWord
from .subjects import AuthoritySubject, PkiSubjects, RaSubject, subjects_of_folder

__all__ = [
    "AuthoritySubject",
    "HealthReport",
    "HealthRow",
    "HealthWord",
    "PkiSubjects",
    "RaSubject",
    "examine",
    "subjects_of_folder",
]
