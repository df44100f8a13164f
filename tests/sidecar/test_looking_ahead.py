"""When nothing comes any more, the sidecar keeps its decision for the wakes of the next hours."""

import json
import os
from typing import Any

import pytest
from tokmon.sidecar.deciding import Announcer

from tests.commands.logbook import configure, tokmon, write
from tests.configuration import select
from tests.selection.pool import pool, turn
from tests.sidecar.running import fresh, sidecar, wait_until
from tokmon import foresight, kept, paths
from tokmon.decision import decision_file

SEAT = {"baseUrl": "http://127.0.0.1:9", "api": "anthropic-messages"}


def last_decision() -> Any:
    return json.loads((paths.find().logs / "decisions.jsonl").read_bytes().splitlines()[-1])


def test_the_first_wake_after_a_quiet_time_is_told_what_the_sidecar_kept() -> None:
    select(chain=["team-vigilio", "team-ludo"], policy="threshold")
    tokmon("select")  # validates the policy
    found = paths.find()
    (found.state / kept.NAME).unlink()
    with sidecar() as running:
        talk = running.client()
        talk.send(fresh(1))
        talk.acknowledged(1)
        wait_until((found.state / kept.NAME).exists, "it looks ahead", 60)
        head = (found.state / kept.NAME).read_text("utf-8").split(" ")
        assert int(head[6]) - int(head[5]) > 3600 * 100, "for longer than who is waited for"
        decision_file.place(found, os.environ).unlink()
        done = tokmon("select")
    assert (done.stdout, done.stderr) == ("team-vigilio claude-sonnet-4-6\n", "")
    assert "alternatives" not in last_decision()


@pytest.mark.parametrize("name", ["", "BUDGET_SWITCH_THRESHOLD", "TOKMON_SELECT_CHAIN", "TOKMON_PIN"])
def test_what_the_session_asked_for_that_started_it_is_nobody_elses_decision(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    select(chain=["team-vigilio", "team-ludo"], policy="threshold")
    if name:
        monkeypatch.setenv(name, "0.5" if name == "BUDGET_SWITCH_THRESHOLD" else "team-ludo")
    tokmon("select")  # validates the policy, with that variable
    found = paths.find()
    place = decision_file.place(found, os.environ)
    place.unlink(missing_ok=True)
    Announcer(found, pytest.fail).announce(pool(turn("team-vigilio", 0.7), turn("team-ludo", 0.3)))
    assert place.exists() == (name == "")


def test_where_a_wake_would_ask_the_sidecar_takes_its_decision_away() -> None:
    """Nothing is known of the first of the chain, and an answer of it would change the choice."""
    select(chain=["team-ludo", "team-vigilio"], policy="threshold")
    configure(team_ludo=SEAT | {"apiKey": "sk-ant-oat01-key"})
    tokmon("select", "--no-ask")  # validates the policy
    found = paths.find()
    place = decision_file.place(found, os.environ)
    with sidecar() as running:
        talk = running.client()
        place.write_text("tokmon-decision 1 b 1 2 team-vigilio m end\n", encoding="ascii")
        talk.send(fresh(1))
        talk.acknowledged(1)
        wait_until(lambda: not place.exists(), "it is withdrawn")
        talk.send(fresh(2, provider="team-ludo"))
        talk.acknowledged(2)
        wait_until(place.exists, "both are known")
        assert place.read_text("ascii").split(" ")[5] == "team-ludo"


def test_where_who_would_be_asked_cannot_be_the_decision_stays() -> None:
    """The key of the first is a command, which only pi runs."""
    select(chain=["team-ludo", "team-vigilio"], policy="threshold")
    configure(team_ludo=SEAT | {"apiKey": "!pass team-ludo"})
    tokmon("select")  # validates the policy
    found = paths.find()
    place = decision_file.place(found, os.environ)
    place.unlink()
    with sidecar() as running:
        talk = running.client()
        talk.send(fresh(1))
        talk.acknowledged(1)
        wait_until(place.exists, "it decides")
        wait_until((found.state / "state.json").exists, "it is saved")
        assert " team-ludo claude-sonnet-4-6 end" in place.read_text("ascii")


def test_a_sidecar_that_ends_leaves_its_decision_for_the_wakes_without_it() -> None:
    select(chain=["team-vigilio", "team-ludo"], policy="threshold")
    tokmon("select")  # validates the policy
    found = paths.find()
    with sidecar() as running:
        talk = running.client()
        talk.send(fresh(1))
        talk.acknowledged(1)
        assert running.stop() == 0
    head = (found.state / kept.NAME).read_text("utf-8").split(" ")
    assert head[9] == "team-vigilio"
    decision_file.place(found, os.environ).unlink()
    assert tokmon("select").stdout == "team-vigilio claude-sonnet-4-6\n"
    assert last_decision()["reason"] == "nothing has changed since"


def test_where_no_chain_is_configured_it_is_the_one_that_a_wake_would_propose() -> None:
    configure(**{"team-vigilio": {"api": "anthropic-messages", "models": [{"id": "m-1"}]}})
    assert tokmon("select").stdout == "team-vigilio m-1\n"
    found = paths.find()
    place = decision_file.place(found, os.environ)
    place.unlink()
    with sidecar() as running:
        talk = running.client()
        talk.send(fresh(1))
        talk.acknowledged(1)
        wait_until(place.exists, "it decides")
        assert " team-vigilio m-1 end" in place.read_text("ascii")


@pytest.mark.parametrize("logged", [False, True])
def test_what_is_logged_while_it_looks_ahead_is_for_others_to_decide_on(*, logged: bool) -> None:
    select(chain=["team-vigilio", "team-ludo"], policy="threshold")
    tokmon("select")  # validates the policy
    found = paths.find()
    (found.state / kept.NAME).unlink()
    written: list[Any] = []
    steps = foresight.keeping(found, written.append)
    next(steps)
    if logged:
        write("probe.jsonl", {"ts": "2026-11-22T06:00:00Z", "id": "x", "source": "probe", "provider": "team-vigilio"})
    assert list(steps)
    assert (len(written), (found.state / kept.NAME).exists()) == ((0, False) if logged else (1, True))


def test_a_long_chain_is_not_looked_at_for_long() -> None:
    """Who ends the sidecar waits for it, and captures wait for each step."""
    select(chain=[f"team-{number}" for number in range(200)], policy="threshold")
    tokmon("select")  # validates the policy
    found = paths.find()
    steps = list(foresight.keeping(found, lambda _: None))
    head = (found.state / kept.NAME).read_text("utf-8").split(" ")
    ahead_s = (int(head[6]) - int(head[5])) / 100
    assert 900 < ahead_s < 1200
    assert len(steps) == round(ahead_s / 30), "one look at each of them in a step"
