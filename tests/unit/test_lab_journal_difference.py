"""How two messages differ: what is told, what is not, and that each deviation is found."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from forge import asn1
from forge.certificates import CertificateForge, common_name, dns, key_usage, subject_alt_name
from forge.csr import CsrForge
from forge.envelope import Envelope, KeyTransport
from forge.keys import of
from forge.message import PkiMessage
from hypothesis import given
from hypothesis import strategies as st

from lab.decoding import EnvelopeKeys, Node, explain
from lab.journal.difference import Difference, compare, shape

SENDER_NONCE = "2.16.840.1.113733.1.9.5"
TRANSACTION_ID = "2.16.840.1.113733.1.9.7"


class Clients:
    """Messages of two clients to one RA."""

    def __init__(self) -> None:
        self.ra = rsa.generate_private_key(65537, 2048)
        self.recipient = CertificateForge(key=of(self.ra), subject=common_name("RA")).encode()
        self.keys = [of(rsa.generate_private_key(65537, 2048)) for _ in range(2)]

    def message(
        self, client: int = 0, *, csr: dict | None = None, seal: dict | None = None, **changed
    ) -> bytes:
        key = self.keys[client]
        request = CsrForge(key=key, challenge=f"challenge-{client}", **(csr or {})).encode()
        sealed = Envelope(
            plaintext=request, recipients=[KeyTransport(certificate=self.recipient)], **(seal or {})
        ).encode()
        certificate = CertificateForge(key=key).encode()
        return PkiMessage(
            key=key,
            certificate=certificate,
            content=sealed,
            **{"transaction_id": f"{client}" * 40, **changed},
        ).encode()

    def compare(self, left: bytes, right: bytes, **options) -> list[Difference]:
        keys = EnvelopeKeys(private_keys=(self.ra,))
        return list(compare(explain(left, keys), explain(right, keys), **options))


@pytest.fixture(scope="module")
def clients() -> Clients:
    return Clients()


def places(found: list[Difference]) -> list[str]:
    return [each.path[-1] for each in found]


def test_two_good_messages_of_two_clients_do_not_differ(clients: Clients) -> None:
    assert clients.compare(clients.message(0), clients.message(1)) == []


def test_all_shows_what_is_new_in_each(clients: Clients) -> None:
    found = places(clients.compare(clients.message(0), clients.message(1), everything=True))
    for name in (
        "senderNonce",
        "transactionID",
        "messageDigest",
        "modulus",
        "challengePassword",
    ):
        assert name in found, name
    message = clients.message(0)
    assert clients.compare(message, message, everything=True) == []


@pytest.mark.parametrize(
    ("change", "place", "left", "right"),
    [
        ({"seal": {"cipher": "3des"}}, "contentEncryptionAlgorithm", "AES-128-CBC", "DES-EDE3-CBC"),
        ({"digest": "sha1"}, "signerInfo > digestAlgorithm", "SHA-256", "SHA-1"),
        (
            {"replaced": {SENDER_NONCE: [asn1.octets(bytes(8))]}},
            "signerInfo > senderNonce",
            "16 octets in hex",
            "decimal digits",
        ),
        ({"replaced": {SENDER_NONCE: None}}, "signerInfo > senderNonce", "16 octets", None),
        (
            {"replaced": {TRANSACTION_ID: [asn1.string(asn1.UTF8, "0" * 40)]}},
            "signerInfo > transactionID",
            "PrintableString",
            "UTF8String",
        ),
        ({"message_type": "17"}, "SCEP pkiMessage", "PKCSReq (19)", "RenewalReq (17)"),
        ({"csr": {"subject": common_name("other")}}, "(PKCS#10) > subject", "CN=forged device", "CN=other"),
        (
            {"csr": {"extensions": [subject_alt_name(dns("a.test")), key_usage(0)]}},
            "extensionRequest",
            None,
            "subjectAltName, keyUsage",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_deviation_is_told_with_both_values(clients: Clients, change, place, left, right) -> None:
    found = clients.compare(clients.message(0), clients.message(1, **change))
    (told,) = [each for each in found if each.place.endswith(place)]
    for wanted, value in ((left, told.left), (right, told.right)):
        assert (value is None) if wanted is None else (wanted in (value or "")), told
    opposite = clients.compare(clients.message(1, **change), clients.message(0))
    assert any((each.left, each.right) == (told.right, told.left) for each in opposite)


def test_an_envelope_that_stays_closed_says_so_on_its_side(clients: Clients) -> None:
    message = clients.message()
    found = compare(explain(message, EnvelopeKeys(private_keys=(clients.ra,))), explain(message))
    assert [(each.path[-1], each.kind) for each in found] == [("certificate request (PKCS#10)", "only-left")]


def test_ber_is_a_difference(clients: Clients) -> None:
    plain = clients.message()
    ber = asn1.restyle(plain, asn1.Style(indefinite=True, chunk=100))
    found = clients.compare(plain, ber)
    assert ("SCEP pkiMessage", "PKCSReq (19) (BER, shown in its DER form)") in [
        (each.place, each.right) for each in found
    ]


def test_attributes_in_another_order_are_a_difference(clients: Clients) -> None:
    (told,) = clients.compare(clients.message(0), clients.message(1, sort_attributes=False))
    assert (told.path[-1], told.kind) == ("signerInfo", "order")
    assert sorted((told.left or "").split(", ")) == sorted((told.right or "").split(", "))


def test_another_kind_of_thing_is_told_as_such(clients: Clients) -> None:
    certificate = explain(clients.recipient)
    found = compare(explain(clients.message()), certificate)
    assert [(each.place, each.kind) for each in found] == [
        ("SCEP pkiMessage", "only-left"),
        ("certificate", "only-right"),
    ]


def test_another_order_is_told_once() -> None:
    left = Node(name="top", children=(Node(name="a"), Node(name="b"), Node(name="b", value="2")))
    right = Node(name="top", children=(Node(name="b"), Node(name="b", value="2"), Node(name="a")))
    (told,) = compare([left], [right])
    assert (told.kind, told.left, told.right) == ("order", "a, b, b [2]", "b, b [2], a")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("00" * 16, "decimal digits"),
        ("0a" * 16, "16 octets in hex"),
        ("0A" * 20, "20 octets in upper-case hex"),
        ("abc", "3 characters"),
        ("1234567890123", "decimal digits"),
        ("{8F9E-11}", "9 characters"),
        ("", "0 characters"),
    ],
)
def test_a_shape_is_what_stays(value: str, expected: str) -> None:
    assert shape(value) == expected


_texts = st.text(max_size=8)
_nodes = st.recursive(
    st.builds(Node, name=_texts, value=_texts, note=_texts),
    lambda children: st.builds(
        Node, name=_texts, value=_texts, note=_texts, children=st.lists(children, max_size=4).map(tuple)
    ),
    max_leaves=12,
)


@given(st.lists(_nodes, max_size=3), st.lists(_nodes, max_size=3))
def test_comparing_is_the_same_from_either_side(left: list[Node], right: list[Node]) -> None:
    assert compare(left, left, everything=True) == ()
    there, back = (compare(*sides, everything=True) for sides in ((left, right), (right, left)))
    assert {(each.path, each.left, each.right) for each in there} == {
        (each.path, each.right, each.left) for each in back
    }
    assert (there == ()) == (back == ())
