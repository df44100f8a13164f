"""Without a fresh decision `tokmon select` is asked within the deadline; whatever it does, there is one line."""

import sys
from pathlib import Path

import pytest

from tests.hooks.wake import ASKED, DECIDED, LAST, Wake

NOTHING = ("", "exit 0", "exit 3", "kill -9 $$", "echo oops >&2; exit 1", "exec >&-; exit 0", "exec sleep no-number")
NO_DECISION = (
    "echo",
    "echo one",
    "echo 0",
    "echo -rf /",
    "echo one -m",
    "echo one two three",
    "echo ' one two'",
    "echo one  two; echo three four",
    "echo one two; echo",
    "printf 'one two'",
    "printf 'one two\\nthree four'",
    "printf 'one  two\\n'",
    "printf 'one two\\r\\n'",
    "printf 'one\\ttwo\\n'",
    "printf 'one tw\\303\\251\\n'",
    "printf 'on\\033e two\\n'",
    "echo one 'two$(id)'",
    "echo 'Traceback (most recent call last):'; echo '  File x'; exit 1",
    "echo one two; exit 1",
    "printf '\\n\\nended 0\\n'",
    "head -c 100000 /dev/zero",
    "head -c 100000 /dev/zero | tr '\\0' x",
    "head -c 4096 /dev/urandom",
)
FLOODS = ("exec yes", "exec cat /dev/zero", "yes | head -c 1000000")
HANGS = (
    "exec sleep 60",
    "echo one two; exec sleep 60",
    "trap '' TERM; echo one two; while :; do read -r line </dev/zero; done",
)


def test_tokmon_is_asked_in_words_that_it_knows_and_told_its_deadline(wake: Wake) -> None:
    wake.tokmon('echo "$*/$#" "$TOKMON_DEADLINE_MS"')
    run = wake.run()
    words, deadline = run.line.split()
    assert (words, run.remark) == ("select/1", "")
    assert 0 < int(deadline) <= 18_000


def test_tokmon_is_found_by_its_variable_then_at_home_then_on_the_path(wake: Wake) -> None:
    wake.tokmon("echo path path", wake.programs / "tokmon")
    own = wake.tokmon("echo own own", wake.folder / "my tokmon")
    assert wake.line(TOKMON_BIN=str(own)) == "own own"
    assert wake.line() == ASKED
    (wake.home / ".local" / "bin" / "tokmon").unlink()
    assert wake.line() == "path path"
    (wake.programs / "tokmon").unlink()
    assert wake.run(PATH="/usr/bin:/bin").remark.startswith("budget-select: there is no tokmon")


def test_what_fails_or_prints_anything_else_is_not_passed_on(wake: Wake) -> None:
    for script in ("exit 3", "kill -9 $$", "printf 'one two'", "echo one two; echo", "echo -rf /", "echo 0"):
        wake.tokmon(script)
        assert wake.line() == LAST, script


@pytest.mark.parametrize("script", [*NOTHING, *NO_DECISION])
def test_only_one_line_of_two_names_is_a_decision(text_wake: Wake, script: str) -> None:
    text_wake.tokmon(script)
    run = text_wake.run(leaves_processes="|" in script)
    assert run.line == LAST
    assert run.remark.startswith("budget-select: `tokmon select` ")


@pytest.mark.parametrize("script", FLOODS)
def test_a_flood_is_no_decision(wake: Wake, script: str) -> None:
    wake.tokmon(script)
    assert wake.run(leaves_processes=True, TOKMON_DEADLINE_MS="500").line == LAST


@pytest.mark.parametrize("script", HANGS)
def test_what_hangs_is_ended_at_the_deadline(wake: Wake, script: str) -> None:
    wake.tokmon(script)
    run = wake.run(TOKMON_DEADLINE_MS="300")
    assert run.line == LAST
    assert "took too long" in run.remark


