"""The results of pi checks in a file, as `check_file` of the configuration names it: read, and merged into.

    {"checked_at": …, "results": {"team-vigilio": {"status": "ok", "ms": 2700}, …}}

Other tools write it too, and read it, perhaps those of another user: what is read is distrusted, and counts for as long
as a pi check does. It is no log: what it says stands beside the snapshot, and never in `state.json`.

Whoever reads one `checked_at` for all must not take an old result for a new one. So in what is written here each result
says by itself when it was checked, and `checked_at` is the oldest of these.
"""

import errno
import math
from collections.abc import Container, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from tokmon.errors import StoreError, reason_of
from tokmon.evidence.early import counts_from, is_early
from tokmon.evidence.log_line import CHECK, Evidence, evidence_in_line
from tokmon.evidence.snapshot import Snapshot
from tokmon.evidence.values import instant
from tokmon.paths import Paths
from tokmon.selection.current import CHECK_S
from tokmon.selection.overrides import name_problem
from tokmon.store.atomic import update_shared
from tokmon.store.codec import encode, parse
from tokmon.store.fingerprint import Fingerprint, fingerprint
from tokmon.store.lock import ProcessLock
from tokmon.store.opener import read_file
from tokmon.store.state_file import read_error_text
from tokmon.wire.instants import rfc3339

LARGEST: Final = 1 << 20
"""Bytes of a file that is read."""

_LOCK_WAIT_S: Final = 5.0
_NOT_SUCH: Final = {errno.EFBIG: "has more than 1 MiB", errno.EINVAL: "is not a file"}
_ANOTHER: Final = "name another `check_file`, or move it away"
_SAYS: Final = ("status", "account_status", "scope", "substatus", "model", "error", "reason")
"""What of a result is evidence. No instant: a result counts from when it was checked, and for no longer than that."""


class CheckResult(NamedTuple):
    """One account's result in the file; `checked_at` is epoch seconds, `fields` what else the file has of it."""

    provider: str
    checked_at: float
    fields: Mapping[str, Any]


def merge_check_results(snapshot: Snapshot, path: Path | None, names: Container[str], now: float) -> Snapshot:
    """The snapshot with the results for these providers from the configured file, if one is configured and readable."""
    if path is None:
        return snapshot
    try:
        results = read(path)
    except StoreError:
        return snapshot  # the doctor says so
    known = (_evidence(result, now) for result in results if result.provider in names)
    evidence = [item for item in known if item is not None]
    return snapshot.merged_with(evidence) if evidence else snapshot


def valid_until(path: Path | None, now: float) -> float:
    """The next instant (epoch seconds) at which a result begins or ceases to count although the file is as it was."""
    try:
        results = () if path is None else read(path)
    except StoreError:
        results = ()
    turns = (turn for result in results for turn in (counts_from(result.checked_at), result.checked_at + CHECK_S))
    return min((turn for turn in turns if turn >= now), default=math.inf)


def read(path: Path) -> tuple[CheckResult, ...]:
    """What the file says; nothing where it is missing. StoreError if it is not such a file, or cannot be read."""
    return _read(path, fingerprint(path))


@lru_cache(2)
def _read(path: Path, _fingerprint: Fingerprint) -> tuple[CheckResult, ...]:
    """The same, once for each state of the file."""
    try:
        data = read_file(path, LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, ValueError) as error:
        raise _unread(path, error) from error
    if not data.strip():
        return ()
    content = parse(data)
    results = None if content is None else content.get("results")
    if content is None or not isinstance(results, dict):
        raise StoreError(f"`{path}` does not hold the results of pi checks", hint=_ANOTHER)
    for_all = _instant(content.get("checked_at"))
    entries = (
        (name, entry) for name, entry in results.items() if isinstance(entry, dict) and name_problem(name) is None
    )
    dated = ((name, _instant(entry.get("checked_at")) or for_all, entry) for name, entry in entries)
    return tuple(CheckResult(name, at, entry) for name, at, entry in dated if at is not None)


def _unread(path: Path, error: OSError | ValueError) -> StoreError:
    if isinstance(error, OSError) and error.errno in _NOT_SUCH:
        return StoreError(f"`{path}` {_NOT_SUCH[error.errno]}", hint=_ANOTHER)
    return StoreError(f"`{path}` cannot be read: {reason_of(error)}", hint="check its owner and permissions")


def _instant(value: object) -> float | None:
    """RFC 3339, or epoch seconds or milliseconds, as a text or a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return instant(str(value))
    except ValueError:  # an integer of thousands of digits has no text
        return None


def _evidence(result: CheckResult, now: float) -> Evidence | None:
    """What it says of the account, if it is of now: not of a clock that runs ahead, and not too old to count."""
    if not _counts(result, now):
        return None
    fields = {name: result.fields[name] for name in _SAYS if name in result.fields}
    when = {"ts": rfc3339(result.checked_at), "id": "check_file", "source": CHECK}
    return evidence_in_line({**fields, **when, "provider": result.provider}, read_error_text)


def _counts(result: CheckResult, now: float) -> bool:
    return not is_early(result.checked_at, now) and now - result.checked_at <= CHECK_S


def merge(paths: Paths, path: Path, results: Mapping[str, Mapping[str, Any]], now: float) -> None:
    """Put these results in the file, each with its `checked_at`, beside those of others that still count.

    StoreError where there is something else in that place, which is left as it is, or where it cannot be written.
    """
    with ProcessLock(paths.state / "check_file.lock") as lock:
        if not lock.acquire(_LOCK_WAIT_S):
            raise StoreError(f"others are writing `{path}`, and do not come to an end", hint="try again in a while")
        current = {
            result.provider: {**result.fields, "checked_at": rfc3339(result.checked_at)}
            for result in read(path)
            if _counts(result, now)
        }
        both = {**current, **results}
        oldest = min((result["checked_at"] for result in both.values()), key=_instant_of, default=rfc3339(now))
        content = {"checked_at": oldest, "results": {name: both[name] for name in sorted(both)}}
        try:
            update_shared(path, encode(content) + b"\n")
        except OSError as error:
            raise StoreError(
                f"cannot write `{path}`: {reason_of(error)}",
                hint="check the owner, the permissions and the space of that folder",
            ) from error


def _instant_of(text: str) -> float:
    return _instant(text) or 0.0
