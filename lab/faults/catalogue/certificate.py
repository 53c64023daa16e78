"""Faults of issued certificates: for whom, for which key, for how long, under which number.

The CA signs and keeps them as they are, so that what it remembers is what was issued: who asks again
gets the same one, and it can be revoked under the number that it has.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from ca import der, names, oids
from lab.faults.minting import ended, foreign_key, weak_public_key, with_key
from lab.faults.registry import BadParameter, ClientMust, Range, Seam, fault
from lab.faults.values import DraftCertificate

if TYPE_CHECKING:
    from collections.abc import Callable

    from ca.certificates import TbsCertificate
    from lab.faults.tools import Tools

_SEAM: Final = Seam.CERTIFICATE
_ENROL: Final = frozenset({"PKIOperation"})
_EMPTY_NAME: Final = der.sequence()
_NO_END: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280 4.1.2.5


def _changed(draft: DraftCertificate, **fields: object) -> DraftCertificate:
    """Return the draft with fields of its parts changed; the very same where nothing is."""
    same = all(getattr(draft.tbs, name) == value for name, value in fields.items())
    return draft if same else replace(draft, tbs=replace(draft.tbs, **fields))  # type: ignore[arg-type]


def _now(tools: Tools) -> datetime:
    return tools.lab.clock.now().replace(microsecond=0)


# -- key ---------------------------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 8894 3.3.2.1",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
)
def for_another_key(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate is for a key that is not the client's.

    Requests mixed up behind a load balancer, or a proxy that made a key of its own. Nobody at the client
    can use it.
    """
    del tools
    return replace(draft, tbs=with_key(draft.tbs, foreign_key("somebody else").public_key_der))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 8894 3.3.2.1; NIST SP 800-131A",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
    limits={"bits": Range(1024, 2048)},
)
def weak_key(draft: DraftCertificate, tools: Tools, *, bits: int = 1024) -> DraftCertificate:
    """The certificate is for an RSA key of 1024 bits.

    A key is as long as it is, so that this is another key than the client's, too: what an attacker would
    like to have certified in its stead, having the private half. ``bits`` is how long, 1024 to 2048.
    """
    del tools
    return replace(draft, tbs=with_key(draft.tbs, weak_public_key(bits)))


