"""A command that root runs as a member: what it may do, what comes out of it, and how it ends."""

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.install.accounts import account, needs_accounts, somebody_else
from tests.install.capabilities import public_python, without_another_user, without_root
from tests.sidecar.running import wait_until
from tokmon.installer.host.members import named
from tokmon.installer.host.run_as import Ended, UnixAccount, run_as

_REASON: Final = without_root() or without_another_user()
pytestmark = pytest.mark.skipif(_REASON is not None, reason=_REASON or "-")

ROOT: Final = UnixAccount("root", 0, 0, Path("/root"))
STATE: Final = """
import json, os, stat, sys

def is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True

def terminal():
    try:
        return os.open("/dev/tty", os.O_RDWR)
    except OSError:
        return None

print(json.dumps({
    "ids": [*os.getresuid(), *os.getresgid()],
    "groups": sorted(os.getgroups()),
    "session": os.getsid(0) == os.getpid(),
    "terminal": terminal(),
    "folder": os.getcwd(),
    "umask": os.umask(0),
    "stdin": sys.stdin.read(),
    "files": [fd for fd in range(3, 100) if is_open(fd)],
    "environment": dict(os.environ),
}))
"""


@pytest.fixture(scope="module")
def somebody(open_folder: Path) -> Iterator[UnixAccount]:
    """An account without a login, whose home is closed to others."""
    with somebody_else(open_folder) as made:
        yield named(made.pw_name).account


def run(account: UnixAccount, code: str, timeout_s: float = 60, **environment: str) -> tuple[Ended, list[str]]:
    """Run Python code as an account: how it ended, and the lines that were shown."""
    lines: list[str] = []
    words = [str(public_python()), "-I", "-c", code]
    return run_as(account, words, timeout_s=timeout_s, environment=environment, show=lines.append), lines


# ---------------------------------------------------------------- what it may do


@needs_accounts
def test_the_command_has_the_accounts_ids_and_no_group_terminal_file_or_variable_of_roots(
    somebody: UnixAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setattr(os, "getgroups", lambda: [0, 4, 27])
    with tempfile.TemporaryFile():
        ended, lines = run(somebody, STATE)
    assert ended == Ended(0)
    state = json.loads(lines[0])
    environment = state.pop("environment")
    assert state == {
        "ids": [somebody.uid] * 3 + [somebody.gid] * 3,
        "groups": [somebody.gid],
        "session": True,
        "terminal": None,
        "folder": "/",
        "umask": 0o077,
        "stdin": "",
        "files": [],
    }
    assert set(environment) - {"LC_ALL"} == {"HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG"}
    assert (environment["HOME"], environment["USER"]) == (str(somebody.home), somebody.name)


@needs_accounts
def test_the_supplementary_groups_of_the_account_are_its_own(open_folder: Path) -> None:
    with account(open_folder) as made, account(open_folder) as other:
        subprocess.run(["usermod", "--append", "--groups", other.pw_name, made.pw_name], check=True)
        _, lines = run(named(made.pw_name).account, "import os; print(*os.getgroups())")
    assert {int(group) for group in lines[0].split()} == {made.pw_gid, other.pw_gid}


@needs_accounts
def test_there_is_no_way_back_to_root(somebody: UnixAccount) -> None:
    code = """
import os
for way, to in ((os.setuid, 0), (os.seteuid, 0), (os.setgid, 0), (os.setgroups, [0])):
    try:
        way(to)
    except PermissionError:
        print("refused")
"""
    assert run(somebody, code)[1] == ["refused"] * 4


@needs_accounts
def test_what_the_command_writes_is_the_accounts_and_private(somebody: UnixAccount) -> None:
    code = "import pathlib; path = pathlib.Path.home() / 'made'; path.write_text('x')"
    assert run(somebody, code)[0].code == 0
    found = (somebody.home / "made").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (somebody.uid, 0o600)


@needs_accounts
def test_the_command_cannot_read_what_is_roots(somebody: UnixAccount, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    ended, _ = run(somebody, f"open({str(secret)!r})")
    assert (ended.code, "Permission denied" in ended.stderr) == (1, True)


def test_what_the_caller_adds_is_in_the_environment() -> None:
    assert run(ROOT, "import os; print(os.environ['MORE'])", MORE="1")[1] == ["1"]


# ---------------------------------------------------------------- what comes out of it


def test_each_line_is_shown_as_it_is_written(tmp_path: Path) -> None:
    lines: list[str] = []

    def show(line: str) -> None:
        lines.append(line)
        (tmp_path / "shown").touch()

    code = f"""
import os, sys
print("first", flush=True)
while not os.path.exists({str(tmp_path / "shown")!r}):
    pass
sys.stdout.write("last without an end")
"""
    words = [str(public_python()), "-I", "-c", code]
    assert run_as(ROOT, words, timeout_s=60, show=show) == Ended(0)
    assert lines == ["first", "last without an end"]


def test_what_could_command_a_terminal_is_escaped_on_both_streams() -> None:
    text = b"\x1b]0;title\x07 caf\xc3\xa9 \xff \xe2\x80\xae\n"
    ended, lines = run(ROOT, f"import os; os.write(1, {text!r}); os.write(2, {text!r})")
    escaped = "\\x1b]0;title\\x07 café \\\\xff \\u202e"
    assert (lines, ended.stderr) == ([escaped.replace("\\\\", "\\")], escaped.replace("\\\\", "\\"))


@pytest.mark.parametrize("text", ["x" * 1023, "line\n"])
def test_a_flood_neither_fills_the_memory_nor_holds_up_its_writer(text: str) -> None:
    code = f"import os\nblock = {text!r}.encode() * 1024\nfor _ in range((16 << 20) // len(block)): os.write(1, block)"
    ended, lines = run(ROOT, code)
    assert ended == Ended(0)
    assert lines[-1] == "(more output is not shown)"
    assert sum(map(len, lines)) < 5 << 20


# ---------------------------------------------------------------- how it ends


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import os; os.kill(os.getpid(), 9)", Ended(-9, problem="was ended by SIGKILL")),
        ("import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 3)", Ended(-37, problem="was ended by signal 37")),
        ("import sys; sys.exit(7)", Ended(7)),
        ("import sys; sys.exit('why')", Ended(1, "why")),
    ],
)
def test_the_exit_code_the_signal_and_the_error_output_are_returned(code: str, expected: Ended) -> None:
    assert run(ROOT, code)[0] == expected


