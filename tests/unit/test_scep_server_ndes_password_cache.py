"""The password cache under every combination of its registry values."""

from __future__ import annotations

import itertools
import stat
from pathlib import Path

import pytest
from ndes_world import Browser, NdesWorld, page_text
from scep_world import Client

from ca.errors import KeyLength
from scep_server.ndes.password_cache import CacheFull, NoFreshPassword
from scep_server.ndes.single_password import SealedPassword

NDES = "/certsrv/mscep/mscep.dll"
FAILURE = "2"


def enrols(world: NdesWorld, password: str | None, path: str = NDES) -> bool:
    client = Client(world=world)
    return client.send(client.request(password), path=path).status == "0"


@pytest.mark.parametrize(
    ("enforce", "single", "length", "most", "validity", "cache"),
    list(itertools.product([1, 0], [0, 1], [8, 16], [1, 3], [30], ["memory", "store"])),
)
def test_every_combination_of_settings(
    tmp_path: Path, enforce: int, single: int, length: int, most: int, validity: int, cache: str
) -> None:
    settings = {
        "EnforcePassword": enforce,
        "UseSinglePassword": single,
        "PasswordLength": length,
        "PasswordMax": most,
        "PasswordValidity": validity,
        "password_cache": cache,
    }
    world = NdesWorld(tmp_path, **settings)
    browser = Browser(world)
    texts = [page_text(browser.get()) for _ in range(most + 1)]
    if not enforce:
        assert all("A challenge password is not required" in text for text in texts)
        assert enrols(world, None)
        return
    assert not enrols(world, None)
    passwords = [text.partition("challenge password is: <B> ")[2].partition(" ")[0] for text in texts]
    if single:
        assert len(set(passwords)) == 1
        assert all("can be used multiple times" in text for text in texts)
        assert enrols(world, passwords[0])
        assert enrols(world, passwords[0])
        world.clock.advance(days=365)
        world.restart(**settings)
        assert enrols(world, passwords[0])
        return
    assert [len(password) for password in passwords] == [2 * length] * most + [0]
    assert f"cache more than {most} passwords" in texts[-1]
    assert f"will expire within {validity} minutes" in texts[0]
    assert enrols(world, passwords[0])
    assert not enrols(world, passwords[0])
    assert "challenge password is" in page_text(browser.get())  # the used one has made room
    world.restart(**settings)
    if most > 1:
        assert enrols(world, passwords[1]) is (cache == "store")


def test_passwords_expire_after_their_minutes_and_make_room(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path, PasswordMax=2, PasswordValidity=10)
    first, _ = world.password(), world.password()
    with pytest.raises(CacheFull):
        world.cache.make()
    world.clock.advance(minutes=10, seconds=1)
    assert world.password()
    assert not enrols(world, first)


def test_challenges_of_the_desk_take_no_place_in_the_cache(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path, PasswordMax=1)
    mine = world.new_challenge()
    assert world.password()
    assert enrols(world, mine)


def test_a_denial_of_the_ca_leaves_the_password_usable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = NdesWorld(tmp_path)
    password = world.password()
    with monkeypatch.context() as patch:
        patch.setattr(world.authority, "prepare", _deny)
        assert not enrols(world, password)
    with monkeypatch.context() as patch:
        patch.setattr(world.authority, "sign", _deny)
        assert not enrols(world, password)
    assert enrols(world, password)
    assert not enrols(world, password)


def _deny(*_: object, **__: object) -> None:
    raise KeyLength("the key is too short today")


def test_passwords_are_good_at_ndes_own_endpoint_only(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path)
    password = world.password()
    assert not enrols(world, password, "/scep/other")
    assert enrols(world, password)


def test_memory_forgets_with_the_restart_and_at_a_recycling(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path)
    first = world.password()
    world.restart()
    assert not enrols(world, first)
    second = world.password()
    world.face.recycle()
    assert not enrols(world, second)


def test_a_command_that_only_opens_the_store_forgets_nothing(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path)
    password = world.password()
    NdesWorld(tmp_path)  # made, and never asked anything
    assert enrols(world, password)


def test_single_mode_refuses_what_mscep_admin_made_before(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path, password_cache="store")
    old = world.password()
    world.restart(UseSinglePassword=1, password_cache="store")
    assert not enrols(world, old)
    assert not enrols(world, world.single.get() + "0")
    assert not enrols(world, world.single.get(), "/scep/other")


def test_single_password_can_be_chosen_and_is_kept(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path, UseSinglePassword=1, single_password="Open Sesame")
    assert "<B> Open Sesame </B>" in page_text(Browser(world).get())
    assert enrols(world, "Open Sesame")
    world.restart(UseSinglePassword=1)
    assert enrols(world, "Open Sesame")
    world.restart(UseSinglePassword=1, single_password="Another")
    assert not enrols(world, "Open Sesame")


def sealed(file: Path, key: bytes = b"k" * 32, given: str | None = None, byte: bytes = b"\xab") -> str:
    return SealedPassword(file, key=key, entropy=lambda size: byte * size, length=8, given=given).get()


def test_single_password_is_sealed_and_readable_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "secrets" / "single"
    assert sealed(file) == "AB" * 8
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"ABAB" not in file.read_bytes()
    assert sealed(file, byte=b"\x01") == "AB" * 8


@pytest.mark.parametrize(
    "change", [lambda octets: b"", lambda octets: octets[:-1] + b"\0", lambda octets: b"\0" * 40]
)
def test_a_spoilt_or_foreign_file_is_replaced_by_a_new_password(tmp_path: Path, change) -> None:
    file = tmp_path / "single"
    sealed(file)
    assert sealed(file, key=b"x" * 32, byte=b"\x01") == "01" * 8
    file.write_bytes(change(file.read_bytes()))
    assert sealed(file, byte=b"\x02") == "02" * 8


def test_a_length_without_fresh_passwords_is_event_44_and_500(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = NdesWorld(tmp_path, PasswordLength=1, PasswordMax=1000)
    monkeypatch.setattr(world.challenges, "_entropy", lambda size: b"\x07" * size)
    assert world.password() == "07"
    with pytest.raises(NoFreshPassword, match="1 octets"):
        world.cache.make()
    assert Browser(world).get().status == 500
    assert world.events.ids == [44]
