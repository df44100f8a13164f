"""Which folders and files of the pool are believed: links, pipes, other owners and nonsense are not, and are named."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.install.accounts import fleet_agent, needs_accounts
from tokmon import paths
from tokmon.errors import reason_of
from tokmon.pool import folder
from tokmon.pool.folder import FLEET, RECORD, Member, Pool

needs_root: Final = pytest.mark.skipif(os.geteuid() != 0, reason="not root: a file of another user needs it")
ANN: Final = 60_001
BEN: Final = 60_002


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pool of this user's own, as TOKMON_POOL_DIR names it."""
    place = tmp_path / "lib" / "pool"
    place.mkdir(parents=True, mode=0o755)
    monkeypatch.setenv("TOKMON_POOL_DIR", str(place))
    monkeypatch.setenv("TOKMON_MEMBER", "me")
    return place


@pytest.fixture
def hosts_pool(pool: Path) -> Path:
    """A pool as root's install makes it, with ann and ben."""
    record(pool, ann=ANN, ben=BEN)
    for name, uid in (("ann", ANN), ("ben", BEN)):
        member_folder(pool, name, uid)
    return pool


def record(pool: Path, **uids: int) -> Path:
    path = pool.parent / RECORD
    path.write_text(json.dumps({"version": 1, "members": {name: {"uid": uid} for name, uid in uids.items()}}))
    path.chmod(0o644)
    return path


def member_folder(pool: Path, name: str, uid: int | None = None) -> Path:
    path = pool / name
    path.mkdir(parents=True, mode=0o755)
    if uid is not None:
        os.chown(path, uid, uid)
    return path


def published(member: Member, content: str | bytes, *, uid: int | None = None, mode: int = 0o644) -> Path:
    path = member.folder / "evidence.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    os.chown(path, member.uid if uid is None else uid, -1)
    return path


def look() -> Pool:
    return folder.look(paths.find(), os.environ)


def names(pool: Pool) -> list[str]:
    return [member.name for member in pool.others]


def problems(pool: Pool) -> dict[str, str]:
    return {problem.path.name: problem.why for problem in pool.problems}


def read(member: Member) -> dict[str, Any] | str:
    """What is in the member's evidence, or why it is not believed."""
    try:
        return folder.read(member, "evidence")
    except (OSError, ValueError) as error:
        return reason_of(error)


# ---------------------------------------------------------------- a pool of the user's own


def test_a_pool_that_is_not_there_is_an_empty_one(pool: Path) -> None:
    pool.rmdir()
    assert look() == Pool(pool, pool / "me", (), ())


def test_without_root_each_identity_of_a_user_has_a_folder_that_the_others_read(
    pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nadja", "vigilio", "me"):
        monkeypatch.setenv("TOKMON_MEMBER", name)
        own = folder.make_own(paths.find(), os.environ)
        assert own == pool / name
        folder.write(own, "evidence", {"by": name})
    mine = look()
    assert (names(mine), mine.own, mine.problems) == (["nadja", "vigilio"], pool / "me", ())
    assert [read(member) for member in mine.others] == [{"by": "nadja"}, {"by": "vigilio"}]
    assert [f"{path.stat().st_mode:o}" for path in (pool, pool / "nadja")] == ["40700"] * 2


@pytest.mark.parametrize("name", ["", ".hidden", "@fleet", "a/b", "two words", "x" * 300, "-option", "\x1b[2J"])
def test_a_name_that_cannot_be_a_folder_has_none(pool: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("TOKMON_MEMBER", name)
    own = folder.make_own(paths.find(), os.environ)
    assert own is None if name else own is not None
    assert {path.name for path in pool.iterdir()} <= {path.name for path in [own] if path is not None}


@needs_root
def test_a_folder_of_another_user_in_a_users_own_pool_is_not_believed(pool: Path) -> None:
    member_folder(pool, "nadja")
    member_folder(pool, "stranger", ANN)
    assert names(look()) == ["nadja"]
    assert problems(look()) == {"stranger": f"not a folder of user {os.geteuid()}"}


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o1777])
def test_a_pool_in_which_others_may_write_is_not_looked_at(pool: Path, mode: int) -> None:
    member_folder(pool, "nadja")
    pool.chmod(mode)
    assert names(look()) == []
    assert problems(look()) == {"pool": "others may write in it"}


def test_a_pool_behind_a_link_is_not_looked_at(pool: Path) -> None:
    member_folder(pool, "nadja")
    pool.rename(pool.with_name("elsewhere"))
    pool.symlink_to("elsewhere")
    assert names(look()) == []
    assert problems(look()) == {"pool": "not a folder of root or of this user"}


