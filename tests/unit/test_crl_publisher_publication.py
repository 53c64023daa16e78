"""What gets published, what does not, and what is left when a process dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import publishing_stream
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from ca.clock import SystemClock
from crl_publisher import CaCertificate, Publication, PublicationRefused, SignedCrl, Superseded

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class StandingClock:
    def __init__(self, now: datetime = NOW) -> None:
        self.instant = now

    def now(self) -> datetime:
        return self.instant


@dataclass(frozen=True)
class Signer:
    """A CA made with `cryptography` alone: nothing of ours has a say in what is right."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def named(cls, name: str, *, is_ca: bool = True) -> Signer:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder(subject, subject, key.public_key(), 1, NOW - DAY, NOW + 365 * DAY)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return cls(key, builder.sign(key, hashes.SHA256()))

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def crl(
        self,
        number: int | None = 1,
        *,
        this_update: datetime = NOW,
        next_update: datetime = NOW + 7 * DAY,
        base: int | None = None,
        indicator_critical: bool = True,
        key: ec.EllipticCurvePrivateKey | None = None,
        named: x509.Name | None = None,
        with_key_id: bool = True,
    ) -> bytes:
        builder = x509.CertificateRevocationListBuilder(
            named or self.certificate.subject, this_update, next_update
        )
        if with_key_id:
            identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
            builder = builder.add_extension(identifier, critical=False)
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        if base is not None:
            builder = builder.add_extension(x509.DeltaCRLIndicator(base), critical=indicator_critical)
        return builder.sign(key or self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.fixture(scope="module")
def issuer() -> Signer:
    return Signer.named("Issuer")


@pytest.fixture
def publication(tmp_path: Path) -> Publication:
    return Publication(tmp_path / "published", StandingClock())


def crl(issuer: Signer, der: bytes, name: str = "Issuer.crl") -> SignedCrl:
    return SignedCrl(name=name, der=der, issuer=issuer.der)


def published_number(publication: Publication, name: str = "Issuer.crl") -> int | None:
    facts = publication.crl_facts(name)
    return None if facts is None else facts.number


def test_publishes_a_good_crl_and_serves_exactly_its_octets(publication: Publication, issuer: Signer) -> None:
    der = issuer.crl(1)
    publication.publish(crl(issuer, der))
    file = publication.find("ISSUER.CRL")
    assert file is not None
    assert (file.content, file.name, file.media_type) == (der, "Issuer.crl", "application/pkix-crl")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX file modes")
def test_nobody_else_may_write_what_is_published_whatever_the_umask(tmp_path: Path, issuer: Signer) -> None:
    before = os.umask(0)
    try:
        Publication(tmp_path / "public", StandingClock()).publish(crl(issuer, issuer.crl(1)))
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"public": 0o755, ".lock": 0o644, "Issuer.crl": 0o644}


def test_accepts_the_next_number_and_changes_the_validator(publication: Publication, issuer: Signer) -> None:
    publication.publish(crl(issuer, issuer.crl(1)))
    before = publication.find("Issuer.crl")
    publication.publish(crl(issuer, issuer.crl(2)))
    after = publication.find("Issuer.crl")
    assert before is not None
    assert after is not None
    assert published_number(publication) == 2
    assert before.etag != after.etag


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (lambda ca: b"", "not a DER CRL"),
        (lambda ca: ca.crl(9)[:-1], "not a DER CRL"),
        (lambda ca: ca.crl(None), "CRL number"),
        (lambda ca: ca.crl(9, next_update=NOW, this_update=NOW - DAY), "not ahead"),
        (lambda ca: ca.crl(9, this_update=NOW + DAY), "still to come"),
        (lambda ca: ca.crl(9, key=Signer.named("Issuer").key), "does not verify"),
        (lambda ca: ca.crl(9, with_key_id=False), "authorityKeyIdentifier"),
        (lambda ca: ca.crl(9, named=Signer.named("Other").certificate.subject), "issuer is CN=Other"),
        (lambda ca: Signer.named("Issuer").crl(9), "does not verify"),
        (lambda ca: Signer.named("Issuer").crl(9, key=ca.key), "authorityKeyIdentifier is"),
        (lambda ca: ca.crl(9, base=1), "delta CRL where a complete one belongs"),
        (lambda ca: ca.der, "not a DER CRL"),
    ],
)
def test_refuses_a_bad_crl_and_keeps_the_last_good_one(
    publication: Publication, issuer: Signer, bad: Callable[[Signer], bytes], says: str
) -> None:
    good = issuer.crl(5)
    publication.publish(crl(issuer, good))
    with pytest.raises(PublicationRefused, match=says):
        publication.publish(crl(issuer, bad(issuer)))
    file = publication.find("Issuer.crl")
    assert file is not None
    assert file.content == good


