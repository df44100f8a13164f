"""The decision file is the answer while it is whole, the user's own, and newer than every input."""

import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.hooks.wake import ASKED, BUILT_IN, DECIDED, FIRST, HOOK, Wake, boot, uptime
from tests.install.capabilities import without_program, without_root
from tests.install.member import tree
from tokmon.decision import settings
from tokmon.selection.overrides import name_problem

OVERRIDES: Final = (
    "TOKMON_PIN",
    "TOKMON_RESUME",
    "BUDGET_SWITCH_THRESHOLD",
    *(f"TOKMON_SELECT_{key.upper()}" for key in settings.KEYS),
)
TRACE: Final = ("strace", "-f", "-qq", "-e", "trace=%process,pipe,pipe2", "-o")


def test_a_fresh_decision_is_the_answer(wake: Wake) -> None:
    wake.decide()
    run = wake.run()
    assert (run.line, run.remark) == (DECIDED, "")


@pytest.mark.skipif(without_program("strace") is not None, reason=str(without_program("strace")))
def test_a_fresh_decision_starts_no_process_and_opens_no_pipe(wake: Wake, tmp_path: Path) -> None:
    wake.decide(equal=["another account"] * 2)
    (tmp_path / "empty").touch()

    def calls(script: Path) -> list[str]:
        words = [*TRACE, str(tmp_path / "trace"), *wake.shell, str(script)]
        subprocess.run(words, env=wake.environment, capture_output=True, check=True)
        return [line.split("(")[0].split()[-1] for line in (tmp_path / "trace").read_text().splitlines()]

    assert calls(HOOK) == calls(tmp_path / "empty")


def test_a_fresh_decision_writes_nothing(wake: Wake) -> None:
    wake.decide()
    before = tree(wake.folder)
    assert wake.line() == DECIDED
    assert tree(wake.folder) == before


