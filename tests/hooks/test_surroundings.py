"""Wherever and however a wake happens: no HOME, no PATH, no folder, no room, nothing open, nothing allowed."""

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hooks.wake import ASKED, BUILT_IN, DECIDED, FIRST, HOOK, LAST, SLACK_S, Run, Wake
from tests.install.capabilities import without_mounts, without_program, without_root

MOUNTED = ("unshare", "--mount", "sh", "-c")


def test_without_a_home_the_folders_that_are_named_count(wake: Wake) -> None:
    named = {
        "TOKMON_STATE_DIR": str(wake.state),
        "TOKMON_CONFIG_DIR": str(wake.config),
        "TOKMON_LOG_DIR": str(wake.logs),
        "PI_CODING_AGENT_DIR": str(wake.home / ".pi" / "agent"),
        "TOKMON_BIN": str(wake.home / ".local" / "bin" / "tokmon"),
    }
    for home in (None, "", "/no/such/home", "/dev/null"):
        wake.decide()
        assert wake.line(HOME=home, **named) == DECIDED
        wake.decide(pair=LAST, boot_id="another-boot")
        assert wake.line(HOME=home, **named) == ASKED
        assert wake.line(HOME=home, **named | {"TOKMON_BIN": "/dev/null"}) == LAST


@pytest.mark.skipif(without_mounts() is not None, reason=str(without_mounts()))
def test_without_a_home_it_is_the_one_that_the_user_has(wake: Wake) -> None:
    passwd = wake.folder / "passwd"
    prepare = 'mount --bind "$0/passwd" /etc/passwd && exec "$@"'
    before = (*MOUNTED, prepare, str(wake.folder))
    passwd.write_text(f"other:x:77:77::/other:/bin/sh\nme:x:0:0:Me:{wake.home}:/bin/sh\nlast:x:78:78::/last:/bin/sh\n")
    assert wake.run(before, HOME=None).line == ASKED
    wake.decide()
    assert wake.run(before, HOME=None).line == DECIDED
    passwd.write_text(f"other:x:77:77::{wake.home}:/bin/sh\n")
    assert wake.run(before, HOME=None, TOKMON_BIN="/dev/null").line == BUILT_IN


@pytest.mark.skipif(without_mounts() is not None, reason=str(without_mounts()))
def test_a_full_disk_is_no_matter(wake: Wake) -> None:
    wake.decide()
    fresh = wake.decision.read_text()
    prepare = (
        'mount -t tmpfs -o size=16k tmpfs "$0" && printf %s "$1" >"$0/decision" && '
        'cat /dev/zero >"$0/filling" 2>/dev/null; shift; '
        '{ echo x >"$0/more"; } 2>/dev/null && exit 9; exec "$@"'
    )
    for text, tokmon, answer in (
        (fresh, "/dev/null", DECIDED),
        (wake.text(pair=LAST, issued=-9, expires=-1), "/dev/null", LAST),
        (wake.text(pair=LAST, issued=-9, expires=-1), str(wake.home / ".local" / "bin" / "tokmon"), ASKED),
        ("x", "/dev/null", BUILT_IN),
    ):
        assert wake.run((*MOUNTED, prepare, str(wake.state), text), TOKMON_BIN=tokmon).line == answer


@pytest.mark.skipif(without_mounts() is not None, reason=str(without_mounts()))
def test_without_proc_tokmon_is_asked(wake: Wake) -> None:
    wake.decide()
    for script, answer in ((f"echo {ASKED}", ASKED), ("exec sleep 60", DECIDED)):
        wake.tokmon(script)
        before = (*MOUNTED, 'mount -t tmpfs tmpfs /proc && exec "$@"', "sh")
        assert wake.run(before, TOKMON_DEADLINE_MS="500").line == answer


@pytest.mark.skipif(without_mounts() is not None, reason=str(without_mounts()))
def test_without_timeout_tokmon_is_asked(wake: Wake) -> None:
    prepare = (
        "PATH=/mnt:$PATH && mount --bind /usr/bin /mnt && mount -t tmpfs tmpfs /usr/bin && ln -s /mnt/* /usr/bin && "
        'rm /usr/bin/timeout && PATH=${PATH#*:} && ! command -v timeout >/dev/null && exec "$@"'
    )
    assert wake.run((*MOUNTED, prepare, "sh")).line == ASKED


@pytest.mark.skipif(without_mounts() is not None, reason=str(without_mounts()))
@pytest.mark.skipif(without_program("busybox") is not None, reason=str(without_program("busybox")))
def test_the_timeout_of_busybox_ends_what_hangs(wake: Wake) -> None:
    mount = 'mount --bind "$(command -v busybox)" "$(command -v timeout)" && exec "$@"'
    wake.tokmon("exec sleep 60")
    run = wake.run((*MOUNTED, mount, "sh"), leaves_processes=True, TOKMON_DEADLINE_MS="1200")
    assert run == Run(LAST, "budget-select: `tokmon select` took too long: using the last decision", run.pid)


@pytest.mark.skipif(without_mounts() is not None, reason=str(without_mounts()))
def test_a_state_folder_that_cannot_be_written_is_no_matter(wake: Wake) -> None:
    before = (*MOUNTED, 'mount --bind -o ro "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"', str(wake.state))
    assert wake.run(before).line == ASKED
    assert wake.run(before, TOKMON_BIN="/dev/null").line == LAST


def test_without_a_path_the_usual_folders_are_searched(wake: Wake) -> None:
    for path in (None, "", "/no/such/folder", "."):
        assert wake.line(PATH=path) == ASKED
    wake.decide()
    assert wake.line(PATH="") == DECIDED


