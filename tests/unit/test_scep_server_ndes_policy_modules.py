"""Policy modules: INDESPolicy's five calls, the built-in ones, and what a broken one leads to."""

from __future__ import annotations

from pathlib import Path

import policy_samples
import pytest
from ndes_world import ADMIN, Browser, NdesWorld, page_text
from policy_samples import Recording
from scep_world import Client

from ca.errors import KeyLength
from ca.pkcs10 import parse_request
from scep_server.ndes.password_cache import CACHE_LABEL
from scep_server.ndes.policy_modules import Disposition, PolicyModuleUnusable, load_policy_module

NDES = "/certsrv/mscep/mscep.dll"
SAMPLE = "policy_samples:Recording"


@pytest.fixture(autouse=True)
def _no_instances() -> None:
    Recording.instances.clear()


@pytest.fixture
def world(tmp_path: Path) -> NdesWorld:
    return NdesWorld(
        tmp_path,
        policy_module=SAMPLE,
        policy_options={"colour": "blue"},
        SignatureTemplate="Signing",
        EncryptionTemplate="Enciphering",
    )


def module() -> Recording:
    (only,) = Recording.instances
    return only


def test_bare_browse_is_403_0_and_the_module_is_loaded_then(world: NdesWorld) -> None:
    assert Recording.instances == []
    for reply in (world.get("/certsrv/mscep/"), Browser(world).get()):
        assert (reply.status, reply.substatus) == (403, 0)
    assert module().named("initialize") == [()]
    assert module().context.options == {"colour": "blue"}


def test_recycling_lets_the_module_go_and_loads_another(world: NdesWorld) -> None:
    world.get("/certsrv/mscep/")
    first = module()
    world.face.recycle()
    assert first.named("uninitialize") == [()]
    world.get("/certsrv/mscep/")
    assert len(Recording.instances) == 2


@pytest.mark.parametrize(
    ("usage", "template"),
    [
        ("128", "Signing"),
        ("0x80", "Signing"),
        ("0x20", "Enciphering"),
        ("32", "Enciphering"),
        ("0xA0", "SCEP-Client-Auth"),
        ("", "SCEP-Client-Auth"),
    ],
)
def test_challenges_are_generated_for_the_template_of_the_key_usage(
    world: NdesWorld, usage: str, template: str
) -> None:
    query = f"operation=NDESGenerateChallenge&keyUsage={usage}&params=CN%3Dd%2B1%20x"
    reply = Browser(world).get("/certsrv/mscep_admin", query)
    assert (reply.status, reply.body) == (200, b"for CN=d+1 x")
    assert module().named("generate_challenge") == [(template, "CN=d+1 x")]


def test_key_usage_that_is_no_number_is_500_and_asks_nobody(world: NdesWorld) -> None:
    reply = Browser(world).get(ADMIN, "operation=NDESGenerateChallenge&keyUsage=sign")
    assert reply.status == 500
    assert module().named("generate_challenge") == []


def test_thumbprint_is_the_roots_md5_and_needs_a_log_on(world: NdesWorld) -> None:
    query = "operation=ndesgetcacertthumbprint"
    assert world.get(ADMIN, query).status == 401
    assert Browser(world).get(ADMIN, query).body == b"A656FA66AB12B433A2DA5CF7CC153D9A"


def test_without_enroll_no_challenge_is_generated(world: NdesWorld) -> None:
    world.restart(policy_module=SAMPLE, users=[{"name": "guest", "password": "g", "enroll": False}])
    reply = Browser(world, user="guest", password="g").get(ADMIN, "operation=NDESGenerateChallenge")
    assert "sufficient permission" in page_text(reply)
    assert world.events.ids == [6]


def test_without_a_module_the_two_operations_do_not_exist(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path)
    for operation in ("NDESGenerateChallenge", "NDESGetCACertThumbprint"):
        assert Browser(world).get(ADMIN, f"operation={operation}").status == 400


def test_an_initial_request_is_verified_and_its_end_notified(world: NdesWorld) -> None:
    client = Client(world=world)
    certificate = client.obtain(client.request("magic word"), path=NDES)
    ((csr, signer, template, transaction_id),) = module().named("verify_request")
    assert (signer, template, transaction_id) == (None, "SCEP-Client-Auth", client.transaction_id)
    assert b"magic word" in csr
    assert module().named("notify") == [
        ("magic word", client.transaction_id, Disposition.SUCCESS, 0, certificate)
    ]


def test_a_refused_request_gets_a_failure_and_the_module_hears_of_it(world: NdesWorld) -> None:
    world.get("/certsrv/mscep/")
    module().verdict = False
    client = Client(world=world)
    assert client.send(client.request("magic word"), path=NDES).status == "2"
    ((word, _, disposition, hresult, issued),) = module().named("notify")
    assert (word, disposition, hresult, issued) == ("magic word", Disposition.FAILURE, 0x80070490, None)


def test_an_initial_request_without_a_challenge_is_not_shown_to_the_module(world: NdesWorld) -> None:
    world.get("/certsrv/mscep/")
    client = Client(world=world)
    assert client.send(client.request(), path=NDES).status == "2"
    assert module().named("verify_request") == []


