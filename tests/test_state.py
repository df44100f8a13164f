import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bench import events
from tokmon import paths, store
from tokmon.errors import WireError
from tokmon.evidence import snapshot
from tokmon.evidence.log_line import ReadText
from tokmon.evidence.snapshot import Evidence
from tokmon.paths import Paths
from tokmon.sidecar.dedup import RecentIds
from tokmon.sidecar.group_commit import Pending
from tokmon.sidecar.ingest import Ingest
from tokmon.store import state_file
from tokmon.store.state_file import State
from tokmon.wire import messages

_TIMES = (
    "2026-11-22T06:00:00.000Z",
    "2026-11-22T06:00:00.001Z",
    "2026-11-22T06:00:00Z",
    "2026-11-22T07:00:00+01:00",
    "2026-11-22T06:00:00.0005Z",
    "2026-11-22T05:59:60.000Z",
    "2026-11-22T24:00:00.000Z",
    "2026-02-30T06:00:00.000Z",
    "2026-11-22 06:00:00.000Z",
    "1970-01-01T00:00:00.000Z",
    "2098-01-01T00:00:00.000Z",
    "\\u0032026-11-22T06:00:00.000Z",
    "\uff12026-11-22T06:00:00.000Z",
    "soon",
)
_CHANGING = (
    "",
    ',"request_id":"req_1","elapsed_ms":812',
    ',"tokens":{"input":12,"output":934},"cost_usd":0.04,"stop":"toolUse"',
    ',"reset_in_seconds":60',
    ',"reset_in_seconds":null',
    ',"id":"later"',
    ',"id":7',
    ',"\\u0069d":"escaped"',
    ',"status":"rejected"',
    ',"overage":{"status":"allowed"}',
    ',"tokens":{"a":[1]}',
    ',"tokens":{"a":1',
    ',"stop":"x',
    ',"cost_usd":1e999',
    '},{"a":1',
    '}\r{"id":"event-9","ts":"2026-11-22T06:00:00.001Z"',
)
_TAILS = (
    ',"provider":"a","source":"pi-check","status":"ok"}',
    ',"provider":"a","source":"pi-check","status":"error","reason":"429 too many requests, try again in 5m"}',
    ',"provider":"a","source":"pi-check","status":"error","account_status":"no_credit"}',
    ',"provider":"a","type":"teams-direct","status":"allowed","windows":[{"name":"5h","utilization":0.4}]}',
    ',"provider":"a","type":"xai","status":"rejected","windows":[{"name":"7d","utilization":1}],"overage":{}}',
    ',"provider":"a","type":"teams-direct","source":"piggyback"}',
    ',"provider":"a","status":"allowed","utilization_5h":0.2,"utilization_7d":0.3}',
    ',"provider":"b","reset_in_seconds":90,"utilization_5h":0.2}',
    ',"provider":"b","status":"no_credit","http_status":402,"ts":"2026-11-22T06:00:00.002Z"}',
    ',"provider":"b","status":"allowed","id":"of the tail"}',
    ',"provider":"b","status":"allowed","provider":"a"} ',
    ',"provider":null,"status":"allowed"}',
    ',"provider":"","status":"allowed"}',
    ',"provider":5,"status":"allowed"}',
    ',"provider":"a"},"provider":"b","status":"overloaded"}',
    ',"provider":"a","status":"allowed"',
    ',"provider":"a","status":"allowed"}]',
    "}",
    "",
)
_OURS = st.builds(
    lambda kind, number, ts, changing, tail: f'{{{kind}"id":"event-{number}","ts":"{ts}"{changing}{tail}'.encode(),
    st.sampled_from(['"kind":"capture",', '"kind":"usage",', "", " "]),
    st.integers(0, 3),
    st.sampled_from(_TIMES) | st.sampled_from(_TIMES[:2]),
    st.sampled_from(_CHANGING) | st.sampled_from(_CHANGING[:4]),
    st.sampled_from(_TAILS) | st.sampled_from(_TAILS[:4]),
)
_NAMES = st.sampled_from(["id", "ts", "provider", "status", "type", "windows", "source", "tokens", "x"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_NAMES, inner, max_size=2),
    max_leaves=4,
)
_ANY = st.dictionaries(_NAMES, _VALUES | st.sampled_from(_TIMES), max_size=6).map(
    lambda found: json.dumps(found, separators=(",", ":")).encode()
)
_OLD = st.builds(
    lambda ts, used: json.dumps(
        {"ts": ts, "provider": "a", "type": "t", "status": "allowed", "utilization_5h": used, "reset_in_seconds": 60}
    ).encode(),
    st.sampled_from(_TIMES),
    st.sampled_from([None, 0, 0.5]),
)
_DAMAGED = st.builds(
    lambda line, at, size, junk: line[:at] + junk + line[at + size :],
    _OURS,
    st.integers(0, 300),
    st.integers(0, 20),
    st.sampled_from([b"", b"\xff", b"{", b"}", b'"', b"\\", b"\r", b"\0"]),
)
_LINES = st.lists(_OURS | _OURS | _ANY | _OLD | _DAMAGED | st.binary(max_size=9), max_size=30).map(
    lambda lines: [line.replace(b"\n", b"") for line in lines]
)


