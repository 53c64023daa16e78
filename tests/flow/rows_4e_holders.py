"""4E, messages signed by a certificate: renewals, GetCert, GetCRL, reflections (rows N108 to N118)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from flow.rows_4d_wishes import as_the_template_says
from flow.rows_4e import ANEW, NOT_FOUND, Build, new_certificate
from forge import asn1, wire
from forge.bench import Bench, Enrolment, PkiRequest
from forge.certificates import (
    SAN,
    SERVER_AUTH,
    CertificateForge,
    basic_constraints,
    common_name,
    dns,
    extended_key_usage,
    key_usage,
    read_certificate,
    subject_alt_name,
)
from forge.csr import challenge_attribute
from forge.envelope import Password
from forge.keys import Key
from forge.message import PkiMessage
from forge.reply import Issued, demand, read_degenerate, read_reply
from forge.table import Either, Fail, Outcome, Row, Status, Success

BAD_CHECK, BAD_REQUEST = Fail(1), Fail(2)
UNTRUSTED = Fail(1, group="untrusted-signer")
TYPES = (17, 19)


def renewal(**options: Any) -> Build:
    """Return a builder of a renewal of a good certificate; ``options`` as for `Bench.renewal`."""

    def build(bench: Bench) -> PkiRequest:
        old = bench.enrol()
        made = {name: value(bench) if callable(value) else value for name, value in options.items()}
        return replace(bench.renewal(old, **made), prior=(old.certificate,))

    return build


def signed_by(make: Callable[[Bench], tuple[Key, bytes]], message_type: int, **options: Any) -> Build:
    """Return a builder of a renewal signed by whatever certificate ``make`` comes up with."""

    def build(bench: Bench) -> PkiRequest:
        key, certificate = make(bench)
        csr = {"key": bench.keys.fresh(), "subject": read_certificate(certificate).subject}
        return bench.request(
            message_type=message_type, key=key, certificate=certificate, csr=csr, challenge=None, **options
        )

    return build


def _pair(enrolment: Enrolment) -> tuple[Key, bytes]:
    return enrolment.key, enrolment.certificate


# -- who signs (N108, N109) --------------------------------------------------------------


def _expired(bench: Bench) -> tuple[Key, bytes]:
    pair = _pair(bench.enrol())
    bench.desk.advance(timedelta(days=366))
    return pair


def _revoked(bench: Bench) -> tuple[Key, bytes]:
    enrolment = bench.enrol()
    bench.desk.revoke(enrolment.certificate)
    return _pair(enrolment)


def _not_yet_valid(bench: Bench) -> tuple[Key, bytes]:
    bench.desk.advance(timedelta(hours=3))  # the lab itself is valid for longer than the certificate
    pair = _pair(bench.enrol())
    bench.desk.advance(-timedelta(hours=2))
    return pair


def _foreign(bench: Bench) -> tuple[Key, bytes]:
    key = bench.keys.fresh()
    certificate = CertificateForge(
        key=key, issuer=common_name("Some Other CA"), issuer_key=bench.keys.other, subject=bench.subject()
    )
    return key, certificate.encode()


def _imitation(bench: Bench) -> tuple[Key, bytes]:
    """A certificate with our CA's name as issuer, and the key identifiers of a good one."""
    good = read_certificate(bench.enrol().certificate)
    key = bench.keys.fresh()
    certificate = CertificateForge(
        key=key, issuer=good.issuer, issuer_key=bench.keys.other, subject=good.subject, serial=4711
    )
    return key, certificate.encode()


def _imitation_of_a_serial(bench: Bench) -> tuple[Key, bytes]:
    """The same, with the serial number of a certificate that is in the store."""
    good = read_certificate(bench.enrol().certificate)
    key = bench.keys.fresh()
    certificate = CertificateForge(
        key=key,
        issuer=good.issuer,
        issuer_key=bench.keys.other,
        subject=good.subject,
        serial=asn1.read(good.serial).number,
    )
    return key, certificate.encode()