def test_equal_accounts_share_the_wakes_by_process_number(wake: Wake) -> None:
    equal = ["team-b model-b", "team-c model-c"]
    wake.decide(equal=equal)
    for _ in range(3):
        run = wake.run()
        assert run.line == [DECIDED, *equal][run.pid * 987 % 1597 * 3 // 1597]


STALE: Final[dict[str, dict[str, Any]]] = {
    "expired": {"issued": -40, "expires": 0},
    "not yet valid": {"issued": 20},
    "valid for more than an hour": {"expires": 3601},
    "expired before it was issued": {"issued": 0, "expires": -1},
    "never valid": {"expires": 0},
    "of another boot": {"boot_id": "5b1a9ef4-0000-4000-8000-000000000000"},
    "made for other folders": {"places": "/etc/tokmon /var/log/tokmon /srv/pi/agent"},
    "an input that is gone": {"inputs": [Path("/no/such/input")]},
}


@pytest.mark.parametrize("fields", STALE.values(), ids=STALE)
def test_a_decision_that_does_not_hold_asks_tokmon(wake: Wake, fields: dict[str, Any]) -> None:
    wake.decide(**fields)
    run = wake.run()
    assert (run.line, run.remark) == (ASKED, "")


@pytest.mark.parametrize("newer_ns", [0, 1, 10**9], ids=["as old", "a nanosecond newer", "a second newer"])
def test_an_input_that_is_not_older_asks_tokmon(wake: Wake, newer_ns: int) -> None:
    wake.decide()
    written = wake.decision.stat().st_mtime_ns
    for path in wake.inputs:
        before = path.stat().st_mtime_ns
        os.utime(path, ns=(written + newer_ns,) * 2)
        assert wake.line() == ASKED, path
        os.utime(path, ns=(before,) * 2)
    assert wake.line() == DECIDED


def test_an_input_moved_into_place_with_an_old_time_asks_tokmon(wake: Wake) -> None:
    wake.decide()
    edited = wake.folder / "edited"
    edited.write_text("edited")
    os.utime(edited, (1, 1))
    os.utime(wake.decision, (time.time() - 10,) * 2)
    assert wake.line() == DECIDED
    edited.rename(wake.config / "config.toml")
    assert wake.line() == ASKED


def test_an_input_that_is_not_absolute_lies_in_the_folder_of_the_logs(text_wake: Wake) -> None:
    log = text_wake.logs / "piggyback.jsonl"
    for path in ("piggyback.jsonl", str(log)):
        text_wake.decide(text_wake.text(inputs=[]).replace("\naccount ", f"\ninput {path}\naccount ", 1))
        assert text_wake.line() == DECIDED
        os.utime(log)
        os.utime(text_wake.decision, (1, 1))
        assert text_wake.line() == ASKED
        os.utime(log, (time.time() - 100,) * 2)


def test_only_the_order_of_the_times_matters_and_no_wall_clock(wake: Wake) -> None:
    wake.decide()
    for year in (1, 60, 130):
        for path in wake.inputs:
            os.utime(path, (year * 31_557_600, year * 31_557_600 - 1))
        os.utime(wake.decision, (year * 31_557_600, year * 31_557_600 + 1))
        assert wake.line() == DECIDED


def test_a_link_a_fifo_or_a_folder_is_no_decision(wake: Wake) -> None:
    wake.decide()
    wake.decision.rename(wake.folder / "real")
    wake.decision.symlink_to(wake.folder / "real")
    assert wake.line() == ASKED
    wake.decision.unlink()
    os.mkfifo(wake.decision)
    assert wake.line() == ASKED
    wake.decision.unlink()
    wake.decision.mkdir()
    assert wake.line() == ASKED


@pytest.mark.skipif(without_root() is not None, reason=str(without_root()))
def test_a_file_of_another_user_is_no_decision(wake: Wake) -> None:
    wake.decide()
    os.chown(wake.decision, 65534, 65534)
    assert wake.line() == ASKED
    assert wake.line(TOKMON_BIN="/dev/null") == BUILT_IN


@pytest.mark.parametrize("name", OVERRIDES)
def test_an_override_in_the_environment_asks_tokmon(text_wake: Wake, name: str) -> None:
    text_wake.decide()
    assert text_wake.line(**{name: "0.5"}) == ASKED
    assert text_wake.line(**{name: ""}) == DECIDED


def test_the_hook_names_every_variable_that_overrides_the_choice_and_no_other() -> None:
    text = HOOK.read_text(encoding="ascii")
    assert set(re.findall(r"TOKMON_SELECT_[A-Z_]+", text)) == {name for name in OVERRIDES if "SELECT" in name}
    overriding = {
        name for line in text.splitlines() if "overrides=" in line for name in re.findall(r"[A-Z_]{5,}", line)
    }
    assert overriding == set(OVERRIDES)


# ------------------------------------------------------------------ where the file lies, and which folders it is for


@pytest.mark.parametrize(
    ("env", "state"),
    [
        ({"XDG_STATE_HOME": "{folder}/elsewhere"}, "elsewhere/tokmon"),
        ({"XDG_STATE_HOME": "not/absolute"}, "home/.local/state/tokmon"),
        ({"TOKMON_STATE_DIR": "{folder}/own place"}, "own place"),
        ({"TOKMON_STATE_DIR": "{folder}/own place", "XDG_STATE_HOME": "{folder}/elsewhere"}, "own place"),
    ],
)
def test_the_file_lies_in_the_state_folder(text_wake: Wake, env: dict[str, str], state: str) -> None:
    wake = text_wake
    variables = {name: value.format(folder=wake.folder) for name, value in env.items()}
    wake.decision.unlink()
    assert wake.line(**variables) == ASKED
    folder = wake.folder / state
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "decision").write_text(wake.text(), encoding="ascii")
    assert wake.line(**variables) == DECIDED


def test_another_file_can_be_named_and_is_the_only_one_then(text_wake: Wake) -> None:
    text_wake.decide()
    own = text_wake.folder / "my decision"
    assert text_wake.line(TOKMON_DECISION=str(own)) == ASKED
    own.write_text(text_wake.text(pair="mine too"), encoding="ascii")
    assert text_wake.line(TOKMON_DECISION=str(own)) == "mine too"


def test_a_member_with_a_pi_folder_of_its_own_has_its_own_file(text_wake: Wake) -> None:
    wake, agent = text_wake, str(text_wake.folder / "agent")
    places = f"{wake.config} {wake.logs} {agent}"
    wake.decide(pair="shared file", places=places)
    (wake.state / "decision-ludo").write_text(wake.text(pair="own file", places=places), encoding="ascii")
    assert wake.line(PI_CODING_AGENT_DIR=agent, TOKMON_MEMBER="ludo") == "own file"
    assert wake.line(PI_CODING_AGENT_DIR=agent) == "shared file"
    for name in ("../ludo", "two words", "-x", "", "/ludo"):
        assert wake.line(PI_CODING_AGENT_DIR=agent, TOKMON_MEMBER=name) == "shared file"
    wake.decide()
    assert wake.line(TOKMON_MEMBER="ludo") == DECIDED


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("TOKMON_CONFIG_DIR", 0),
        ("XDG_CONFIG_HOME", 0),
        ("TOKMON_LOG_DIR", 1),
        ("PI_CODING_AGENT_DIR", 2),
    ],
)
def test_a_decision_counts_for_the_folders_that_it_was_made_for(text_wake: Wake, name: str, place: int) -> None:
    wake, other = text_wake, str(text_wake.folder / "other place")
    wake.decide()
    assert wake.line(**{name: other}) == ASKED
    places = [str(wake.config), str(wake.logs), str(wake.home / ".pi" / "agent")]
    places[place] = f"{other}/tokmon" if name.startswith("XDG") else other
    wake.decide(places=" ".join(places), inputs=[wake.config])
    assert wake.line(**{name: other}) == DECIDED
    assert wake.line() == ASKED


