"""What each package costs: JSON lines decoded and encoded, values made, and modules imported, in one run.

    python -m tests.bench.packages [--lines N]

Processor time, the best of twelve rounds; only the ratios travel.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
import orjson

from tests.bench import events
from tokmon.wire import messages

_ROUNDS: Final = 12
_IMPORTED: Final = ("msgspec", "orjson", "filelock", "httpx", "pydantic_settings")

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _Dataclass:
    ts: float
    id: str
    source: str


class _Struct(msgspec.Struct, frozen=True):
    ts: float
    id: str
    source: str


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=20_000)
    count: int = parser.parse_args().lines
    lines = [line.rstrip() for line in events.turns(0, count, "bench")]
    values = [json.loads(line) for line in lines]
    untyped = msgspec.json.Decoder()
    encoder = msgspec.json.Encoder()
    print("| of `orjson.loads` | decode | encode |\n|---|---|---|")
    unit = _best(orjson.loads, lines)
    for name, decode, encode in (
        ("orjson", orjson.loads, orjson.dumps),
        ("msgspec, to dicts", untyped.decode, encoder.encode),
        ("msgspec, typed (`wire.messages.decode`)", messages.decode, None),
        ("json", json.loads, json.dumps),
    ):
        encoded = "-" if encode is None else f"{_best(encode, values) / unit:.2f}"
        print(f"| {name} | {_best(decode, lines) / unit:.2f} | {encoded} |")
    numbers = [float(number) for number in range(count)]
    struct = _best(lambda ts: _Struct(ts, "id", "probe"), numbers)
    made = _best(lambda ts: _Dataclass(ts, "id", "probe"), numbers)
    print(f"\nA frozen dataclass takes {made / struct:.1f} times as long to make as a frozen struct.\n")
    bare = _import_ms("sys")
    print("| import | ms |\n|---|---|")
    for module in _IMPORTED:
        print(f"| {module} | {_import_ms(module) - bare:.0f} |")


def _import_ms(module: str) -> float:
    """Processor time of a Python that imports the module and ends, in ms."""
    return min(_import_once(module) for _ in range(_ROUNDS))


def _import_once(module: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-I", "-c", f"import {module}"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _best(work: Callable[[Item], object], items: list[Item]) -> float:
    return min(_once(work, items) for _ in range(_ROUNDS))


def _once(work: Callable[[Item], object], items: list[Item]) -> float:
    began = time.process_time()
    for item in items:
        work(item)
    return time.process_time() - began


if __name__ == "__main__":
    main()
