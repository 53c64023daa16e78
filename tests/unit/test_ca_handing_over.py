"""What the root's keeper hands over: each role what it may see, again what is new, and nothing lost."""

from __future__ import annotations

import os
import shutil
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from ca_world import HandClock, ready_keys
from pydantic import SecretStr

from ca import handing_over
from ca.ceremony import hold_ceremony
from ca.folders import FolderError, NoPki, PkiFolder, read_certificate_file, replace_file
from ca.handing_over import CannotHandOver, Role, hand_over
from ca.keys import KeyKind, PrivateKey
from ca.opening import (
    open_authority,
    open_challenge_digest_key,
    open_earlier_authorities,
    open_issuing_certificates,
    open_next_issuing,
    open_public_url,
    open_registration_keys,
    open_root_crl,
    open_store,
)
from ca.registration import RaRole, RegistrationDesk, retired_keys
from ca.renewal import activate_next, renew_issuing
from ca.root import OfflineRoot, root_crl_due
from ca.settings import PkiSettings

SERVING = {"issuing/issuing.crt", "issuing/issuing.key", "issuing/root.crl", "issuing/root.crt"}
RA = {f"ra/{role}.{ending}" for role in ("signing", "encryption") for ending in ("crt", "key")}
SEEN = {
    Role.SCEP: SERVING | RA | {"secrets/key-passphrase", "secrets/challenge-digest-key"},
    Role.LAB: SERVING | RA | {"secrets/key-passphrase", "secrets/challenge-digest-key"},
    Role.PUBLISHER: SERVING | {"secrets/key-passphrase"},
}
OTHERS = {"ceremony/minutes.json", "templates/Mine.toml"}
TEMPLATE = 'name = "Mine"\nbase = "WebServer"\n'


class Keeper:
    """The root's keeper, with a PKI just made."""

    def __init__(self, path: Path) -> None:
        self.folder = PkiFolder(path / "keeper")
        self.settings = PkiSettings(database_url=SecretStr(f"sqlite:///{path / 'records.sqlite3'}"))
        self.clock = HandClock()
        self.made = 0
        hold_ceremony(
            self.folder,
            self.settings,
            clock=self.clock,
            entropy=os.urandom,
            make_keys=ready_keys,
            durable=False,
        )

    def new_key(self, kind: KeyKind) -> PrivateKey:
        self.made += 1
        return ready_keys([kind] * (6 + self.made))[-1]

    def renew_issuing(self, **how: bool) -> None:
        root = OfflineRoot.open(self.folder, self.settings, clock=self.clock)
        renew_issuing(self.folder, self.settings, root=root, entropy=os.urandom, make_key=self.new_key, **how)

    def renew_ra(self, folder: PkiFolder, role: RaRole = RaRole.ENCRYPTION) -> bytes:
        store = open_store(folder, self.settings, durable=False)
        try:
            desk = RegistrationDesk(folder, self.settings, store=store, clock=self.clock, entropy=os.urandom)
            return desk.renew(role, same_key=True).der
        finally:
            store.close()

    def hand_over(self, target: PkiFolder, role: Role = Role.SCEP) -> tuple[str, ...]:
        return hand_over(self.folder, self.settings, role, target)


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return Keeper(tmp_path)


@pytest.fixture
def target(tmp_path: Path) -> PkiFolder:
    return PkiFolder(tmp_path / "served")


def files(folder: PkiFolder) -> dict[str, bytes]:
    found = (path for path in folder.path.rglob("*") if path.is_file())
    return {path.relative_to(folder.path).as_posix(): path.read_bytes() for path in found}


def written(folder: PkiFolder) -> dict[Path, tuple[int, ...]]:
    """What changes when anything is written, by path."""
    found = {path: path.stat() for path in folder.path.rglob("*")}
    return {path: (one.st_ino, one.st_mtime_ns, one.st_ctime_ns, one.st_mode) for path, one in found.items()}


def in_use(folder: PkiFolder) -> bytes:
    return read_certificate_file(folder.ra_encryption_certificate)


# -- what is handed over ---------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_each_role_gets_what_it_may_see_and_no_more(keeper: Keeper, target: PkiFolder, role: Role) -> None:
    (keeper.folder.templates / "Mine.toml").write_text(TEMPLATE)
    done = keeper.hand_over(target, role)
    assert files(target).keys() == set(done) == SEEN[role] | OTHERS
    held = files(keeper.folder)
    assert all(content == held[name] for name, content in files(target).items())
    assert {path.name for path in target.path.iterdir() if path.is_dir()} >= {"templates", "published"}


