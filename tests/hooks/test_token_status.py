"""`token-status`: the block for a wake prompt, whole, or nothing; exit 0, in time, whatever tokmon does."""

import json
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.hooks.wake import HOOK, SLACK_S, Wake, alone
from tokmon.report.wake_block import HEADER

SCRIPT: Final = HOOK.parents[1] / "bootstrap" / "token-status"
BLOCK: Final = f"{HEADER}\nAnthropic Teams (2 seats):\n  team-a ✓ 5h:32% 7d:45% resets 4h\n\n  a\\b  -n $x `y` *\n"


def run(wake: Wake, *, leaves_processes: bool = False, **more: Any) -> str:
    # yash reads no other letters in the locale C.
    changed = {**wake.environment, "LC_ALL": "C.UTF-8", **more}
    with alone(allowed=leaves_processes):
        done = subprocess.run(
            [*wake.shell, SCRIPT],
            env={name: value for name, value in changed.items() if value is not None},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SLACK_S,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def prints(wake: Wake, text: str, then: str = "") -> None:
    """Let tokmon print that, and then do `then`."""
    (wake.folder / "block").write_text(text)
    block = shlex.quote(str(wake.folder / "block"))
    wake.tokmon(f"[ \"$*\" = 'status --format wake' ] || exit 2\ncat {block}\n{then}")


def test_the_block_is_printed_as_it_is(wake: Wake) -> None:
    prints(wake, BLOCK)
    assert run(wake) == BLOCK


def real(wake: Wake) -> None:
    root = Path(__file__).resolve().parents[2]
    wake.tokmon(f'PYTHONPATH={shlex.quote(str(root))} exec {shlex.quote(sys.executable)} -m tokmon "$@"')


def test_a_real_tokmon_without_any_account_has_a_block(text_wake: Wake) -> None:
    real(text_wake)
    assert run(text_wake, TOKMON_DEADLINE_MS="60000").startswith(f"{HEADER}\n")


def test_accounts_without_current_data_are_named_and_not_probed(text_wake: Wake) -> None:
    real(text_wake)
    agent = text_wake.home / ".pi" / "agent"
    agent.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        seat = {
            "baseUrl": f"http://127.0.0.1:{server.getsockname()[1]}",
            "api": "anthropic-messages",
            "apiKey": "sk-ant-oat01-key",
            "models": [{"id": "claude-sonnet-4-6"}],
        }
        (agent / "models.json").write_text(json.dumps({"providers": {"team-a": seat, "team-b": seat}}))
        old = {"ts": "2026-01-01T00:00:00Z", "source": "probe", "provider": "team-b", "status": "allowed"}
        (text_wake.logs / "probe.jsonl").write_text(json.dumps(old) + "\n")
        block = run(text_wake, TOKMON_DEADLINE_MS="60000")
        with pytest.raises(BlockingIOError):
            server.accept()
    assert {line.split()[0] for line in block.splitlines() if " ? " in line} == {"team-a", "team-b"}


def test_without_its_last_end_of_line_it_is_whole(wake: Wake) -> None:
    prints(wake, BLOCK.rstrip("\n"))
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
def test_what_is_not_a_whole_block_is_nothing(text_wake: Wake, text: str, then: str) -> None:
    prints(text_wake, text, then)
    assert run(text_wake) == ""


@pytest.mark.parametrize("way", ["missing", "not runnable", "no home", "a folder", "no program"])
def test_without_tokmon_it_is_silent(text_wake: Wake, way: str, tmp_path: Path) -> None:
    wake = text_wake
    prints(wake, BLOCK)
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
    prints(wake, BLOCK)
    program = wake.home / ".local" / "bin" / "tokmon"
    moved = program.rename(wake.programs / "tokmon")
    assert run(wake) == BLOCK
    assert run(wake, HOME=None) == BLOCK
    moved = moved.rename(wake.folder / "mine")
    assert run(wake, TOKMON_BIN=str(moved)) == BLOCK


def test_what_takes_too_long_is_ended(wake: Wake) -> None:
    wake.tokmon("exec sleep 60")
    assert run(wake, TOKMON_DEADLINE_MS="800") == ""


@pytest.mark.parametrize("script", ["trap '' TERM; while :; do sleep 0.1; done", "exec cat /dev/zero"])
def test_what_does_not_want_to_end_is_killed(text_wake: Wake, script: str) -> None:
    text_wake.tokmon(script)
    assert run(text_wake, leaves_processes=True, TOKMON_DEADLINE_MS="800") == ""


def test_a_process_that_keeps_the_output_open_keeps_nobody_waiting(wake: Wake) -> None:
    prints(wake, BLOCK, "sleep 90 &")
    assert run(wake, leaves_processes=True) == BLOCK


@pytest.mark.parametrize("deadline", ["", "0", "-1", "abc", "0x10", "99999999999999999999", "08"])
def test_any_deadline_is_one(text_wake: Wake, deadline: str) -> None:
    prints(text_wake, BLOCK)
    assert run(text_wake, TOKMON_DEADLINE_MS=deadline) == BLOCK
