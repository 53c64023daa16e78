"""4F, encoding bombs and resource attacks: small inputs that want much (rows N120 to N128)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flow.rows_4b import changed, message, raw
from flow.rows_4c import envelope, plaintext, recipients
from forge import asn1, wire
from forge.bench import Bench, HttpRequest, PkiRequest
from forge.certificates import CertificateForge, common_name, name, rdn
from forge.csr import CsrForge
from forge.envelope import SIGNED_DATA, content_info
from forge.keys import Key, rsa_spki
from forge.message import PkiMessage, attribute
from forge.table import Either, Fail, Outcome, Row, Status, Success

BAD = Status(400, group="400")
BAD_ALG, BAD_CHECK, BAD_REQUEST = Fail(0), Fail(1), Fail(2)
Build = Callable[[Bench], PkiRequest]
QUICK = 0.1  # seconds of processor time, with the reading of a megabyte in it


def bomb(octets: bytes) -> Build:
    """Return a builder that posts these octets."""
    return raw(octets)


def _nested(levels: int) -> bytes:
    """Return definite-length SEQUENCEs inside each other, innermost first, in linear time."""
    headers = []
    size = 0
    for _ in range(levels):
        header = bytes((asn1.SEQUENCE,)) + asn1.length(size)
        headers.append(header)
        size += len(header)
    return b"".join(reversed(headers))


def _nesting_rows() -> Iterator[Row]:
    for case, octets in {
        "100000-definite": _nested(100_000),
        "33-definite": _nested(33),
        "500-indefinite": b"\x30\x80" * 500 + asn1.END_OF_CONTENTS * 500,
        "100000-indefinite": b"\x30\x80" * 100_000 + asn1.END_OF_CONTENTS * 100_000,
        "100000-indefinite-open": b"\x30\x80" * 100_000,
        "constructed-strings": b"\x24\x80" * 50_000 + asn1.END_OF_CONTENTS * 50_000,
        "in-signed-data": content_info(SIGNED_DATA, _nested(50_000)),
        "in-signed-data-indefinite": content_info(SIGNED_DATA, b"\x30\x80" * 9000),
    }.items():
        yield Row("N120", case, bomb(octets), BAD, cpu_seconds=QUICK)
    inside = {
        "in-the-content": message(content=_nested(100_000)),
        "in-the-envelope": envelope(ciphertext=bytes(16), originator_info=asn1.explicit(0, _nested(50_000))),
        "in-the-plaintext": plaintext(lambda *_: _nested(100_000)),
        "in-the-csr": plaintext(lambda _, csr: asn1.seq(_nested(50_000), csr)),
        "in-an-extension": _nested_extension,
    }
    for case, build in inside.items():
        yield Row("N120", case, build, Either((BAD_REQUEST, BAD_CHECK)))
    yield Row("N120", "in-an-attribute", message(added=[attribute("1.2.3.4", _nested(5000))]), BAD)


def _nested_extension(bench: Bench) -> PkiRequest:
    value = _nested(20_000)
    san = asn1.seq(asn1.oid("2.5.29.17"), asn1.octets(value))
    return bench.request(csr={"extensions": [san]})


# -- identifiers, integers, lengths (N121 to N123) ---------------------------------------


def _oid_of(content: bytes) -> bytes:
    return asn1.tlv(6, content)


def _in_message(element: bytes) -> bytes:
    """Return a SignedData that begins well and then has ``element`` among its digest algorithms."""
    return content_info(SIGNED_DATA, asn1.seq(asn1.integer(1), asn1.set_of(asn1.seq(element))))


def _number_rows() -> Iterator[Row]:
    long_arc = b"\x2a" + b"\xff" * 200_000 + b"\x7f"
    many_arcs = b"\x2a" * 200_000
    for case, content in {
        "200-kB-arc": long_arc,
        "200-kB-arcs": many_arcs,
        "129-octets": b"\x2a" * 129,
        "empty": b"",
        "unfinished": b"\x2a\x86",
    }.items():
        yield Row("N121", case, bomb(_in_message(_oid_of(content))), BAD, cpu_seconds=QUICK)
        attribute_ = asn1.seq(_oid_of(content), asn1.set_of(asn1.NULL))
        yield Row("N121", f"{case}-attribute", message(added=[attribute_]), BAD)
    arc_2_64 = asn1.oid(f"1.3.6.1.4.1.{1 << 64}")
    yield Row(
        "N121",
        "arc-2-64",
        message(added=[asn1.seq(arc_2_64, asn1.set_of(asn1.NULL))]),
        Either((BAD, Success())),
    )
    leading = asn1.seq(_oid_of(b"\x80\x2a\x03"), asn1.set_of(asn1.NULL))
    yield Row("N121", "leading-80", message(added=[leading]), BAD)
    yield Row(
        "N121",
        "leading-80-arc",
        message(added=[asn1.seq(_oid_of(b"\x2a\x80\x03"), asn1.set_of(asn1.NULL))]),
        BAD,
    )
    huge = asn1.tlv(2, b"\x01" * 900_000)
    signed_version = content_info(SIGNED_DATA, asn1.seq(huge, asn1.set_of()))
    yield Row("N122", "version", bomb(signed_version), BAD, cpu_seconds=QUICK)
    sid = asn1.seq(common_name("forged device"), huge)
    yield Row("N122", "serial-of-the-sid", message(sid=sid), BAD)
    yield Row("N122", "serial-of-the-signer", _serial_of_the_signer, BAD)
    yield Row("N122", "modulus-of-the-signer", _modulus_of_the_signer, Either((BAD, BAD_ALG)))
    yield Row("N122", "version-of-the-csr", _huge_version, Either((BAD_REQUEST, BAD_ALG)))
    yield Row("N122", "modulus-of-the-csr", _huge_modulus, BAD_ALG)
    yield Row(
        "N122", "serial-of-the-recipient", recipients(_huge_recipient), Either((BAD_REQUEST, BAD_CHECK))
    )
    for case, octets in {
        "2-63": b"\x30\x88\x7f\xff\xff\xff\xff\xff\xff\xff",
        "2-64": b"\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff",
        "84-ffffffff": b"\x30\x84\xff\xff\xff\xff",
        "126-octets": b"\x30\xfe" + b"\xff" * 126,
        "127-octets": b"\x30\xff" + b"\x01" * 127,
        "cut-off-in-the-length": b"\x30\x84\xff",
        "only-a-tag": b"\x30",
        "inner": asn1.seq(asn1.oid(SIGNED_DATA), b"\xa0\x84\xff\xff\xff\xff"),
        "inner-primitive": asn1.seq(b"\x04\x84\x7f\xff\xff\xff"),
        "long-tag": b"\x3f" + b"\xff" * 200_000 + b"\x7f\x00",
    }.items():
        yield Row("N123", case, bomb(octets), BAD, cpu_seconds=QUICK)


def _serial_of_the_signer(bench: Bench) -> PkiRequest:
    return bench.request(signer={"serial": b"\x01" * 300_000, "signature": b"x"})


def _modulus_of_the_signer(bench: Bench) -> PkiRequest:
    key = Key(rsa_spki((1 << 7_000_000) + 1, 65537))
    return bench.request(key=key, csr={"key": bench.keys.fresh()})


def _huge_modulus(bench: Bench) -> PkiRequest:
    return bench.request(csr={"key": Key(rsa_spki((1 << 5_000_000) + 1, 65537))})


def _huge_version(bench: Bench) -> PkiRequest:
    csr = CsrForge(key=bench.keys.fresh(), subject=bench.subject(), version=1 << 5_000_000).encode()
    return bench.request(plaintext=csr)


def _huge_recipient(bench: Bench) -> list[object]:
    identifier = asn1.seq(common_name("whoever"), asn1.tlv(2, b"\x01" * 500_000))
    return [bench.recipient(identifier=identifier)]


# -- many small things (N124) ------------------------------------------------------------


def _crowd(count: int = 100_000) -> bytes:
    return asn1.NULL * count


def _crowd_rows() -> Iterator[Row]:
    yield Row("N124", "nulls", bomb(asn1.seq(_crowd())), BAD, cpu_seconds=QUICK)
    yield Row("N124", "attributes", _many_attributes, BAD)
    yield Row("N124", "certificates", _many_certificates, BAD)
    yield Row("N124", "crls", message(crls=asn1.explicit(1, _crowd())), BAD)
    yield Row("N124", "digests", message(digest_algorithms=asn1.set_of(_crowd())), BAD)
    yield Row("N124", "signers", message(signer_infos=(_crowd(),)), BAD)
    yield Row("N124", "recipients", recipients(lambda _: [_crowd()]), Either((BAD_REQUEST, BAD_ALG)))
    yield Row("N124", "rdns-of-the-csr", _many_rdns, BAD_REQUEST)
    yield Row("N124", "rdns-of-the-signer", _many_rdns_of_the_signer, BAD)
    yield Row("N124", "attributes-of-the-csr", _many_csr_attributes, BAD_REQUEST)
    yield Row("N124", "names-in-an-extension", _many_names, BAD_REQUEST)


def _many_attributes(bench: Bench) -> PkiRequest:
    one = asn1.seq(asn1.oid("1.2.3"), asn1.set_of())
    return bench.request(message={"added": [one] * 50_000, "sort_attributes": False})


def _many_certificates(bench: Bench) -> PkiRequest:
    pki = bench.request()
    assert pki.forged is not None
    block = asn1.explicit(0, pki.forged.certificate, asn1.seq() * 100_000)
    return pki.with_message(pki.forged.with_(certificates_der=block).encode())


def _rdns(count: int) -> bytes:
    return name(*([rdn(("2.5.4.11", asn1.UTF8, "x"))] * count))


def _many_rdns(bench: Bench) -> PkiRequest:
    return bench.request(csr={"subject": _rdns(50_000)}, signer={"subject": common_name("x")})


def _many_rdns_of_the_signer(bench: Bench) -> PkiRequest:
    return bench.request(signer={"subject": _rdns(12_000)})


def _many_csr_attributes(bench: Bench) -> PkiRequest:
    return bench.request(csr={"attributes_der": asn1.explicit(0, asn1.seq() * 100_000)})


def _many_names(bench: Bench) -> PkiRequest:
    san = asn1.seq(asn1.oid("2.5.29.17"), asn1.octets(asn1.seq(asn1.implicit(2, b"a") * 100_000)))
    return bench.request(csr={"extensions": [san]})


# -- keys, chains, escapes (N125, N126, N128) ---------------------------------------------


def _monstrous_key(bench: Bench) -> PkiRequest:
    key = Key(rsa_spki((1 << 16383) + 1, (1 << 16383) + 1))
    return bench.request(key=key, csr={"key": bench.keys.fresh()}, message={"signature": b"\x01" * 2048})


def _large_exponent(bench: Bench) -> PkiRequest:
    modulus = asn1.read(asn1.read(bench.keys.other.spki)[1].content[1:])[0].number
    key = Key(rsa_spki(modulus, (1 << 2040) + 1))
    return bench.request(key=key, csr={"key": bench.keys.fresh()})


def _chain(count: int) -> Build:
    def change(bench: Bench, forged: PkiMessage) -> PkiMessage:
        links = [
            CertificateForge(
                key=bench.keys.other,
                subject=common_name(f"link {number}"),
                issuer=common_name(f"link {number + 1}"),
                signature=b"x",
            ).encode()
            for number in range(count)
        ]
        return forged.with_(certificates=[forged.certificate, *links])

    return changed(change)


def _loop(bench: Bench) -> PkiRequest:
    first, second = common_name("loop 1"), common_name("loop 2")
    keys = [bench.keys.fresh(), bench.keys.fresh()]
    one = CertificateForge(key=keys[0], subject=first, issuer=second, issuer_key=keys[1]).encode()
    two = CertificateForge(key=keys[1], subject=second, issuer=first, issuer_key=keys[0]).encode()
    return bench.request(
        key=keys[0], certificate=one, csr={"subject": first}, message={"certificates": [one, two]}
    )


def _escapes(count: int) -> Callable[[Bench], HttpRequest]:
    def build(bench: Bench) -> HttpRequest:
        query = "operation=PKIOperation&message=" + "%25" * count
        top = wire.request_line(bench.url(), "GET", query) + wire.headers({"Connection": "close"})
        return HttpRequest(octets=top)

    return build


def _rest_rows() -> Iterator[Row]:
    yield Row("N125", "e-2-16383", _monstrous_key, BAD_ALG, cpu_seconds=QUICK)
    yield Row("N125", "e-2-2040", _large_exponent, BAD_ALG, cpu_seconds=QUICK)
    many: Outcome = Either((BAD, BAD_CHECK))
    yield Row("N126", "1000-links", _chain(1000), many)
    yield Row("N126", "9-links", _chain(9), Success())
    yield Row("N126", "loop", _loop, BAD_CHECK)
    yield Row("N128", "1000000-escapes", _escapes(1_000_000), Status(414))
    yield Row("N128", "10000-escapes", _escapes(10_000), BAD, cpu_seconds=QUICK)


ROWS: tuple[Row, ...] = (*_nesting_rows(), *_number_rows(), *_crowd_rows(), *_rest_rows())

CONVERSATIONS = {"N127": "test_pending_requests_are_limited"}