@pytest.mark.parametrize("role", Role)
def test_what_was_handed_over_is_opened_by_the_programs(
    keeper: Keeper, target: PkiFolder, role: Role
) -> None:
    keeper.hand_over(target, role)
    authority = open_authority(target, keeper.settings, clock=keeper.clock, entropy=os.urandom)
    assert authority.certificate.der == read_certificate_file(keeper.folder.issuing_certificate)
    open_store(target, keeper.settings, durable=False).close()
    assert open_public_url(target) == "http://127.0.0.1:8081"
    assert open_root_crl(target) == keeper.folder.root_crl.read_bytes()
    if role.registers:
        open_registration_keys(target, keeper.settings)
        open_challenge_digest_key(target, keeper.settings)


def test_keys_and_secrets_are_for_their_owner_alone(keeper: Keeper, target: PkiFolder) -> None:
    old = os.umask(0)
    try:
        keeper.hand_over(target)
    finally:
        os.umask(old)
    for name in files(target):
        path = target.path / name
        private = path.suffix == ".key" or path.parent.name == "secrets"
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if private else 0o644), name
    for name in ("", "issuing", "ra", "secrets"):
        assert stat.S_IMODE((target.path / name).stat().st_mode) == 0o700, name


def test_secrets_that_the_settings_hold_are_in_no_file(tmp_path: Path, target: PkiFolder) -> None:
    settings = PkiSettings(
        database_url=SecretStr(f"sqlite:///{tmp_path / 'records.sqlite3'}"),
        key_passphrase=SecretStr("told by the settings"),
        challenge_digest_key=SecretStr("told as well"),
    )
    source = PkiFolder(tmp_path / "keeper")
    hold_ceremony(
        source, settings, clock=HandClock(), entropy=os.urandom, make_keys=ready_keys, durable=False
    )
    hand_over(source, settings, Role.SCEP, target)
    assert files(target).keys() == SERVING | RA | {"ceremony/minutes.json"}
    open_registration_keys(target, settings)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_belong_to_whom_the_folder_belongs_to(keeper: Keeper, target: PkiFolder) -> None:
    target.path.mkdir()
    os.chown(target.path, 12345, 23456)
    keeper.hand_over(target)
    keeper.renew_issuing()
    keeper.hand_over(target)
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in target.path.rglob("*")}
    assert owners == {(12345, 23456)}


# -- again -----------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_again_changes_nothing(keeper: Keeper, target: PkiFolder, role: Role) -> None:
    keeper.hand_over(target, role)
    before = written(target)
    assert keeper.hand_over(target, role) == ()
    assert written(target) == before


def test_renewed_issuing_ca_and_root_crl_come_after(keeper: Keeper, target: PkiFolder) -> None:
    keeper.hand_over(target, Role.PUBLISHER)
    keeper.renew_issuing()
    keeper.renew_issuing(new_key=False)
    crl = OfflineRoot.open(keeper.folder, keeper.settings, clock=keeper.clock).sign_crl()
    assert set(keeper.hand_over(target, Role.PUBLISHER)) == {
        "issuing/1/issuing.crt", "issuing/1/issuing.key", "issuing/2/issuing.crt", "issuing/root.crl",
    }  # fmt: skip
    assert open_issuing_certificates(target) == open_issuing_certificates(keeper.folder)
    assert len(open_earlier_authorities(target, keeper.settings, clock=keeper.clock, entropy=os.urandom)) == 1
    assert open_root_crl(target) == crl


def test_next_certificate_is_handed_over_and_dropped_once_it_is_in_service(
    keeper: Keeper, target: PkiFolder
) -> None:
    keeper.renew_issuing(as_next=True)
    keeper.hand_over(target)
    prepared = open_next_issuing(target)
    assert prepared == open_next_issuing(keeper.folder)
    activate_next(keeper.folder)
    keeper.hand_over(target)
    assert open_next_issuing(target) is None
    assert open_issuing_certificates(target)[0] == prepared
    assert not list(target.path.glob("issuing/.*"))


def test_certificate_that_was_put_in_service_over_there_is_no_next_one_again(
    keeper: Keeper, target: PkiFolder
) -> None:
    keeper.renew_issuing(as_next=True)
    keeper.hand_over(target)
    activate_next(target)
    assert keeper.hand_over(target) == ()
    activate_next(keeper.folder)
    assert keeper.hand_over(target) == ()
    assert open_issuing_certificates(target) == open_issuing_certificates(keeper.folder)


