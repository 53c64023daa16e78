"""What shows the faults of issued certificates: what openssl reads in the reply, and what it verifies."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography.x509 import load_der_x509_certificate
from forge import openssl, wire

from faults.evidence import shows
from faults.pkix import ALTERNATIVE_NAME, Bag, brought, enrolled, issued, real, shown, verified

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.stand import Sent, Side

_UNKNOWN = "1.3.6.1.4.1.32473.1.1:"
_TEMPLATE = bytes.fromhex("2b0601040181fd590201")  # 1.3.6.1.4.1.32473.2.1


def _text(fault_id: str, holds: Callable[[str], bool]) -> None:
    """Register a look at ``openssl x509 -text`` of the issued certificate."""
    shows(fault_id)(lambda side: holds(issued(side).text))


def _own_key(sent: Sent) -> str:
    return openssl.run("pkey", "-pubout", stdin=sent.key.pem).decode()


# -- for whom ----------------------------------------------------------------------------


@shows("certificate::for-another-key")
def _(side: Side) -> bool:
    sent = enrolled(side)
    (certificate,) = shown(sent.issued_pem())
    assert not verified(side, certificate)
    return certificate.public_key != _own_key(sent)


_text("certificate::weak-key", lambda text: "Public-Key: (1024 bit)" in text)
_text("certificate::for-another-subject", lambda text: "Subject: CN = Somebody Else\n" in text)
shows("certificate::empty-subject")(lambda side: issued(side).subject == "")
_text("certificate::subject-in-capitals", lambda text: "Subject: O = STAND, CN = LOOK\n" in text)
_text("certificate::common-name-alone", lambda text: "Subject: CN = look\n" in text)
_text("certificate::subject-reordered", lambda text: "Subject: CN = look, O = Stand\n" in text)


@shows("certificate::subject-in-other-strings")
def _(side: Side) -> bool:
    return re.search(r"prim: PRINTABLESTRING +:look\n", issued(side).parsed) is not None


# -- for how long ------------------------------------------------------------------------


@shows("certificate::expired")
def _(side: Side) -> bool:
    return "certificate has expired" in verified(side, issued(side))


@shows("certificate::not-yet-valid")
def _(side: Side) -> bool:
    return "certificate is not yet valid" in verified(side, issued(side))


@shows("certificate::too-short")
def _(side: Side) -> bool:
    certificate = issued(side)
    return certificate.end - certificate.begin == timedelta(seconds=60)


@shows("certificate::outlives-ca")
def _(side: Side) -> bool:
    certificate = issued(side)
    assert not verified(side, certificate)
    return certificate.end - real(side.scep_lab.world.authority.certificate.der).end == timedelta(days=365)


_text("certificate::without-expiry", lambda text: "Not After : Dec 31 23:59:59 9999 GMT" in text)


# -- number and version ------------------------------------------------------------------


@shows("certificate::negative-serial")
def _(side: Side) -> bool:
    return issued(side).serial.startswith("-")


@shows("certificate::huge-serial")
def _(side: Side) -> bool:
    return len(issued(side).serial) == 80  # digits


@shows("certificate::version-1")
def _(side: Side) -> bool:
    certificate = issued(side)
    assert not verified(side, certificate)
    return "Version: 1 (0x0)" in certificate.text and "X509v3" not in certificate.text


@shows("certificate::serial-used-twice")
def _(side: Side) -> bool:
    (signing,) = (one for one in Bag(side).ras if "Digital Signature" in one.text)
    certificate = issued(side)
    assert not verified(side, certificate)
    return (certificate.serial, certificate.issuer) == (signing.serial, signing.issuer)


# -- extensions --------------------------------------------------------------------------


_text("certificate::without-extended-key-usage", lambda text: "Extended Key Usage" not in text)
_text(
    "certificate::wrong-extended-key-usage",
    lambda text: "Code Signing" in text and "TLS Web Client Authentication" not in text,
)
_text("certificate::without-key-usage", lambda text: "X509v3 Key Usage" not in text)
_text(
    "certificate::wrong-key-usage",
    lambda text: "Data Encipherment" in text and "Digital Signature" not in text,
)
_text("certificate::ca-true", lambda text: "CA:TRUE" in text)
_text("certificate::without-alternative-names", lambda text: "Subject Alternative Name" not in text)
_text(
    "certificate::foreign-alternative-name",
    lambda text: "DNS:somebody-else.example" in text and ALTERNATIVE_NAME not in text,
)
_text("certificate::unknown-critical-extension", lambda text: f"{_UNKNOWN} critical" in text)
_text("certificate::unknown-extension", lambda text: _UNKNOWN in text and f"{_UNKNOWN} critical" not in text)
_text("certificate::without-authority-key-id", lambda text: "Authority Key Identifier" not in text)
_text(
    "certificate::without-revocation-information",
    lambda text: "CRL Distribution Points" not in text and "Authority Information Access" not in text,
)
_text("certificate::dead-locations", lambda text: text.count("URI:http://127.0.0.1:9/nobody-is-here") == 3)
shows("certificate::wrong-template")(lambda side: _TEMPLATE in issued(side).der)
shows("certificate::extension-twice")(
    lambda side: issued(side).text.count("X509v3 Subject Key Identifier") == 2
)


@shows("certificate::empty-extended-key-usage")
def _(side: Side) -> bool:
    pattern = r":X509v3 Extended Key Usage\n.*OCTET STRING +\[HEX DUMP\]:3000\n"
    return re.search(pattern, issued(side).parsed) is not None


@shows("certificate::wrong-authority-key-id")
def _(side: Side) -> bool:
    (issuing,) = Bag(side).issuing
    certificate = issued(side)
    signer = load_der_x509_certificate(issuing.der)
    load_der_x509_certificate(certificate.der).verify_directly_issued_by(signer)
    return certificate.key_id("Authority") not in ("", issuing.key_id("Subject"))


# -- signatures --------------------------------------------------------------------------


@shows("certificate::from-another-issuer")
def _(side: Side) -> bool:
    certificate = issued(side)
    return "Another Issuing CA" in certificate.issuer and "unable to get" in verified(side, certificate)


@shows("certificate::from-next-ca-key")
def _(side: Side) -> bool:
    (issuing,) = Bag(side).issuing
    certificate = issued(side)
    is_other = certificate.key_id("Authority") not in ("", issuing.key_id("Subject"))
    return is_other and certificate.issuer == issuing.subject and bool(verified(side, certificate))


@shows("certificate::signed-by-another-key")
def _(side: Side) -> bool:
    (issuing,) = Bag(side).issuing
    certificate = issued(side)
    assert certificate.key_id("Authority") == issuing.key_id("Subject")
    return "certificate signature failure" in verified(side, certificate)


@shows("certificate::signature-scratched")
def _(side: Side) -> bool:
    certificate = issued(side)
    mended = real(certificate.der[:-1] + bytes((certificate.der[-1] ^ 1,)))
    return "certificate signature failure" in verified(side, certificate) and not verified(side, mended)


@shows("certificate::algorithms-disagree")
def _(side: Side) -> bool:
    within, outside = issued(side).algorithms
    return (within, outside) == ("sha512WithRSAEncryption", "sha256WithRSAEncryption")


@shows("certificate::sha1-signature")
def _(side: Side) -> bool:
    certificate = issued(side)
    assert not verified(side, certificate)
    return certificate.algorithms == ["sha1WithRSAEncryption"] * 2


@shows("certificate::md5-signature")
def _(side: Side) -> bool:
    return issued(side).algorithms == ["md5WithRSAEncryption"] * 2


# -- what the reply brings ---------------------------------------------------------------


def _content(side: Side) -> str:
    """Return ``openssl pkcs7 -print_certs`` of the envelope's content."""
    return enrolled(side).issued_pem().decode()


