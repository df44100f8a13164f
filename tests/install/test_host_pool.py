"""Root's part of the pool: folders, record and key, in a place of the test."""

import grp
import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.install.accounts import fleet_agent, needs_accounts
from tests.install.member import tree
from tokmon.errors import InstallError, UsageError
from tokmon.installer.host import host_key
from tokmon.installer.host.members import accounts_of
from tokmon.installer.host.pool import Group, HostPool
from tokmon.installer.host.run_as import UnixAccount
from tokmon.installer.user import identity_key
from tokmon.installer.user.options import parse_install
from tokmon.installer.user.plan import execute
from tokmon.pool.key import fingerprint_of, key_in
from tokmon.pool.names import FLEET

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="not root")

ROOT: Final = UnixAccount("root", 0, 0, Path("/root"))
ANN: Final = UnixAccount("ann", 60_001, 60_001, Path("/nowhere"))
BEN: Final = UnixAccount("ben", 60_002, 60_002, Path("/nowhere"))
DAEMON: Final = Group("daemon", 1)


@pytest.fixture
def pool(tmp_path: Path) -> HostPool:
    return HostPool(tmp_path / "lib" / "tokmon")


def install(pool: HostPool, *accounts: UnixAccount, group: Group | None = None) -> int:
    return execute(pool.install(accounts, group), dry_run=False)


def modes(folder: Path) -> dict[str, tuple[int, str]]:
    found = {path.name: path.lstat() for path in folder.iterdir()}
    return {name: (status.st_uid, f"{stat.S_IMODE(status.st_mode):o}") for name, status in found.items()}


def test_each_member_has_a_folder_that_others_read_below_folders_of_root(pool: HostPool) -> None:
    assert install(pool, ANN, BEN) == 6
    assert modes(pool.place) == {
        "pool": (0, "755"),
        "members.json": (0, "644"),
        "identity.key": (0, "600"),
    }
    assert modes(pool.folder) == {"ann": (ANN.uid, "755"), "ben": (BEN.uid, "755")}
    members = {"ann": {"uid": ANN.uid}, "ben": {"uid": BEN.uid}}
    key = key_in(pool.key)
    assert key is not None
    recorded = {"version": 1, "members": members, "key": fingerprint_of(key)}
    assert json.loads(pool.record.read_text()) == recorded


def test_a_second_install_changes_nothing(pool: HostPool) -> None:
    install(pool, ANN, BEN)
    before = tree(pool.place)
    assert install(pool, BEN, ANN, ANN) == 0
    assert tree(pool.place) == before


def test_a_dry_run_names_each_folder_and_makes_none(pool: HostPool, capsys: pytest.CaptureFixture[str]) -> None:
    execute(pool.install([ANN], None), dry_run=True)
    printed = capsys.readouterr().out
    assert f"would make the folder {pool.folder / 'ann'}" in printed
    assert f"would record the members of the pool in {pool.record}" in printed
    assert not pool.place.parent.exists()


def test_wrong_modes_and_owners_are_corrected(pool: HostPool) -> None:
    install(pool, ANN, BEN)
    before = modes(pool.place) | modes(pool.folder)
    for path in (pool.place, pool.folder, pool.folder / "ben", pool.record):
        path.chmod(0o777)
    for path in (pool.folder, pool.folder / "ann", pool.record):
        os.chown(path, BEN.uid, BEN.gid)
    install(pool, ANN, BEN)
    assert modes(pool.place) | modes(pool.folder) == before
    assert stat.S_IMODE(pool.place.stat().st_mode) == 0o755
    assert install(pool, ANN, BEN) == 0


