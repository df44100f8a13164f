"""The decision file answers while it is whole, ours and fresh; whatever else lies there, tokmon is asked."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hooks.wake import ASKED, DECIDED, LAST, LINE, Wake, decision
from tests.install.capabilities import without_program, without_root
from tokmon import paths
from tokmon.selection.overrides import name_problem

OVERRIDES = (
    "TOKMON_PIN",
    "TOKMON_RESUME",
    "BUDGET_SWITCH_THRESHOLD",
    *(
        f"TOKMON_SELECT_{name}"
        for name in (
            "CHAIN",
            "FALLBACK",
            "EMERGENCY",
            "THRESHOLD",
            "POLICY",
            "MODEL",
            "MODELS",
            "SESSION_MINUTES",
            "FIVE_HOUR_GUARD",
            "SPEND_CREDIT",
            "CHECK_FILE",
        )
    ),
)
TRACE = ("strace", "-f", "-qq", "-e", "trace=%process,pipe,pipe2,openat", "-o")


def test_a_fresh_decision_is_the_answer(wake: Wake) -> None:
    wake.decide()
    said = wake.said()
    assert (said.line, said.errors) == (DECIDED, "")


@pytest.mark.skipif(without_program("strace") is not None, reason=str(without_program("strace")))
def test_a_fresh_decision_costs_no_process_and_no_pipe(wake: Wake, tmp_path: Path) -> None:
    wake.decide()
    assert wake.said(before=(*TRACE, str(tmp_path / "trace"))).line == DECIDED
    calls = [line.split("(")[0].split()[-1] for line in (tmp_path / "trace").read_text().splitlines()]
    assert calls.count("execve") == 1
    assert not {"fork", "vfork", "clone", "clone3", "pipe", "pipe2", "wait4"} & set(calls)


@pytest.mark.parametrize("name", OVERRIDES)
def test_an_override_in_the_environment_asks_tokmon(wake: Wake, name: str) -> None:
    wake.decide()
    assert wake.line(**{name: "0.5"}) == ASKED
    assert wake.line(**{name: ""}) == DECIDED


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(lambda: decision(issued=-40, expires=0), id="expired"),
        pytest.param(lambda: decision(issued=-40, expires=-20), id="long expired"),
        pytest.param(lambda: decision(issued=20), id="not yet valid"),
        pytest.param(lambda: decision(expires=61), id="valid for too long"),
        pytest.param(lambda: decision(issued=0, expires=-1), id="expired before it was issued"),
        pytest.param(lambda: decision(boot="5b1a9ef4-0000-4000-8000-000000000000"), id="of another boot"),
        pytest.param(lambda: decision(boot=""), id="of no boot"),
        pytest.param(lambda: "", id="empty"),
        pytest.param(lambda: "\n", id="an empty line"),
        pytest.param(lambda: decision() + decision(), id="two lines"),
        pytest.param(lambda: decision() + "x", id="more after the line"),
        pytest.param(lambda: "\n" + decision(), id="an empty line before"),
        pytest.param(lambda: decision().replace(" 1 ", " 2 ", 1), id="another version"),
        pytest.param(lambda: decision().replace(" end", " END"), id="another end mark"),
        pytest.param(lambda: decision().replace(" end", "  end"), id="two spaces"),
        pytest.param(lambda: decision().replace("\n", " \n"), id="a space at the end"),
        pytest.param(lambda: decision().replace("\n", "\r\n"), id="a carriage return"),
        pytest.param(lambda: decision("team-ludo"), id="no model"),
        pytest.param(lambda: decision("team-ludo a b"), id="a third word"),
        pytest.param(lambda: decision("p" * 201 + " m"), id="a provider of 201 characters"),
        pytest.param(lambda: "tokmon-decision 1 b 0x1 9999999999 p m end\n", id="a time in another base"),
        pytest.param(lambda: "tokmon-decision 1 b 08 09 p m end\n", id="a time with a zero before it"),
        pytest.param(lambda: f"tokmon-decision 1 b {'9' * 30} {'9' * 31} p m end\n", id="a time beyond all numbers"),
        pytest.param(lambda: "tokmon-decision 1 b a[$(kill$$)] 9 p m end\n", id="a time that is code"),
        pytest.param(lambda: bytes(range(256)) * 20, id="binary"),
        pytest.param(lambda: b"\0" * 4096, id="zeros"),
        pytest.param(lambda: b"\xff\xfe" + decision().encode("utf-16-le"), id="another encoding"),
    ],
)
def test_a_decision_that_does_not_hold_asks_tokmon(wake: Wake, line: Callable[[], str | bytes]) -> None:
    wake.decide(line())
    said = wake.said()
    assert (said.line, said.errors) == (ASKED, "")


def test_what_no_name_can_hold_never_comes_out(wake: Wake) -> None:
    for odd in ("$(id)", "`id`", "a;b", "a|b", "*", "a'b", 'a"b', "a\\b", "a\tb", "é", "a=b", "a~", "\x1b[1m", "a\x7f"):
        for pair in (f"{odd} model", f"provider {odd}"):
            wake.decide(decision(pair))
            assert wake.line() == ASKED, pair
            assert wake.line(LC_ALL="C.UTF-8") == ASKED, pair
        assert name_problem(odd) is not None, "or a configuration that has it would always end in the default"


def test_every_character_that_a_name_may_hold_comes_out(wake: Wake) -> None:
    for pair in (f"{'p' * 200} {'m' * 200}", "a/b:c@d+e-f_g.H9 -n", "-e -", "../.. 0"):
        wake.decide(decision(pair))
        assert wake.line() == pair
        assert [name_problem(name) for name in pair.split(" ")] == [None, None]


def test_a_decision_truncated_at_any_byte_asks_tokmon(wake: Wake) -> None:
    whole = decision()
    for length in range(len(whole)):
        wake.decide(whole[:length])
        assert wake.line() == ASKED, whole[:length]


def test_a_damaged_decision_never_breaks_a_wake(wake: Wake) -> None:
    chance = random.Random(4)  # noqa: S311 - damage, not a secret
    whole = decision().encode()
    for place in range(len(whole)):
        wake.decide(whole[:place] + chance.randbytes(1) + whole[place + 1 :])
        assert LINE.fullmatch(wake.line() + "\n")


def test_no_clock_on_a_wall_matters(wake: Wake) -> None:
    wake.decide()
    for year in (1, 60, 136):
        os.utime(wake.decision, (year * 31_557_600, year * 31_557_600))
        assert wake.line() == DECIDED


def test_a_link_a_pipe_or_a_folder_is_no_decision(wake: Wake) -> None:
    real = wake.folder / "real"
    real.write_text(decision())
    wake.decision.symlink_to(real)
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


@pytest.mark.parametrize("filling", [b"x", b"\0"])
def test_a_huge_file_is_no_decision(wake: Wake, filling: bytes) -> None:
    wake.decide(filling * 10_000_000)
    # Long, because dash reads byte by byte and cannot be told to stop: two seconds and more.
    assert wake.line(TOKMON_DEADLINE_MS="40000") == ASKED


def test_the_time_that_a_huge_file_took_is_not_spent_twice(wake: Wake) -> None:
    wake.decide(b"x" * 3_000_000)
    wake.tokmon("exec sleep 60")
    assert wake.line(TOKMON_DEADLINE_MS="300") == LAST


def test_the_file_lies_where_the_socket_does(wake: Wake) -> None:
    shutil.rmtree(wake.runtime)
    for env in (
        {},
        {"XDG_STATE_HOME": str(wake.folder / "elsewhere")},
        {"XDG_STATE_HOME": "not/absolute"},
        {"TOKMON_STATE_DIR": str(wake.folder / "own place")},
    ):
        state = paths.find(wake.environment | env).sockets[-1].parent
        state.mkdir(parents=True, exist_ok=True)
        (state / "decision").write_text(decision(), encoding="ascii")
        assert wake.line(**env) == DECIDED
        (state / "decision").unlink()
        assert wake.line(**env) == ASKED


def test_another_file_can_be_named_and_is_the_only_one_then(wake: Wake) -> None:
    wake.decide()
    own = wake.folder / "my decision"
    assert wake.line(TOKMON_DECISION=str(own)) == ASKED
    own.write_text(decision("mine too"), encoding="ascii")
    assert wake.line(TOKMON_DECISION=str(own)) == "mine too"
