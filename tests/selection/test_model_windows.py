"""Windows of some models: which models they concern, and what they do to a session on one of these."""

from dataclasses import replace

import pytest

from tests.commands.logbook import DAY, HOUR, NOW, Record, window
from tests.selection.pool import POLICY, pool, probe, turn
from tokmon.evidence.model import Scope, Window
from tokmon.evidence.model_windows import concerns
from tokmon.selection.assessment import Assessment, Fitness, assess
from tokmon.selection.choose import choose


@pytest.mark.parametrize(
    ("name", "model", "expected"),
    [
        ("7d_opus", "claude-opus-4-5", True),
        ("7d_opus", "claude-opus-4-1-20250805", True),
        ("7d_opus", "opus", True),
        ("7d_opus", "anthropic/claude-opus-4.5", True),
        ("7d_opus", "us.anthropic.claude-opus-4-5-20251101-v1:0", True),
        ("7d_opus", "claude-sonnet-4-6", False),
        ("7d_sonnet", "claude-3-5-sonnet-latest", True),
        ("7d_Fable", "claude-fable-5", True),
        ("Fable", "claude-fable-5", True),
        ("Fable:7d", "fable", True),
        ("7d_Claude Opus 4.5", "claude-opus-4-5-20251101", True),
        ("7d_Claude Opus 4.5", "opus", True),
        ("7d_Claude Opus 4.5", "claude-opus-4-1", False),
        ("GPT-5.3-Codex-Spark:5h", "gpt-5.3-codex-spark", True),
        ("GPT-5.3-Codex-Spark:5h_secondary", "openai/gpt-5.3-codex-spark", True),
        ("GPT-5.3-Codex-Spark:primary", "gpt-5.3-codex-spark", True),
        ("GPT-5.3-Codex-Spark:5h", "gpt-5.3-codex", False),
        ("GPT-5.3-Codex-Spark:5h", "gpt-5.4-codex-spark", False),
        ("gemini-2.5-flash:1d", "models/gemini-2.5-flash", True),
        ("gemini-2.5-flash:1d", "gemini-2.5-flash-lite", False),
        ("7d_oauth_apps", "claude-opus-4-5", False),
        ("7d_oi", "claude-fable-5", False),
        ("7d_opus", "", False),
        ("7d", "claude-opus-4-5", False),
    ],
)
def test_a_window_concerns_the_models_whose_ids_have_its_words(name: str, model: str, *, expected: bool) -> None:
    assert concerns(Window(name, scope=Scope.MODEL), model) is expected


def test_a_window_of_the_account_concerns_every_model() -> None:
    assert concerns(Window("7d"), "claude-opus-4-5")


def test_a_window_whose_name_has_no_model_concerns_the_family_on_whose_responses_it_stood() -> None:
    window = Window("7d_oi", scope=Scope.MODEL)
    assert concerns(window, "claude-fable-5-20260101", ["claude-fable-4"])
    assert not concerns(window, "claude-sonnet-4-6", ["claude-fable-4"])


def scoped(used: float, resets_in: float = 2 * DAY, name: str = "7d_sonnet", **fields: object) -> Record:
    return window(name, used, resets_in, scope="model", **fields)


def seat(*more: Record, provider: str = "team-vigilio", **fields: object) -> Record:
    line = turn(provider, **fields)  # type: ignore[arg-type]  # as `turn` has them
    return {**line, "windows": [*line["windows"], *more]}


def assessed(*lines: Record, model: str = "claude-sonnet-4-6") -> Assessment:
    policy = replace(POLICY, model=model)
    return assess("team-vigilio", pool(*lines).accounts["team-vigilio"], policy, NOW)


def test_a_used_up_window_of_the_model_excludes_the_account_until_it_resets() -> None:
    assessment = assessed(seat(scoped(1.0)))
    assert (assessment.fitness, assessment.reason) == (Fitness.EXCLUDED, "7d_sonnet used up")
    assert assessment.until == NOW + 2 * DAY


@pytest.mark.parametrize("model", ["claude-opus-4-5", "haiku"])
def test_a_used_up_window_of_another_model_hinders_nothing(model: str) -> None:
    assessment = assessed(seat(scoped(1.0)), model=model)
    assert (assessment.fitness, assessment.reason) == (Fitness.USABLE, "works")


def test_a_used_up_window_of_the_model_counts_whichever_source_read_it() -> None:
    answer = {**probe("team-vigilio", age=5), "windows": [scoped(1.0)], "substatus": "key_valid"}
    assert assessed(seat(age=60), answer).reason == "7d_sonnet used up"


def test_a_refusal_by_windows_of_some_models_alone_leaves_the_account_to_other_models() -> None:
    refused = seat(scoped(1.0, status="rejected"), status="rejected", http_status=429, model="claude-sonnet-4-6", age=5)
    lines = seat(age=HOUR), refused
    assert assessed(*lines).fitness is Fitness.EXCLUDED
    assert assessed(*lines, model="claude-sonnet-4-5-20250929").reason == "7d_sonnet used up"
    assert assessed(*lines, model="claude-opus-4-5").fitness is Fitness.USABLE


def test_a_model_that_was_served_since_is_not_hindered_by_an_older_figure() -> None:
    served = turn("team-vigilio", model="claude-sonnet-4-6", age=5)
    assert assessed(seat(scoped(1.0), age=60), served).fitness is Fitness.USABLE
    other = turn("team-vigilio", model="claude-opus-4-5", age=5)
    assert assessed(seat(scoped(1.0), age=60), other).fitness is Fitness.EXCLUDED


def test_a_used_up_window_of_the_model_that_has_reset_excludes_nothing() -> None:
    assessment = assessed(seat(scoped(1.0, -60)))
    assert assessment.fitness is Fitness.USABLE
    assert assessment.expired == ("7d_sonnet",)


def test_a_window_of_overage_binds_the_models_on_whose_responses_it_stood() -> None:
    line = seat(scoped(1.02, name="7d_oi"), model="claude-fable-5")
    assert assessed(line, model="claude-fable-5").reason == "7d_oi used up"
    assert assessed(line).fitness is Fitness.USABLE


@pytest.mark.parametrize("policy", ["forecast", "threshold"])
def test_the_usage_of_a_window_of_the_model_counts_in_headroom(policy: str) -> None:
    lines = seat(scoped(0.985, 3 * DAY), week=0.4, week_resets=3 * DAY), turn("team-ludo", 0.55, week_resets=4 * DAY)
    for model, account in (("claude-sonnet-4-6", "team-ludo"), ("claude-opus-4-5", "team-vigilio")):
        settings = replace(POLICY, chain=("team-vigilio", "team-ludo"), policy=policy, model=model)
        decision = choose(settings, pool(*lines), NOW)
        assert decision is not None
        assert decision.provider == account


def test_a_window_of_the_model_that_would_be_used_up_is_named() -> None:
    lines = seat(scoped(0.99, name="5h_sonnet", resets_in=4 * HOUR), week=0.4), turn("team-ludo", 0.99)
    decision = choose(replace(POLICY, policy="forecast"), pool(*lines), NOW)
    assert decision is not None
    exhausted = decision.candidates[0].exhausted
    assert exhausted is not None
    assert exhausted.name == "5h_sonnet"
