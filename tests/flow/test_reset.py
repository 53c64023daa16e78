"""A lab that was reset is a fresh one: every row, every file, every value in memory.

Each way of using a lab is one function; what it changes must show in the lab's state, or it has not been
used, and must be gone after the reset.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import urllib.error
import urllib.request
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lab_client import client_of, enrolled, order
from lab_state import differences, state_of

from ca.opening import open_authority, open_issuing_key
from ca.renewal import renew_issuing
from ca.root import OfflineRoot
from lab import ScepLab
from lab.admin.models import DenialOrder
from lab.admin.ndes import RaOrder
from lab.client import ClientError, Issued, Pending, Refused
from lab.faults.engine import path_of
from lab.faults.rules import RuleOrder
from lab.running import NotEphemeral, RunningLab
from lab.settings import LabSettings

FAULT = "reply::wrong-recipient-nonce"
SETTINGS = {
    "scep": {"endpoints": {"default": {}, "manual": {"approval": "manual"}}},
    "ndes": {"basic_authentication": True},
    "logs": {"files": True},
    "journal": {"files": True},
}


class StandingClock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        return self.time


def fetch(url: str, data: bytes | None = None, **headers: str) -> bytes:
    asked = urllib.request.Request(url, data=data, headers=headers)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        content: bytes = answer.read()
    return content


# -- ways of using a lab ---------------------------------------------------------------


def enrol_and_renew(scep_lab: ScepLab) -> None:
    renewed = client_of(scep_lab).enrol(order(renewal_of=enrolled(scep_lab), key=1))
    assert isinstance(renewed, Issued)


def ask_for_what_there_is(scep_lab: ScepLab) -> None:
    identity, client = enrolled(scep_lab), client_of(scep_lab)
    client.get_cert(identity.certificate.serial_number, identity)
    client.get_crl(signer=identity)


def be_refused(scep_lab: ScepLab) -> None:
    assert isinstance(client_of(scep_lab).enrol(order(challenge="guessed")), Refused)


def wait_for_a_manager(scep_lab: ScepLab) -> None:
    client = client_of(scep_lab, "/manual")
    for number in (1, 2):
        wanted = order(f"CN=device-{number}", challenge=scep_lab.new_challenge(), key=number)
        enrolment = client.prepare(wanted)
        assert isinstance(client.submit(enrolment), Pending)
    scep_lab.desk.approve(1)
    scep_lab.desk.deny(2, DenialOrder(message="not you"))


def revoke_and_publish(scep_lab: ScepLab) -> None:
    enrolled(scep_lab)
    (issued,) = scep_lab.certificates(subject="device")
    scep_lab.revoke(issued, "superseded")
    scep_lab.publish_crls()


def ask_for_status(scep_lab: ScepLab) -> None:
    """Health fetches everything: CRLs, certificates, OCSP, whose responder then gets a certificate."""
    assert scep_lab.health().rows


def make_challenges(scep_lab: ScepLab) -> None:
    scep_lab.new_challenge(static=True)
    scep_lab.desk.revoke_challenge(1)


def read_the_pages(scep_lab: ScepLab) -> None:
    user = b64encode(f"{scep_lab.ndes_user}:{scep_lab.ndes_password}".encode()).decode()
    for _ in range(2):
        fetch(scep_lab.mscep_admin_url, Authorization=f"Basic {user}")
    with pytest.raises(urllib.error.HTTPError):
        fetch(scep_lab.mscep_admin_url)


def replace_the_ra(scep_lab: ScepLab) -> None:
    for role in ("signing", "encryption"):
        scep_lab.desk.ndes.renew_ra(role, RaOrder())
    scep_lab.desk.ndes.recycle()
    enrolled(scep_lab)


def renew_the_issuing_ca(scep_lab: ScepLab) -> None:
    world = scep_lab.world
    root = OfflineRoot.open(world.folder, world.pki, clock=world.clock)
    renew_issuing(world.folder, world.pki, root=root, entropy=os.urandom)
    issuing = open_issuing_key(world.folder, world.pki)
    world.authority = open_authority(
        world.folder, world.pki, clock=world.clock, entropy=os.urandom, issuing=issuing
    )
    world.recycle()
    world.publish_all()


def change_templates(scep_lab: ScepLab) -> None:
    world = scep_lab.world
    (world.folder.templates / "Mine.toml").write_text("display_name = 'Mine'\n")
    world.authority.templates = type(world.authority.templates)({})


def change_settings(scep_lab: ScepLab) -> None:
    world = scep_lab.world
    limits = world.settings.scep.limits.model_copy(update={"maximum_body_octets": 1000})
    scep = world.settings.scep.model_copy(update={"limits": limits})
    world.settings = world.settings.model_copy(update={"scep": scep})
    world.service = world.new_service()


def set_faults(scep_lab: ScepLab) -> None:
    scep_lab._lab.faults.add(RuleOrder(fault=FAULT, times=1))
    fetch(scep_lab.scep_url.replace("/scep", path_of(FAULT, "/scep")) + "?operation=GetCACaps")


def travel_in_time(scep_lab: ScepLab) -> None:
    scep_lab._lab.lab_clock.shift(timedelta(days=3))
    scep_lab.publish_crls()
    scep_lab.look_at_the_clock()


def spoil_the_files(scep_lab: ScepLab) -> None:
    folder = scep_lab.world.folder
    for path in folder.published.iterdir():
        path.unlink()
    folder.ra_signing_certificate.write_bytes(b"spoiled")
    folder.key_passphrase.chmod(0o644)


def talk_nonsense(scep_lab: ScepLab) -> None:
    for path in ("?operation=PKIOperation&message=AAAA", "?operation=Nonsense", "/nowhere"):
        with pytest.raises(urllib.error.HTTPError):
            fetch(scep_lab.scep_url + path)


WAYS = [
    ask_for_status,
    ask_for_what_there_is,
    be_refused,
    change_settings,
    change_templates,
    enrol_and_renew,
    make_challenges,
    read_the_pages,
    renew_the_issuing_ca,
    replace_the_ra,
    revoke_and_publish,
    set_faults,
    spoil_the_files,
    talk_nonsense,
    travel_in_time,
    wait_for_a_manager,
]


# -- the reset -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fresh() -> Iterator[tuple[ScepLab, dict[str, object]]]:
    """A lab, and everything it remembers before anybody has used it."""
    with ScepLab(SETTINGS, clock=StandingClock()) as scep_lab:
        yield scep_lab, state_of(scep_lab)


@pytest.mark.parametrize("use", WAYS, ids=lambda use: use.__name__.replace("_", "-"))
def test_nothing_is_left_of(use: Callable[[ScepLab], None], fresh: tuple[ScepLab, dict[str, object]]) -> None:
    scep_lab, beginning = fresh
    use(scep_lab)
    assert differences(beginning, state_of(scep_lab))
    scep_lab.reset()
    assert differences(beginning, state_of(scep_lab)) == {}


def test_a_reset_lab_issues_what_a_fresh_one_issues(fresh: tuple[ScepLab, dict[str, object]]) -> None:
    scep_lab, _ = fresh
    found = []
    for _ in range(2):
        enrolled(scep_lab)
        client = client_of(scep_lab, "/manual")
        client.submit(client.prepare(order("CN=waiting", challenge=scep_lab.new_challenge(), key=1)))
        certificate = scep_lab.revoke(str(scep_lab.certificates(subject="device")[0].id))
        crl = next(crl for crl in scep_lab.desk.crls() if "Issuing" in crl.issuer)
        request = scep_lab.desk.requests()[0]
        challenges = [one.id for one in scep_lab.desk.challenges()]
        found.append((certificate.id, crl.number, request.id, challenges, scep_lab.journal[-1].number))
        scep_lab.reset()
    assert found[0] == found[1]


def test_what_was_prepared_is_part_of_the_beginning_once_the_lab_is_told_so() -> None:
    with ScepLab() as scep_lab:
        enrolled(scep_lab)
        scep_lab.remember()
        enrolled(scep_lab, "CN=another", key=1)
        scep_lab.reset()
        subjects = [one.subject for one in scep_lab.certificates(template="SCEP-Client-Auth")]
        assert subjects == ["CN=device"]
        assert len(scep_lab.journal) == 0


def test_requests_under_way_are_answered_before_the_reset_and_belong_to_what_was(
    fresh: tuple[ScepLab, dict[str, object]],
) -> None:
    scep_lab, beginning = fresh
    began, may_end = threading.Event(), threading.Event()
    inner = scep_lab.world.service

    class Slow:
        maximum_body_octets = inner.maximum_body_octets

        def __getattr__(self, name: str) -> object:
            if name == "handle":
                began.set()
                assert may_end.wait(30)
            return getattr(inner, name)

    scep_lab.world.service = Slow()  # type: ignore[assignment]
    outcomes: list[object] = []
    asking = threading.Thread(
        target=lambda: outcomes.append(fetch(f"{scep_lab.scep_url}?operation=GetCACaps"))
    )
    asking.start()
    assert began.wait(30)
    resetting = threading.Thread(target=scep_lab.reset)
    resetting.start()
    resetting.join(0.05)
    assert resetting.is_alive()
    may_end.set()
    asking.join(30)
    resetting.join(30)
    assert len(outcomes) == 1
    assert differences(beginning, state_of(scep_lab)) == {}


def fetch_the_root(scep_lab: ScepLab) -> object:
    return fetch(f"{scep_lab.pki_url}/CertEnroll/127.0.0.1_NDES%20Lab%20Test%20Root%20CA.crt")


def enrol_once(scep_lab: ScepLab) -> object:
    return client_of(scep_lab).enrol(order(challenge=scep_lab.new_challenge()))


@pytest.mark.parametrize(
    ("fault", "ask"),
    [("publication::aia-slow", fetch_the_root), ("dependency::store-slow", enrol_once)],
    ids=["below HTTP", "in the database"],
)
def test_who_is_kept_waiting_on_purpose_does_not_keep_the_reset_waiting(
    fresh: tuple[ScepLab, dict[str, object]], fault: str, ask: Callable[[ScepLab], object]
) -> None:
    scep_lab, beginning = fresh
    rule = scep_lab.fault(fault, seconds=600)
    ended = threading.Event()

    def ask_and_tell() -> None:
        with contextlib.suppress(OSError, ClientError):
            ask(scep_lab)
        ended.set()

    asking = threading.Thread(target=ask_and_tell)
    asking.start()
    while not rule.hits:
        assert not ended.wait(0.005), "nobody was kept waiting"
    scep_lab.reset()
    asking.join(30)
    assert ended.is_set()
    assert differences(beginning, state_of(scep_lab)) == {}


def test_a_lab_that_keeps_its_data_is_not_reset(tmp_path: Path) -> None:
    free = {"server": {"port": 0, "pki_port": 0}, "admin": {"port": 0}}
    running = RunningLab(
        LabSettings.model_validate(free),
        tmp_path / "pki",
        clock=StandingClock(),
        entropy=os.urandom,
        durable=False,
    )
    try:
        with pytest.raises(NotEphemeral, match="--ephemeral"):
            running.reset()
    finally:
        running.stop()


def watching() -> Counter[str]:
    """The threads that look after labs, by name."""
    return Counter(one.name for one in threading.enumerate() if one.name in {"health", "republisher"})


def test_a_lab_that_is_watched_is_watched_again_after_a_reset() -> None:
    settings = {"alerts": {"enabled": True, "issued_days": 0}}
    with ScepLab(settings) as scep_lab:
        before = watching()
        assert set(before) == {"health", "republisher"}
        scep_lab.reset()
        assert watching() == before
        assert json.loads(fetch(f"{scep_lab.admin_url}/health/ready")) == {"status": "ok"}
