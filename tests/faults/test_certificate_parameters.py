"""What parameters do to the faults of certificates, by openssl; and what is said to those that are none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from forge import openssl
from forge.keys import KeyPool

from faults.pkix import Bag, Shown, enrolled, issued, real, shown
from faults.stand import Side
from lab.faults.engine import path_of
from lab.faults.registry import Seam, catalogue
from lab.scep_lab import ScepLab

DAY = timedelta(days=1)
MINE = [
    (fault.id, name)
    for fault in catalogue().values()
    if fault.seam in (Seam.CERTIFICATE, Seam.CA_CERTIFICATES)
    for name in fault.parameters
]


def days_ago(moment: datetime) -> int:
    """Return how many midnights ago an instant was, below zero for one to come."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (today - moment) // DAY


def is_own_key_first(side: Side) -> bool:
    sent = enrolled(side)
    own = openssl.run("pkey", "-pubout", stdin=sent.key.pem).decode()
    return shown(sent.issued_pem())[0].public_key == own


def is_new_ca_first(side: Side) -> bool:
    own = real(side.scep_lab.world.authority.certificate.der)
    return Bag(side).issuing[0].public_key != own.public_key


def life_of(certificate: Shown) -> int:
    """Return the seconds from the certificate's begin to its end."""
    return int((certificate.end - certificate.begin).total_seconds())


