"""What the extension does to the times of a turn and of a start, as the user of each pi sees them.

    python -m tests.bench.turns [--rounds N] [--sets N] [--starts N] [--pi VERSION]... [--json]

Four pis take turns prompt by prompt: two without the extension (how far they differ is the noise), one with it and a
sidecar, one with it and none. Each set has processes of its own, since a process has luck that stays with it. Every
difference is to `without` in the same round. It is called beyond noise only if the 99 % interval of its median leaves
out 0, it is larger than that interval of `without, again`, and it has the same sign in every set.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench import startup
from tests.bench.startup import BASE, CONTROL, VARIANTS, Compared, Samples
from tests.pi import install
from tests.pi.answers import Answer, unified
from tests.pi.provider import Provider, Served
from tests.pi.rpc import Rpc

CHUNKS: Final = 20
GAP_S: Final = 0.005
WARM_UP: Final = 3
PAUSE_S: Final = 0.03
WORD: Final = "delta "
END: Final = 5
"""Deltas at each end of a turn that are compared to see a delay grow."""
ENOUGH: Final = 8
"""Fewer pairs allow no judgement at 99 %: eight of one sign come by chance once in 128."""


class Clocked(Provider):
    """A provider that keeps when each chunk had been written, by the request's serial number."""

    def __init__(self) -> None:
        super().__init__()
        self.written: dict[int, list[float]] = {}

    def note(self, served: Served, **changes: object) -> None:
        at = changes.get("last_chunk_at")
        if isinstance(at, float):
            self.written.setdefault(served.serial, []).append(at)
        super().note(served, **changes)


class ClockedRpc(Rpc):
    """A client that adds to each record when it came, as `at`."""

    def _read_out(self) -> None:
        for line in self.process.stdout or ():
            at = time.monotonic()
            if line.startswith("{"):
                with self._changed:
                    self.records.append({**json.loads(line), "at": at})
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def busy_ms(self) -> float:
        """Processor time that pi's main thread has used."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e6


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure of one variant; `difference` is the median of its rounds' differences to `without`."""

    pi: str
    measure: str
    variant: str
    median: float
    difference: float | None = None
    low: float = 0.0
    high: float = 0.0
    p5: float = 0.0
    p95: float = 0.0
    sets: tuple[float, ...] = ()
    beyond_noise: bool | None = None


def turn(rpc: ClockedRpc, provider: Clocked) -> tuple[dict[str, float], list[float]]:
    """Ask once: the times of the turn, and how long each delta was under way, in milliseconds."""
    busy, before, asked = rpc.busy_ms(), len(provider.served), time.monotonic()
    records = rpc.prompt("go on")
    busy = rpc.busy_ms() - busy
    (served,) = provider.served[before:]
    # An Anthropic stream has two events before its first delta.
    written = provider.written[served.serial][2 : CHUNKS + 2]
    seen = _seen(records)
    if len(seen) != CHUNKS or len(written) != CHUNKS:
        raise RuntimeError(f"{len(written)} deltas written and {len(seen)} seen, not {CHUNKS}")
    delays = [(there - here) * 1e3 for here, there in zip(written, seen, strict=True)]
    ended = next(record["at"] for record in records if record["type"] == "agent_end")
    return {
        "prompt to request": (served.at - asked) * 1e3,
        "request to first delta": (seen[0] - served.at) * 1e3,
        "request to last delta": (seen[-1] - served.at) * 1e3,
        "first delta under way": delays[0],
        "last delta under way": delays[-1],
        "growth of that delay": statistics.median(delays[-END:]) - statistics.median(delays[1 : END + 1]),
        "last delta to the end": (ended - seen[-1]) * 1e3,
        "whole turn": (ended - asked) * 1e3,
        "processor, main thread": busy,
    }, delays


