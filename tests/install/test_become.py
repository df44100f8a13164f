"""What a member's part can do once root has become that member: what is theirs, and nothing else."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.install.accounts import account, needs_accounts, somebody_else
from tokmon.errors import UsageError
from tokmon.installer import members
from tokmon.installer.members import Member, Outcome, become, named, oneself

# The child runs what the test gives it, and never returns to the test's runner.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")


@pytest.fixture
def me() -> Member:
    return oneself(os.environ)


@pytest.fixture(scope="module")
def somebody(open_folder: Path) -> Iterator[Member]:
    with somebody_else(open_folder) as made:
        yield named(made.pw_name)


def run(member: Member, work: Callable[[], object]) -> tuple[Outcome, list[str]]:
    said: list[str] = []
    return become(member, work, say=said.append), said


def as_seen() -> dict[str, object]:
    umask = os.umask(0)
    return {
        "ids": [os.getuid(), os.geteuid(), os.getgid(), os.getegid()],
        "groups": sorted(os.getgroups()),
        "session": os.getsid(0) == os.getpid(),
        "terminal": _has_terminal(),
        "folder": str(Path.cwd()),
        "umask": umask,
        "stdin": sys.stdin.read(),
        "environment": dict(os.environ),
        "files": [each for each in range(4, 100) if _is_open(each)],
    }


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return False
    return True


def _is_open(file: int) -> bool:
    try:
        os.fstat(file)
    except OSError:
        return False
    return True


@needs_accounts
def test_the_child_is_that_member_and_nothing_else(somebody: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    monkeypatch.setenv("LANG", "C.UTF-8")
    with tempfile.TemporaryFile():
        outcome, said = run(somebody, as_seen)
    assert (outcome.problem, said) == (None, [])
    seen = outcome.answer
    assert isinstance(seen, dict)
    environment = seen.pop("environment")
    assert seen == {
        "ids": [somebody.uid, somebody.uid, somebody.gid, somebody.gid],
        "groups": [somebody.gid],
        "session": True,
        "terminal": False,
        "folder": "/",
        "umask": 0o077,
        "stdin": "",
        "files": [],
    }
    assert set(environment) - {"LC_ALL"} == {"HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG"}
    assert environment["HOME"] == str(somebody.home)
    assert environment["USER"] == somebody.name


@needs_accounts
def test_there_is_no_way_back_to_root(somebody: Member) -> None:
    def back() -> object:
        tried = []
        ways: tuple[tuple[Callable[..., None], object], ...] = (
            (os.setuid, 0),
            (os.seteuid, 0),
            (os.setgid, 0),
            (os.setgroups, [0]),
        )
        for way, to in ways:
            try:
                way(to)
            except PermissionError:
                tried.append("refused")
        return tried

    assert run(somebody, back)[0].answer == ["refused"] * 4


@needs_accounts
def test_the_groups_are_the_members_own(open_folder: Path) -> None:
    with account(open_folder) as made, account(open_folder) as other:
        subprocess.run(["usermod", "--append", "--groups", other.pw_name, made.pw_name], check=True)
        groups = run(named(made.pw_name), lambda: sorted(os.getgroups()))[0].answer
        assert groups == sorted([made.pw_gid, other.pw_gid])


@needs_accounts
def test_what_a_member_writes_is_theirs_and_private(somebody: Member) -> None:
    def write() -> object:
        path = Path.home() / "made"
        path.write_text("x")
        found = path.stat()
        path.unlink()
        return [found.st_uid, stat.S_IMODE(found.st_mode)]

    assert run(somebody, write)[0].answer == [somebody.uid, 0o600]


@needs_accounts
def test_a_member_cannot_read_what_is_roots(somebody: Member, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    secret.chmod(0o600)
    outcome, _ = run(somebody, secret.read_text)
    assert "Permission denied" in str(outcome.problem)


@needs_accounts
def test_the_environment_of_the_childs_own_children_is_clean(somebody: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    _, said = run(somebody, lambda: subprocess.run(["/usr/bin/env"], check=True).returncode)
    assert f"{somebody.name}: HOME={somebody.home}" in said
    assert "secret" not in "".join(said)


def test_programs_of_the_member_come_first(me: Member) -> None:
    for folder in ("v9.2.0", "v22.1.0"):
        (me.home / ".nvm" / "versions" / "node" / folder / "bin").mkdir(parents=True)
    (me.home / ".local" / "bin").mkdir(parents=True)
    path = members.login(me)["PATH"].split(":")
    nvm = me.home / ".nvm" / "versions" / "node"
    assert path[:3] == [str(me.home / ".local" / "bin"), str(nvm / "v22.1.0" / "bin"), str(nvm / "v9.2.0" / "bin")]
    assert path[-2:] == ["/usr/bin", "/bin"]


def test_a_relocated_agent_folder_is_in_the_environment(me: Member, tmp_path: Path) -> None:
    assert "PI_CODING_AGENT_DIR" not in members.login(me)
    moved = Member(me.name, me.uid, me.gid, me.home, tmp_path / "agent")
    assert members.login(moved)["PI_CODING_AGENT_DIR"] == str(tmp_path / "agent")


def test_oneself_runs_in_a_child_just_so(me: Member) -> None:
    outcome, _ = run(me, os.getppid)
    assert outcome.answer == os.getpid()
    assert become(me, lambda: os.environ["MORE"], {"MORE": "1"}).answer == "1"


def test_only_root_can_be_somebody_else(me: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: me.uid + 1)
    with pytest.raises(UsageError, match=f"only root can set up another user: `{me.name}`"):
        become(me, lambda: None)
