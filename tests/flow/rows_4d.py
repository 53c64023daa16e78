"""4D, the PKCS#10 request: its signature, key, attributes and subject (rows N80 to N88, N94 to N96)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from forge import asn1
from forge.bench import Bench, PkiRequest
from forge.certificates import (
    CN,
    COUNTRY,
    basic_constraints,
    common_name,
    dns,
    extension,
    key_usage,
    name,
    rdn,
    read_certificate,
    subject_alt_name,
)
from forge.csr import (
    CHALLENGE_PASSWORD,
    EXTENSION_REQUEST,
    FRIENDLY_NAME,
    MICROSOFT_EXTENSION_REQUEST,
    VERISIGN_EXTENSION_REQUEST,
    CsrForge,
    attribute,
    challenge_attribute,
    extension_request,
)
from forge.keys import ExponentOne, Key, rsa_public_only, rsa_spki
from forge.reply import Issued, demand
from forge.table import Either, Fail, Outcome, Row, Success

BAD_ALG, BAD_REQUEST = Fail(0), Fail(2)
BAD_KEY = Either((Fail(0), Fail(2)))
CHALLENGE = Fail(2, group="challenge")
NO_CHALLENGE = Fail(2, group="challenge", own_hresult=True)
Build = Callable[[Bench], PkiRequest]


def csr(endpoint: str = "default", challenge: str | bytes | None = "", **fields: Any) -> Build:
    """Return a builder of a PKCSReq with some fields of the CSR changed."""
    return lambda bench: bench.request(csr=fields, challenge=challenge, endpoint=endpoint)


def keyed(key: Callable[[Bench], Key], endpoint: str = "default", **fields: Any) -> Build:
    """Return a builder of a PKCSReq for another key than the signer's."""
    return lambda bench: bench.request(csr={"key": key(bench), **fields}, endpoint=endpoint)


# -- proof of possession, versions (N80 to N82) ----------------------------------------


def _proof_rows() -> Iterator[Row]:
    yield Row("N80", "bad-signature", csr(signature=b"\x01" * 256), BAD_REQUEST)
    yield Row("N80", "empty-signature", csr(signature=b""), BAD_REQUEST)
    yield Row("N80", "other-key", _signed_by_another, BAD_REQUEST)
    yield Row("N80", "changed-after-signing", _changed_after_signing, BAD_REQUEST)
    for digest in ("sha1", "md5"):
        yield Row("N80", digest, csr(digest=digest), Success())
        yield Row("N80", f"{digest}-refused", csr("strict", digest=digest), BAD_ALG)
    for digest in ("sha224", "sha384", "sha512"):
        yield Row("N80", digest, csr(digest=digest), Success())
    for case, algorithm in {
        "unknown": asn1.algorithm("1.2.3.4"),
        "md2": asn1.algorithm("1.2.840.113549.1.1.2"),
        "ecdsa-for-rsa": asn1.algorithm("1.2.840.10045.4.3.2", None),
        "digest-only": asn1.algorithm("2.16.840.1.101.3.4.2.1"),
    }.items():
        yield Row("N80", case, csr(signature_algorithm=algorithm), BAD_ALG)
    yield Row("N81", "another-key", keyed(lambda bench: bench.keys.fresh()), Success())
    yield Row("N81", "another-key-strict", keyed(lambda bench: bench.keys.fresh(), "bound"), BAD_REQUEST)
    yield Row("N81", "same-key-strict", csr("bound"), Success())
    for version in (0, 1, 2):
        yield Row("N82", f"{version}", csr(version=version), Success())
    for version in (3, -1, 1 << 64):
        yield Row("N82", f"{version}", csr(version=version), BAD_REQUEST)


def _signed_by_another(bench: Bench) -> PkiRequest:
    return bench.request(csr={"signing_key": bench.keys.other})


def _changed_after_signing(bench: Bench) -> PkiRequest:
    challenge = bench.new_challenge()
    good = CsrForge(key=bench.keys.fresh(), subject=bench.subject(), challenge=challenge)
    other = good.with_(subject=bench.subject(), signature=good.key.sign(good.information()))
    return bench.request(plaintext=other.encode(), challenge=challenge)


# -- keys (N83, N84) -------------------------------------------------------------------


