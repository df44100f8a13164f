"""How fast what one member learns reaches the others, and what a pool of many members costs a wake.

    python -m tests.bench.pool [--rounds N] [--members N]

Latency: from the acknowledgement of a 429 by one member's sidecar until another member's decision file names another
account, beside the time until the member's own does. Both sidecars are real; the others publish every ten seconds.
Slow: `tokmon select` with so many members' folders that share every account, beside an empty pool, in pairs.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from tests.pool.members import KEY, Member, member
from tests.sidecar.running import Client, capture, sidecar
from tokmon.evidence.snapshot import Snapshot, fold
from tokmon.pool.key import hash_of
from tokmon.pool.publication import Encoder
from tokmon.store.codec import encode
from tokmon.wire.instants import rfc3339

SEATS: Final = {f"team-{letter}": f"sk-ant-oat01-{letter * 12}" for letter in "abcde"}
UNIFIED: Final = "anthropic-ratelimit-unified"


def main() -> int:
    """Print both."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pool")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--members", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _latency(Path(folder) / "latency", options.rounds)
        _slow(Path(folder) / "slow", options.rounds, options.members)
    return 0


def _latency(folder: Path, rounds: int) -> None:
    first, second = (member(folder, name) for name in ("nadja", "ludo"))
    for one in (first, second):
        one.configure(SEATS)
        one.run("select", "--no-probe")
    own, others = [], []
    with sidecar(env=dict(first.env)) as hers, sidecar(env=dict(second.env)):
        client = hers.client()
        for number in range(rounds):
            _send(client, number, 0.3)  # all seats are good
            _wait(lambda: second.decided() != "team-e" and first.decided() != "team-e")
            refused = second.decided() or ""
            _send(client, number, 1.0, only=refused)
            start = time.monotonic()
            _wait(partial(_is_left, second, refused))
            others.append(time.monotonic() - start)
            _wait(partial(_is_left, first, refused))
            own.append(time.monotonic() - start)
    _row("another member's wake knows after", others)
    _row("the member's own", own)


def _is_left(one: Member, name: str) -> bool:
    return one.decided() != name


def _send(client: Client, number: int, used: float, only: str | None = None) -> None:
    """One response of each seat, or of one."""
    now = time.time()
    names = [only] if only else [name for name in SEATS if name != "team-e"]
    for index, name in enumerate(names):
        reset = now + 3600 * (24 + 24 * index)
        headers = {
            f"{UNIFIED}-status": "rejected" if used >= 1 else "allowed",
            f"{UNIFIED}-7d-utilization": str(used),
            f"{UNIFIED}-7d-reset": str(int(reset)),
            f"{UNIFIED}-5h-utilization": "0.1",
            f"{UNIFIED}-5h-reset": str(int(now + 7200)),
        }
        event = capture(number, ts=rfc3339(now), provider=name, http_status=429 if used >= 1 else 200, headers=headers)
        client.send(event | {"id": f"{name}-{number}-{used}", "credential": hash_of(KEY, SEATS[name])})
    client.acknowledged(_count(client, len(names)))


_SENT: Final[dict[Client, int]] = {}


def _count(client: Client, more: int) -> int:
    _SENT[client] = _SENT.get(client, 0) + more
    return _SENT[client]


def _wait(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("not within 30 s")
        time.sleep(0.002)


def _slow(folder: Path, rounds: int, members: int) -> None:
    alone, crowded = member(folder / "alone", "nadja"), member(folder / "crowded", "nadja")
    for one in (alone, crowded):
        one.configure(SEATS)
    for number in range(members):
        other = crowded.paths.pool / f"member-{number}"
        other.mkdir(parents=True)
        known = encode(Encoder(KEY).value(fold(Snapshot(), _lines(number)), (), time.time()))
        (other / "evidence.json").write_bytes(known)
    seconds: dict[str, list[float]] = {"alone": [], "crowded": []}
    for _ in range(rounds):
        for name, one in (("alone", alone), ("crowded", crowded)):
            start = time.monotonic()
            one.select("--no-probe")
            seconds[name].append(time.monotonic() - start)
    ratio = statistics.median(many / few for many, few in zip(seconds["crowded"], seconds["alone"], strict=True))
    _row("`tokmon select` alone", seconds["alone"])
    _row(f"`tokmon select` with {members} members", seconds["crowded"])
    print(f"median of paired ratios: {ratio:.2f}")


def _lines(number: int) -> list[dict[str, object]]:
    now = time.time()
    return [
        {
            "ts": rfc3339(now - 60 * number - 900 * sample),
            "id": f"m{number}-{sample}",
            "source": "piggyback",
            "provider": name,
            "type": "teams-direct",
            "status": "allowed",
            "credential": hash_of(KEY, key),
            "windows": [
                {"name": "5h", "utilization": 0.2, "resets_at": rfc3339(now // 600 * 600 + 7200)},
                {"name": "7d", "utilization": 0.3, "resets_at": rfc3339(now // 600 * 600 + 200_000)},
            ],
        }
        for name, key in SEATS.items()
        for sample in range(20)
    ]


def _row(what: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(f"{what:45} p50 {statistics.median(ordered) * 1000:7.0f} ms   p99 {p99 * 1000:7.0f} ms")


if __name__ == "__main__":
    sys.exit(main())