def _names(side: Side) -> list[str]:
    return [one.subject.rpartition("CN = ")[2].partition(",")[0] for one in brought(side)]


@shows("certificate::no-certificate")
def _(side: Side) -> bool:
    return "BEGIN" not in _content(side)


@shows("certificate::ca-certificate-instead")
def _(side: Side) -> bool:
    return _names(side) == ["NDES Lab Test Issuing CA"]


@shows("certificate::crl-instead")
def _(side: Side) -> bool:
    content = _content(side)
    return "BEGIN X509 CRL" in content and "BEGIN CERTIFICATE" not in content


@shows("certificate::crl-besides")
def _(side: Side) -> bool:
    content = _content(side)
    return "BEGIN X509 CRL" in content and content.count("BEGIN CERTIFICATE") == 1


@shows("certificate::rubbish-instead")
def _(side: Side) -> bool:
    opened = enrolled(side).opened()
    try:
        openssl.run("pkcs7", "-print_certs", "-inform", "DER", stdin=opened)
    except openssl.Refused:
        return b"\xa0\x02\x30\x00" in opened  # certificates [0]
    return False


@shows("certificate::two-certificates")
def _(side: Side) -> bool:
    sent = enrolled(side)
    keys = [one.public_key == _own_key(sent) for one in shown(sent.issued_pem())]
    return keys == [False, True]


@shows("certificate::two-for-one-key")
def _(side: Side) -> bool:
    sent = enrolled(side)
    found = shown(sent.issued_pem())
    return len({one.serial for one in found}) == 2 and {one.public_key for one in found} == {_own_key(sent)}


@shows("certificate::chain-included")
def _(side: Side) -> bool:
    return _names(side) == ["look", "NDES Lab Test Issuing CA", "NDES Lab Test Root CA"]


@shows("certificate::chain-from-the-top")
def _(side: Side) -> bool:
    return _names(side) == ["NDES Lab Test Root CA", "NDES Lab Test Issuing CA", "look"]


@shows("certificate::revoked-at-birth")
def _(side: Side) -> bool:
    certificate = issued(side)
    found = re.search(r"CRL Distribution Points:.*?URI:(\S+)", certificate.text, re.S)
    assert found is not None
    crl = openssl.run("crl", "-inform", "DER", "-noout", "-text", stdin=wire.get(found[1], "").body).decode()
    return f"Serial Number: {certificate.serial}\n" in crl
