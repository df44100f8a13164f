"""`tokmon select` and `tokmon guard`, as processes."""

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands.logbook import tokmon, write
from tests.configuration import select
from tests.sidecar.running import capture, sidecar, wait_until
from tokmon import paths
from tokmon.decision import decision_file
from tokmon.wire.instants import rfc3339


def now_line(provider: str, used: float, **fields: Any) -> dict[str, Any]:
    """A turn of a minute ago, by the clock of now."""
    at = time.time()
    window = {"name": "7d", "utilization": used, "resets_at": rfc3339(at + 86400)}
    said = {"ts": rfc3339(at - 60), "id": f"turn-{provider}", "source": "piggyback", "provider": provider}
    return {**said, "status": "allowed", "windows": [window], **fields}


@pytest.fixture(autouse=True)
def two_seats() -> None:
    select(chain=["team-a", "team-b"], emergency="gate", policy="threshold", model="claude-sonnet-4-6")
    write("piggyback.jsonl", now_line("team-a", 0.95), now_line("team-b", 0.30))


def decisions() -> list[dict[str, Any]]:
    path = paths.find().logs / "decisions.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def test_the_choice_is_one_line_and_is_kept() -> None:
    done = tokmon("select")
    assert (done.stdout, done.stderr, done.returncode) == ("team-b claude-sonnet-4-6\n", "", 0)
    (line,) = decisions()
    assert (line["provider"], line["source"], line["emergency"]) == ("team-b", "select", False)
    assert [each["provider"] for each in line["alternatives"]] == ["team-a", "team-b", "gate"]
    assert decision_file.last(paths.find()) == "team-b"


def test_json_says_everything_about_everyone() -> None:
    told = json.loads(tokmon("select", "--json").stdout)
    assert set(told) >= {
        "provider",
        "model",
        "reason",
        "emergency",
        "alternatives",
        "policy",
        "decided_at",
        "valid_until",
    }
    seat = told["alternatives"][1]
    assert (seat["provider"], seat["utilization_7d"], seat["source"], seat["verdict"]) == (
        "team-b",
        0.3,
        "piggyback",
        "usable",
    )
    assert 59 < seat["age_s"] < 90


def test_explained_it_says_why_this_one_and_why_not_each_other() -> None:
    said = tokmon("select", "--explain").stdout.splitlines()
    assert said[0] == "team-b claude-sonnet-4-6  first of the chain under 90%: 7d at 30%"
    assert any(line.startswith("  team-a  usable") and "7d 95%" in line for line in said)
    assert any(line.startswith("> team-b  usable") for line in said)
    assert any(line.startswith("  gate    unknown   nothing seen yet") for line in said)


def test_a_pin_wins_and_is_said_to_be_one_and_is_nobody_elses() -> None:
    assert tokmon("select", TOKMON_PIN="xai-vigilio").stdout == "xai-vigilio claude-sonnet-4-6\n"
    assert (decisions()[0]["pinned"], decisions()[0]["reason"]) == (True, "pinned by TOKMON_PIN")
    assert decision_file.last(paths.find()) is None
    assert not decision_file.place(paths.find(), os.environ).exists()


def test_the_older_variable_for_the_threshold_counts() -> None:
    assert tokmon("select", BUDGET_SWITCH_THRESHOLD="0.97").stdout == "team-a claude-sonnet-4-6\n"


def test_the_emergency_is_taken_and_said() -> None:
    refused = {"status": "policy_rejected", "ts": rfc3339(time.time() - 5), "windows": []}
    write(
        "piggyback.jsonl", *({**now_line(name, 1.0), **refused, "id": f"late-{name}"} for name in ("team-a", "team-b"))
    )
    assert tokmon("select").stdout == "gate claude-sonnet-4-6\n"
    assert decisions()[0]["emergency"] is True
    assert "EMERGENCY" in tokmon("select", "--explain").stdout
    assert tokmon("guard").returncode == 1


def test_nothing_configured_is_no_decision() -> None:
    paths.find().config.unlink()
    done = tokmon("select")
    assert (done.stdout, done.returncode) == ("", 4)
    assert done.stderr.startswith("error: no account is configured")
    assert tokmon("select", TOKMON_DEFAULT_PROVIDER="team-x").stdout == "team-x claude-sonnet-4-6\n"


