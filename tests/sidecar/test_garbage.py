"""Garbage on the wire and in the spool costs constant work per line, one remark per file, and no memory."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.sidecar.running import Sidecar, capture, ids, sidecar, wait_until
from tokmon import paths
from tokmon.sidecar.dedup import RecentIds
from tokmon.sidecar.group_commit import Pending
from tokmon.sidecar.ingest import Ingest

_LINE = json.dumps(capture(1)).encode()
_OTHER = json.dumps(capture(1, model="claude-opus-4-6")).encode()

_GARBAGE = {
    "newlines": b"\n",
    "letters": b"x\n",
    "braces": b"{\n",
    "the same event": _LINE + b"\n",
    "two events in turn": _LINE + b"\n" + _OTHER + b"\n",
    "event and newline in turn": _LINE + b"\n\n",
    "spaces": b" \n",
    "objects": b'{"kind":"hello"}\n',
}


@pytest.mark.parametrize("kind", _GARBAGE)
def test_work_per_line_does_not_grow_with_the_number_of_lines(kind: str) -> None:
    ratio = min(_cpu_s(_GARBAGE[kind] * 16_000) / _cpu_s(_GARBAGE[kind] * 4_000) for _ in range(3))
    assert ratio < 9, "four times the lines take about four times as long, and 16 times if the work grows"


def _cpu_s(data: bytes) -> float:
    ingest = Ingest({}, RecentIds(), {"capture": Pending(), "usage": Pending()})
    start = time.process_time()
    ingest.add_lines(data, lambda *_line: None)
    return time.process_time() - start


def _spool(name: str, data: bytes) -> Path:
    new = paths.find().spool / "new"
    for folder in (new.parent / "tmp", new):
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    (new / name).write_bytes(data)
    return new / name


def test_spooled_file_of_garbage_gets_one_remark_and_its_events_are_stored() -> None:
    file = _spool("a", b"x\n" * 100_000 + _LINE + b"\n" + b"{}\n" * 10_000 + json.dumps(capture(2)).encode())
    with sidecar() as running:
        wait_until((file.parent.parent / "bad" / "a").exists, "the file is set aside")
        assert running.stop() == 0
        (remark,) = [line for line in running.log().splitlines() if "listening" not in line]
    assert (
        "`a` in the spool: 110000 lines are no event (line 1: line: not a JSON object); it is now in `bad/`" in remark
    )
    assert sorted(ids(running.paths.piggyback)) == ["capture-00000001", "capture-00000002"]


def test_bad_file_that_cannot_be_set_aside_is_read_once() -> None:
    file = _spool("a", b"junk\n")
    (file.parent.parent / "bad").write_text("in the way", encoding="ascii")
    with sidecar() as running:
        wait_until(lambda: "spool" in running.log(), "it is reported")
        for number in range(3):
            talk = running.client()
            spooled = _spool(f"b{number}", json.dumps(capture(number)).encode() + b"\n")
            talk.close()
            wait_until(lambda path=spooled: not path.exists(), "the spool is read again")  # type: ignore[misc]
        assert running.log().count("`a` in the spool") == 1
    assert file.exists()


def test_file_that_is_too_large_or_closed_is_set_aside_with_the_reason() -> None:
    file = _spool("sparse", b"")
    with file.open("r+b") as sparse:
        sparse.truncate(20 << 30)
    with sidecar() as running:
        wait_until((file.parent.parent / "bad" / "sparse").exists, "the file is set aside")
        assert "`sparse` in the spool: it cannot be read: more than" in running.log()


def test_sigterm_is_noticed_while_garbage_is_read_and_the_file_stays() -> None:
    _spool("a", b"x\n" * 20_000_000)
    with sidecar() as running:
        assert running.stop(signal.SIGTERM) == 0
        assert "Traceback" not in running.log()


def test_memory_returns_after_a_large_spooled_file() -> None:
    with sidecar() as before:
        memory = _rss_mib(before)
        before.stop()
    lines = b"".join(json.dumps(capture(number)).encode() + b"\n" for number in range(30_000))
    file = _spool("a", lines)
    assert len(lines) > 16 << 20
    with sidecar() as running:
        wait_until(lambda: not file.exists(), "the file is stored")
        assert _rss_mib(running) < memory + 16
    assert len(ids(running.paths.piggyback)) == 30_000


def _rss_mib(running: Sidecar) -> float:
    status = Path(f"/proc/{running.daemon.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def test_garbage_of_clients_that_are_gone_leaves_no_message() -> None:
    with sidecar() as running:
        for _ in range(20):
            talk = running.client(hello=False)
            talk.send_bytes(b"x\n" * 8_000)
            talk.close()
        last = running.client()
        last.send(capture(1))
        last.acknowledged(1)
        assert running.stop() == 0
        assert [line for line in running.log().splitlines() if "listening" not in line] == []