def _rsa_of(modulus: int, exponent: int = 65537) -> Callable[[Bench], Key]:
    return lambda _: Key(rsa_spki(modulus, exponent))


def _exponent(exponent: int) -> Callable[[Bench], Key]:
    def make(bench: Bench) -> Key:
        modulus = asn1.read(asn1.read(bench.keys.other.spki)[1].content[1:])[0].number
        return Key(rsa_spki(modulus, exponent))

    return make


def _exponent_one(bench: Bench) -> PkiRequest:
    one = ExponentOne(asn1.read(asn1.read(bench.keys.other.spki)[1].content[1:])[0].number)
    unsigned = CsrForge(key=one.key, subject=bench.subject(), challenge=bench.new_challenge())
    signed = unsigned.with_(signature=one.sign(unsigned.information()))
    return bench.request(plaintext=signed.encode())


def _roca(_bench: Bench) -> Key:
    """Return a modulus that is a power of 65537 modulo the primes the flawed generator used."""
    primes = [p for p in range(3, 168) if all(p % q for q in range(2, p))]
    product = 1
    for prime in primes:
        product *= prime
    residue = pow(65537, 4711, product)
    modulus = (1 << 2047) // product * product + residue
    modulus += product if modulus.bit_length() < 2048 else 0
    modulus += product if modulus % 2 == 0 else 0
    return Key(rsa_spki(modulus, 65537))


def _key_rows() -> Iterator[Row]:
    for bits in (512, 768, 1024, 1536):
        yield Row("N83", f"rsa-{bits}", keyed(lambda bench, bits=bits: bench.keys.rsa(bits)), BAD_ALG)
    yield Row("N83", "rsa-3072", keyed(lambda bench: bench.keys.product(3)), Success())
    yield Row("N83", "rsa-4096", keyed(lambda bench: bench.keys.product(4)), Success())
    yield Row("N83", "rsa-8192", keyed(lambda bench: bench.keys.product(8)), Success())
    yield Row("N83", "rsa-8208", keyed(lambda _: rsa_public_only(8208)), BAD_ALG)
    yield Row("N83", "rsa-16384", keyed(lambda _: rsa_public_only(16384)), BAD_ALG)
    yield Row("N83", "e-1", _exponent_one, BAD_ALG)
    for exponent in (2, 0, 65536, -3, (1 << 64) + 1):
        yield Row("N83", f"e-{exponent}", keyed(_exponent(exponent)), BAD_ALG)
    yield Row("N83", "e-3", keyed(lambda bench: bench.keys.rsa(2048, 3)), Success())
    yield Row("N83", "modulus-even", keyed(_rsa_of((1 << 2047) + 2)), BAD_ALG)
    yield Row("N83", "modulus-negative", keyed(_rsa_of(-(1 << 2047) - 1)), BAD_ALG)
    yield Row("N83", "modulus-zero", keyed(_rsa_of(0)), BAD_ALG)
    yield Row("N83", "small-factor", keyed(_rsa_of(((1 << 2040) + 1) * 251)), BAD_ALG)
    yield Row("N83", "roca", keyed(_roca), BAD_ALG)
    yield Row("N83", "no-key", keyed(lambda _: Key(_spki(b""))), BAD_KEY)
    yield Row("N83", "garbage-key", keyed(lambda _: Key(_spki(b"\x30\x03\x02\x01"))), BAD_KEY)
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
    for case, curve in curves.items():
        digest = "sha256" if case == "p256" else "sha384"
        yield Row(
            "N84", case, keyed(lambda bench, curve=curve: bench.keys.ec(curve), digest=digest), Success()
        )
    for case, curve in {"p224": ec.SECP224R1(), "secp256k1": ec.SECP256K1()}.items():
        yield Row("N84", case, keyed(lambda bench, curve=curve: bench.keys.ec(curve)), BAD_ALG)
    for case, make in {
        "explicit-curve": _explicit_curve,
        "point-off-curve": _off_curve,
        "point-at-infinity": lambda _: Key(_ec_spki(b"\x00")),
        "short-point": lambda _: Key(_ec_spki(b"\x04" + bytes(10))),
        "ed25519": lambda bench: bench.keys.ed25519(),
        "x25519": lambda bench: bench.keys.x25519(),
        "dsa": lambda bench: bench.keys.dsa,
        "dh": lambda _: Key(_other_spki("1.2.840.113549.1.3.1")),
        "x9.42-dh": lambda _: Key(_other_spki("1.2.840.10046.2.1")),
        "ml-dsa": lambda _: Key(_other_spki("2.16.840.1.101.3.4.3.18")),
        "unknown": lambda _: Key(_other_spki("1.3.6.1.4.1.99999.4")),
    }.items():
        yield Row("N84", case, keyed(make), BAD_ALG)