def test_what_hangs_may_end_itself_before_it_is_killed(wake: Wake) -> None:
    mark = wake.folder / "mark"
    wake.tokmon("trap 'echo ended >\"$MARK\"; exit 1' TERM\nsleep 60 &\nwait")
    assert wake.run(leaves_processes=True, TOKMON_DEADLINE_MS="1000", MARK=str(mark)).line == LAST
    assert mark.read_text() == "ended\n"


def test_nobody_waits_for_what_tokmon_leaves_behind(wake: Wake) -> None:
    for left in ("sleep 90 &", "(trap '' HUP TERM; exec sleep 90) & echo rubbish >&2;", "nohup sleep 90 2>&1 &"):
        wake.tokmon(f"{left} echo {ASKED}")
        assert wake.run(leaves_processes=True).line == ASKED


def test_a_flood_from_what_tokmon_leaves_behind_hangs_nobody(wake: Wake) -> None:
    wake.tokmon(f"cat /dev/zero & echo {ASKED}")
    assert wake.run(leaves_processes=True).line in {ASKED, LAST}


def test_tokmon_that_cannot_be_run_is_not_waited_for(wake: Wake) -> None:
    program = wake.home / ".local" / "bin" / "tokmon"
    for place in ("/dev/null", "/", str(wake.folder / "nowhere"), "no-such-program"):
        assert wake.line(TOKMON_BIN=place) == LAST
    program.write_bytes(b"\x7fELF rubbish")
    assert wake.line() == LAST
    program.write_text("#!/no/such/interpreter\n", encoding="ascii")
    assert wake.line() == LAST


@pytest.mark.parametrize(
    ("deadline", "most"),
    [
        *((odd, 2700) for odd in ("", "3s", "-1", "1e3", "0x10", "007", "0800", " 5", "a[0]", "$(id)", "3000")),
        *((large, 54_000) for large in ("60000", "60001", "99999", "100000", "9" * 23)),
        ("1000", 900),
    ],
)
def test_a_deadline_is_milliseconds_and_at_most_a_minute(text_wake: Wake, deadline: str, most: int) -> None:
    text_wake.tokmon('echo "$TOKMON_DEADLINE_MS" ms')
    left = int(text_wake.line(TOKMON_DEADLINE_MS=deadline).split()[0])
    assert most * 0.1 < left <= most


def test_with_no_time_nobody_is_asked(wake: Wake) -> None:
    for deadline in ("0", "1", "99"):
        run = wake.run(TOKMON_DEADLINE_MS=deadline)
        assert (run.line, run.remark[:45]) == (LAST, "budget-select: there is no time to ask tokmon")
    wake.decide()
    assert wake.line(TOKMON_DEADLINE_MS="0") == DECIDED


def test_the_answer_comes_before_the_remark(wake: Wake) -> None:
    wake.tokmon("exit 1")
    both = wake.folder / "both"
    with both.open("wb") as file, wake.start(stderr=file) as process:
        process.communicate()
    before = ("sh", "-c", '"$@" >"$0" 2>&1', str(both))
    with wake.start(before) as process:
        process.communicate()
    assert both.read_text().splitlines() == [LAST, "budget-select: `tokmon select` failed: using the last decision"]


def test_a_real_python_program_is_waited_for_and_ended_as_any_other(wake: Wake, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable} -IS\nprint('from python')\n")
    program.chmod(0o755)
    assert wake.line(TOKMON_BIN=str(program)) == "from python"
    program.write_text(f"#!{sys.executable} -IS\nimport time\nprint('one two', flush=True)\ntime.sleep(60)\n")
    assert wake.line(TOKMON_BIN=str(program), TOKMON_DEADLINE_MS="300") == LAST


def test_signals_that_the_hook_ignores_are_not_ignored_by_tokmon(wake: Wake) -> None:
    wake.tokmon("read -r _ ignored <<EOF\n$(grep SigIgn /proc/self/status)\nEOF\necho from $ignored")
    ignored = int(wake.line().split()[1], 16)
    own = int(
        next(line for line in Path("/proc/self/status").read_text().splitlines() if "SigIgn" in line).split()[1], 16
    )
    assert not (ignored & ~own) & (1 << 12 | 1 << 24), "PIPE and XFSZ"
