"""How `tokmon status` fits where it is shown, and what it says of what it cannot read or write."""

import os
import pty
import subprocess
import sys
import time
from datetime import UTC

import pytest

from tests.commands.logbook import HOUR, NOW, Record, configure, line, snapshot, tokmon, window, write
from tokmon import paths
from tokmon.report.status import status_text
from tokmon.report.view import view
from tokmon.report.words import Style


def rows(*lines: Record, width: int, **types: str) -> list[str]:
    return status_text(view(snapshot(*lines), types, NOW), width, Style(zone=UTC))


def words(*lines: Record, width: int, **types: str) -> str:
    """The same without its layout."""
    return " ".join(" ".join(rows(*lines, width=width, **types)).split())


def test_no_row_of_80_columns_is_folded_for_a_long_reset_or_for_one_long_name() -> None:
    windows = [window(name, 1.0, 22.9 * HOUR) for name in ("7d", "output_tokens_minute")]
    said = rows(line("a", "allowed", *windows, age=59 * 60.0), width=80)
    assert [row.split()[0] for row in said[2:4]] == ["output_tokens_~", "7d"]
    assert all(row.endswith("100%  resets in 22h 54m, Mon 05:54Z  59m ago, header") for row in said[2:4])


def test_an_account_of_which_nothing_is_known_says_so_at_any_width() -> None:
    throttled = line("a-provider-with-a-long-name", "rejected", scope="request", type="a-type-with-a-long-name")
    for width in (20, 40, 80):
        assert "seen, and nothing said of its quota" in words(throttled, width=width)
        assert "nothing seen yet" in words(width=width, **{"another-with-a-long-name": "its-type"})


def test_a_narrow_terminal_cuts_no_number() -> None:
    said = words(line("a", "allowed", window("5h", 0.42, 22.9 * HOUR), overage={"in_use": True}), width=20)
    assert "5h ... 42% resets in 22h 54m, Mon 05:54Z 1m ago, header" in said.replace("#..", "...")
    assert "spending credit 1m ago" in said


def test_what_cannot_be_read_is_named() -> None:
    configure(a={})
    found = write("piggyback.jsonl", line("a", "allowed"))
    (found.parent / "probe.jsonl").mkdir()
    assert f"warning: `{found.parent}/probe.jsonl` cannot be read" in tokmon("status").stderr
    (found.parent / "probe.jsonl").rmdir()
    assert tokmon("status").stderr == ""
    paths.find().models.write_text('{"providers":', encoding="utf-8")
    done = tokmon("status")
    assert (done.returncode, done.stderr.count("warning: ")) == (0, 1)
    assert f"`{paths.find().models}` cannot be read" in done.stderr


def test_a_file_in_the_place_of_the_log_folder_is_named() -> None:
    found = paths.find()
    found.logs.parent.mkdir(parents=True)
    found.logs.touch()
    done = tokmon("status", "--json")
    assert done.returncode == 0
    assert f"warning: `{found.logs}` cannot be read" in done.stderr


@pytest.mark.parametrize("form", ["text", "json", "wake"])
def test_an_output_that_cannot_be_written_is_one_error(form: str) -> None:
    configure(a={})
    command = f"{sys.executable} -m tokmon status --format {form}"
    for redirection, said in (
        (">&-", "there is no standard output"),
        (">/dev/full", "cannot write to the standard output"),
    ):
        done = subprocess.run(["sh", "-c", f"{command} {redirection}"], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: {said}")
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["select --explain", "check --pi true", "doctor", "doctor --json", "monitor"])
def test_no_output_at_all_is_one_error(verb: str) -> None:
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
    with subprocess.Popen(command, stdout=follower, stderr=subprocess.DEVNULL, env=surroundings) as process:
        os.close(follower)
        said = b""
        try:
            while block := os.read(leader, 65536):
                said += block
        except OSError:  # the other end is closed
            pass
        process.wait(timeout=30)
    os.close(leader)
    return said


def test_a_terminal_gets_colour_unless_it_asks_for_none() -> None:
    write("piggyback.jsonl", line("a", "allowed", window("5h", 0.42), age=NOW - time.time() + 60))
    assert b"\x1b[32m" in in_a_terminal()
    assert b"\x1b" not in in_a_terminal(NO_COLOR="1")
    assert b"\x1b" not in in_a_terminal(TERM="dumb")
