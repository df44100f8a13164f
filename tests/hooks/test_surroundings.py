"""Wherever and however a wake happens: no HOME, no PATH, no folder, no room, nothing open, nothing allowed."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hooks.wake import ASKED, BUILT_IN, DECIDED, HOOK, LAST, Wake, decision
from tests.install.capabilities import without_mounts, without_program, without_root
from tests.install.member import tree

MOUNTED = ("unshare", "--mount", "sh", "-c")


def test_without_a_home_the_wake_goes_on(wake: Wake) -> None:
    wake.decide()
    assert wake.line(HOME=None) == DECIDED
    state = str(wake.state)
    program = str(wake.home / ".local" / "bin" / "tokmon")
    wake.decision.unlink()
    for home in (None, "", "/no/such/home", "/dev/null"):
        assert wake.line(HOME=home, TOKMON_BIN=program, TOKMON_STATE_DIR=state) == ASKED
        assert wake.line(HOME=home, TOKMON_BIN="/dev/null", TOKMON_STATE_DIR=state) == LAST


@pytest.mark.skipif(without_mounts() is not None, reason=str(without_mounts()))
def test_without_a_home_it_is_the_one_that_the_user_has(wake: Wake) -> None:
    (wake.folder / "passwd").write_text(f"other:x:77:77::/other:/bin/sh\nme:x:0:0:Me:{wake.home}:/bin/sh\n")
    prepare = 'mount --bind "$0/passwd" /etc/passwd && exec "$@"'
    before = (*MOUNTED, prepare, str(wake.folder))
    assert wake.said(before=before, HOME=None).line == ASKED
    wake.tokmon("exit 1")
    assert wake.said(before=before, HOME=None).line == LAST


@pytest.mark.skipif(without_mounts() is not None, reason=str(without_mounts()))
def test_without_a_runtime_folder_in_the_environment_it_is_the_usual_one(wake: Wake) -> None:
    wake.decide()
    prepare = 'mount -t tmpfs tmpfs /run && mkdir -p /run/user/0 && cp -R "$0" /run/user/0/ && exec "$@"'
    for runtime in (None, "", "not/absolute"):
        said = wake.said(before=(*MOUNTED, prepare, str(wake.runtime)), XDG_RUNTIME_DIR=runtime)
        assert said.line == DECIDED


@pytest.mark.skipif(without_mounts() is not None, reason=str(without_mounts()))
def test_a_full_disk_is_no_matter(wake: Wake) -> None:
    prepare = (
        'mount -t tmpfs -o size=16k tmpfs "$0" && mkdir -p "$0/run/tokmon" && '
        'printf %s "$1" >"$0/run/tokmon/decision" && mount --bind "$0" /var/tmp; '
        'cat /dev/zero >"$0/filling" 2>/dev/null; shift; '
        '{ echo x >"$0/more"; } 2>/dev/null && exit 9; exec "$@"'
    )
    for line, answer in (
        (decision(), DECIDED),
        (decision("once good", issued=-9, expires=-1), "once good"),
        ("x", BUILT_IN),
    ):
        before = (*MOUNTED, prepare, str(wake.folder), line)
        assert wake.said(before=before, TOKMON_BIN="/dev/null", TMPDIR=str(wake.folder)).line == answer


@pytest.mark.skipif(without_mounts() is not None, reason=str(without_mounts()))
def test_without_proc_tokmon_is_asked(wake: Wake) -> None:
    wake.decide()
    for script, answer in ((f"echo {ASKED}", ASKED), ("exec sleep 60", LAST)):
        wake.tokmon(script)
        before = (*MOUNTED, 'mount -t tmpfs tmpfs /proc && exec "$@"', "sh")
        assert wake.said(before=before, TOKMON_DEADLINE_MS="1500").line == answer


def test_nothing_is_written_anywhere(wake: Wake) -> None:
    wake.decide()
    for folder in (wake.home, wake.runtime, wake.runtime.parent, wake.state):
        folder.chmod(0o500)
    before = tree(wake.folder)
    assert wake.line() == DECIDED
    assert wake.line(TOKMON_PIN="x") == ASKED
    assert wake.line(TOKMON_PIN="a b", TOKMON_BIN="/dev/null") == LAST
    assert tree(wake.folder) == before
    for folder in (wake.home, wake.runtime, wake.runtime.parent, wake.state):
        folder.chmod(0o700)


def test_without_a_path_the_usual_folders_are_searched(wake: Wake) -> None:
    for path in (None, "", "/no/such/folder", "."):
        assert wake.line(PATH=path) == ASKED
        wake.decide()
        assert wake.line(PATH=path) == DECIDED
        wake.decision.unlink()


def test_in_a_folder_that_is_gone_the_wake_goes_on(wake: Wake) -> None:
    gone = wake.folder / "gone"
    gone.mkdir()
    before = ("sh", "-c", 'cd "$0" && rmdir "$0" && exec "$@"', str(gone))
    assert wake.said(before=before).line == ASKED
    gone.mkdir()
    wake.decide()
    assert wake.said(before=before).line == DECIDED


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-", "2>/dev/full", "</dev/zero", "3>&1 4>&2 9>&1"])
def test_closed_and_odd_files_are_no_matter(kept: Wake, closed: str) -> None:
    before = ("sh", "-c", f'exec "$@" {closed}', "sh")
    assert kept.said(before=before).line == ASKED
    assert kept.said(before=before, TOKMON_BIN="/dev/null").line == LAST
    kept.decide()
    assert kept.said(before=before).line == DECIDED


@pytest.mark.parametrize("closed", [">&-", ">/dev/full", "<&- >&- 2>&-", "<&- >&-"])
def test_even_with_nowhere_to_print_to_it_exits_0(wake: Wake, closed: str) -> None:
    for deciding in (False, True):
        if deciding:
            wake.decide()
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *wake.shell, HOOK],
            env=wake.environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nobody_listening_is_no_failure(wake: Wake) -> None:
    script = '{ "$@"; echo "$?" >&2; } | :'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *wake.shell, HOOK], env=wake.environment, capture_output=True, check=False
    )
    assert done.stderr.splitlines()[-1] == b"0"


@pytest.mark.parametrize("options", ["-eu", "-f", "-C", "-a", "-eufCa"])
def test_options_of_the_shell_change_nothing(wake: Wake, options: str) -> None:
    strict = Wake(wake.folder / "strict", (*wake.shell, options))
    strict.tokmon()
    assert strict.line() == ASKED
    assert strict.line(TOKMON_BIN="/dev/null") == LAST
    strict.decide()
    assert strict.line(SHELLOPTS="nounset:errexit:noglob") == DECIDED


def test_variables_that_shells_heed_change_nothing(wake: Wake) -> None:
    odd = {"IFS": "/", "CDPATH": "/:/tmp", "ENV": "/dev/zero", "PS4": "$(echo x >&2)", "LC_ALL": "no_SUCH.locale"}
    own = ("user", "home", "state", "runtime", "provider", "model", "line", "answered", "uptime", "left", "tokmon")
    odd |= dict.fromkeys(own, "1 $(exit 9)")
    odd["POSIXLY_CORRECT"] = "1"
    assert wake.line(**odd).split() == ASKED.split()
    wake.decide()
    assert wake.line(**odd) == DECIDED


@pytest.fixture
def stranger(wake: Wake) -> Iterator[tuple[Wake, int]]:
    """A wake of a user who has no other process, in a folder that they can read."""
    if reason := without_root() or without_program("prlimit") or without_program("setpriv"):
        pytest.skip(reason)
    user = 47_114
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        made = Wake(Path(folder) / "wake", wake.shell)
        made.tokmon()
        shutil.copy(HOOK, Path(folder) / "budget-select")
        for path in (made.folder, *made.folder.rglob("*")):
            os.chown(path, user, user)
        yield made, user


def test_where_no_process_can_be_started_there_is_still_a_line(stranger: tuple[Wake, int]) -> None:
    wake, user = stranger
    become = ("prlimit", "--nproc=0", "setpriv", f"--reuid={user}", "--clear-groups", "--no-new-privs")
    hook = wake.folder.parent / "budget-select"
    done = subprocess.run(
        [*become, *wake.shell, hook], env=wake.environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{BUILT_IN}\n")
    # bash itself tries again for a quarter of a minute, and says so each time.
    assert len([line for line in done.stderr.splitlines() if ": fork: " not in line]) <= 1
