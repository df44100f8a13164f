"""What an install cannot do, it says in one line, before it writes anything."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.install.capabilities import public_python, without_another_user
from tests.install.conftest import few_programs
from tests.install.member import Member, tree
from tests.patience import PATIENCE_S

NOBODY = 65534
WITHOUT = """#!/bin/sh
case $2 in -c) exec {python} -I -c 'print("'"$0"'")' ;; esac
shift 3
exec {python} -I -S -B -c 'import sys, runpy
sys.modules["{module}"] = None
sys.argv = sys.argv[1:]
sys.executable = sys._base_executable = "{python}"
runpy.run_path(sys.argv[0], run_name="__main__")' "$@"
"""
"""A Python that lacks a module."""


@pytest.mark.parametrize(
    "options", [("--colour",), ("extra",), ("--prefix",), ("--prefix", "relative/folder"), ("--pi", "'")], ids=" ".join
)
def test_a_command_line_that_is_off_exits_with_2(member: Member, options: tuple[str, ...]) -> None:
    done = member.install(*options)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


def test_help_is_data_and_installs_nothing(member: Member) -> None:
    before = tree(member.home)
    done = member.install("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for option in ("--prefix", "--no-systemd", "--help"):
        assert option in done.stdout
    assert tree(member.home) == before


@pytest.fixture
def other(member: Member) -> tuple[Member, int | None]:
    """Return a member without root's rights, whom a folder's mode can keep out."""
    if reason := without_another_user():
        pytest.skip(reason)
    if os.geteuid() != 0:
        return member, None
    python = public_python()
    for path in (member.home.parent, *member.home.parent.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    return Member(member.home, member.checkout, {**member.environment, "TOKMON_PYTHON": str(python)}), NOBODY


@pytest.mark.parametrize("folder", [".pi/agent", ".pi/agent/extensions", ".local", ".local/share/tokmon", ".local/bin"])
def test_a_folder_that_cannot_be_written_is_named(other: tuple[Member, int | None], folder: str) -> None:
    member, user = other
    closed = member.home / folder
    closed.mkdir(parents=True)
    for path in (closed, *closed.parents):
        if path == member.home:
            break
        if user is not None:
            os.chown(path, user, user)
    closed.chmod(0o500)
    before = tree(member.home)
    done = member.install(user=user)
    assert done.returncode == 1
    assert f"error: cannot write to the folder `{closed}`" in done.stderr
    assert "hint: " in done.stderr
    assert tree(member.home) == before
    closed.chmod(0o700)


def test_a_file_in_place_of_a_folder_is_named(member: Member) -> None:
    (member.home / ".local").write_text("not a folder\n")
    done = member.install()
    assert done.returncode == 1
    assert f"`{member.home}/.local` is in the way" in done.stderr


def test_a_home_that_is_not_there_is_named(member: Member) -> None:
    done = member.install(HOME=f"{member.home}/gone")
    assert done.returncode == 1
    assert f"the home folder `{member.home}/gone` is missing" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: no other user's home can be made")
def test_the_home_of_another_user_is_left_alone(member: Member) -> None:
    os.chown(member.home, NOBODY, NOBODY)
    before = tree(member.home)
    done = member.install()
    assert done.returncode == 1
    assert "belongs to another user" in done.stderr
    assert tree(member.home) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="not root")
def test_root_is_told_that_it_installs_for_itself(seeded: Member) -> None:
    assert "this installs for root alone" in seeded.install().stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: only root can become a user that is not known")
def test_without_home_and_without_a_known_user_it_says_so(member: Member) -> None:
    python = public_python()
    if python is None:
        pytest.skip("no Python 3.11 that other users can run")
    environment = {name: value for name, value in member.environment.items() if name != "HOME"}
    homeless = Member(member.home, member.checkout, {**environment, "TOKMON_PYTHON": str(python)})
    done = homeless.install(user=54321)
    assert done.returncode == 1
    assert "HOME is not set" in done.stderr


def test_without_python_it_names_the_command_that_installs_one(member: Member) -> None:
    few = few_programs(member)
    (few / "apt-get").symlink_to("/bin/true")
    (few / "python3").write_text("#!/bin/sh\necho\n")  # an old one: it prints nothing for its path
    (few / "python3").chmod(0o755)
    done = member.install(PATH=str(few), TOKMON_PYTHON="")
    assert done.returncode == 1
    assert (
        done.stderr
        == "error: no Python 3.11 or newer was found\nhint: `apt-get install python3 python3-venv` (as root)\n"
    )


def test_a_python_without_venv_names_the_package(member: Member) -> None:
    few = few_programs(member)
    (few / "dnf").symlink_to("/bin/true")
    (few / "python3.12").write_text(WITHOUT.format(python=member.environment["TOKMON_PYTHON"], module="venv"))
    (few / "python3.12").chmod(0o755)
    before = tree(member.home)
    done = member.install(PATH=str(few), TOKMON_PYTHON="")
    assert done.returncode == 1
    assert "lacks its module `venv`" in done.stderr
    assert "`dnf install python3-libs python3-pip`" in done.stderr
    assert tree(member.home) == before


def test_a_newer_python_is_found_where_python3_is_too_old(seeded: Member) -> None:
    few = few_programs(seeded)
    (few / "python3").write_text("#!/bin/sh\necho\n")
    (few / "python3").chmod(0o755)
    (few / "python3.11").symlink_to(seeded.environment["TOKMON_PYTHON"])
    done = seeded.install(PATH=str(few), TOKMON_PYTHON="")
    assert done.returncode == 0, done.stderr


def test_a_python_that_was_named_and_does_not_do_is_not_replaced_by_another(member: Member) -> None:
    done = member.install(TOKMON_PYTHON="/bin/false")
    assert done.returncode == 1
    assert "`/bin/false` is not a Python 3.11 or newer" in done.stderr


def test_a_python_without_pip_names_the_package(member: Member) -> None:
    few = few_programs(member)
    (few / "apt-get").symlink_to("/bin/true")
    (few / "python3").write_text(WITHOUT.format(python=member.environment["TOKMON_PYTHON"], module="ensurepip"))
    (few / "python3").chmod(0o755)
    done = member.install("--dry-run", PATH=str(few), TOKMON_PYTHON="")
    if Path("/usr/share/python-wheels").is_dir():
        assert done.returncode == 0, done.stderr
    else:
        assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "hint: `apt-get install python3-venv` (as root)")


def test_another_checkout_that_cdpath_names_is_not_taken(member: Member, tmp_path: Path) -> None:
    (tmp_path / "bootstrap").mkdir()
    (tmp_path / "bootstrap" / "run.py").write_text("print('another one')\n")
    done = subprocess.run(
        ["sh", "bootstrap/install.sh", "--help"],
        env={**member.environment, "CDPATH": str(tmp_path)},
        cwd=member.checkout,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")


def test_a_failed_download_is_an_error_and_the_next_install_starts_it_again(member: Member) -> None:
    done = member.install(PIP_FIND_LINKS=f"{member.home}/nothing")
    assert done.returncode == 1
    assert "error: this failed: " in done.stderr
    assert not (member.data / "current").exists()
    assert "would remove the unfinished" in member.install("--dry-run").stdout
