import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.log_lines import append, line_of, paths_in, stored_lines, utilization
from tokmon.evidence import snapshot
from tokmon.evidence.log_line import ReadText
from tokmon.evidence.snapshot import Evidence
from tokmon.paths import Paths, find
from tokmon.store import state_file
from tokmon.store.codec import encode, parse
from tokmon.store.state_file import State

_TIMES = (
    "2026-11-22T06:00:00.000Z",
    "2026-11-22T06:00:00.001Z",
    "2026-11-22T06:00:00Z",
    "2026-11-22T07:00:00+01:00",
    "2026-11-22T06:00:00.0005Z",
    "2026-11-22T05:59:60.000Z",
    "2026-11-22T24:00:00.000Z",
    "2026-11-23T00:00:00.000Z",
    "2026-11-22T06:00:00.000400+00:00",
    "2026-11-22T05:59:59.9996Z",
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
    lambda paths: json.dumps(paths, separators=(",", ":")).encode()
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


_HEAD = b'{"version":%d,"newest":null,"early":{"left_out":null,"lines":[]},'

_DAMAGED_ENTRIES = (
    b"{}",
    b'{"inode":INODE}',
    b'{"inode":INODE,"ranges":null}',
    b'{"inode":INODE,"ranges":[[5]]}',
    b'{"inode":INODE,"ranges":[[0,null]]}',
    b'{"inode":INODE,"ranges":[[10,5]]}',
    b'{"inode":INODE,"ranges":[[-1,5]]}',
    b'{"inode":INODE,"ranges":[[0,5]]}',
    b'{"inode":INODE,"ranges":[[0,999999]]}',
)


def _read_in_full(lines: list[bytes]) -> State:
    """Newest first, which decides between lines of one id that differ in what is not saved."""
    state = State()
    for line in reversed(lines):
        record = parse(line)
        evidence = None if record is None else snapshot.evidence_in_line(record, state_file.read_error_text)
        if evidence is not None:
            state.add(evidence)
    return state


def _rebuilt(paths: Paths) -> bytes:
    paths.snapshot.unlink(missing_ok=True)
    state_file.save(state_file.current(paths), paths)
    return paths.snapshot.read_bytes()


@given(_LINES, st.sampled_from([64 << 10, 700, 60]), st.sampled_from([256, 3]))
def test_every_line_good_or_hostile_counts_as_if_read_in_full(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], chunk: int, most: int
) -> None:
    home = tmp_path_factory.mktemp("home")
    paths = paths_in(home)
    append(paths.piggyback, lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tokmon.store.reader._BACKWARD_CHUNK", chunk)
        patch.setattr("tokmon.store.reader._MAX_LINES", most)
        quick = state_file.current(paths)
    full = _read_in_full(lines)
    assert quick.snapshot.to_json() == _read_in_full(lines[::-1]).snapshot.to_json()
    assert quick.snapshot.accounts == full.snapshot.accounts
    assert quick.covered["piggyback.jsonl"].gaps(paths.piggyback.stat().st_size) == []
    shutil.rmtree(home)


def test_few_lines_of_a_busy_hour_are_read_in_full(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = stored_lines(2000)
    append(paths.piggyback, lines)
    read: list[Mapping[str, Any]] = []
    evidence_in_line = snapshot.evidence_in_line

    def counted(line: Mapping[str, Any], read_text: ReadText | None = None) -> Evidence | None:
        read.append(line)
        return evidence_in_line(line, read_text)

    monkeypatch.setattr(snapshot, "evidence_in_line", counted)
    quick = state_file.current(paths)
    assert len(read) < 20
    monkeypatch.undo()
    assert quick.snapshot.accounts == _read_in_full(lines).snapshot.accounts


def test_a_deleted_state_is_rebuilt_to_the_same_bytes(paths: Paths) -> None:
    old = b'{"ts":"2026-04-06T14:23:01Z","provider":"old","status":"allowed","utilization_5h":0.4,"reset_in_seconds":9}'
    lines = stored_lines(900)
    for begin in range(0, len(lines), 100):
        append(paths.piggyback, [line for line in lines[begin : begin + 100] if b'"capture"' in line])
        append(paths.usage, [line for line in lines[begin : begin + 100] if b'"usage"' in line])
        append(paths.logs / "probe.jsonl", [old, b"torn {", line_of(begin // 100, 0.5)])
        state_file.save(state_file.current(paths), paths)
    saved = paths.snapshot.read_bytes()
    assert _rebuilt(paths) == saved


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"version":8,"covers":{"piggyback.jsonl":{"inode":1,"offset":99}},"accounts":{}}',
        *(
            _HEAD % snapshot.VERSION + b'"logs":{"piggyback.jsonl":%b},"accounts":{}}' % entry
            for entry in _DAMAGED_ENTRIES
        ),
        _HEAD % snapshot.VERSION + b'"logs":{},"accounts":{"gone":{"identities":[]}}}',
    ],
)
def test_a_damaged_state_is_rebuilt(paths: Paths, damage: bytes) -> None:
    append(paths.piggyback, [line_of(1, 0.1)])
    saved = _rebuilt(paths)
    paths.snapshot.write_bytes(damage.replace(b"INODE", b"%d" % paths.piggyback.stat().st_ino))
    state_file.save(state_file.current(paths), paths)
    assert paths.snapshot.read_bytes() == saved


def test_a_rotated_log_is_begun_anew_and_what_it_said_is_kept(paths: Paths) -> None:
    append(paths.piggyback, [line_of(1, 0.1), line_of(2, 0.2)])
    state_file.save(state_file.current(paths), paths)
    paths.piggyback.rename(paths.logs / "piggyback-old.jsonl")
    append(paths.piggyback, [line_of(3, 0.3), line_of(4, 0.4), line_of(5, 0.5)])
    known = state_file.current(paths)
    assert utilization(known) == 0.5
    state_file.save(known, paths)
    saved = paths.snapshot.read_bytes()
    assert _rebuilt(paths) == saved


def test_a_log_that_has_gone_is_covered_no_more(paths: Paths) -> None:
    append(paths.piggyback, [line_of(1, 0.1)])
    append(paths.usage, [line_of(2, 0.2)])
    state_file.save(state_file.current(paths), paths)
    paths.usage.unlink()
    known = state_file.current(paths)
    assert list(known.covered) == ["piggyback.jsonl"]
    assert utilization(known) == 0.2


@pytest.mark.parametrize("grown", [[], [line_of(3, 0.3)], [line_of(second, 0.3) for second in range(10, 40)]])
def test_a_truncated_log_is_read_from_its_start(paths: Paths, grown: list[bytes]) -> None:
    append(paths.piggyback, [line_of(1, 0.1), b"x" * 77, line_of(2, 0.2)])
    state_file.save(state_file.current(paths), paths)
    os.truncate(paths.piggyback, 0)
    append(paths.piggyback, grown)
    known = state_file.current(paths)
    assert utilization(known) == (0.3 if grown else 0.2)
    assert known.covered["piggyback.jsonl"].gaps(paths.piggyback.stat().st_size) == []


def test_what_is_no_log_hides_none(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    (paths.logs / "a-folder.jsonl").mkdir()
    os.mkfifo(paths.logs / "a-pipe.jsonl")
    (paths.logs / "a-device.jsonl").symlink_to("/dev/zero")
    (paths.logs / "a-link.jsonl").symlink_to("nowhere")
    (paths.logs / "a-picture.jsonl").write_bytes(os.urandom(300_000))
    monkeypatch.setattr("tokmon.store.reader._MAX_LINE", 600_000)
    (paths.logs / "a-disk.jsonl").write_bytes(bytes(3_000_000) + line_of(2, 0.2) + b"\n" + line_of(1, 0.1) + b"\n")
    append(paths.piggyback, [line_of(0, 0.0)])
    known = state_file.current(paths)
    assert utilization(known) == 0.1
    assert "a-pipe.jsonl" not in known.covered
    assert known.covered["a-disk.jsonl"].gaps((paths.logs / "a-disk.jsonl").stat().st_size) == []


def test_no_logs_at_all_are_an_empty_snapshot(tmp_path: Path) -> None:
    assert state_file.current(find({"HOME": str(tmp_path)})).snapshot.accounts == {}


def test_what_was_said_again_and_again_over_hours_leaves_its_history(paths: Paths) -> None:
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
    append(paths.piggyback, lines)
    read = state_file.current(paths)
    assert encode(read.snapshot.to_json()) == encode(_read_in_full(lines).snapshot.to_json())
    history = read.snapshot.accounts["a"].history
    assert len(history.key_refusal_times) == 16
    assert len(history.samples("7d")) == 32