@pytest.mark.parametrize("name", ["two words", "@other", "\x1b[2J", "-x"])
def test_a_folder_with_no_members_name_is_named_and_not_read(pool: Path, name: str) -> None:
    member_folder(pool, name)
    assert names(look()) == []
    assert problems(look()) == {name: "not a member's name"}


def test_only_so_many_folders_are_looked_at(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MOST_MEMBERS", 3)
    for name in ("d", "a", "c", "b", ".tmp"):
        member_folder(pool, name)
    assert names(look()) == ["a", "b", "c"]
    assert problems(look()) == {"pool": "more than 3 folders"}


# ---------------------------------------------------------------- root's pool


@needs_root
def test_the_folders_that_root_recorded_are_believed(hosts_pool: Path) -> None:
    pool = look()
    assert pool.others == (Member("ann", hosts_pool / "ann", ANN), Member("ben", hosts_pool / "ben", BEN))
    assert pool.problems == ()


@needs_root
def test_folders_that_only_a_group_can_enter_are_believed(hosts_pool: Path) -> None:
    (hosts_pool / "ann").chmod(0o2750)
    assert names(look()) == ["ann", "ben"]


@needs_root
def test_a_folder_that_root_did_not_record_is_not_believed(hosts_pool: Path) -> None:
    member_folder(hosts_pool, "eve", ANN)
    assert names(look()) == ["ann", "ben"]
    assert problems(look()) == {"eve": "not a member that root's install recorded"}


def to_ben(path: Path) -> None:
    os.chown(path, BEN, BEN)


def to_a_link(path: Path) -> None:
    path.rename(path.with_name(".ann"))
    path.symlink_to(".ann")


def to_a_pipe(path: Path) -> None:
    path.rmdir()
    os.mkfifo(path)
    os.chown(path, ANN, ANN)


def to_a_pipe_of_root(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def to_a_file(path: Path) -> None:
    path.rmdir()
    path.touch()
    os.chown(path, ANN, ANN)


@needs_root
@pytest.mark.parametrize(
    "change", [to_ben, to_a_link, to_a_pipe, to_a_file, lambda path: path.chmod(0o775), lambda path: path.chmod(0o757)]
)
def test_what_is_not_that_members_folder_alone_is_not_believed(
    hosts_pool: Path, change: Callable[[Path], object]
) -> None:
    change(hosts_pool / "ann")
    assert names(look()) == ["ben"]
    assert problems(look()) == {"ann": f"not a folder of user {ANN}"}


@needs_root
@pytest.mark.parametrize(
    "change",
    [
        lambda path: os.chown(path, ANN, ANN),
        lambda path: path.chmod(0o664),
        lambda path: path.rename(path.with_name("other")) and path.symlink_to("other"),
        to_a_pipe_of_root,
        lambda path: path.write_text("{"),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text('{"members": ["ann"]}'),
        lambda path: path.write_text('{"members": {"ann": 60001, "ben": {"uid": "60002"}}}'),
        lambda path: path.write_text('{"members": {"ann": {"uid": -1}, "ben": {}}}'),
    ],
)
def test_with_a_record_that_is_not_roots_or_no_record_nobody_is_believed(
    hosts_pool: Path, change: Callable[[Path], object]
) -> None:
    change(hosts_pool.parent / RECORD)
    assert names(look()) == []
    assert set(problems(look())) == {"ann", "ben"}


# ---------------------------------------------------------------- files


@pytest.fixture
def nadja(pool: Path) -> Member:
    member_folder(pool, "nadja")
    (member,) = look().others
    return member


def test_a_file_that_is_not_there_says_nothing(nadja: Member) -> None:
    assert read(nadja) == {}


def test_what_a_member_writes_another_reads(nadja: Member) -> None:
    for value in ({"a": 1}, {"a": "é" * 1000, "b": [None, 1.5]}):
        folder.write(nadja.folder, "evidence", value)
        assert read(nadja) == value
    assert f"{(nadja.folder / 'evidence.json').stat().st_mode:o}" == "100644"
    assert [path.name for path in nadja.folder.iterdir()] == ["evidence.json"]


@pytest.mark.parametrize("name", sorted(folder.FILES))
def test_no_more_is_written_than_is_read(nadja: Member, name: str) -> None:
    most = folder.FILES[name] - len('{"a":""}\n')
    folder.write(nadja.folder, name, {"a": "x" * most})
    assert folder.read(nadja, name) == {"a": "x" * most}
    with pytest.raises(ValueError, match=f"more than {folder.FILES[name]} bytes"):
        folder.write(nadja.folder, name, {"a": "x" * (most + 1)})
    assert folder.read(nadja, name) == {"a": "x" * most}


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "7", "null", '"x"', "{}{}", "[" * 100_000, '{"a":' * 20_000, b"\xff\xfe", b"\0" * 1000, "{'a': 1}"],
)
def test_what_is_no_object_is_not_believed(nadja: Member, content: str | bytes) -> None:
    published(nadja, content)
    assert read(nadja) == "not a JSON object"


