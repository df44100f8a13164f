"""The whole way at its worst: real pi in rpc mode, every kind of answer, and a sidecar that dies and comes back."""

import itertools
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.pi.answers import QUICK, Answer, unified
from tests.pi.install import Pi
from tests.pi.provider import Provider
from tests.pi.runner import Home
from tests.pi.seats import ANTHROPIC, Seat
from tests.pi.test_capture_usage import logged, own_socket, sidecar_env, wait_until
from tests.sidecar.running import sidecar
from tokmon import paths
from tokmon.store import spool

pytestmark = pytest.mark.pi

COOKIE = "session=PLANTED-cookie-0123456789"
MISSION = "issue 42"
ANSWERS = (
    Answer(headers={**unified(), "set-cookie": COOKIE}),
    Answer(status=429, headers={**unified(), **QUICK}, error="This request would exceed your account's rate limit."),
    Answer(headers=unified(), cut_after=3),
    Answer(status=529, headers=QUICK, error="Overloaded"),
    Answer(status=401, error="invalid x-api-key"),
    Answer(headers=unified()),
    Answer(status=400, error="You're out of extra usage. Add more at claude.ai/settings/usage and keep going."),
)


def _seats() -> list[Seat]:
    return [Seat(f"team-{name}", ANTHROPIC, plan=True) for name in ("a", "b", "c", "d", "e")]


@contextmanager
def _mortal_sidecar(home: Home) -> Iterator[list[int]]:
    """A sidecar that is killed with -9 over and over, and started again each time; gives the exit codes so far."""
    ending = threading.Event()
    deaths: list[int] = []
    command = [sys.executable, "-m", "tokmon", "sidecar"]

    def live_and_die() -> None:
        env = {**home.env, **sidecar_env(home), "PYTHONPATH": str(Path(__file__).parents[2])}
        for lifetime in itertools.cycle((0.3, 0.45, 0.6, 0.75)):
            with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as process:
                ending.wait(lifetime)
                process.send_signal(signal.SIGKILL)
                deaths.append(process.wait(10))
            if ending.is_set():
                return

    thread = threading.Thread(target=live_and_die)
    thread.start()
    try:
        yield deaths
    finally:
        ending.set()
        thread.join(20)


def _everything_written(home: Home) -> bytes:
    """Logs, state, spool, sockets' folders: all that tokmon wrote. pi's own files hold what pi holds."""
    found = paths.find(home.env)
    folders = (found.logs, found.state, found.sockets[0].parent)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert files
    return b"".join(path.read_bytes() for path in files)


def _ids(lines: list[dict[str, Any]]) -> Counter[tuple[str, int, str]]:
    return Counter((line["provider"], line["http_status"], line["request_id"]) for line in lines)


@pytest.mark.timeout(300)
def test_a_sidecar_that_dies_again_and_again_loses_and_doubles_nothing(
    newest_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    seats = _seats()
    provider.queue(*(ANSWERS * 3))
    home = own_socket(newest_pi, provider, tmp_path, seats, TOKMON_MISSION=f"{MISSION}, key {seats[0].key}")
    with _mortal_sidecar(home) as deaths, home.rpc(seats[0]) as session:
        for seat in (*seats, *seats):
            session.send("set_model", provider=seat.name, modelId=seat.model)
            session.prompt("hello")
        wait_until(lambda: len(deaths) >= 3)
        session.close()
    with sidecar(env=sidecar_env(home)) as running:
        served = Counter((each.seat, each.status, each.request_id) for each in provider.served)
        wait_until(
            lambda: (
                not spool.depth(paths.find(home.env).spool) and len(logged(home, "piggyback.jsonl")) >= served.total()
            )
        )
        assert running.stop() == 0
    lines = logged(home, "piggyback.jsonl")
    assert _ids(lines) == served
    assert served.total() >= 10
    assert {line["attribution"] for line in lines} == {"wrapper"}
    assert {line["type"] for line in lines} == {"teams-direct"}
    assert all(line["mission"].startswith(MISSION) for line in lines)
    written = _everything_written(home)
    assert [seat.name for seat in seats if seat.key.encode() in written] == []
    assert COOKIE.encode() not in written
    assert b"Bearer" not in written