def _spki(key: bytes) -> bytes:
    return asn1.seq(asn1.algorithm("1.2.840.113549.1.1.1"), asn1.bits(key))


def _ec_spki(point: bytes, parameters: bytes | None = None) -> bytes:
    curve = parameters or asn1.oid("1.2.840.10045.3.1.7")
    return asn1.seq(asn1.algorithm("1.2.840.10045.2.1", curve), asn1.bits(point))


def _other_spki(dotted: str) -> bytes:
    return asn1.seq(asn1.algorithm(dotted, None), asn1.bits(asn1.integer(5)))


def _off_curve(_bench: Bench) -> Key:
    return Key(_ec_spki(b"\x04" + b"\x11" * 64))


def _explicit_curve(bench: Bench) -> Key:
    """Return a P-256 key with the curve written out, as CVE-2020-0601 liked it."""
    point = asn1.read(bench.keys.ec().spki)[1].content[1:]
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    parameters = asn1.seq(
        asn1.integer(1),
        asn1.seq(asn1.oid("1.2.840.10045.1.1"), asn1.integer(prime)),
        asn1.seq(asn1.octets((prime - 3).to_bytes(32, "big")), asn1.octets(bytes(31) + b"\7")),
        asn1.octets(point),
        asn1.integer(2**256 - 2**224 + 2**192 - 1),
    )
    return Key(_ec_spki(point, parameters))


# -- subjects (N85, N94) ---------------------------------------------------------------


def _many(count: int) -> bytes:
    return name(*(rdn(("2.5.4.11", asn1.UTF8, f"unit {number}")) for number in range(count)))


def _subject_rows() -> Iterator[Row]:
    yield Row("N85", "empty", csr(subject=asn1.seq()), BAD_REQUEST)
    refused = {
        "300-rdns": _many(300),
        "cn-65": common_name("c" * 65),
        "cn-10000": common_name("c" * 10_000),
        "cn-empty": common_name(""),
        "nul": common_name("admin\0.example"),
        "newline": common_name("device\r\nINFO forged line"),
        "escape": common_name("\x1b[31mred"),
        "bidi": common_name("device\u202egpj.exe"),
        "bad-bmp": name(rdn((CN, asn1.BMP, b"odd"))),
        "surrogate": name(rdn((CN, asn1.BMP, b"\xd8\x00\x00A"))),
        "not-a-string": name(rdn((CN, 0x02, b"\x05"))),
        "country-of-3": name(rdn((COUNTRY, asn1.PRINTABLE, "DEU"))),
        "empty-rdn": asn1.seq(asn1.set_of()),
        "not-a-set": asn1.seq(asn1.seq(asn1.seq(asn1.oid(CN), asn1.string(asn1.UTF8, "x")))),
    }
    for case, subject in refused.items():
        yield Row("N85", case, csr(subject=subject), BAD_REQUEST)
    latin = name(rdn((CN, asn1.UTF8, b"Ger\xe4t")))
    yield Row("N85", "bad-utf8", csr(subject=latin), Either((Success(_readable), BAD_REQUEST)))
    taken = {
        "cn-64": common_name("c" * 64),
        "multi-valued": name(rdn((CN, asn1.UTF8, "device"), ("2.5.4.5", asn1.PRINTABLE, "SN-1"))),
        "two-cns": name(rdn((CN, asn1.UTF8, "first")), rdn((CN, asn1.UTF8, "second"))),
        "comma": common_name('Doe\\, Jane, "x"; <y>'),
        "leading-hash": common_name("#0401"),
        "spaces": common_name("  padded  "),
        "at-in-printable": common_name("root@printer", asn1.PRINTABLE),
        "t61": common_name("T61 device", asn1.T61),
        "bmp": common_name("Ger\u00e4t", asn1.BMP),
        "universal": common_name("device", asn1.UNIVERSAL),
        "ia5": common_name("device", asn1.IA5),
        "umlaut": common_name("Ger\u00e4t \u4e2d\u6587"),
        "email": name(rdn(("1.2.840.113549.1.9.1", asn1.IA5, "a@b.example"))),
        "unstructured-name": name(rdn(("1.2.840.113549.1.9.2", asn1.PRINTABLE, "router.example"))),
        "cisco": name(
            rdn(("2.5.4.5", asn1.PRINTABLE, "FTX1"), ("1.2.840.113549.1.9.8", asn1.PRINTABLE, "10.0.0.1"))
        ),
        "unknown-type": name(rdn(("1.3.6.1.4.1.99999.8", asn1.UTF8, "value")), rdn((CN, asn1.UTF8, "d"))),
    }
    for case, subject in taken.items():
        yield Row("N85", f"{case}-taken", csr(subject=subject), Success(_same_name(subject)))
    yield Row("N94", "authority", _subject_of(lambda bench: bench.authority_certificate), BAD_REQUEST)
    yield Row("N94", "root", _subject_of(lambda bench: bench.bundle[-1]), BAD_REQUEST)
    yield Row(
        "N94", "another-device-unbound", _subject_of(lambda bench: bench.enrol().certificate), Success()
    )
    yield Row("N94", "authority-other-string-type", _restrung_authority, BAD_REQUEST)
    yield Row("N94", "someone-else's-challenge", _bound_elsewhere, CHALLENGE)
    yield Row("N94", "own-bound-challenge", _bound_here, Success())


