"""4C, the envelope: who it is for, how it is enciphered, and what is inside (rows N60 to N73).

Everything that goes wrong between an encrypted key and its plaintext has one answer (K26): a test that
could tell two of those apart would have found a padding oracle.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from forge import asn1
from forge.bench import Bench, PkiRequest
from forge.certificates import CertificateForge, common_name, read_certificate
from forge.csr import CsrForge
from forge.envelope import (
    AUTH_ENVELOPED_DATA,
    AUTHENTICATED_DATA,
    DATA,
    ENCRYPTED_DATA,
    ENVELOPED_DATA,
    OAEP,
    SIGNED_DATA,
    KeyTransport,
    Password,
    content_info,
    issuer_and_serial,
)
from forge.keys import Key
from forge.table import Fail, Outcome, Row, Status, Success

BAD_ALG, BAD_CHECK, BAD_REQUEST = Fail(0), Fail(1), Fail(2)
UNDECRYPTABLE = Fail(1, group="undecryptable", silent=True)
Build = Callable[[Bench], PkiRequest]


def envelope(endpoint: str = "default", sent: dict[str, Any] | None = None, **fields: Any) -> Build:
    """Return a builder of a PKCSReq with some fields of the envelope changed."""
    return lambda bench: bench.request(envelope=fields, endpoint=endpoint, sent=sent)


def recipients(
    make: Callable[[Bench], Sequence[Any]], *, sent: dict[str, Any] | None = None, **fields: Any
) -> Build:
    """Return a builder of a PKCSReq with these recipients."""
    return lambda bench: bench.request(envelope={"recipients": make(bench), **fields}, sent=sent)


def plaintext(make: Callable[[Bench, bytes], bytes], message_type: int = 19) -> Build:
    """Return a builder whose envelope holds what ``make`` makes of a good CSR."""

    def build(bench: Bench) -> PkiRequest:
        challenge = bench.new_challenge()
        csr = CsrForge(key=bench.keys.fresh(), subject=bench.subject(), challenge=challenge).encode()
        return bench.request(plaintext=make(bench, csr), message_type=message_type)

    return build


def inside(make: Callable[[Bench, bytes], bytes]) -> Build:
    """Return a builder whose eContent is what ``make`` makes of a good CSR."""

    def build(bench: Bench) -> PkiRequest:
        challenge = bench.new_challenge()
        csr = CsrForge(key=bench.keys.fresh(), subject=bench.subject(), challenge=challenge).encode()
        return bench.request(message={"content": make(bench, csr)})

    return build


# -- recipients (N60 to N64) -----------------------------------------------------------


def _wrong_issuer(bench: Bench) -> KeyTransport:
    parts = read_certificate(bench.encryption_certificate)
    return bench.recipient(identifier=asn1.seq(common_name("Some Other CA"), parts.serial))


def _wrong_serial(bench: Bench) -> KeyTransport:
    parts = read_certificate(bench.encryption_certificate)
    return bench.recipient(identifier=asn1.seq(parts.issuer, asn1.integer(4711)))


def _stranger(bench: Bench, number: int = 0) -> KeyTransport:
    subject = common_name(f"stranger {number}")
    return KeyTransport(
        certificate=CertificateForge(key=bench.keys.other, subject=subject, signature=b"x").encode()
    )


def _restrung_issuer(bench: Bench) -> bytes:
    """Name the RA's issuer in another string type and another case: the same name (RFC 5280 7.1)."""

    def change(node: asn1.Node) -> bytes | None:
        if node.tag in (asn1.PRINTABLE, asn1.UTF8):
            other = asn1.UTF8 if node.tag == asn1.PRINTABLE else asn1.PRINTABLE
            return asn1.tlv(other, node.content.swapcase())
        return None

    parts = read_certificate(bench.encryption_certificate)
    return asn1.seq(asn1.rewrite(asn1.read(parts.issuer), change), parts.serial)