def _self_signed_in_our_name(bench: Bench) -> tuple[Key, bytes]:
    name = read_certificate(bench.authority_certificate).subject
    key = bench.keys.fresh()
    return key, CertificateForge(key=key, subject=bench.subject(), issuer=name).encode()


def _below_a_device(bench: Bench) -> tuple[Key, bytes]:
    """A device's certificate used as if it were a subordinate CA's."""
    device = bench.enrol()
    key = bench.keys.fresh()
    certificate = CertificateForge(
        key=key, issuer=device.subject, issuer_key=device.key, subject=bench.subject()
    )
    return key, certificate.encode()


def _forged_sub_authority(bench: Bench) -> tuple[Key, bytes]:
    name = read_certificate(bench.authority_certificate).subject
    key = bench.keys.fresh()
    certificate = CertificateForge(
        key=key,
        issuer=name,
        issuer_key=bench.keys.other,
        subject=common_name("sub CA"),
        extensions=[basic_constraints(is_authority=True), key_usage(5, 6)],
    )
    return key, certificate.encode()


def _of_another_template(bench: Bench) -> tuple[Key, bytes]:
    return _pair(bench.enrol(endpoint="server-certificates"))


def _without_digital_signature(bench: Bench) -> tuple[Key, bytes]:
    enrolment = bench.enrol(endpoint="encipherment-only")
    usage = asn1.read(enrolment.parts.extensions["2.5.29.15"][1]).content
    demand(not usage[1] & 0x80, "the certificate has digitalSignature after all")
    return _pair(enrolment)


def _reserved(name: str) -> Callable[[Bench], tuple[Key, bytes]]:
    return lambda bench: bench.desk.reserved_keys()[name]


def _signer_rows() -> Iterator[Row]:
    kept = Success(new_certificate)
    for kind in TYPES:
        yield Row("N108", f"own-{kind}", renewal(message_type=kind), ANEW)
        refused: dict[str, Callable[[Bench], tuple[Key, bytes]]] = {
            "revoked": _revoked,
            "foreign": _foreign,
            "imitation": _imitation,
            "imitation-of-a-serial": _imitation_of_a_serial,
            "self-signed-in-our-name": _self_signed_in_our_name,
            "below-a-device": _below_a_device,
            "sub-authority": _forged_sub_authority,
            "authority": _reserved("issuing"),
            "ra-signing": _reserved("ra-signing"),
            "ra-encryption": _reserved("ra-encryption"),
        }
        for case, make in refused.items():
            yield Row("N108", f"{case}-{kind}", signed_by(make, kind), UNTRUSTED)
        yield Row("N108", f"expired-{kind}", signed_by(_expired, kind), UNTRUSTED, fresh=True)
        graceful = signed_by(_expired, kind, endpoint="graceful")
        yield Row("N108", f"expired-within-grace-{kind}", graceful, kept, fresh=True)
        yield Row("N108", f"not-yet-valid-{kind}", signed_by(_not_yet_valid, kind), UNTRUSTED, fresh=True)
        usage = signed_by(_without_digital_signature, kind, endpoint="encipherment-only")
        yield Row("N108", f"without-digitalSignature-{kind}", usage, kept)
        other = signed_by(_of_another_template, kind, endpoint="server-certificates")
        yield Row("N108", f"other-template-{kind}", other, kept)
        not_permitted = signed_by(_of_another_template, kind)
        yield Row("N108", f"other-template-not-permitted-{kind}", not_permitted, BAD_REQUEST)
        strict = signed_by(_of_another_template, kind, endpoint="one-template")
        yield Row("N108", f"other-template-refused-{kind}", strict, BAD_REQUEST)
    self_signed = {"message_type": 17}
    yield Row("N109", "right-challenge", lambda bench: bench.request(**self_signed), BAD_REQUEST)
    yield Row("N109", "no-challenge", lambda bench: bench.request(challenge=None, **self_signed), BAD_REQUEST)
    yield Row("N109", "in-the-name-of-a-device", _self_signed_as_a_device, BAD_REQUEST)


