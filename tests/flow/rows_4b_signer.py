"""4B, the outer CMS, continued: content, encodings, signer certificates, things to ignore (N48 to N55)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flow.rows_4b import (
    BAD,
    BAD_ALG,
    BAD_CHECK,
    BAD_REQUEST,
    BAD_TIME,
    Build,
    changed,
    message,
    raw,
    without_decryption,
)
from forge import asn1
from forge.bench import Bench, PkiRequest
from forge.certificates import (
    AKI,
    CLIENT_AUTH,
    EKU,
    basic_constraints,
    common_name,
    extension,
    generalized,
    key_usage,
    utc,
)
from forge.envelope import (
    ENCRYPTED_DATA,
    ENVELOPED_DATA,
    SIGNED_DATA,
)
from forge.keys import (
    ExponentOne,
    Key,
    digest,
    rsa_public_only,
    rsa_spki,
)
from forge.message import (
    CONTENT_TYPE,
    PkiMessage,
    attribute,
)
from forge.table import Row, Success

# -- content, versions, encodings (N48 to N50) -----------------------------------------


def _content_rows() -> Iterator[Row]:
    none = digest("sha256", b"")
    yield Row("N48", "absent", message(content_element=b"", message_digest=none), BAD_REQUEST)
    yield Row("N48", "zero-length", message(content=b""), BAD_REQUEST)
    yield Row("N48", "one-nul", message(content=b"\0"), BAD_REQUEST)
    yield Row("N48", "utf8", changed(_as_utf8_string), BAD_REQUEST)
    yield Row("N48", "bare-envelope", changed(_pkcs7_style), Success())
    yield Row("N48", "type-enveloped", message(content_type=ENVELOPED_DATA), Success())
    for case, dotted in {"signed": SIGNED_DATA, "encrypted": ENCRYPTED_DATA, "unknown": "1.2.3.4"}.items():
        yield Row("N48", f"type-{case}", message(content_type=dotted), BAD_REQUEST)
    yield Row(
        "N48",
        "type-and-attribute-differ",
        message(replaced={CONTENT_TYPE: [asn1.oid(SIGNED_DATA)]}),
        BAD_CHECK,
    )
    for version, expected in ((1, Success()), (3, Success()), (0, Success()), (99, BAD), (-1, BAD)):
        yield Row("N49", f"version-{version}", message(version=version), expected)
    yield Row(
        "N49",
        "signer-version-3",
        lambda bench: bench.request(
            signer={"extensions": [extension("2.5.29.14", asn1.octets(b"\x0b" * 20))]},
            message={"sid": asn1.implicit(0, b"\x0b" * 20), "signer_version": 3, "version": 3},
        ),
        Success(),
    )
    yield Row("N49", "trailing", message(trailing=b"\0"), BAD)
    yield Row("N49", "trailing-message", message(trailing=asn1.seq()), BAD)
    for case, style in {
        "indefinite": asn1.Style(indefinite=True),
        "constructed": asn1.Style(chunk=100),
        "nested-3": asn1.Style(chunk=60, levels=3),
        "nested-3-indefinite": asn1.Style(indefinite=True, chunk=60, levels=3),
        "padded-lengths": asn1.Style(padded_lengths=2),
        "one-octet-chunks": asn1.Style(chunk=1),
    }.items():
        yield Row("N50", case, message(style=style), Success())
    yield Row("N50", "constructed-definite-0", _go_client, Success())
    yield Row("N50", "envelope-indefinite", _inner(asn1.Style(indefinite=True)), Success())
    yield Row(
        "N50",
        "envelope-nested",
        _inner(asn1.Style(indefinite=True, implicit_chunk=50)),
        Success(),
    )
    yield Row("N50", "no-end-of-contents", _without_end, BAD)
    yield Row("N50", "end-of-contents-within-definite", raw(b"\x30\x04\x00\x00\x05\x00"), BAD)


def _as_utf8_string(_bench: Bench, forged: PkiMessage) -> PkiMessage:
    return forged.with_(content_element=asn1.explicit(0, asn1.tlv(asn1.UTF8, forged.content or b"")))


def _pkcs7_style(_bench: Bench, forged: PkiMessage) -> PkiMessage:
    """PKCS#7 v1.5 has the content itself where CMS has an OCTET STRING; digested without tag and length."""
    assert forged.content is not None
    return forged.with_(
        content_element=asn1.explicit(0, forged.content),
        message_digest=digest("sha256", asn1.read(forged.content).body),
    )