def _recipient_rows() -> Iterator[Row]:
    yield Row("N60", "clear-csr", inside(lambda _, csr: csr), BAD_REQUEST)
    yield Row(
        "N60",
        "csr-as-data",
        inside(lambda _, csr: content_info(DATA, asn1.octets(csr))),
        BAD_REQUEST,
    )
    yield Row("N61", "stranger", recipients(lambda b: [_stranger(b)]), BAD_CHECK)
    yield Row("N61", "wrong-issuer", recipients(lambda b: [_wrong_issuer(b)]), BAD_CHECK)
    yield Row("N61", "wrong-serial", recipients(lambda b: [_wrong_serial(b)]), BAD_CHECK)
    yield Row(
        "N61",
        "ski",
        recipients(lambda b: [b.recipient(use_ski=True)], version=2),
        Success(),
    )
    yield Row(
        "N61",
        "issuer-other-string-type",
        recipients(lambda b: [b.recipient(identifier=_restrung_issuer(b))]),
        Success(),
    )
    yield Row(
        "N61",
        "ours-second",
        recipients(lambda b: [_stranger(b), b.recipient()]),
        Success(),
    )
    yield Row(
        "N61",
        "whole-bundle",
        recipients(lambda b: [KeyTransport(certificate=one) for one in b.bundle]),
        Success(),
    )
    for count, expected in ((10, Success()), (11, BAD_REQUEST), (200, BAD_REQUEST)):
        yield Row(
            "N61",
            f"{count}-recipients",
            recipients(_crowd(count)),
            expected,
        )
    yield Row("N61", "none", recipients(lambda _: []), BAD_REQUEST)
    for name in ("sha1", "sha256"):
        yield Row("N63", f"oaep-{name}", recipients(_oaep(name)), Success())
    for case, parameters in {"absent": None, "empty": asn1.seq()}.items():
        yield Row(
            "N63",
            f"oaep-parameters-{case}",
            recipients(_oaep("sha1", parameters)),
            Success(),
        )
    yield Row(
        "N63",
        "oaep-garbled",
        recipients(_oaep("sha1", asn1.octets(b"?"))),
        BAD_ALG,
    )
    for case, recipient in _foreign_recipients().items():
        yield Row("N63", case, recipients(lambda _, one=recipient: [one], version=2), BAD_ALG)
    yield Row(
        "N63",
        "unknown-transport",
        recipients(lambda b: [b.recipient(algorithm=asn1.algorithm("1.2.3.4"))]),
        BAD_ALG,
    )
    yield from _broken_key_rows()


def _crowd(count: int) -> Callable[[Bench], Sequence[Any]]:
    def make(bench: Bench) -> Sequence[Any]:
        stranger = _stranger(bench).encode(bytes(16))
        return [*([stranger] * (count - 1)), bench.recipient()]

    return make


def _oaep(name: str, parameters: bytes | None = b"") -> Callable[[Bench], Sequence[Any]]:
    def make(bench: Bench) -> Sequence[Any]:
        algorithm = None if parameters == b"" else asn1.algorithm(OAEP, parameters)
        return [bench.recipient(oaep=name, algorithm=algorithm)]

    return make


def _foreign_recipients() -> dict[str, bytes]:
    wrap_ = asn1.algorithm("2.16.840.1.101.3.4.1.5", None)
    return {
        "kari": asn1.explicit(
            1,
            asn1.integer(3),
            asn1.explicit(
                0, asn1.explicit(1, asn1.algorithm("1.2.840.10045.2.1", None), asn1.bits(b"\4" * 65))
            ),
            asn1.algorithm("1.3.132.1.11.1", wrap_),
            asn1.seq(asn1.seq(asn1.explicit(0, asn1.octets(b"1" * 20)), asn1.octets(b"2" * 24))),
        ),
        "kekri": asn1.explicit(
            2, asn1.integer(4), asn1.seq(asn1.octets(b"key-1")), wrap_, asn1.octets(b"2" * 24)
        ),
        "ori-kem": asn1.explicit(4, asn1.oid("1.2.840.113549.1.9.16.13.3"), asn1.seq(asn1.integer(0))),
        "unknown-choice": asn1.explicit(9, asn1.integer(0)),
    }


