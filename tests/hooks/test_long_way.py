"""Without a fresh decision tokmon is asked, for no longer than the deadline; whatever it does, there is a line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hooks.wake import ASKED, BUILT_IN, DEFAULT, HOOK, LAST, SLACK_S, Wake, alone, decision
from tests.install.capabilities import without_root

SAYS_NOTHING = ("", "exit 0", "exit 3", "kill -9 $$", "echo oops >&2; exit 1", "exec >&-; exit 0")
RUBBISH = (
    "echo",
    "echo one",
    "echo one two three",
    "echo ' one two'",
    "echo one  two; echo three four",
    "echo one two; echo",
    "printf 'one two'",
    "printf 'one  two\\n'",
    "printf 'one two\\r\\n'",
    "printf 'one\\ttwo\\n'",
    "printf 'one tw\\303\\251\\n'",
    "printf 'on\\033e two\\n'",
    "echo one 'two$(id)'",
    "echo 'Traceback (most recent call last):'; echo '  File x'; exit 1",
    "printf '\\n\\nended 0\\n'",
    "head -c 1000000 /dev/zero",
    "head -c 1000000 /dev/zero | tr '\\0' x",
    "exec yes",
    "yes | head -c 1000000",
    "head -c 4096 /dev/urandom",
)
HANGS = (
    "exec sleep 60",
    "echo one two; exec sleep 60",
    "trap '' TERM; while :; do sleep 0.1; done",
    "trap '' TERM; echo one two; while :; do read -r line </dev/zero; done",
    "exec cat /dev/zero",
    "kill -STOP $$",
)


def test_tokmon_is_asked_in_words_that_it_knows(kept: Wake) -> None:
    kept.tokmon('echo "$*" "$#"')
    said = kept.said()
    assert (said.line, said.errors) == ("select 1", "")


def test_tokmon_is_told_to_be_done_before_the_deadline(kept: Wake) -> None:
    kept.tokmon('echo "$TOKMON_DEADLINE_MS" ms')
    assert 4000 < int(kept.line().split()[0]) <= 4500


def test_tokmon_is_found_by_its_variable_then_at_home_then_on_the_path(wake: Wake) -> None:
    wake.tokmon("echo path path", wake.programs / "tokmon")
    own = wake.tokmon("echo own own", wake.folder / "my tokmon")
    assert wake.line(TOKMON_BIN=str(own)) == "own own"
    assert wake.line() == ASKED
    (wake.home / ".local" / "bin" / "tokmon").unlink()
    assert wake.line() == "path path"
    (wake.programs / "tokmon").unlink()
    assert wake.said(PATH="/usr/bin:/bin").errors.startswith("budget-select: there is no tokmon")


@pytest.mark.parametrize("script", [*SAYS_NOTHING, *RUBBISH])
def test_what_is_no_decision_is_not_passed_on(wake: Wake, script: str) -> None:
    wake.tokmon(script)
    said = wake.said(outlived="by dead" if "|" in script else "")
    assert said.line == LAST
    assert said.errors.startswith("budget-select: `tokmon select` ")
    assert "last good decision" in said.errors


@pytest.mark.parametrize("script", HANGS)
def test_what_hangs_is_ended_at_the_deadline(kept: Wake, script: str) -> None:
    kept.tokmon(script)
    # `timeout` takes itself along when it kills, so that tokmon is left to the init process to be buried.
    outlived = "by its own" if "sleep 0.1" in script else "by dead" if "TERM" in script else ""
    said = kept.said(TOKMON_DEADLINE_MS="400", outlived=outlived)
    assert said.line == LAST
    assert 0.3 < said.seconds < 0.4 + SLACK_S


def test_nobody_waits_for_what_tokmon_leaves_behind(kept: Wake) -> None:
    for left in ("sleep 60 &", "(trap '' HUP TERM; exec sleep 60) & echo rubbish >&2;", "nohup sleep 60 2>&1 &"):
        kept.tokmon(f"{left} echo {ASKED}")
        said = kept.said(outlived="by its own")
        assert said.line == ASKED
        assert said.seconds < SLACK_S


def test_a_flood_from_what_tokmon_leaves_behind_hangs_nobody(kept: Wake) -> None:
    kept.tokmon(f"cat /dev/zero & echo {ASKED}")
    assert kept.said(outlived="by its own").line in {ASKED, LAST}


def test_tokmon_that_cannot_be_run_is_not_waited_for(kept: Wake) -> None:
    program = kept.home / ".local" / "bin" / "tokmon"
    for place in ("/dev/null", "/", str(kept.folder / "nowhere"), "no-such-program"):
        assert kept.line(TOKMON_BIN=place) == LAST
    program.write_bytes(b"\x7fELF rubbish")
    assert kept.line() == LAST
    program.write_text("#!/no/such/interpreter\n", encoding="ascii")
    assert kept.line() == LAST


def test_the_deadline_may_be_anything(kept: Wake) -> None:
    for fine in ("", "3s", "-1", "1e3", "0x10", "007", " 5", "99999999999999999999999", "a[0]", "$(id)", "60001"):
        assert kept.line(TOKMON_DEADLINE_MS=fine) == ASKED, fine
    for none in ("0", "1", "9"):
        assert kept.line(TOKMON_DEADLINE_MS=none) == LAST, none


def test_without_a_last_good_decision_an_expired_one_is_better_than_the_default(wake: Wake) -> None:
    wake.tokmon("exit 1")
    wake.last.unlink()
    wake.decide(decision("once good", issued=-40, expires=-10))
    assert wake.line(TOKMON_DEFAULT_PROVIDER="default-provider") == "once good"
    wake.decide("rubbish")
    assert wake.line(TOKMON_DEFAULT_PROVIDER="default-provider") == "default-provider claude-sonnet-4-6"


def test_a_last_good_decision_is_held_to_the_same_form(wake: Wake) -> None:
    wake.tokmon("exit 1")
    whole = wake.last.read_text(encoding="ascii")
    for damaged in ("", whole[:-1], whole[:-2], whole.replace("good", "go;od"), "x" * 1_000_000, whole + whole):
        wake.last.write_text(damaged, encoding="ascii")
        assert wake.line() == BUILT_IN, damaged[:200]
    wake.last.unlink()
    os.mkfifo(wake.last)
    assert wake.line() == BUILT_IN


@pytest.mark.skipif(without_root() is not None, reason=str(without_root()))
def test_a_last_good_decision_of_another_user_is_none(wake: Wake) -> None:
    wake.tokmon("exit 1")
    os.chown(wake.last, 65534, 65534)
    assert wake.line() == BUILT_IN


def test_the_default_is_taken_from_the_environment_where_that_names_one(wake: Wake) -> None:
    wake.tokmon("exit 1")
    wake.last.unlink()
    said = wake.said(TOKMON_DEFAULT_PROVIDER="default-provider", TOKMON_DEFAULT_MODEL="default-model")
    assert said.line == DEFAULT
    assert "this is the default" in said.errors
    assert wake.line(VIGILIO_PROVIDER="team-vigilio") == "team-vigilio claude-sonnet-4-6"
    assert wake.line(TOKMON_DEFAULT_PROVIDER="mine", VIGILIO_PROVIDER="team-vigilio") == "mine claude-sonnet-4-6"
    for odd in ("a b", "a;b", "é", "a\nb", "x" * 201):
        assert wake.line(TOKMON_DEFAULT_PROVIDER=odd, TOKMON_DEFAULT_MODEL=odd) == BUILT_IN
        assert wake.line(TOKMON_DEFAULT_PROVIDER=odd, VIGILIO_PROVIDER="b") == "b claude-sonnet-4-6"


def test_a_pin_holds_even_where_tokmon_cannot_be_asked(wake: Wake) -> None:
    wake.tokmon("exit 1")
    assert wake.line(TOKMON_PIN="team-molto") == "team-molto claude-sonnet-4-6"
    assert wake.line(TOKMON_PIN="team-molto", TOKMON_DEFAULT_MODEL="default-model") == "team-molto default-model"
    assert wake.line(TOKMON_PIN="two words") == LAST


def test_fifty_wakes_at_once_each_say_their_line(wake: Wake) -> None:
    def all_at_once() -> set[bytes]:
        with alone():
            started = [
                subprocess.Popen([*wake.shell, HOOK], env=wake.environment, stdout=subprocess.PIPE) for _ in range(50)
            ]
            return {each.communicate(timeout=60)[0] for each in started}

    wake.environment["TOKMON_DEADLINE_MS"] = "40000"
    assert all_at_once() == {f"{ASKED}\n".encode()}
    wake.decide(decision("fifty at-once"))
    assert all_at_once() == {b"fifty at-once\n"}


def test_a_real_python_program_is_waited_for_and_ended_as_any_other(kept: Wake, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\nimport time\nprint('one two', flush=True)\ntime.sleep(60)\n")
    program.chmod(0o755)
    assert kept.line(TOKMON_BIN=str(program), TOKMON_DEADLINE_MS="900") == LAST
    program.write_text(f"#!{sys.executable}\nprint('from python')\n")
    assert kept.line(TOKMON_BIN=str(program)) == "from python"
