"""How fast the sidecar takes events, beside rsyslog and a bare `write`, in one run.

    python -m tests.bench.ingest [--events N] [--rounds N] [--json]

Sidecar and rsyslog take turns, round by round; each figure is the median of its rounds. Ratios within one run
are what counts: absolute figures are the machine's.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench import daemons, events, load
from tests.bench.daemons import Daemon


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured case. `cpu_us` is the daemon's processor time an event."""

    what: str
    connections: int
    in_flight: int
    rate: float
    cpu_us: float
    p50_ms: float | None = None
    p99_ms: float | None = None


def measure(what: str, daemon: Daemon, connections: int, in_flight: int, count: int, run: str) -> Figure:
    """Send `count` events over the connections; done when acknowledged, or when the file has them all.

    A peer that does not acknowledge is sent everything at once, on all connections or (`in turn`) one by one.
    """
    acks = what.startswith("tokmon")
    batches = [list(events.turns(client, count // connections, run)) for client in range(connections)]
    total, size = sum(map(len, batches)), sum(len(line) for lines in batches for line in lines)
    streams = [load.open_stream(daemon.socket, lines, acks=acks) for lines in batches]
    cpu, written, start = daemon.cpu_s(), daemon.written(), time.perf_counter()
    waits: list[float] = []
    if what.endswith("in turn"):
        load.run_in_turn(streams)
    else:
        waits = load.run(streams, in_flight)
    if not acks:
        daemons.wait_for(lambda: daemon.written() >= written + size, 120, "every line is written")
    elapsed = time.perf_counter() - start
    waits.sort()
    return Figure(
        what,
        connections,
        in_flight,
        total / elapsed,
        (daemon.cpu_s() - cpu) / total * 1e6,
        statistics.median(waits) * 1e3 if waits else None,
        waits[int(len(waits) * 0.99)] * 1e3 if waits else None,
    )


def bare_write(folder: Path, count: int) -> Figure:
    """The floor: the same lines, one `write` each, no lock, no acknowledgement."""
    lines = list(events.turns(0, count, "floor"))
    fd = os.open(folder / "bare.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    cpu, start = time.process_time(), time.perf_counter()
    for line in lines:
        os.write(fd, line)
    elapsed = time.perf_counter() - start
    os.close(fd)
    return Figure("write", 1, 1, count / elapsed, (time.process_time() - cpu) / count * 1e6)


def median(figures: Iterable[Figure]) -> Figure:
    """Field by field, over the rounds of one case."""
    rounds = list(figures)

    def middle(name: str) -> float | None:
        values = [getattr(figure, name) for figure in rounds if getattr(figure, name) is not None]
        return statistics.median(values) if values else None

    first = rounds[0]
    return Figure(
        first.what,
        first.connections,
        first.in_flight,
        middle("rate") or 0.0,
        middle("cpu_us") or 0.0,
        middle("p50_ms"),
        middle("p99_ms"),
    )


def run(count: int, rounds: int, folder: Path) -> list[Figure]:
    """Every case: 1, 8 and 64 connections with 1 and 256 in flight, both daemons in turn; then the synced pair."""
    peers = daemons.rsyslogd() is not None
    figures = [bare_write(folder, count)]
    for synced in (False, True):
        name = "synced" if synced else "plain"
        with daemons.sidecar(folder / f"tokmon-{name}", fsync="always" if synced else "interval") as ours:
            for connections, in_flight in ((1, 1), (8, 1), (64, 1), (1, 256), (8, 256), (64, 256)):
                cases: dict[str, list[Figure]] = {}
                events_now = count if in_flight > 1 else count // 10
                for number in range(rounds):
                    mark = f"{name}{connections}x{in_flight}r{number}-"
                    what = f"tokmon {name}"
                    cases.setdefault(what, []).append(measure(what, ours, connections, in_flight, events_now, mark))
                    for feed in ("", " in turn") if peers and in_flight > 1 else ():
                        with daemons.rsyslog(folder / f"rsyslog-{mark}{len(feed)}", synced=synced) as peer:
                            what = f"rsyslog {name}{feed}"
                            few = events_now // (10 if synced else 1)
                            cases.setdefault(what, []).append(
                                measure(what, peer, connections, in_flight, few, mark + feed.strip()[:2])
                            )
                figures += [median(case) for case in cases.values()]
    return figures


def main() -> int:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="tests.bench.ingest", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000, help="events a case (a tenth with one in flight)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tokmon-bench-") as folder:
        figures = run(options.events, options.rounds, Path(folder))
    if options.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=1))
        return 0
    print(f"{'':22} {'conns':>5} {'flight':>6} {'events/s':>10} {'cpu us':>7} {'p50 ms':>7} {'p99 ms':>7}")
    for figure in figures:
        waits = "".join("" if wait is None else f" {wait:7.3f}" for wait in (figure.p50_ms, figure.p99_ms))
        case = f"{figure.what:22} {figure.connections:5} {figure.in_flight:6}"
        print(f"{case} {figure.rate:10.0f} {figure.cpu_us:7.2f}{waits}")
    if daemons.rsyslogd() is None:
        print("rsyslog is not installed here (Debian: `rsyslog`): no peer in this run", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