def test_a_relative_configuration_folder_of_the_desktop_counts_for_nothing(text_wake: Wake) -> None:
    text_wake.decide()
    assert text_wake.line(XDG_CONFIG_HOME="not/absolute") == DECIDED


# ------------------------------------------------------------------ the grammar, in one shell


def _head(change: Callable[[list[str]], list[str] | str]) -> Callable[[Wake], str]:
    def damaged(wake: Wake) -> str:
        head, rest = wake.text().split("\n", 1)
        words = change(head.split(" "))
        return f"{words if isinstance(words, str) else ' '.join(words)}\n{rest}"

    return damaged


def _line(line: str, *, before: str = "input") -> Callable[[Wake], str]:
    return lambda wake: wake.text().replace(f"\n{before} ", f"\n{line}\n{before} ", 1)


DAMAGED: Final[dict[str, Callable[[Wake], str | bytes]]] = {
    "nothing": lambda _: "",
    "an empty line": lambda _: "\n",
    "the first format": lambda wake: (
        f"tokmon-decision 1 {boot()} {uptime()} {uptime() + 50} {wake.text()[-1:]}p m end\n"
    ),
    "another version": _head(lambda words: ["tokmon-decision/3", *words[1:]]),
    "another end of the first line": _head(lambda words: [*words[:-1], "END"]),
    "two spaces": _head("  ".join),
    "a space at the end": _head(lambda words: [*words, ""]),
    "a carriage return": _head(lambda words: " ".join(words) + "\r"),
    "a tab": _head("\t".join),
    "no boot": _head(lambda words: [words[0], "", *words[2:]]),
    "no model": _head(lambda words: [*words[:5], "end"]),
    "a third word": _head(lambda words: [*words[:5], "a", "b", "end"]),
    "a provider of 201 characters": _head(lambda words: [*words[:4], "p" * 201, "m", "end"]),
    "a provider like an option": _head(lambda words: [*words[:4], "-rf", "/", "end"]),
    "a model like an option": _head(lambda words: [*words[:4], "p", "-m", "end"]),
    "times in another base": _head(lambda words: [*words[:2], "0x1", "0x99999", *words[4:]]),
    "times with a zero before them": _head(lambda words: [*words[:2], f"0{words[2]}", f"0{words[3]}", *words[4:]]),
    "times beyond all numbers": _head(lambda words: [*words[:2], "9" * 30, "9" * 31, *words[4:]]),
    "negative times": _head(lambda words: [*words[:2], "-5", *words[3:]]),
    "a time that is code": _head(lambda words: [*words[:2], "a[$(kill${IFS}$$)]", *words[3:]]),
    "an empty line before": lambda wake: "\n" + wake.text(),
    "an unknown line": _line("more of it"),
    "an empty line within": _line(""),
    "an input without a path": _line("input"),
    "a line of 600 bytes": _line("input /".ljust(600, "x")),
    "too many lines": lambda wake: wake.text(equal=["a b"] * 200),
    "no end": lambda wake: wake.text(accounts=()).removesuffix("end\n"),
    "an end without its newline": lambda wake: wake.text(accounts=()).removesuffix("\n"),
    "binary": lambda _: bytes(range(256)) * 20,
    "zeros": lambda _: b"\0" * 4096,
    "another encoding": lambda wake: b"\xff\xfe" + wake.text().encode("utf-16-le"),
    "a bare line of 100,000 bytes": lambda _: b"x" * 100_000,
}


NOT_FRESH: Final[dict[str, Callable[[Wake], str | bytes]]] = {
    "no folders": lambda wake: re.sub("\nfor .*", "", wake.text()),
    "an input that is not there": _line("input no-such.jsonl"),
    "an equal account without a model": _line("equal team-b"),
    "an equal account like an option": _line("equal -rf /"),
    "an equal account of three words": _line("equal a b c"),
}


def test_a_damaged_file_is_as_good_as_none(text_wake: Wake) -> None:
    outcomes = text_wake.batch([damaged(text_wake) for damaged in DAMAGED.values()])
    assert dict(zip(DAMAGED, outcomes, strict=True)) == dict.fromkeys(DAMAGED, (BUILT_IN, False))


def test_a_file_whose_inputs_are_damaged_is_not_fresh_but_still_the_last_decision(text_wake: Wake) -> None:
    outcomes = text_wake.batch([damaged(text_wake) for damaged in NOT_FRESH.values()])
    assert dict(zip(NOT_FRESH, outcomes, strict=True)) == dict.fromkeys(NOT_FRESH, (DECIDED, False))