def _public_numbers(bench: Bench) -> tuple[int, int, int]:
    public = load_der_public_key(read_certificate(bench.encryption_certificate).spki)
    assert isinstance(public, RSAPublicKey)
    return public.public_numbers().n, public.public_numbers().e, public.key_size // 8


def _raw_rsa(bench: Bench, padded: bytes) -> bytes:
    modulus, exponent, size = _public_numbers(bench)
    return pow(int.from_bytes(padded, "big"), exponent, modulus).to_bytes(size, "big")


def _bad_padding(kind: str) -> Callable[[Bench], bytes]:
    def make(bench: Bench) -> bytes:
        *_, size = _public_numbers(bench)
        filler = bytes(range(1, 256)) * 2
        cek = bytes(16)
        good = b"\x00\x02" + filler[: size - 3 - len(cek)] + b"\x00" + cek
        padded = {
            "block-type-1": b"\x00\x01" + good[2:],
            "first-octet": b"\x01" + good[1:],
            "no-separator": b"\x00\x02" + filler[: size - 2],
            "zero-in-padding": b"\x00\x02" + b"abc\x00" + good[6:],
        }[kind]
        return _raw_rsa(bench, padded)

    return make


def _broken_key_rows() -> Iterator[Row]:
    keys: dict[str, Callable[[Bench], bytes]] = {
        "empty": lambda _: b"",
        "modulus-plus-1-octets": lambda b: bytes(_public_numbers(b)[2] + 1),
        "modulus-minus-1-octets": lambda b: b"\x17" * (_public_numbers(b)[2] - 1),
        "all-zero": lambda b: bytes(_public_numbers(b)[2]),
        "one": lambda b: b"\x01".rjust(_public_numbers(b)[2], b"\0"),
        "all-ones": lambda b: b"\xff" * _public_numbers(b)[2],
        "modulus": lambda b: _public_numbers(b)[0].to_bytes(_public_numbers(b)[2], "big"),
        "random": lambda b: b"\x00" + os.urandom(_public_numbers(b)[2] - 1),
        **{
            kind: _bad_padding(kind)
            for kind in ("block-type-1", "first-octet", "no-separator", "zero-in-padding")
        },
    }
    for case, make in keys.items():
        yield Row(
            "N64",
            case,
            recipients(lambda b, make=make: [b.recipient(encrypted_key=make(b))]),
            UNDECRYPTABLE,
        )
    for size in (0, 7, 8, 15, 17, 24, 32):
        yield Row(
            "N64",
            f"key-of-{size}",
            recipients(
                lambda b, size=size: [b.recipient(encrypted_key=b.recipient().transport(bytes(size)))]
            ),
            UNDECRYPTABLE,
        )
    yield Row(
        "N64",
        "oaep-garbage",
        recipients(lambda b: [b.recipient(oaep="sha256", encrypted_key=b"\x11" * _public_numbers(b)[2])]),
        UNDECRYPTABLE,
    )
    yield Row("N64", "other-key-right-name", recipients(_made_out_wrongly), UNDECRYPTABLE)


def _made_out_wrongly(bench: Bench) -> Sequence[Any]:
    cek_for_another = _stranger(bench).transport(bytes(16))
    return [bench.recipient(encrypted_key=cek_for_another)]


# -- ciphers, IVs, padding (N65 to N69) ------------------------------------------------