def test_a_renewal_is_verified_with_the_signing_certificate(world: NdesWorld) -> None:
    client = Client(world=world)
    old = client.obtain(client.request("magic word"), path=NDES)
    world.clock.advance(days=300)
    holder = client.holding(old, transaction_id="renewal-1")
    assert holder.obtain(holder.request(), path=NDES) != old
    assert module().named("verify_request")[-1][1] == old
    module().verdict = False
    again = client.holding(old, transaction_id="renewal-2")
    assert again.send(again.request(), path=NDES).status == "2"


def test_other_endpoints_keep_their_own_challenges(world: NdesWorld) -> None:
    client = Client(world=world)
    assert client.send(client.request(world.new_challenge()), path="/scep/other").status == "0"
    assert Recording.instances == []


# -- modules that fail -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("policy_samples:Unwilling", "OSError"),
        ("policy_samples:Incomplete", "has no generate_challenge, verify_request, notify"),
        ("policy_samples:Missing", "AttributeError"),
        ("policy_samples:NOT_CALLABLE", "TypeError"),
        ("no_such_module_anywhere:X", "ModuleNotFoundError"),
        ("no-such-entry-point", "built in are password-cache, subject-bound"),
    ],
)
def test_a_module_that_cannot_be_started_is_event_53_and_500_on_both_urls(
    tmp_path: Path, name: str, says: str
) -> None:
    world = NdesWorld(tmp_path, policy_module=name)
    assert {world.get(path).status for path in ("/certsrv/mscep/", ADMIN)} == {500}
    assert world.events.ids == [53, 53]
    assert says in world.events.written[0][1]


def test_a_module_that_raises_is_an_event_and_counts_as_no(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path, policy_module="policy_samples:Raising")
    reply = Browser(world).get(ADMIN, "operation=NDESGenerateChallenge")
    assert reply.status == 500
    client = Client(world=world)
    assert client.send(client.request("magic word"), path=NDES).status == "2"
    assert world.events.written == [(44, "RuntimeError"), (51, "KeyError"), (51, "ValueError")]


def test_entry_points_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        @staticmethod
        def load() -> type[Recording]:
            return policy_samples.Recording

    def entry_points(*, group: str, name: str) -> list[Entry]:
        return [Entry()] if (group, name) == ("ndes_lab.policy_modules", "mine") else []

    monkeypatch.setattr("scep_server.ndes.policy_modules.metadata.entry_points", entry_points)
    assert isinstance(load_policy_module("mine"), Recording)
    with pytest.raises(PolicyModuleUnusable, match="there is no policy module 'other'"):
        load_policy_module("other")


# -- the built-in ones -------------------------------------------------------------------


def generated(world: NdesWorld, params: str = "", usage: str = "") -> str:
    query = f"operation=NDESGenerateChallenge&keyUsage={usage}&params={params}"
    reply = Browser(world).get(ADMIN, query)
    assert (reply.status, reply.content_type) == (200, "text/plain"), reply
    return reply.body.decode()


def enrols(client: Client, challenge: str, transaction_id: str = "t") -> bool:
    name = f"{transaction_id}-{client.transaction_id[:20]}"
    request = client.request(challenge, transaction_id=name)
    return client.send(request, path=NDES, transaction_id=name).status == "0"


def test_password_cache_module_is_good_once_for_any_request(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path, policy_module="password-cache", PasswordMax=2, PasswordLength=16)
    word = generated(world)
    assert len(word) == 32
    assert not enrols(Client(world=world), "wrong")
    assert enrols(Client(world=world), word)
    assert not enrols(Client(world=world), word)
    generated(world), generated(world)
    full = Browser(world).get(ADMIN, "operation=NDESGenerateChallenge")
    assert "The password cache is full." in page_text(full)


def test_subject_bound_module_is_good_for_its_subject_and_template(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path, policy_module="subject-bound")
    client = Client(world=world)
    subject = _subject_of(client)
    word = generated(world, subject.replace("=", "%3D"), "0x80")
    assert not enrols(Client(world=world), word)
    with world.reading() as transaction:
        (record,) = (one for one in transaction.challenges() if one.label == CACHE_LABEL)
    assert (record.subject, record.template, record.spent_at) == (subject, "SCEP-Client-Auth", None)
    assert enrols(client, word)
    assert not enrols(client, word, "t2")
    bad = Browser(world).get(ADMIN, "operation=NDESGenerateChallenge&params=nonsense")
    assert bad.status == 500
    assert world.events.ids == [44]


def test_built_in_module_loses_no_challenge_to_a_denial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = NdesWorld(tmp_path, policy_module="password-cache")
    word, client = generated(world), Client(world=world)
    with monkeypatch.context() as patch:
        patch.setattr(world.authority, "sign", _unavailable)
        client.world.post(client.request(word), NDES)
    assert enrols(client, word)


def _unavailable(*_: object) -> None:
    raise KeyLength("not today")


def _subject_of(client: Client) -> str:
    return parse_request(client.csr()).subject


def test_built_in_module_takes_a_renewal_without_a_challenge(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path, policy_module="password-cache")
    client = Client(world=world)
    old = client.obtain(client.request(generated(world)), path=NDES)
    world.clock.advance(days=300)
    holder = client.holding(old, transaction_id="renewal")
    assert holder.obtain(holder.request(), path=NDES) != old