def _self_signed_as_a_device(bench: Bench) -> PkiRequest:
    subject = bench.enrol().subject
    return bench.request(message_type=17, challenge=None, csr={"subject": subject})


# -- what may change (N110 to N114) -------------------------------------------------------


def _with_name(bench: Bench, request: PkiRequest, issued: Issued) -> None:
    new_certificate(bench, request, issued)
    as_the_template_says(bench, request, issued)
    demand(SAN in read_certificate(issued.certificates[0]).extensions, "the template grants the name")


def _usual(bench: Bench, request: PkiRequest, issued: Issued) -> None:
    new_certificate(bench, request, issued)
    as_the_template_says(bench, request, issued)


def _change_rows() -> Iterator[Row]:
    name = subject_alt_name(dns("device.lab.example"))
    wildcard = subject_alt_name(dns("*.lab.example"))
    purpose = extended_key_usage(SERVER_AUTH)
    for kind in TYPES:
        other = {"csr": {"subject": common_name("somebody else")}, "message_type": kind}
        yield Row("N110", f"other-subject-{kind}", renewal(**other), BAD_REQUEST)
        more = {"csr": {"extensions": [name]}, "message_type": kind}
        yield Row("N110", f"added-name-{kind}", renewal(**more), Success(_with_name))
        refused = {"csr": {"extensions": [wildcard]}, "message_type": kind}
        yield Row("N110", f"added-name-refused-{kind}", renewal(**refused), BAD_REQUEST)
        purposes = {"csr": {"extensions": [purpose]}, "message_type": kind}
        yield Row("N110", f"other-purpose-{kind}", renewal(**purposes), Success(_usual))
        yield Row("N111", f"early-{kind}", renewal(message_type=kind), ANEW)
        yield Row("N111", f"too-early-{kind}", renewal(message_type=kind, endpoint="late"), BAD_REQUEST)
        yield from _challenge_rows(kind)
        same = lambda bench, kind=kind: _same_key(bench, kind)  # noqa: E731
        yield Row("N113", f"same-key-{kind}", same, ANEW)
        yield Row("N113", f"new-key-{kind}", renewal(message_type=kind), ANEW)
        to_ec = renewal(message_type=kind, csr=lambda bench: {"key": bench.keys.ec()})
        yield Row("N113", f"rsa-to-ec-{kind}", to_ec, ANEW)
    yield Row("N111", "in-time", _in_time, ANEW, fresh=True)
    yield Row("N113", "ec-to-rsa", _from_ec, ANEW)
    yield Row("N114", "17", renewal(endpoint="no-renewal"), BAD_REQUEST)
    yield Row("N114", "19", renewal(message_type=19, endpoint="no-renewal"), BAD_REQUEST)


def _challenge_rows(kind: int) -> Iterator[Row]:
    def stale(bench: Bench) -> str | None:
        return bench.enrol().request.challenge

    cases: dict[str, tuple[Any, Outcome, Outcome]] = {
        "absent": (None, ANEW, BAD_REQUEST),
        "stale": (stale, ANEW, BAD_REQUEST),
        "wrong": ("F" * 32, ANEW, BAD_REQUEST),
        "right": (lambda bench: bench.new_challenge(), Success(_challenge_kept), ANEW),
    }
    for case, (challenge, default, demanded) in cases.items():
        options = {"message_type": kind, "challenge": challenge}
        yield Row("N112", f"{case}-{kind}", renewal(**options), default)
        yield Row("N112", f"{case}-{kind}-demanded", renewal(endpoint="demanding", **options), demanded)
    blank = {"message_type": kind, "csr": {"attributes": [challenge_attribute("")]}}
    yield Row("N112", f"blank-{kind}", renewal(**blank), ANEW)
    yield Row("N112", f"blank-{kind}-demanded", renewal(endpoint="demanding", **blank), BAD_REQUEST)


