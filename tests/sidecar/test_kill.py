"""`kill -9` in the middle of a burst, again and again: nothing acknowledged is lost, nothing is stored twice."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sidecar.running import Client, capture, ids, lines_of, wait_until
from tokmon import paths

_KILLS = int(os.environ.get("TOKMON_TEST_KILLS", "100"))
_WRITERS = 8


class Writer(threading.Thread):
    """Sends captures, remembers which are acknowledged, and sends the others again after each death.

    At the end it spools what is left, as the extension does.
    """

    def __init__(self, number: int, socket: Path) -> None:
        super().__init__(daemon=True)
        self.number = number
        self.path = socket
        self.ending = threading.Event()
        self.unacknowledged: list[dict[str, object]] = []
        self.acknowledged: set[str] = set()
        self._made = 0

    def run(self) -> None:
        while not self.ending.is_set():
            try:
                self._talk(Client(self.path))
            except (OSError, AssertionError, KeyError):
                time.sleep(0.02)  # nobody listens: the sidecar is dead, and its successor is on its way

    def _talk(self, client: Client) -> None:
        """One connection: what was left over first, then new ones, 32 in flight."""
        try:
            base, sent = 0, 0
            while not self.ending.is_set():
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
    found = paths.find()
    made = [Writer(number, found.sockets[0]) for number in range(_WRITERS)]
    yield made
    for writer in made:
        writer.ending.set()
        writer.join(20)


@pytest.mark.timeout(600)
def test_a_hundred_deaths_under_eight_writers_lose_and_double_nothing(writers: list[Writer]) -> None:
    found = paths.find()
    chance = random.Random(9)  # noqa: S311 - repeatable moments
    sidecar = _start()
    for writer in writers:
        writer.start()
    for _ in range(_KILLS):
        before = sum(len(writer.acknowledged) for writer in writers)
        wait_until(
            lambda: sum(len(writer.acknowledged) for writer in writers) > before + chance.randrange(400),  # noqa: B023
            "the writers are served",
            30,
        )
        sidecar.send_signal(signal.SIGKILL)
        sidecar.wait(10)
        sidecar = _start()
    for writer in writers:
        writer.ending.set()
    for writer in writers:
        writer.join(20)
    _spool_rest(found.spool, writers)
    sidecar.kill()
    sidecar.wait(10)
    sidecar = _start()
    wait_until(lambda: not list((found.spool / "new").iterdir()), "the spool is taken in", 30)
    sidecar.terminate()
    assert sidecar.wait(20) == 0
    stored = ids(found.piggyback)
    expected = {str(event["id"]) for writer in writers for event in writer.unacknowledged}
    expected |= {event for writer in writers for event in writer.acknowledged}
    assert [event for event in expected if event not in stored] == []
    assert [event for event, count in stored.items() if count != 1] == []
    assert len(expected) > _KILLS * 100
    whole = found.piggyback.read_bytes().split(b"\n")
    assert whole[-1] == b""
    torn = len(whole) - 1 - len(lines_of(found.piggyback))
    assert torn <= _KILLS


def _spool_rest(spool: Path, writers: list[Writer]) -> None:
    for folder in ("tmp", "new"):
        (spool / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    for writer in writers:
        lines = "".join(json.dumps(event) + "\n" for event in writer.unacknowledged)
        name = f"writer-{writer.number}"
        (spool / "tmp" / name).write_text(lines, encoding="utf-8")
        (spool / "tmp" / name).rename(spool / "new" / name)