@pytest.mark.parametrize("name", ["", "pool", "pool/ann"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_in_the_place_of_a_folder_is_refused_and_left(pool: HostPool, name: str, kind: str) -> None:
    elsewhere = pool.place.parents[1] / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    path = pool.place / name
    path.parent.mkdir(parents=True)
    if kind == "link":
        path.symlink_to(elsewhere)
    else:
        path.touch()
    before = tree(elsewhere)
    with pytest.raises(InstallError) as caught:
        install(pool, ANN)
    assert str(caught.value) == f"`{path}` is in the way: it is not a folder"
    assert caught.value.hint is not None
    assert tree(elsewhere) == before


def test_a_pool_below_a_folder_of_another_user_is_refused(pool: HostPool) -> None:
    pool.place.parent.mkdir()
    os.chown(pool.place.parent, ANN.uid, ANN.gid)
    with pytest.raises(InstallError) as caught:
        install(pool, ANN)
    assert "belongs to another user" in str(caught.value)
    assert not pool.place.exists()


def test_a_link_in_place_of_the_record_is_replaced_and_not_followed(pool: HostPool) -> None:
    install(pool, ANN)
    shadow = pool.place.parent / "shadow"
    shadow.write_text("secret")
    pool.record.unlink()
    pool.record.symlink_to(shadow)
    install(pool, ANN)
    assert shadow.read_text() == "secret"
    assert pool.record.is_file()
    assert not pool.record.is_symlink()


def test_the_folder_and_the_record_of_a_member_that_has_left_go_and_the_others_stay(pool: HostPool) -> None:
    install(pool, ANN, BEN)
    (pool.folder / "ann" / "evidence.json").write_text("{}")
    (pool.folder / "ann" / "link").symlink_to(pool.folder / "ben")
    before = tree(pool.folder / "ben")
    assert install(pool, BEN) == 2
    assert modes(pool.folder) == {"ben": (BEN.uid, "755")}
    assert tree(pool.folder / "ben") == before
    assert list(json.loads(pool.record.read_text())["members"]) == ["ben"]


def test_a_folder_that_its_member_filled_with_folders_in_folders_goes_too(pool: HostPool) -> None:
    install(pool, ANN)
    folder = pool.folder / "ann"
    try:
        at = os.open(folder, os.O_RDONLY)
        for _ in range(2500):
            os.mkdir("deeper", dir_fd=at)
            below = os.open("deeper", os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        os.close(at)
        install(pool)
        assert not folder.exists()
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)  # pytest could not


@needs_accounts
def test_the_fleet_has_a_folder_only_if_its_user_exists(pool: HostPool, open_folder: Path) -> None:
    with fleet_agent(open_folder, exists=False):
        install(pool, ANN)
    assert FLEET not in modes(pool.folder)


@needs_accounts
def test_the_folder_of_the_fleet_is_that_of_its_user_and_goes_with_it(pool: HostPool, open_folder: Path) -> None:
    with fleet_agent(open_folder) as agent:
        assert agent is not None
        install(pool, ANN)
        assert modes(pool.folder)[FLEET] == (agent.pw_uid, "755")
        assert FLEET not in pool.record.read_text()
        assert install(pool, ANN) == 0
    with fleet_agent(open_folder, exists=False):
        assert install(pool, ANN) == 1
    assert set(modes(pool.folder)) == {"ann"}


def test_an_account_whose_name_cannot_be_a_folder_shares_nothing(
    pool: HostPool, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = UnixAccount("@fleet", ANN.uid, ANN.gid, ANN.home)
    install(pool, odd)
    assert "@fleet: no folder of the pool can have this name" in capsys.readouterr().out
    assert modes(pool.folder) == {}


def test_all_of_it_is_removed_and_the_folder_above_only_if_it_is_empty(pool: HostPool) -> None:
    install(pool, ANN, BEN)
    other = pool.place / "other"
    other.touch()
    execute(pool.remove(), dry_run=True)
    assert set(modes(pool.place)) == {"pool", "members.json", "identity.key", "other"}
    execute(pool.remove(), dry_run=False)
    assert set(modes(pool.place)) == {"other"}
    other.unlink()
    execute(pool.remove(), dry_run=False)
    assert not pool.place.exists()
    assert execute(pool.remove(), dry_run=False) == 0


# ---------------------------------------------------------------- the group


def test_with_a_group_the_members_folders_are_for_it_and_it_is_recorded(pool: HostPool) -> None:
    install(pool, ANN)
    install(pool, ANN, BEN, group=DAEMON)
    assert stat.S_IMODE(pool.folder.stat().st_mode) == 0o755
    assert modes(pool.folder) == {"ann": (ANN.uid, "2750"), "ben": (BEN.uid, "2750")}
    assert {path.stat().st_gid for path in pool.folder.iterdir()} == {DAEMON.gid}
    assert pool.group(pool.recorded_group()) == DAEMON
    assert install(pool, ANN, BEN, group=DAEMON) == 0
    install(pool, ANN, group=None)
    assert (pool.recorded_group(), modes(pool.folder)) == ("", {"ann": (ANN.uid, "755")})


def test_a_member_outside_the_group_is_named(pool: HostPool, capsys: pytest.CaptureFixture[str]) -> None:
    install(pool, UnixAccount("daemon", 1, 1, Path("/")), ANN, group=DAEMON)
    printed = capsys.readouterr().out
    assert "ann is not in the group `daemon`: it cannot read what other members know" in printed
    assert "daemon is not in the group" not in printed


def test_a_recorded_group_that_has_gone_is_named(pool: HostPool) -> None:
    install(pool, ANN, group=Group("gone-for-good", 1))
    with pytest.raises(InstallError, match="there is no group `gone-for-good`") as caught:
        pool.group(pool.recorded_group())
    assert "--no-pool-group" in str(caught.value.hint)


@pytest.mark.parametrize("content", ["[]", "{", "", '{"group": 7}', '"x"'])
def test_a_damaged_record_names_no_group(pool: HostPool, content: str) -> None:
    install(pool, ANN)
    pool.record.write_text(content)
    assert pool.recorded_group() == ""
    assert install(pool, ANN) == 1


def test_a_group_that_there_is_not_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="there is no group `no-such-group`"):
        parse_install(["--pool-group", "no-such-group"])
    with pytest.raises(UsageError, match="for root's install"):
        parse_install(["--user", "--no-pool-group"])


def test_the_new_version_is_told_of_the_group() -> None:
    name = grp.getgrgid(0).gr_name
    for words, group in ((["--pool-group", name], name), (["--no-pool-group"], ""), ([], None)):
        options = parse_install(words)
        assert options.pool_group == group
        assert parse_install(options.for_the_new_version()).pool_group == group


# ---------------------------------------------------------------- the key


def test_the_key_is_made_once_and_for_root_alone(pool: HostPool) -> None:
    pool.place.mkdir(parents=True)
    execute(host_key.steps(pool.key), dry_run=True)
    assert not pool.key.exists()
    install(pool)
    key = host_key.read(pool.key, dry_run=False)
    assert key is not None
    assert len(key) == 32
    assert modes(pool.place)["identity.key"] == (0, "600")
    pool.key.chmod(0o644)
    assert execute(host_key.steps(pool.key), dry_run=False) == 1
    assert modes(pool.place)["identity.key"] == (0, "600")
    assert execute(host_key.steps(pool.key), dry_run=False) == 0
    assert host_key.read(pool.key, dry_run=False) == key


def test_a_key_that_is_cut_or_that_another_user_wrote_is_replaced(pool: HostPool) -> None:
    install(pool)
    pool.key.write_bytes(b"short")
    execute(host_key.steps(pool.key), dry_run=False)
    first = key_in(pool.key)
    os.chown(pool.key, ANN.uid, ANN.gid)
    execute(host_key.steps(pool.key), dry_run=False)
    assert len({b"short", first, key_in(pool.key)}) == 3


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_in_the_place_of_the_key_is_refused(pool: HostPool, kind: str) -> None:
    pool.place.mkdir(parents=True)
    if kind == "link":
        pool.key.symlink_to("/etc/hostname")
    elif kind == "pipe":
        os.mkfifo(pool.key)
    else:
        pool.key.mkdir()
    with pytest.raises(InstallError, match="is in the way"):
        execute(host_key.steps(pool.key), dry_run=False)


def test_a_member_gets_the_key_in_place_of_another_and_a_second_time_nothing_is_written(tmp_path: Path) -> None:
    path, key = tmp_path / "state" / "identity.key", identity_key.new()
    assert execute(identity_key.steps(path, key), dry_run=False) == 1
    path.write_bytes(identity_key.new())
    planned = execute(identity_key.steps(path, key), dry_run=True)
    assert (planned, path.read_bytes() == key) == (1, False)
    execute(identity_key.steps(path, key), dry_run=False)
    assert path.read_bytes() == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [other.name for other in path.parent.iterdir()] == ["identity.key"]
    assert execute(identity_key.steps(path, key), dry_run=False) == 0
    path.chmod(0o644)
    assert execute(identity_key.steps(path, key), dry_run=False) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_in_place_of_a_members_key_is_replaced_and_not_followed(tmp_path: Path) -> None:
    path, other = tmp_path / "state" / "identity.key", tmp_path / "other"
    other.write_bytes(b"x" * 32)
    path.parent.mkdir(mode=0o700)
    path.symlink_to(other)
    key = identity_key.new()
    execute(identity_key.steps(path, key), dry_run=False)
    assert (path.is_symlink(), path.read_bytes(), other.read_bytes()) == (False, key, b"x" * 32)


def test_the_key_is_in_no_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = b"k" * 32
    execute(identity_key.steps(tmp_path / "state" / "identity.key", key), dry_run=False)
    assert "kkk" not in capsys.readouterr().out


def test_accounts_that_have_gone_are_left_out() -> None:
    assert accounts_of(["root", "no-such-user", "root=/srv/agent"]) == {"root": accounts_of(["root"])["root"]}
