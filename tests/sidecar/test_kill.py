"""`kill -9` in the middle of a burst, again and again: nothing acknowledged is lost, nothing is stored twice."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sidecar.running import WAIT_S, Client, capture, ids, lines_of, wait_until
from tokmon import paths

_WRITERS = 8


class Writer(threading.Thread):
    """Sends captures, records which are acknowledged, and sends the others again after each crash."""

    def __init__(self, number: int, socket: Path) -> None:
        super().__init__(daemon=True)
        self.number = number
        self.path = socket
        self.stopping = threading.Event()
        self.unacknowledged: list[dict[str, object]] = []
        self.acknowledged: set[str] = set()
        self._made = 0

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                self._talk(Client(self.path))
            except (OSError, AssertionError, KeyError):
                time.sleep(0.02)  # the sidecar is dead, and the next one is starting

    def _talk(self, client: Client) -> None:
        """Use one connection: send the unacknowledged events, then new ones, with 32 in flight."""
        try:
            base, sent = 0, 0
            while not self.stopping.is_set():
                while len(self.unacknowledged) < 32:
                    self.unacknowledged.append(capture(self.number * 10_000_000 + self._made))
                    self._made += 1
                client.send(*self.unacknowledged[sent - base :])
                sent = base + len(self.unacknowledged)
                count = int(client.receive()["ack"])
                for event in self.unacknowledged[: count - base]:
                    self.acknowledged.add(str(event["id"]))
                del self.unacknowledged[: count - base]
                base = count
        finally:
            client.close()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tokmon", "sidecar"], stderr=subprocess.DEVNULL)


@pytest.fixture
def writers() -> Iterator[list[Writer]]:
    path = paths.find().sockets[0]
    threads = [Writer(number, path) for number in range(_WRITERS)]
    yield threads
    for writer in threads:
        writer.stopping.set()
        writer.join(WAIT_S)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.long)])
def test_kills_under_eight_writers_lose_and_double_no_event(kills: int, writers: list[Writer]) -> None:
    own = paths.find()
    chance = random.Random(9)  # noqa: S311 - repeatable moments
    sidecar = _start()
    for writer in writers:
        writer.start()
    for _ in range(kills):
        _wait_for_acknowledgements(writers, chance.randrange(400))
        sidecar.send_signal(signal.SIGKILL)
        sidecar.wait(WAIT_S)
        sidecar = _start()
    for writer in writers:
        writer.stopping.set()
    for writer in writers:
        writer.join(WAIT_S)
    _spool_rest(own.spool, writers)
    sidecar.kill()
    sidecar.wait(WAIT_S)
    sidecar = _start()
    wait_until(lambda: not list((own.spool / "new").iterdir()), "the spool is taken in")
    sidecar.terminate()
    assert sidecar.wait(WAIT_S) == 0
    stored = ids(own.piggyback)
    expected = {str(event["id"]) for writer in writers for event in writer.unacknowledged}
    expected |= {event for writer in writers for event in writer.acknowledged}
    assert [event for event in expected if event not in stored] == []
    assert [event for event, count in stored.items() if count != 1] == []
    assert len(expected) > kills * 100
    whole = own.piggyback.read_bytes().split(b"\n")
    assert whole[-1] == b""
    torn = len(whole) - 1 - len(lines_of(own.piggyback))
    assert torn <= kills


def _wait_for_acknowledgements(writers: list[Writer], count: int) -> None:
    before = sum(len(writer.acknowledged) for writer in writers)
    wait_until(
        lambda: sum(len(writer.acknowledged) for writer in writers) > before + count, "the writers are acknowledged"
    )


def _spool_rest(spool: Path, writers: list[Writer]) -> None:
    """Spool the unacknowledged events, as the extension does when it ends."""
    for folder in ("tmp", "new"):
        (spool / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    for writer in writers:
        lines = "".join(json.dumps(event) + "\n" for event in writer.unacknowledged)
        name = f"writer-{writer.number}"
        (spool / "tmp" / name).write_text(lines, encoding="utf-8")
        (spool / "tmp" / name).rename(spool / "new" / name)
