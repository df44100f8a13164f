import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokmon.store.coverage import Coverage
from tokmon.store.follow import Follower
from tokmon.store.opener import open_file
from tokmon.store.reader import blocks_before, lines_from

_CONTENT = st.lists(
    st.sampled_from([b"\n", b"\n\n", b"a\n", b"bb\n", b"c" * 9 + b"\n", b"d" * 40 + b"\n", b"torn", b"\0"])
).map(b"".join)


def _backward(path: Path, start: int, end: int) -> tuple[list[bytes], list[tuple[int, int]]]:
    lines: list[bytes] = []
    ranges: list[tuple[int, int]] = []
    with open_file(path) as file:
        for begin, until, block in blocks_before(file, start, end):
            assert len(block) <= 3
            lines[:0] = block
            ranges.append((begin, until))
    return lines, ranges


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_CONTENT, st.sampled_from([1, 2, 7, 50]))
def test_lines_read_backwards_are_those_read_forwards_and_cover_the_same_bytes(
    tmp_path: Path, data: bytes, chunk: int
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tokmon.store.reader._BACKWARD_CHUNK", chunk)
        patch.setattr("tokmon.store.reader._MAX_LINES", 3)
        lines, ranges = _backward(path, 0, len(data))
    assert lines == [line for _, line in lines_from(path)] == data.split(b"\n")[:-1]
    coverage = Coverage(0)
    for begin, end in ranges:
        coverage.add(begin, end)
    whole = data.rfind(b"\n") + 1
    assert coverage.ranges == ([(0, whole)] if whole else [])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_CONTENT, st.sampled_from([1, 7, 50]))
def test_lines_that_are_too_long_are_left_out_and_covered(tmp_path: Path, data: bytes, chunk: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tokmon.store.reader._BACKWARD_CHUNK", chunk)
        patch.setattr("tokmon.store.reader._MAX_LINES", 3)
        patch.setattr("tokmon.store.reader._MAX_LINE", 0)
        lines, ranges = _backward(path, 0, len(data))
    assert set(lines) <= {*data.split(b"\n")}
    assert [line for line in lines if len(line) < chunk // 2] == [
        line for line in data.split(b"\n")[:-1] if len(line) < chunk // 2
    ]
    coverage = Coverage(0)
    for begin, end in ranges:
        coverage.add(begin, end)
    assert coverage.gaps(data.rfind(b"\n") + 1) == []


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted)), st.integers(30, 40))
def test_ranges_and_gaps_are_the_bytes_added_and_the_others(ranges: list[list[int]], size: int) -> None:
    coverage = Coverage(7)
    for start, end in ranges:
        coverage.add(start, end)
    added = {byte for start, end in ranges for byte in range(start, end)}
    assert {byte for start, end in coverage.ranges for byte in range(start, end)} == added
    assert {byte for start, end in coverage.gaps(size) for byte in range(start, end)} == {*range(size)} - added
    assert sorted(coverage.ranges) == coverage.ranges
    assert all(end < start for (_, end), (start, _) in zip(coverage.ranges, coverage.ranges[1:], strict=False))
    assert sorted(coverage.gaps(size), reverse=True) == coverage.gaps(size)
    assert Coverage.from_json(coverage.to_json()) == coverage


def test_hole_of_a_sparse_log_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"first\ncut")
    os.truncate(path, 20 << 30)
    with path.open("ab") as file:
        file.write(b"off\nlast\n")
        file.flush()
        size = os.fstat(file.fileno()).st_size
    assert [line for _, line in lines_from(path)] == [b"first", b"last"]
    with open_file(path) as log:
        blocks = list(blocks_before(log, 0, size))
        assert [line for _, _, lines in blocks for line in lines] == [b"last", b"first"]
        assert blocks[-1][0] == 0
        assert len(blocks) < 100, "and not one for each 64 KiB of the hole"
    with Follower([path]) as follower:
        assert follower.last(5) == [b"last"]
        with path.open("ab") as file:
            file.write(b"new\n")
        assert follower.lines([path]) == [b"new"]


def test_log_of_one_hole_has_no_lines_and_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.touch()
    os.truncate(path, 20 << 30)
    assert list(lines_from(path)) == []
    with Follower([path]) as follower:
        assert follower.last(5) == []
        assert follower.lines([path]) == []
        with path.open("ab") as file:
            file.write(b"end of a long line\nnew\n")
        assert follower.lines([path]) == [b"new"]
