"""Brakes, quotas and renewals that add names, as a client meets them."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from forge.certificates import dns, email, extension, ip, subject_alt_name, uri
from forge.reply import Reply, read_reply
from scep_world import Client, World

from ca.records import RequestStatus
from ca.retention import deny_overdue
from ca.settings import RetentionSettings
from scep_server.challenge_policy import BookedChallenges
from scep_server.checks import Check, Verdict
from scep_server.exchange import HttpReply
from scep_server.settings import RenewalSettings, ScepSettings

HOME, AWAY = "192.0.2.7", "198.51.100.9"
PROFILES = ["ndes-2012r2", "ndes-2019"]


@dataclass
class Scene:
    """A server with brakes, and devices at two addresses."""

    folder: Path
    brakes: dict[str, Any]
    scep: dict[str, Any] = field(default_factory=dict)
    endpoint: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settings = ScepSettings.model_validate(
            {
                "brakes": {"enabled": True, **self.brakes},
                "endpoints": {"default": self.endpoint, "other": self.endpoint},
                **self.scep,
            }
        )
        self.world = World(self.folder, settings=settings)

    def device(self, **fields: Any) -> Client:
        return Client(world=self.world, **fields)

    def post(self, message: bytes, address: str = HOME, path: str = "/scep", **more: Any) -> HttpReply:
        return self.world.handle(
            method="POST",
            path=path,
            query="operation=PKIOperation",
            body=message,
            declared_length=len(message),
            remote_address=address,
            **more,
        )

    def send(self, message: bytes, address: str = HOME, path: str = "/scep") -> str:
        """Post a message; return what refused it, or its pkiStatus."""
        reply = self.post(message, address, path)
        assert reply.status == 200
        status = read_reply(reply.body).status
        assert (status == "2") == (self.world.last.refused_by is not None)
        return self.world.last.refused_by or status

    def guess(self, address: str = HOME, path: str = "/scep", text: str = "") -> str:
        return self.send(self.device().request(text or f"guess {os.urandom(4).hex()}"), address, path)

    def enrol(self, address: str = HOME, path: str = "/scep") -> str:
        return self.send(self.device().request(self.world.new_challenge()), address, path)

    def pend(self, address: str = HOME, path: str = "/scep") -> str:
        return self.send(self.device().request(), address, path)

    @property
    def last_check(self) -> Check:
        return self.world.last.checks[-1]


Make = Callable[..., Scene]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda brakes=None, **more: Scene(tmp_path, brakes or {}, **more)


# -- wrong challenges ------------------------------------------------------------------

THREE = {"wrong_challenges_per_address": 3, "first_hold_seconds": 30}


def hold(scene: Scene) -> None:
    """Guess until nobody looks any more."""
    assert [scene.guess() for _ in range(4)] == ["challenge-unknown"] * 3 + ["challenge-brake"]


def test_good_challenge_is_refused_while_held_and_kept_for_later(make: Make) -> None:
    scene = make(THREE)
    hold(scene)
    message = scene.device().request(scene.world.new_challenge())
    assert scene.send(message) == "challenge-brake"
    assert (scene.last_check.name, scene.last_check.verdict) == ("challenge-brake", Verdict.FAILED)
    assert "brake" in scene.world.last.detail
    scene.world.clock.advance(seconds=29)
    assert scene.send(message) == "challenge-brake"
    scene.world.clock.advance(seconds=1)
    assert scene.send(message) == "0"


def test_whoever_guesses_cannot_tell_that_nobody_looked(make: Make) -> None:
    scene, replies = make(THREE), list[Reply]()
    device = scene.device()
    for challenge in ("guess 1", "guess 2", "guess 3", "guess 4", scene.world.new_challenge()):
        replies.append(read_reply(scene.post(device.request(challenge)).body))
    shapes = {
        (one.status, one.fail_info, one.fail_info_text, one.hresult, tuple(one.attributes), len(one.raw))
        for one in replies
    }
    assert len(shapes) == 1
    assert replies[-1].fail_info == 2


def test_policy_is_not_asked_while_held(make: Make) -> None:
    scene, asked = make(THREE), []

    class Counting(BookedChallenges):
        def examine(self, *args: Any) -> Any:
            asked.append(args)
            return super().examine(*args)

    policy = Counting(scene.world.challenges)
    settings = scene.world.service._settings
    scene.world.service = scene.world.make_service(settings=settings, challenge_policy=policy)
    hold(scene)
    assert len(asked) == 3
    scene.enrol()
    assert len(asked) == 3


def test_other_addresses_go_on_enrolling(make: Make) -> None:
    scene = make(THREE)
    hold(scene)
    assert scene.enrol(AWAY) == "0"
    assert scene.enrol(HOME) == "challenge-brake"


def test_address_that_is_held_is_held_at_every_endpoint(make: Make) -> None:
    scene = make(THREE)
    hold(scene)
    assert scene.enrol(path="/scep/other") == "challenge-brake"


def test_neighbours_in_one_ipv6_network_are_one_client(make: Make) -> None:
    scene = make(THREE)
    for number in range(3):
        assert scene.guess(f"2001:db8::{number}") == "challenge-unknown"
    assert scene.enrol("2001:db8::ffff:1") == "challenge-brake"
    assert scene.enrol("2001:db8:0:1::1") == "0"


def test_many_addresses_together_hold_the_endpoint_and_no_other(make: Make) -> None:
    scene = make({"wrong_challenges_per_address": None, "wrong_challenges_per_endpoint": 5})
    for number in range(5):
        assert scene.guess(f"192.0.2.{number}") == "challenge-unknown"
    assert scene.enrol(AWAY) == "challenge-brake"
    assert scene.enrol(AWAY, "/scep/other") == "0"


def test_good_challenges_in_between_reset_nothing(make: Make) -> None:
    scene = make(THREE)
    for _ in range(2):
        assert scene.guess() == "challenge-unknown"
        assert scene.enrol() == "0"
    assert scene.guess() == "challenge-unknown"
    assert scene.enrol() == "challenge-brake"


def test_only_guesses_count(make: Make) -> None:
    """A used or expired challenge, or none at all, was not guessed."""
    scene = make(THREE)
    spent = scene.world.new_challenge()
    assert scene.send(scene.device().request(spent)) == "0"
    old = scene.world.new_challenge(validity=timedelta(seconds=1))
    scene.world.clock.advance(seconds=2)
    for challenge, refusal in ((spent, "spent"), (old, "expired"), (None, "absent")):
        for _ in range(4):
            assert scene.send(scene.device().request(challenge)) == f"challenge-{refusal}"
    assert scene.enrol() == "0"


def test_renewal_by_certificate_goes_on_while_held(make: Make) -> None:
    scene = make(THREE)
    device = scene.device()
    held = device.holding(device.enrol())
    hold(scene)
    assert scene.send(held.request()) == "0"


def test_client_that_lost_its_certificate_gets_it_again_while_held(make: Make) -> None:
    scene = make(THREE)
    device = scene.device()
    challenge = scene.world.new_challenge()
    message = device.request(challenge)
    assert scene.send(message) == "0"
    hold(scene)
    assert scene.send(message) == "0"
    assert scene.send(device.request(challenge, sender_nonce=b"another nonce ..")) == "challenge-brake"


def test_request_without_a_challenge_waits_for_approval_while_held(make: Make) -> None:
    scene = make(THREE, endpoint={"challenge": "optional"})
    hold(scene)
    assert scene.pend() == "3"


@pytest.mark.parametrize("profile", PROFILES)
def test_endpoint_that_behaves_as_ndes_has_no_brakes(make: Make, profile: str) -> None:
    few = {**THREE, "requests_per_minute": 1, "burst": 1}
    scene = make(few, scep={"profile": profile})
    for _ in range(9):
        scene.post(scene.device().request("guess"))
        assert scene.world.last.refused_by == "challenge-unknown"


def test_profile_fields_give_brakes_to_an_endpoint_that_behaves_as_ndes(make: Make) -> None:
    scene = make(THREE, scep={"profile": "ndes-2019", "profile_fields": {"brakes": True}})
    for refusal in ["unknown"] * 3 + ["brake"]:
        scene.post(scene.device().request("guess"))
        assert scene.world.last.refused_by == f"challenge-{refusal}"
        assert scene.world.last.outcome is not None
        assert scene.world.last.outcome.event_id == 29


def test_hold_is_announced_in_the_log_without_the_guess(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    scene = make(THREE)
    for _ in range(3):
        scene.guess(text="hunter2")
    said = caplog.text
    assert "too many wrong challenges" in said
    assert HOME in said
    assert "hunter2" not in said


# -- too many requests -----------------------------------------------------------------

TWO = {"requests_per_minute": 6, "burst": 2}


def test_says_429_and_when_to_come_back(make: Make) -> None:
    scene = make(TWO)
    assert [scene.post(b"garbage").status for _ in range(3)] == [400, 400, 429]
    reply = scene.post(scene.device().request("guess"))
    assert (reply.status, reply.content_type) == (429, "text/plain")
    assert dict(reply.headers) == {"Cache-Control": "no-store", "Retry-After": "10"}
    assert scene.world.last.refused_by == "too-many-requests"
    assert scene.world.last.octets is None  # nobody looked at the message
    assert "brake" in scene.world.last.detail
    scene.world.clock.advance(seconds=10)
    assert scene.enrol() == "0"


def test_every_operation_counts_and_addresses_count_apart(make: Make) -> None:
    scene = make(TWO)
    asks = [scene.world.handle(query="operation=GetCACaps", remote_address=HOME).status for _ in range(3)]
    assert asks == [200, 200, 429]
    assert scene.enrol(AWAY) == "0"


def test_clients_behind_a_trusted_proxy_count_apart(make: Make) -> None:
    scene = make(TWO | {"trusted_proxies": ["10.0.0.0/8"]})
    for client in ("192.0.2.1", "192.0.2.2"):
        statuses = [scene.post(b"x", "10.0.0.1", forwarded_for=client).status for _ in range(3)]
        assert statuses == [400, 400, 429]
    claims = [scene.post(b"x", AWAY, forwarded_for=f"192.0.2.{number}").status for number in range(3, 6)]
    assert claims == [400, 400, 429]


def test_nothing_is_slow_unless_enabled(make: Make) -> None:
    scene = make(
        THREE | TWO | {"enabled": False, "pending_per_address": 1}, endpoint={"challenge": "optional"}
    )
    assert [scene.guess() for _ in range(9)] == ["challenge-unknown"] * 9
    assert [scene.pend() for _ in range(3)] == ["3"] * 3
    assert scene.enrol() == "0"


# -- who may wait ----------------------------------------------------------------------

MANUAL = {"challenge": "none", "approval": "manual"}


def test_one_address_cannot_fill_the_queue(make: Make) -> None:
    scene = make({"pending_per_address": 2}, endpoint=MANUAL)
    assert [scene.pend() for _ in range(3)] == ["3", "3", "pending-quota"]
    assert scene.last_check.found == "2 wait of this address"
    assert scene.pend(AWAY) == "3"
    assert scene.pend(path="/scep/other") == "3"


def test_endpoint_has_a_quota_whether_brakes_are_enabled_or_not(make: Make) -> None:
    scene = make({"enabled": False}, scep={"limits": {"pending_per_endpoint": 2}}, endpoint=MANUAL)
    waits = [scene.pend(f"192.0.2.{number}") for number in range(3)]
    assert waits == ["3", "3", "pending-quota"]
    assert scene.pend(path="/scep/other") == "3"


def test_refused_by_quota_leaves_no_trace_and_is_bad_request(make: Make) -> None:
    scene = make({"pending_per_address": 1}, endpoint=MANUAL)
    scene.pend()
    before = scene.world.counts()
    reply = read_reply(scene.post(scene.device().request()).body)
    assert (reply.status, reply.fail_info) == ("2", 2)
    assert scene.world.counts() == before


def test_repeating_a_request_that_waits_is_not_refused(make: Make) -> None:
    scene = make({"pending_per_address": 1}, endpoint=MANUAL)
    message = scene.device().request()
    assert [scene.send(message) for _ in range(3)] == ["3"] * 3


@pytest.mark.parametrize("how", ["approve", "deny"])
def test_decision_makes_room_for_another(make: Make, how: str) -> None:
    scene = make({"pending_per_address": 1}, endpoint=MANUAL)
    scene.pend()
    assert scene.pend() == "pending-quota"
    with scene.world.store.transaction() as transaction:
        getattr(scene.world.authority, how)(transaction, 1)
    assert scene.pend() == "3"


@pytest.mark.parametrize("profile", PROFILES)
def test_endpoint_that_behaves_as_ndes_has_no_quota(make: Make, profile: str) -> None:
    scep = {"profile": profile, "limits": {"pending_per_endpoint": 1}}
    scene = make({"pending_per_address": 1}, scep=scep, endpoint=MANUAL)
    for _ in range(3):
        scene.post(scene.device().request())
        assert scene.world.last.refused_by is None


def test_of_clients_racing_for_the_queue_no_more_get_in_than_may(make: Make) -> None:
    scene = make({"pending_per_address": 3}, endpoint=MANUAL)
    messages = [scene.device().request() for _ in range(12)]
    with ThreadPoolExecutor(len(messages)) as pool:
        statuses = [read_reply(reply.body).status for reply in pool.map(scene.post, messages)]
    assert sorted(statuses) == ["2"] * 9 + ["3"] * 3
    with scene.world.reading() as transaction:
        assert len(transaction.requests(RequestStatus.PENDING)) == 3


def test_poll_for_what_was_not_approved_in_time_is_told_so(make: Make) -> None:
    scene = make(endpoint=MANUAL)
    device = scene.device()
    assert scene.send(device.request()) == "3"
    scene.world.clock.advance(days=91)
    assert scene.send(device.poll()) == "3"
    assert deny_overdue(scene.world.store, RetentionSettings(), scene.world.clock.now()) == 1
    assert scene.send(device.poll()) == "request-denied"


# -- names of a renewal ----------------------------------------------------------------

DEVICE = dns("device.example")


def renew(scene: Scene, old: list[bytes], new: list[bytes]) -> str:
    device = scene.device()
    asked: dict[str, Any] = {"extensions": old}
    held = device.holding(device.obtain(device.request(scene.world.new_challenge(), csr=asked)))
    return scene.send(held.request(csr={"extensions": new}))


STRICT = {"renewal": RenewalSettings(names_must_match=True)}


@pytest.mark.parametrize(
    "new",
    [
        [],
        [subject_alt_name(DEVICE)],
        [subject_alt_name(dns("DEVICE.Example"))],
        [subject_alt_name(email("device@example.com"), DEVICE)],
    ],
)
def test_renewal_may_have_the_old_names_or_fewer(make: Make, new: list[bytes]) -> None:
    old = [subject_alt_name(DEVICE, email("device@example.com"))]
    assert renew(make(endpoint=STRICT), old, new) == "0"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (dns("admin.example"), "dns"),
        (email("device.example"), "email"),
        (uri("https://device.example/"), "uri"),
        (ip(b"\xc0\x00\x02\x07"), "ip"),
    ],
)
def test_renewal_may_add_no_name(make: Make, name: bytes, kind: str) -> None:
    scene = make(endpoint=STRICT)
    assert renew(scene, [subject_alt_name(DEVICE)], [subject_alt_name(DEVICE, name)]) == "renewal-names"
    assert scene.last_check.found == f"added: {kind}"


def test_renewal_may_not_bring_the_first_name(make: Make) -> None:
    assert renew(make(endpoint=STRICT), [], [subject_alt_name(DEVICE)]) == "renewal-names"


def test_renewal_with_names_that_cannot_be_read_is_refused(make: Make) -> None:
    broken = extension("2.5.29.17", b"\x30\x03\x82\x05a")
    assert renew(make(endpoint=STRICT), [subject_alt_name(DEVICE)], [broken]) == "malformed-request"


def test_renewal_may_add_names_unless_they_must_match(make: Make) -> None:
    assert renew(make(), [subject_alt_name(DEVICE)], [subject_alt_name(dns("admin.example"))]) == "0"