def test_an_invalid_configuration_is_said_and_the_last_valid_one_counts() -> None:
    assert tokmon("select").returncode == 0
    select(chain=["team-a", "team-b"], threshold=90)
    done = tokmon("select")
    assert (done.stdout, done.returncode) == ("team-b claude-sonnet-4-6\n", 0)
    assert "threshold" in done.stderr
    assert "in use: the last valid configuration" in done.stderr


def test_what_cannot_be_recorded_changes_nothing() -> None:
    (paths.find().logs / "decisions.jsonl").mkdir()
    done = tokmon("select")
    assert (done.stdout, done.returncode) == ("team-b claude-sonnet-4-6\n", 0)
    assert "was not recorded" in done.stderr


def test_on_a_full_disk_the_choice_is_printed_and_the_loss_is_said() -> None:
    full = ("prlimit", "--fsize=0", sys.executable, "-m", "tokmon", "select")
    env = {**os.environ, "BUDGET_SWITCH_THRESHOLD": "0.9"}  # so that nothing but the log is written
    done = subprocess.run(full, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.returncode) == ("team-b claude-sonnet-4-6\n", 0)
    assert "the decision was not recorded" in done.stderr


def test_who_holds_the_log_of_decisions_holds_up_no_choice() -> None:
    log = paths.find().logs / "decisions.jsonl"
    with Path(f"{log}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = tokmon("select")
    assert (done.stdout, done.returncode) == ("team-b claude-sonnet-4-6\n", 0)
    assert done.stderr.startswith("warning: the decision was not recorded: another process holds that log")
    assert decision_file.place(paths.find(), os.environ).exists(), "the next wake has it"


def test_a_pipe_in_the_place_of_the_last_decision_hangs_nobody() -> None:
    place = decision_file.last_place(paths.find())
    place.parent.mkdir(parents=True, mode=0o700)
    os.mkfifo(place)
    assert tokmon("select").stdout == "team-b claude-sonnet-4-6\n"


def test_who_holds_the_log_of_decisions_holds_up_no_capture() -> None:
    tokmon("select")
    written = decision_file.place(paths.find(), os.environ)
    written.unlink()
    with (paths.find().logs / "decisions.jsonl.lock").open("rb+") as lock, sidecar() as running:
        fcntl.flock(lock, fcntl.LOCK_EX)
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        wait_until(written.exists, "the decision is there for the hook all the same")
        talk.send(capture(2))
        talk.acknowledged(2)
        assert [line["source"] for line in decisions()] == ["select"]
        fcntl.flock(lock, fcntl.LOCK_UN)
        talk.send(capture(3))
        talk.acknowledged(3)
        wait_until(lambda: [line["source"] for line in decisions()] == ["select", "sidecar"], "the line comes later")


def test_the_decision_file_is_one_line_for_now() -> None:
    tokmon("select")
    path = decision_file.place(paths.find(), os.environ)
    words = path.read_text("ascii").split(" ")
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    uptime = float(Path("/proc/uptime").read_text("ascii").split()[0])
    assert (words[:3], words[5:]) == (["tokmon-decision", "1", boot], ["team-b", "claude-sonnet-4-6", "end\n"])
    assert uptime - 30 <= int(words[3]) <= uptime < int(words[4]) <= int(words[3]) + 30
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_running_sidecar_keeps_it_for_the_next_wake() -> None:
    tokmon("select")  # validates the policy
    path = decision_file.place(paths.find(), os.environ)
    path.unlink()
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        wait_until(path.exists, "the decision is written")
        assert path.read_text("ascii").split(" ")[5:7] == ["team-b", "claude-sonnet-4-6"]
        late = {**now_line("team-b", 0.99), "ts": rfc3339(time.time()), "id": "late-b"}
        write("piggyback.jsonl", late, {**now_line("team-a", 0.2), "ts": rfc3339(time.time()), "id": "late-a"})
        talk.send(capture(2))
        talk.acknowledged(2)
        wait_until(lambda: " team-a " in path.read_text("ascii"), "the decision is another")
        wait_until(lambda: len(decisions()) == 3, "each change is a line")
    assert [line["provider"] for line in decisions() if line["source"] == "sidecar"] == ["team-b", "team-a"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("team-b",), 0), (("team-z",), 3), (("team-z", "--fail-open"), 0), ((), 0), (("--what",), 2), (("a", "b"), 2)],
)
def test_the_guard_answers_by_its_exit_code(arguments: tuple[str, ...], code: int) -> None:
    assert tokmon("guard", *arguments).returncode == code