def test_refuses_every_flipped_octet_of_a_crl(publication: Publication, issuer: Signer) -> None:
    der = bytearray(issuer.crl(1))
    for position in range(len(der)):
        der[position] ^= 0x01
        with pytest.raises(PublicationRefused):
            publication.publish(crl(issuer, bytes(der)))
        der[position] ^= 0x01
    assert publication.files() == ()


@pytest.mark.parametrize("number", [4, 5])
def test_refuses_a_number_that_is_not_higher(publication: Publication, issuer: Signer, number: int) -> None:
    publication.publish(crl(issuer, issuer.crl(5)))
    with pytest.raises(Superseded, match=f"CRL number is {number}, expected more than the published 5"):
        publication.publish(crl(issuer, issuer.crl(number)))
    assert published_number(publication) == 5


def test_publishing_the_same_octets_again_changes_nothing(publication: Publication, issuer: Signer) -> None:
    item = crl(issuer, issuer.crl(5))
    publication.publish(item)
    publication.publish(item)
    assert published_number(publication) == 5


def test_publishes_all_or_nothing(publication: Publication, issuer: Signer) -> None:
    other = Signer.named("Other")
    with pytest.raises(PublicationRefused):
        publication.publish(
            crl(issuer, issuer.crl(1)), SignedCrl(name="Other.crl", der=b"no", issuer=other.der)
        )
    assert publication.files() == ()


def test_publishes_a_delta_crl_beside_its_base_only(publication: Publication, issuer: Signer) -> None:
    delta = crl(issuer, issuer.crl(7, base=6), "Issuer+.crl")
    with pytest.raises(PublicationRefused, match="needs base CRL 6, published is none"):
        publication.publish(delta)
    publication.publish(crl(issuer, issuer.crl(6)), delta)
    assert (published_number(publication), published_number(publication, "issuer+.crl")) == (6, 7)


@pytest.mark.parametrize(
    ("options", "says"),
    [({}, "no delta CRL indicator"), ({"base": 6, "indicator_critical": False}, "not critical")],
)
def test_refuses_a_delta_crl_that_is_none(
    publication: Publication, issuer: Signer, options: dict[str, int | bool], says: str
) -> None:
    publication.publish(crl(issuer, issuer.crl(6)))
    with pytest.raises(PublicationRefused, match=says):
        publication.publish(crl(issuer, issuer.crl(7, **options), "Issuer+.crl"))  # type: ignore[arg-type]


def test_refuses_a_delta_crl_that_outlives_its_base(publication: Publication, issuer: Signer) -> None:
    publication.publish(crl(issuer, issuer.crl(6, next_update=NOW + 2 * DAY)))
    longer = issuer.crl(7, base=6, next_update=NOW + 3 * DAY)
    with pytest.raises(PublicationRefused, match="is beyond that of its base"):
        publication.publish(crl(issuer, longer, "Issuer+.crl"))
    publication.publish(crl(issuer, issuer.crl(7, base=6, next_update=NOW + 2 * DAY), "Issuer+.crl"))


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()])
def test_verifies_what_other_kinds_of_keys_sign(
    publication: Publication, key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Other key")])
    digest = hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey) else None
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - DAY, NOW + 9 * DAY)
        .add_extension(identifier, critical=False)
        .sign(key, digest)
    )
    builder = (
        x509.CertificateRevocationListBuilder(name, NOW, NOW + DAY)
        .add_extension(x509.AuthorityKeyIdentifier(identifier.digest, None, None), critical=False)
        .add_extension(x509.CRLNumber(1), critical=False)
    )
    good = builder.sign(key, digest).public_bytes(serialization.Encoding.DER)
    bad = good[:-1] + bytes((good[-1] ^ 1,))
    issuer = certificate.public_bytes(serialization.Encoding.DER)
    with pytest.raises(PublicationRefused, match="does not verify"):
        publication.publish(SignedCrl(name="o.crl", der=bad, issuer=issuer))
    publication.publish(SignedCrl(name="o.crl", der=good, issuer=issuer))


