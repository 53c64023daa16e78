"""What tests of a running lab's journal do: be refused, and run `ndes-lab journal`."""

from __future__ import annotations

from typing import Any

from click.testing import CliRunner, Result
from lab_client import client_of, order

from lab import ScepLab
from lab.client import Refused
from lab.commands import main

WRONG = "a-challenge-that-nobody-made"


def run(scep_lab: ScepLab, *words: str, **options: Any) -> Result:
    words = words if "--data-dir" in words else (*words, "--admin-url", scep_lab.admin_url)
    return CliRunner().invoke(main, ["journal", *words], **options)


def refused(scep_lab: ScepLab, subject: str = "CN=mine") -> None:
    outcome = client_of(scep_lab).enrol(order(subject, challenge=WRONG, key=1))
    assert isinstance(outcome, Refused)