# Fault, parameter, value, and what is seen: the value itself is compared with what the look returns.
CASES: list[tuple[str, str, object, Callable[[Side], object]]] = [
    ("ca-certificates::extra-certificates", "count", 3, lambda side: len(Bag(side).of("CN = Stranger"))),
    (
        "ca-certificates::extra-certificates",
        "first",
        True,
        lambda side: Bag(side).all[0].subject == "CN = Stranger 1",
    ),
    (
        "ca-certificates::wrong-content-type",
        "content_type",
        "application/pkix-cert",
        lambda side: side.get("GetCACert").header("Content-Type"),
    ),
    (
        "ca-certificates::ra-for-another-purpose",
        "purpose",
        "1.3.6.1.5.5.7.3.8",
        lambda side: "1.3.6.1.5.5.7.3.8" if "Time Stamping" in Bag(side).ras[0].text else "",
    ),
    ("ca-certificates::ra-expired", "days", 40, lambda side: days_ago(Bag(side).ras[1].end)),
    ("ca-certificates::signing-ra-expired", "days", 41, lambda side: days_ago(Bag(side).ras[0].end)),
    ("ca-certificates::ra-not-yet-valid", "days", 42, lambda side: -days_ago(Bag(side).ras[0].begin) - 1),
    ("ca-certificates::expired-ca", "days", 43, lambda side: days_ago(Bag(side).issuing[0].end)),
    ("ca-certificates::not-yet-valid-ca", "days", 44, lambda side: -days_ago(Bag(side).issuing[0].begin) - 1),
    ("ca-certificates::both-cas-in-bag", "new_first", False, is_new_ca_first),
    (
        "certificate::weak-key",
        "bits",
        1536,
        lambda side: 1536 if "Public-Key: (1536 bit)" in issued(side).text else 0,
    ),
    (
        "certificate::for-another-subject",
        "subject",
        "CN=Nobody",
        lambda side: issued(side).subject.replace(" ", ""),
    ),
    ("certificate::expired", "days", 45, lambda side: days_ago(issued(side).end)),
    (
        "certificate::not-yet-valid",
        "hours",
        2.5,
        lambda side: round((issued(side).begin - datetime.now(UTC)).total_seconds() / 360) / 10,
    ),
    (
        "certificate::too-short",
        "seconds",
        0,
        lambda side: life_of(issued(side)),
    ),
    (
        "certificate::outlives-ca",
        "days",
        7,
        lambda side: (issued(side).end - real(side.scep_lab.world.authority.certificate.der).end).days,
    ),
    ("certificate::huge-serial", "octets", 100, lambda side: len(issued(side).serial) // 2),
    (
        "certificate::wrong-extended-key-usage",
        "purpose",
        "1.3.6.1.5.5.7.3.8",
        lambda side: "1.3.6.1.5.5.7.3.8" if "Time Stamping" in issued(side).text else "",
    ),
    (
        "certificate::foreign-alternative-name",
        "dns",
        "a.example",
        lambda side: "a.example" if "DNS:a.example" in issued(side).text else "",
    ),
    ("certificate::two-certificates", "first", False, lambda side: not is_own_key_first(side)),
]


@pytest.fixture
def side_of(fault_lab: ScepLab, fault_keys: KeyPool) -> Callable[..., Side]:
    fault_lab.reset()
    base = fault_lab.scep_url.removesuffix("/scep")

    def make(fault_id: str, **parameters: object) -> Side:
        return Side(fault_lab, base + path_of(fault_id, "/scep", **parameters), fault_lab.pki_url, fault_keys)

    return make


def test_every_parameter_is_tried() -> None:
    assert sorted({(fault_id, name) for fault_id, name, _, _ in CASES}) == sorted(MINE)


@pytest.mark.parametrize(
    ("fault_id", "name", "value", "look"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES]
)
def test_parameter_does_what_it_says(side_of, fault_id, name, value, look) -> None:
    assert look(side_of(fault_id, **{name: value})) == value
    assert look(side_of(fault_id)) != value


@pytest.mark.parametrize(
    ("fault_id", "name", "value"),
    [
        ("ca-certificates::extra-certificates", "count", 0),
        ("ca-certificates::extra-certificates", "count", 10**6),
        ("ca-certificates::wrong-content-type", "content_type", "%0d%0aSet-Cookie:a"),
        ("ca-certificates::ra-for-another-purpose", "purpose", "code%20signing"),
        ("ca-certificates::ra-expired", "days", 10**9),
        ("ca-certificates::not-yet-valid-ca", "days", -1),
        ("certificate::weak-key", "bits", 16384),
        ("certificate::for-another-subject", "subject", "nobody"),
        ("certificate::not-yet-valid", "hours", 1e300),
        ("certificate::too-short", "seconds", -1),
        ("certificate::outlives-ca", "days", 10**9),
        ("certificate::huge-serial", "octets", 20),
        ("certificate::wrong-extended-key-usage", "purpose", "1.9.9.9e9"),
        ("certificate::foreign-alternative-name", "dns", "%C3%BC.example"),
    ],
)
def test_value_out_of_range_is_answered_in_words(fault_lab, fault_keys, fault_id, name, value) -> None:
    url = fault_lab.scep_url.removesuffix("/scep") + f"/fault/{fault_id};{name}={value}/scep"
    side = Side(fault_lab, url, fault_lab.pki_url, fault_keys)
    response = side.get("GetCACert") if fault_id.startswith("ca-certificates::") else enrolled(side).response
    assert response.status == 404
    text = response.body.decode()
    assert fault_id in text
    assert name in text
    assert response.header("X-Ndes-Lab-Fault") is None


def test_lab_without_its_root_says_that_it_cannot_have_the_fault() -> None:
    with ScepLab() as scep_lab:
        scep_lab.world.folder.root_passphrase.unlink()
        base = scep_lab.scep_url.removesuffix("/scep")
        path = path_of("ca-certificates::expired-ca", "/scep")
        response = Side(scep_lab, base + path, scep_lab.pki_url, KeyPool()).get("GetCACert")
        assert response.status == 501
        assert "the root cannot be opened" in response.body.decode()
        assert not scep_lab.journal[-1].faults
        assert Side(scep_lab, scep_lab.scep_url, scep_lab.pki_url, KeyPool()).get("GetCACert").status == 200


def test_md5_cannot_be_had_of_an_ecdsa_ca() -> None:
    kinds = {"pki": {"root_key": "ecdsa-p256", "issuing_key": "ecdsa-p256"}}
    with ScepLab(kinds) as scep_lab:
        base = scep_lab.scep_url.removesuffix("/scep")
        side = Side(
            scep_lab, base + path_of("certificate::md5-signature", "/scep"), scep_lab.pki_url, KeyPool()
        )
        response = enrolled(side).response
        assert response.status == 501
        assert "MD5 signs with RSA keys alone" in response.body.decode()
        assert "CN=look,O=Stand" not in [one.subject for one in scep_lab.certificates()], (
            "one was issued all the same"
        )
