"""4B, the outer CMS: everything that can be odd about a SignedData (rows N30 to N47)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from forge import asn1
from forge.bench import Bench, PkiRequest
from forge.certificates import (
    CertificateForge,
    common_name,
    extension,
    read_certificate,
)
from forge.envelope import (
    AUTH_ENVELOPED_DATA,
    COMPRESSED_DATA,
    DATA,
    DIGESTED_DATA,
    ENCRYPTED_DATA,
    ENVELOPED_DATA,
    Password,
    content_info,
    issuer_and_serial,
)
from forge.keys import (
    DIGESTS,
    RSA,
    RSA_PSS,
    digest,
    pss_parameters,
)
from forge.message import (
    CONTENT_TYPE,
    FAIL_INFO,
    MESSAGE_DIGEST,
    MESSAGE_TYPE,
    PKI_STATUS,
    RECIPIENT_NONCE,
    SENDER_NONCE,
    TRANSACTION_ID,
    PkiMessage,
    attribute,
    degenerate,
)
from forge.table import Fail, Outcome, Row, Status, Success

BAD = Status(400, group="400")
BAD_ALG, BAD_CHECK, BAD_REQUEST, BAD_TIME = Fail(0), Fail(1), Fail(2), Fail(3)
Build = Callable[[Bench], PkiRequest]


def raw(octets: bytes | Callable[[Bench], bytes]) -> Build:
    """Return a builder that posts octets which are no request of ours."""

    def build(bench: Bench) -> PkiRequest:
        return bench.request().with_message(octets if isinstance(octets, bytes) else octets(bench))

    return build


def message(sent: dict[str, Any] | None = None, *, endpoint: str = "default", **fields: Any) -> Build:
    """Return a builder of a PKCSReq with some fields of the pkiMessage changed."""
    return lambda bench: bench.request(message=fields, sent=sent, endpoint=endpoint)


def changed(change: Callable[[Bench, PkiMessage], PkiMessage], sent: dict[str, Any] | None = None) -> Build:
    """Return a builder of a PKCSReq whose pkiMessage is changed knowing what it was."""

    def build(bench: Bench) -> PkiRequest:
        pki = bench.request()
        assert pki.forged is not None
        return pki.with_message(change(bench, pki.forged).encode(), **(sent or {}))

    return build


def _printable(text: str) -> bytes:
    return asn1.string(asn1.PRINTABLE, text)


# -- what is no pkiMessage (N30 to N36) ------------------------------------------------


def _shape_rows() -> Iterator[Row]:
    for size in (1, 2, 100, 5000):
        yield Row("N30", f"random-{size}", raw(os.urandom(size)), BAD)
    yield Row("N30", "empty-sequence", raw(asn1.seq()), BAD)
    yield Row("N30", "nulls", raw(bytes(2000)), BAD)
    for case, dotted in {
        "data": DATA,
        "enveloped": ENVELOPED_DATA,
        "encrypted": ENCRYPTED_DATA,
        "digested": DIGESTED_DATA,
        "compressed": COMPRESSED_DATA,
        "auth-enveloped": AUTH_ENVELOPED_DATA,
        "unknown": "1.3.6.1.4.1.99999.7",
    }.items():
        yield Row("N31", case, raw(content_info(dotted, asn1.octets(b"x" * 40))), BAD)
    yield Row("N31", "signed-inside-another-type", raw(_mislabelled), BAD)
    yield Row("N32", "degenerate", raw(lambda bench: degenerate(bench.bundle[0])), BAD)
    yield Row("N32", "no-signers", message(signer_infos=()), BAD)
    yield Row("N33", "one-bad", changed(_second_signer_bad), BAD)
    yield Row("N33", "bad-first", changed(_first_signer_bad), BAD)
    yield Row("N33", "two-transactions", changed(_two_transactions), BAD)
    yield Row("N34", "no-certificates", message(certificates=()), BAD_CHECK)
    yield Row(
        "N34",
        "none-matches",
        lambda bench: bench.request(message={"certificates": [_stranger(bench)]}),
        BAD_CHECK,
    )
    yield Row("N34", "known-but-not-sent", _known_signer_left_out, BAD_CHECK)
    for count, expected in ((1, Success()), (20, Success()), (21, BAD), (40, BAD)):
        yield Row("N35", f"{count}-more", _with_extras(count), expected)
    yield Row("N36", "no-signed-attributes", message(without_attributes=True), BAD)
    yield Row("N36", "empty-signed-attributes", message(raw_attributes=()), BAD)


def _mislabelled(bench: Bench) -> bytes:
    signed = asn1.read(bench.request().message)[1][0].raw
    return content_info(ENVELOPED_DATA, signed)


def _signer_infos(forged: PkiMessage, *others: bytes, first: bool = True) -> Sequence[bytes]:
    return [forged.signer_info(), *others] if first else [*others, forged.signer_info()]


def _second_signer_bad(_bench: Bench, forged: PkiMessage) -> PkiMessage:
    bad = forged.with_(signature=b"\x01" * 256).signer_info()
    return forged.with_(signer_infos=_signer_infos(forged, bad))


def _first_signer_bad(_bench: Bench, forged: PkiMessage) -> PkiMessage:
    bad = forged.with_(signature=b"\x01" * 256).signer_info()
    return forged.with_(signer_infos=_signer_infos(forged, bad, first=False))


def _two_transactions(_bench: Bench, forged: PkiMessage) -> PkiMessage:
    other = forged.with_(transaction_id="ANOTHER").signer_info()
    return forged.with_(signer_infos=_signer_infos(forged, other))


def _stranger(bench: Bench) -> bytes:
    return CertificateForge(key=bench.keys.other, subject=common_name("stranger"), serial=77).encode()


def _known_signer_left_out(bench: Bench) -> PkiRequest:
    return bench.renewal(bench.enrol(), message={"certificates": ()})


def _with_extras(count: int) -> Build:
    def build(bench: Bench) -> PkiRequest:
        pki = bench.request()
        assert pki.forged is not None
        key = bench.keys.other
        some = [CertificateForge(key=key, serial=1000 + number).encode() for number in range(count)]
        return pki.with_message(pki.forged.with_(certificates=[*some, pki.forged.certificate]).encode())

    return build


# -- signed attributes (N37 to N42) ----------------------------------------------------


def _without(dotted: str) -> dict[str, Any]:
    return {"replaced": {dotted: None}}


def _attribute_rows() -> Iterator[Row]:
    absent: dict[str, tuple[str, Outcome, dict[str, Any]]] = {
        "transaction-id": (TRANSACTION_ID, BAD, {}),
        "message-type": (MESSAGE_TYPE, BAD_REQUEST, {}),
        "sender-nonce": (SENDER_NONCE, BAD_REQUEST, {"sender_nonce": None}),
        "message-digest": (MESSAGE_DIGEST, BAD_CHECK, {}),
        "content-type": (CONTENT_TYPE, BAD_CHECK, {}),
    }
    for case, (dotted, expected, sent) in absent.items():
        yield Row("N37", f"no-{case}", message(sent, **_without(dotted)), expected)
    for case, (dotted, _, sent) in absent.items():
        twice: Outcome = BAD if dotted == TRANSACTION_ID else BAD_REQUEST
        yield Row("N38", f"twice-{case}", _twice(dotted), twice)
        yield Row(
            "N38",
            f"no-value-{case}",
            message(sent, replaced={dotted: []}),
            twice,
        )
        yield Row("N38", f"two-values-{case}", _two_values(dotted), twice)
    yield from _transaction_id_rows()
    for case, value in {
        "empty": _printable(""),
        "019": _printable("019"),
        "space-before": _printable(" 19"),
        "space-after": _printable("19 "),
        "nul": _printable("19\0"),
        "CertRep": _printable("3"),
        "0": _printable("0"),
        "18": _printable("18"),
        "23": _printable("23"),
        "99": _printable("99"),
        "huge": _printable("99999999999"),
        "negative": _printable("-1"),
        "plus": _printable("+19"),
        "arabic-digits": asn1.string(asn1.UTF8, "١٩"),
        "integer": asn1.integer(19),
        "octets": asn1.octets(b"19"),
    }.items():
        yield Row("N40", case, message(replaced={MESSAGE_TYPE: [value]}), BAD_REQUEST)
    yield Row(
        "N40",
        "utf8",
        message(replaced={MESSAGE_TYPE: [asn1.string(asn1.UTF8, "19")]}),
        Success(),
    )
    for size in (1, 8, 16, 32, 64):
        yield Row("N41", f"{size}", message(sender_nonce=os.urandom(size)), Success())
    for size in (0, 65, 900_000):
        yield Row(
            "N41",
            f"{size}",
            message({"sender_nonce": None}, sender_nonce=os.urandom(size)),
            BAD_REQUEST,
        )
    yield Row(
        "N41",
        "printable",
        message({"sender_nonce": None}, replaced={SENDER_NONCE: [_printable("0123456789abcdef")]}),
        BAD_REQUEST,
    )
    for case, added in {
        "pkiStatus": attribute(PKI_STATUS, _printable("0")),
        "failInfo": attribute(FAIL_INFO, _printable("2")),
        "recipientNonce": attribute(RECIPIENT_NONCE, asn1.octets(b"0123456789abcdef")),
        "unknown": attribute("1.3.6.1.4.1.99999.2", asn1.seq(), asn1.integer(3)),
        "algorithm-protection": attribute(
            "1.2.840.113549.1.9.52", asn1.seq(asn1.algorithm(DIGESTS["sha256"]))
        ),
        "random-nonce": attribute("1.2.840.113549.1.9.25.3", asn1.octets(b"0123456789abcdef")),
    }.items():
        yield Row("N42", case, message(added=[added]), Success())


def _value_of(forged: PkiMessage, dotted: str) -> bytes:
    return next(one[1][0].raw for one in map(asn1.read, forged.attributes()) if one[0].dotted == dotted)


def _twice(dotted: str) -> Build:
    return changed(lambda _, forged: forged.with_(added=[attribute(dotted, _value_of(forged, dotted))]))


def _two_values(dotted: str) -> Build:
    def change(_bench: Bench, forged: PkiMessage) -> PkiMessage:
        value = _value_of(forged, dotted)
        return forged.with_(replaced={dotted: [value, value]})

    return changed(change)


def _transaction_id_rows() -> Iterator[Row]:
    for case, text in {
        "traversal": "../../x",
        "openscep": "SSCEP transactionId",
        "base64": "q1+w/e==",
        "decimal": "9" * 78,
        "255": "A" * 255,
        "one": "7",
    }.items():
        yield Row("N39", case, message(transaction_id=text), Success())
    for case, value in {
        "empty": _printable(""),
        "256": _printable("A" * 256),
        "10-kB": _printable("A" * 10_000),
        "nul": _printable("AB\0CD"),
        "crlf": _printable("AB\r\nSet-Cookie: x"),
        "script": _printable("<script>alert(1)</script>"),
        "escape": _printable("\x1b[31mred"),
        "latin-1": asn1.tlv(asn1.PRINTABLE, b"\xe9\xff"),
        "umlaut": asn1.string(asn1.UTF8, "Ger\u00e4t"),
        "bad-utf8": asn1.tlv(asn1.UTF8, b"\xff\xfe"),
        "octets": asn1.octets(b"ABCDEF"),
        "integer": asn1.integer(12345),
        "sequence": asn1.seq(_printable("ABC")),
    }.items():
        yield Row("N39", f"not-{case}", message(replaced={TRANSACTION_ID: [value]}), BAD)
    for case, tag in {"utf8": asn1.UTF8, "ia5": asn1.IA5, "visible": asn1.VISIBLE, "bmp": asn1.BMP}.items():
        yield Row(
            "N39",
            f"type-{case}",
            message({"transaction_id": case}, replaced={TRANSACTION_ID: [asn1.string(tag, case)]}),
            Success(),
        )


# -- algorithms and signatures (N43 to N47) --------------------------------------------


def _algorithm_rows() -> Iterator[Row]:
    weak = {"digest": "sha256"}  # what a refusal is digested with
    for name, default, refused in (
        ("md5", Success(), BAD_ALG),
        ("sha1", Success(), BAD_ALG),
    ):
        yield Row("N43", name, message(digest=name), default)
        yield Row(
            "N43",
            f"{name}-refused",
            message(weak, endpoint="strict", digest=name),
            refused,
        )
    for name in ("md2", "sha3-256", "unknown"):
        yield Row("N43", name, message(weak, digest=name), BAD_ALG)
    for name in ("sha224", "sha256", "sha384", "sha512"):
        yield Row("N43", name, message(digest=name), Success())
    mismatch = asn1.set_of(asn1.algorithm(DIGESTS["sha1"]))
    yield Row("N43", "mismatch", message(digest_algorithms=mismatch), Success())
    yield Row("N43", "none-listed", message(digest_algorithms=asn1.set_of()), Success())
    yield Row("N43", "no-parameters", message(digest_parameters=None), Success())
    for name in ("sha1", "sha256", "sha512"):
        yield Row("N44", f"pss-{name}", message(pss=True, digest=name), Success())
    broken = {
        "empty-pss": asn1.algorithm(RSA_PSS, asn1.seq()),
        "no-pss-parameters": asn1.algorithm(RSA_PSS, None),
        "null-pss": asn1.algorithm(RSA_PSS),
        "garbled-pss": asn1.algorithm(RSA_PSS, asn1.seq(asn1.explicit(0, asn1.octets(b"?")))),
        "negative-salt": asn1.algorithm(RSA_PSS, pss_parameters("sha256", -1)),
        "huge-salt": asn1.algorithm(RSA_PSS, pss_parameters("sha256", 1 << 40)),
        "unknown-hash": asn1.algorithm(
            RSA_PSS, asn1.seq(asn1.explicit(0, asn1.algorithm(DIGESTS["unknown"])))
        ),
        "unknown": asn1.algorithm("1.3.6.1.4.1.99999.5"),
        "dsa-for-rsa": asn1.algorithm("2.16.840.1.101.3.4.3.2", None),
        "ecdsa-for-rsa": asn1.algorithm("1.2.840.10045.4.3.2", None),
    }
    for case, algorithm in broken.items():
        yield Row("N44", case, message(pss=True, signature_algorithm=algorithm), BAD_ALG)
    for case, algorithm in {
        "rsa-no-null": asn1.algorithm(RSA, None),
        "sha256-with-rsa": asn1.algorithm("1.2.840.113549.1.1.11"),
        "sha256-with-rsa-no-null": asn1.algorithm("1.2.840.113549.1.1.11", None),
    }.items():
        yield Row("N44", case, message(signature_algorithm=algorithm), Success())
    yield Row("N44", "ecdsa", without_decryption("ec"), Success())
    yield Row("N44", "ecdsa-p384", without_decryption("ec384"), Success())
    yield Row("N44", "ed25519", without_decryption("ed25519"), Success())
    yield Row("N44", "dsa", without_decryption("dsa"), BAD_ALG)
    yield from _signature_rows()


def without_decryption(kind: str, endpoint: str = "pwri") -> Build:
    """Return a builder of a PKCSReq by a key that cannot decrypt: enveloped under its challenge (T6)."""

    def build(bench: Bench) -> PkiRequest:
        key = {
            "ec": bench.keys.ec,
            "ec384": lambda: bench.keys.ec(ec.SECP384R1()),
            "ed25519": bench.keys.ed25519,
            "dsa": lambda: bench.keys.dsa,
        }[kind]()
        challenge = bench.new_challenge()
        digest_name = "sha512" if kind == "ed25519" else "sha256"
        return bench.request(
            key=key,
            challenge=challenge,
            csr={"key": bench.keys.fresh()},
            envelope={"recipients": [Password(password=challenge.encode())], "version": 3},
            message={"digest": digest_name},
            endpoint=endpoint,
        )

    return build


def _flip(octets: bytes, at: int = -1) -> bytes:
    changed_ = bytearray(octets)
    changed_[at] ^= 1
    return bytes(changed_)


def _signature_rows() -> Iterator[Row]:
    def flipped(_bench: Bench, forged: PkiMessage) -> PkiMessage:
        return forged.with_(signature=lambda data: _flip(forged.key.sign(data)))

    def by_another(bench: Bench, forged: PkiMessage) -> PkiMessage:
        return forged.with_(signature=bench.keys.other.sign)

    def other_content(_bench: Bench, forged: PkiMessage) -> PkiMessage:
        assert forged.content is not None
        element = asn1.explicit(0, asn1.octets(_flip(forged.content)))
        return forged.with_(content_element=element)

    def other_digest(_bench: Bench, forged: PkiMessage) -> PkiMessage:
        return forged.with_(message_digest=digest("sha256", b"something else"))

    def long_digest(_bench: Bench, forged: PkiMessage) -> PkiMessage:
        return forged.with_(message_digest=digest("sha512", forged.content or b""))

    def empty(_bench: Bench, forged: PkiMessage) -> PkiMessage:
        return forged.with_(signature=b"")

    def over_content(_bench: Bench, forged: PkiMessage) -> PkiMessage:
        return forged.with_(signature=forged.key.sign(forged.content or b""))

    def implicit_tag(_bench: Bench, forged: PkiMessage) -> PkiMessage:
        return forged.with_(signature=lambda data: forged.key.sign(b"\xa0" + data[1:]))

    for case, change in {
        "bit-flip": flipped,
        "other-key": by_another,
        "content-changed": other_content,
        "digest-wrong": other_digest,
        "digest-of-another-algorithm": long_digest,
        "empty-signature": empty,
        "over-the-content": over_content,
        "over-the-implicit-tag": implicit_tag,
    }.items():
        yield Row("N45", case, changed(change), BAD_CHECK)
    yield Row("N46", "sent-unsorted", message(sort_attributes=False), Success())
    yield Row(
        "N46",
        "signed-sorted",
        message(sort_attributes=False, signed_order="sorted"),
        Success(),
    )
    yield Row(
        "N46",
        "signed-neither",
        changed(_signed_in_a_third_order),
        BAD_CHECK,
    )
    yield from _signer_identifier_rows()


def _signed_in_a_third_order(_bench: Bench, forged: PkiMessage) -> PkiMessage:
    reversed_ = asn1.set_of(*reversed(forged.attributes()))
    return forged.with_(signature=forged.key.sign(reversed_))


def _signer_identifier_rows() -> Iterator[Row]:
    ski = b"\x0a" * 20

    def by_ski(bench: Bench) -> PkiRequest:
        return bench.request(
            signer={"extensions": [extension("2.5.29.14", asn1.octets(ski))]},
            message={"sid": asn1.implicit(0, ski), "signer_version": 3},
        )

    def reordered(bench: Bench) -> PkiRequest:
        first = asn1.set_of(asn1.seq(asn1.oid("2.5.4.10"), asn1.string(asn1.UTF8, "Example")))
        second = asn1.set_of(asn1.seq(asn1.oid("2.5.4.3"), asn1.string(asn1.UTF8, "signer")))
        sid = asn1.seq(asn1.seq(second, first), asn1.integer(0x5CE9))
        return bench.request(signer={"subject": asn1.seq(first, second)}, message={"sid": sid})

    def restrung(bench: Bench) -> PkiRequest:
        sid = asn1.seq(common_name("Some  SIGNER ", asn1.PRINTABLE), asn1.integer(0x5CE9))
        return bench.request(signer={"subject": common_name("some signer")}, message={"sid": sid})

    def another(bench: Bench) -> PkiRequest:
        pki, other = bench.request(), _stranger(bench)
        assert pki.forged is not None
        confused = pki.forged.with_(
            sid=issuer_and_serial(read_certificate(other)), certificates=[pki.forged.certificate, other]
        )
        return pki.with_message(confused.encode())

    def victim(bench: Bench) -> PkiRequest:
        held = bench.enrol()
        pki = bench.request(message_type=17, challenge=None, csr={"subject": held.subject})
        assert pki.forged is not None
        confused = pki.forged.with_(
            sid=issuer_and_serial(held.parts), certificates=[pki.forged.certificate, held.certificate]
        )
        return pki.with_message(confused.encode(), certificate=held.certificate)

    yield Row("N47", "ski", by_ski, Success())
    yield Row("N47", "issuer-reordered", reordered, Success())
    yield Row("N47", "issuer-other-string-type", restrung, Success())
    yield Row("N47", "another-in-the-bag", another, BAD_CHECK)
    yield Row("N47", "victim-in-the-bag", victim, BAD_CHECK)
    yield Row(
        "N47",
        "wrong-serial",
        lambda bench: bench.request(message={"sid": asn1.seq(common_name("forged device"), asn1.integer(1))}),
        BAD_CHECK,
    )


ROWS: tuple[Row, ...] = (
    *_shape_rows(),
    *_attribute_rows(),
    *_algorithm_rows(),
)

# Rows that need more than one request; the test of that name asserts each.
CONVERSATIONS = {"N30": "test_message_cut_off_anywhere_is_refused"}
