"""Pi checks as evidence for a choice: in the log, and in the file that other tools write."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands.logbook import write
from tests.commands.pretended import pi
from tests.commands.screens import providers, run
from tests.commands.test_select import now_line
from tests.configuration import select
from tests.decision.freshness import published
from tests.sidecar.running import capture, sidecar, wait_until
from tokmon import paths
from tokmon.wire.instants import rfc3339

A, B = "team-a claude-sonnet-4-6\n", "team-b claude-sonnet-4-6\n"


@pytest.fixture(autouse=True)
def file() -> Path:
    path = paths.find().home / "checks.json"
    select(chain=["team-a", "team-b"], policy="threshold", model="claude-sonnet-4-6", check_file="~/checks.json")
    write("piggyback.jsonl", now_line("team-a", 0.2))
    return path


def put(path: Path, age: float = 600, **results: Any) -> None:
    named = {name.replace("_", "-"): result for name, result in results.items()}
    path.write_text(json.dumps({"checked_at": rfc3339(time.time() - age), "results": named}), encoding="utf-8")


def test_by_threshold_only_accounts_with_a_fresh_passed_check_in_the_log_are_chosen() -> None:
    assert run("select").stdout == A
    passed = {"source": "pi-check", "provider": "team-b", "status": "ok", "elapsed_ms": 2700, "id": "1"}
    write("check.jsonl", {**passed, "ts": rfc3339(time.time() - 3 * 3600)})
    assert run("select").stdout == A
    write("check.jsonl", {**passed, "ts": rfc3339(time.time() - 3600)})
    assert run("select").stdout == B


def test_by_threshold_only_accounts_with_a_fresh_passed_check_in_the_file_are_chosen(file: Path) -> None:
    put(file, 3 * 3600, team_b={"status": "ok", "ms": 2700})
    assert run("select").stdout == A
    put(file, team_b={"status": "ok", "ms": 2700}, somebody={"status": "ok"})
    decision = json.loads(run("select", "--json").stdout)
    assert decision["provider"] == "team-b"
    assert [(account["provider"], account["source"]) for account in decision["alternatives"]] == [
        ("team-a", "piggyback"),
        ("team-b", "pi-check"),
    ]
    assert 600 <= decision["alternatives"][1]["age_s"] < 660


@pytest.mark.parametrize("age", [-300 - 1200, 2 * 3600 - 1200], ids=["begins to count", "ceases to count"])
def test_a_decision_holds_no_longer_than_the_results_of_the_file(file: Path, age: float) -> None:
    write("piggyback.jsonl", now_line("team-b", 0.3))
    put(file, age, team_a={"status": "ok", "ms": 2700})
    assert run("select").stdout == A
    content = published()
    assert 1100 < content.expires - content.clock.uptime <= 1200


def test_results_of_the_file_are_never_saved_in_the_snapshot(file: Path) -> None:
    put(file, team_b={"status": "error", "account_status": "no_credit", "scope": "account"})
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        assert running.stop() == 0
    assert run("guard", "team-b").returncode == 1
    assert "team-b" not in paths.find().snapshot.read_text("utf-8")


def test_status_shows_results_of_the_file_for_known_accounts_alone(file: Path) -> None:
    write(
        "piggyback.jsonl",
        {**now_line("team-b", 0.4), "ts": rfc3339(time.time() - 7200), "id": "older", "source": "probe"},
    )
    put(file, team_b={"status": "error", "reason": "402 no more"}, somebody={"status": "ok"})
    known = providers()
    assert sorted(known) == ["team-a", "team-b"]
    assert (known["team-b"]["status"]["status"], known["team-b"]["status"]["source"]) == ("no_credit", "pi-check")
    assert (known["team-b"]["fitness"], known["team-b"]["reason"]) == ("excluded", "no credit")


@pytest.mark.parametrize("content", [b"{", b"", b"[" * 50_000])
def test_a_damaged_file_of_checks_changes_nothing(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    done = run("select")
    assert (done.stdout, done.stderr, done.returncode) == (A, "", 0)


def test_the_sidecar_decides_with_the_results_of_the_file(file: Path) -> None:
    run("select")  # validates the policy
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        assert published().choice[0] == "team-a"
        put(file, team_b={"status": "ok", "ms": 1})
        talk.send(capture(2))
        talk.acknowledged(2)
        wait_until(lambda: published().choice[0] == "team-b", "the decision is another")


def test_select_uses_the_results_that_tokmon_check_wrote(file: Path, tmp_path: Path) -> None:
    done = run("check", "team-b", "--pi", str(pi(tmp_path, "echo ok")))
    assert (done.returncode, done.stderr) == (0, "")
    (paths.find().check).unlink()
    written = json.loads(file.read_bytes())
    assert list(written["results"]) == ["team-b"]
    assert written["results"]["team-b"]["status"] == "ok"
    assert run("select").stdout == B


def test_a_check_file_that_cannot_be_written_is_an_error_and_the_log_has_the_result(file: Path, tmp_path: Path) -> None:
    file.symlink_to(tmp_path / "other")
    done = run("check", "team-b", "--pi", str(pi(tmp_path, "echo ok")))
    assert (done.returncode, done.stdout.split()[:2]) == (1, ["team-b", "ok"])
    assert done.stderr.startswith("error: the results were not written to `check_file`: ")
    assert not (tmp_path / "other").exists()
    assert paths.find().check.exists()
