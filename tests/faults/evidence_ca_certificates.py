"""What shows the faults of GetCACert: the certificates it brings, by openssl."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from faults.evidence import shows
from faults.pkix import Bag, Shown, real

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.stand import Side

_UNKNOWN_CRITICAL = "1.3.6.1.4.1.32473.1.1: critical"
_SIGNING, _ENCIPHERING = "Digital Signature", "Key Encipherment"


def _all_ras(holds: Callable[[Shown], bool]) -> Callable[[Side], bool]:
    """Return a look that tells whether something holds for both of the RA's certificates."""

    def look(side: Side) -> bool:
        found = Bag(side).ras
        return len(found) == 2 and all(holds(one) for one in found)

    return look


def _verdicts(side: Side) -> list[str]:
    """Return what ``openssl verify`` says of the RA's certificates."""
    bag = Bag(side)
    assert len(bag.ras) == 2
    return [bag.verified(one) for one in bag.ras]


def _of_issuing(side: Side) -> tuple[Shown, str]:
    """Return the issuing CA's certificate, and what ``openssl verify`` says of it."""
    bag = Bag(side)
    (issuing,) = bag.issuing
    return issuing, bag.verified(issuing)


# -- the bag -----------------------------------------------------------------------------


@shows("ca-certificates::ra-missing")
def _(side: Side) -> bool:
    bag = Bag(side)
    return not bag.ras and len(bag.issuing) == len(bag.roots) == 1


@shows("ca-certificates::signing-ra-missing")
def _(side: Side) -> bool:
    found = Bag(side).ras
    return len(found) == 1 and _SIGNING not in found[0].text


@shows("ca-certificates::encryption-ra-missing")
def _(side: Side) -> bool:
    found = Bag(side).ras
    return len(found) == 1 and _ENCIPHERING not in found[0].text


@shows("ca-certificates::ca-missing")
def _(side: Side) -> bool:
    bag = Bag(side)
    return not bag.issuing and len(bag.all) == 3 and "unable to get" in bag.verified(bag.ras[0])


@shows("ca-certificates::root-missing")
def _(side: Side) -> bool:
    bag = Bag(side)
    return not bag.roots and len(bag.all) == 3


@shows("ca-certificates::empty-bag")
def _(side: Side) -> bool:
    bag = Bag(side)
    return bag.is_bag and not bag.all


@shows("ca-certificates::root-first")
def _(side: Side) -> bool:
    bag = Bag(side)
    return [bag.all[0]] == bag.roots and _SIGNING in bag.all[-1].text


@shows("ca-certificates::ca-first")
def _(side: Side) -> bool:
    bag = Bag(side)
    return [bag.all[0]] == bag.issuing and len(bag.all) == 4


@shows("ca-certificates::encryption-ra-first")
def _(side: Side) -> bool:
    return _ENCIPHERING in Bag(side).all[0].text


@shows("ca-certificates::extra-certificates")
def _(side: Side) -> bool:
    return len(Bag(side).of("CN = Stranger 1")) == 1


@shows("ca-certificates::extra-root")
def _(side: Side) -> bool:
    found = Bag(side).of("Another Root CA")
    return len(found) == 1 and found[0].issuer == found[0].subject


@shows("ca-certificates::every-certificate-twice")
def _(side: Side) -> bool:
    return set(Counter(one.pem for one in Bag(side).all).values()) == {2}


@shows("ca-certificates::wrong-thumbprint")
def _(side: Side) -> bool:
    bag = Bag(side)
    told, (root,) = real(side.scep_lab.world.root.der), bag.roots
    assert root.subject == told.subject
    assert not any(bag.verified(one, root.pem) for one in (*bag.ras, *bag.issuing)), "it is no whole PKI"
    return root.fingerprint != told.fingerprint and all(bag.verified(one) for one in bag.ras)


@shows("ca-certificates::lookalike-root")
def _(side: Side) -> bool:
    bag = Bag(side)
    told, (root,) = real(side.scep_lab.world.root.der), bag.roots
    assert not bag.verified(bag.ras[0])
    return (root.subject, root.serial) == (told.subject, told.serial) and root.public_key != told.public_key


@shows("ca-certificates::single-certificate")
def _(side: Side) -> bool:
    bag = Bag(side)
    is_typed = bag.response.header("Content-Type") == "application/x-x509-ca-cert"
    return bag.is_lone and is_typed and bag.all == bag.issuing


@shows("ca-certificates::ca-alone-in-bag")
def _(side: Side) -> bool:
    bag = Bag(side)
    return bag.is_bag and len(bag.all) == 1 and bag.all == bag.issuing


@shows("ca-certificates::bag-called-certificate")
def _(side: Side) -> bool:
    bag = Bag(side)
    is_typed = bag.response.header("Content-Type") == "application/x-x509-ca-cert"
    return bag.is_bag and len(bag.all) == 4 and is_typed


@shows("ca-certificates::wrong-content-type")
def _(side: Side) -> bool:
    bag = Bag(side)
    return bag.is_bag and bag.response.header("Content-Type") == "text/html"


@shows("ca-certificates::bag-in-ber")
def _(side: Side) -> bool:
    bag = Bag(side)
    return bag.body[:2] == b"\x30\x80" and len(bag.all) == 4


@shows("ca-certificates::pem-instead-of-der")
def _(side: Side) -> bool:
    bag = Bag(side)
    return bag.body.count(b"-----BEGIN CERTIFICATE-----\n") == 4 and not bag.is_bag