def _same_name(subject: bytes) -> Callable[[Bench, PkiRequest, Issued], None]:
    """Return a check that the subject is the one asked for (D12): octet for octet, or as UTF8String.

    A value outside the repertoire of its string type may be written as what it says.
    """
    wanted = [[one[0].dotted for one in rdn_.children] for rdn_ in asn1.read(subject).children]

    def check(_bench: Bench, _request: PkiRequest, issued: Issued) -> None:
        found = read_certificate(issued.certificates[0]).subject
        if found == subject:
            return
        types = [[one[0].dotted for one in rdn_.children] for rdn_ in asn1.read(found).children]
        demand(types == wanted, f"subject attributes are {types}, asked for were {wanted}")
        strings = [one[1].tag for rdn_ in asn1.read(found).children for one in rdn_.children]
        demand(set(strings) <= {asn1.UTF8, asn1.PRINTABLE}, "subject was rewritten to something odd")
        demand(b"root@printer" in subject, "the subject is not the one asked for, octet for octet")

    return check


def _readable(_bench: Bench, _request: PkiRequest, issued: Issued) -> None:
    """Check that the octets that were no UTF-8 have become some."""
    subject = asn1.read(read_certificate(issued.certificates[0]).subject)
    demand(subject[0][0][1].content.decode("utf-8") == "Ger\u00e4t", "the subject cannot be read")


def _subject_of(certificate: Callable[[Bench], bytes]) -> Build:
    """Return a builder that asks for the name of a certificate, signed under another name."""

    def build(bench: Bench) -> PkiRequest:
        subject = read_certificate(certificate(bench)).subject
        return bench.request(csr={"subject": subject}, signer={"subject": bench.subject()})

    return build


def _restrung_authority(bench: Bench) -> PkiRequest:
    def change(node: asn1.Node) -> bytes | None:
        if node.tag in (asn1.PRINTABLE, asn1.UTF8):
            other = asn1.UTF8 if node.tag == asn1.PRINTABLE else asn1.PRINTABLE
            return asn1.tlv(other, node.content.swapcase())
        return None

    subject = asn1.rewrite(asn1.read(read_certificate(bench.authority_certificate).subject), change)
    return bench.request(csr={"subject": subject}, signer={"subject": bench.subject()})


def _bound_elsewhere(bench: Bench) -> PkiRequest:
    challenge = bench.new_challenge(subject="CN=somebody-else.lab.example")
    return bench.request(challenge=challenge)


def _bound_here(bench: Bench) -> PkiRequest:
    challenge = bench.new_challenge(subject="CN=bound.lab.example")
    return bench.request(challenge=challenge, csr={"subject": common_name("bound.lab.example")})