# -- subject -----------------------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 8894 3.3.1",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def for_another_subject(
    draft: DraftCertificate, tools: Tools, *, subject: str = "CN=Somebody Else"
) -> DraftCertificate:
    """The certificate names somebody who is not the subject that was asked for.

    A CA may name whom it certifies; its templates often say how. A device that asked in its own name has
    little use for another. ``subject`` is RFC 4514 text.
    """
    del tools
    try:
        return _changed(draft, subject_der=names.build_name(subject))
    except names.BadName as error:
        raise BadParameter(f"subject: {error}") from error


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.1.2.6",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def empty_subject(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate has an empty subject, although one was asked for.

    What a template that takes the subject from the directory makes of a device that is not in it.
    """
    del tools
    return _changed(draft, subject_der=_EMPTY_NAME)


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 7.1",
    client_must=ClientMust.SUCCEED,
    operations=_ENROL,
)
def subject_in_other_strings(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The subject is the one asked for in other string types: UTF8String for PrintableString and back.

    CAs encode names anew. Whoever compares octets sees another name.
    """
    del tools

    def turn(attribute: names.NameAttribute) -> bytes:
        usual = names.string_value(attribute.type, attribute.text)
        if attribute.tag == der.UTF8_STRING or not names.is_string(attribute.tag):
            return usual if names.is_string(attribute.tag) else der.tlv(attribute.tag, attribute.content)
        return der.utf8_string(attribute.text)

    return _changed(draft, subject_der=_rebuilt(draft.tbs, turn))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 7.1",
    client_must=ClientMust.SUCCEED,
    operations=_ENROL,
)
def subject_in_capitals(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The subject is the one asked for in capital letters, which is the same name."""
    del tools

    def turn(attribute: names.NameAttribute) -> bytes:
        is_text = attribute.tag in (der.UTF8_STRING, der.PRINTABLE_STRING) and attribute.content.isascii()
        return der.tlv(attribute.tag, attribute.content.upper() if is_text else attribute.content)

    return _changed(draft, subject_der=_rebuilt(draft.tbs, turn))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 7.1",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def subject_reordered(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The subject's parts come in the opposite order, such as O before CN.

    To the letter another name, and yet what CAs do that put names together from a table. A subject of one
    part stays as it is.
    """
    del tools
    parts = [element.raw for element in der.one(draft.tbs.subject_der).elements()]
    return _changed(draft, subject_der=der.sequence(*reversed(parts)))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 8894 3.3.1",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def common_name_alone(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """Of the subject that was asked for, the commonName alone is left.

    A template that takes the common name and builds the rest, or does without. A subject that is nothing
    but a common name stays as it is.
    """
    del tools
    rdns = names.read_name(draft.tbs.subject_der)
    parts = der.one(draft.tbs.subject_der).elements()
    kept = [part.raw for part, rdn in zip(parts, rdns, strict=True) if rdn[0].type == oids.COMMON_NAME]
    return _changed(draft, subject_der=der.sequence(*kept)) if kept else draft


def _rebuilt(tbs: TbsCertificate, turn: Callable[[names.NameAttribute], bytes]) -> bytes:
    """Return the subject with each attribute's value as ``turn`` encodes it."""
    return der.sequence(
        *(
            der.set_of(der.sequence(der.oid(one.type), turn(one)) for one in rdn)
            for rdn in names.read_name(tbs.subject_der)
        )
    )


# -- validity ----------------------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 6.1.3 (a)(2)",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
    symptom="CERT_E_EXPIRED 0x800B0101 (windows-client.md section 1.3)",
)
def expired(draft: DraftCertificate, tools: Tools, *, days: int = 1) -> DraftCertificate:
    """The certificate ran out before it was issued, at midnight ``days`` days ago.

    The CA's clock is behind by more than its template's validity, or the client's is ahead.
    """
    return replace(draft, tbs=ended(draft.tbs, _now(tools), days))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 6.1.3 (a)(2)",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
    symptom="CERT_E_EXPIRED 0x800B0101: the certificate is discarded (windows-client.md sections 1.3 and 7)",
    limits={"hours": Range(0.01, 100_000)},
)
def not_yet_valid(draft: DraftCertificate, tools: Tools, *, hours: float = 9.0) -> DraftCertificate:
    """The certificate begins ``hours`` hours from now.

    The device's clock is behind, as Windows is by up to 9 hours during its first setup, or the CA does not
    date back.
    """
    not_before = _now(tools) + timedelta(hours=hours)
    length = draft.tbs.not_after - draft.tbs.not_before
    return replace(draft, tbs=replace(draft.tbs, not_before=not_before, not_after=not_before + length))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.1.2.5",
    client_must=ClientMust.MAY,
    operations=_ENROL,
    symptom="a certificate with less than 5 days left may be rejected (windows-client.md section 7)",
    limits={"seconds": Range(0, 1_000_000_000)},
)
def too_short(draft: DraftCertificate, tools: Tools, *, seconds: int = 60) -> DraftCertificate:
    """The certificate lives for a minute.

    A validity meant in days and read in minutes. It is good while it lives, and may be gone before it is
    used. ``seconds`` is how long; 0 is one instant.
    """
    not_before = _now(tools)
    life = timedelta(seconds=seconds)
    return replace(draft, tbs=replace(draft.tbs, not_before=not_before, not_after=not_before + life))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 6.1.3 (a)(2)",
    client_must=ClientMust.MAY,
    operations=_ENROL,
    limits={"days": Range(1, 1_000_000)},
)
def outlives_ca(draft: DraftCertificate, tools: Tools, *, days: int = 365) -> DraftCertificate:
    """The certificate ends a year after the certificate of the CA that issued it.

    Path validation looks at each certificate at the present time, so that it is good for now; from the CA's
    end on nobody can verify it. ``days`` is how much longer it lives.
    """
    end = tools.lab.authority.certificate.not_after + timedelta(days=days)
    return _changed(draft, not_after=end)


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.1.2.5",
    client_must=ClientMust.SUCCEED,
    operations=_ENROL,
)
def without_expiry(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate ends at 99991231235959Z, which says that it has no end.

    The one value for it, as 802.1AR device identities have it. Some clients cannot count so far.
    """
    del tools
    return _changed(draft, not_after=_NO_END)


# -- serial number, version --------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.1.2.2",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def negative_serial(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The serial number is negative.

    Random octets written as they fall, the first one above 0x7F. Users of certificates SHOULD be prepared to
    handle it gracefully; several libraries refuse it.
    """
    del tools
    return _changed(draft, serial_number=-abs(draft.tbs.serial_number))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.1.2.2",
    client_must=ClientMust.MAY,
    operations=_ENROL,
    limits={"octets": Range(21, 1024)},
)
def huge_serial(draft: DraftCertificate, tools: Tools, *, octets: int = 40) -> DraftCertificate:
    """The serial number is 40 octets long, and 20 are the most there may be.

    Digests used for numbers. ``octets`` is how long, at most 1024.
    """
    length = octets
    head, tail = b"\x5a", draft.tbs.serial_number.to_bytes(20, "big", signed=True)
    filling = tools.lab.entropy(length - 21)
    return _changed(draft, serial_number=int.from_bytes(head + filling + tail, "big"))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.1.2.1",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def version_1(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate is of version 1 and so has no extensions: no usage, no names, no CRL.

    An openssl command without an extension file.
    """
    del tools
    return _changed(draft, version=1, extensions=())