def _inner(style: asn1.Style) -> Build:
    """Return a builder whose envelope is BER, inside an outer message that is DER."""

    def build(bench: Bench) -> PkiRequest:
        pki = bench.request()
        assert pki.forged is not None
        ber = asn1.restyle(pki.forged.content or b"", style)
        return pki.with_message(pki.forged.with_(content=ber).encode())

    return build


def _go_client(bench: Bench) -> PkiRequest:
    return _inner(asn1.Style(implicit_chunk=10_000))(bench)


def _without_end(bench: Bench) -> PkiRequest:
    pki = bench.request(message={"style": asn1.Style(indefinite=True)})
    return pki.with_message(pki.message[:-2])


# -- the signer certificate (N51) ------------------------------------------------------


def _signer(**fields: Any) -> Build:
    return lambda bench: bench.request(signer=fields)


def _signer_rows() -> Iterator[Row]:
    purposes = extension(EKU, asn1.seq(asn1.oid(CLIENT_AUTH)), critical=True)
    for case, fields in {
        "v1": {"version": None},
        "v2": {"version": 1},
        "serial-0": {"serial": 0},
        "serial-negative": {"serial": -5},
        "serial-33": {"serial": b"\x01" * 33},
        "serial-ascii-nul": {"serial": b"1F" * 16 + b"\0"},
        "critical-aki": {
            "extensions": [extension(AKI, asn1.seq(asn1.implicit(0, b"\1" * 20)), critical=True)]
        },
        "not-yet-valid": {"not_before": utc("490101000000Z")},
        "expired": {"not_after": utc("200102000000Z")},
        "no-utc-times": {"not_before": generalized("20200101000000Z")},
        "ca": {"extensions": [basic_constraints(is_authority=True), key_usage(5, 6)]},
        "apple": {"extensions": [key_usage(0), purposes], "serial": 1},
        "md5": {"digest": "md5"},
        "sha1": {"digest": "sha1"},
        "unknown-critical": {"extensions": [extension("1.3.6.1.4.1.99999.9", b"\x05\x00", critical=True)]},
        "broken-extension": {"extensions": [extension("2.5.29.15", b"\xff\xff", critical=True)]},
        "broken-extensions": {"extensions": asn1.explicit(3, asn1.octets(b"not a SEQUENCE"))},
        "broken-signature": {"signature": b"\0" * 256},
        "other-subject": {"subject": common_name("SCEP SIGNER")},
        "empty-subject": {"subject": asn1.seq()},
        "at-sign": {"subject": common_name("root@printer", asn1.PRINTABLE)},
    }.items():
        yield Row("N51", case, _signer(**fields), Success())
    yield Row("N51", "unparseable", _unparseable_signer, BAD_CHECK)
    yield Row("N51", "rsa-1024", _weak_signer(lambda bench: bench.keys.rsa(1024)), Success())
    weak: dict[str, Callable[[Bench], Key]] = {
        "rsa-512": lambda bench: bench.keys.rsa(512),
        "rsa-768": lambda bench: bench.keys.rsa(768),
        "rsa-16384": lambda _: rsa_public_only(16384),
        "e-2": lambda bench: rsa_with_exponent(bench, 2),
        "e-even": lambda bench: rsa_with_exponent(bench, 65536),
        "e-0": lambda bench: rsa_with_exponent(bench, 0),
        "e-negative": lambda bench: rsa_with_exponent(bench, -3),
        "modulus-even": lambda _: Key(rsa_spki(1 << 2047, 65537)),
        "modulus-negative": lambda _: Key(rsa_spki(-(1 << 2047) - 1, 65537)),
    }
    for case, key in weak.items():
        yield Row("N51", case, _weak_signer(key), BAD_ALG)
    yield Row("N51", "e-1", _exponent_one, BAD_ALG)
    yield Row("N51", "ec", without_decryption("ec"), Success())