def test_root_crl_of_a_folder_brought_back_does_not_replace_a_later_one(
    keeper: Keeper, target: PkiFolder
) -> None:
    before = keeper.folder.issuing_root_crl.read_bytes()
    later = OfflineRoot.open(keeper.folder, keeper.settings, clock=keeper.clock).sign_crl()
    keeper.hand_over(target)
    keeper.folder.issuing_root_crl.write_bytes(before)
    assert keeper.hand_over(target) == ()
    assert open_root_crl(target) == later


def test_ra_renewed_by_the_keeper_takes_the_place_of_the_old_one(keeper: Keeper, target: PkiFolder) -> None:
    keeper.hand_over(target)
    old = in_use(target)
    keeper.clock.advance(days=1)
    renewed = keeper.renew_ra(keeper.folder)
    keeper.hand_over(target)
    assert in_use(target) == renewed
    assert [one.certificate.der for one in retired_keys(target, keeper.settings)] == [old]


def test_ra_renewed_over_there_stays(keeper: Keeper, target: PkiFolder) -> None:
    keeper.hand_over(target)
    keeper.clock.advance(days=1)
    renewed = keeper.renew_ra(target)
    assert keeper.hand_over(target) == ()
    assert in_use(target) == renewed


def test_ra_renewed_on_both_sides_is_the_later_one_and_the_other_is_retired(
    keeper: Keeper, target: PkiFolder
) -> None:
    keeper.hand_over(target)
    first = in_use(target)
    keeper.clock.advance(days=1)
    ours = keeper.renew_ra(keeper.folder)
    keeper.clock.advance(days=1)
    theirs = keeper.renew_ra(target)
    keeper.hand_over(target)
    assert in_use(target) == theirs
    retired = {one.certificate.der for one in retired_keys(target, keeper.settings)}
    assert retired == {first, ours}
    assert keeper.hand_over(target) == ()


def test_late_folder_gets_retired_ra_keys_too(keeper: Keeper, target: PkiFolder) -> None:
    keeper.clock.advance(days=1)
    keeper.renew_ra(keeper.folder)
    keeper.hand_over(target)
    assert len(retired_keys(target, keeper.settings)) == 1
    assert keeper.hand_over(target) == ()