@pytest.fixture
def found(tmp_path: Path) -> Paths:
    return _paths(tmp_path)


def _paths(home: Path) -> Paths:
    found = paths.find({"HOME": str(home)})
    found.logs.mkdir(parents=True, exist_ok=True)
    return found


def _plainly(lines: list[bytes]) -> State:
    plain = State()
    for line in lines:
        record = store.parse(line)
        seen = None if record is None else snapshot.evidence_in_line(record, state_file.read_error_text)
        if seen is not None:
            plain.take(seen)
    return plain


def _append(path: Path, lines: list[bytes]) -> None:
    with path.open("ab") as log:
        log.write(b"".join(line + b"\n" for line in lines))


def _line(second: int, used: float, **fields: Any) -> bytes:
    windows = [{"name": "5h", "utilization": used}]
    said = {"ts": f"2026-11-22T06:00:{second:02}.000Z", "id": f"event-{second:04}", "provider": "a"}
    return store.encode(said | {"status": "allowed", "windows": windows} | fields)


def _used(known: State) -> float | None:
    return known.snapshot.accounts["a"].windows["5h"].window.utilization


def _refuse(_place: int, _line: bytes, error: WireError) -> None:
    raise error


def _stored(count: int) -> list[bytes]:
    """Lines as the sidecar writes them."""
    pending = {"capture": Pending(), "usage": Pending()}
    Ingest({}, RecentIds(), pending).add_lines(b"".join(events.turns(0, count, "state-")), _refuse)
    return b"".join(pending["capture"].blocks + pending["usage"].blocks).splitlines()


def _rebuilt(found: Paths) -> bytes:
    found.snapshot.unlink(missing_ok=True)
    state_file.save(state_file.current(found), found)
    return found.snapshot.read_bytes()