# -- challengePassword (N86) -----------------------------------------------------------


def _challenge_rows() -> Iterator[Row]:
    yield Row("N86", "absent", csr(challenge=None), NO_CHALLENGE)
    for case, value in {
        "wrong": "0123456789ABCDEF0123456789ABCDEF",
        "1-MB": "A" * 700_000,
        "8-KiB": "A" * 8192,
        "nul": b"\0",
        "format": "%n%s{0}",
    }.items():
        yield Row("N86", case, csr(challenge=value), CHALLENGE)
    yield Row("N86", "empty", csr(challenge=None, attributes=[challenge_attribute("")]), NO_CHALLENGE)
    yield Row("N86", "expired", _expired, CHALLENGE)
    yield Row("N86", "used", _used, CHALLENGE)
    yield Row("N86", "revoked", _revoked, CHALLENGE)
    yield Row("N86", "other-endpoint", _other_endpoint, CHALLENGE)
    spoilt: dict[str, Callable[[str], bytes]] = {
        "with-nul": lambda good: challenge_attribute(good + "\0"),
        "trailing-space": lambda good: challenge_attribute(good + " "),
        "trailing-newline": lambda good: challenge_attribute(good + "\n"),
        "lower-case": lambda good: challenge_attribute(good.lower()),
        "first-half": lambda good: challenge_attribute(good[: len(good) // 2]),
        "two-values": lambda good: attribute(CHALLENGE_PASSWORD, *[asn1.string(asn1.UTF8, good)] * 2),
        "no-value": lambda _: attribute(CHALLENGE_PASSWORD),
        "sequence": lambda good: attribute(CHALLENGE_PASSWORD, asn1.seq(asn1.string(asn1.UTF8, good))),
        "octets": lambda good: attribute(CHALLENGE_PASSWORD, asn1.octets(good.encode())),
        "bad-bmp": lambda good: attribute(CHALLENGE_PASSWORD, asn1.tlv(asn1.BMP, good.encode()[:-1])),
    }
    for case, make in spoilt.items():
        yield Row("N86", case, _spoilt(make), CHALLENGE)
    yield Row("N86", "two-attributes", _twice, CHALLENGE)
    for case, tag in {
        "utf8": asn1.UTF8,
        "printable": asn1.PRINTABLE,
        "t61": asn1.T61,
        "ia5": asn1.IA5,
        "visible": asn1.VISIBLE,
        "bmp": asn1.BMP,
        "universal": asn1.UNIVERSAL,
        "numeric": asn1.NUMERIC,
    }.items():
        yield Row("N86", f"as-{case}", csr(challenge_tag=tag), Success())
    yield Row("N86", "own-words", _own_words("p\u00e4ss_w\u00f6rd \u4e2d", asn1.UTF8), Success())
    yield Row(
        "N86", "utf8-in-printable", _own_words("p\u00e4ss_w\u00f6rd", asn1.PRINTABLE, "utf-8"), Success()
    )
    yield Row("N86", "latin-1-in-t61", _own_words("p\u00e4ss_w\u00f6rd!", asn1.T61, "latin-1"), Success())


def _spoilt(make: Callable[[str], bytes]) -> Build:
    def build(bench: Bench) -> PkiRequest:
        good = bench.new_challenge()
        if make(good) == challenge_attribute(good):
            good = bench.new_challenge()
        return bench.request(challenge=None, csr={"attributes": [make(good)]})

    return build


def _own_words(password: str, tag: int, codec: str | None = None) -> Build:
    def build(bench: Bench) -> PkiRequest:
        challenge = bench.new_challenge(password=password)
        octets = asn1.read(asn1.string(tag, challenge)).content if codec is None else challenge.encode(codec)
        return bench.request(challenge=octets, csr={"challenge_tag": tag})

    return build


def _twice(bench: Bench) -> PkiRequest:
    good = challenge_attribute(bench.new_challenge())
    return bench.request(challenge=None, csr={"attributes_der": asn1.explicit(0, good, good)})


def _expired(bench: Bench) -> PkiRequest:
    challenge = bench.new_challenge(validity=timedelta(minutes=5))
    pki = bench.request(challenge=challenge)
    bench.desk.advance(timedelta(minutes=6))
    return pki


def _used(bench: Bench) -> PkiRequest:
    return bench.request(challenge=bench.enrol().request.challenge)


def _revoked(bench: Bench) -> PkiRequest:
    challenge = bench.new_challenge()
    bench.desk.revoke_newest_challenge()
    return bench.request(challenge=challenge)


def _other_endpoint(bench: Bench) -> PkiRequest:
    return bench.request(challenge=bench.new_challenge(endpoint="manual"))


# -- attributes and extensions that cannot be understood (N87, N88) --------------------


def _attribute_rows() -> Iterator[Row]:
    yield Row("N87", "absent", _open(attributes_der=b""), Success())
    yield Row("N87", "unsorted", _unsorted, Success())
    friendly = attribute(FRIENDLY_NAME, asn1.string(asn1.BMP, "printer"))
    unknown = attribute("1.3.6.1.4.1.99999.6", asn1.seq(asn1.integer(1)), asn1.octets(b"2"))
    windows = attribute("1.3.6.1.4.1.311.13.2.3", asn1.string(asn1.IA5, "10.0.26100.2"))
    yield Row("N87", "unknown", csr(attributes=[friendly, unknown, windows]), Success())
    yield Row(
        "N87",
        "no-values",
        csr(attributes=[attribute("1.3.6.1.4.1.99999.6")]),
        Either((Success(), BAD_REQUEST)),
    )
    small = [attribute(f"1.3.6.1.4.1.99999.6.{number}", asn1.integer(1)) for number in range(2000)]
    yield Row("N87", "2000", csr(attributes=small), BAD_REQUEST)
    yield Row("N87", "10000", csr(attributes=small * 5), BAD_REQUEST)
    usage, other = key_usage(0), key_usage(0, 2)
    san = subject_alt_name(dns("device.lab.example"))
    for case, attributes in {
        "twice": [extension_request(usage), extension_request(other)],
        "two-values": [attribute(EXTENSION_REQUEST, asn1.seq(usage), asn1.seq(other))],
        "duplicate-extension": [extension_request(usage, other)],
        "duplicate-equal": [extension_request(usage, usage)],
        "two-oids": [extension_request(usage), extension_request(san, dotted=MICROSOFT_EXTENSION_REQUEST)],
        "unparsable-san": [extension_request(extension("2.5.29.17", b"\x30\x03\x82\x05a"))],
        "unparsable-usage": [extension_request(extension("2.5.29.15", b"\xff"))],
        "unparsable-list": [attribute(EXTENSION_REQUEST, asn1.octets(b"?"))],
        "unknown-critical": [extension_request(extension("1.3.6.1.4.1.99999.9", asn1.NULL, critical=True))],
    }.items():
        yield Row("N88", case, csr(attributes=attributes), BAD_REQUEST)
    for case, dotted in {
        "pkcs9": EXTENSION_REQUEST,
        "microsoft": MICROSOFT_EXTENSION_REQUEST,
        "verisign": VERISIGN_EXTENSION_REQUEST,
    }.items():
        yield Row(
            "N88",
            f"{case}-alone",
            csr(attributes=[extension_request(san, dotted=dotted)]),
            Success(_has_name),
        )
    harmless = [
        extension_request(extension("1.3.6.1.4.1.99999.9", asn1.NULL), basic_constraints(is_authority=False))
    ]
    yield Row("N88", "unknown-not-critical", csr(attributes=harmless), Success(_lacks("1.3.6.1.4.1.99999.9")))


def _open(**fields: Any) -> Build:
    """Return a builder for an endpoint that asks for no challenge."""
    return lambda bench: bench.request(challenge=None, csr=fields, endpoint="open")


def _unsorted(bench: Bench) -> PkiRequest:
    good = challenge_attribute(bench.new_challenge())
    others = [attribute(FRIENDLY_NAME, asn1.string(asn1.BMP, "x")), extension_request(key_usage(0, 2))]
    ordered = asn1.sort_set([good, *others])
    return bench.request(challenge=None, csr={"attributes_der": asn1.explicit(0, *reversed(ordered))})


def _has_name(_bench: Bench, _request: PkiRequest, issued: Issued) -> None:
    found = read_certificate(issued.certificates[0]).extensions
    demand("2.5.29.17" in found, "the subjectAltName of the request is not in the certificate")
    demand(b"device.lab.example" in found["2.5.29.17"][1], "another name is in the certificate")


def _lacks(dotted: str) -> Callable[[Bench, PkiRequest, Issued], None]:
    def check(_bench: Bench, _request: PkiRequest, issued: Issued) -> None:
        found = read_certificate(issued.certificates[0]).extensions
        demand(dotted not in found, f"extension {dotted} was copied from the request")

    return check


# -- keys that are taken (N95), validity (N96) -----------------------------------------


def _taken_rows() -> Iterator[Row]:
    for case, certificate in {
        "authority": lambda bench: bench.authority_certificate,
        "root": lambda bench: bench.bundle[-1],
        "ra-encryption": lambda bench: bench.encryption_certificate,
        "ra-signing": lambda bench: bench.signing_certificate,
    }.items():
        yield Row("N95", case, _key_of(certificate), BAD_REQUEST)
    yield Row("N95", "another-device", _key_of_another_device, BAD_REQUEST)
    wishes = {
        "100-years": [("ValidityPeriod", "Years"), ("ValidityPeriodUnits", "100")],
        "2-days": [("ValidityPeriod", "Days"), ("ValidityPeriodUnits", "2")],
        "negative": [("ValidityPeriod", "Days"), ("ValidityPeriodUnits", "-5")],
        "huge": [("ValidityPeriod", "Years"), ("ValidityPeriodUnits", "9" * 40)],
        "words": [("ValidityPeriod", "Eons"), ("ValidityPeriodUnits", "two")],
        "past": [("ExpirationDate", "Mon, 01 Jan 2001 00:00:00 GMT")],
        "future": [("ExpirationDate", "Fri, 01 Jan 2999 00:00:00 GMT")],
        "not-before": [("NotBefore", "20010101000000Z")],
    }
    for case, pairs in wishes.items():
        outcome: Outcome = Success(_clamped)
        if case in ("past", "negative"):
            outcome = Either((outcome, BAD_REQUEST))
        yield Row("N96", case, csr(attributes=[_wishes(pairs)]), outcome)


def _key_of(certificate: Callable[[Bench], bytes]) -> Build:
    def build(bench: Bench) -> PkiRequest:
        return bench.request(csr={"key": Key(read_certificate(certificate(bench)).spki)})

    return build


def _key_of_another_device(bench: Bench) -> PkiRequest:
    taken = bench.enrol()
    return bench.request(csr={"key": taken.key})


def _wishes(pairs: list[tuple[str, str]]) -> bytes:
    values = [asn1.seq(asn1.string(asn1.BMP, key), asn1.string(asn1.BMP, value)) for key, value in pairs]
    return attribute("1.3.6.1.4.1.311.13.2.1", *values)


def _clamped(bench: Bench, _request: PkiRequest, issued: Issued) -> None:
    """The template gives a year, the CA its own end; nobody gets a certificate from the past."""
    leaf, authority = read_certificate(issued.certificates[0]), read_certificate(bench.authority_certificate)
    begin, end = instant(leaf.not_before), instant(leaf.not_after)
    usual = bench.enrol().parts
    skew = 3600
    demand(end <= instant(authority.not_after), "the certificate outlives its CA")
    demand(end <= instant(usual.not_after) + skew, "the wish made the certificate live longer")
    demand(abs(begin - instant(usual.not_before)) <= skew, "the wish moved notBefore")
    demand(begin < end, "the certificate never becomes valid")


def instant(node: asn1.Node) -> int:
    """Return a Time as seconds in a calendar that is good enough to compare."""
    text = node.content.decode()
    if node.tag == asn1.UTC_TIME:
        text = ("20" if text[:2] < "50" else "19") + text
    year, month, day, hour, minute, second = (
        int(text[:4]),
        *(int(text[at : at + 2]) for at in range(4, 14, 2)),
    )
    return (((year * 372 + month * 31 + day) * 24 + hour) * 60 + minute) * 60 + second


ROWS: tuple[Row, ...] = (
    *_proof_rows(),
    *_key_rows(),
    *_subject_rows(),
    *_challenge_rows(),
    *_attribute_rows(),
    *_taken_rows(),
)
