"""What a CertRep says, by ``openssl asn1parse``; ``openssl cms -verify`` finds every one validly signed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ca.clock import SystemClock
from faults.evidence import shows
from faults.looks import (
    FAIL_INFO_TEXT,
    MESSAGE_TYPE,
    PKI_STATUS,
    PRINTABLE,
    RECIPIENT_NONCE,
    SENDER_NONCE,
    TRANSACTION_ID,
    Value,
    assert_valid,
    closed,
    envelope_of,
    says,
    status_of,
    values_of,
)
from faults.stand import NONCE, Sent, Side

OCTETS = "OCTET STRING"
HEX_NONCE = NONCE.hex().upper()


def _is(*expected: Value) -> Callable[[list[list[Value]], Sent], bool]:
    return lambda found, _: found == [list(expected)]


def _absent(found: list[list[Value]], sent: Sent) -> bool:
    return not found


# -- failInfo and pkiStatus ----------------------------------------------------------------

for number, name in enumerate(("bad-alg", "bad-message-check", "bad-request", "bad-time", "bad-cert-id")):
    shows(f"reply::fail-info-{name}")(lambda side, wanted=f"2/{number}": status_of(side.enrol()) == wanted)
shows("reply::fail-info-unknown")(lambda side: status_of(side.enrol()) == "2/9")
shows("reply::pki-status-unknown")(says(PKI_STATUS, _is((PRINTABLE, "7"))))
shows("reply::pki-status-missing")(says(PKI_STATUS, _absent))
shows("reply::pki-status-with-two-values")(says(PKI_STATUS, _is((PRINTABLE, "0"), (PRINTABLE, "3"))))
shows("reply::pki-status-without-value")(says(PKI_STATUS, lambda found, _: found == [[]]))
shows("reply::success-with-fail-info")(lambda side: status_of(side.enrol()) == "0/2")


@shows("reply::fail-info-missing")
def fail_info_is_missing(side: Side) -> bool:
    sent = side.enrol()
    return status_of(sent) == "2" and not values_of(sent, FAIL_INFO_TEXT)


@shows("reply::pki-status-twice")
def pki_status_is_there_twice(side: Side) -> bool:
    return status_of(side.enrol()) == "0/3"


@shows("reply::success-without-envelope")
def success_is_empty(side: Side) -> bool:
    sent = side.enrol()
    return status_of(sent) == "0" and envelope_of(sent) == b""


@shows("reply::failure-with-envelope")
def failure_can_be_opened(side: Side) -> bool:
    sent = side.enrol()
    return status_of(sent) == "2/2" and b"BEGIN CERTIFICATE" in sent.issued_pem()


# -- nonces --------------------------------------------------------------------------------

shows("reply::wrong-recipient-nonce")(
    says(RECIPIENT_NONCE, _is((OCTETS, bytes(octet ^ 0xFF for octet in NONCE).hex().upper())))
)
shows("reply::recipient-nonce-missing")(says(RECIPIENT_NONCE, _absent))
shows("reply::recipient-nonce-empty")(says(RECIPIENT_NONCE, _is((OCTETS, ""))))
shows("reply::recipient-nonce-short")(says(RECIPIENT_NONCE, _is((OCTETS, HEX_NONCE[:16]))))
shows("reply::recipient-nonce-long")(says(RECIPIENT_NONCE, _is((OCTETS, HEX_NONCE + "00" * 16))))
shows("reply::sender-nonce-missing")(says(SENDER_NONCE, _absent))
shows("reply::sender-nonce-empty")(says(SENDER_NONCE, _is((OCTETS, ""))))
shows("reply::sender-nonce-of-the-client")(says(SENDER_NONCE, _is((OCTETS, HEX_NONCE))))


def _has_octets(count: int) -> Callable[[Side], bool]:
    def look(side: Side) -> bool:
        sent = side.enrol()
        assert_valid(sent)
        lines = sent.parsed().splitlines()
        at = next(index for index, line in enumerate(lines) if line.endswith(f":{SENDER_NONCE}"))
        return f" l={count:4d} prim: OCTET STRING" in lines[at + 2]

    return look


shows("reply::sender-nonce-short")(_has_octets(8))
shows("reply::sender-nonce-long")(_has_octets(256))


@shows("reply::sender-nonce-never-new")
def two_replies_have_one_nonce(side: Side) -> bool:
    first, second = (values_of(side.enrol(), SENDER_NONCE) for _ in range(2))
    return first == second


@shows("reply::recipient-nonce-of-the-first-request")
def answer_to_a_poll_has_the_nonce_of_the_request(side: Side) -> bool:
    sent = side.enrol(sender_nonce=b"\xaa" * 16)
    assert values_of(sent, RECIPIENT_NONCE) == [[(OCTETS, "AA" * 16)]]
    polled = side.poll(sent)
    assert status_of(polled) == "0"
    return values_of(polled, RECIPIENT_NONCE) == [[(OCTETS, "AA" * 16)]]


# -- transactionID and messageType ---------------------------------------------------------


def _id(change: Callable[[str], str]) -> Callable[[Side], bool]:
    return says(TRANSACTION_ID, lambda found, sent: found == [[(PRINTABLE, change(sent.transaction_id))]])


shows("reply::transaction-id-missing")(says(TRANSACTION_ID, _absent))
shows("reply::transaction-id-empty")(_id(lambda _: ""))
shows("reply::transaction-id-in-other-case")(_id(str.lower))
shows("reply::transaction-id-with-space")(_id(lambda text: text + " "))
shows("reply::transaction-id-cut-off")(_id(lambda text: text[:16]))
shows("reply::transaction-id-wrong")(
    says(
        TRANSACTION_ID,
        lambda found, sent: len(found) == 1 and found[0][0][1].lower() != sent.transaction_id.lower(),
    )
)
shows("reply::message-type-missing")(says(MESSAGE_TYPE, _absent))
shows("reply::message-type-of-the-request")(says(MESSAGE_TYPE, _is((PRINTABLE, "19"))))
shows("reply::message-type-unknown")(says(MESSAGE_TYPE, _is((PRINTABLE, "99"))))


# -- polling -------------------------------------------------------------------------------


def _statuses(side: Side, polls: int) -> list[str]:
    sent = side.enrol()
    return [status_of(sent), *(status_of(side.poll(sent)) for _ in range(polls))]


shows("reply::pending-then-success")(lambda side: _statuses(side, 2) == ["3", "3", "0"])
shows("reply::pending-then-failure")(lambda side: _statuses(side, 2) == ["3", "3", "2/2"])
shows("reply::pending-then-unknown")(lambda side: _statuses(side, 1) == ["3", "2/4"])
shows("reply::pending-for-ever")(lambda side: set(_statuses(side, 6)) == {"3"})


@shows("reply::pending-with-envelope")
def pending_can_be_opened(side: Side) -> bool:
    sent = side.enrol()
    assert b"BEGIN CERTIFICATE" in sent.issued_pem()
    return [status_of(sent), status_of(side.poll(sent))] == ["3", "0"]


# -- the rest ------------------------------------------------------------------------------


@shows("reply::stale-reply")
def reply_is_of_another_transaction_and_for_another(side: Side) -> bool:
    sent = side.enrol()
    others = values_of(sent, TRANSACTION_ID) != [[(PRINTABLE, sent.transaction_id)]]
    assert others == (values_of(sent, RECIPIENT_NONCE) != [[(OCTETS, HEX_NONCE)]])
    assert others == (_age(sent) > timedelta(minutes=9))
    assert others == ("Error decrypting CMS using private key" in closed(sent))
    return others


shows("reply::signing-time-missing")(says("signingTime", _absent))
shows("reply::signing-time-off")(lambda side: _age(side.enrol()) < timedelta(days=-390))
shows("reply::unknown-attribute")(
    says("1.3.6.1.4.1.99999.8894.1", _is(("UTF8STRING", "nobody knows this attribute")))
)


def _age(sent: Sent) -> timedelta:
    assert_valid(sent)
    ((_, text),) = values_of(sent, "signingTime")[0]
    return SystemClock().now() - datetime.strptime(text, "%y%m%d%H%M%SZ").replace(tzinfo=UTC)
