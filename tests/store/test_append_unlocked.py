import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tokmon.errors import StoreError
from tokmon.store.append import append_unlocked

_WRITER: Final = """
import json, sys
from pathlib import Path
from tokmon.store.append import append_unlocked
from tokmon.store.log import append_to
path, name, locked = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "locked"
print(flush=True)
input()
for number in range(200):
    line = json.dumps({"writer": name, "number": number, "filling": "x" * (number * 97 % 9000)}).encode()
    if locked:
        append_to(path, [line + b"\\n"])
    else:
        append_unlocked(path, line)
"""


def test_writers_with_and_without_the_lock_lose_and_tear_nothing(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path), str(number), "locked" if number % 2 else "unlocked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(4)
    ]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.close()
    assert [writer.wait(60) for writer in writers] == [0] * 4
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.close()
    lines = [json.loads(line) for line in path.read_bytes().splitlines() if line]
    assert sorted((line["writer"], line["number"]) for line in lines) == sorted(
        (str(name), number) for name in range(4) for number in range(200)
    )


def test_a_torn_last_line_is_closed_first(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    path.write_bytes(b'{"to')
    append_unlocked(path, b"{}")
    append_unlocked(path, b"{}")
    assert path.read_bytes() == b'{"to\n{}\n{}\n'


def test_a_new_log_is_private(tmp_path: Path) -> None:
    append_unlocked(tmp_path / "logs" / "decisions.jsonl", b"{}")
    assert (tmp_path / "logs" / "decisions.jsonl").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("obstacle", ["folder", "link", "pipe", "linked folder"])
def test_nothing_but_a_file_is_appended_to(tmp_path: Path, obstacle: str) -> None:
    folder, elsewhere = tmp_path / "logs", tmp_path / "elsewhere"
    path = folder / "decisions.jsonl"
    elsewhere.mkdir()
    if obstacle == "linked folder":
        folder.symlink_to(elsewhere)
    else:
        folder.mkdir(mode=0o700)
    if obstacle == "folder":
        path.mkdir()
    elif obstacle == "link":
        path.symlink_to(elsewhere / "file")
    elif obstacle == "pipe":
        os.mkfifo(path)
    with pytest.raises((OSError, StoreError)):
        append_unlocked(path, b"{}")
    assert list(elsewhere.iterdir()) == []
