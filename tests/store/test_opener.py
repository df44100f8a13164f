import os
from pathlib import Path

import pytest

from tokmon.store.codec import encode, parse, read_json
from tokmon.store.fingerprint import fingerprint
from tokmon.store.opener import open_file, open_to_append, read_file, read_own_file


@pytest.mark.parametrize("obstacle", ["folder", "pipe", "device", "nothing"])
def test_nothing_but_a_file_is_opened_and_nothing_is_waited_for(tmp_path: Path, obstacle: str) -> None:
    path = tmp_path / "a"
    if obstacle == "folder":
        path.mkdir()
    elif obstacle == "pipe":
        os.mkfifo(path)
    elif obstacle == "device":
        path.symlink_to("/dev/zero")
    before = len(list(Path("/dev/fd").iterdir()))
    for function in (open_file, lambda path: read_file(path, 9), lambda path: open_to_append(path, create=False)):
        with pytest.raises(OSError, match="a'"):
            function(path)
    assert read_json(path) is None
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_a_link_is_followed_only_where_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "link", 9) == b"1"
    with pytest.raises(OSError, match="link"):
        read_file(tmp_path / "link", 9, follow_links=False)
    with pytest.raises(OSError, match="link"):
        read_own_file(tmp_path / "link", 9)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 10)
    assert read_file(tmp_path / "file", 10) == b"x" * 10
    with pytest.raises(OSError, match="more than 9 bytes"):
        read_file(tmp_path / "file", 9)


def test_a_file_that_others_can_write_is_not_an_own_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1")
    path.chmod(0o644)
    assert read_own_file(path, 9) == b"1"
    for mode in (0o664, 0o646):
        path.chmod(mode)
        with pytest.raises(PermissionError):
            read_own_file(path, 9)


def test_every_change_of_a_file_changes_its_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "file"
    known = {fingerprint(path)}
    path.write_bytes(b"1")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    known.add(fingerprint(path))
    assert fingerprint(path) in known
    other = tmp_path / "other"
    other.write_bytes(b"2")
    os.utime(other, (1_700_000_000, 1_700_000_000))
    other.replace(path)
    known.add(fingerprint(path))
    path.write_bytes(b"22")
    known.add(fingerprint(path))
    known.add(fingerprint(path / "below a file"))
    assert len(known) == 5
    assert len({fingerprint("a\0b"), fingerprint(tmp_path / "none"), fingerprint(path / "below a file")}) == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"18446744073709551615", 2**64 - 1),
        (b"18446744073709551616", 2.0**64),
        (b"-18446744073709551616", -(2.0**64)),
        (b"1" * 400, float("inf")),
        (b"1" * 5000, float("inf")),
        (b"-" + b"1" * 400, float("-inf")),
        (b"1e400", None),
        (b"NaN", None),
        (b"Infinity", None),
        (b"1" * 400 + b",1e400", None),
        (b'"' + b"1" * 20 + b'\\ud800"', "1" * 20 + "\ufffd"),
        (b'"' + b"1" * 20 + b"\xff" + b'"', None),
        (b"[" * 2000 + b"1" * 20 + b"]" * 2000, None),
    ],
)
def test_a_number_that_is_too_large_loses_no_line_and_what_is_no_json_is_none(text: bytes, value: object) -> None:
    line = parse(b'{"id":"x","n":%b}' % text)
    assert (line is None) == (value is None)
    if line is not None:
        assert line["id"] == "x"
        assert line["n"] == value
        assert parse(encode(line)) is not None