def _seen(records: Iterable[dict[str, Any]]) -> list[float]:
    """When each written delta had come: pi may hand on two as one."""
    seen: list[float] = []
    length = 0
    for record in records:
        event = record.get("assistantMessageEvent") or {}
        if record["type"] == "message_update" and event.get("type") == "text_delta":
            length += len(event["delta"])
            # A delta is `delta`, and from the second on ` delta`.
            seen += [record["at"]] * ((length + 1) // len(WORD) - len(seen))
    return seen


def turns(compared: Compared, provider: Clocked, rounds: int) -> tuple[Samples, dict[str, list[list[float]]]]:
    """Prompt one long-lived pi a variant in turn; by measure and variant, and each delta's delay."""
    provider.queue(Answer(headers=unified(), text=(WORD * CHUNKS).strip(), gap=GAP_S))
    taken: Samples = {}
    delays: dict[str, list[list[float]]] = {variant: [] for variant in VARIANTS}
    with ExitStack() as stack:
        clients: dict[str, ClockedRpc] = {}
        for variant, home in compared.homes.items():
            command = home.command(None, "--mode", "rpc")
            rpc = ClockedRpc(command, home.work, home.env, says_settled=home.pi.at_least_087)
            clients[variant] = stack.enter_context(rpc)
            rpc.send("get_state")
        for number in range(-WARM_UP, rounds):
            for variant in startup.order(number):
                time.sleep(PAUSE_S)
                times, under_way = turn(clients[variant], provider)
                if number < 0:
                    continue
                delays[variant].append(under_way)
                for measure, value in times.items():
                    taken.setdefault(measure, {each: [] for each in VARIANTS})[variant].append(value)
    return taken, delays


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 99 % interval of the median, from the ranks alone: it asks nothing of the distribution but ENOUGH values."""
    ordered = sorted(values)
    reach = 2.576 * math.sqrt(len(ordered)) / 2
    low, high = math.floor(len(ordered) / 2 - reach), math.ceil(len(ordered) / 2 + reach)
    return ordered[max(low, 0)], ordered[min(high, len(ordered) - 1)]


def _share(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def figures(pi: str, sets: Sequence[Samples]) -> list[Figure]:
    """Compare each variant with `without`, round by round over all sets."""
    found = []
    for measure in sets[0]:
        noise = 0.0
        for variant in VARIANTS:
            middle = statistics.median(value for each in sets for value in each[measure][variant])
            if variant == BASE:
                found.append(Figure(pi, measure, variant, middle))
                continue
            pairs = [[a - b for a, b in zip(each[measure][variant], each[measure][BASE], strict=True)] for each in sets]
            every = [value for each in pairs for value in each]
            (low, high), medians = interval(every), tuple(statistics.median(each) for each in pairs)
            difference = statistics.median(every)
            if variant == CONTROL:
                noise = max(abs(low), abs(high))
            agreed = low * high > 0 and abs(difference) > noise and len({value > 0 for value in medians}) == 1
            spread = (_share(every, 0.05), _share(every, 0.95))
            beyond = None if variant == CONTROL or len(every) < ENOUGH else agreed
            found.append(Figure(pi, measure, variant, middle, difference, low, high, *spread, medians, beyond))
    return found


def show(found: Sequence[Figure], delays: dict[str, list[list[float]]]) -> None:
    """Print the table of one pi, and how long deltas were under way by their place in the turn."""
    head = f"{'median':>9} {'differs':>8} {'99 % of the median':>19} {'p5 to p95 of pairs':>20}"
    print(f"\n{f'pi {found[0].pi}, ms':41}{head}  by set of processes")
    for figure in found:
        first = figure.measure if figure.variant == BASE else ""
        line = f"{first:24} {figure.variant:15} {figure.median:9.2f}"
        if figure.difference is not None:
            line += f" {figure.difference:+8.2f} {f'{figure.low:+.2f} to {figure.high:+.2f}':>19}"
            line += f" {f'{figure.p5:+.2f} to {figure.p95:+.2f}':>20}"
            line += "  " + " ".join(f"{value:+.2f}" for value in figure.sets)
            line += {None: "", True: "  BEYOND NOISE", False: "  within noise"}[figure.beyond_noise]
        print(line)
    places = [0, *range(END - 1, CHUNKS, END)]
    print("delta under way, by place" + "".join(f" {place + 1:>7}" for place in places))
    for variant, rounds in delays.items():
        middles = [statistics.median(each[place] for each in rounds) for place in places]
        print(f"{'':9} {variant:15}" + "".join(f" {middle:7.2f}" for middle in middles))


def measure(pi: install.Pi, folder: Path, options: argparse.Namespace) -> tuple[list[Figure], dict[str, list[Any]]]:
    """All of one pi: the turns, set by set, then the starts. RuntimeError where the extension did not capture all."""
    sets: list[Samples] = []
    delays: dict[str, list[Any]] = {variant: [] for variant in VARIANTS}
    for number in range(options.sets):
        with Clocked() as provider, startup.homes(pi, folder / f"{pi.version}-{number}", provider) as compared:
            taken, under_way = turns(compared, provider, options.rounds)
            sets.append(taken)
            for variant in VARIANTS:
                delays[variant] += under_way[variant]
            _complete(compared, options.rounds + WARM_UP)
    with Clocked() as provider, startup.homes(pi, folder / f"{pi.version}-starts", provider) as compared:
        started = startup.starts(compared, provider, options.starts)
        _complete(compared, options.starts + 1)
    return figures(pi.version, sets) + figures(pi.version, [started]), delays


def _complete(compared: Compared, prompts: int) -> None:
    """Every prompt of the variants with the extension must be captured: otherwise something else was measured."""
    for variant, count in compared.captures.items():
        wanted = 0 if variant in {BASE, CONTROL} else prompts
        if count() != wanted:
            raise RuntimeError(f"{variant}: {count()} captures of {wanted}")


def main() -> int:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(prog="tests.bench.turns", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="prompts a variant and set")
    parser.add_argument("--sets", type=int, default=3, help="how often the processes are started anew")
    parser.add_argument("--starts", type=int, default=15, help="runs of `pi -p` a variant")
    parser.add_argument("--pi", action="append", choices=install.VERSIONS, help="only this version; all by default")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sys.setswitchinterval(0.0005)  # the provider and the client are threads of one Python
    everything: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="tokmon-bench-") as folder:
        for version in options.pi or install.VERSIONS:
            found, delays = measure(install.pi(version), Path(folder), options)
            everything += found
            if not options.json:
                show(found, delays)
                sys.stdout.flush()
    if options.json:
        print(json.dumps([asdict(figure) for figure in everything], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