def _challenge_kept(bench: Bench, request: PkiRequest, issued: Issued) -> None:
    """A renewal by certificate uses up no challenge (K12): it is still good for somebody else."""
    new_certificate(bench, request, issued)
    bench.enrol(challenge=request.challenge)


def _same_key(bench: Bench, kind: int) -> PkiRequest:
    old = bench.enrol()
    again = bench.renewal(old, message_type=kind, csr={"key": old.key})
    return replace(again, prior=(old.certificate,))


def _in_time(bench: Bench) -> PkiRequest:
    old = bench.enrol()
    bench.desk.advance(timedelta(days=340))
    return replace(bench.renewal(old, endpoint="late"), prior=(old.certificate,))


def _from_ec(bench: Bench) -> PkiRequest:
    """An EC certificate signs; without a password nothing could be enciphered for it, so it has one."""
    key = bench.keys.ec()
    old = bench.enrol(csr={"key": key})
    challenge = bench.new_challenge()
    request = bench.renewal(
        old,
        challenge=challenge,
        endpoint="pwri",
        envelope={"recipients": [Password(password=challenge.encode())], "version": 3},
    )
    return replace(request, prior=(old.certificate,))


# -- GetCert, GetCRL (N115, N116) ---------------------------------------------------------


def _get_cert(name: Callable[[Bench, Enrolment], bytes]) -> Build:
    def build(bench: Bench) -> PkiRequest:
        holder = bench.enrol()
        return bench.get_cert(holder.certificate, holder, plaintext=name(bench, holder))

    return build


def _named(issuer: bytes, serial: int | bytes) -> bytes:
    return asn1.seq(issuer, serial if isinstance(serial, bytes) else asn1.integer(serial))


def _get_known(bench: Bench) -> PkiRequest:
    wanted, holder = bench.enrol(), bench.enrol()
    return replace(bench.get_cert(wanted.certificate, holder), prior=(wanted.certificate,))


def _got_certificate(_bench: Bench, request: PkiRequest, issued: Issued) -> None:
    demand(issued.certificates[0] == request.prior[0], "another certificate than the one asked for")
    demand(not issued.crls, "a CRL comes with the certificate")


def _got_crl(bench: Bench, _request: PkiRequest, issued: Issued) -> None:
    demand(len(issued.crls) == 1 and not issued.certificates, "not exactly one CRL and nothing else")
    issuer = asn1.read(issued.crls[0])[0][2].raw
    demand(issuer == read_certificate(bench.authority_certificate).subject, "a CRL of another issuer")


def _query_rows() -> Iterator[Row]:
    found = Success(_got_certificate, recorded=False)
    yield Row("N115", "known", _get_known, found)
    ours: Callable[[Bench], bytes] = lambda bench: read_certificate(bench.authority_certificate).subject  # noqa: E731
    for case, serial in {
        "unknown": 4711,
        "zero": 0,
        "negative": -5,
        "huge": b"\x02\x82\x07\xd0" + b"\x01" * 2000,
        "21-octets": 1 << 167,
    }.items():
        yield Row(
            "N115", case, _get_cert(lambda bench, _, serial=serial: _named(ours(bench), serial)), NOT_FOUND
        )
    yield Row(
        "N115",
        "other-issuer",
        _get_cert(lambda _, holder: _named(common_name("Other CA"), holder.parts.serial)),
        NOT_FOUND,
    )
    yield Row("N115", "self-signed", _get_by_a_stranger("default"), Either((BAD_REQUEST, NOT_FOUND)))
    yield Row(
        "N115",
        "self-signed-unknown",
        _get_by_a_stranger("default", known=False),
        Either((BAD_REQUEST, NOT_FOUND)),
    )
    yield Row("N115", "self-signed-allowed", _get_by_a_stranger("tolerant"), found)
    yield Row("N115", "switched-off", _get_switched_off, BAD_REQUEST)
    delivered = Success(_got_crl, recorded=False)
    yield Row("N116", "ours", _get_crl(), delivered)
    yield Row("N116", "by-a-stranger", _get_crl_by_a_stranger, delivered)
    yield Row("N116", "other-issuer", _get_crl(common_name("Other CA")), NOT_FOUND)
    yield Row("N116", "none-yet", _no_crl_yet, NOT_FOUND, fresh=True, alive=False)


