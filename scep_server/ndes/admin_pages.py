"""What mscep.dll's two directories show to whom, and the calls that go to a policy module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ca.records import StoreUnavailable
from scep_server.exchange import HttpReply, Operation

from . import iis, pages
from .password_cache import CacheFull, NoFreshPassword
from .policy_host import PolicyModuleFailed
from .virtual_directories import parameter

if TYPE_CHECKING:
    from ca.templates import TemplateSet
    from scep_server.exchange import HttpExchangeRequest

    from .accounts import Account
    from .events_sink import EventSink
    from .password_cache import PasswordCache
    from .policy_host import PolicyHost
    from .registry import NdesRegistry

NO_ENROLL_PERMISSION: Final = 6
CANNOT_MAKE_PASSWORD: Final = 44
GENERATE_CHALLENGE: Final = "ndesgeneratechallenge"
THUMBPRINT: Final = "ndesgetcacertthumbprint"
_KEY_ENCIPHERMENT: Final = 0x20
_DIGITAL_SIGNATURE: Final = 0x80
_E_FAIL: Final = "0x80004005"
_SCEP: Final = frozenset(operation.value.lower() for operation in Operation)


class AdminPages:
    """Writes the pages.

    Args:
        registry: the settings that pages quote.
        cache: where passwords are made.
        templates: those of the CA, for the Enroll permission.
        root_md5: MD5 thumbprint of the trust anchor, in hex.
        admin_path: path of the password directory.
        computer_name: host in the admin URL; empty: the one that was asked.
        byte_order_mark: whether pages begin with one.
        events: where a refused password is written.

    """

    def __init__(
        self,
        *,
        registry: NdesRegistry,
        cache: PasswordCache,
        templates: TemplateSet,
        root_md5: str,
        admin_path: str,
        computer_name: str,
        byte_order_mark: bool,
        events: EventSink,
    ) -> None:
        self._registry = registry
        self._cache = cache
        self._templates = templates
        self._root_md5 = root_md5
        self._admin_path = admin_path
        self._computer_name = computer_name
        self._byte_order_mark = byte_order_mark
        self._events = events

    @staticmethod
    def is_scep(operation: str | None) -> bool:
        """Tell whether SCEP has an operation of this name."""
        return operation is not None and operation.lower() in _SCEP

    def information(self, request: HttpExchangeRequest) -> HttpReply:
        """Return the page that a browser gets from mscep.dll."""
        host = self._computer_name or request.host or "localhost"
        return self._page(pages.information_page(admin_url=f"http://{host}{self._admin_path}"))

    def password(self, request: HttpExchangeRequest, account: Account) -> HttpReply:
        """Return the page for a user of mscep_admin: a password, or why there is none.

        Nothing is made for a HEAD.
        """
        if not self._may_enroll(account):
            return self._page(pages.no_permission_page())
        if request.method == "HEAD":
            return self._page("")
        registry = self._registry
        try:
            password = self._cache.next_password()
        except CacheFull:
            return self._cache_full()
        except (NoFreshPassword, StoreUnavailable, OSError) as error:
            return self._no_password(error)
        page = pages.PasswordPage(
            root_md5=self._root_md5,
            password=password,
            validity_minutes=registry.PasswordValidity,
            mode=registry.mode,
        )
        return self._page(pages.password_page(page))

    def module_call(
        self, request: HttpExchangeRequest, operation: str, account: Account, host: PolicyHost
    ) -> HttpReply | None:
        """Answer NDESGenerateChallenge and NDESGetCACertThumbprint; None: it is neither.

        That the answer is the bare value as plain text is *unconfirmed*.
        """
        if operation.lower() == THUMBPRINT:
            return _plain(pages.grouped_thumbprint(self._root_md5).replace(" ", ""))
        if operation.lower() != GENERATE_CHALLENGE:
            return None
        if not self._may_enroll(account):
            return self._page(pages.no_permission_page())
        template = self._template(parameter(request.query, "keyUsage") or "")
        if template is None or request.method == "HEAD":
            return _plain("") if template is not None else iis.error_reply(iis.INTERNAL)
        try:
            return _plain(host.generate_challenge(template, parameter(request.query, "params") or ""))
        except CacheFull:
            return self._cache_full()
        except PolicyModuleFailed:
            return iis.error_reply(iis.INTERNAL)

    def _may_enroll(self, account: Account) -> bool:
        registry = self._registry
        names = (registry.SignatureTemplate, registry.EncryptionTemplate, registry.GeneralPurposeTemplate)
        if account.may_enroll(self._templates, names):
            return True
        self._events.write(NO_ENROLL_PERMISSION)
        return False

    def _template(self, key_usage: str) -> str | None:
        """Return the template for KeyUsage bits, decimal or 0x-hexadecimal; None: they are no number."""
        registry = self._registry
        if not key_usage:
            return registry.GeneralPurposeTemplate
        try:
            bits = int(key_usage[:12], 0)
        except ValueError:
            return None
        wanted = bits & (_DIGITAL_SIGNATURE | _KEY_ENCIPHERMENT)
        by_bits = {
            _DIGITAL_SIGNATURE: registry.SignatureTemplate,
            _KEY_ENCIPHERMENT: registry.EncryptionTemplate,
        }
        return by_bits.get(wanted, registry.GeneralPurposeTemplate)

    def _cache_full(self) -> HttpReply:
        registry = self._registry
        return self._page(
            pages.cache_full_page(
                password_max=registry.PasswordMax, validity_minutes=registry.PasswordValidity
            )
        )

    def _no_password(self, error: Exception) -> HttpReply:
        reason = str(error) if isinstance(error, NoFreshPassword) else type(error).__name__
        self._events.write(CANNOT_MAKE_PASSWORD, error_code=_E_FAIL, error_message=reason)
        return iis.error_reply(iis.INTERNAL)

    def _page(self, text: str) -> HttpReply:
        return HttpReply(
            status=200,
            content_type=pages.PAGE_CONTENT_TYPE,
            body=pages.encode_page(text, byte_order_mark=self._byte_order_mark),
            headers=(iis.NO_STORE,),
        )


def _plain(text: str) -> HttpReply:
    return HttpReply(status=200, content_type="text/plain", body=text.encode(), headers=(iis.NO_STORE,))