def test_accounts_are_held_to_their_form_where_they_are_needed(text_wake: Wake) -> None:
    stale = text_wake.text(boot_id="another-boot")
    lines = ("account", "account one", "account a b c", "account -rf /", "account a\tb c", "account a  b", "end")
    damaged = [stale.replace("\naccount ", f"\n{line}\naccount ", 1) for line in lines]
    damaged += [stale.removesuffix("end\n"), stale.removesuffix("\n"), stale + "account late one\n"]
    outcomes = [line for line, _ in text_wake.batch([stale, *damaged])]
    assert outcomes[0] == DECIDED
    assert outcomes[1:-4] == [BUILT_IN] * 6
    assert outcomes[-4:] == [DECIDED, BUILT_IN, BUILT_IN, DECIDED], "what follows the end is not read"


def test_no_other_character_ever_comes_out(text_wake: Wake) -> None:
    odd = ("$(id)", "`id`", "a;b", "a|b", "*", "a'b", 'a"b', "a\\b", "a\tb", "é", "a=b", "a~", "\x1b[1m", "a\x7f", "-a")
    files = [text_wake.text(pair=pair) for name in odd for pair in (f"{name} model", f"provider {name}")]
    for locale in ("C", "C.UTF-8"):
        assert text_wake.batch(files, LC_ALL=locale) == [(BUILT_IN, False)] * len(files)
    for name in odd[:-1]:
        assert name_problem(name) is not None, "or a configuration that has it would always end in the default"


def test_every_character_that_a_name_may_hold_comes_out(text_wake: Wake) -> None:
    pairs = (f"{'p' * 200} {'m' * 200}", "a/b:c@d+e-f_g.H9 0", "cloudflare @cf/openai/gpt-oss-20b")
    assert text_wake.batch([text_wake.text(pair=pair) for pair in pairs]) == [(pair, True) for pair in pairs]
    assert {name_problem(name) for pair in pairs for name in pair.split(" ")} == {None}


def test_a_file_truncated_within_its_inputs_asks_tokmon(text_wake: Wake) -> None:
    whole = text_wake.text()
    needed = whole.index("\naccount ") + len(f"\naccount {FIRST}\n")
    lengths = sorted({*range(0, len(whole), 3), needed - 1, needed})
    outcomes = dict(zip(lengths, text_wake.batch([whole[:length] for length in lengths]), strict=True))
    assert {outcome for length, outcome in outcomes.items() if length < needed} == {(BUILT_IN, False)}
    assert {outcome for length, outcome in outcomes.items() if length >= needed} == {(DECIDED, True)}


def test_accounts_may_stand_before_the_inputs(text_wake: Wake) -> None:
    lines = text_wake.text().splitlines(keepends=True)
    accounts = [line for line in lines if line.startswith("account ")]
    other = [line for line in lines if not line.startswith("account ")]
    text = "".join([*other[:2], *accounts, *other[2:]])
    gone = text.replace("\ninput ", "\ninput /no/such/input\ninput ", 1)
    assert text_wake.batch([text, gone, text.removesuffix("end\n")]) == [
        (DECIDED, True),
        (DECIDED, False),
        (BUILT_IN, False),
    ]


def test_a_damaged_byte_never_breaks_a_wake(text_wake: Wake) -> None:
    chance = random.Random(4)  # noqa: S311 - damage, not a secret
    whole = text_wake.text().encode()
    damaged = [whole[:place] + chance.randbytes(1) + whole[place + 1 :] for place in range(0, len(whole), 2)]
    pieces = [bytes(chance.choices(whole, k=chance.randrange(2000))) for _ in range(20)]
    assert len(text_wake.batch([*damaged, *pieces])) == len(damaged) + 20


def test_a_long_damaged_file_is_taken_off_the_time_for_tokmon(text_wake: Wake) -> None:
    text_wake.decide(b"x" * 300_000)
    text_wake.tokmon('echo "$TOKMON_DEADLINE_MS" ms')
    assert int(text_wake.line(TOKMON_DEADLINE_MS="60000").split()[0]) < 54_000
    assert text_wake.line(TOKMON_BIN="/dev/null") == BUILT_IN


def test_a_file_that_is_huge_and_one_that_cannot_be_read_ask_tokmon(wake: Wake) -> None:
    wake.decide(b"x" * 50_000 + b"\n")
    assert wake.line() == ASKED
    wake.decide("tokmon-decision/2\n" * 10_000)
    assert wake.line() == ASKED
    shutil.rmtree(wake.state)
    assert wake.line() == ASKED
    wake.tokmon("exit 1")
    assert wake.line() == BUILT_IN