def _cipher_rows() -> Iterator[Row]:
    yield Row("N65", "des", envelope(cipher="des"), Success())
    yield Row("N65", "des-refused", envelope("strict", cipher="des"), BAD_ALG)
    yield Row("N65", "3des", envelope(cipher="3des"), Success())
    yield Row("N65", "3des-refused", envelope("strict", cipher="3des"), BAD_ALG)
    for cipher in ("aes128", "aes192", "aes256"):
        yield Row("N65", cipher, envelope(cipher=cipher), Success())
        yield Row("N65", f"{cipher}-strict", envelope("strict", cipher=cipher), Success())
    for cipher in ("rc2", "rc4", "unknown"):
        yield Row("N65", cipher, envelope(cipher=cipher), BAD_ALG)
    gcm = asn1.seq(asn1.octets(bytes(12)), asn1.integer(16))
    yield Row("N65", "aes-gcm", envelope(cipher="aes128-gcm", parameters=gcm), BAD_ALG)
    for size in (0, 8, 15, 17):
        yield Row(
            "N66",
            f"iv-of-{size}",
            envelope(parameters=asn1.octets(bytes(size))),
            UNDECRYPTABLE,
        )
    for case, parameters in {"absent": b"", "null": asn1.NULL, "integer": asn1.integer(5)}.items():
        yield Row("N66", f"iv-{case}", envelope(parameters=parameters), UNDECRYPTABLE)
    yield Row(
        "N66",
        "3des-iv-of-16",
        envelope(cipher="3des", parameters=asn1.octets(bytes(16))),
        UNDECRYPTABLE,
    )
    for case, padded in {
        "zero": b"x" * 31 + b"\x00",
        "seventeen": b"x" * 31 + b"\x11",
        "inconsistent": b"x" * 28 + b"\x03\x01\x04\x04",
        "longer-than-text": b"x" * 15 + b"\x10",
        "255": b"x" * 31 + b"\xff",
        "all-padding": b"\x10" * 16,
    }.items():
        yield Row("N67", f"padding-{case}", envelope(padded=padded), UNDECRYPTABLE)
    for case, ciphertext in {
        "empty": b"",
        "not-a-multiple": os.urandom(161),
        "one-octet": b"\x2a",
        "random": os.urandom(1600),
    }.items():
        yield Row("N67", f"ciphertext-{case}", envelope(ciphertext=ciphertext), UNDECRYPTABLE)
    yield Row("N68", "absent", envelope(encrypted_content=b""), UNDECRYPTABLE)
    yield Row("N68", "constructed", _constructed, Success())
    yield Row("N68", "constructed-bare", _constructed_without_message_style, Success())
    yield Row(
        "N68",
        "1-MiB",
        envelope(ciphertext=bytes(1 << 20)),
        Status(413),
    )
    yield Row("N68", "900-kB", envelope(ciphertext=bytes(900_000)), UNDECRYPTABLE)
    for case, dotted in {"enveloped": ENVELOPED_DATA, "signed": SIGNED_DATA, "unknown": "1.2.3.4"}.items():
        yield Row("N69", case, envelope(content_type=dotted), BAD_REQUEST)
    yield Row("N69", "encrypted", envelope(content_type=ENCRYPTED_DATA), Success())
    yield Row(
        "N69",
        "encrypted-strict",
        envelope("strict", content_type=ENCRYPTED_DATA),
        BAD_REQUEST,
    )


def _constructed(bench: Bench) -> PkiRequest:
    pki = bench.request()
    assert pki.forged is not None
    ber = asn1.restyle(pki.forged.content or b"", asn1.Style(implicit_chunk=64))
    return pki.with_message(pki.forged.with_(content=ber).encode())


def _constructed_without_message_style(bench: Bench) -> PkiRequest:
    return bench.request(message={"style": asn1.Style(implicit_chunk=64)})


# -- plaintexts (N70) ------------------------------------------------------------------


def _named(bench: Bench) -> bytes:
    return issuer_and_serial(read_certificate(bench.authority_certificate))


def _plaintext_rows() -> Iterator[Row]:
    yield Row("N70", "empty", plaintext(lambda *_: b""), UNDECRYPTABLE)
    yield Row("N70", "garbage", plaintext(lambda *_: b"\x07garbage, not DER"), UNDECRYPTABLE)
    # N70 says badRequest for these two as well, but a wrong key can make such octets too: what is not
    # one SEQUENCE has the uniform answer of S05 and S06.
    yield Row("N70", "trailing", plaintext(lambda _, csr: csr + b"\0"), UNDECRYPTABLE)
    yield Row("N70", "two", plaintext(lambda _, csr: csr + csr), UNDECRYPTABLE)
    yield Row("N70", "octets", plaintext(lambda _, csr: asn1.octets(csr)), UNDECRYPTABLE)
    for case, make in {
        "issuer-and-serial": lambda bench, _: _named(bench),
        "empty-sequence": lambda *_: asn1.seq(),
        "certificate": lambda bench, _: bench.bundle[0],
        "content-info": lambda _, csr: content_info(DATA, asn1.octets(csr)),
    }.items():
        yield Row("N70", case, plaintext(make), BAD_REQUEST)
    for kind, name in ((20, "poll"), (21, "get-cert"), (22, "get-crl")):
        yield Row("N70", f"csr-for-{name}", plaintext(lambda _, csr: csr, kind), BAD_REQUEST)


