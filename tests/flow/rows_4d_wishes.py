"""4D, the wishes of a CSR that nobody must be granted: extensions, purposes, names (rows N89 to N93).

A wish may be refused or dropped; `as_the_template_says` holds every certificate that comes of one
against what the template alone decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from forge import asn1
from forge.bench import Bench, PkiRequest
from forge.certificates import (
    AIA,
    AKI,
    BC,
    CDP,
    CLIENT_AUTH,
    EKU,
    KU,
    MS_SID,
    MS_TEMPLATE,
    MS_TEMPLATE_NAME,
    NAME_CONSTRAINTS,
    POLICIES,
    POLICY_CONSTRAINTS,
    PROXY_CERT_INFO,
    SAN,
    SERVER_AUTH,
    SKI,
    TLS_FEATURE,
    UPN,
    basic_constraints,
    common_name,
    directory_name,
    dns,
    email,
    extended_key_usage,
    extension,
    ip,
    key_usage,
    other_name,
    read_certificate,
    subject_alt_name,
    uri,
)
from forge.reply import Issued, demand
from forge.table import Either, Fail, Row, Success

BAD_REQUEST = Fail(2)
Build = Callable[[Bench], PkiRequest]


def wish(*extensions: bytes) -> Build:
    """Return a builder of a PKCSReq that asks for these extensions."""
    return lambda bench: bench.request(csr={"extensions": extensions})


def as_the_template_says(bench: Bench, request: PkiRequest, issued: Issued) -> None:
    """Check every extension that only the template decides."""
    leaf = read_certificate(issued.certificates[0])
    usual = bench.enrol().parts
    found, expected = leaf.extensions, usual.extensions
    purposes = {one.dotted for one in asn1.read(found[EKU][1]).children}
    demand(purposes == {CLIENT_AUTH}, f"purposes are {purposes}")
    demand(found[KU] == expected[KU], "keyUsage is not the template's")
    if BC in found:
        demand(found[BC][1] == asn1.seq(), "the certificate is a CA's")
    extra = set(found) - set(expected) - {SAN}
    demand(not extra, f"extensions {extra} were copied from the request")
    for dotted in (AKI, CDP, AIA, MS_TEMPLATE, MS_TEMPLATE_NAME, POLICIES):
        demand(found.get(dotted) == expected.get(dotted), f"extension {dotted} is not the template's")
    assert request.csr is not None
    demand(found[SKI][1] == asn1.octets(request.csr.key.identifier), "subjectKeyIdentifier is not the key's")


DROPPED = Success(as_the_template_says)
DROPPED_OR_REFUSED = Either((DROPPED, BAD_REQUEST))


def _authority_rows() -> Iterator[Row]:
    for case, extensions in {
        "ca": [basic_constraints(is_authority=True)],
        "ca-pathlen-0": [basic_constraints(is_authority=True, path_length=0)],
        "pathlen-huge": [basic_constraints(is_authority=True, path_length=1 << 40)],
        "ca-and-usage": [basic_constraints(is_authority=True), key_usage(5, 6)],
        "keyCertSign": [key_usage(5)],
        "cRLSign": [key_usage(6)],
        "every-usage": [key_usage(*range(9))],
        "no-usage": [key_usage()],
    }.items():
        yield Row("N89", case, wish(*extensions), DROPPED_OR_REFUSED)
    for case, purposes in {
        "any": ["2.5.29.37.0"],
        "ocsp-signing": ["1.3.6.1.5.5.7.3.9"],
        "time-stamping": ["1.3.6.1.5.5.7.3.8"],
        "code-signing": ["1.3.6.1.5.5.7.3.3"],
        "smartcard-logon": ["1.3.6.1.4.1.311.20.2.2"],
        "request-agent": ["1.3.6.1.4.1.311.20.2.1"],
        "kdc": ["1.3.6.1.5.2.3.5"],
        "server-auth": [SERVER_AUTH],
        "client-and-server": [CLIENT_AUTH, SERVER_AUTH],
        "client": [CLIENT_AUTH],
        "unknown": ["1.3.6.1.4.1.99999.10"],
    }.items():
        yield Row("N90", case, wish(extended_key_usage(*purposes)), DROPPED_OR_REFUSED)
    yield Row("N90", "critical", wish(extended_key_usage("2.5.29.37.0", critical=True)), DROPPED_OR_REFUSED)
    yield Row("N90", "empty", wish(extended_key_usage()), DROPPED_OR_REFUSED)


# -- subjectAltName (N91) and security identifiers (N92) --------------------------------


def _names_kept(*names: bytes) -> Callable[[Bench, PkiRequest, Issued], None]:
    def check(bench: Bench, request: PkiRequest, issued: Issued) -> None:
        as_the_template_says(bench, request, issued)
        found = read_certificate(issued.certificates[0]).extensions
        demand(found[SAN] == (False, asn1.seq(*names)), "subjectAltName is not the one asked for")

    return check


def _no_names(bench: Bench, request: PkiRequest, issued: Issued) -> None:
    as_the_template_says(bench, request, issued)
    demand(SAN not in read_certificate(issued.certificates[0]).extensions, "a name was granted")


_SID = "tag:microsoft.com,2022-09-14:sid:S-1-5-21-1004336348-1177238915-682003330-500"


def _name_rows() -> Iterator[Row]:
    granted = {
        "dns": dns("device.lab.example"),
        "email": email("device@elsewhere.example"),
        "upn": other_name(UPN, asn1.string(asn1.UTF8, "administrator@corp.example")),
        "ip": ip(bytes([192, 0, 2, 7])),
        "ipv6": ip(bytes.fromhex("20010db8000000000000000000000007")),
        "uri": uri("urn:device:7"),
    }
    for case, name in granted.items():
        yield Row("N91", f"{case}-by-template", wish(subject_alt_name(name)), Success(_names_kept(name)))
        yield Row(
            "N91",
            f"{case}-not-by-template",
            lambda bench, name=name: bench.request(
                csr={"extensions": [subject_alt_name(name)]}, endpoint="nameless"
            ),
            BAD_REQUEST,
        )
    refused = {
        "wildcard": dns("*.corp"),
        "localhost": dns("localhost"),
        "ip-zero": ip(bytes(4)),
        "ip-with-mask": ip(bytes(8)),
        "ip-of-5": ip(bytes(5)),
        "uri-file": uri("file:///etc/passwd"),
        "uri-sid": uri(_SID),
        "uri-sid-case": uri(_SID.replace("tag", "TAG")),
        "directory-name": directory_name(common_name("Domain Admin")),
        "registered-id": asn1.implicit(8, asn1.read(asn1.oid("1.2.3.4")).content),
        "x400": asn1.explicit(3, asn1.seq()),
        "edi": asn1.explicit(5, asn1.explicit(1, asn1.string(asn1.UTF8, "edi"))),
        "other-name": other_name("1.3.6.1.5.2.2", asn1.seq(asn1.string(asn1.IA5, "krbtgt"))),
        "sid-other-name": other_name("1.3.6.1.4.1.311.25.2.1", asn1.octets(b"S-1-5-21-1-2-3-500")),
        "upn-of-no-string": other_name(UPN, asn1.integer(5)),
        "dns-nul": dns(b"good.example\0.evil.example"),
        "dns-utf8": dns("d\u00e9vice.example".encode()),
        "dns-empty": dns(""),
        "dns-newline": dns(b"a.example\r\nb.example"),
        "email-nul": asn1.implicit(1, b"a@b.example\0@c.example"),
        "unknown-tag": asn1.implicit(15, b"x"),
    }
    for case, name in refused.items():
        yield Row("N91", case, wish(subject_alt_name(name)), BAD_REQUEST)
        both = subject_alt_name(dns("device.lab.example"), name)
        yield Row("N91", f"{case}-hidden", wish(both), BAD_REQUEST)
    many = [dns(f"d{number}.lab.example") for number in range(5000)]
    yield Row("N91", "5000-names", wish(subject_alt_name(*many)), BAD_REQUEST)
    yield Row("N91", "10000-names", wish(subject_alt_name(*many, *many)), BAD_REQUEST)
    yield Row("N91", "empty", wish(subject_alt_name()), BAD_REQUEST)
    sid = asn1.seq(
        other_name("1.3.6.1.4.1.311.25.2.1", asn1.octets(b"S-1-5-21-1004336348-1177238915-682003330-500"))
    )
    yield Row("N92", "sid", wish(extension(MS_SID, sid)), DROPPED_OR_REFUSED)
    yield Row("N92", "sid-critical", wish(extension(MS_SID, sid, critical=True)), DROPPED_OR_REFUSED)
    yield Row("N92", "sid-garbage", wish(extension(MS_SID, b"\xff\xff")), DROPPED_OR_REFUSED)


# -- everything else that is the CA's to say (N93) --------------------------------------


def _points_at(url: str) -> bytes:
    return asn1.seq(asn1.seq(asn1.explicit(0, asn1.explicit(0, uri(url)))))


def _access(url: str) -> bytes:
    return asn1.seq(asn1.seq(asn1.oid("1.3.6.1.5.5.7.48.2"), uri(url)))


def _extension_rows() -> Iterator[Row]:
    wishes = {
        "name-constraints": extension(
            NAME_CONSTRAINTS, asn1.seq(asn1.explicit(0, asn1.seq(dns("example")))), critical=True
        ),
        "policy-constraints": extension(POLICY_CONSTRAINTS, asn1.seq(asn1.implicit(0, b"\0")), critical=True),
        "policies": extension(POLICIES, asn1.seq(asn1.seq(asn1.oid("2.5.29.32.0")))),
        "policy-mappings": extension("2.5.29.33", asn1.seq(asn1.seq(asn1.oid("1.2.3"), asn1.oid("1.2.4")))),
        "inhibit-any-policy": extension("2.5.29.54", asn1.integer(0), critical=True),
        "cdp-metadata": extension(CDP, _points_at("http://169.254.169.254/latest/meta-data/")),
        "cdp-ldap": extension(CDP, _points_at("ldap://attacker.example/")),
        "cdp-file": extension(CDP, _points_at("file:///etc/passwd")),
        "freshest-crl": extension("2.5.29.46", _points_at("http://169.254.169.254/")),
        "aia": extension(AIA, _access("http://169.254.169.254/")),
        "sia": extension("1.3.6.1.5.5.7.1.11", _access("http://169.254.169.254/")),
        "aki": extension(AKI, asn1.seq(asn1.implicit(0, b"\x66" * 20))),
        "ski": extension(SKI, asn1.octets(b"\x66" * 20)),
        "issuer-alt-name": extension("2.5.29.18", asn1.seq(dns("ca.example"))),
        "proxy": extension(PROXY_CERT_INFO, asn1.seq(asn1.seq(asn1.oid("1.3.6.1.5.5.7.21.1")))),
        "tls-feature": extension(TLS_FEATURE, asn1.seq(asn1.integer(5))),
        "template-name": extension(MS_TEMPLATE_NAME, asn1.string(asn1.BMP, "SubCA")),
        "template": extension(MS_TEMPLATE, asn1.seq(asn1.oid("1.3.6.1.4.1.311.21.8.1.2.3"), asn1.integer(1))),
        "application-policies": extension(
            "1.3.6.1.4.1.311.21.10", asn1.seq(asn1.seq(asn1.oid("1.3.6.1.4.1.311.20.2.1")))
        ),
        "ca-version": extension("1.3.6.1.4.1.311.21.1", asn1.integer(0)),
        "ocsp-no-check": extension("1.3.6.1.5.5.7.48.1.5", asn1.NULL),
        "netscape-type": extension("2.16.840.1.113730.1.1", asn1.bits(b"\x04", 2)),
    }
    for case, asked in wishes.items():
        yield Row("N93", case, wish(asked), DROPPED_OR_REFUSED)
    yield Row("N93", "all-at-once", wish(*wishes.values()), DROPPED_OR_REFUSED)


ROWS: tuple[Row, ...] = (*_authority_rows(), *_name_rows(), *_extension_rows())
