"""What a wake costs: the whole `budget-select` in every case, beside the least that a process costs.

    python -m tests.bench.wake [--rounds N] [--lines N] [--cswap PROGRAM] [--json]

Each round starts every process once, in an order of its own since a big one leaves the caches cold, and the ratio of
two is taken within a round: absolute figures are the machine's. `#!/bin/sh` decides which shell runs the hook; the
other shells that are here are shown too.

The decision file has ten inputs and seven accounts. The slow path is measured without a sidecar: with the evidence of
the wake before, with what `tokmon monitor` has logged since, and with a line that somebody else has; with a log of ten
lines and of a million, which was caught up with once.

`cswap` is claude-swap, in an environment of its own: `python3.12 -m venv V && V/bin/pip install claude-swap`, and then
`--cswap V/bin/cswap`. Variables of this environment do not reach what is measured: `node` alone takes three times as
long where NODE_EXTRA_CA_CERTS names the certificates of a whole system.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.homes import Home, swapping
from tests.hooks.wake import ASKED, DECIDED, HOOK, Wake
from tests.install.capabilities import SHELLS

FLOOR: Final = "sh -c :"
FRESH: Final = "budget-select"
AGAIN: Final = "sh -c :, again"
SLOW: Final = "budget-select, asking a shell script"
NODE: Final = "node -e 0"
CSWAP: Final = "cswap switch --strategy best --json"
UNCHANGED: Final = "budget-select, nothing new, a log of"
ASKED_BY: Final = "budget-select, after `tokmon monitor`"
NEW: Final = "budget-select, a line more by others, a log of"
FEW: Final = 10
INPUTS: Final = 10
ACCOUNTS: Final = tuple(
    f"team-{name} claude-sonnet-4-6" for name in ("vigilio", "ludo", "buio", "molto", "nadja", "x", "y")
)


@dataclass(frozen=True, slots=True)
class Way:
    """A process to be measured, and what is done before it, which is not."""

    words: list[str]
    env: dict[str, str]
    before: Callable[[], object] = bool


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.wake")
    parser.add_argument("--rounds", type=int, default=600)
    parser.add_argument("--lines", type=int, default=1_000_000, help="of the long log")
    parser.add_argument("--cswap", type=Path, default=shutil.which("cswap"), help="the program of claude-swap")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        homes = [Home.make(Path(folder) / str(lines), lines) for lines in (FEW, options.lines)]
        ways = _ways(Path(folder), homes, options.cswap)
        taken = _measure(ways, options.rounds)
        decisions = [home.decisions() for home in homes]
    rows = {name: _row(taken, name) for name in taken}
    size = {
        what: _ratio(taken[f"{what} {options.lines} lines"], taken[f"{what} {FEW} lines"]) for what in (UNCHANGED, NEW)
    }
    if options.json:
        print(json.dumps({"rows": rows, "size": size}))
        return 0
    print(f"{options.rounds} rounds, {os.cpu_count()} cores; decisions made: {decisions}\n")
    print(f"| process | p50 ms | p95 ms | of `{FLOOR}`, median of rounds | of `{NODE}` | of `cswap` |")
    print("|---|---|---|---|---|---|")
    for name, row in rows.items():
        others = [f"{row[other]:.2f}" if other in row else "" for other in (FLOOR, NODE, CSWAP)]
        print(f"| {name} | {row['p50']:.2f} | {row['p95']:.2f} | {' | '.join(others)} |")
    for what, ratio in size.items():
        print(f"\n{what} {options.lines} lines, of the same with {FEW}: {ratio:.2f}")
    return 0


def _row(taken: dict[str, list[float]], name: str) -> dict[str, float]:
    ratios: dict[str, float] = {
        other: _ratio(taken[name], taken[other]) for other in (FLOOR, NODE, CSWAP) if other in taken
    }
    return {"p50": statistics.median(taken[name]), "p95": statistics.quantiles(taken[name], n=20)[-1], **ratios}


def _ratio(one: list[float], other: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def _ways(folder: Path, homes: list[Home], cswap: Path | None) -> dict[str, Way]:
    wake = Wake(folder / "wake", ("sh",))
    wake.tokmon()
    logs = [wake.logs / f"log-{number}.jsonl" for number in range(INPUTS - len(wake.inputs))]
    for log in logs:
        log.touch()
    for path in (*wake.inputs, *logs):
        os.utime(path, (time.time() - 100,) * 2)
    wake.decide(inputs=[*wake.inputs, *logs], accounts=ACCOUNTS)
    _expect(wake, {}, DECIDED)
    _expect(wake, {"TOKMON_PIN": "x"}, ASKED)
    env = wake.environment

    ways = {name: Way([_found("sh"), "-c", ":"], env) for name in (FLOOR, AGAIN)}
    ways[FRESH] = Way([str(HOOK)], env)
    ways[SLOW] = Way([str(HOOK)], env | {"TOKMON_PIN": "x"})
    for home in homes:
        ways[f"{UNCHANGED} {home.lines} lines"] = Way([str(HOOK)], home.env)
        ways[f"{NEW} {home.lines} lines"] = Way([str(HOOK)], home.env, home.turn)
    ways[ASKED_BY] = Way([str(HOOK)], homes[0].env, homes[0].refresh)
    for shell in SHELLS.values():
        if shutil.which(shell[0]):
            ways[" ".join([*shell, FRESH])] = Way([_found(shell[0]), *shell[1:], str(HOOK)], env)
    if shutil.which("node"):
        ways[NODE] = Way([_found("node"), "-e", "0"], env)
    if cswap is not None:
        ways[CSWAP] = Way(*swapping(cswap, folder / "cswap"))
    return ways


def _found(program: str) -> str:
    return shutil.which(program) or program


def _measure(ways: dict[str, Way], rounds: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in ways}
    chance = random.Random(4)  # noqa: S311 - an order, not a secret
    for number in range(-5, rounds):
        for name in chance.sample(list(ways), len(ways)):
            elapsed = _run(ways[name])
            if number >= 0:
                taken[name].append(elapsed)
    return taken


def _expect(wake: Wake, more: dict[str, str], line: str) -> None:
    run = wake.run(env=more)
    if (run.line, run.remark) != (line, ""):
        raise RuntimeError(f"the hook did not print `{line}`: it is not the case that is to be measured")


def _run(way: Way) -> float:
    """Milliseconds from the start of a process to its end."""
    way.before()
    quiet = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    started = time.perf_counter()
    pid = os.posix_spawn(way.words[0], way.words, way.env, file_actions=quiet)
    _, status = os.waitpid(pid, 0)
    elapsed = (time.perf_counter() - started) * 1e3
    if status != 0:
        raise RuntimeError(f"`{way.words[0]}` ended with {os.waitstatus_to_exitcode(status)}")
    return elapsed


if __name__ == "__main__":
    sys.exit(main())
