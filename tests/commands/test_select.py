"""`tokmon select` and `tokmon guard`: what they print, record and exit with."""

import fcntl
import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.commands.logbook import tokmon, write
from tests.commands.screens import run
from tests.configuration import select
from tests.decision.freshness import place
from tests.patience import PATIENCE_S
from tokmon import paths
from tokmon.decision import decision_file
from tokmon.wire.instants import rfc3339


def now_line(provider: str, used: float, **fields: Any) -> dict[str, Any]:
    """A turn of a minute ago, by the clock of now."""
    at = time.time()
    window = {"name": "7d", "utilization": used, "resets_at": rfc3339(at + 86400)}
    record = {"ts": rfc3339(at - 60), "id": f"turn-{provider}", "source": "piggyback", "provider": provider}
    return {**record, "status": "allowed", "windows": [window], **fields}


@pytest.fixture(autouse=True)
def two_seats() -> None:
    select(chain=["team-a", "team-b"], emergency="gate", policy="threshold", model="claude-sonnet-4-6")
    write("piggyback.jsonl", now_line("team-a", 0.95), now_line("team-b", 0.30))


def decisions() -> list[dict[str, Any]]:
    path = paths.find().logs / "decisions.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def test_the_choice_is_one_line_and_is_recorded() -> None:
    done = tokmon("select")
    assert (done.stdout, done.stderr, done.returncode) == ("team-b claude-sonnet-4-6\n", "", 0)
    (line,) = decisions()
    assert (line["provider"], line["source"], line["emergency"]) == ("team-b", "select", False)
    assert [account["provider"] for account in line["alternatives"]] == ["team-a", "team-b", "gate"]
    assert decision_file.last_account(place()) == "team-b"


def test_json_has_the_decision_and_every_account_it_was_chosen_from() -> None:
    decision = json.loads(run("select", "--json").stdout)
    assert (decision["version"], decision["provider"], decision["policy"]) == (1, "team-b", "threshold")
    assert decision["valid_until"] > decision["decided_at"]
    seat = decision["alternatives"][1]
    assert (seat["provider"], seat["utilization_7d"], seat["source"]) == ("team-b", 0.3, "piggyback")
    assert (seat["fitness"], seat["reason"]) == ("usable", "works")
    assert 59 < seat["age_s"] < 90


def test_explain_gives_a_reason_for_every_account() -> None:
    lines = run("select", "--explain").stdout.splitlines()
    assert lines[0] == "team-b claude-sonnet-4-6  first of the chain under 90%: 7d at 30%"
    assert lines[1].startswith("policy threshold; the same for ")
    assert "  team-a  usable    works; 7d 95% used 1m ago, resets in 23h 59m; allowed (pi, 1m ago)" in lines
    assert "> team-b  usable    works; 7d 30% used 1m ago, resets in 23h 59m; allowed (pi, 1m ago)" in lines
    assert "  gate    unknown   no response recorded yet" in lines


def test_explain_shows_the_age_of_each_figure_beside_it() -> None:
    older = {"name": "5h", "utilization": 0.5, "resets_at": rfc3339(time.time() + 3600)}
    write("piggyback.jsonl", now_line("team-b", 0.3, ts=rfc3339(time.time() - 7200), id="older", windows=[older]))
    (line,) = [row for row in run("select", "--explain").stdout.splitlines() if row.startswith("> team-b")]
    assert "5h 50% used 2h ago" in line
    assert "7d 30% used 1m ago" in line


def test_a_pin_wins_is_named_as_the_reason_and_is_not_published() -> None:
    assert run("select", TOKMON_PIN="xai-vigilio").stdout == "xai-vigilio claude-sonnet-4-6\n"
    assert (decisions()[0]["pinned"], decisions()[0]["reason"]) == (True, "pinned by TOKMON_PIN")
    assert decision_file.last_account(place()) != "xai-vigilio"


def test_the_older_variable_of_the_threshold_is_read() -> None:
    assert run("select", BUDGET_SWITCH_THRESHOLD="0.97").stdout == "team-a claude-sonnet-4-6\n"


def test_the_emergency_is_chosen_and_named_as_such() -> None:
    refused = {"status": "policy_rejected", "ts": rfc3339(time.time() - 5), "windows": []}
    write(
        "piggyback.jsonl", *({**now_line(name, 1.0), **refused, "id": f"late-{name}"} for name in ("team-a", "team-b"))
    )
    assert run("select").stdout == "gate claude-sonnet-4-6\n"
    assert decisions()[0]["emergency"] is True
    assert "EMERGENCY" in run("select", "--explain").stdout
    guard = run("guard")
    assert (guard.returncode, guard.stderr) == (
        1,
        "stop: no other account is usable; only the emergency `gate` is left\n",
    )


def test_without_any_account_there_is_no_decision() -> None:
    paths.find().config.unlink()
    done = run("select")
    assert (done.stdout, done.returncode) == ("", 4)
    assert done.stderr.startswith("error: no account is configured")
    assert run("select", TOKMON_DEFAULT_PROVIDER="team-x").stdout == "team-x claude-sonnet-4-6\n"


def test_an_invalid_configuration_is_a_warning_and_the_last_valid_one_is_used() -> None:
    assert run("select").returncode == 0
    select(chain=["team-a", "team-b"], threshold=90)
    done = run("select")
    assert (done.stdout, done.returncode) == ("team-b claude-sonnet-4-6\n", 0)
    assert "threshold" in done.stderr
    assert "in use: the last valid configuration" in done.stderr