def test_a_number_of_a_hundred_thousand_digits_is_no_crash(nadja: Member) -> None:
    published(nadja, '{"a": ' + "9" * 100_000 + "}")
    assert read(nadja) == {"a": float("inf")}


def test_a_file_of_a_gigabyte_is_not_read(nadja: Member) -> None:
    os.truncate(published(nadja, "{}"), 1 << 30)
    assert read(nadja) == f"more than {folder.FILES['evidence']} bytes"


def test_a_link_a_pipe_and_a_folder_in_place_of_a_file_are_not_followed_and_block_nothing(nadja: Member) -> None:
    path = nadja.folder / "evidence.json"
    path.symlink_to("/etc/passwd")
    assert read(nadja) == "a link, which tokmon does not follow"
    path.unlink()
    os.mkfifo(path)
    assert read(nadja) == "not a file"
    path.unlink()
    path.mkdir()
    assert read(nadja) == "not a file"
    path.rmdir()
    path.symlink_to("/dev/zero")
    assert read(nadja) == "a link, which tokmon does not follow"


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_may_write_is_not_believed(nadja: Member, mode: int) -> None:
    published(nadja, "{}", mode=mode)
    assert read(nadja) == "another user may have written it"


@needs_root
@pytest.mark.usefixtures("hosts_pool")
def test_a_file_of_another_user_is_not_believed() -> None:
    ann, ben = look().others
    published(ann, "{}", uid=ben.uid)
    assert read(ann) == "another user may have written it"
    published(ann, "{}")
    assert read(ann) == {}


@needs_root
@pytest.mark.usefixtures("hosts_pool")
def test_a_hard_link_to_a_file_of_another_member_is_not_believed() -> None:
    ann, ben = look().others
    (ann.folder / "evidence.json").hardlink_to(published(ben, '{"ben": 1}'))
    assert read(ann) == "another user may have written it"


# ---------------------------------------------------------------- the fleet


def in_fleet(pool: Path, uid: int, *members: str) -> None:
    for name in members:
        path = member_folder(pool / FLEET, name)
        for above in (path, *path.parents):
            if pool in above.parents:
                os.chown(above, uid, uid)


@needs_accounts
def test_members_of_other_hosts_are_read_like_a_member(
    hosts_pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fleet_agent(tmp_path) as agent:
        assert agent is not None
        uid = agent.pw_uid
        in_fleet(hosts_pool, uid, "host-b/eve", "host-a/ann", "host-a/.tmp", "host-a/@odd", ".new/ann", "@host/ann")
        assert names(look()) == ["host-a/ann", "host-b/eve", "ann", "ben"]
        eve = look().others[1]
        assert eve == Member("host-b/eve", hosts_pool / FLEET / "host-b" / "eve", uid)
        published(eve, '{"by": "eve"}')
        assert read(eve) == {"by": "eve"}
        published(eve, "{}", uid=ANN)
        assert read(eve) == "another user may have written it"
        monkeypatch.setattr(folder, "MOST_MEMBERS", 2)
        in_fleet(hosts_pool, uid, "host-a/ben", "host-a/cat")
        assert [name for name in names(look()) if "/" in name] == names(look())[:2]


@needs_accounts
def test_what_is_not_the_fleets_is_not_believed(hosts_pool: Path, tmp_path: Path) -> None:
    with fleet_agent(tmp_path) as agent:
        assert agent is not None
        uid = agent.pw_uid
        in_fleet(hosts_pool, uid, "host-a/ann", "host-a/ben", "host-b/ann", "host-c/ann")
        (hosts_pool / FLEET / "host-a" / "link").symlink_to("ann")
        (hosts_pool / FLEET / "host-d").symlink_to("host-a")
        os.chown(hosts_pool / FLEET / "host-a" / "ben", ANN, ANN)
        os.chown(hosts_pool / FLEET / "host-b", ANN, ANN)
        (hosts_pool / FLEET / "host-c").chmod(0o777)
        assert names(look()) == ["host-a/ann", "ann", "ben"]
        assert set(problems(look())) == {"ben", "link", "host-b", "host-c", "host-d"}
        os.chown(hosts_pool / FLEET, ANN, ANN)
        assert names(look()) == ["ann", "ben"]
        assert problems(look()) == {FLEET: f"not a folder of user {uid}"}
    with fleet_agent(tmp_path, exists=False):
        assert names(look()) == ["ann", "ben"]
        assert problems(look()) == {FLEET: "there is no user `tokmon-fleet`"}
