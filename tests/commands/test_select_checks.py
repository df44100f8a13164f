"""Pi checks where a choice is made: in the log, and in the file that other tools write."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands.logbook import tokmon, write
from tests.commands.pretended import pi
from tests.commands.test_select import now_line
from tests.configuration import select
from tests.sidecar.running import capture, sidecar, wait_until
from tokmon import paths
from tokmon.decision import decision_file
from tokmon.wire.instants import rfc3339

A, B = "team-a claude-sonnet-4-6\n", "team-b claude-sonnet-4-6\n"


@pytest.fixture(autouse=True)
def file() -> Path:
    path = paths.find().home / "checks.json"
    select(chain=["team-a", "team-b"], policy="threshold", model="claude-sonnet-4-6", check_file="~/checks.json")
    write("piggyback.jsonl", now_line("team-a", 0.2))
    return path


def put(path: Path, age: float = 600, **results: Any) -> None:
    named = {name.replace("_", "-"): said for name, said in results.items()}
    path.write_text(json.dumps({"checked_at": rfc3339(time.time() - age), "results": named}), encoding="utf-8")


def test_only_what_passed_a_fresh_check_is_chosen_from_the_log() -> None:
    assert tokmon("select").stdout == A
    said = {"source": "pi-check", "provider": "team-b", "status": "ok", "elapsed_ms": 2700, "id": "1"}
    write("check.jsonl", {**said, "ts": rfc3339(time.time() - 3 * 3600)})
    assert tokmon("select").stdout == A
    write("check.jsonl", {**said, "ts": rfc3339(time.time() - 3600)})
    assert tokmon("select").stdout == B


def test_only_what_passed_a_fresh_check_is_chosen_from_the_file(file: Path) -> None:
    put(file, 3 * 3600, team_b={"status": "ok", "ms": 2700})
    assert tokmon("select").stdout == A
    put(file, team_b={"status": "ok", "ms": 2700}, somebody={"status": "ok"})
    told = json.loads(tokmon("select", "--json").stdout)
    assert told["provider"] == "team-b"
    assert [(each["provider"], each["source"]) for each in told["alternatives"]] == [
        ("team-a", "piggyback"),
        ("team-b", "pi-check"),
    ]
    assert 600 <= told["alternatives"][1]["age_s"] < 660


@pytest.mark.parametrize("age", [-300 - 1200, 2 * 3600 - 1200], ids=["begins to count", "ceases to count"])
def test_no_decision_is_kept_for_longer_than_the_file_says_the_same(file: Path, age: float) -> None:
    write("piggyback.jsonl", now_line("team-b", 0.3))
    put(file, age, team_a={"status": "ok", "ms": 2700})
    assert tokmon("select").stdout == A
    head = (paths.find().state / "decision.kept").read_text("utf-8").split(" ")
    assert 1100 * 100 < int(head[6]) - int(head[5]) <= 1200 * 100


def test_what_the_file_says_is_never_in_the_snapshot(file: Path) -> None:
    put(file, team_b={"status": "error", "account_status": "no_credit", "scope": "account"})
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        assert running.stop() == 0
    assert tokmon("guard", "team-b").returncode == 1
    assert "team-b" not in paths.find().snapshot.read_text("utf-8")


def test_the_status_shows_it_and_nobody_who_is_not_known(file: Path) -> None:
    write("piggyback.jsonl", {**now_line("team-b", 0.4), "ts": rfc3339(time.time() - 7200), "id": "older"})
    put(file, team_b={"status": "error", "reason": "402 no more"}, somebody={"status": "ok"})
    providers = {each["provider"]: each for each in json.loads(tokmon("status", "--json").stdout)["providers"]}
    assert sorted(providers) == ["team-a", "team-b"]
    status = providers["team-b"]["status"]
    assert (status["last_status"], status["source"]) == ("no_credit", "pi-check")


@pytest.mark.parametrize("content", [b"{", b"", b"[" * 50_000])
def test_a_file_that_is_none_changes_nothing(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    done = tokmon("select")
    assert (done.stdout, done.stderr, done.returncode) == (A, "", 0)


def test_the_sidecar_decides_by_it_when_it_decides_anyway(file: Path) -> None:
    tokmon("select")  # validates the policy
    decided = decision_file.place(paths.find(), os.environ)
    decided.unlink()
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        wait_until(decided.exists, "the decision is written")
        assert " team-a " in decided.read_text("ascii")
        put(file, team_b={"status": "ok", "ms": 1})
        talk.send(capture(2))
        talk.acknowledged(2)
        wait_until(lambda: " team-b " in decided.read_text("ascii"), "the decision is another")


def test_what_tokmon_check_puts_there_is_what_it_reads(file: Path, tmp_path: Path) -> None:
    done = tokmon("check", "team-b", "--pi", str(pi(tmp_path, "echo ok")))
    assert (done.returncode, done.stderr) == (0, "")
    (paths.find().check).unlink()
    told = json.loads(file.read_bytes())
    assert list(told["results"]) == ["team-b"]
    assert told["results"]["team-b"]["status"] == "ok"
    assert tokmon("select").stdout == B


def test_a_place_that_is_no_file_of_checks_is_an_error_and_the_log_has_the_result(file: Path, tmp_path: Path) -> None:
    file.symlink_to(tmp_path / "other")
    done = tokmon("check", "team-b", "--pi", str(pi(tmp_path, "echo ok")))
    assert (done.returncode, done.stdout.split()[:2]) == (1, ["team-b", "ok"])
    assert done.stderr.startswith("error: the results are not in `check_file`: ")
    assert not (tmp_path / "other").exists()
    assert paths.find().check.exists()