@settings(deadline=None)  # a file each: the disk has its moments
@given(_LINES, st.sampled_from([256 << 10, 700, 60]), st.sampled_from([1024, 2]), st.sampled_from([256, 3]))
def test_every_line_good_or_hostile_counts_as_if_read_in_full(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], chunk: int, known: int, step: int
) -> None:
    home = tmp_path_factory.mktemp("home")
    found = _paths(home)
    _append(found.piggyback, lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tokmon.store.reader._CHUNK", chunk)
        patch.setattr("tokmon.store.state_file._KNOWN", known)
        patch.setattr("tokmon.store.state_file._STEP", step)
        quick = state_file.current(found)
    plain = _plainly(lines)
    assert quick.snapshot.to_json() == plain.snapshot.to_json()
    assert quick.snapshot.accounts == plain.snapshot.accounts
    assert quick.covers["piggyback.jsonl"].offset == found.piggyback.stat().st_size
    shutil.rmtree(home)


def test_lines_of_ours_are_read_once_for_all_that_end_alike(found: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _stored(2000)
    _append(found.piggyback, lines)
    read: list[Mapping[str, Any]] = []
    evidence_in_line = snapshot.evidence_in_line

    def counted(line: Mapping[str, Any], read_text: ReadText | None = None) -> Evidence | None:
        read.append(line)
        return evidence_in_line(line, read_text)

    monkeypatch.setattr(snapshot, "evidence_in_line", counted)
    quick = state_file.current(found)
    assert len(read) == 1000 // events.MOVES_EVERY + 1
    monkeypatch.undo()
    assert quick.snapshot.accounts == _plainly(lines).snapshot.accounts


def test_what_changes_from_event_to_event_is_known_to_who_reads_the_log() -> None:
    assert {*messages.CHANGING, "kind", "reset_in_seconds"} == set(store.Head.__struct_fields__)


def test_a_line_from_a_clock_that_runs_ahead_hides_none_that_ends_alike(found: Paths) -> None:
    tail = b',"provider":"a","status":"allowed","windows":[{"name":"5h","utilization":0.4}]}'
    for ts in (b"2026-01-01T00:00:00.000Z", b"2098-01-01T00:00:00.000Z"):
        _append(found.piggyback, [b'{"id":"event-0001","ts":"%b"%b' % (ts, tail)] * 3)
    assert state_file.current(found).snapshot.accounts["a"].windows["5h"].stamp.ts == 1_767_225_600.0


def test_a_deleted_state_is_rebuilt_to_the_same_bytes(found: Paths) -> None:
    old = b'{"ts":"2026-04-06T14:23:01Z","provider":"old","status":"allowed","utilization_5h":0.4,"reset_in_seconds":9}'
    lines = _stored(900)
    for begin in range(0, len(lines), 100):
        _append(found.piggyback, [line for line in lines[begin : begin + 100] if b'"capture"' in line])
        _append(found.usage, [line for line in lines[begin : begin + 100] if b'"usage"' in line])
        _append(found.logs / "probe.jsonl", [old, b"torn {", _line(begin // 100, 0.5)])
        state_file.save(state_file.current(found), found)
    kept = found.snapshot.read_bytes()
    assert _rebuilt(found) == kept


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b'{"version":1,"covers":{"piggyback.jsonl":{}},"accounts":{}}', b"\xff"]
)
def test_a_damaged_state_is_rebuilt(found: Paths, damage: bytes) -> None:
    _append(found.piggyback, [_line(1, 0.1)])
    kept = _rebuilt(found)
    found.snapshot.write_bytes(damage)
    state_file.save(state_file.current(found), found)
    assert found.snapshot.read_bytes() == kept


def test_a_rotated_log_is_begun_anew_and_what_it_said_is_kept(found: Paths) -> None:
    _append(found.piggyback, [_line(1, 0.1), _line(2, 0.2)])
    state_file.save(state_file.current(found), found)
    found.piggyback.rename(found.logs / "piggyback-old.jsonl")
    _append(found.piggyback, [_line(3, 0.3), _line(4, 0.4), _line(5, 0.5)])
    known = state_file.current(found)
    assert _used(known) == 0.5
    state_file.save(known, found)
    kept = found.snapshot.read_bytes()
    assert _rebuilt(found) == kept


def test_a_log_that_has_gone_is_covered_no_more(found: Paths) -> None:
    _append(found.piggyback, [_line(1, 0.1)])
    _append(found.usage, [_line(2, 0.2)])
    state_file.save(state_file.current(found), found)
    found.usage.unlink()
    known = state_file.current(found)
    assert list(known.covers) == ["piggyback.jsonl"]
    assert _used(known) == 0.2


@pytest.mark.parametrize("grown", [[], [_line(3, 0.3)], [_line(second, 0.3) for second in range(10, 40)]])
def test_a_truncated_log_is_read_from_its_start(found: Paths, grown: list[bytes]) -> None:
    _append(found.piggyback, [_line(1, 0.1), b"x" * 77, _line(2, 0.2)])
    state_file.save(state_file.current(found), found)
    os.truncate(found.piggyback, 0)
    _append(found.piggyback, grown)
    known = state_file.current(found)
    assert _used(known) == (0.3 if grown else 0.2)
    assert known.covers["piggyback.jsonl"].offset == found.piggyback.stat().st_size


def test_a_log_that_grows_as_fast_as_it_is_read_keeps_nobody(found: Paths) -> None:
    _append(found.piggyback, [_line(second % 50, 0.1) for second in range(2000)])
    known = State()
    steps = 0
    for steps, _ in enumerate(state_file.catching_up(known, found), 1):
        _append(found.piggyback, [_line(59, 0.9)] * 2000)
        assert steps < 50
    assert steps
    assert _used(known) == 0.1
    state_file.catch_up(known, found)
    assert _used(known) == 0.9
    assert known.covers["piggyback.jsonl"].offset == found.piggyback.stat().st_size


@pytest.mark.parametrize(
    "line", [b"", b"{}", _line(1, 0.1).replace(b",", b", "), b'{"id":"event-1"' + _line(1, 0.1)[1:]]
)
def test_lines_that_take_long_are_read_some_hundred_at_a_time(found: Paths, line: bytes) -> None:
    _append(found.piggyback, [line] * 4096)
    assert len(list(state_file.catching_up(State(), found))) >= 4096 // 256


def test_what_is_saved_between_two_steps_lacks_nothing_that_it_covers(found: Paths) -> None:
    lines = [_line(second % 60, second / 1000) for second in range(1500)] + _stored(600)
    _append(found.piggyback, lines)
    whole = state_file.current(found)
    for stop in range(12):
        found.snapshot.unlink(missing_ok=True)
        known = State()
        for step, _ in enumerate(state_file.catching_up(known, found)):
            if step == stop:
                break
        state_file.save(known, found)
        assert state_file.current(found).snapshot.to_json() == whole.snapshot.to_json()


def test_a_torn_tail_counts_once_it_is_whole(found: Paths) -> None:
    _append(found.piggyback, [_line(1, 0.1)])
    with found.piggyback.open("ab") as log:
        log.write(_line(2, 0.2))
    known = state_file.current(found)
    assert _used(known) == 0.1
    with found.piggyback.open("ab") as log:
        log.write(b"\n")
    state_file.catch_up(known, found)
    assert _used(known) == 0.2


def test_what_is_no_log_hides_none(found: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    (found.logs / "a-folder.jsonl").mkdir()
    os.mkfifo(found.logs / "a-pipe.jsonl")
    (found.logs / "a-device.jsonl").symlink_to("/dev/zero")
    (found.logs / "a-link.jsonl").symlink_to("nowhere")
    (found.logs / "a-picture.jsonl").write_bytes(os.urandom(300_000))
    monkeypatch.setattr("tokmon.store.reader._LONGEST", 600_000)
    (found.logs / "a-disk.jsonl").write_bytes(bytes(3_000_000) + _line(2, 0.2) + b"\n" + _line(1, 0.1) + b"\n")
    _append(found.piggyback, [_line(0, 0.0)])
    known = state_file.current(found)
    assert _used(known) == 0.1
    assert "a-pipe.jsonl" not in known.covers
    assert known.covers["a-disk.jsonl"].offset == (found.logs / "a-disk.jsonl").stat().st_size


def test_no_logs_at_all_are_an_empty_snapshot(tmp_path: Path) -> None:
    assert state_file.current(paths.find({"HOME": str(tmp_path)})).snapshot.accounts == {}


def test_what_took_long_to_read_is_saved_for_the_next_who_looks(found: Paths) -> None:
    _append(found.piggyback, _stored(200))
    state_file.current(found)
    assert not found.snapshot.exists(), "a little is read again as quickly"
    _append(found.piggyback, _stored(4000))
    first = state_file.current(found)
    assert store.encode(state_file.load(found).to_json()) == store.encode(first.to_json())
    found.snapshot.unlink()
    found.snapshot.mkdir()
    assert store.encode(state_file.current(found).to_json()) == store.encode(first.to_json()), (
        "a cache that cannot be saved"
    )


def test_what_was_said_again_and_again_over_hours_leaves_its_history(found: Paths) -> None:
    """Of lines that end alike the newest of each minute counts: when a key was refused, and how a window filled."""
    tails = (
        ',"provider":"a","source":"piggyback","status":"invalid_key"}',
        ',"provider":"a","source":"piggyback","status":"allowed","windows":[{"name":"7d","utilization":0.4}]}',
    )
    lines = [
        (
            f'{{"kind":"capture","id":"event-{number:05}",'
            f'"ts":"2026-11-22T0{number // 60}:{number % 60:02}:30.000Z"{tail}'
        ).encode()
        for number in range(480)
        for tail in tails
    ]
    _append(found.piggyback, lines)
    read = state_file.current(found)
    assert store.encode(read.snapshot.to_json()) == store.encode(_plainly(lines).snapshot.to_json())
    history = read.snapshot.accounts["a"].history
    assert len(history.key_refusal_times) == 16
    assert len(history.samples("7d")) == 32
