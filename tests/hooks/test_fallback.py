"""Where `tokmon select` gives no decision: the pin, the last decision, the default; and one line that says so."""

import os
from pathlib import Path
from typing import Any, Final

import pytest

from tests.hooks.wake import ACCOUNTS, BUILT_IN, DEFAULT, FIRST, LAST, Wake
from tests.install.capabilities import without_root

DEFAULTS = {"TOKMON_DEFAULT_PROVIDER": "default-provider", "TOKMON_DEFAULT_MODEL": "default-model"}
UNDECIDED: Final[dict[str, Any]] = {"pair": FIRST, "expires": 0}


@pytest.fixture
def failing(text_wake: Wake) -> Wake:
    """A wake in which `tokmon select` fails."""
    text_wake.tokmon("exit 3")
    return text_wake


def test_the_order_is_pin_last_decision_default_of_the_environment_first_account(wake: Wake) -> None:
    wake.tokmon("exit 3")
    for answer, name, env in (
        ("team-pin default-model", "the pinned account", DEFAULTS | {"TOKMON_PIN": "team-pin"}),
        ("team-pin pin-model", "the pinned account", {"TOKMON_PIN": "team-pin"}),
        (LAST, "the last decision", DEFAULTS),
    ):
        run = wake.run(env=env)
        assert (run.line, run.remark) == (answer, f"budget-select: `tokmon select` failed: using {name}")
    wake.decide(**UNDECIDED)
    assert wake.line(**DEFAULTS) == DEFAULT
    assert wake.line() == FIRST
    wake.decision.unlink()
    run = wake.run()
    assert (run.line, run.remark) == (BUILT_IN, "budget-select: `tokmon select` failed: using the default")


def test_a_pin_has_the_model_of_its_account_whatever_is_known_of_the_inputs(failing: Wake) -> None:
    unknown: tuple[dict[str, Any], ...] = ({"inputs": [Path("/no/such/input")]}, {"places": "/a /b /c"}, UNDECIDED)
    for fields in ({}, *unknown):
        failing.decide(**fields)
        assert failing.line(TOKMON_PIN="team-pin") == "team-pin pin-model"
        assert failing.line(TOKMON_PIN="team-ludo") == "team-ludo claude-sonnet-4-6"
        assert failing.line(TOKMON_PIN="team") == "team claude-sonnet-4-6", "and not that of a longer name"
        assert failing.line(TOKMON_PIN="stranger") == "stranger claude-sonnet-4-6"


def test_the_first_of_two_lines_of_an_account_is_not_the_last(failing: Wake) -> None:
    failing.decide(**UNDECIDED | {"accounts": [*ACCOUNTS, "team-last last-model"]})
    assert failing.line() == FIRST
    failing.decide(**UNDECIDED | {"accounts": ()})
    assert failing.line() == FIRST, "the first line names it too"


def test_a_default_of_the_environment_has_the_model_of_its_account(failing: Wake) -> None:
    failing.decide(**UNDECIDED)
    assert failing.line(TOKMON_DEFAULT_PROVIDER="team-pin") == "team-pin pin-model"
    assert failing.line(VIGILIO_PROVIDER="team-pin") == "team-pin pin-model"
    assert failing.line(VIGILIO_PROVIDER="team-vigilio") == "team-vigilio claude-sonnet-4-6"
    assert failing.line(TOKMON_DEFAULT_PROVIDER="mine", VIGILIO_PROVIDER="team-pin") == "mine claude-sonnet-4-6"
    assert failing.line(TOKMON_DEFAULT_MODEL="other") == "team-first other"


@pytest.mark.parametrize("odd", ["a b", "a;b", "é", "a\nb", "x" * 201, "-rf", "-"])
def test_what_cannot_be_a_name_is_passed_over_alone(failing: Wake, odd: str) -> None:
    failing.decide(**UNDECIDED)
    assert failing.line(TOKMON_DEFAULT_PROVIDER=odd, TOKMON_DEFAULT_MODEL=odd) == FIRST
    assert failing.line(TOKMON_DEFAULT_PROVIDER=odd, VIGILIO_PROVIDER="b") == "b claude-sonnet-4-6"
    assert failing.line(TOKMON_PIN="team-pin", TOKMON_DEFAULT_MODEL=odd) == "team-pin pin-model"
    assert failing.line(TOKMON_PIN=odd, TOKMON_DEFAULT_PROVIDER="team-pin") == "team-pin pin-model"
    failing.decide()
    assert failing.line(TOKMON_PIN=odd) == "team-ludo claude-sonnet-4-6"


def test_a_decision_that_held_for_no_second_is_a_last_decision(failing: Wake) -> None:
    """As all are where there is no clock since the boot (macOS)."""
    failing.decide(pair="once good", expires=0)
    assert failing.line(**DEFAULTS) == "once good"


def test_the_accounts_that_a_failing_select_leaves_count(failing: Wake) -> None:
    failing.decision.rename(failing.folder / "left")
    (failing.folder / "left").write_text(failing.text(**UNDECIDED), encoding="ascii")
    failing.tokmon(f'mv "{failing.folder}/left" "{failing.decision}"; exit 1')
    assert failing.line() == FIRST


@pytest.mark.skipif(without_root() is not None, reason=str(without_root()))
def test_the_file_of_another_user_a_link_or_a_fifo_is_not_fallen_back_on(failing: Wake) -> None:
    os.chown(failing.decision, 65534, 65534)
    assert failing.line() == BUILT_IN
    failing.decision.rename(failing.folder / "real")
    os.chown(failing.folder / "real", 0, 0)
    failing.decision.symlink_to(failing.folder / "real")
    assert failing.line() == BUILT_IN
    failing.decision.unlink()
    os.mkfifo(failing.decision)
    assert failing.line() == BUILT_IN


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 3", "`tokmon select` failed"),
        ("echo one", "`tokmon select` printed no decision"),
        ("kill -TERM $$", "`tokmon select` took too long"),
    ],
)
def test_the_remark_says_why(wake: Wake, script: str, reason: str) -> None:
    wake.tokmon(script)
    assert wake.run().remark == f"budget-select: {reason}: using the last decision"
    assert wake.run(TOKMON_BIN="/dev/null").remark == "budget-select: there is no tokmon: using the last decision"