def _get_by_a_stranger(endpoint: str, *, known: bool = True) -> Build:
    def build(bench: Bench) -> PkiRequest:
        wanted = bench.enrol()
        stranger = bench.request(challenge=None)
        holder = replace(wanted, key=stranger.key, certificate=stranger.sent.certificate)
        options = {} if known else {"plaintext": _named(wanted.parts.issuer, 4711)}
        return replace(
            bench.get_cert(wanted.certificate, holder, endpoint=endpoint, **options),
            prior=(wanted.certificate,),
        )

    return build


def _get_switched_off(bench: Bench) -> PkiRequest:
    holder = bench.enrol()
    return bench.get_cert(holder.certificate, holder, endpoint="strict")


def _get_crl(issuer: bytes | None = None) -> Build:
    def build(bench: Bench) -> PkiRequest:
        holder = bench.enrol()
        named = _named(issuer or holder.parts.issuer, holder.parts.serial)
        return bench.get_crl(holder.certificate, holder, plaintext=named)

    return build


def _get_crl_by_a_stranger(bench: Bench) -> PkiRequest:
    wanted, stranger = bench.enrol(), bench.request(challenge=None)
    holder = replace(wanted, key=stranger.key, certificate=stranger.sent.certificate)
    return bench.get_crl(wanted.certificate, holder)


def _no_crl_yet(bench: Bench) -> PkiRequest:
    request = _get_crl()(bench)
    bench.desk.forget_crls()
    return request


# -- reflections (N117, N118) -------------------------------------------------------------


def _degenerate_as_request(bench: Bench) -> PkiRequest:
    body = wire.get(bench.url(), "operation=GetCACert").body
    demand(read_degenerate(body).certificates, "GetCACert is no bundle here")
    return bench.request().with_message(body)


def _type_3(bench: Bench) -> PkiRequest:
    return bench.request(message_type=3)


def _type_3_by_a_holder(bench: Bench) -> PkiRequest:
    return bench.renewal(bench.enrol(), message_type=3)


def _own_reply(*, granted: bool) -> Build:
    def build(bench: Bench) -> PkiRequest:
        request = bench.request() if granted else bench.request(challenge="F" * 32)
        body = request.send(bench).body
        nonce = read_reply(body).attributes["2.16.840.1.113733.1.9.5"].content
        return request.with_message(body, sender_nonce=nonce)

    return build


def _reply_resigned(bench: Bench) -> PkiRequest:
    """The envelope of a reply, in a request of our own: it is not made out to the server."""
    granted = bench.request()
    content = read_reply(granted.send(bench).body).content
    again = bench.request(message={"content": content})
    assert isinstance(again.forged, PkiMessage)
    return again


def _reflection_rows() -> Iterator[Row]:
    yield Row("N117", "type-3", _type_3, BAD_REQUEST)
    yield Row("N117", "type-3-by-a-holder", _type_3_by_a_holder, BAD_REQUEST)
    yield Row("N117", "degenerate", _degenerate_as_request, Status(400, group="400"))
    yield Row("N118", "success", _own_reply(granted=True), BAD_REQUEST)
    yield Row("N118", "failure", _own_reply(granted=False), BAD_REQUEST)
    yield Row("N118", "envelope-of-a-reply", _reply_resigned, BAD_CHECK)


ROWS: tuple[Row, ...] = (*_signer_rows(), *_change_rows(), *_query_rows(), *_reflection_rows())

# Rows that need several clients at once; the test of that name asserts each.
CONVERSATIONS = {"N116": "test_one_transaction_id_for_all_get_crl"}
