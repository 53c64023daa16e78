"""Certificates as openssl shows them: those of GetCACert, and those that were issued."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from forge import openssl
from forge.asn1 import UTF8
from forge.certificates import CN, ORGANISATION, dns, name, rdn, subject_alt_name

if TYPE_CHECKING:
    from faults.stand import Sent, Side

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.S)
ALTERNATIVE_NAME = "look.example"


@dataclass(frozen=True)
class Shown:
    """One certificate."""

    pem: bytes

    @property
    def der(self) -> bytes:
        return b64decode(b"".join(self.pem.split(b"-----")[2].split()))

    @cached_property
    def text(self) -> str:
        return self._x509("-text")

    @property
    def subject(self) -> str:
        return self._line("Subject")

    @property
    def issuer(self) -> str:
        return self._line("Issuer")

    @property
    def public_key(self) -> str:
        return self._x509("-pubkey")

    @property
    def fingerprint(self) -> str:
        return self._x509("-fingerprint", "-sha1")

    @property
    def serial(self) -> str:
        text = self._x509("-serial").strip().removeprefix("serial=")
        return text.replace("\\\n", "")  # openssl folds long ones

    @property
    def begin(self) -> datetime:
        return self._date("-startdate")

    @property
    def end(self) -> datetime:
        return self._date("-enddate")

    @property
    def parsed(self) -> str:
        return openssl.run("asn1parse", "-inform", "DER", stdin=self.der).decode(errors="replace")

    @property
    def algorithms(self) -> list[str]:
        return re.findall(r"Signature Algorithm: (\S+)", self.text)

    def key_id(self, whose: str) -> str:
        """Return the Subject or Authority Key Identifier as hexadecimal digits, empty without one."""
        found = re.search(rf"{whose} Key Identifier: *\n\s+(?:keyid:)?([0-9A-F:]+)", self.text)
        return found[1] if found else ""

    def _line(self, label: str) -> str:
        found = re.search(rf"^ +{label}:(.*)$", self.text, re.M)
        return found[1].strip() if found else ""

    def _date(self, option: str) -> datetime:
        text = self._x509(option).strip().partition("=")[2]
        return datetime.strptime(text, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)

    def _x509(self, *options: str) -> str:
        return openssl.run("x509", "-noout", *options, stdin=self.pem).decode(errors="replace")


def shown(pem: bytes) -> list[Shown]:
    """Return the certificates in a text."""
    return [Shown(found) for found in _CERTIFICATE.findall(pem)]


class Bag:
    """What GetCACert brings, read by openssl: one certificate, or a certs-only SignedData, or nothing."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.response = side.get("GetCACert")
        assert self.response.status == 200
        self.body = self.response.body
        self.is_lone = self._reads("x509")
        self.is_bag = not self.is_lone and self._reads("pkcs7")
        self.all: list[Shown] = []
        if self.is_lone:
            self.all = shown(openssl.run("x509", "-inform", "DER", stdin=self.body))
        elif self.is_bag:
            self.all = shown(openssl.run("pkcs7", "-print_certs", "-inform", "DER", stdin=self.body))

    def _reads(self, command: str) -> bool:
        try:
            openssl.run(command, "-noout", "-inform", "DER", stdin=self.body)
        except openssl.Refused:
            return False
        return True

    def of(self, role: str) -> list[Shown]:
        """Return the certificates whose subject has these words."""
        return [one for one in self.all if role in one.subject]

    @property
    def ras(self) -> list[Shown]:
        return self.of("MSCEP-RA")

    @property
    def issuing(self) -> list[Shown]:
        return self.of("Test Issuing CA")

    @property
    def roots(self) -> list[Shown]:
        return self.of("Test Root CA")

    def verified(self, certificate: Shown, root_pem: bytes | None = None) -> str:
        """Return what ``openssl verify`` says of a path through the bag to the lab's root; empty for good."""
        root = root_pem or self.side.scep_lab.root_pem.encode()
        others = [one.der for one in self.all if one.pem != certificate.pem and one not in self.roots]
        try:
            openssl.verify_chain(certificate.der, root, others)
        except openssl.Refused as error:
            return str(error)
        return ""


def real(der: bytes) -> Shown:
    """Return a certificate of the lab's own as openssl shows it."""
    return Shown(openssl.run("x509", "-inform", "DER", stdin=der))


def enrolled(side: Side) -> Sent:
    """Send a request for CN=look,O=Stand and an alternative name."""
    subject = name(rdn((ORGANISATION, UTF8, "Stand")), rdn((CN, UTF8, "look")))
    return side.enrol(subject=subject, csr={"extensions": [subject_alt_name(dns(ALTERNATIVE_NAME))]})


def brought(side: Side) -> list[Shown]:
    """Return the certificates in the reply to such a request, in their order."""
    return shown(enrolled(side).issued_pem())


def issued(side: Side) -> Shown:
    """Return the first of them."""
    return brought(side)[0]


def verified(side: Side, certificate: Shown) -> str:
    """Return what ``openssl verify`` says of an issued certificate; empty for good."""
    from faults.stand import Side as Stands

    clean = Stands(side.scep_lab, side.scep_lab.scep_url, side.pki, side._keys)
    return Bag(clean).verified(certificate)
