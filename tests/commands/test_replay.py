"""`tokmon replay`: the figures of each policy, on logs and on a simulated fleet."""

import json

from tests.commands.logbook import line, window, write
from tests.commands.screens import run
from tests.configuration import select


def test_a_simulated_fleet_is_a_table_of_policies() -> None:
    done = run("replay", "--simulate", "1", "--weeks", "1")
    assert (done.returncode, done.stderr) == (0, "")
    rows = done.stdout.splitlines()
    assert rows[0] == "seed 1, 1 simulated weeks"
    assert [row.split("|")[1].strip() for row in rows[2:] if row] == ["policy", "-" * 11, "threshold", "forecast"]


def test_json_has_a_run_for_each_seed_with_the_chosen_policies() -> None:
    done = run("replay", "--simulate", "1", "2", "--weeks", "1", "--policy", "forecast", "--json")
    report = json.loads(done.stdout)
    assert report["version"] == 1
    runs = report["runs"]
    assert [(single["seed"], [outcome["policy"] for outcome in single["policies"]]) for single in runs] == [
        (1, ["forecast"]),
        (2, ["forecast"]),
    ]
    assert set(runs[0]["policies"][0]) >= {"sessions", "sessions_429", "unused_7d", "switches", "emergencies"}


def test_a_log_is_replayed_with_the_configured_accounts() -> None:
    select(chain=["team-a", "team-b"], emergency="gate")
    log = write("other.jsonl", b"{torn\n", line("team-b", "allowed", window("7d", 0.3, 86400), session="s"))
    done = run("replay", str(log), "--json", TOKMON_PIN="team-b", TOKMON_RESUME="team-b")
    assert done.returncode == 0, done.stderr
    used, threshold, _ = json.loads(done.stdout)["runs"][0]["policies"]
    assert (used["policy"], used["sessions"], used["sessions_unknown"]) == ("as used", 1, 0)
    assert (threshold["agreed"], threshold["sessions_unknown"], threshold["unused_7d"]) == (0, 1, None)


def test_wrong_arguments_and_logs_without_sessions_are_errors() -> None:
    select(chain=["team-a"])
    empty = write("empty.jsonl")
    for arguments, code, words in (
        ((), 2, "give log files, or `--simulate SEED`"),
        (("--simulate", "1", str(empty)), 2, ""),
        ((str(empty), "--weeks", "3"), 2, "--weeks"),
        ((str(empty), "--load", "3"), 2, "--load"),
        (("--simulate", "1", "--weeks", "0"), 2, "--weeks"),
        (("--simulate", "1", "--load", "nan"), 2, "--load"),
        ((str(empty),), 1, "has a `session`"),
        ((f"{empty}.none",), 1, "cannot read"),
    ):
        done = run("replay", *arguments)
        assert (done.returncode, words in done.stderr) == (code, True), (arguments, done.stderr)
        assert "Traceback" not in done.stderr


def test_a_log_without_configured_accounts_is_an_error() -> None:
    log = write("other.jsonl", line("team-b", "allowed", session="s"))
    done = run("replay", str(log))
    assert (done.returncode, "no account is configured" in done.stderr, "hint: set `chain`" in done.stderr) == (
        1,
        True,
        True,
    )
