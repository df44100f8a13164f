"""`tokmon check`, with programs in place of pi."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.logbook import configure, tokmon, write
from tests.commands.pretended import POLICY, REFUSED, SPENT, fails, lines, lives, mode, pi
from tests.commands.screens import run
from tests.configuration import select
from tests.decision.freshness import place
from tests.sidecar.running import wait_until
from tokmon import paths
from tokmon.decision import decision_file
from tokmon.evidence.history import History
from tokmon.pi import extension
from tokmon.store import state_file

KEY = "plain-key-without-a-shape"


@pytest.fixture(autouse=True)
def two_seats() -> None:
    select(chain=["team-a", "team-b"], model="claude-sonnet-4-6", models={"team-b": "grok-4"})


def history(provider: str) -> History:
    return state_file.current(paths.find()).snapshot.accounts[provider].history


def test_every_configured_account_is_checked_with_its_model(tmp_path: Path) -> None:
    done = run("check", "--pi", str(pi(tmp_path, 'echo "$@" >>"$HOME/asked"; echo ok')))
    assert (done.returncode, done.stderr) == (0, "")
    assert [row.split()[:2] for row in sorted(done.stdout.splitlines())] == [["team-a", "ok"], ["team-b", "ok"]]
    commands = sorted((paths.find().home / "asked").read_text("utf-8").splitlines())
    assert [row.split()[1] for row in commands] == ["team-a/claude-sonnet-4-6", "team-b/grok-4"]
    assert all({"-p", "--no-session", "--no-tools", "--no-extensions"} <= set(row.split()) for row in commands)


def test_a_result_is_a_log_line_that_select_and_tail_read(tmp_path: Path) -> None:
    run("check", "team-a", "--pi", str(pi(tmp_path, "sleep 0.01; echo ok")))
    (line,) = lines()
    assert (line["source"], line["status"], line["provider"], line["model"]) == (
        "pi-check",
        "ok",
        "team-a",
        "claude-sonnet-4-6",
    )
    assert line["elapsed_ms"] > 0
    assert mode(paths.find().check) == 0o600
    (alternative, _) = json.loads(run("select", "--json").stdout)["alternatives"]
    assert (alternative["source"], alternative["fitness"]) == ("pi-check", "usable")
    assert "team-a" in tokmon("tail", "--no-follow").stdout


def test_a_check_publishes_the_decision_for_the_next_wake(tmp_path: Path) -> None:
    run("select", "--no-probe")  # validates the policy
    assert decision_file.last_account(place()) == "team-a"
    run("check", "--pi", str(pi(tmp_path, f'case "$*" in *team-a*) {fails(SPENT)} ;; esac; echo ok')))
    assert decision_file.last_account(place()) == "team-b"
    log = paths.find().decisions.read_bytes().splitlines()
    assert [json.loads(line)["source"] for line in log] == ["select", "check"]


@pytest.mark.parametrize(
    ("text", "status", "fitness"),
    [
        (SPENT, "no_credit", "excluded"),
        (POLICY, "policy_rejected", "excluded"),
        ("Connection error.", "network_error", "unknown"),
        ('Failed to resolve API key for provider "team-a" from shell command: x', "unknown", "unknown"),
        ("Warning: Model not found.\n" + SPENT, "no_credit", "excluded"),
        ('400 {"error":{"message":"what is that"}}', "unknown", "unknown"),
    ],
)
def test_the_error_text_of_pi_becomes_the_status_of_the_account(
    tmp_path: Path, text: str, status: str, fitness: str
) -> None:
    done = run("check", "team-a", "--pi", str(pi(tmp_path, fails(text))))
    assert done.returncode == 1
    (line,) = lines()
    assert (line["status"], line["account_status"]) == ("error", status)
    alternative = json.loads(run("select", "--json").stdout)["alternatives"][0]
    assert alternative["fitness"] == fitness
    assert history("team-a").last_failed_check is not None


def test_the_reason_is_the_error_message_on_one_line(tmp_path: Path) -> None:
    done = run("check", "team-a", "--pi", str(pi(tmp_path, fails(SPENT))))
    assert done.stdout.rstrip().endswith("ms  400: Your credit balance is too low to access the Anthropic API.")
    assert len(done.stdout.splitlines()) == 1


def test_a_refused_key_is_tried_again_and_is_ok_if_it_works_then(tmp_path: Path) -> None:
    flapping = f'[ -e "$HOME/tried" ] && {{ echo ok; exit; }}; : >"$HOME/tried"; {fails(REFUSED)}'
    assert run("check", "team-a", "--pi", str(pi(tmp_path, flapping))).returncode == 0
    assert [line["status"] for line in lines()] == ["ok"]


def test_a_key_refused_twice_is_refused_although_it_worked_before(tmp_path: Path) -> None:
    run("check", "team-a", "--pi", str(pi(tmp_path, "echo ok")))
    run("check", "team-a", "--pi", str(pi(tmp_path, 'echo x >>"$HOME/tries"; ' + fails(REFUSED))))
    assert (paths.find().home / "tries").read_text("ascii") == "x\nx\n"
    assert (lines()[1]["account_status"], lines()[1]["substatus"]) == ("invalid_key", "confirmed")
    alternative = json.loads(run("select", "--json").stdout)["alternatives"][0]
    assert (alternative["fitness"], alternative["reason"]) == ("excluded", "login or key refused")


def test_no_secret_is_printed_or_logged(tmp_path: Path) -> None:
    configure(team_a={"baseUrl": "https://x", "api": "anthropic-messages", "apiKey": KEY, "models": [{"id": "m"}]})
    text = f"401 it was refused: {KEY}, nor sk-ant-oat01-SeatSeatSeat, nor a\\u001b[31m colour"
    done = run("check", "team-a", "--json", "--pi", str(pi(tmp_path, fails(text))))
    written = done.stdout + done.stderr + paths.find().check.read_text("utf-8")
    assert "it was refused: [secret]" in written
    assert KEY not in written
    assert "SeatSeat" not in written


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("kill -KILL $$", "pi was killed by SIGKILL"),
        ("exit 0", "pi ended without an answer"),
        ("exit 3", "pi said nothing, and ended with exit code 3"),
        ("head -c 3000000 /dev/zero", "pi printed more than 1 MiB"),
        ("head -c 3000000 /dev/zero >&2; exit 1", "pi printed more than 1 MiB"),
        ("while :; do echo more; done", "pi printed more than 1 MiB"),
        ("exec sleep 300", "no answer within 0.5 s"),
        ("trap '' TERM; while :; do sleep 0.1; done", "no answer within 0.5 s"),
        ("echo ok; sleep 300", "no answer within 0.5 s"),
    ],
)
def test_a_pi_that_fails_is_an_error_with_its_reason_and_no_evidence_of_the_account(
    tmp_path: Path, script: str, reason: str
) -> None:
    deadline = "0.5" if "0.5" in reason else "20"
    done = run("check", "team-a", "--deadline", deadline, "--pi", str(pi(tmp_path, script)))
    assert done.returncode == 1
    (line,) = lines()
    assert (line["status"], line["account_status"], line["reason"]) == ("error", "unknown", reason)
    assert history("team-a").by_source == {}


@pytest.mark.parametrize("last", ["echo ok", "sleep 300"])
def test_child_processes_of_pi_do_not_outlive_the_check(tmp_path: Path, last: str) -> None:
    script = f'sh -c \'trap "" TERM; echo $$ >"$HOME/child"; while :; do sleep 1; done\' & \
while [ ! -s "$HOME/child" ]; do sleep 0.02; done; {last}'
    done = run("check", "team-a", "--deadline", "3", "--pi", str(pi(tmp_path, script)))
    assert done.returncode == (0 if last == "echo ok" else 1)
    child = int((paths.find().home / "child").read_text("ascii"))
    wait_until(lambda: not lives(child), "the child is gone")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_check_leaves_no_pi_behind(tmp_path: Path, number: signal.Signals) -> None:
    hangs = pi(tmp_path, 'echo $$ >"$HOME/$account"; exec sleep 300')
    command = [sys.executable, "-m", "tokmon", "check", "--pi", str(hangs)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as command_process:
        pids = [paths.find().home / name for name in ("team-a", "team-b")]
        wait_until(lambda: all(path.exists() and path.read_text("ascii").strip() for path in pids), "both run")
        command_process.send_signal(number)
        assert command_process.wait(20) == 128 + number
    assert not any(lives(int(path.read_text("ascii"))) for path in pids)
    assert lines() == []


def test_jobs_limits_the_sessions_at_a_time(tmp_path: Path) -> None:
    alone = 'mkdir "$HOME/one" || { echo more >&2; exit 1; }; sleep 0.1; rmdir "$HOME/one"; echo ok'
    done = run("check", *(f"team-{letter}" for letter in "abcd"), "--jobs", "1", "--pi", str(pi(tmp_path, alone)))
    assert done.returncode == 0, done.stdout


def test_two_sessions_run_at_a_time_by_default(tmp_path: Path) -> None:
    both = '[ -e "$HOME/team-a" ] && [ -e "$HOME/team-b" ]'
    waits = f': >"$HOME/$account"; until {both}; do sleep 0.02; done; echo ok'
    done = run("check", "--pi", str(pi(tmp_path, waits)))
    assert done.returncode == 0, done.stdout


def test_pi_runs_without_input_in_an_empty_folder_with_a_mission(tmp_path: Path) -> None:
    script = 'cat; pwd; ls -A; echo "$TOKMON_MISSION $TOKMON_NO_SPAWN"'
    look = pi(tmp_path, f'{{ {script}; }} >"$HOME/seen"; echo ok')
    assert run("check", "team-a", "--pi", str(look)).returncode == 0
    folder, mission = (paths.find().home / "seen").read_text("utf-8").splitlines()
    assert mission == "pi-check 1"
    assert not Path(folder).exists()


def test_a_missing_pi_is_one_error() -> None:
    done = run("check", "--pi", "/no/such/pi")
    assert (done.returncode, done.stdout, lines()) == (1, "", [])
    assert done.stderr.startswith("error: cannot run `/no/such/pi`: no such program, so nothing was checked\nhint: ")


def test_only_the_extension_of_tokmon_is_loaded(tmp_path: Path) -> None:
    own = paths.find().extension
    extension.install(paths.find())
    commands = pi(tmp_path, 'echo "$@" >>"$HOME/asked"; echo ok')
    run("check", "team-a", "--pi", str(commands))
    run("check", "team-a", "--pi", str(commands), TOKMON_DISABLE="1")
    own.unlink()
    own.write_text("// somebody's\n", encoding="utf-8")
    run("check", "team-a", "--pi", str(commands))
    rows = (paths.find().home / "asked").read_text("utf-8").splitlines()
    assert [f"-e {own}" in row for row in rows] == [True, False, False]


@pytest.mark.parametrize("broken", ['echo "Error: Failed to load extension $before" >&2; exit 1', "exit 0"])
def test_a_failing_extension_does_not_fail_the_check(tmp_path: Path, broken: str) -> None:
    extension.install(paths.find())
    script = f'for word; do [ "$before" = -e ] && {{ before=$word; {broken}; }}; before=$word; done; echo ok'
    assert run("check", "team-a", "--pi", str(pi(tmp_path, script))).returncode == 0


def test_json_has_the_results_in_the_given_order(tmp_path: Path) -> None:
    script = f'[ "$account" = team-b ] && {{ {fails(SPENT)}\n}}; sleep 0.2; echo ok'
    done = run("check", "team-a", "team-b", "--json", "--pi", str(pi(tmp_path, script)))
    report = json.loads(done.stdout)
    assert report["version"] == 1
    assert list(report["results"]) == ["team-a", "team-b"]
    assert report["results"]["team-a"].keys() == {"status", "ms", "checked_at", "model"}
    second = report["results"]["team-b"]
    assert (second["status"], second["account_status"]) == ("error", "no_credit")
    assert second["reason"].startswith("400: Your credit")
    assert report["checked_at"] == min(result["checked_at"] for result in report["results"].values())
    assert done.returncode == 1


def test_no_log_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "checks.json"
    done = run("check", "--no-log", "--pi", str(pi(tmp_path, "echo ok")), TOKMON_SELECT_CHECK_FILE=str(file))
    assert (done.returncode, lines(), file.exists()) == (0, [], False)


def test_a_result_that_cannot_be_logged_is_an_error(tmp_path: Path) -> None:
    paths.find().logs.mkdir(parents=True)
    paths.find().check.mkdir()
    done = run("check", "team-a", "--pi", str(pi(tmp_path, "echo ok")))
    assert done.returncode == 1
    assert done.stderr.startswith("error: the result for `team-a` was not logged: ")
    assert "team-a  ok" in done.stdout


def test_without_a_configuration_the_accounts_of_models_json_are_checked(tmp_path: Path) -> None:
    paths.find().config.unlink()
    commands = str(pi(tmp_path, 'echo "$@" >>"$HOME/asked"; echo ok'))
    none = run("check", "--pi", commands)
    assert (none.returncode, none.stdout) == (1, "")
    assert none.stderr.startswith("error: no account to check")
    configure(xai_a={"baseUrl": "https://api.x.ai/v1", "api": "openai-completions", "models": [{"id": "grok-4"}]})
    assert run("check", "--pi", commands).stdout.startswith("xai-a  ok")
    assert "--model xai-a/grok-4 " in (paths.find().home / "asked").read_text("utf-8")


@pytest.mark.parametrize(
    "arguments", [("a b",), ("--jobs", "0"), ("--deadline", "0"), ("--model", "a b"), ("--pi", "'")]
)
def test_invalid_arguments_are_usage_errors(arguments: tuple[str, ...]) -> None:
    assert run("check", *arguments).returncode == 2


def test_a_check_by_another_tool_is_read_by_its_text() -> None:
    record = {"source": "pi-check", "provider": "team-a", "ts": "2026-11-22T07:00:00Z", "status": "error"}
    write("provider-check.jsonl", {**record, "reason": POLICY})
    write("provider-check.jsonl", {**record, "provider": "team-b", "status": "maybe"})
    snapshot = state_file.current(paths.find()).snapshot
    assert str(snapshot.accounts["team-a"].history.by_source["pi-check"].status) == "policy_rejected"
    assert "team-b" not in snapshot.accounts


def test_a_file_that_is_not_a_program_is_an_error(tmp_path: Path) -> None:
    plain = tmp_path / "pi"
    plain.write_text("", encoding="utf-8")
    assert run("check", "--pi", str(plain)).returncode == 1
    garbage = pi(tmp_path, "")
    garbage.write_bytes(os.urandom(64))
    done = run("check", "team-a", "--pi", str(garbage))
    assert done.returncode == 1
    assert lines()[0]["reason"].startswith("pi cannot be started: ")
