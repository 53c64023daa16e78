"""Who may log on at mscep_admin, and what they may do there."""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ca.templates import permitted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ca.templates import TemplateSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Someone who may log on. ``enroll`` False takes every Enroll permission away."""

    name: str
    password: str = field(repr=False)
    groups: tuple[str, ...] = ()
    enroll: bool = True

    def may_enroll(self, templates: TemplateSet, names: Iterable[str]) -> bool:
        """Tell whether all templates of these names are issued here and grant this account Enroll."""
        if not self.enroll:
            return False
        found = [templates.find(name) for name in names]
        return all(
            template is not None
            and template.published
            and any(permitted(principal, template.security.enroll) for principal in (self.name, *self.groups))
            for template in found
        )


class Accounts:
    """The local accounts, found by name as Windows finds them.

    A domain before the name or a realm behind it is whatever the client's user typed; a server that is
    in no domain takes its own account of that name, and so does this one.
    """

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._accounts = {account.name.lower(): account for account in accounts}

    def find(self, name: str) -> Account | None:
        """Return the account a client means: its name plain, after a domain, or before a realm."""
        return self._accounts.get(bare_name(name).lower())

    def log_on_basic(self, credentials: str) -> Account | None:
        """Return the account whose name and password Basic ``credentials`` hold (RFC 7617 2)."""
        try:
            octets = base64.b64decode(credentials.strip(), validate=True)
        except (binascii.Error, ValueError):
            return None
        name, colon, password = octets.partition(b":")
        account = self.find(_text(name))
        expected = b"" if account is None else account.password.encode()
        good = hmac.compare_digest(_text(password).encode(), expected)
        return account if good and colon and account is not None else None


def bare_name(name: str) -> str:
    """Return an account's name without domain and realm."""
    return name.rpartition("\\")[2].partition("@")[0]


def _text(octets: bytes) -> str:
    """Return what a browser typed: UTF-8, else latin-1 (RFC 7617 2.1)."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")