# -- passwords (N71), and what is to be ignored or refused (N72, N73) -------------------


def password(
    *,
    wrong: bool = False,
    rsa: bool = False,
    endpoint: str = "pwri",
    outer: dict[str, Any] | None = None,
    **fields: Any,
) -> Build:
    """Return a builder of a PKCSReq enveloped under its challenge."""

    def build(bench: Bench) -> PkiRequest:
        key: Key = bench.keys.fresh() if rsa else bench.keys.ec()
        challenge = bench.new_challenge()
        used = b"not the password" if wrong else challenge.encode()
        return bench.request(
            key=key,
            challenge=challenge,
            csr={"key": bench.keys.fresh()},
            envelope={"recipients": [Password(password=used, **fields)], "version": 3, **(outer or {})},
            endpoint=endpoint,
        )

    return build


def _password_rows() -> Iterator[Row]:
    cases: dict[str, tuple[Build, Outcome]] = {
        "right": (password(), Success()),
        "right-sha256": (password(prf="sha256"), Success()),
        "right-aes256": (password(cipher="aes256", outer={"cipher": "aes256"}), Success()),
        "right-most-iterations": (password(iterations=100_000), Success()),
        "wrong": (password(wrong=True), UNDECRYPTABLE),
        "iterations-1000000000": (password(written_iterations=10**9), BAD_ALG),
        "iterations-1000001": (password(written_iterations=1_000_001), BAD_ALG),
        "iterations-0": (password(written_iterations=0), BAD_ALG),
        "iterations-negative": (password(written_iterations=-1), BAD_ALG),
        "salt-900-kB": (password(salt=bytes(900_000)), BAD_ALG),
        "no-kdf": (password(with_kdf=False), BAD_ALG),
        "rsa-client": (password(rsa=True), BAD_ALG),
        "not-enabled": (password(endpoint="default"), BAD_ALG),
    }
    for case, (build, expected) in cases.items():
        yield Row("N71", case, build, expected)


def _other_rows() -> Iterator[Row]:
    originator = asn1.explicit(0, asn1.explicit(0, CertificateForge(key=_NOBODY, signature=b"x").encode()))
    unprotected = asn1.explicit(1, asn1.seq(asn1.oid("1.2.3.4"), asn1.set_of(asn1.integer(1))))
    yield Row("N72", "originator-info", envelope(originator_info=originator), Success())
    yield Row("N72", "unprotected", envelope(unprotected=unprotected), Success())
    for version in (0, 2, 3, 4):
        yield Row("N72", f"version-{version}", envelope(version=version), Success())
    authenticated = {"authenticated": AUTHENTICATED_DATA, "auth-enveloped": AUTH_ENVELOPED_DATA}
    for case, dotted in authenticated.items():
        yield Row("N73", case, envelope(outer_type=dotted), BAD_ALG)


_NOBODY = Key(
    asn1.seq(asn1.algorithm("1.2.840.113549.1.1.1"), asn1.bits(asn1.seq(asn1.integer(1), asn1.integer(3))))
)

ROWS: tuple[Row, ...] = (
    *_recipient_rows(),
    *_cipher_rows(),
    *_plaintext_rows(),
    *_password_rows(),
    *_other_rows(),
)

# N62 needs a lab whose RA key was renewed; the test of that name asserts it.
CONVERSATIONS = {"N62": "test_retired_ra_key_opens_within_its_grace_only"}
