"""An event id is stored once: after rotation, prune, restart, `kill -9`, a lost index, and a million other events."""

import gzip
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.sidecar.running import Sidecar, capture, ids, sidecar, usage, wait_until
from tokmon import paths
from tokmon.sidecar.dedup import RecentIds
from tokmon.sidecar.group_commit import Fsync
from tokmon.sidecar.stored_ids import StoredIds
from tokmon.store.id_index import MAX_AGE_S, IdIndex

_DAY_S = 86400.0


def _store(running: Sidecar, *events: dict[str, object]) -> None:
    talk = running.client()
    talk.send(*events)
    talk.acknowledged(len(events))
    talk.close()


def _stored(folder: Path) -> Counter[str]:
    """How often each id is in the logs, under whatever name."""
    return sum((ids(path) for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"), Counter())


@pytest.mark.parametrize("name", ["piggyback.jsonl.1", "piggyback-20261128.jsonl", "old", "archive/2026-11.jsonl", ""])
def test_event_is_stored_once_after_kill_rotation_and_restart(name: str) -> None:
    own = paths.find()
    with sidecar() as running:
        _store(running, capture(1), usage(1))
        running.stop(signal.SIGKILL)
    (own.logs / "archive").mkdir()
    if name:
        own.piggyback.rename(own.logs / name)
    else:
        own.piggyback.unlink()  # pruned
    with sidecar() as running:
        _store(running, capture(1), usage(1), capture(2))
    stored = _stored(own.logs)
    assert stored["capture-00000001"] == (1 if name else 0)
    assert stored["usage-00000001"] == stored["capture-00000002"] == 1


def test_event_is_stored_once_after_kill_between_the_line_and_its_id() -> None:
    own = paths.find()
    with sidecar() as running:
        _store(running, capture(1))
        running.stop(signal.SIGKILL)
    (file,) = own.ids.iterdir()
    file.write_bytes(b"")
    own.piggyback.rename(own.logs / "piggyback.jsonl.1")
    with sidecar() as running:
        _store(running, capture(1))
    assert _stored(own.logs)["capture-00000001"] == 1


def test_index_is_rebuilt_from_the_logs_where_it_is_missing() -> None:
    own = paths.find()
    with sidecar() as running:
        _store(running, *(capture(number) for number in range(100)))
        own.piggyback.rename(own.logs / "piggyback.jsonl.1")
        _store(running, *(capture(number) for number in range(100, 200)))
        running.stop()
    shutil.rmtree(own.ids)
    with sidecar() as running:
        _store(running, *(capture(number) for number in range(201)))
    assert set(_stored(own.logs).values()) == {1}
    with sidecar() as running:
        own.piggyback.unlink()
        _store(running, *(capture(number) for number in range(201)))
    assert not own.piggyback.exists() or not ids(own.piggyback), "the rebuilt index was written"


def test_event_is_stored_once_after_many_others_and_a_restart() -> None:
    own = paths.find()
    with sidecar() as running:
        _store(running, *(capture(number) for number in range(30_000)))
        own.piggyback.rename(own.logs / "packed.jsonl")
        with gzip.open(own.logs / "packed.jsonl.gz", "wb") as packed:
            packed.write((own.logs / "packed.jsonl").read_bytes())
        (own.logs / "packed.jsonl").unlink()
        _store(running, capture(0), capture(15_000))
        running.stop()
    with sidecar() as running:
        _store(running, capture(0), capture(15_000), capture(40_000))
    assert list(ids(own.piggyback)) == ["capture-00040000"]


def test_lines_that_were_never_stored_are_stored_when_they_are_sent_again() -> None:
    own = paths.find()
    own.piggyback.mkdir(parents=True)
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1), usage(1))
        wait_until(lambda: ids(own.usage), "the line of the other log is stored")
        running.stop(signal.SIGKILL)
    own.piggyback.rmdir()
    with sidecar() as running:
        _store(running, capture(1), usage(1))
    assert _stored(own.logs) == {"capture-00000001": 1, "usage-00000001": 1}


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/"), lambda path: path.write_bytes(b"x")])
def test_index_that_cannot_be_written_is_reported_once_and_stops_nothing(make: object) -> None:
    own = paths.find()
    own.state.mkdir(parents=True, mode=0o700)
    make(own.ids)  # type: ignore[operator]
    with sidecar() as running:
        for number in range(3):
            _store(running, capture(number), capture(number))
        assert running.log().count("events sent again may be stored twice") == 1
    assert len(ids(own.piggyback)) == 3
    assert set(ids(own.piggyback).values()) == {1}