def test_the_guard_stops_an_account_that_is_refused() -> None:
    write(
        "piggyback.jsonl", {**now_line("team-b", 0.3), "status": "no_credit", "id": "later", "ts": rfc3339(time.time())}
    )
    done = tokmon("guard", "team-b", "--fail-open")
    assert (done.returncode, done.stderr) == (1, "stop: team-b: no credit left\n")


def test_the_guard_is_asked_of_the_account_that_would_be_chosen() -> None:
    """A session stays where it is, although another of which nothing is known would be taken by who is nowhere yet."""
    select(chain=["team-a", "team-b"], policy="forecast")
    (paths.find().logs / "piggyback.jsonl").unlink()
    week = {"name": "7d", "utilization": 0.3, "resets_at": rfc3339(time.time() + 6 * 86400)}
    write("piggyback.jsonl", now_line("team-b", 0.3) | {"windows": [week]})
    assert tokmon("guard").returncode == 3
    last = decision_file.last_place(paths.find())
    last.parent.mkdir(parents=True, exist_ok=True)
    last.write_text("tokmon-decision 1 b 1 2 team-b claude-sonnet-4-6 end\n", encoding="ascii")
    assert tokmon("guard").returncode == 0


def test_the_guard_does_not_believe_that_every_key_is_refused_either() -> None:
    late = {"status": "invalid_key", "ts": rfc3339(time.time() - 300), "windows": []}
    (paths.find().logs / "piggyback.jsonl").unlink()
    write("piggyback.jsonl", *({**now_line(name, 0.3), **late, "id": name} for name in ("team-a", "team-b")))
    assert tokmon("select").stdout == "team-a claude-sonnet-4-6\n"
    for named in ((), ("team-b",)):
        done = tokmon("guard", *named)
        assert done.returncode == 3
        assert done.stderr.endswith(": every key of the chain was refused: not believed\n")


@pytest.mark.parametrize("policy", ["forecast", "threshold"])
def test_a_session_that_is_resumed_stays_where_it_was(policy: str) -> None:
    """By its option or its variable, for that call alone; and not where it is no longer safe."""
    select(chain=["team-a", "team-b"], policy=policy)
    (paths.find().logs / "piggyback.jsonl").unlink()
    week = {"name": "7d", "utilization": 0.3, "resets_at": rfc3339(time.time() + 6 * 86400)}
    urgent = {"name": "7d", "utilization": 0.3, "resets_at": rfc3339(time.time() + 3 * 3600)}
    write("piggyback.jsonl", now_line("team-a", 0.3) | {"windows": [urgent]})
    write("piggyback.jsonl", now_line("team-b", 0.3) | {"windows": [week]})
    assert tokmon("select").stdout == "team-a claude-sonnet-4-6\n"
    for done in (tokmon("select", "--resume", "team-b"), tokmon("select", TOKMON_RESUME="team-b")):
        assert (done.stdout, done.stderr) == ("team-b claude-sonnet-4-6\n", "")
    assert "goes on where it was" in decisions()[-1]["reason"]
    assert tokmon("select").stdout == "team-a claude-sonnet-4-6\n", "the next one asks for itself"
    full = {"name": "7d", "utilization": 0.999, "resets_at": rfc3339(time.time() + 6 * 86400)}
    write("piggyback.jsonl", now_line("team-b", 0.3) | {"windows": [full], "id": "later", "ts": rfc3339(time.time())})
    assert tokmon("select", "--resume", "team-b").stdout == "team-a claude-sonnet-4-6\n"
    assert tokmon("select", "--resume", "nobody").stdout == "team-a claude-sonnet-4-6\n"