def test_template_changed_later_wins_on_either_side(keeper: Keeper, target: PkiFolder) -> None:
    ours, theirs = (folder.templates / "Mine.toml" for folder in (keeper.folder, target))
    ours.write_text(TEMPLATE)
    keeper.hand_over(target)
    status = theirs.stat()
    theirs.write_text(TEMPLATE + "# theirs\n")
    os.utime(theirs, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert keeper.hand_over(target) == ()
    assert theirs.read_text().endswith("# theirs\n")
    ours.write_text(TEMPLATE + "# ours\n")
    os.utime(ours, ns=(status.st_atime_ns, status.st_mtime_ns + 2))
    assert keeper.hand_over(target) == ("templates/Mine.toml",)
    assert theirs.read_text().endswith("# ours\n")


def test_what_the_program_made_there_is_left_alone(keeper: Keeper, target: PkiFolder) -> None:
    keeper.hand_over(target, Role.PUBLISHER)
    own = {"ocsp/abc.pem", "published/CA.crl", "secrets/ndes-password", "notes.txt"}
    for name in own:
        replace_file(target.path / name, b"theirs", mode=0o600)
    keeper.renew_issuing()
    keeper.hand_over(target, Role.PUBLISHER)
    assert {name for name, content in files(target).items() if content == b"theirs"} == own


# -- interrupted -----------------------------------------------------------------------


class PowerCut(Exception):
    """The machine went off."""


@pytest.fixture
def cut_after(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list with how many more files can be written; none: any number."""
    left: list[int] = []

    def write(path: Path, content: bytes, **how: object) -> None:
        if left and left[0] == 0:
            raise PowerCut
        if left:
            left[0] -= 1
        replace_file(path, content, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(handing_over, "replace_file", write)
    return left


def test_interrupted_at_any_file_it_is_no_pki_and_the_next_run_completes_it(
    keeper: Keeper, tmp_path: Path, cut_after: list[int]
) -> None:
    whole = PkiFolder(tmp_path / "whole")
    number = len(keeper.hand_over(whole))
    for written in range(number):
        target = PkiFolder(tmp_path / f"cut-{written}")
        cut_after[:] = [written]
        with pytest.raises(PowerCut):
            keeper.hand_over(target)
        with pytest.raises(NoPki):
            PkiFolder(target.path).require()
        cut_after.clear()
        keeper.hand_over(target)
        assert files(target) == files(whole)


def test_interrupted_at_any_file_of_a_renewal_no_key_is_lost(
    keeper: Keeper, tmp_path: Path, cut_after: list[int]
) -> None:
    first, whole = PkiFolder(tmp_path / "first"), PkiFolder(tmp_path / "whole")
    keeper.hand_over(first)
    shutil.copytree(first.path, whole.path)
    keeper.clock.advance(days=1)
    for role in RaRole:
        keeper.renew_ra(keeper.folder, role)
    keeper.renew_issuing()
    number = len(keeper.hand_over(whole))
    for written in range(number):
        target = PkiFolder(tmp_path / f"cut-{written}")
        shutil.copytree(first.path, target.path)
        cut_after[:] = [written]
        with pytest.raises(PowerCut):
            keeper.hand_over(target)
        cut_after.clear()
        keeper.hand_over(target)
        assert files(target) == files(whole)
        assert len(retired_keys(target, keeper.settings)) == 1
        open_registration_keys(target, keeper.settings)


# -- what is refused -------------------------------------------------------------------


def test_sqlite_inside_the_folder_is_nobody_elses(keeper: Keeper, target: PkiFolder) -> None:
    with pytest.raises(CannotHandOver, match=r"pki\.database_url"):
        hand_over(keeper.folder, PkiSettings(), Role.SCEP, target)
    assert not target.path.exists()


def test_folder_without_a_pki_has_nothing_to_hand_over(
    keeper: Keeper, tmp_path: Path, target: PkiFolder
) -> None:
    with pytest.raises(NoPki):
        hand_over(PkiFolder(tmp_path / "empty"), keeper.settings, Role.SCEP, target)


@pytest.mark.parametrize("place", [".", "inside", ".."])
def test_folders_are_apart(keeper: Keeper, place: str) -> None:
    with pytest.raises(CannotHandOver, match="not apart"):
        keeper.hand_over(PkiFolder(keeper.folder.path / place))


def test_folder_of_another_pki_is_not_touched(keeper: Keeper, tmp_path: Path, target: PkiFolder) -> None:
    (tmp_path / "other").mkdir()
    other = Keeper(tmp_path / "other")
    other.hand_over(target)
    before = files(target)
    with pytest.raises(CannotHandOver, match="another PKI"):
        keeper.hand_over(target)
    with pytest.raises(CannotHandOver, match="has a root"):
        keeper.hand_over(other.folder)
    assert files(target) == before


def test_publisher_gets_no_folder_with_what_it_must_not_see(keeper: Keeper, target: PkiFolder) -> None:
    keeper.hand_over(target, Role.SCEP)
    with pytest.raises(CannotHandOver, match="a publisher must not see it"):
        keeper.hand_over(target, Role.PUBLISHER)


@pytest.mark.parametrize("role", [Role.SCEP, Role.LAB])
def test_ra_keys_do_not_get_into_a_folder_of_a_publisher(
    keeper: Keeper, target: PkiFolder, role: Role
) -> None:
    keeper.hand_over(target, Role.PUBLISHER)
    with pytest.raises(CannotHandOver, match="a publisher's"):
        keeper.hand_over(target, role)
    assert not target.ra_signing_key.exists()


def test_what_the_keeper_cannot_read_is_named(keeper: Keeper, target: PkiFolder) -> None:
    keeper.folder.ra_signing_key.unlink()
    with pytest.raises(FolderError, match=r"signing\.key cannot be read"):
        keeper.hand_over(target)


# -- the root's CRL --------------------------------------------------------------------


def test_root_crl_is_due_when_it_says_so(keeper: Keeper) -> None:
    schedule = keeper.settings.root_crl_schedule
    assert root_crl_due(keeper.folder) == keeper.clock.now() + schedule.period
    keeper.clock.advance(days=3)
    OfflineRoot.open(keeper.folder, keeper.settings, clock=keeper.clock).sign_crl()
    assert root_crl_due(keeper.folder) - keeper.clock.now() == schedule.period
    assert schedule.period > timedelta(days=3)