def test_a_decision_that_cannot_be_recorded_is_printed_all_the_same() -> None:
    (paths.find().logs / "decisions.jsonl").mkdir()
    done = run("select")
    assert (done.stdout, done.returncode) == ("team-b claude-sonnet-4-6\n", 0)
    assert "was not recorded" in done.stderr


def test_on_a_full_disk_the_choice_is_printed_with_a_warning() -> None:
    full = ("prlimit", "--fsize=0", sys.executable, "-m", "tokmon", "select")
    env = {**os.environ, "BUDGET_SWITCH_THRESHOLD": "0.9"}  # so that nothing but the log is written
    done = subprocess.run(full, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.stdout, done.returncode) == ("team-b claude-sonnet-4-6\n", 0)
    assert "the decision was not recorded" in done.stderr


def test_a_held_lock_of_the_log_of_decisions_delays_no_choice() -> None:
    with (paths.find().logs / "decisions.jsonl.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run("select").stdout == "team-b claude-sonnet-4-6\n"
    assert [line["provider"] for line in decisions()] == ["team-b"]


def test_a_pipe_in_the_place_of_the_decision_file_does_not_hang() -> None:
    place().parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    os.mkfifo(place())
    assert tokmon("select").stdout == "team-b claude-sonnet-4-6\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("team-b",), 0), (("team-z",), 3), (("team-z", "--fail-open"), 0), ((), 0), (("--what",), 2), (("a", "b"), 2)],
)
def test_guard_answers_by_its_exit_code(arguments: tuple[str, ...], code: int) -> None:
    assert run("guard", *arguments).returncode == code


def test_guard_stops_at_a_refused_account_also_with_fail_open() -> None:
    write(
        "piggyback.jsonl", {**now_line("team-b", 0.3), "status": "no_credit", "id": "later", "ts": rfc3339(time.time())}
    )
    done = run("guard", "team-b", "--fail-open")
    assert (done.returncode, done.stderr) == (1, "stop: team-b: no credit\n")


def test_guard_without_a_name_is_about_the_account_that_would_be_chosen() -> None:
    """A session stays on the account of the last decision, although an unknown account would be chosen without one."""
    select(chain=["team-a", "team-b"], policy="forecast")
    (paths.find().logs / "piggyback.jsonl").unlink()
    week = {"name": "7d", "utilization": 0.3, "resets_at": rfc3339(time.time() + 6 * 86400)}
    write("piggyback.jsonl", now_line("team-b", 0.3) | {"windows": [week]})
    assert run("guard").returncode == 3
    now = decision_file.clock()
    pair = ("team-b", "claude-sonnet-4-6")
    content = decision_file.DecisionFile(now, now.uptime, pair, decision_file.places_of(paths.find()), accounts=(pair,))
    decision_file.write(place(), content, time.time_ns())
    assert run("guard").returncode == 0


def test_guard_does_not_believe_that_every_key_is_refused_either() -> None:
    late = {"status": "invalid_key", "ts": rfc3339(time.time() - 300), "windows": []}
    (paths.find().logs / "piggyback.jsonl").unlink()
    write("piggyback.jsonl", *({**now_line(name, 0.3), **late, "id": name} for name in ("team-a", "team-b")))
    assert run("select").stdout == "team-a claude-sonnet-4-6\n"
    for named in ((), ("team-b",)):
        done = run("guard", *named)
        assert done.returncode == 3
        assert done.stderr.endswith(": every key of the chain was refused: not believed without a new probe\n")


@pytest.mark.parametrize("policy", ["forecast", "threshold"])
def test_a_resumed_session_stays_on_its_account_while_that_has_quota_left(policy: str) -> None:
    """By option or variable, for that call alone."""
    select(chain=["team-a", "team-b"], policy=policy)
    (paths.find().logs / "piggyback.jsonl").unlink()
    week = {"name": "7d", "utilization": 0.3, "resets_at": rfc3339(time.time() + 6 * 86400)}
    urgent = {"name": "7d", "utilization": 0.3, "resets_at": rfc3339(time.time() + 3 * 3600)}
    write("piggyback.jsonl", now_line("team-a", 0.3) | {"windows": [urgent]})
    write("piggyback.jsonl", now_line("team-b", 0.3) | {"windows": [week]})
    assert run("select").stdout == "team-a claude-sonnet-4-6\n"
    for done in (run("select", "--resume", "team-b"), run("select", TOKMON_RESUME="team-b")):
        assert (done.stdout, done.stderr) == ("team-b claude-sonnet-4-6\n", "")
    assert decisions()[-1]["reason"] == "resuming on the same account: enough quota left"
    assert run("select").stdout == "team-a claude-sonnet-4-6\n", "the next session is another one"
    full = {"name": "7d", "utilization": 0.999, "resets_at": rfc3339(time.time() + 6 * 86400)}
    write("piggyback.jsonl", now_line("team-b", 0.3) | {"windows": [full], "id": "later", "ts": rfc3339(time.time())})
    assert run("select", "--resume", "team-b").stdout == "team-a claude-sonnet-4-6\n"
    assert run("select", "--resume", "nobody").stdout == "team-a claude-sonnet-4-6\n"


def test_the_older_spelling_of_no_probe_is_accepted() -> None:
    new, old = (tokmon("select", option) for option in ("--no-probe", "--no-ask"))
    assert (old.stdout, old.stderr, old.returncode) == (new.stdout, new.stderr, new.returncode)
    assert new.returncode == 0
