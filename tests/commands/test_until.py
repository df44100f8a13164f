"""Until when evidence counts, on real logs: `status`, `guard` and `select` show what newer evidence has changed."""

import json
from typing import Any

import pytest

from tests.commands.logbook import DAY, HOUR, Record, configure, write
from tests.commands.screens import run, screens_of
from tests.commands.test_one_verdict import agree, at, screens, week
from tests.configuration import select

EXCLUDED = 1
EVERY_SEAT = ("team-a", "team-b")


def opus(used: float, name: str = "7d_opus") -> Record:
    return week(used, 2 * DAY) | {"name": name, "scope": "model", "status": "rejected" if used >= 1 else "allowed"}


def working(provider: str, age: float = 60.0, *more: Record, **fields: Any) -> Record:
    return at(age, provider, "allowed", windows=[week(0.3), *more], http_status=200, **fields)


@pytest.mark.parametrize("source", ["piggyback", "probe"])
@pytest.mark.parametrize("model", ["claude-opus-4-5", "claude-opus-4-1-20250805", "opus", "claude-sonnet-4-6"])
def test_a_used_up_window_of_some_models_stops_sessions_on_these_alone(model: str, source: str) -> None:
    select(chain=list(EVERY_SEAT), model=model)
    write("piggyback.jsonl", working("team-a", 60.0, opus(1.0), source=source), working("team-b"))
    stopped = "opus" in model
    assert run("select").stdout.split() == ["team-b" if stopped else "team-a", model]
    shown = screens_of("team-a")
    assert shown.status == (("excluded", "7d_opus used up") if stopped else ("usable", "works"))
    assert shown.guard == (EXCLUDED if stopped else 0)


def test_status_shows_a_window_of_some_models_and_which_these_are() -> None:
    spark = opus(0.4, "GPT-5.3-Codex-Spark:5h")
    write("piggyback.jsonl", working("team-a", 60.0, opus(0.2), spark, opus(0.1, "7d_oi"), model="claude-fable-5"))
    (account,) = json.loads(run("status", "--json").stdout)["providers"]
    models = {window["name"]: window["models"] for window in account["windows"]}
    assert models == {
        "7d": [],
        "7d_opus": ["opus"],
        "7d_oi": ["claude-fable-5"],
        "GPT-5.3-Codex-Spark:5h": ["GPT-5.3-Codex-Spark"],
    }
    assert "for claude-fable-5" in run("status").stdout


def test_a_nearly_used_up_window_of_the_model_is_shown_beside_the_choice() -> None:
    select(chain=list(EVERY_SEAT), model="claude-opus-4-5")
    write("piggyback.jsonl", working("team-a", 60.0, opus(0.985)), working("team-b", 60.0, opus(0.3)))
    explained = run("select", "--explain").stdout
    assert explained.startswith("team-b ")
    assert "7d_opus 98% used" in explained
    decision = json.loads(run("select", "--json").stdout)
    assert [one["name"] for one in decision["alternatives"][0]["model_windows"]] == ["7d_opus"]


@pytest.mark.parametrize("newer", [week(0.1, 4 * DAY), week(0.9, 2 * DAY), week(0.99, 4 * DAY)])
def test_newer_figures_of_a_probe_end_a_refusal_in_a_session(newer: Record) -> None:
    refused = at(2 * HOUR, "team-a", "rejected", windows=[week(1.0, 2 * DAY)], http_status=429)
    refused["blocked_until"] = week(1.0, 2 * DAY)["resets_at"]
    agree(screens(refused, working("team-b")), "excluded", "7d used up")
    write("probe.jsonl", at(1500, "team-a", "allowed", source="probe", windows=[newer], http_status=200))
    agree(screens_of("team-a"), "usable", "newer figures ended the limit")


def test_a_bare_200_ends_no_refusal_in_a_session() -> None:
    refused = at(HOUR, "team-a", "rejected", windows=[week(1.0, 2 * DAY)], http_status=429)
    bare = at(60, "team-a", "allowed", source="probe", windows=[], http_status=200)
    agree(screens(refused, bare, working("team-b")), "excluded", "7d used up")


@pytest.mark.parametrize("policy", ["forecast", "threshold"])
def test_an_overload_of_every_seat_does_not_lead_to_the_emergency(policy: str) -> None:
    configure(**{name.replace("-", "_"): {} for name in (*EVERY_SEAT, "gate")})
    select(chain=list(EVERY_SEAT), emergency="gate", policy=policy)
    lines = [working(name, 1200.0) for name in EVERY_SEAT]
    lines += [at(30.0, name, "overloaded", http_status=529, scope="provider") for name in EVERY_SEAT]
    write("piggyback.jsonl", *lines)
    assert run("select").stdout.split()[0] == "team-a"
    agree(screens_of("team-a"), "usable", "works; provider overloaded")