def rsa_with_exponent(bench: Bench, exponent: int) -> Key:
    """Return a public key with a modulus like any other and this exponent."""
    modulus, _ = (node.number for node in asn1.read(asn1.read(bench.keys.other.spki)[1].content[1:]).children)
    return Key(rsa_spki(modulus, exponent))


def _weak_signer(key: Callable[[Bench], Key]) -> Build:
    return lambda bench: bench.request(key=key(bench), csr={"key": bench.keys.fresh()})


def _exponent_one(bench: Bench) -> PkiRequest:
    modulus = asn1.read(asn1.read(bench.keys.other.spki)[1].content[1:])[0].number
    one = ExponentOne(modulus)
    return bench.request(key=one.key, csr={"key": bench.keys.fresh()}, message={"signature": one.sign})


def _unparseable_signer(bench: Bench) -> PkiRequest:
    return bench.request(message={"certificates": [asn1.seq(asn1.octets(b"no certificate at all"))]})


# -- what is to be ignored, and times (N52 to N55) -------------------------------------


def _tolerance_rows() -> Iterator[Row]:
    times = {
        "past": utc("160101000000Z"),
        "future": utc("360101000000Z"),
        "generalized": generalized("20261122120000Z"),
        "offset": utc("260531073014-0400"),
        "far-future": generalized("20990101000000Z"),
    }
    for case, value in times.items():
        yield Row("N52", case, message(signing_time=value), Success())
    yield Row("N52", "missing", message(), Success())
    for case in ("past", "future"):
        yield Row(
            "N52",
            f"{case}-with-tolerance",
            message(endpoint="punctual", signing_time=times[case]),
            BAD_TIME,
        )
    yield Row("N52", "missing-with-tolerance", message(endpoint="punctual"), Success())
    crl = asn1.seq(asn1.seq(asn1.algorithm("1.2.840.113549.1.1.11"), asn1.seq()), asn1.bits(b"x"))
    yield Row("N53", "crls", message(crls=asn1.explicit(1, crl)), Success())
    yield Row(
        "N53",
        "crls-garbage",
        message(crls=asn1.explicit(1, asn1.octets(b"?"))),
        Success(),
    )
    for case, tag in {"extended": 0, "attribute-v1": 1, "attribute-v2": 2, "other": 3}.items():
        yield Row("N53", case, _with_certificate_choice(tag), Success())
    for case, dotted in {
        "countersignature": "1.2.840.113549.1.9.6",
        "timestamp": "1.2.840.113549.1.9.16.2.14",
        "unknown": "1.2.3.4",
    }.items():
        unsigned = asn1.explicit(1, attribute(dotted, asn1.seq(asn1.integer(1))))
        yield Row("N54", case, message(unsigned=unsigned), Success())
    yield Row("N55", "signed-in-signed", _nested(1), BAD_REQUEST)
    yield Row("N55", "signed-in-signed-in-signed", _nested(2), BAD_REQUEST)


def _with_certificate_choice(tag: int) -> Build:
    def change(_bench: Bench, forged: PkiMessage) -> PkiMessage:
        other = asn1.explicit(tag, asn1.oid("1.2.3.4"), asn1.octets(b"another format"))
        return forged.with_(certificates=[forged.certificate, other])

    return changed(change)


def _nested(levels: int) -> Build:
    def build(bench: Bench) -> PkiRequest:
        pki = bench.request()
        assert pki.forged is not None
        inner = pki.forged
        for _ in range(levels):
            inner = inner.with_(content=inner.encode())
        return pki.with_message(inner.encode())

    return build


ROWS: tuple[Row, ...] = (*_content_rows(), *_signer_rows(), *_tolerance_rows())
