"""Decisions of the last minutes: what a member announces in `decisions.json`, and what the others announced.

    {"version": 1, "decisions": [{"ts": …, "provider": …, "model": …, "minutes": …}]}

`minutes` is how long the session is expected to run. The log of decisions is the truth of a member's own.
"""

import contextlib
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from tokmon.paths import Paths
from tokmon.pool import folder
from tokmon.pool.folder import FILES, Member
from tokmon.pool.publication import AHEAD_S
from tokmon.selection.overrides import name_problem
from tokmon.store.codec import encode, parse
from tokmon.store.opener import open_file
from tokmon.store.reader import blocks_before
from tokmon.wire.instants import parse_rfc3339, rfc3339

VERSION: Final = 1
RECENT_S: Final = 600.0
"""How long a decision counts: then the figures of its account show the session."""

PUBLISHES_S: Final = 86400.0
"""A member that has published nothing for so long has left."""

_TAIL: Final = 2 << 20
"""Bytes of the log's end that are read: some hundred decisions."""

_MOST: Final = 300
"""Decisions of a member that are read."""

_ATTEMPTS: Final = 30
_SESSION: Final = "select"
"""The source of decisions for a session that starts: others are made beforehand, for whichever wake comes."""


class Announced(NamedTuple):
    """A decision: its instant (epoch seconds), and the account and model that a session was sent to."""

    at: float
    provider: str
    model: str


def announce(paths: Paths, env: Mapping[str, str], decision: Announced, minutes: float) -> None:
    """Publish this member's decisions of the last minutes, with this one, which may be in the log already.

    OSError, StoreError or ValueError if that fails. Does nothing where this member has no folder in the pool. Of many
    processes at once, the last to write has read what all others had appended to the log.
    """
    target = folder.make_own(paths, env)
    if target is None:
        return
    decision = decision._replace(at=parse_rfc3339(rfc3339(decision.at)))  # as it stands in the log
    for _ in range(_ATTEMPTS):
        before = _state(paths.decisions)
        recent = own_decisions(paths.decisions, time.time())
        # Where the log cannot be written, others still learn of this decision.
        recent += [decision] if decision not in recent else []
        _write(target, recent, minutes)
        if _state(paths.decisions) == before:
            return


def own_decisions(log: Path, now: float) -> list[Announced]:
    """The decisions of the last minutes in the log of decisions, those for a session; none if it cannot be read."""
    recent: deque[Announced] = deque()
    with contextlib.suppress(OSError), open_file(log, follow_links=False) as file:
        end = os.fstat(file.fileno()).st_size
        for _, _, lines in blocks_before(file, max(0, end - _TAIL), end):
            entries = [entry for line in lines if (entry := parse(line)) is not None]
            recent.extendleft(reversed([*_recent(filter(_is_for_session, entries), now)]))
            if len(recent) >= _MOST or (entries and _is_older(entries[0], now)):
                break
    return list(recent)[-_MOST:]


def decisions_of(member: Member, now: float) -> list[Announced]:
    """What a member announced; none if its file is missing, or not believed."""
    try:
        content = folder.read(member, "decisions")
    except (OSError, ValueError):
        return []
    entries = content.get("decisions") if content.get("version") == VERSION else None
    return [*_recent(entries[-_MOST:], now)] if isinstance(entries, list) else []


def published_at(member: Member) -> float:
    """When the member published last, by the clock of the file system (epoch seconds); 0 if never."""
    newest = 0.0
    for name in ("evidence", "decisions"):
        with contextlib.suppress(OSError):
            newest = max(newest, (member.folder / f"{name}.json").lstat().st_mtime)
    return newest


def _write(target: Path, decisions: list[Announced], minutes: float) -> None:
    """Replace the file, with as many of the newest decisions as it has room for."""
    entries = [
        {"ts": rfc3339(at), "provider": provider, "model": model, "minutes": minutes}
        for at, provider, model in decisions
    ]
    while len(encode(value := {"version": VERSION, "decisions": entries})) >= FILES["decisions"]:
        entries = entries[len(entries) // 4 + 1 :]
    folder.write(target, "decisions", value)


def _recent(entries: Iterable[Any], now: float) -> Iterator[Announced]:
    """Those of the last minutes that are well-formed."""
    for entry in entries:
        at = _instant(entry)
        if at is None or not now - RECENT_S <= at <= now + AHEAD_S:
            continue
        provider, model = entry.get("provider"), entry.get("model")
        if _is_name(provider) and _is_name(model):
            yield Announced(at, provider, model)


def _is_for_session(entry: Mapping[str, Any]) -> bool:
    return entry.get("source") == _SESSION


def _is_older(entry: Mapping[str, Any], now: float) -> bool:
    at = _instant(entry)
    return at is not None and at < now - RECENT_S


def _instant(entry: Any) -> float | None:  # noqa: ANN401 - others wrote it
    ts = entry.get("ts") if isinstance(entry, dict) else None
    try:
        return parse_rfc3339(ts) if isinstance(ts, str) else None
    except ValueError:
        return None


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name_problem(name) is None


def _state(log: Path) -> tuple[int, int]:
    """What changes when a line is appended to the log, or the log is rotated."""
    try:
        status = log.lstat()
    except OSError:
        return 0, 0
    return status.st_ino, status.st_size
