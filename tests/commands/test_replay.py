"""`tokmon replay`, as a process."""

import json

from tests.commands.logbook import line, tokmon, window, write
from tests.configuration import select


def test_a_simulated_fleet_is_a_table_of_policies() -> None:
    done = tokmon("replay", "--simulate", "1", "--weeks", "1")
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.splitlines()
    assert said[0] == "seed 1, 1 simulated weeks"
    assert [row.split("|")[1].strip() for row in said[2:] if row] == ["policy", "-" * 11, "threshold", "forecast"]


def test_json_has_a_run_for_each_seed_and_only_the_policies_asked_for() -> None:
    done = tokmon("replay", "--simulate", "1", "2", "--weeks", "1", "--policy", "forecast", "--json")
    runs = json.loads(done.stdout)["runs"]
    assert [(run["seed"], [each["policy"] for each in run["policies"]]) for run in runs] == [
        (1, ["forecast"]),
        (2, ["forecast"]),
    ]
    assert set(runs[0]["policies"][0]) >= {"sessions", "sessions_429", "unused_7d", "switches", "emergencies"}


def test_a_log_is_replayed_with_the_accounts_of_the_configuration() -> None:
    select(chain=["team-a", "team-b"], emergency="gate")
    log = write("other.jsonl", b"{torn\n", line("team-b", "allowed", window("7d", 0.3, 86400), session="s"))
    done = tokmon("replay", str(log), "--json", TOKMON_PIN="team-b", TOKMON_RESUME="team-b")
    assert done.returncode == 0, done.stderr
    used, threshold, _ = json.loads(done.stdout)["runs"][0]["policies"]
    assert (used["policy"], used["sessions"], used["sessions_unknown"]) == ("as used", 1, 0)
    assert (threshold["agreed"], threshold["sessions_unknown"], threshold["unused_7d"]) == (0, 1, None)


def test_what_cannot_be_replayed_is_said() -> None:
    select(chain=["team-a"])
    empty = write("empty.jsonl")
    for arguments, code, said in (
        ((), 2, "either logs or"),
        (("--simulate", "1", str(empty)), 2, ""),
        ((str(empty), "--weeks", "3"), 2, "--weeks"),
        ((str(empty), "--load", "3"), 2, "--load"),
        (("--simulate", "1", "--weeks", "0"), 2, "--weeks"),
        (("--simulate", "1", "--load", "nan"), 2, "--load"),
        ((str(empty),), 1, "names a session"),
        ((f"{empty}.none",), 1, "cannot read"),
    ):
        done = tokmon("replay", *arguments)
        assert (done.returncode, said in done.stderr) == (code, True), (arguments, done.stderr)
        assert "Traceback" not in done.stderr


def test_a_log_without_a_configuration_names_what_is_missing() -> None:
    log = write("other.jsonl", line("team-b", "allowed", session="s"))
    done = tokmon("replay", str(log))
    assert (done.returncode, "no account is configured" in done.stderr, "hint: name a `chain`" in done.stderr) == (
        1,
        True,
        True,
    )
