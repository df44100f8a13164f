import os
import subprocess
from pathlib import Path

import pytest

from tokmon.errors import StoreError
from tokmon.store.atomic import create_new, replace_private
from tokmon.store.codec import parse, plain_json, read_json
from tokmon.store.log import Log
from tokmon.store.reader import lines_from


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
    assert [parse(line) for _, line in lines_from(path)] == [{"whole": 1}, None, {"next": 1}]


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
    assert list(lines_from(path)) == [(8, b'{"a":1}')]
    assert list(lines_from(path, 8)) == []


def test_lines_longer_than_a_chunk_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    long = b"x" * 3_000_000
    path.write_bytes(long + b"\nshort\n")
    assert [len(line) for _, line in lines_from(path)] == [3_000_000, 5]


def test_a_link_in_the_logs_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("", encoding="ascii")
    (tmp_path / "logs").mkdir(mode=0o700)
    (tmp_path / "logs" / "a.jsonl").symlink_to(target)
    with Log(tmp_path / "logs" / "a.jsonl") as log, pytest.raises(StoreError, match="cannot write"):
        log.append([b"1\n"])
    assert target.read_bytes() == b""


def test_a_replaced_file_is_never_half_there_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "state" / "state.json"
    replace_private(path, b'{"a":1}\n')
    replace_private(path, b'{"a":2}\n')
    assert read_json(path) == {"a": 2}
    assert os.listdir(path.parent) == ["state.json"]  # noqa: PTH208


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", b"null"])
def test_a_damaged_cache_is_no_cache(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "state.json").write_bytes(damage)
    assert read_json(tmp_path / "state.json") is None


def test_what_a_killed_process_left_of_a_replacement_is_swept_and_nothing_else(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    theirs = folder / "theirs"
    theirs.write_text("kept", encoding="ascii")
    left = folder / f".state.json.{gone.pid}"
    left.write_text("half", encoding="ascii")
    files = [
        f".state.json.{os.getppid()}",
        f".state.json.{gone.pid}.tmp",
        f".other.json.{gone.pid}",
        f"state.json.{gone.pid}",
        f".stateXjson.{gone.pid}",
        ".state.json.0",
        ".state.json.9999999999",
        "state.json",
    ]
    for name in files:
        (folder / name).write_text("kept", encoding="ascii")
    replace_private(folder / "state.json", b"{}\n")
    assert sorted(os.listdir(folder)) == sorted([*files, "theirs"])  # noqa: PTH208
    left.symlink_to(theirs)
    replace_private(folder / "state.json", b"{}\n")
    assert left.is_symlink()
    left.unlink()
    left.mkdir()
    replace_private(folder / "state.json", b"{}\n")
    assert left.is_dir()
    assert theirs.read_text(encoding="ascii") == "kept"


def test_a_replacement_that_fails_leaves_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "state.json").mkdir()
    (tmp_path / "state.json" / "x").write_text("", encoding="ascii")
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(OSError, match=r"state\.json"):
            replace_private(tmp_path / "state.json", b"{}\n")
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_what_pi_allows_beyond_json_is_taken_out_and_nothing_else() -> None:
    loose = b"""\xef\xbb\xbf// accounts
    {"providers": { // mine
      "a//b": {"baseUrl": "https://a.test//x,}", "keys": ["\\\\", "\\"//",],}, // done
    },}
    """
    assert parse(plain_json(loose)) == {
        "providers": {"a//b": {"baseUrl": "https://a.test//x,}", "keys": ["\\", '"//']}}
    }
    plain = b'{"a":[1,{"b":"c"}],"d":"// no comment, }"}'
    assert plain_json(plain) == plain


def test_a_new_file_never_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    assert create_new(path, b"first")
    assert not create_new(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_nlink == 1


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (rb'{"\ud800": 1}', "\ufffd"),
        (rb'{"a\ude00\ud83d": 1}', "a\ufffd\ufffd"),
        (rb'{"\ud83d\ude00\ud800": 1}', "\U0001f600\ufffd"),
        (rb'{"\\ud800": 1}', r"\ud800"),
        (rb'{"\\\ud800": 123456789012345678901}', "\\\ufffd"),
    ],
)
def test_half_a_character_hides_nothing_of_its_object(data: bytes, name: str) -> None:
    assert [*(parse(data) or {})] == [name]