@shows("ca-certificates::cut-off-bag")
def _(side: Side) -> bool:
    bag = Bag(side)
    assert bag.body[:2] == b"\x30\x82"
    return int.from_bytes(bag.body[2:4], "big") > len(bag.body) and not bag.is_bag


# -- the RA's ----------------------------------------------------------------------------


shows("ca-certificates::ra-without-key-usage")(
    _all_ras(lambda one: "X509v3 Key Usage" not in one.text and "Extended Key Usage" in one.text)
)
shows("ca-certificates::ra-without-extended-key-usage")(
    _all_ras(
        lambda one: (
            "X509v3 Key Usage" in one.text
            and "Extended Key Usage" not in one.text
            and "1.3.6.1.4.1.311.21.10" not in one.text
        )
    )
)
shows("ca-certificates::ra-without-usages")(
    _all_ras(lambda one: "X509v3 Key Usage" not in one.text and "Extended Key Usage" not in one.text)
)
shows("ca-certificates::ra-key-usage-wrong")(
    _all_ras(
        lambda one: (
            "Non Repudiation" in one.text and _SIGNING not in one.text and _ENCIPHERING not in one.text
        )
    )
)
shows("ca-certificates::ra-for-another-purpose")(_all_ras(lambda one: "Code Signing" in one.text))
shows("ca-certificates::ra-with-unknown-critical-extension")(
    _all_ras(lambda one: _UNKNOWN_CRITICAL in one.text)
)
shows("ca-certificates::ra-of-another-ca")(_all_ras(lambda one: "Another Issuing CA" in one.issuer))


@shows("ca-certificates::ra-expired")
def _(side: Side) -> bool:
    return all("certificate has expired" in verdict for verdict in _verdicts(side))


@shows("ca-certificates::signing-ra-expired")
def _(side: Side) -> bool:
    bag = Bag(side)
    (signing,) = (one for one in bag.ras if _SIGNING in one.text)
    (encryption,) = (one for one in bag.ras if _ENCIPHERING in one.text)
    return "certificate has expired" in bag.verified(signing) and not bag.verified(encryption)


@shows("ca-certificates::ra-not-yet-valid")
def _(side: Side) -> bool:
    return all("certificate is not yet valid" in verdict for verdict in _verdicts(side))


@shows("ca-certificates::ra-signed-by-impostor")
def _(side: Side) -> bool:
    bag = Bag(side)
    assert {one.key_id("Authority") for one in bag.ras} == {one.key_id("Subject") for one in bag.issuing}
    return all("certificate signature failure" in verdict for verdict in _verdicts(side))


@shows("ca-certificates::ra-of-root")
def _(side: Side) -> bool:
    bag = Bag(side)
    return not any(_verdicts(side)) and all(one.issuer == bag.roots[0].subject for one in bag.ras)


@shows("ca-certificates::outdated-ra")
def _(side: Side) -> bool:
    authority = side.scep_lab.world.registration_authority
    known = {real(one.der).public_key for one in (authority.signing, authority.encryption)}
    assert not any(_verdicts(side))
    return not known & {one.public_key for one in Bag(side).ras}


# -- the CA's ----------------------------------------------------------------------------


@shows("ca-certificates::expired-ca")
def _(side: Side) -> bool:
    return "certificate has expired" in _of_issuing(side)[1]


@shows("ca-certificates::not-yet-valid-ca")
def _(side: Side) -> bool:
    return "certificate is not yet valid" in _of_issuing(side)[1]


@shows("ca-certificates::ca-without-basic-constraints")
def _(side: Side) -> bool:
    issuing, verdict = _of_issuing(side)
    return "Basic Constraints" not in issuing.text and not verdict


@shows("ca-certificates::ca-without-key-cert-sign")
def _(side: Side) -> bool:
    issuing, verdict = _of_issuing(side)
    return "Certificate Sign" not in issuing.text and "CRL Sign" in issuing.text and not verdict


@shows("ca-certificates::ca-with-unknown-critical-extension")
def _(side: Side) -> bool:
    issuing, verdict = _of_issuing(side)
    return _UNKNOWN_CRITICAL in issuing.text and "unhandled critical extension" in verdict


@shows("ca-certificates::ca-signed-with-sha1")
def _(side: Side) -> bool:
    issuing, verdict = _of_issuing(side)
    return set(issuing.algorithms) == {"sha1WithRSAEncryption"} and not verdict


@shows("ca-certificates::rolled-over-ca")
def _(side: Side) -> bool:
    issuing, verdict = _of_issuing(side)
    return not verdict and all(_verdicts(side)) and issuing.subject == Bag(side).ras[0].issuer


@shows("ca-certificates::both-cas-in-bag")
def _(side: Side) -> bool:
    bag = Bag(side)
    keys = {one.public_key for one in bag.issuing}
    return len(keys) == 2 and not any(bag.verified(one) for one in (*bag.ras, *bag.issuing))


@shows("ca-certificates::ca-renewed-with-same-key")
def _(side: Side) -> bool:
    issuing, verdict = _of_issuing(side)
    known = real(side.scep_lab.world.authority.certificate.der)
    assert not verdict
    assert not any(_verdicts(side))
    return issuing.public_key == known.public_key and issuing.fingerprint != known.fingerprint
