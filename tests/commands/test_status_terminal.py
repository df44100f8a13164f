"""How `tokmon status` fits a terminal, and what it shows of files that it cannot read or write."""

import os
import pty
import subprocess
import sys
import time
from datetime import UTC

import pytest

from tests.commands.logbook import HOUR, NOW, Record, configure, line, shown, window, write
from tests.commands.screens import run
from tests.patience import PATIENCE_S
from tokmon import paths
from tokmon.report.status import status_text
from tokmon.report.words import Style


def rows(*lines: Record, width: int, **types: str | None) -> list[str]:
    return status_text(shown(*lines, types=types), width, Style(zone=UTC))


def words(*lines: Record, width: int, **types: str | None) -> str:
    """The same without its layout."""
    return " ".join(" ".join(rows(*lines, width=width, **types)).split())


def test_a_row_of_80_columns_is_not_folded_for_a_long_reset_or_one_long_name() -> None:
    windows = [window(name, 1.0, 22.9 * HOUR) for name in ("7d", "output_tokens_minute")]
    report = rows(line("a", "allowed", *windows, age=59 * 60.0), width=80)
    assert [row.split()[0] for row in report[2:4]] == ["output_tokens_~", "7d"]
    assert all(row.endswith("100%  resets in 22h 54m, Mon 05:54Z     59m ago (pi)") for row in report[2:4])


def test_an_account_without_data_says_so_at_any_width() -> None:
    throttled = line("a-provider-with-a-long-name", "rejected", scope="request", type="a-type-with-a-long-name")
    for width in (20, 40, 80):
        assert "responses recorded" in words(throttled, width=width)
        assert "no response recorded yet" in words(width=width, **{"another-with-a-long-name": "its-type"})
    assert "responses recorded, none with quota data; last response was a 429" in words(throttled, width=200)


def test_a_narrow_terminal_cuts_no_number_and_breaks_no_word() -> None:
    report = words(line("a", "allowed", window("5h", 0.42, 22.9 * HOUR), overage={"in_use": True}), width=20)
    assert "5h . 42% resets in 22h 54m, Mon 05:54Z 1m ago (pi)" in report
    assert "paid from credit 1m ago" in report


def test_a_log_that_cannot_be_read_is_named_and_the_others_are_shown() -> None:
    configure(a={})
    log = write("piggyback.jsonl", line("a", "allowed"))
    (log.parent / "probe.jsonl").mkdir()
    assert f"warning: cannot read `{log.parent}/probe.jsonl`; its data is not shown" in run("status").stderr
    (log.parent / "probe.jsonl").rmdir()
    assert run("status").stderr == ""
    paths.find().models.write_text('{"providers":', encoding="utf-8")
    done = run("status")
    assert (done.returncode, done.stderr.count("warning: ")) == (0, 1)
    assert f"cannot read `{paths.find().models}`" in done.stderr


def test_an_unreadable_log_folder_is_an_error_with_its_hint_and_exits_3_in_guard() -> None:
    locations = paths.find()
    locations.logs.parent.mkdir(parents=True)
    locations.logs.touch()
    for command in (["status"], ["status", "--json"], ["tail", "--no-follow"], ["monitor"]):
        done = run(*command)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.splitlines()[0] == f"error: cannot read the logs in `{locations.logs}`: not a directory"
        assert done.stderr.splitlines()[1].startswith("hint: ")
    guard = run("guard", "team-a")
    assert guard.returncode == 3
    assert guard.stderr.startswith(f"unknown: cannot read the logs in `{locations.logs}`")
    wake = run("status", "--format", "wake")
    assert (wake.returncode, wake.stderr) == (0, "")
    assert "Some files could not be read" in wake.stdout
    chosen = run("select", "--no-probe", TOKMON_SELECT_CHAIN="team-a")
    assert (chosen.returncode, chosen.stdout) == (0, "team-a claude-sonnet-4-6\n")
    assert f"warning: cannot read the logs in `{locations.logs}`" in chosen.stderr


@pytest.mark.parametrize("form", ["text", "json", "wake"])
def test_an_output_that_cannot_be_written_is_one_error(form: str) -> None:
    configure(a={})
    command = f"{sys.executable} -m tokmon status --format {form}"
    for redirection, message in (
        (">&-", "there is no standard output"),
        (">/dev/full", "cannot write to the standard output"),
    ):
        done = subprocess.run(["sh", "-c", f"{command} {redirection}"], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: {message}")
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["select --explain", "check --pi true", "doctor", "doctor --json", "monitor"])
def test_a_closed_output_is_one_error(verb: str) -> None:
    configure(team_a={"api": "anthropic-messages", "models": [{"id": "m"}]})
    command = f"{sys.executable} -m tokmon {verb} >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "error: there is no standard output")


def in_a_terminal(**env: str) -> bytes:
    """What `tokmon status` writes to a terminal."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "tokmon", "status"]
    surroundings = {**os.environ, "TERM": "xterm-256color", **env}
    surroundings.pop("NO_COLOR", None) if "NO_COLOR" not in env else None
    with subprocess.Popen(command, stdout=follower, stderr=subprocess.DEVNULL, env=surroundings) as status:
        os.close(follower)
        written = b""
        try:
            while block := os.read(leader, 65536):
                written += block
        except OSError:  # the other end is closed
            pass
        status.wait(timeout=PATIENCE_S)
    os.close(leader)
    return written


def test_a_terminal_gets_colour_unless_it_asks_for_none() -> None:
    write("piggyback.jsonl", line("a", "allowed", window("5h", 0.42), age=NOW - time.time() + 60))
    assert b"\x1b[32m" in in_a_terminal()
    assert b"\x1b" not in in_a_terminal(NO_COLOR="1")
    assert b"\x1b" not in in_a_terminal(TERM="dumb")
