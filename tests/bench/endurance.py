"""What a sidecar costs while it lives: memory after many events, and wake-ups while nothing happens.

python -m tests.bench.endurance [--events N] [--idle SECONDS] [--json]
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench import daemons, events, load

_STEP = 100_000


@dataclass(frozen=True, slots=True)
class Figure:
    """Resident memory after so many events, in mebibytes and megabytes."""

    events: int
    mib: float
    mb: float


@dataclass(frozen=True, slots=True)
class Idle:
    """How often the sidecar woke and what it used, with a client connected or not."""

    connected: bool
    seconds: float
    wakeups: int
    cpu_s: float


def memory(daemon: daemons.Daemon, total: int) -> Iterator[Figure]:
    """Memory at the start, then after each hundred thousand events over eight connections."""
    for done in range(0, total + 1, _STEP):
        if done:
            lines = [list(events.turns(client, _STEP // 8, f"e{done}-")) for client in range(8)]
            load.run([load.open_stream(daemon.socket, batch, acks=True) for batch in lines], 256)
        mib = daemon.rss_mib()
        yield Figure(done, mib, mib * 1.048576)


def idle(daemon: daemons.Daemon, seconds: float, *, connected: bool) -> Idle:
    """Let it be, after a while in which it saves what it has, and looks ahead."""
    stream = load.connect(daemon.socket) if connected else None
    time.sleep(15)
    wakeups, cpu = daemon.wakeups(), daemon.cpu_s()
    time.sleep(seconds)
    found = Idle(connected, seconds, daemon.wakeups() - wakeups, daemon.cpu_s() - cpu)
    if stream is not None:
        stream.close()
    return found


def main() -> int:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="tests.bench.endurance", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--idle", type=float, default=20.0, help="seconds to let it be, twice")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="tokmon-bench-") as folder,
        daemons.sidecar(Path(folder) / "home") as daemon,
    ):
        figures = list(memory(daemon, options.events))
        quiet = [idle(daemon, options.idle, connected=connected) for connected in (False, True)]
    if options.json:
        print(json.dumps({"memory": [asdict(each) for each in figures], "idle": [asdict(each) for each in quiet]}))
        return 0
    for figure in figures:
        print(f"{figure.events:9} events  {figure.mib:5.1f} MiB  {figure.mb:5.1f} MB")
    for each in quiet:
        client = "a client connected" if each.connected else "no client"
        print(f"idle for {each.seconds:.0f} s, {client}: {each.wakeups} wake-ups, {each.cpu_s:.2f} s of processor time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
