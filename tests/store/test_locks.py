import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.patience import PATIENCE_S
from tokmon.errors import StoreError
from tokmon.store.lock import ProcessLock, holder_of, is_held
from tokmon.store.log import Log

_HOLDER: Final = """
import sys
from pathlib import Path
from filelock import FileLock, Timeout
log = Path(sys.argv[1])
try:
    with FileLock(f"{log}.lock", timeout=0):
        print("taken", flush=True)
        input()
        with log.open("a") as file:
            file.write("other\\n")
except Timeout:
    print("held", flush=True)
"""


def _hold(path: Path) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", _HOLDER, str(path)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "taken\n"
    return process


def test_an_append_waits_for_a_lock_of_another_process_only_if_it_may(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with Log(path) as log, ThreadPoolExecutor(1) as pool:
        log.append([b"first\n"])
        with _hold(path) as other:
            assert log.append([b"own\n"], blocking=False) is None
            assert is_held(path.with_name("a.jsonl.lock"))
            waiting = pool.submit(log.append, [b"own\n"])
            other.communicate("\n")
            assert waiting.result(timeout=PATIENCE_S) is not None
    assert path.read_bytes() == b"first\nother\nown\n"
    assert not is_held(path.with_name("a.jsonl.lock"))


def test_a_process_lock_is_one_for_other_users_of_filelock_and_says_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "a.jsonl.lock"
    words = [sys.executable, "-c", _HOLDER, str(path.with_suffix(""))]
    with ProcessLock(path) as lock, ProcessLock(path) as another:
        assert lock.acquire()
        assert not another.acquire()
        assert subprocess.run(words, input="\n", capture_output=True, text=True, check=True).stdout == "held\n"
        assert another.holder() == os.getpid(), "who fails to take it leaves the pid in it"
        assert is_held(path)
    assert not is_held(path)
    assert subprocess.run(words, input="\n", capture_output=True, text=True, check=True).stdout == "taken\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_process_that_dies_gives_its_lock_back(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with _hold(path) as other:
        other.kill()
    with ProcessLock(path.with_name("a.jsonl.lock")) as lock:
        assert lock.acquire(timeout=PATIENCE_S)


def test_a_lock_can_be_taken_again_by_the_same_object(tmp_path: Path) -> None:
    lock = ProcessLock(tmp_path / "a.lock")
    for _ in range(2):
        with lock:
            assert lock.acquire()
    assert not is_held(tmp_path / "a.lock")


@pytest.mark.parametrize("obstacle", ["folder", "link"])
def test_what_is_no_file_is_no_lock(tmp_path: Path, obstacle: str) -> None:
    path = tmp_path / "a.jsonl.lock"
    if obstacle == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with ProcessLock(path) as lock, pytest.raises(StoreError, match="cannot lock"):
        lock.acquire()
    with Log(tmp_path / "a.jsonl") as log, pytest.raises(StoreError, match="cannot write"):
        log.append([b"1\n"])
    assert holder_of(path) is None
    assert not (tmp_path / "elsewhere").exists()


def test_the_lock_of_a_log_is_the_one_at_its_path_after_the_folder_was_moved(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    with Log(folder / "a.jsonl") as log, Log(folder / "a.jsonl") as other:
        log.append([b"1\n"])
        folder.rename(tmp_path / "moved")
        other.append([b"2\n"])
        with _hold(folder / "a.jsonl") as holder:
            assert log.append([b"3\n"], blocking=False) is None
            holder.kill()
        log.append([b"3\n"])
    assert (folder / "a.jsonl").read_bytes() == b"2\n3\n"
    assert (tmp_path / "moved" / "a.jsonl").read_bytes() == b"1\n"


def test_the_lock_of_a_log_is_the_one_at_its_path_after_only_the_log_was_moved_back(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    with Log(folder / "a.jsonl") as log:
        log.append([b"1\n"])
        folder.rename(tmp_path / "moved")
        folder.mkdir(mode=0o700)
        (tmp_path / "moved" / "a.jsonl").rename(folder / "a.jsonl")
        with _hold(folder / "a.jsonl") as holder:
            assert log.append([b"2\n"], blocking=False) is None
            holder.kill()
        log.append([b"2\n"])
    assert (folder / "a.jsonl").read_bytes() == b"1\n2\n"