def test_publishes_ca_certificates_and_nothing_else_as_one(publication: Publication, issuer: Signer) -> None:
    leaf = Signer.named("Leaf", is_ca=False)
    publication.publish(CaCertificate(name="h_Issuer.crt", der=issuer.der, issuer=issuer.der))
    for der, signer in ((leaf.der, leaf), (issuer.der, leaf), (b"junk", issuer)):
        with pytest.raises(PublicationRefused):
            publication.publish(CaCertificate(name="other.crt", der=der, issuer=signer.der))
    assert [file.name for file in publication.files()] == ["h_Issuer.crt"]
    assert publication.files()[0].media_type == "application/pkix-cert"


@pytest.mark.parametrize("name", ["../up.crl", ".hidden.crl", "a/b.crl", "a\\b.crl", "x.crt", "x", "a\0.crl"])
def test_refuses_names_that_are_no_file_names(publication: Publication, issuer: Signer, name: str) -> None:
    with pytest.raises(PublicationRefused, match="no file name"):
        publication.publish(crl(issuer, issuer.crl(1), name))


@pytest.mark.parametrize("name", ["../secret.crl", "..", "", ".lock", ".Issuer.crl.tmp", "Issuer.crl/"])
def test_finds_published_files_only(
    publication: Publication, issuer: Signer, tmp_path: Path, name: str
) -> None:
    (tmp_path / "secret.crl").write_bytes(b"secret")
    publication.publish(crl(issuer, issuer.crl(1)))
    assert publication.find(name) is None


def test_sees_what_another_process_published(tmp_path: Path, issuer: Signer) -> None:
    ours = Publication(tmp_path, StandingClock())
    theirs = Publication(tmp_path, StandingClock())
    ours.publish(crl(issuer, issuer.crl(1)))
    assert published_number(theirs) == 1
    theirs.publish(crl(issuer, issuer.crl(2)))
    assert published_number(ours) == 2