def test_in_a_folder_that_is_gone_the_wake_goes_on(wake: Wake) -> None:
    gone = wake.folder / "gone"
    before = ("sh", "-c", 'cd "$0" && rmdir "$0" && exec "$@"', str(gone))
    gone.mkdir()
    assert wake.run(before).line == ASKED
    gone.mkdir()
    wake.decide()
    assert wake.run(before).line == DECIDED


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-", "2>/dev/full", "</dev/zero", "3>&1 4>&2 9>&1"])
def test_closed_and_odd_files_are_no_matter(wake: Wake, closed: str) -> None:
    before = ("sh", "-c", f'exec "$@" {closed}', "sh")
    assert wake.run(before).line == ASKED
    assert wake.run(before, TOKMON_BIN="/dev/null").line == LAST
    wake.decide()
    assert wake.run(before).line == DECIDED


@pytest.mark.parametrize("closed", [">&-", ">/dev/full", "<&- >&- 2>&-", "<&- >&-"])
def test_with_nowhere_to_print_to_it_exits_0(wake: Wake, closed: str) -> None:
    for decision, answer in ((wake.text(), ""), ("", "")):
        wake.decide(decision)
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *wake.shell, str(HOOK)],
            env=wake.environment,
            capture_output=True,
            text=True,
            timeout=SLACK_S,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, answer, "")


def test_with_nobody_listening_it_exits_0(wake: Wake) -> None:
    for tokmon in ("/dev/null", str(wake.home / ".local" / "bin" / "tokmon")):
        script = '{ "$@"; echo "$?" >&2; } | :'
        words = ["sh", "-c", script, "sh", *wake.shell, str(HOOK)]
        done = subprocess.run(words, env=wake.environment | {"TOKMON_BIN": tokmon}, capture_output=True, check=False)
        assert done.stderr.splitlines()[-1] == b"0"


@pytest.mark.parametrize("env", [{}, {"TOKMON_PIN": "team-pin"}, {"TOKMON_DEFAULT_MODEL": "other"}])
def test_a_stderr_whose_reader_has_gone_changes_no_answer(wake: Wake, env: dict[str, str]) -> None:
    wake.decide(pair=FIRST, expires=0)
    answer = {"TOKMON_PIN": "team-pin pin-model", "TOKMON_DEFAULT_MODEL": "team-first other"}
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as broken:
        words = [*wake.shell, str(HOOK)]
        env = env | {"TOKMON_BIN": "/dev/null"}
        # `subprocess` restores what Python ignores: SIGPIPE ends a process that does not care for it.
        done = subprocess.run(
            words, env=wake.environment | env, stdout=subprocess.PIPE, stderr=broken, timeout=SLACK_S, check=False
        )
    assert (done.returncode, done.stdout.decode()) == (0, answer.get(next(iter(env)), FIRST) + "\n")


def test_a_limit_on_the_size_of_files_changes_no_answer(wake: Wake) -> None:
    with (wake.folder / "errors").open("wb") as errors:

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

        for tokmon, answer in (("/dev/null", LAST), (str(wake.home / ".local" / "bin" / "tokmon"), ASKED)):
            done = subprocess.run(
                [*wake.shell, str(HOOK)],
                env=wake.environment | {"TOKMON_BIN": tokmon},
                stdout=subprocess.PIPE,
                stderr=errors,
                preexec_fn=limited,
                timeout=SLACK_S,
                check=False,
            )
            assert (done.returncode, done.stdout.decode()) == (0, f"{answer}\n")


@pytest.mark.parametrize("options", ["-eu", "-eufCa"])
def test_options_of_the_shell_change_nothing(wake: Wake, options: str) -> None:
    strict = Wake(wake.folder, (*wake.shell, options), wake.environment)
    assert strict.line() == ASKED
    assert strict.line(TOKMON_BIN="/dev/null") == LAST
    strict.decide()
    assert strict.line(SHELLOPTS="nounset:errexit:noglob") == DECIDED


def test_shell_variables_in_the_environment_do_not_change_the_answer(wake: Wake) -> None:
    odd = {"IFS": "/", "CDPATH": "/:/tmp", "ENV": "/dev/zero", "PS4": "$(echo x >&2)"}
    names = {
        word.split("=")[0] for word in HOOK.read_text().split() if word.split("=")[0].isidentifier() and "=" in word
    }
    odd |= {name: "1 $(exit 9)" for name in names if name.islower()}
    odd |= {"POSIXLY_CORRECT": "1", "BASH_VERSION": "5", "BB_ASH_VERSION": "1", "KSH_VERSION": "1"}
    assert {"uptime", "answer", "locked", "waiting_since"} <= odd.keys()
    assert wake.line(**odd) == ASKED
    assert wake.line(**odd, TOKMON_BIN="/dev/null") == LAST
    wake.decide()
    assert wake.line(**odd) == DECIDED


@pytest.fixture
def stranger(wake: Wake) -> Iterator[tuple[Wake, int]]:
    """A wake of a user who has no other process, in a folder that they can read."""
    if reason := without_root() or without_program("prlimit") or without_program("setpriv"):
        pytest.skip(reason)
    user = 40_000 + os.getpid() % 20_000  # another test may run at the same time
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
    if Path(wake.shell[0]).name in ("bash", "mksh"):
        pytest.skip("this shell tries again by itself for half a minute: docs/hook.md")
    become = ("prlimit", "--nproc=0", "setpriv", f"--reuid={user}", "--clear-groups", "--no-new-privs")
    words = [*become, *wake.shell, str(wake.folder.parent / "budget-select")]
    done = subprocess.run(words, env=wake.environment, capture_output=True, text=True, timeout=SLACK_S, check=False)
    assert (done.returncode, done.stdout) == (0, f"{LAST}\n")
    # yash ends before it gives the hook its stderr back.
    assert done.stderr in ("budget-select: no process could be started: using the last decision\n", "")
