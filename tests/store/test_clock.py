"""Clocks that run ahead, and a clock that is set: the state is what a rebuilt one would be at that instant."""

import json
import shutil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.logbook import HOUR, NOW, line, window
from tests.store.log_lines import append, paths_in
from tokmon.evidence import early
from tokmon.evidence.early import AHEAD_S, EarlyEvidence, counts_from, is_early
from tokmon.evidence.log_line import evidence_in_line
from tokmon.paths import Paths
from tokmon.store import state_file
from tokmon.store.codec import encode
from tokmon.store.state_file import State

_AHEAD = st.sampled_from([-HOUR, -1.0, 0.0, 250.0, 301.0, 359.0, 361.0, 600.0, 601.0, 660.0, 2 * HOUR, 2 * HOUR + 1])
_LINES = st.builds(
    lambda provider, status, used, ahead, name, fields: {
        **line(provider, status, window(name, used, HOUR), age=-ahead),
        **fields,
    },
    st.sampled_from(["a", "b"]),
    st.sampled_from(["allowed", "rejected", "invalid_key", "overloaded", "network_error"]),
    st.sampled_from([0.1, 1, 1.0, 1.2, None]),
    _AHEAD,
    st.sampled_from(["5h", "7d_oi"]),
    st.sampled_from(
        [
            {},
            {"id": "another"},
            {"model": "opus", "scope": "model"},
            {"type": "teams-direct", "plan": "pro", "credits": {"balance": "1"}, "binding_window": "5h"},
            {"source": "pi-check", "overage": {"status": "allowed", "used": 1.0}},
        ]
    ),
)
_CLOCKS = st.sampled_from([-180, -10, 0, 1, 2, 5, 60, 120, 300]).map(lambda minute: 60.0 * minute - 0.5)
"""Ends of minutes: of equal evidence of one minute, what is set aside counts when the last of it does."""

_STEPS = st.lists(st.tuples(_CLOCKS, st.lists(_LINES, max_size=4), st.booleans()), min_size=1, max_size=6)


def _rebuilt(paths: Paths, now: float) -> bytes:
    saved = paths.snapshot.read_bytes() if paths.snapshot.exists() else None
    paths.snapshot.unlink(missing_ok=True)
    state = state_file.current(paths, now=now)
    if saved is not None:
        paths.snapshot.write_bytes(saved)
    return encode(state.to_json())


@given(_STEPS, st.sampled_from([512, 2]))
def test_a_state_is_what_a_rebuilt_one_is_whatever_the_clock_does(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[float, list[dict[str, Any]], bool]], most: int
) -> None:
    home = tmp_path_factory.mktemp("home")
    paths = paths_in(home)
    running = State(now=NOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(early, "_MOST", most)
        for clock, lines, from_memory in steps:
            now = NOW + clock
            append(paths.piggyback, [json.dumps(record).encode() for record in lines])
            known = state_file.current(paths, now=now)
            state_file.save(known, paths)
            rebuilt = _rebuilt(paths, now)
            assert encode(known.to_json()) == rebuilt
            # As the sidecar does, which has its own lines in memory.
            running.advance(now)
            if from_memory:
                for record in lines:
                    evidence = evidence_in_line(record)
                    assert evidence is not None
                    running.add(evidence)
            state_file.catch_up(running, paths, now=now)
            assert encode(running.to_json()) == rebuilt
    shutil.rmtree(home)


def test_of_two_readings_of_one_instant_and_id_the_same_is_set_aside_in_any_order() -> None:
    refusals = [line("a", "invalid_key", window("5h", used, HOUR), age=-HOUR) for used in (1, 1.2)]
    assert _set_aside(refusals).to_json() == _set_aside(refusals[::-1]).to_json()


@given(st.lists(_LINES, max_size=8), st.randoms(), st.sampled_from([512, 2]))
def test_what_is_set_aside_does_not_depend_on_the_order_of_lines(
    lines: list[dict[str, Any]], random: Any, most: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(early, "_MOST", most)
        again = [*lines, *lines]
        random.shuffle(again)
        assert _set_aside(again).to_json() == _set_aside(lines).to_json()
        saved = json.loads(json.dumps(_set_aside(lines).to_json()))
        assert EarlyEvidence.from_json(saved).to_json() == saved


def _set_aside(lines: list[dict[str, Any]]) -> EarlyEvidence:
    aside = EarlyEvidence()
    for record in lines:
        evidence = evidence_in_line(record)
        if evidence is not None:
            aside.add(evidence)
    return aside


def test_evidence_from_ahead_counts_when_its_time_comes(paths: Paths) -> None:
    names = {"account_hint": "org-1", "credential": "1234567890"}
    append(paths.piggyback, [json.dumps(line("a", "rejected", age=-2 * HOUR) | names).encode()])
    append(paths.piggyback, [json.dumps(line("a", "allowed")).encode()])
    state = state_file.current(paths, now=NOW)
    state_file.save(state, paths)
    assert state.snapshot.accounts["a"].last is not None
    assert state.snapshot.accounts["a"].last.status == "allowed"
    assert state.early.due_at == NOW + 2 * HOUR - AHEAD_S
    later = state_file.current(paths, now=state.early.due_at)
    assert [identity.label for identity in later.snapshot.identities("a")] == ["org-1, key 12345678"]
    assert later.snapshot.accounts["a"].last is not None
    assert later.snapshot.accounts["a"].last.status == "rejected"


def test_a_clock_that_is_set_back_uncovers_what_counts_then(paths: Paths) -> None:
    lines = [line("a", "allowed", window("5h", 0.2, HOUR), age=60.0), line("a", "allowed", age=-2 * HOUR)]
    lines[1]["windows"] = [window("5h", 1.0, 6 * HOUR)]
    append(paths.piggyback, [json.dumps(record).encode() for record in lines])
    state_file.save(state_file.current(paths, now=NOW + 2 * HOUR), paths)
    back = state_file.current(paths, now=NOW)
    assert back.snapshot.accounts["a"].windows["5h"].window.utilization == 0.2
    assert json.loads(paths.snapshot.read_bytes())["newest"] == lines[0]["ts"]


def test_lines_that_are_all_from_ahead_are_read_once(paths: Paths) -> None:
    append(paths.piggyback, [json.dumps(line("a", "allowed", age=-HOUR)).encode()] * 2)
    state_file.save(state_file.current(paths, now=NOW), paths)
    state = state_file.load(paths)
    state.advance(NOW)
    assert list(state_file.catch_up_steps(state, paths, now=NOW)) == []
    assert len(state.early.to_json()["lines"]) == 1


@pytest.mark.parametrize("damage", [{"newest": 5}, {"early": None}, {"early": {"lines": [{}], "left_out": None}}])
def test_a_state_with_damaged_times_is_rebuilt(paths: Paths, damage: dict[str, Any]) -> None:
    append(paths.piggyback, [json.dumps(line("a", "allowed")).encode()])
    state_file.save(state_file.current(paths, now=NOW), paths)
    whole = paths.snapshot.read_bytes()
    paths.snapshot.write_bytes(encode({**json.loads(whole), **damage}))
    state_file.save(state_file.current(paths, now=NOW), paths)
    assert paths.snapshot.read_bytes() == whole


def test_a_clock_may_be_five_minutes_ahead() -> None:
    assert not is_early(NOW + 300.0, NOW)
    assert is_early(NOW + 301.0, NOW)
    assert counts_from(NOW + 301.0) == NOW + 1.0
