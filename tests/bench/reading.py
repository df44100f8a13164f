"""How fast captures are read, and how fast a snapshot catches up with the logs, beside a floor in one run.

    python -m tests.bench.reading [--captures N] [--lines N] [--json]

The floor of captures is what the standard library takes to decode the same lines and to encode them again; the floor
of logs is what `orjson` takes to decode them. Everything runs in this process on one core, and processor time is
told, since others may use the machine too. Ratios within one run are what counts: absolute figures are the machine's.
"""

import argparse
import gc
import json
import re
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain, islice
from multiprocessing import Process
from typing import Any, Final

import orjson

from tests.bench import events
from tests.captures import FIXTURES, response_of
from tokmon import families, paths
from tokmon.commands.read import read_line
from tokmon.evidence.model import RawResponse
from tokmon.paths import Paths
from tokmon.pi.models_json import ConfiguredAccount
from tokmon.sidecar.dedup import RecentIds
from tokmon.sidecar.group_commit import Pending
from tokmon.sidecar.ingest import Ingest
from tokmon.store import state_file
from tokmon.store.codec import encode
from tokmon.wire.instants import parse_rfc3339, rfc3339

_ROUNDS: Final = 3
_CLIENTS: Final = 8
_BATCH: Final = 2000

_MIX: Final = {
    "anthropic_oauth_200_idle_zero": 30,
    "anthropic_oauth_200_warning_with_7d_sonnet": 15,
    "anthropic_oauth_200_full_16_headers_overage_in_use": 10,
    "anthropic_oauth_429_weekly_spent": 3,
    "anthropic_oauth_429_5h_over_one_no_retry_after": 2,
    "anthropic_oauth_400_out_of_extra_usage_pi_form": 1,
    "anthropic_529_overloaded": 1,
    "network_error_conn_refused": 1,
    "anthropic_api_200_classic": 6,
    "codex_200_pro_weekly_in_primary_empty_secondary": 6,
    "codex_200_5h_and_weekly_relative_reset_only": 3,
    "codex_429_usage_limit_reached": 1,
    "openai_200_responses": 6,
    "xai_200_no_reset_header": 4,
    "mistral_200_minute": 3,
    "openai_429_insufficient_quota": 1,
    "copilot_200_quota_snapshot": 4,
    "copilot_429_5h": 1,
    "gemini_429_free_tier_day": 1,
    "litellm_200_cost_and_budget": 1,
}
"""How many of a hundred captures are like which one of `tests/fixtures/headers.json`."""

