"""Log lines for tests."""

from pathlib import Path
from typing import Any

from tests.bench import events
from tokmon.errors import WireError
from tokmon.paths import Paths, find
from tokmon.sidecar.dedup import RecentIds
from tokmon.sidecar.group_commit import Pending
from tokmon.sidecar.ingest import Ingest
from tokmon.store.codec import encode
from tokmon.store.state_file import State


def paths_in(home: Path) -> Paths:
    """The folders of that home, the one of the logs made."""
    paths = find({"HOME": str(home)})
    paths.logs.mkdir(parents=True, exist_ok=True)
    return paths


def append(path: Path, lines: list[bytes]) -> None:
    with path.open("ab") as log:
        log.write(b"".join(line + b"\n" for line in lines))


def line_of(second: int, used: float, **fields: Any) -> bytes:
    windows = [{"name": "5h", "utilization": used}]
    line = {"ts": f"2026-11-22T06:00:{second:02}.000Z", "id": f"event-{second:04}", "provider": "a"}
    return encode(line | {"status": "allowed", "windows": windows} | fields)


def utilization(state: State) -> float | None:
    return state.snapshot.accounts["a"].windows["5h"].window.utilization


def stored_lines(count: int) -> list[bytes]:
    """Lines as the sidecar writes them."""
    pending = {"capture": Pending(), "usage": Pending()}
    Ingest({}, RecentIds(), pending).add_lines(b"".join(events.turns(0, count, "state-")), _refuse)
    return b"".join(pending["capture"].blocks + pending["usage"].blocks).splitlines()


def _refuse(_place: int, _line: bytes, error: WireError) -> None:
    raise error