def test_set_finds_every_id_and_no_other_whatever_their_form() -> None:
    chance = random.Random(16)  # noqa: S311 - repeatable
    forms = [
        [f"capture-{number:08}" for number in range(20_000)],
        [f"{number:06}-a-common-end-of-many-ids" for number in range(20_000)],
        [f"b3Jk{number:06x}-suffix" for number in range(20_000)],
        ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789-_", k=20)) for _ in range(20_000)],
    ]
    known = RecentIds()
    for form in forms:
        assert all(known.add(name) for name in form), "none of them is in the set"
        assert not known.add(form[0])
        assert not known.add(form[-1])
    assert known.add("a-new-id-0001")
    known.remove(known.unstored[:1])
    assert known.add(forms[0][0])


def test_index_forgets_what_is_older_than_two_weeks_and_nothing_younger(tmp_path: Path) -> None:
    folder = tmp_path / "ids"
    now = time.time()
    for age_s, number in ((MAX_AGE_S + 60, 1), (MAX_AGE_S - _DAY_S, 2), (2 * _DAY_S, 3)):
        index = IdIndex(folder)
        index.append([number])
        index.close()
        newest = max(folder.iterdir())
        os.utime(newest, (now - age_s, now - age_s))
        newest.rename(folder / f"{int((now - age_s) * 1000):015}")
    index = IdIndex(folder)
    assert [list(numbers) for numbers in index.read()] == [[2], [3]]
    index.append([4])
    index.append([5])
    assert [list(numbers) for numbers in index.read()] == [[2], [3], [4, 5]]
    index.close()
    newest = max(folder.iterdir())
    newest.write_bytes(newest.read_bytes() + b"torn")
    for _ in range(50):
        index = IdIndex(folder)
        index.append([6])
        index.close()
    assert [list(numbers) for numbers in IdIndex(folder).read()] == [[2], [3], [4, 5] + 50 * [6]]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_event_is_stored_once_after_a_million_others() -> None:
    own = paths.find()
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(0))
        for number in range(1000):
            talk.send(*(capture(1 + 1000 * number + item, headers={}) for item in range(1000)))
            talk.acknowledged(1001 + 1000 * number)
        talk.send(capture(0))
        talk.acknowledged(1_000_002)
        status = Path(f"/proc/{running.daemon.pid}/status").read_text(encoding="ascii")
        assert int(status.partition("VmRSS:")[2].split()[0]) < 64_000
        running.stop(signal.SIGKILL)
    own.piggyback.unlink()
    with sidecar() as running:
        _store(running, capture(0), capture(1_000_001))
    assert json.loads(own.piggyback.read_bytes().splitlines()[-1])["id"] == "capture-01000001"
    assert len(ids(own.piggyback)) == 1


@pytest.mark.parametrize("fsync", ["interval", "always"])
def test_id_whose_line_a_failed_sync_lost_is_forgotten_and_one_on_the_disk_is_not(fsync: Fsync) -> None:
    own = paths.find()
    own.logs.mkdir(parents=True, mode=0o700)
    stored = StoredIds(own, fsync, print)
    stored.load()
    for event_id in ("on-the-disk", "lost-line-1", "in-the-log-1"):
        assert stored.ids.add(event_id)
        stored.on_stored()
        if event_id == "on-the-disk":
            stored.on_synced(stored.before_sync())
    assert stored.ids.add("not-written-yet")
    own.piggyback.write_text(json.dumps(capture(1, id="in-the-log-1")) + "\n", encoding="ascii")
    stored.on_lost_sync()
    known = {"on-the-disk": True, "lost-line-1": False, "in-the-log-1": True, "not-written-yet": True}
    assert {name: not stored.ids.add(name) for name in known} == known
    stored.close()
    again = StoredIds(own, fsync, print)
    again.load()
    known["not-written-yet"] = False
    assert {name: not again.ids.add(name) for name in known} == known
