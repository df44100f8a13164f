"""The members of a host: the accounts with a pi agent folder, or those that are named."""

import os
import pwd
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.install.accounts import home_with_pi, needs_accounts, somebody_else
from tests.install.capabilities import public_python, without_another_user, without_root
from tokmon.errors import UsageError
from tokmon.installer.host.members import Discovery, HostMember, named
from tokmon.installer.host.members import discover as discover_by
from tokmon.installer.host.run_as import UnixAccount

_REASON: Final = without_root() or without_another_user()
needs_root: Final = pytest.mark.skipif(_REASON is not None, reason=_REASON or "-")


def discover(entries: Iterable[pwd.struct_passwd] | None = None) -> Discovery:
    return discover_by(str(public_python()), entries)


def member(name: str, home: Path) -> HostMember:
    return HostMember(UnixAccount(name, os.geteuid(), os.getegid(), home), home / ".pi" / "agent")


def entry(name: str, home: object, uid: int | None = None) -> pwd.struct_passwd:
    uid = os.geteuid() if uid is None else uid
    return pwd.struct_passwd((name, "x", uid, os.getegid(), "", str(home), "/usr/sbin/nologin"))


@pytest.fixture(scope="module")
def somebody(open_folder: Path) -> Iterator[HostMember]:
    with somebody_else(open_folder) as made:
        yield named(made.pw_name)


# ---------------------------------------------------------------- who


@needs_root
def test_everybody_whose_home_holds_an_agent_folder_is_a_member(tmp_path: Path) -> None:
    with_pi, without = home_with_pi(tmp_path / "a"), tmp_path / "b"
    without.mkdir()
    found = discover([entry("ann", with_pi), entry("ben", without), entry("cat", tmp_path / "nowhere")])
    assert found == Discovery((member("ann", with_pi),), {})


@needs_root
def test_the_order_is_that_of_the_accounts(tmp_path: Path) -> None:
    entries = [entry(name, home_with_pi(tmp_path / name)) for name in ("zoe", "ann", "mia")]
    assert [member.account.name for member in discover(entries).members] == ["zoe", "ann", "mia"]


@needs_root
def test_an_agent_folder_behind_a_link_counts(tmp_path: Path) -> None:
    (tmp_path / "dotfiles" / "agent").mkdir(parents=True)
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / ".pi").symlink_to("../dotfiles")
    assert len(discover([entry("ann", tmp_path / "ann")]).members) == 1


@needs_root
def test_a_file_is_no_agent_folder(tmp_path: Path) -> None:
    (tmp_path / ".pi").mkdir()
    (tmp_path / ".pi" / "agent").touch()
    assert discover([entry("ann", tmp_path)]).members == ()


@needs_root
@pytest.mark.parametrize("home", ["", "relative", "/with\nline"])
def test_an_account_without_a_real_home_is_no_member(home: str) -> None:
    found = discover([entry("ann", home)])
    assert found == Discovery((), {})


@needs_root
def test_two_names_of_one_account_are_one_member(tmp_path: Path) -> None:
    home = home_with_pi(tmp_path / "a")
    found = discover([entry("root", home), entry("toor", f"{home}/"), entry("other", home_with_pi(tmp_path / "b"))])
    assert [member.account.name for member in found.members] == ["root", "other"]


@needs_root
def test_an_account_that_cannot_be_looked_at_is_named(tmp_path: Path) -> None:
    (tmp_path / ".pi").symlink_to(".pi")
    found = discover([entry("ann", tmp_path), entry("ben", home_with_pi(tmp_path / "b"))])
    assert [member.account.name for member in found.members] == ["ben"]
    assert set(found.problems) == {"ann"}
    assert "symbolic links" in str(found.problems["ann"])


@needs_accounts
def test_a_home_that_only_its_owner_can_read_is_found(somebody: HostMember) -> None:
    assert discover([pwd.getpwnam(somebody.account.name)]).members == (somebody,)


@needs_accounts
def test_accounts_whose_home_is_not_theirs_are_no_members(open_folder: Path, somebody: HostMember) -> None:
    shared = home_with_pi(open_folder / "shared home")
    shared.chmod(0o755)
    assert discover([entry("daemon", shared, uid=somebody.account.uid)]).members == ()
    assert len(discover([entry("owner", shared)]).members) == 1


@needs_root
def test_all_accounts_of_this_machine_can_be_looked_at() -> None:
    assert discover().problems == {}


# ---------------------------------------------------------------- by name


def test_a_name_is_an_account_with_its_usual_agent_folder() -> None:
    known = pwd.getpwuid(os.geteuid())
    home = Path(known.pw_dir)
    assert named(known.pw_name) == HostMember(
        UnixAccount(known.pw_name, known.pw_uid, known.pw_gid, home), home / ".pi" / "agent"
    )


def test_a_folder_can_be_named_and_need_not_be_there(tmp_path: Path) -> None:
    name = pwd.getpwuid(os.geteuid()).pw_name
    moved = named(f"{name}={tmp_path}//agents/./x=1/")
    assert moved.agent == tmp_path / "agents" / "x=1"
    assert moved.environment == {"PI_CODING_AGENT_DIR": f"{tmp_path}/agents/x=1"}
    assert moved.label == f"{name}={tmp_path}/agents/x=1"


def test_naming_the_usual_folder_is_the_same_member() -> None:
    name = pwd.getpwuid(os.geteuid()).pw_name
    assert named(f"{name}={named(name).agent}") == named(name)


@pytest.mark.parametrize("text", ["no-such-user", "", "=/folder", "no such\nuser=/folder", "nul\0"])
def test_an_unknown_user_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        named(text)
    assert str(caught.value) == f"no such user: {text.partition('=')[0]!r}"


@pytest.mark.parametrize("folder", ["", "relative/agent", "~/agent", "/with\nline", "/with\x1bescape"])
def test_a_folder_that_is_not_absolute_is_refused(folder: str) -> None:
    name = pwd.getpwuid(os.geteuid()).pw_name
    with pytest.raises(UsageError) as caught:
        named(f"{name}={folder}")
    assert str(caught.value) == f"member `{name}`: AGENT_DIR is not an absolute path: {folder!r}"