def test_leaves_no_lower_number_behind_when_many_publish_at_once(tmp_path: Path, issuer: Signer) -> None:
    items = [crl(issuer, issuer.crl(number)) for number in range(1, 21)]

    def race(item: SignedCrl) -> None:
        try:
            Publication(tmp_path, StandingClock()).publish(item)
        except Superseded:
            return

    threads = [threading.Thread(target=race, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert published_number(Publication(tmp_path, StandingClock())) == 20


_LIMITED = """
import resource, signal, sys
from datetime import datetime
from pathlib import Path
from crl_publisher import Publication, SignedCrl
folder, issuer, limit = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes(), int(sys.argv[3])
class Clock:
    def now(self): return datetime.fromisoformat(sys.argv[4])
publication = Publication(folder, Clock())
items = []
for name in ("Issuer.crl", "Issuer+.crl"):
    der = sys.stdin.buffer.read(int(sys.stdin.buffer.readline()))
    items.append(SignedCrl(name=name, der=der, issuer=issuer))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    publication.publish(*items)
except OSError as error:
    print(error.strerror, sorted(path.name for path in folder.iterdir()))
"""


@pytest.mark.parametrize("room", ["nothing", "half of the base", "the base alone"])
def test_a_disk_without_room_leaves_the_last_good_pair_and_no_litter(
    tmp_path: Path, issuer: Signer, room: str
) -> None:
    folder = tmp_path / "published"
    ours = Publication(folder, StandingClock())
    ours.publish(crl(issuer, issuer.crl(1)), crl(issuer, issuer.crl(2, base=1), "Issuer+.crl"))
    (tmp_path / "issuer.crt").write_bytes(issuer.der)
    base, delta = issuer.crl(3), issuer.crl(4, base=3)
    assert len(delta) > len(base)
    limit = {"nothing": 0, "half of the base": len(base) // 2, "the base alone": len(base)}[room]
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, folder, tmp_path / "issuer.crt", str(limit), NOW.isoformat()],
        input=b"".join(b"%d\n%s" % (len(octets), octets) for octets in (base, delta)),
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == "File too large ['.lock', 'Issuer+.crl', 'Issuer.crl']\n"
    assert (published_number(ours), published_number(ours, "Issuer+.crl")) == (1, 2)
    ours.publish(crl(issuer, base), crl(issuer, delta, "Issuer+.crl"))
    assert (published_number(ours), published_number(ours, "Issuer+.crl")) == (3, 4)


def test_kill_9_in_a_loop_leaves_a_good_pair_each_time(tmp_path: Path) -> None:
    folder = tmp_path / "published"
    numbers = []
    for _ in range(12):
        first = numbers[-1] + 1 if numbers else 1
        child = subprocess.Popen(
            [sys.executable, publishing_stream.__file__, folder, tmp_path / "issuer", str(first)],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        for _ in range(3):
            assert child.stdout.readline()
        child.kill()  # somewhere in the next publication
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
        again = Publication(folder, SystemClock())
        base, delta = again.crl_facts("Issuer.crl"), again.crl_facts("Issuer+.crl")
        assert base is not None
        assert delta is not None
        assert delta.base_number is not None
        assert delta.base_number <= base.number
        assert delta.number in (base.number - 1, base.number + 1)
        assert sorted(path.name for path in folder.iterdir()) == [".lock", "Issuer+.crl", "Issuer.crl"]
        numbers.append(max(base.number, delta.number))
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == len(numbers)


_KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from crl_publisher import Publication, SignedCrl
step, folder, name, issuer = sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]).read_bytes()
class Clock:
    def now(self): return datetime.fromisoformat(sys.argv[5])
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
if step == "writing": os.fsync = die
if step == "renaming": Path.replace = die
if step == "flushing": Publication._flush_folder = die
Publication(folder, Clock()).publish(SignedCrl(name=name, der=sys.stdin.buffer.read(), issuer=issuer))
"""


@pytest.mark.parametrize(("step", "left"), [("writing", 1), ("renaming", 1), ("flushing", 2)])
def test_a_killed_process_leaves_the_last_good_crl_and_no_litter(
    tmp_path: Path, issuer: Signer, step: str, left: int
) -> None:
    folder = tmp_path / "published"
    Publication(folder, StandingClock()).publish(crl(issuer, issuer.crl(1)))
    (tmp_path / "issuer.crt").write_bytes(issuer.der)
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, step, folder, "Issuer.crl", tmp_path / "issuer.crt", NOW.isoformat()],
        input=issuer.crl(2),
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    again = Publication(folder, StandingClock())
    assert published_number(again) == left
    again.publish(crl(issuer, issuer.crl(3)))
    assert published_number(again) == 3
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "Issuer.crl"]


def test_openssl_reads_what_is_published(publication: Publication, issuer: Signer, tmp_path: Path) -> None:
    publication.publish(crl(issuer, issuer.crl(1)))
    (tmp_path / "issuer.pem").write_bytes(issuer.certificate.public_bytes(serialization.Encoding.PEM))
    done = subprocess.run(
        ["openssl", "crl", "-inform", "DER", "-CAfile", tmp_path / "issuer.pem", "-noout", "-crlnumber"],
        input=publication.files()[0].content,
        capture_output=True,
        check=True,
    )
    assert b"verify OK" in done.stderr
