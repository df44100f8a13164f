"""The sidecar decides for the next wake after each save, and again when its decision expires."""

from typing import Any

import pytest

from tests.commands.logbook import configure, tokmon
from tests.configuration import select
from tests.decision.freshness import fresh as is_fresh
from tests.decision.freshness import place, published
from tests.sidecar.running import fresh, sidecar, wait_until
from tokmon import paths
from tokmon.decision import decision_file

SEAT: dict[str, Any] = {"baseUrl": "http://127.0.0.1:9", "api": "anthropic-messages"}


def chosen() -> str | None:
    return decision_file.last_account(place())


def test_a_capture_changes_the_decision_file_within_a_save() -> None:
    select(chain=["team-ludo", "team-vigilio"], policy="threshold")
    configure(team_ludo=SEAT | {"apiKey": "!only pi runs this"})
    tokmon("select")  # validates the policy
    with sidecar() as running:
        talk = running.client()
        talk.send(fresh(1, provider="team-ludo", headers={"anthropic-ratelimit-unified-7d-utilization": "0.99"}))
        talk.acknowledged(1)
        wait_until(lambda: chosen() == "team-vigilio", "the sidecar decides anew")
        wait_until(is_fresh, "no input is newer than its decision")
        assert published().expires > published().clock.uptime + 60


@pytest.mark.parametrize("name", ["BUDGET_SWITCH_THRESHOLD", "TOKMON_SELECT_CHAIN", "TOKMON_PIN"])
def test_overrides_of_the_session_that_started_the_sidecar_are_no_decision_for_others(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    select(chain=["team-vigilio", "team-ludo"], policy="threshold")
    tokmon("select")  # validates the policy
    before = place().read_bytes()
    monkeypatch.setenv(name, "0.5" if name == "BUDGET_SWITCH_THRESHOLD" else "team-ludo")
    tokmon("select")  # validates it with that variable
    with sidecar() as running:
        talk = running.client()
        talk.send(fresh(1))
        talk.acknowledged(1)
        wait_until(paths.find().snapshot.exists, "the state is saved")
        running.stop()
    assert place().read_bytes() == before


def test_where_a_wake_would_probe_the_decision_is_only_the_last_one() -> None:
    select(chain=["team-ludo", "team-vigilio"], policy="threshold")
    configure(team_ludo=SEAT | {"apiKey": "sk-ant-oat01-key"})
    tokmon("select", "--no-probe")  # validates the policy
    with sidecar() as running:
        talk = running.client()
        talk.send(fresh(1))
        talk.acknowledged(1)
        wait_until(paths.find().snapshot.exists, "the state is saved")
        wait_until(lambda: published().expires == published().clock.uptime, "it holds for no wake")
        talk.send(fresh(2, provider="team-ludo"))
        talk.acknowledged(2)
        wait_until(lambda: published().expires > published().clock.uptime, "both accounts are known")
        assert chosen() == "team-ludo"


def test_a_sidecar_that_ends_leaves_a_decision_for_the_wakes_without_it() -> None:
    select(chain=["team-vigilio", "team-ludo"], policy="threshold")
    tokmon("select")  # validates the policy
    with sidecar() as running:
        talk = running.client()
        talk.send(fresh(1))
        talk.acknowledged(1)
        assert running.stop() == 0
    assert published().expires > published().clock.uptime + 60
    assert all((paths.find().logs / line).exists() for line in published().inputs)


def test_without_a_configured_chain_the_sidecar_decides_on_the_proposed_one() -> None:
    configure(**{"team-vigilio": {"api": "anthropic-messages", "models": [{"id": "m-1"}]}})
    assert tokmon("select").stdout == "team-vigilio m-1\n"
    place().unlink()
    with sidecar() as running:
        talk = running.client()
        talk.send(fresh(1))
        talk.acknowledged(1)
        wait_until(place().exists, "the sidecar decides")
        assert published().choice == ("team-vigilio", "m-1")