def test_a_program_that_cannot_be_run_is_a_problem_and_no_exception() -> None:
    ended = run_as(ROOT, ["/nowhere/tokmon"], timeout_s=60)
    assert "No such file" in str(ended.problem)


def test_a_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    code = f"""
import signal, subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
started = subprocess.Popen(["sleep", "1000"])
open({str(tmp_path / "pid")!r}, "w").write(str(started.pid))
print("hangs", flush=True)
signal.pause()
"""
    ended, lines = run(ROOT, code, timeout_s=1)
    assert (ended.problem, lines) == ("took longer than 1 s", ["hangs"])
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: has_ended(pid), "the end of what it started")


def test_a_process_left_behind_holds_nobody_up() -> None:
    code = 'import subprocess; print(subprocess.Popen(["sleep", "1000"]).pid)'  # it has our pipe
    ended, lines = run(ROOT, code)
    assert ended == Ended(0)
    os.kill(int(lines[0]), signal.SIGKILL)


def test_when_we_are_interrupted_the_command_ends() -> None:
    pids: list[int] = []

    def show(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    words = [str(public_python()), "-I", "-c", "import os, signal; print(os.getpid(), flush=True); signal.pause()"]
    with pytest.raises(KeyboardInterrupt):
        run_as(ROOT, words, timeout_s=60, show=show)
    wait_until(lambda: has_ended(pids[0]), "the end of the command")


def test_when_we_are_killed_the_command_ends_with_its_next_line(tmp_path: Path) -> None:
    code = f"""
import os
open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
while True:
    print("a step", flush=True)
"""
    script = f"""
import os
from pathlib import Path
from tokmon.installer.host.run_as import UnixAccount, run_as
words = [{str(public_python())!r}, "-I", "-c", {code!r}]
run_as(UnixAccount("root", 0, 0, Path("/root")), words, timeout_s=60, show=lambda _: os._exit(9))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 9, done.stderr
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: has_ended(pid), "the end of the command")


def has_ended(pid: int) -> bool:
    """Whether a process has ended; in a container whose first process reaps none, one without a parent stays listed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except (ProcessLookupError, FileNotFoundError):
        return True
