"""The one place that decides: what a decision rests on, and what makes a wake decide again."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands.logbook import configure, write
from tests.configuration import select
from tests.decision.freshness import age_inputs, fresh, place, published
from tokmon import paths
from tokmon.decision import decision_file
from tokmon.decision.decide import UNCOVERED_S, decide, refresh, refresh_quietly
from tokmon.decision.decision_file import LONGEST_S, MAX_INPUTS
from tokmon.selection import choose as selection
from tokmon.selection.choose import Decision
from tokmon.wire.instants import rfc3339

SEAT = {"baseUrl": "http://127.0.0.1:9", "api": "anthropic-messages", "models": [{"id": "claude-sonnet-4-6"}]}


def turn(provider: str, used: float, **fields: Any) -> dict[str, Any]:
    """A turn of a minute ago, by the clock of now."""
    now = time.time()
    week = {"name": "7d", "utilization": used, "resets_at": rfc3339(now + 86400)}
    line = {"ts": rfc3339(now - 60), "id": f"turn-{provider}", "source": "piggyback", "provider": provider}
    return {**line, "status": "allowed", "windows": [week], **fields}


def decided(**overrides: Any) -> Decision:
    warnings: list[str] = []
    decision, _ = decide(paths.find(), {**os.environ, **overrides.pop("env", {})}, warnings.append, **overrides)
    assert decision is not None
    assert warnings == overrides.pop("warnings", [])
    return decision


@pytest.fixture(autouse=True)
def two_seats() -> None:
    """Two seats, of which the second was taken."""
    select(chain=["team-a", "team-b"], emergency="gate", policy="threshold", check_file="~/checks.json")
    write("piggyback.jsonl", turn("team-a", 0.95), turn("team-b", 0.30))
    write("probe.jsonl", turn("gate", 0.1))
    write("decisions.jsonl")
    age_inputs()
    assert decided().provider == "team-b"
    assert fresh()


def _later() -> str:
    return rfc3339(time.time())


def _probes_gone() -> None:
    (paths.find().logs / "probe.jsonl").unlink()


def _configuration_gone() -> None:
    paths.find().config.unlink()


def _rotated() -> None:
    log = paths.find().piggyback
    log.rename(log.with_suffix(".1"))
    write(log.name, *log.with_suffix(".1").read_bytes().splitlines(keepends=True))


def _moved_with_an_old_time(path: Path, text: str) -> None:
    new = path.with_name("new")
    new.write_text(text, encoding="utf-8")
    os.utime(new, (1_000_000_000, 1_000_000_000))
    new.rename(path)


ONLY_A = '[select]\nchain = ["team-a"]\n'
CHANGES: dict[str, tuple[Callable[[], object], str]] = {
    "a line more": (lambda: write("piggyback.jsonl", turn("team-a", 0.1, ts=_later(), id="late")), "team-a"),
    "a torn line": (lambda: write("piggyback.jsonl", b'{"ts":"20'), "team-b"),
    "a new log": (lambda: write("other.jsonl", turn("team-b", 0.99, ts=_later(), id="late")), "team-a"),
    "a log gone": (_probes_gone, "team-b"),
    "a log rotated": (_rotated, "team-b"),
    "a log touched": (lambda: os.utime(paths.find().piggyback), "team-b"),
    "the configuration": (lambda: select(chain=["team-a"], policy="threshold"), "team-a"),
    "the configuration gone": (_configuration_gone, "team-a"),
    "the configuration moved into place": (lambda: _moved_with_an_old_time(paths.find().config, ONLY_A), "team-a"),
    "the folder of the logs gone": (lambda: paths.find().logs.rename(paths.find().home / "logs-away"), "team-a"),
}


@pytest.mark.parametrize(("change", "provider"), CHANGES.values(), ids=CHANGES)
def test_a_decision_is_made_again_after_any_input_changes(change: Callable[[], object], provider: str) -> None:
    if provider == "team-a":
        configure(**{"team-a": SEAT | {"apiKey": "!pass team-a"}})
        age_inputs()
        decided()
    change()
    assert not fresh()
    assert decided().provider == provider
    age_inputs()
    assert decided().provider == provider
    assert fresh()


def test_models_auth_and_check_results_are_inputs_once_they_exist() -> None:
    locations = paths.find()
    configure(**{"team-a": SEAT | {"apiKey": "!pass team-a"}})
    (locations.agent / "auth.json").write_text("{}", encoding="ascii")
    (locations.home / "checks.json").write_text('{"results":{}}', encoding="ascii")
    age_inputs()
    decided()
    assert fresh()
    for path in (locations.models, locations.agent / "auth.json", locations.home / "checks.json"):
        assert str(path) in published().inputs
        os.utime(path)
        assert not fresh()
        age_inputs()
        decided()
        assert fresh()


def test_files_that_others_add_to_pi_and_to_the_folder_of_the_checks_change_nothing() -> None:
    locations = paths.find()
    configure(**{"team-a": SEAT | {"apiKey": "!pass team-a"}})
    age_inputs()
    decided()
    for folder in (locations.agent, locations.home):
        (folder / "somebody-elses").write_text("x", encoding="ascii")
    assert fresh()


def test_a_configuration_behind_a_link_counts_wherever_it_lies(tmp_path: Path) -> None:
    config = paths.find().config
    dotfiles = tmp_path / "dotfiles"
    dotfiles.mkdir()
    target = dotfiles / "tokmon.toml"
    target.write_bytes(config.read_bytes())
    config.unlink()
    config.symlink_to(target)
    for path in (target, dotfiles):
        os.utime(path, (time.time() - 5, time.time() - 5))
    age_inputs()
    decided()
    assert fresh()
    _moved_with_an_old_time(target, ONLY_A)
    assert not fresh()


def test_evidence_that_is_logged_while_the_decision_is_made_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    choose = selection.choose

    def slow(*arguments: Any) -> Decision | None:
        write("piggyback.jsonl", turn("team-a", 0.1, ts=_later(), id="meanwhile"))
        return choose(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr("tokmon.decision.decide.choose", slow)
        assert decided().provider == "team-b"
    assert not fresh()
    assert decided().provider == "team-a"


def test_the_file_lists_every_account_with_its_model_in_order() -> None:
    select(chain=["team-a", "team-b"], fallback=["xai"], models={"xai": "grok-4"})
    decided()
    models = {"xai": "grok-4"}
    assert published().accounts == tuple(
        (name, models.get(name, "claude-sonnet-4-6")) for name in ("team-a", "team-b", "xai")
    )
    assert published().expires - published().clock.uptime <= LONGEST_S


OVERRIDES = {
    "TOKMON_PIN": "team-a",
    "TOKMON_RESUME": "team-a",
    "BUDGET_SWITCH_THRESHOLD": "0.97",
    "TOKMON_SELECT_CHAIN": "team-a",
}


@pytest.mark.parametrize("name", OVERRIDES)
def test_what_one_call_overrides_is_not_published_for_others(name: str) -> None:
    before = place().read_bytes()
    env = {**os.environ, name: OVERRIDES[name]}
    decision, _ = decide(paths.find(), env, pytest.fail)
    assert decision is not None
    assert place().read_bytes() == before
    assert refresh(paths.find(), env, "sidecar") is None
    assert place().read_bytes() == before


def test_after_an_invalid_configuration_every_wake_warns() -> None:
    select(chain=["team-a", "team-b"], policy="threshold", threshold=90)
    age_inputs()
    for _ in range(2):
        warnings: list[str] = []
        decision, _ = decide(paths.find(), os.environ, warnings.append)
        assert decision is not None
        assert decision.provider == "team-b"
        assert any("threshold" in warning for warning in warnings)
        assert not fresh()


def test_a_line_whose_clock_runs_ahead_ends_the_decision_soon() -> None:
    write("piggyback.jsonl", turn("team-b", 0.1, ts=rfc3339(time.time() + 900), id="early"))
    age_inputs()
    decided()
    assert published().expires - published().clock.uptime <= UNCOVERED_S


def test_more_logs_than_the_file_can_list_end_the_decision_soon() -> None:
    for number in range(MAX_INPUTS):
        write(f"other-{number}.jsonl", turn("team-b", 0.3, id=f"other-{number}"))
    age_inputs()
    decided()
    assert len(published().inputs) == MAX_INPUTS
    assert published().expires - published().clock.uptime <= UNCOVERED_S


def test_a_decision_before_which_a_wake_would_probe_holds_for_no_wake() -> None:
    for name in ("piggyback.jsonl", "probe.jsonl"):
        (paths.find().logs / name).unlink()
    configure(**{name: SEAT | {"apiKey": "$A_KEY_OF_ANOTHER_WAKE"} for name in ("team-a", "team-b")})
    age_inputs()
    assert decided().provider == "team-a"
    assert not fresh()
    configure(**{name: SEAT | {"apiKey": "!only pi runs this"} for name in ("team-a", "team-b")})
    age_inputs()
    assert decided().provider == "team-a"
    assert fresh()


def test_refresh_publishes_what_select_decides_and_records_only_another_choice() -> None:
    log = paths.find().decisions
    before = log.read_bytes()
    until = refresh(paths.find(), os.environ, "sidecar")
    assert until is not None
    assert until > time.time() + 60
    assert log.read_bytes() == before
    write("piggyback.jsonl", turn("team-a", 0.1, ts=_later(), id="late"))
    assert refresh(paths.find(), os.environ, "sidecar") is not None
    assert published().choice[0] == "team-a"
    line = json.loads(log.read_bytes().splitlines()[-1])
    assert (line["source"], line["provider"]) == ("sidecar", "team-a")
    assert decided().provider == "team-a"


def test_refresh_validates_nothing_and_a_command_does() -> None:
    select(chain=["team-a"], policy="threshold")
    before = place().read_bytes()
    assert refresh(paths.find(), os.environ, "sidecar") is None
    assert place().read_bytes() == before
    refresh_quietly(paths.find(), os.environ, "monitor")
    assert published().choice[0] == "team-a"


def test_a_folder_that_cannot_be_written_costs_a_warning_and_no_decision() -> None:
    log = paths.find().decisions
    log.unlink()
    log.mkdir()
    place().unlink()
    place().mkdir()
    warnings: list[str] = []
    decision, _ = decide(paths.find(), os.environ, warnings.append)
    assert decision is not None
    assert decision.provider == "team-b"
    assert [warning.split(":")[0] for warning in warnings] == [
        "the decision was not published",
        "the decision was not recorded",
    ]


def test_a_torn_line_of_the_log_is_closed_before_the_next() -> None:
    log = paths.find().decisions
    with log.open("ab") as file:
        file.write(b'{"to')
    decided()
    first, torn, last = log.read_bytes().splitlines()
    assert (json.loads(first)["provider"], torn, json.loads(last)["provider"]) == ("team-b", b'{"to', "team-b")


def test_an_identity_with_a_pi_folder_of_its_own_has_a_file_of_its_own(tmp_path: Path) -> None:
    env = {**os.environ, "PI_CODING_AGENT_DIR": str(tmp_path / "agent"), "TOKMON_MEMBER": "nadja"}
    locations = paths.find(env)
    decision, _ = decide(locations, env, pytest.fail)
    assert decision is not None
    own = locations.state / "decision-nadja"
    content = decision_file.read(own)
    assert content is not None
    assert content.places.endswith(str(tmp_path / "agent"))
    for name in ("../nadja", "a b", "-x", ""):
        path = decision_file.path_of(locations, {**env, "TOKMON_MEMBER": name})
        assert path == locations.state / "decision"


def test_a_long_log_is_read_newest_first_and_a_little_further_by_every_wake() -> None:
    """An older tool's month, of which no state exists yet, in another order of fields than the sidecar's."""
    now = time.time()
    lines = (
        json.dumps({"status": "allowed", "provider": f"team-{'ab'[number % 2]}", "utilization_7d": number % 90 / 100})[
            :-1
        ]
        + f', "ts": "{rfc3339(now - 120 - (40_000 - number))}"}}\n'
        for number in range(40_000)
    )
    write("older-tool.jsonl", *(line.encode() for line in lines))
    write("older-tool.jsonl", turn("team-a", 0.2, ts=rfc3339(now - 30), id="newest-a"))
    age_inputs()
    first = decided(env={"TOKMON_DEADLINE_MS": "1"})
    assert first.provider == "team-a"
    assert published().expires - published().clock.uptime <= UNCOVERED_S
    wakes = 1
    while published().expires - published().clock.uptime <= UNCOVERED_S:
        assert decided(env={"TOKMON_DEADLINE_MS": "1"}).provider == "team-a"
        wakes += 1
        assert wakes < 10_000
    assert fresh()
