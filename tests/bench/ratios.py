"""What varied traffic and a large state cost the sidecar, as ratios within one run.

    python -m tests.bench.ratios [--events N] [--seconds S]

Varied: the processor time per event with counters that change with every response, beside recurring headers. Large:
the 99th percentile of the time to an acknowledgement with 500 accounts of 10 models, beside 5 accounts, while the
state is saved.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.bench import daemons, events, load
from tests.bench.daemons import Daemon

_CLIENTS = 8


def cpu_us(daemon: Daemon, lines: partial[Iterator[bytes]], count: int, in_flight: int) -> float:
    """Microseconds of processor time per event."""
    batches = [list(lines(client, count // _CLIENTS)) for client in range(_CLIENTS)]
    streams = [load.open_stream(daemon.socket, batch, acks=True) for batch in batches]
    before = daemon.cpu_s()
    load.run(streams, in_flight)
    return (daemon.cpu_s() - before) / count * 1e6


def p99_ms(daemon: Daemon, accounts: int, count: int) -> tuple[float, float]:
    """Median and 99th percentile of the milliseconds to an acknowledgement, with one event in flight."""
    run = f"a{accounts:03}-"
    batches = [list(events.many_accounts(client, count // _CLIENTS, run, accounts)) for client in range(_CLIENTS)]
    waits = sorted(load.run([load.open_stream(daemon.socket, batch, acks=True) for batch in batches], 1))
    return waits[len(waits) // 2] * 1e3, waits[int(len(waits) * 0.99)] * 1e3


def main() -> int:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(prog="tests.bench.ratios", description=__doc__)
    parser.add_argument("--events", type=int, default=40_000, help="events a case")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tokmon-bench-") as folder:
        for in_flight in (1, 256):
            with daemons.sidecar(Path(folder) / f"varied-{in_flight}") as daemon:
                recurring = cpu_us(daemon, partial(events.turns, run="rec-"), options.events, in_flight)
                varied = cpu_us(daemon, partial(events.varied, run="var-"), options.events, in_flight)
            print(f"{in_flight:3} in flight: recurring {recurring:6.2f} us, varied {varied:6.2f} us an event: "
                  f"{varied / recurring:.2f}")  # fmt: skip
        results = []
        for accounts in (5, 500):
            with daemons.sidecar(Path(folder) / f"accounts-{accounts}") as daemon:
                results.append(p99_ms(daemon, accounts, options.events))
                print(f"{accounts:3} accounts: p50 {results[-1][0]:.3f} ms, p99 {results[-1][1]:.3f} ms")
        print(f"p99 with 500 accounts / with 5: {results[1][1] / results[0][1]:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
