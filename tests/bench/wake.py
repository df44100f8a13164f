"""What a wake costs: the whole `budget-select` with a fresh decision file, beside what cannot be had for less.

    python -m tests.bench.wake [--rounds N] [--json]

Each round starts every process once, in an order of its own since a big one leaves the caches cold, and the ratio of
two is taken within a round: absolute figures are the machine's. `#!/bin/sh` decides which shell runs the hook; the
other shells that are here are shown too.
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
from pathlib import Path
from typing import Final

from tests.hooks.wake import ASKED, DECIDED, HOOK, Wake, decision

FLOOR: Final = "sh -c :"
FRESH: Final = "budget-select"
AGAIN: Final = "sh -c :, again"
LONG: Final = "budget-select, asking a shell script"
_REFRESH_S: Final = 20


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.wake")
    parser.add_argument("--rounds", type=int, default=600)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        taken = _measure(Path(folder), options.rounds)
    rows = {name: _row(taken[name], taken[FLOOR]) for name in taken}
    if options.json:
        print(json.dumps(rows))
        return 0
    print(f"{options.rounds} rounds, {os.cpu_count()} cores\n")
    print(f"| process | p50 ms | p95 ms | of `{FLOOR}`, median of rounds |\n|---|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row['p50']:.2f} | {row['p95']:.2f} | {row['ratio']:.2f} |")
    return 0


def _row(taken: list[float], floor: list[float]) -> dict[str, float]:
    ratio = statistics.median(one / other for one, other in zip(taken, floor, strict=True))
    return {"p50": statistics.median(taken), "p95": statistics.quantiles(taken, n=20)[-1], "ratio": ratio}


def _measure(folder: Path, rounds: int) -> dict[str, list[float]]:
    wake = Wake(folder / "wake", ("sh",))
    wake.tokmon()
    commands = _commands()
    ways = {name: wake.environment | ({"TOKMON_PIN": "x"} if name == LONG else {}) for name in commands}
    _expect(wake, {}, DECIDED)
    _expect(wake, {"TOKMON_PIN": "x"}, ASKED)
    taken: dict[str, list[float]] = {name: [] for name in commands}
    chance, written = random.Random(4), 0.0  # noqa: S311 - an order, not a secret
    for number in range(-5, rounds):
        if time.monotonic() - written > _REFRESH_S:
            wake.decide(decision())
            written = time.monotonic()
        for name in chance.sample(list(commands), len(commands)):
            elapsed = _run(commands[name], ways[name])
            if number >= 0:
                taken[name].append(elapsed)
    return taken


def _commands() -> dict[str, list[str]]:
    commands = {FLOOR: ["sh", "-c", ":"], AGAIN: ["sh", "-c", ":"], FRESH: [str(HOOK)], LONG: [str(HOOK)]}
    for shell in (["bash"], ["busybox", "sh"]):
        if shutil.which(shell[0]):
            commands[" ".join([*shell, FRESH])] = [*shell, str(HOOK)]
    if shutil.which("node"):
        commands["node -e 0"] = ["node", "-e", "0"]
    return {name: [shutil.which(words[0]) or words[0], *words[1:]] for name, words in commands.items()}


def _expect(wake: Wake, more: dict[str, str], line: str) -> None:
    wake.decide(decision())
    if wake.line(**more) != line:
        raise RuntimeError(f"the hook did not say `{line}`: it would not be the way that is to be measured")


def _run(words: list[str], env: dict[str, str]) -> float:
    """Milliseconds from the start of a process to its end."""
    quiet = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    started = time.perf_counter()
    pid = os.posix_spawn(words[0], words, env, file_actions=quiet)
    _, status = os.waitpid(pid, 0)
    elapsed = (time.perf_counter() - started) * 1e3
    if status != 0:
        raise RuntimeError(f"`{words[0]}` ended with {os.waitstatus_to_exitcode(status)}")
    return elapsed


if __name__ == "__main__":
    sys.exit(main())
