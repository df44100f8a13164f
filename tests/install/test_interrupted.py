"""An install that was killed is finished by the next one, and two at once do not meet."""

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.install.conftest import seed
from tests.install.member import Member, kill_at, names
from tests.patience import PATIENCE_S

BUILD = ("make the environment ", "install tokmon ", "try tokmon ")
REST = (
    *("make ", "link "),
    *(f"write .*{name}" for name in ("/hooks/budget-select", "/hooks/token-status", "/config.toml")),
    "link .*/extensions/tokmon ",
    *("record the agent folder", "next: put .* on your PATH"),
)
"""The lines that the installer prints as it begins a step, in their order."""


def installed(home: Path) -> set[str]:
    """Every name in a home, but for the packages of a version, which a test may have linked to."""
    return {name for name in names(home) if "/lib/" not in name}


@pytest.fixture
def whole(seeded: Member) -> set[str]:
    """What an install that nobody interrupts leaves; the member's home is empty again after it."""
    assert seeded.install().returncode == 0
    found = installed(seeded.home)
    for name in (".local", ".pi", ".config"):
        shutil.rmtree(seeded.home / name)
    return found


@pytest.mark.parametrize("build", [BUILD[:2], pytest.param(BUILD, marks=pytest.mark.long)])
def test_an_install_killed_at_every_step_is_finished_by_the_next(
    member: Member, whole: set[str], build: tuple[str, ...]
) -> None:
    for step in (*build, *REST):
        # On a busy machine a kill may come late: then the next installer has no such step, and ends well.
        kill_at(member.start(), step, may_be_done=step != build[0])
    done = member.install()
    assert done.returncode == 0, done.stderr
    assert installed(member.home) == whole
    assert member.run("--version").returncode == 0


@pytest.mark.long
def test_what_a_killed_installer_had_started_is_waited_for(member: Member, whole: set[str]) -> None:
    started = member.start()
    kill_at(started, BUILD[1], group=False)
    done = member.install()
    started.communicate()
    assert done.returncode == 0, done.stderr
    assert "another install is running" in done.stdout
    assert installed(member.home) == whole


@pytest.mark.parametrize("is_built", [True, pytest.param(False, marks=pytest.mark.long)])
def test_two_installers_at_once_leave_one_install(
    member: Member, whole: set[str], image: Path, *, is_built: bool
) -> None:
    if is_built:
        seed(member, image)
    both = [member.start(), member.start()]
    printed = [installer.communicate(timeout=PATIENCE_S)[0] for installer in both]
    assert [installer.returncode for installer in both] == [0, 0], printed
    assert sum("\ninstall tokmon" in text for text in printed) == (not is_built)
    assert sum("the current version\n" in text for text in printed) == 1
    assert sum("nothing changed" in text for text in printed) == 1
    assert installed(member.home) == whole


def test_a_lock_that_is_held_is_waited_for_and_one_left_behind_is_not(seeded: Member) -> None:
    member = seeded
    lock = member.data / "install.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        started = member.start()
        assert started.stdout is not None
        assert any("another install is running" in line for line in started.stdout)
        assert not (member.data / "current").exists()
    started.communicate(timeout=PATIENCE_S)
    assert started.returncode == 0
    assert lock.exists()
    assert "another install" not in member.install().stdout


def test_an_unfinished_version_is_never_the_current_one(seeded: Member, tmp_path: Path) -> None:
    assert seeded.install().returncode == 0
    current = (seeded.data / "current").readlink()
    subprocess.run(["cp", "-R", seeded.checkout, tmp_path / "checkout"], check=True)
    moving = Member(seeded.home, tmp_path / "checkout", seeded.environment)
    (moving.checkout / "README.md").write_text("another\n")
    kill_at(moving.start(), BUILD[1])
    assert (seeded.data / "current").readlink() == current
    assert seeded.run("--version").returncode == 0
