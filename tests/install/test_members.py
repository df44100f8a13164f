"""Who the members of a host are: everybody with a pi agent folder, or those who are named."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.install.accounts import home_with_pi, needs_accounts, somebody_else
from tests.install.capabilities import without_root
from tokmon.errors import UsageError
from tokmon.installer.members import Member, discover, named, oneself

# The child runs what the test gives it, and never returns to the test's runner.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")


def entry(name: str, home: object, uid: int | None = None) -> pwd.struct_passwd:
    uid = os.geteuid() if uid is None else uid
    return pwd.struct_passwd((name, "x", uid, os.getegid(), "", str(home), "/usr/sbin/nologin"))


@pytest.fixture(scope="module")
def somebody(open_folder: Path) -> Iterator[Member]:
    with somebody_else(open_folder) as made:
        yield named(made.pw_name)


# ---------------------------------------------------------------- who


def test_everybody_whose_home_holds_an_agent_folder_is_a_member(tmp_path: Path) -> None:
    with_pi, without = home_with_pi(tmp_path / "a"), tmp_path / "b"
    without.mkdir()
    found = discover([entry("ann", with_pi), entry("ben", without), entry("cat", tmp_path / "nowhere")])
    assert found.unseen == ()
    assert found.members == (Member("ann", os.geteuid(), os.getegid(), with_pi, with_pi / ".pi" / "agent"),)


def test_the_order_is_that_of_the_accounts(tmp_path: Path) -> None:
    entries = [entry(name, home_with_pi(tmp_path / name)) for name in ("zoe", "ann", "mia")]
    assert [member.name for member in discover(entries).members] == ["zoe", "ann", "mia"]


def test_an_agent_folder_behind_a_link_counts(tmp_path: Path) -> None:
    (tmp_path / "dotfiles" / "agent").mkdir(parents=True)
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / ".pi").symlink_to("../dotfiles")
    assert len(discover([entry("ann", tmp_path / "ann")]).members) == 1


def test_a_file_is_no_agent_folder(tmp_path: Path) -> None:
    (tmp_path / ".pi").mkdir()
    (tmp_path / ".pi" / "agent").touch()
    assert discover([entry("ann", tmp_path)]).members == ()


@pytest.mark.parametrize("home", ["", "relative", "/with\nline"])
def test_an_account_without_a_real_home_is_no_member(home: str) -> None:
    found = discover([entry("ann", home)])
    assert (found.members, found.unseen) == ((), ())


def test_two_names_of_one_account_are_one_member(tmp_path: Path) -> None:
    home = home_with_pi(tmp_path / "a")
    found = discover([entry("root", home), entry("toor", f"{home}/"), entry("other", home_with_pi(tmp_path / "b"))])
    assert [member.name for member in found.members] == ["root", "other"]


def test_an_account_that_cannot_be_looked_at_is_named(tmp_path: Path) -> None:
    (tmp_path / ".pi").symlink_to(".pi")
    found = discover([entry("ann", tmp_path), entry("ben", home_with_pi(tmp_path / "b"))])
    assert [member.name for member in found.members] == ["ben"]
    (unseen,) = found.unseen
    assert unseen.member.name == "ann"
    assert "symbolic links" in str(unseen.problem)


@needs_accounts
def test_a_home_that_only_its_owner_can_read_is_found(somebody: Member) -> None:
    assert discover([pwd.getpwnam(somebody.name)]).members == (somebody,)


@needs_accounts
def test_accounts_whose_home_is_not_theirs_are_no_members(open_folder: Path, somebody: Member) -> None:
    shared = home_with_pi(open_folder / "shared home")
    shared.chmod(0o755)
    assert discover([entry("daemon", shared, uid=somebody.uid)]).members == ()
    assert len(discover([entry("owner", shared)]).members) == 1


def test_all_accounts_of_this_machine_can_be_asked_for() -> None:
    if reason := without_root():
        with pytest.raises(UsageError, match="only root"):
            discover()
        pytest.skip(reason)
    assert discover().unseen == ()


# ---------------------------------------------------------------- by name


def test_a_name_is_an_account_with_its_usual_agent_folder() -> None:
    known = pwd.getpwuid(os.geteuid())
    home = Path(known.pw_dir)
    assert named(known.pw_name) == Member(known.pw_name, known.pw_uid, known.pw_gid, home, home / ".pi" / "agent")


def test_a_folder_can_be_named_and_need_not_be_there(tmp_path: Path) -> None:
    name = pwd.getpwuid(os.geteuid()).pw_name
    member = named(f"{name}={tmp_path}//agents/./x=1/")
    assert member.agent == tmp_path / "agents" / "x=1"
    assert member.relocated
    assert member.label == f"{name}={tmp_path}/agents/x=1"


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


def test_oneself_is_at_home_where_the_environment_says() -> None:
    assert oneself({"HOME": "/some/where"}).agent == Path("/some/where/.pi/agent")
    assert oneself({"HOME": "/some/where", "PI_CODING_AGENT_DIR": "/pi"}).agent == Path("/pi")
    assert oneself({}).home == Path(pwd.getpwuid(os.geteuid()).pw_dir)
    with pytest.raises(UsageError, match="HOME is not an absolute path: 'here'"):
        oneself({"HOME": "here"})
