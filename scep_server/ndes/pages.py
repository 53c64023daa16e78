"""The pages of NDES: what mscep.dll shows to a browser and mscep_admin to an administrator.

The wording is protocol: MDM servers find the challenge password and the two refusals by it. The three
mscep_admin pages are known letter for letter (HTTP 200 in all three cases). Parts that no capture
shows are marked *unconfirmed* beside them.

Pages go out as UTF-16LE while their META says UTF-8; clients that read NDES decode them so. Whether a
byte order mark comes first is told differently by different sources, so it is a choice.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Final, Literal

PAGE_CONTENT_TYPE: Final = "text/html"
"""Without a charset, as NDES sends it."""

_PREFIX: Final = (
    '<HTML><Head><Meta HTTP-Equiv="Content-Type" Content="text/html; charset=UTF-8">'
    "<Title>Network Device Enrollment Service</Title></Head><Body BgColor=#FFFFFF>"
    '<Font ID=locPageFont Face="Arial"><Table Border=0 CellSpacing=0 CellPadding=4 Width=100% '
    'BgColor=#008080><TR><TD><Font ID=locPageTitleFont Face="Arial" Size=-1 Color=#FFFFFF>'
    "<LocID ID=locMSCertSrv>Network Device Enrollment Service</LocID></Font></TD></TR></Table>"
    "<P ID=locPageTitle> Network Device Enrollment Service allows you to obtain certificates for routers "
    "or other network devices using the Simple Certificate Enrollment Protocol (SCEP). </P>"
)
_SUFFIX: Final = (
    "<P ID=locPageDesc> For more information see  "
    "<A HREF=http://go.microsoft.com/fwlink/?LinkId=67852>Using Network Device Enrollment Service </A>. "
    "</P></Font></Body></HTML>"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordPage:
    """What the page with a challenge password quotes.

    root_md5: MD5 thumbprint of the trust anchor, 32 hex digits in any case.
    password: the challenge password; None where none is needed (EnforcePassword 0).
    validity_minutes: PasswordValidity; of no meaning in single-password mode.
    mode: "one-time" is known letter for letter; "single" and "none" are *unconfirmed*: no capture of
        the page with UseSinglePassword 1 or EnforcePassword 0 is known.
    """

    root_md5: str
    password: str | None
    validity_minutes: int = 60
    mode: Literal["one-time", "single", "none"] = "one-time"


def password_page(page: PasswordPage) -> str:
    """Return the text of the mscep_admin page that hands out a password."""
    thumbprint = grouped_thumbprint(page.root_md5)
    parts = [
        "<P> To complete certificate enrollment for your network device you will need the following "
        "information: ",
        f"<P> The thumbprint (hash value) for the CA certificate is: <B> {thumbprint} </B> ",
    ]
    if page.mode == "none":
        parts.append("<P> A challenge password is not required to enroll. </P> ")  # unconfirmed
        return _page("".join(parts))
    parts.append(f"<P> The enrollment challenge password is: <B> {html.escape(page.password or '')} </B> ")
    if page.mode == "single":
        parts.append(  # unconfirmed
            "<P> This password can be used multiple times and will not expire. </P> "
        )
        return _page("".join(parts))
    parts.append(
        f"<P> This password can be used only once and will expire within {page.validity_minutes} minutes. "
        "<P> Each enrollment requires a new challenge password. You can refresh this web page to obtain a "
        "new challenge password. </P> "
    )
    return _page("".join(parts))


def cache_full_page(*, password_max: int, validity_minutes: int) -> str:
    """Return the text of the mscep_admin page shown while PasswordMax passwords are unused.

    The captured page says 5 passwords and 60 minutes, the defaults; that other settings are quoted
    in their place is inferred.
    """
    return _page(
        "<P> The password cache is full. <P> Network Device Enrollment Service stores unused password for "
        f"later use. By default, passwords are stored for {validity_minutes} minutes.<P>Use one of the "
        "existing passwords. If you cannot use an existing password: <UL> <LI> Wait until one or more "
        f"existing passwords expire (by default passwords expire {validity_minutes} minutes after they are "
        "created). </LI> <LI> Restart Internet Information Services (IIS). </LI> <LI> Configure the service "
        f"to cache more than {password_max} passwords. </LI> </UL> </P> "
    )


def no_permission_page() -> str:
    """Return the text of the mscep_admin page for a user without Enroll on the templates (event 6)."""
    return _page(
        "<P> You do not have sufficient permission to enroll with SCEP.  Please contact your system "
        "administrator. </P> "
    )


def information_page(*, admin_url: str) -> str:
    """Return the text of the page that a browser gets from mscep.dll.

    Its sentences are known from screenshots; its markup is that of the mscep_admin pages, *unconfirmed*.
    """
    url = html.escape(admin_url)
    return _page(
        "<P> This URL is used by network devices to submit certificate requests. </P> "
        "<P> To obtain an enrollment challenge password, go to the admin URL. By default, the admin URL is "
        f'<A HREF="{url}">{url}</A> </P> '
    )


def encode_page(text: str, *, byte_order_mark: bool = False) -> bytes:
    """Return a page's octets: UTF-16LE, with a byte order mark where the settings ask for one."""
    return (b"\xff\xfe" if byte_order_mark else b"") + text.encode("utf-16-le")


def grouped_thumbprint(hexadecimal: str) -> str:
    """Return a thumbprint as NDES prints it: upper case, in groups of eight digits.

    The spaces keep pages that are searched for the first 16 hex digits from yielding the thumbprint.
    """
    digits = hexadecimal.upper()
    return " ".join(digits[start : start + 8] for start in range(0, len(digits), 8))


def _page(body: str) -> str:
    return _PREFIX + body + _SUFFIX
