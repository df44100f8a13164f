"""The ways a pi is run to be compared, in turn, and how long each takes from its start to its end (`pi -p`)."""

import json
import resource
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import daemons
from tests.extension.driver import EXTENSION
from tests.pi.answers import Answer, unified
from tests.pi.install import Pi
from tests.pi.provider import Provider
from tests.pi.runner import Home
from tests.pi.seats import Seat

BASE: Final = "without"
CONTROL: Final = "without, again"
SIDECAR: Final = "with a sidecar"
ALONE: Final = "with no sidecar"
VARIANTS: Final = (BASE, CONTROL, SIDECAR, ALONE)
"""The second without the extension says how much two equal things differ here."""

WALL: Final = "`pi -p`, start to end"
PROCESSOR: Final = "`pi -p`, processor"

SEATS: Final = tuple(Seat(f"team-{letter}", plan=True) for letter in "abcde")

Samples = dict[str, dict[str, list[float]]]
"""Milliseconds by measure, by variant, one a round; what stands at one index was measured in one round."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A home for each variant. `captures` counts what the extension has told or kept so far."""

    homes: Mapping[str, Home]
    captures: Mapping[str, Callable[[], int]]


@contextmanager
def homes(pi: Pi, root: Path, provider: Provider) -> Iterator[Compared]:
    """Make a home for each variant, and run the sidecar of the one that has one."""
    root.mkdir()
    made: dict[str, Home] = {}
    captures: dict[str, Callable[[], int]] = {}
    with ExitStack() as stack:
        for number, variant in enumerate(VARIANTS):
            extensions = [EXTENSION] if variant in {SIDECAR, ALONE} else []
            env = {"TOKMON_NO_SPAWN": "1", "TOKMON_MEMBER": "bench"}
            logs: Path | None = None
            if variant == SIDECAR:
                daemon = stack.enter_context(daemons.sidecar(root / "sidecar"))
                env["TOKMON_SOCKET"], logs = str(daemon.socket), daemon.folder
            home = Home.make(pi, root / f"home-{number}", provider, SEATS, extensions=extensions, env=env)
            spool = home.root / ".local" / "state" / "tokmon" / "spool" / "new"
            captures[variant] = _counter(logs, spool)
            made[variant] = home
        yield Compared(made, captures)


def _counter(logs: Path | None, spool: Path) -> Callable[[], int]:
    """Count captures once each: the same one may be in the log and, where the farewell was too short, in the spool."""

    def count() -> int:
        files = [*spool.glob("*.ndjson"), *(logs.rglob("piggyback.jsonl") if logs else ())]
        lines = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]
        return len({line["id"] for line in lines if "http_status" in line})

    return count


def order(number: int) -> list[str]:
    """Give the variants of a round: each comes first, and after each other one, equally often in eight rounds."""
    turned = [VARIANTS[(number + place) % len(VARIANTS)] for place in range(len(VARIANTS))]
    return turned[::-1] if number // len(VARIANTS) % 2 else turned


def starts(compared: Compared, provider: Provider, rounds: int) -> Samples:
    """Run `pi -p` with one short prompt, one process after another; the first round is not counted."""
    provider.queue(Answer(headers=unified()))
    taken: Samples = {measure: {variant: [] for variant in VARIANTS} for measure in (WALL, PROCESSOR)}
    for number in range(-1, rounds):
        for variant in order(number):
            busy = _children_ms()
            run = compared.homes[variant].run()
            busy = _children_ms() - busy
            if run.exit_code != 0:
                raise RuntimeError(f"pi {variant} failed: {run.stderr[-500:]}")
            if number >= 0:
                taken[WALL][variant].append(run.seconds * 1e3)
                taken[PROCESSOR][variant].append(busy)
    return taken


def _children_ms() -> float:
    """Processor time of every process that was started and has ended, with its own."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1e3
