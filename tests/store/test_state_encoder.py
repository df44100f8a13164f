"""A state that is encoded in steps gives the same bytes, and only what changed is encoded again."""

from tests.store.log_lines import line_of
from tokmon.evidence.snapshot import evidence_in_line
from tokmon.store.codec import encode, parse
from tokmon.store.coverage import Coverage
from tokmon.store.state_encoder import StateEncoder
from tokmon.store.state_file import State


def _add(state: State, second: int, account: str) -> None:
    record = parse(line_of(second, second / 100, provider=account))
    assert record is not None
    evidence = evidence_in_line(record)
    assert evidence is not None
    assert state.add(evidence)


def test_steps_give_the_bytes_of_the_whole_state_and_encode_only_what_changed() -> None:
    state, encoder = State(), StateEncoder()
    state.covered["piggyback.jsonl"] = Coverage(7, [(0, 100)])
    for number in range(20):
        _add(state, number, f"team-{number % 5}")
    steps = list(encoder.steps(state))
    assert len(steps) == 5 + 1
    assert steps[-1] == encode(state.to_json()) + b"\n"
    assert len(list(encoder.steps(state))) == 1, "nothing changed"
    _add(state, 30, 'team "3"')
    _add(state, 31, "team-3")
    steps = list(encoder.steps(state))
    assert len(steps) == 2 + 1
    assert steps[-1] == encode(state.to_json()) + b"\n"
    assert list(StateEncoder().steps(State()))[-1] == encode(State().to_json()) + b"\n"


def test_ranges_are_those_of_the_first_step_so_that_later_lines_are_read_again() -> None:
    state = State()
    state.covered["piggyback.jsonl"] = Coverage(7, [(0, 100)])
    _add(state, 1, "a")
    _add(state, 1, "b")
    steps = StateEncoder().steps(state)
    next(steps)
    state.covered["piggyback.jsonl"].add(100, 200)
    _add(state, 2, "a")
    *_, data = steps
    saved = parse(data)
    assert saved is not None
    assert saved["logs"]["piggyback.jsonl"]["ranges"] == [[0, 100]]
