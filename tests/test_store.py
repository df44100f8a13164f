import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tokmon import store
from tokmon.errors import StoreError
from tokmon.store import Log


def test_an_append_reports_where_its_lines_lie(tmp_path: Path) -> None:
    with Log(tmp_path / "a.jsonl") as log:
        first, second = log.append([b"1\n", b"22\n"]), log.append([b"333\n"])
    assert first is not None
    assert second is not None
    assert (first.start, first.end, first.rest) == (0, 5, b"")
    assert (second.start, second.end) == (5, 9)


def test_a_torn_line_of_a_killed_writer_is_closed_before_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"whole":1}\n{"to')
    with Log(path) as log:
        log.append([b'{"next":1}\n'])
    assert path.read_bytes() == b'{"whole":1}\n{"to\n{"next":1}\n'
    assert [store.parse(line) for _, line in store.lines_from(path)] == [{"whole": 1}, None, {"next": 1}]


def test_a_torn_line_made_between_two_appends_is_closed_too(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with Log(path) as log:
        log.append([b"1\n"])
        with path.open("ab") as other:
            other.write(b"torn")
        log.append([b"2\n"])
    assert path.read_bytes() == b"1\ntorn\n2\n"


def test_an_unterminated_tail_is_not_a_line_yet(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a":1}\n{"b":2}')
    assert list(store.lines_from(path)) == [(8, b'{"a":1}')]
    assert list(store.lines_from(path, 8)) == []


def test_lines_longer_than_a_chunk_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    long = b"x" * 3_000_000
    path.write_bytes(long + b"\nshort\n")
    assert [len(line) for _, line in store.lines_from(path)] == [3_000_000, 5]


def test_a_link_in_the_logs_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("", encoding="ascii")
    (tmp_path / "logs").mkdir(mode=0o700)
    (tmp_path / "logs" / "a.jsonl").symlink_to(target)
    with Log(tmp_path / "logs" / "a.jsonl") as log, pytest.raises(StoreError, match="cannot write"):
        log.append([b"1\n"])
    assert target.read_bytes() == b""


def test_a_lock_held_elsewhere_is_told_and_not_waited_for(tmp_path: Path) -> None:
    with Log(tmp_path / "a.jsonl") as ours, Log(tmp_path / "a.jsonl") as theirs:
        ours.append([b"1\n"])
        theirs.append([b"2\n"])
        lock = str(tmp_path / "a.jsonl.lock")
        program = f"import fcntl; f = open({lock!r}); fcntl.flock(f, 2); print(1, flush=True); input()"
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            assert ours.append([b"3\n"], blocking=False) is None
            holder.communicate("\n")
        assert ours.append([b"3\n"], blocking=False) is not None


def test_a_replaced_file_is_never_half_there_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "state" / "state.json"
    store.replace(path, b'{"a":1}\n')
    store.replace(path, b'{"a":2}\n')
    assert store.read_json(path) == {"a": 2}
    assert os.listdir(path.parent) == ["state.json"]  # noqa: PTH208


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", b"null"])
def test_a_damaged_cache_is_no_cache(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "state.json").write_bytes(damage)
    assert store.read_json(tmp_path / "state.json") is None


def test_the_ids_of_a_log_are_those_of_its_whole_events(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"id": "first"}\n{"id":"torn","x":{"y":1}\n{"id":7}\n{"id":"second"}\n{"id":"tail"}')
    assert list(store.ids_from(path)) == ["first", "second"]
    assert list(store.ids_from(path, 16)) == ["second"]


def test_the_tail_begins_with_a_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(b"%04d\n" % number for number in range(100)))
    assert store.tail(path, 12) == [b"0098", b"0099"]
    assert len(store.tail(path, 10_000)) == 100
    assert store.tail(tmp_path / "none", 10) == []


def test_what_a_killed_process_left_of_a_replacement_is_swept_and_nothing_else(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    theirs = folder / "theirs"
    theirs.write_text("kept", encoding="ascii")
    left = folder / f".state.json.{gone.pid}"
    left.write_text("half", encoding="ascii")
    kept = [
        f".state.json.{os.getppid()}",
        f".state.json.{gone.pid}.tmp",
        f".other.json.{gone.pid}",
        f"state.json.{gone.pid}",
        f".stateXjson.{gone.pid}",
        ".state.json.0",
        ".state.json.9999999999",
        "state.json",
    ]
    for name in kept:
        (folder / name).write_text("kept", encoding="ascii")
    store.replace(folder / "state.json", b"{}\n")
    assert sorted(os.listdir(folder)) == sorted([*kept, "theirs"])  # noqa: PTH208
    left.symlink_to(theirs)
    store.replace(folder / "state.json", b"{}\n")
    assert left.is_symlink()
    left.unlink()
    left.mkdir()
    store.replace(folder / "state.json", b"{}\n")
    assert left.is_dir()
    assert theirs.read_text(encoding="ascii") == "kept"


def test_a_replacement_that_fails_leaves_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "state.json").mkdir()
    (tmp_path / "state.json" / "x").write_text("", encoding="ascii")
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(OSError, match=r"state\.json"):
            store.replace(tmp_path / "state.json", b"{}\n")
    assert len(list(Path("/dev/fd").iterdir())) == before


_WITH_FILELOCK = """
import sys
from pathlib import Path
from filelock import FileLock, Timeout
log = Path(sys.argv[1])
try:
    with FileLock(f"{log}.lock", timeout=0):
        print("taken", flush=True)
        input()
        with log.open("a") as file:
            file.write("theirs\\n")
except Timeout:
    print("held", flush=True)
"""


def test_a_lock_that_filelock_holds_is_told_and_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    words = [sys.executable, "-c", _WITH_FILELOCK, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "taken\n"
        with Log(path) as log, ThreadPoolExecutor(1) as pool:
            assert log.append([b"ours\n"], blocking=False) is None
            waiting = pool.submit(log.append, [b"ours\n"])
            other.stdin.write("\n")
            other.stdin.flush()
            assert waiting.result(timeout=60) is not None
    assert path.read_bytes() == b"theirs\nours\n"


def test_filelock_waits_for_a_lock_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    words = [sys.executable, "-c", _WITH_FILELOCK, str(path)]
    with store.Held(tmp_path / "a.jsonl.lock") as lock:
        assert lock.take()
        assert subprocess.run(words, input="\n", capture_output=True, text=True, check=True).stdout == "held\n"
    assert subprocess.run(words, input="\n", capture_output=True, text=True, check=True).stdout == "taken\n"


_HEAD = b'{"id":"a","ts":"b"'


@pytest.mark.parametrize(
    "beginnings",
    [
        [],
        [b""],
        [b"", _HEAD],
        [_HEAD + b"}", b" "],
        [_HEAD + b"}" + _HEAD],
        [_HEAD + b"}\r" + _HEAD],
        [b'{"id":"a', b'"ts":"b"'],
        [_HEAD + b',"tokens":{"a":1', b',"stop":"x"', _HEAD + b"}\r" + _HEAD],
        [_HEAD + b"}\r" + _HEAD, b'{"id":"a","tokens":{"a":1', b',"ts":"x"'],
        [_HEAD + b',"tokens":{"a":1', _HEAD + b"}"],
    ],
)
def test_no_head_of_a_line_leans_on_its_neighbour(beginnings: list[bytes]) -> None:
    assert store.heads(beginnings) is None
    found = store.heads([_HEAD, _HEAD])
    assert found is not None
    assert [(head.id, head.ts) for head in found] == [("a", "b")] * 2


def test_what_pi_allows_beyond_json_is_taken_out_and_nothing_else() -> None:
    loose = b"""\xef\xbb\xbf// accounts
    {"providers": { // mine
      "a//b": {"baseUrl": "https://a.test//x,}", "keys": ["\\\\", "\\"//",],}, // done
    },}
    """
    assert store.parse(store.plain_json(loose)) == {
        "providers": {"a//b": {"baseUrl": "https://a.test//x,}", "keys": ["\\", '"//']}}
    }
    plain = b'{"a":[1,{"b":"c"}],"d":"// no comment, }"}'
    assert store.plain_json(plain) == plain


def test_a_new_file_never_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    assert store.create(path, b"first")
    assert not store.create(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_nlink == 1
