"""The table of NDES's failures: situations, how each is brought about, and what is seen of it.

A row says what the client sees (CertRep or HTTP status), failInfo, HRESULT and event. Requests come from
the forge and replies are read by its cursor, not by the product's codec. Where the reference calls a
value unconfirmed the profile's field holds it, and the row shows the field's value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flow.ndes_stand import NdesStand
from forge import asn1, wire
from forge.bench import Bench, Enrolment, PkiRequest
from forge.certificates import common_name
from forge.message import RENEWAL_REQ
from forge.reply import Reply, open_reply, read_reply

E_FAIL, E_INVALIDARG = "0x80004005", "0x80070057"
MEDIA_TYPE = "application/x-pki-message"
DENIED = "Denied by Policy Module"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the client and the administrator see.

    ``hresult`` is the signed decimal of 21.33, ``message`` that of 21.38, None where it is not there.
    ``event`` is id, %1 and %2.
    """

    http: int = 200
    status: str | None = "2"
    fail_info: int | None = None
    hresult: int | None = None
    message: str | None = None
    event: tuple[int, str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One situation: ``send`` brings it about and returns the HTTP response."""

    id: str
    send: Callable[[Bench], wire.Response]
    seen: Seen


def _challenge(hresult: int = -2147023728) -> Seen:
    return Seen(fail_info=1, hresult=hresult, event=(29, "", ""))


def _denial(hresult: int, words: str, message: str = DENIED) -> Seen:
    """A denial by the CA: event 31 has the words where the number belongs, and E_FAIL behind them."""
    return Seen(fail_info=2, hresult=hresult, message=message, event=(31, words, E_FAIL))


# -- situations ------------------------------------------------------------------------


def _unknown_challenge(bench: Bench) -> wire.Response:
    return bench.request(challenge="0123456789ABCDEF").send(bench)


def _used_challenge(endpoint: str) -> Callable[[Bench], wire.Response]:
    def send(bench: Bench) -> wire.Response:
        challenge = bench.new_challenge()
        assert read(bench.request(challenge=challenge).send(bench)).status == "0"
        return bench.request(challenge=challenge, endpoint=endpoint).send(bench)

    return send


def _expired_challenge(bench: Bench) -> wire.Response:
    challenge = bench.new_challenge(validity=timedelta(minutes=60))
    bench.desk.advance(timedelta(minutes=61))
    return bench.request(challenge=challenge).send(bench)


def _utf8_challenge(bench: Bench) -> wire.Response:
    return bench.request(csr={"challenge_tag": asn1.UTF8}).send(bench)


def _short_key(bench: Bench) -> wire.Response:
    return bench.request(key=bench.keys.rsa(1024)).send(bench)


def _long_subject(bench: Bench) -> wire.Response:
    return bench.request(csr={"subject": common_name("x" * 65)}).send(bench)


def at(endpoint: str, **options: Any) -> Callable[[Bench], wire.Response]:
    return lambda bench: bench.request(endpoint=endpoint, **options).send(bench)


def _ca_down(bench: Bench) -> wire.Response:
    stand = stand_of(bench)
    stand.stop_the_ca()
    try:
        return bench.request().send(bench)
    finally:
        stand.start_the_ca()


def _revocation_offline(bench: Bench) -> wire.Response:
    bench.desk.advance(timedelta(days=30))
    challenge = bench.new_challenge()
    return bench.request(challenge=challenge).send(bench)


def _garbage(bench: Bench) -> wire.Response:
    return wire.post(bench.url(), b"\x30\x82\x01\x00 this is no PKCS7 message")


def _bad_base64(bench: Bench) -> wire.Response:
    return wire.get(bench.url(), "operation=PKIOperation&message=%%%%")


def _wrong_recipient(bench: Bench) -> wire.Response:
    recipient = bench.recipient(certificate=bench.signing_certificate)
    return bench.request(envelope={"recipients": [recipient]}).send(bench)


def _unknown_digest(bench: Bench) -> wire.Response:
    request = bench.request()
    assert request.forged is not None
    sha3 = "2.16.840.1.101.3.4.2.8"
    octets = request.message.replace(asn1.oid("2.16.840.1.101.3.4.2.1"), asn1.oid(sha3))
    return request.with_message(octets).send(bench)


def _unknown_cipher(bench: Bench) -> wire.Response:
    return bench.request(envelope={"cipher": "unknown"}).send(bench)


def _renewal(change: Callable[[Bench, Enrolment], Any] | None = None, **options: Any) -> Any:
    """A renewal as Windows sends it: PKCSReq signed by the old certificate, no challenge."""

    def send(bench: Bench) -> wire.Response:
        old = enrol(bench)
        if change is not None:
            change(bench, old)
        return bench.renewal(old, **{"message_type": 19, **options}).send(bench)

    return send


def _foreign_signer(bench: Bench) -> wire.Response:
    """Signed by a certificate of another CA that names itself differently."""
    key = bench.keys.fresh()
    signer = {"issuer": common_name("Another CA"), "issuer_key": bench.keys.other}
    return bench.request(key=key, challenge=None, signer=signer).send(bench)


# -- the table -------------------------------------------------------------------------

ROWS = (
    Row(id="challenge-unknown", send=_unknown_challenge, seen=_challenge()),
    Row(id="challenge-used-is-gone-from-the-cache", send=_used_challenge("default"), seen=_challenge()),
    Row(
        id="challenge-used-other-explanation",
        send=_used_challenge("spent-wrong-usage"),
        seen=_challenge(-2146762480),
    ),
    Row(id="challenge-expired", send=_expired_challenge, seen=_challenge()),
    Row(id="challenge-missing", send=at("default", challenge=None), seen=_challenge(-2146869244)),
    Row(
        id="challenge-utf8string", send=_utf8_challenge, seen=Seen(fail_info=2, hresult=-2147024809)
    ),  # captured; the event is unknown
    Row(
        id="ca-denies-short-key",
        send=_short_key,
        seen=_denial(
            -2146875375,
            "The public key does not meet the minimum size required by the specified certificate template.",
        ),
    ),
    Row(
        id="ca-denies-unpublished-template",
        send=at("withdrawn"),
        seen=_denial(
            -2146875392,
            "The requested certificate template is not supported by this CA.",
            "The request was for a certificate template that is not supported by the Active Directory "
            "Certificate Services Policy: Withdrawn",
        ),
    ),
    Row(
        id="ca-denies-unknown-template",
        send=at("unknown-template"),
        seen=_denial(
            -2146875392,
            "The requested certificate template is not supported by this CA.",
            "The request was for a certificate template that is not supported by the Active Directory "
            "Certificate Services Policy: Nowhere",
        ),
    ),
    Row(
        id="ca-denies-without-enroll-right",
        send=at("forbidden"),
        seen=_denial(
            -2146877422,
            "The permissions on the certificate template do not allow the current user to enroll for this "
            "type of certificate.",
        ),
    ),
    Row(
        id="ca-denies-subject",
        send=_long_subject,
        seen=_denial(-2146877439, "The request subject name is invalid or too long."),
    ),
    Row(
        id="ca-down",
        send=_ca_down,
        seen=Seen(
            fail_info=2, hresult=-2147023174, event=(31, "0x800706ba", "The RPC server is unavailable.")
        ),
    ),
    Row(
        id="ca-cannot-check-revocation",
        send=_revocation_offline,
        seen=_denial(
            -2146885613,
            "The revocation function was unable to check revocation because the revocation server was "
            "offline.",
        ),
    ),
    Row(id="pending", send=at("manual"), seen=Seen(status="3", message="Taken Under Submission")),
    Row(
        id="unparseable-message",
        send=_garbage,
        seen=Seen(http=500, status=None, event=(17, "0x8009310b", "ASN1 bad tag value met.")),
    ),
    Row(
        id="undecodable-base64",
        send=_bad_base64,
        seen=Seen(http=500, status=None, event=(16, E_INVALIDARG, "The parameter is incorrect.")),
    ),
    Row(
        id="wrong-recipient",
        send=_wrong_recipient,
        seen=Seen(http=500, status=None, event=(18, "0x80090005", "Bad Data.")),
    ),
    Row(
        id="unsupported-digest",
        send=_unknown_digest,
        seen=Seen(http=500, status=None, event=(17, "0x80090008", "Invalid algorithm specified.")),
    ),
    Row(
        id="unsupported-cipher",
        send=_unknown_cipher,
        seen=Seen(http=500, status=None, event=(18, "0x80090008", "Invalid algorithm specified.")),
    ),
    Row(
        id="renewal-other-subject",
        send=_renewal(csr={"subject": common_name("somebody else")}),
        seen=Seen(
            fail_info=2,
            hresult=-2146877439,
            event=(28, "0x80094001", "The request subject name is invalid or too long."),
        ),
    ),
    Row(
        id="renewal-the-ca-does-not-do",  # as on a standalone CA of 2019
        send=_renewal(endpoint="no-renewal"),
        seen=Seen(fail_info=2, hresult=-2147024891, event=(28, "0x80070005", "Access is denied.")),
    ),
    Row(
        id="renewal-with-expired-certificate",
        send=_renewal(lambda bench, _: bench.desk.advance(timedelta(days=400))),
        seen=Seen(
            fail_info=1,
            hresult=-2146762495,
            event=(
                28,
                "0x800b0101",
                "A required certificate is not within its validity period when verifying against the current "
                "system clock or the timestamp in the signed file.",
            ),
        ),
    ),
    Row(
        id="renewal-with-revoked-certificate",
        send=_renewal(lambda bench, old: bench.desk.revoke(old.certificate)),
        seen=Seen(fail_info=1, hresult=-2146885616, event=(28, "0x80092010", "The certificate is revoked.")),
    ),
    Row(
        id="renewal-with-foreign-certificate",
        send=_foreign_signer,
        seen=Seen(
            fail_info=1,
            hresult=-2146762487,
            event=(
                28,
                "0x800b0109",
                "A certificate chain processed, but terminated in a root certificate which is not trusted by "
                "the trust provider.",
            ),
        ),
    ),
    Row(
        id="renewal-by-message-type-17",
        send=_renewal(message_type=RENEWAL_REQ),
        seen=Seen(fail_info=2, hresult=-2147024809, event=(28, E_INVALIDARG, "The parameter is incorrect.")),
    ),
)


# -- reading ---------------------------------------------------------------------------


def stand_of(bench: Bench) -> NdesStand:
    assert isinstance(bench.desk, NdesStand)
    return bench.desk


def read(response: wire.Response) -> Reply:
    assert response.status == 200, response.body[:200]
    assert response.header("Content-Type") == MEDIA_TYPE
    return read_reply(response.body)


def decimal_of(reply: Reply) -> int | None:
    return int(reply.hresult) if reply.hresult else None


def message_of(reply: Reply) -> str | None:
    found = reply.attributes.get("1.3.6.1.4.1.311.21.38")
    return None if found is None else found.content.decode()


def enrol(bench: Bench) -> Enrolment:
    request = bench.request()
    reply = read(request.send(bench))
    assert reply.status == "0", reply
    (certificate,) = opened(reply, request, bench)
    assert request.csr is not None
    return Enrolment(
        request=request,
        certificate=certificate,
        key=request.csr.key,
        subject=request.csr.subject,
        reply=reply,
    )


def opened(reply: Reply, request: PkiRequest, bench: Bench) -> tuple[bytes, ...]:
    """Open the envelope, whose cipher and key transport the profile has chosen."""
    profile = stand_of(bench).world.settings.scep.ndes_profile
    oaep = "sha1" if profile.reply_key_transport == "oaep" else None
    cipher = {"des3": "3des"}.get(profile.reply_cipher, profile.reply_cipher)
    sent = request.with_message(request.message, cipher=cipher, oaep=oaep).sent
    return open_reply(reply, sent).certificates
