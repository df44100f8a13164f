"""`token-status`: the block for a wake prompt, whole, or nothing; exit 0, in time, whatever tokmon does."""

import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import pytest

from tests.hooks.wake import HOOK, SLACK_S, Wake, alone
from tokmon.report.wake_block import HEADER

SCRIPT: Final = HOOK.parents[1] / "bootstrap" / "token-status"
BLOCK: Final = f"{HEADER}\nAnthropic Teams (2 seats):\n  team-a ✓ 5h:32% 7d:45% resets 4h\n\n  a\\b  -n $x `y` *\n"


def run(wake: Wake, *, outlived: str = "", deadline: float = 5.0, **more: Any) -> str:
    changed = {**wake.environment, **more}
    with alone(outlived):
        began = time.monotonic()
        done = subprocess.run(
            [*wake.shell, SCRIPT],
            env={name: value for name, value in changed.items() if value is not None},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert time.monotonic() - began < deadline + SLACK_S
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def says(wake: Wake, text: str, then: str = "") -> None:
    """Let tokmon say that, and end as told."""
    (wake.folder / "said").write_text(text)
    said = shlex.quote(str(wake.folder / "said"))
    wake.tokmon(f"[ \"$*\" = 'status --format wake' ] || exit 2\ncat {said}\n{then}")


def test_the_block_is_printed_as_it_is(wake: Wake) -> None:
    says(wake, BLOCK)
    assert run(wake) == BLOCK


def test_what_a_real_tokmon_says_of_nothing(wake: Wake) -> None:
    root = Path(__file__).resolve().parents[2]
    wake.tokmon(f'PYTHONPATH={shlex.quote(str(root))} exec {shlex.quote(sys.executable)} -m tokmon "$@"')
    assert run(wake, TOKMON_DEADLINE_MS="60000", deadline=60).startswith(f"{HEADER}\n")


def test_without_its_last_end_of_line_it_is_whole(wake: Wake) -> None:
    says(wake, BLOCK.rstrip("\n"))
    assert run(wake) == BLOCK


@pytest.mark.parametrize(
    ("text", "then"),
    [
        (BLOCK, "exit 1"),
        (BLOCK, "kill -KILL $$"),
        ("", ""),
        ("\n\n", ""),
        ("error: no\n", ""),
        (f"x\n{BLOCK}", ""),
        (f"{HEADER}\n" + "line\n" * 1000, ""),
        (f"{HEADER}\nbroken", "echo; echo token-status: ended 1"),
    ],
)
def test_what_is_not_a_whole_block_is_nothing(wake: Wake, text: str, then: str) -> None:
    says(wake, text, then)
    assert run(wake) == ""


@pytest.mark.parametrize("way", ["missing", "not runnable", "no home", "a folder", "no program"])
def test_without_tokmon_it_is_silent(wake: Wake, way: str, tmp_path: Path) -> None:
    says(wake, BLOCK)
    program = wake.home / ".local" / "bin" / "tokmon"
    more: dict[str, Any] = {}
    match way:
        case "missing":
            program.unlink()
        case "not runnable":
            program.chmod(0o600)
        case "no home":
            more = {"HOME": None}
        case "a folder":
            more = {"TOKMON_BIN": str(tmp_path)}
        case "no program":
            more = {"TOKMON_BIN": "/dev/null"}
    if shutil.which("tokmon", path="/usr/local/bin:/usr/bin:/bin"):
        pytest.skip("this machine has a tokmon of its own")
    assert run(wake, **more) == ""


def test_it_is_found_by_its_variable_or_on_the_path(wake: Wake) -> None:
    says(wake, BLOCK)
    program = wake.home / ".local" / "bin" / "tokmon"
    moved = program.rename(wake.programs / "tokmon")
    assert run(wake) == BLOCK
    assert run(wake, HOME=None) == BLOCK
    moved = moved.rename(wake.folder / "mine")
    assert run(wake, TOKMON_BIN=str(moved)) == BLOCK


@pytest.mark.parametrize("script", ["exec sleep 60", "trap '' TERM; while :; do sleep 0.1; done", "exec cat /dev/zero"])
def test_what_takes_too_long_is_ended(wake: Wake, script: str) -> None:
    wake.tokmon(script)
    assert run(wake, outlived="by its own", deadline=3.0, TOKMON_DEADLINE_MS="800") == ""


def test_who_keeps_the_output_open_keeps_nobody_waiting(wake: Wake) -> None:
    says(wake, BLOCK, "sleep 60 &")
    assert run(wake, outlived="by its own") == BLOCK


@pytest.mark.parametrize("said", ["", "0", "-1", "abc", "0x10", "99999999999999999999", "08"])
def test_any_deadline_is_one(wake: Wake, said: str) -> None:
    says(wake, BLOCK)
    assert run(wake, TOKMON_DEADLINE_MS=said) == BLOCK
