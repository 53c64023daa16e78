"""The RA's certificates through their life: damaged at start, renewed, replaced, retired."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flow.ndes_stand import NdesStand
from forge.bench import Bench, Log
from forge.certificates import CertificateForge, common_name, key_usage, read_certificate
from forge.keys import KeyPool
from forge.reply import read_reply
from pydantic import SecretStr

from ca.records import RevocationReason
from ca.registration import RaFiles, RaRole
from lab.admin.models import pem
from lab.admin.ndes import RaOrder, RaReplacement
from scep_server.ra_standing import RaTrouble, RaUnusable

PROFILES = ("modern", "ndes-2012r2", "ndes-2019")
NDES = PROFILES[1:]


def _files(stand: NdesStand) -> RaFiles:
    return RaFiles(stand.world.folder)


def _expired(stand: NdesStand, _: KeyPool) -> None:
    stand.advance(timedelta(days=3 * 365))


def _unreadable(stand: NdesStand, _: KeyPool) -> None:
    _files(stand).certificate(RaRole.SIGNING).write_text("this is no certificate")


def _missing(stand: NdesStand, _: KeyPool) -> None:
    _files(stand).certificate(RaRole.ENCRYPTION).unlink()


def _bad_key(stand: NdesStand, _: KeyPool) -> None:
    _files(stand).key(RaRole.SIGNING).write_text("this is no key")


def _key_of_the_other(stand: NdesStand, _: KeyPool) -> None:
    files = _files(stand)
    files.key(RaRole.SIGNING).write_bytes(files.key(RaRole.ENCRYPTION).read_bytes())


def _foreign(stand: NdesStand, pool: KeyPool) -> None:
    """A certificate of another CA that bears the name of ours."""
    key = pool.fresh()
    ours = read_certificate(stand.world.authority.certificate.der)
    forged = CertificateForge(
        key=key,
        subject=common_name("NDES-LAB-MSCEP-RA"),
        issuer=ours.subject,
        issuer_key=pool.other,
        extensions=[key_usage(0)],
    ).encode()
    stand.scep_lab.desk.ndes.replace_ra(
        "signing",
        RaReplacement(certificate=pem(forged, "CERTIFICATE"), key=SecretStr(key.pem.decode())),
    )


def _wrong_usage(stand: NdesStand, _: KeyPool) -> None:
    """The signing certificate issued under the template of the encryption certificate."""
    stand.scep_lab.desk.ndes.renew_ra("signing", RaOrder(template="CEPEncryption"))


def _revoked(stand: NdesStand, _: KeyPool) -> None:
    serial = stand.world.registration_authority.encryption.serial_number
    authority = stand.world.authority
    with stand.world.store.transaction() as transaction:
        record = transaction.certificate_by_serial(authority.issuer_key_id, serial)
        assert record is not None
        authority.revoke(transaction, record.id, RevocationReason.KEY_COMPROMISE)


DAMAGES: dict[str, tuple[Callable[[NdesStand, KeyPool], None], RaTrouble, str]] = {
    "expired": (_expired, RaTrouble.EXPIRED, "0x80070057"),
    "unreadable": (_unreadable, RaTrouble.UNREADABLE, "0x80070057"),
    "missing": (_missing, RaTrouble.MISSING, "0x80092004"),
    "bad-key": (_bad_key, RaTrouble.BAD_KEY, "0x80090016"),
    "key-of-the-other": (_key_of_the_other, RaTrouble.UNREADABLE, "0x80070057"),
    "foreign": (_foreign, RaTrouble.FOREIGN, "0x80070057"),
    "wrong-usage": (_wrong_usage, RaTrouble.WRONG_USAGE, "0x80070057"),
    "revoked": (_revoked, RaTrouble.REVOKED, "0x80092010"),
}


@pytest.fixture
def stand(request: pytest.FixtureRequest) -> Iterator[NdesStand]:
    found = NdesStand(request.param)
    yield found
    found.close()


@pytest.mark.parametrize("stand", NDES, indirect=True)
@pytest.mark.parametrize("damage", DAMAGES)
def test_ndes_does_not_start_with_it_and_says_so_twice(
    stand: NdesStand, damage: str, key_pool: KeyPool
) -> None:
    inflict, _, code = DAMAGES[damage]
    inflict(stand, key_pool)
    stand.world.recycle()
    before = stand.last_event()

    for url in (stand.scep_lab.mscep_url, f"{stand.scep_lab.scep_url}?operation=GetCACaps"):
        assert _status(url) == 500
        events = stand.events_since(before)
        assert [(event.id, event.error_code) for event in events] == [(2, code), (10, code)]
        before = stand.last_event()


@pytest.mark.parametrize("stand", ["modern"], indirect=True)
@pytest.mark.parametrize("damage", DAMAGES)
def test_modern_says_at_start_what_is_wrong(stand: NdesStand, damage: str, key_pool: KeyPool) -> None:
    inflict, trouble, _ = DAMAGES[damage]
    inflict(stand, key_pool)
    with pytest.raises(RaUnusable) as refusal:
        stand.world.recycle()
    assert refusal.value.trouble is trouble


@pytest.mark.parametrize("stand", PROFILES, indirect=True)
def test_a_running_server_goes_on_until_it_is_restarted(
    stand: NdesStand, key_pool: KeyPool, log: Log
) -> None:
    bench = Bench(stand, key_pool, log)  # type: ignore[arg-type]
    assert _enrols(bench)
    _wrong_usage(stand, key_pool)
    assert _enrols(bench)


@pytest.mark.parametrize("stand", PROFILES, indirect=True)
def test_renewed_certificates_are_used_after_a_restart(stand: NdesStand, key_pool: KeyPool, log: Log) -> None:
    bench = Bench(stand, key_pool, log)  # type: ignore[arg-type]
    old = bench.bundle[:2]
    for role in ("signing", "encryption"):
        view = stand.scep_lab.desk.ndes.renew_ra(role, RaOrder())  # type: ignore[arg-type]
        assert (view.status, view.in_use) == ("usable", True)
    bench.forget_bundle()
    assert bench.bundle[:2] == old
    stand.world.recycle()
    bench.forget_bundle()
    assert not set(bench.bundle[:2]) & set(old)
    assert _enrols(bench)
    listed = stand.scep_lab.desk.ndes.ra_certificates()
    assert [(one.role, one.in_use) for one in listed] == [
        ("signing", True),
        ("encryption", True),
        ("signing", False),
        ("encryption", False),
    ]


@pytest.mark.parametrize("stand", PROFILES, indirect=True)
def test_only_modern_still_opens_requests_to_the_certificate_that_was_replaced(
    stand: NdesStand, key_pool: KeyPool, log: Log
) -> None:
    bench = Bench(stand, key_pool, log)  # type: ignore[arg-type]
    request = bench.request()  # to the old certificate, not sent yet
    stand.scep_lab.desk.ndes.renew_ra("encryption", RaOrder())
    stand.world.recycle()
    response = request.send(bench)
    if stand.world.settings.scep.profile == "modern":
        assert read_reply(response.body).status == "0"
    else:
        assert response.status == 500
        assert stand.world.ndes_logs.events.events()[-1].id == 18


@pytest.mark.parametrize("stand", ["ndes-2019"], indirect=True)
def test_renewal_with_the_same_key_keeps_it(stand: NdesStand) -> None:
    before = stand.world.registration_authority.signing
    view = stand.scep_lab.desk.ndes.renew_ra("signing", RaOrder(same_key=True))
    assert view.serial_number != f"{before.serial_number:x}"
    stand.world.recycle()
    assert stand.world.registration_authority.signing.public_key_der == before.public_key_der


@pytest.mark.parametrize("stand", ["ndes-2019"], indirect=True)
def test_issued_certificate_is_put_in_place_by_replacing(stand: NdesStand, tmp_path: Path) -> None:
    desk = stand.scep_lab.desk.ndes
    issued = desk.issue_ra("encryption", RaOrder())
    assert not issued.certificate.in_use
    assert issued.certificate.template == "CEPEncryption"
    assert len(desk.ra_certificates()) == 2
    assert issued.certificate.pem is not None
    view = desk.replace_ra(
        "encryption", RaReplacement(certificate=issued.certificate.pem, key=SecretStr(issued.key))
    )
    assert view.serial_number == issued.certificate.serial_number
    stand.world.recycle()
    assert f"{stand.world.registration_authority.encryption.serial_number:x}" == view.serial_number
    assert (_files(stand).key(RaRole.ENCRYPTION).stat().st_mode & 0o777) == 0o600
    assert b"ENCRYPTED" in _files(stand).key(RaRole.ENCRYPTION).read_bytes()


@pytest.mark.parametrize("stand", ["ndes-2019"], indirect=True)
def test_repair_and_restart_bring_the_service_back(stand: NdesStand, key_pool: KeyPool) -> None:
    _missing(stand, key_pool)
    stand.world.recycle()
    assert _status(stand.scep_lab.mscep_url) == 500
    stand.scep_lab.desk.ndes.renew_ra("encryption", RaOrder())
    stand.world.recycle()
    assert _status(f"{stand.scep_lab.mscep_url}?operation=GetCACaps") == 200
    assert [event.id for event in stand.world.ndes_logs.events.events()][-3:] == [2, 10, 1]


@pytest.mark.parametrize("stand", ["ndes-2019"], indirect=True)
def test_service_is_loaded_by_the_first_request_and_not_before(stand: NdesStand) -> None:
    events = stand.world.ndes_logs.events
    assert events.events() == ()
    assert _status(stand.scep_lab.scep_url.removesuffix("/scep") + "/elsewhere") == 404
    assert events.events() == ()
    assert _status(stand.scep_lab.mscep_url) == 200
    assert [event.id for event in events.events()] == [1]
    stand.world.recycle()
    assert [event.id for event in events.events()] == [1, 3]


def _enrols(bench: Bench) -> bool:
    response = bench.request().send(bench)
    return response.status == 200 and read_reply(response.body).status == "0"


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