_MOVED: Final[tuple[tuple[re.Pattern[str], Callable[[str, int], str]], ...]] = (
    (re.compile("utilization: "), lambda _, number: f"0.{number % 1000:03}"),
    (re.compile("used-percent: "), lambda _, number: f"{number % 101}"),
    (re.compile("remaining.*: "), lambda value, number: f"{max(1, int(value) - number % 997)}"),
    (re.compile("after-seconds: "), lambda value, number: f"{max(0, int(value) - number % 9973)}"),
    (re.compile(r": \d+ms$"), lambda _, number: f"{number % 997}ms"),
    (re.compile(r": 1[5-9]\d{8}$"), lambda value, number: f"{int(value) + number // 100 * 60}"),
    (re.compile(r": 20\d\d-[-\d]+T[:\d]+Z$"), lambda value, number: rfc3339(parse_rfc3339(value) + number // 10)),
    (re.compile(r": .*\brem="), lambda value, number: re.sub(r"rem=[\d.]+", f"rem={number % 1000 / 10}", value)),
)
"""Which headers say something else each time, and what."""


@dataclass(frozen=True, slots=True)
class Figure:
    """How many a second, and how many times as long as the floor it takes (None where there is none to compare)."""

    what: str
    unit: str
    count: int
    seconds: float
    rate: float
    to_floor: float | None = None


def captures(count: int) -> Iterator[dict[str, Any]]:
    """So many captures of the mix, evenly mixed, with figures that change from one to the next."""
    kinds = {fixture["name"]: fixture for fixture in FIXTURES}
    mixed = [kinds[name] for name, share in _MIX.items() for _ in range(share)]
    for number in range(count):
        fixture = mixed[number * 37 % len(mixed)]
        at = parse_rfc3339(fixture["captured_at"]) + number / 1000
        headers = {name: _moved(name, value, number) for name, value in fixture["headers"].items()}
        yield {**fixture, "captured_at": rfc3339(at), "headers": headers}


def _moved(name: str, value: str, number: int) -> str:
    """What the header says that many responses later: use goes up, and windows start afresh now and then."""
    for moves, moved in _MOVED:
        if moves.search(f"{name}: {value}"):
            return moved(value, number)
    return value


def line_of(fixture: dict[str, Any]) -> bytes:
    """The capture as a line for `tokmon read`."""
    fields = ("provider_kind", "http_status", "captured_at", "headers", "body_excerpt", "error_message", "event")
    return json.dumps({name: fixture[name] for name in fields if name in fixture}).encode()


def reading(count: int) -> list[Figure]:
    """The floor, `families.read` alone, and all of `tokmon read` but its pipes; each the median of some rounds."""
    found = list(captures(count))
    lines = [line_of(fixture) for fixture in found]
    evidences = [response_of(fixture) for fixture in found]
    gc.freeze()  # a program that reads from a pipe has not all of this about it, to be looked through for garbage
    took: dict[str, list[float]] = {}
    for _ in range(_ROUNDS):
        for what, work in (
            ("floor: json.loads and json.dumps", lambda: _floor(lines)),
            ("families.read", lambda: _read(evidences)),
            ("line in, reading out", lambda: _answer(lines)),
        ):
            took.setdefault(what, []).append(_timed(work))
    middle = {what: statistics.median(seconds) for what, seconds in took.items()}
    floor = next(iter(middle.values()))
    return [Figure(what, "captures", count, took, count / took, took / floor) for what, took in middle.items()]


def _floor(lines: list[bytes]) -> None:
    for line in lines:
        json.dumps(json.loads(line))


def _read(evidences: list[RawResponse]) -> None:
    for each in evidences:
        families.read(each)


def _answer(lines: list[bytes]) -> None:
    for line in lines:
        encode(read_line(line, 0.0))


def _timed(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def write_logs(found: Paths, count: int) -> None:
    """The logs of so many events of some clients at once, as the sidecar writes them."""
    found.logs.mkdir(parents=True)
    pending = {"capture": Pending(), "usage": Pending()}
    ingest = Ingest(dict.fromkeys(events.SEATS, ConfiguredAccount()), RecentIds(), pending)
    clients = [events.turns(client, count // _CLIENTS, "r") for client in range(_CLIENTS)]
    turns = chain.from_iterable(zip(*clients, strict=True))
    with found.piggyback.open("wb") as captured, found.usage.open("wb") as used:
        while batch := b"".join(islice(turns, _BATCH)):
            ingest.add_lines(batch, lambda place, _line, error: sys.exit(f"{place}: {error}"))
            for log, kind in ((captured, "capture"), (used, "usage")):
                log.writelines(pending[kind].blocks)
                pending[kind].retain(b"")
            ingest.drain_evidence()


def write_reordered(found: Paths, count: int) -> None:
    """The same, with the fields in another order and figures that change with every line, in one log."""
    write_logs(found, count)
    with (found.logs / "reordered.jsonl").open("wb") as reordered:
        for log in (found.piggyback, found.usage):
            for number, data in enumerate(log.read_bytes().splitlines()):
                line = json.loads(data)
                for window in line.get("windows", ()):
                    window["utilization"] = number % 997 / 1000
                fields = dict(sorted(line.items(), key=lambda field: field[0][::-1]))
                reordered.write(json.dumps(fields, separators=(",", ":")).encode() + b"\n")
            log.unlink()


def write_older(found: Paths, count: int) -> None:
    """Lines of the older format: a month of probes."""
    found.logs.mkdir(parents=True)
    with found.probe.open("wb") as log:
        for number in range(count):
            line = {
                "ts": rfc3339(1_760_000_000 + number * 2_592_000 / count),
                "provider": events.SEATS[number % len(events.SEATS)],
                "type": "teams-direct",
                "status": "allowed",
                "utilization_5h": number % 997 / 1000,
                "utilization_7d": number % 991 / 1000,
                "reset_in_seconds": number % 18_000,
            }
            log.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")


def catching_up(what: str, found: Paths) -> list[Figure]:
    """Catching up once from nothing, its longest step, and with nothing new; and the floor."""
    steps: list[float] = []
    floors: list[float] = []
    count, state = 0, state_file.State()
    for _ in range(_ROUNDS):
        count, seconds = _floor_of(found)
        floors.append(seconds)
        state = state_file.State()
        rounds = _steps(state_file.catch_up_steps(state, found))
        steps = rounds if not steps or sum(rounds) < sum(steps) else steps
    state_file.save(state, found)
    again = statistics.median(_timed(lambda: state_file.current(found)) for _ in range(20))
    floor, once = min(floors), sum(steps)
    return [
        Figure(f"floor: orjson.loads, {what}", "lines", count, floor, count / floor, 1.0),
        Figure(f"catching up with {what}", "lines", count, once, count / once, once / floor),
        Figure("its longest step", "steps", len(steps), max(steps), len(steps) / once),
        Figure("with nothing new", "times", 1, again, 1 / again),
    ]


def _floor_of(found: Paths) -> tuple[int, float]:
    """The number of lines, and the processor time that decoding them takes."""
    count, seconds = 0, 0.0
    for log in state_file.evidence_logs(found):
        lines = log.read_bytes().splitlines()
        count += len(lines)
        seconds += _timed(lambda: _decode(lines))  # noqa: B023 - called at once
    return count, seconds


def _decode(lines: list[bytes]) -> None:
    for line in lines:
        orjson.loads(line)


def _resident_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _steps(work: Iterator[int]) -> list[float]:
    took, begin = [], time.process_time()
    for _ in work:
        took.append(time.process_time() - begin)
        begin = time.process_time()
    return [*took, time.process_time() - begin]


def main() -> int:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="tests.bench.reading", description=__doc__)
    parser.add_argument("--captures", type=int, default=100_000, help="captures to read")
    parser.add_argument("--lines", type=int, default=1_000_000, help="lines of log to catch up with")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures: list[Figure] = []
    grown = 0.0
    for what, write in (
        ("the sidecar's lines", write_logs),
        ("the same reordered", write_reordered),
        ("an older tool's", write_older),
    ):
        with tempfile.TemporaryDirectory(prefix="tokmon-bench-") as folder:
            found = paths.find({"HOME": folder})
            writer = Process(target=write, args=(found, options.lines))  # the memory it needs is not counted
            writer.start()
            writer.join()
            before = _resident_mib()
            state_file.catch_up(state_file.State(), found)
            grown = max(grown, _resident_mib() - before)
            figures += catching_up(what, found)
    figures += reading(options.captures)
    if options.json:
        print(json.dumps({"figures": [asdict(figure) for figure in figures], "grown_mib": grown}, indent=1))
        return 0
    print(f"{'':42} {'count':>9} {'seconds':>9} {'a second':>10} {'to floor':>9}")
    for each in figures:
        ratio = "" if each.to_floor is None else f"{each.to_floor:9.2f}"
        print(f"{each.what:42} {each.count:9} {each.seconds:9.4f} {each.rate:10.0f} {ratio} {each.unit}")
    print(f"catching up took {grown:.1f} MiB of memory at most")
    return 0


if __name__ == "__main__":
    sys.exit(main())
