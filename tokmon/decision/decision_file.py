"""The decision as one line that the hook of a wake reads with builtins alone, and the last good one.

    tokmon-decision 1 BOOT_ID ISSUED EXPIRES PROVIDER MODEL end

ISSUED and EXPIRES are whole seconds since the boot: a clock on the wall is set, and jumps. Where there is no such clock
there is no file, and the hook asks `tokmon select`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tokmon import kept, store
from tokmon.paths import Paths
from tokmon.selection.choose import Decision
from tokmon.selection.decision_json import decision_json
from tokmon.wire.instants import rfc3339

_LONGEST_S: Final = 60
_NO_BOOT: Final = "-"
_WORDS: Final = 8
_LARGEST: Final = 1 << 16


def place(found: Paths, env: Mapping[str, str]) -> Path:
    """Where the hook looks: in the runtime folder if there is one, else in the state folder."""
    if env.get("TOKMON_DECISION"):
        return Path(env["TOKMON_DECISION"])
    runtime = env.get("XDG_RUNTIME_DIR", "")
    folder = Path(runtime if runtime.startswith("/") else f"/run/user/{os.getuid()}")
    return (folder / "tokmon" if folder.is_dir() else found.state) / "decision"


def last_place(found: Paths) -> Path:
    """The last good decision in the same form: for the hook when nothing else answers, of whatever age."""
    return found.state / "decision.last"


def write(found: Paths, env: Mapping[str, str], decision: Decision) -> None:
    """Put the decision where the hook reads it, if it holds for a second at least. OSError or StoreError if it cannot.

    Not one that somebody has pinned: that is for one call.
    """
    if decision.pinned:
        return
    boot, hundredths = kept.clock() or (_NO_BOOT, 0)
    uptime = hundredths // 100
    # The second that has begun is not whole any more.
    seconds = max(0, min(_LONGEST_S, int(decision.valid_until - decision.decided_at) - 1))
    line = f"tokmon-decision 1 {boot} {uptime} {uptime + seconds} {decision.provider} {decision.model} end\n".encode()
    store.replace(last_place(found), line)
    if seconds >= 1 and boot != _NO_BOOT:
        store.replace(place(found, env), line)


def record(found: Paths, decision: Decision, source: str, *, blocking: bool = True) -> bool:
    """A line of `decisions.jsonl`, by whom it was taken; StoreError or OSError if it cannot be written.

    False if another process holds the log and `blocking` is off.
    """
    line = {"ts": rfc3339(decision.decided_at), "source": source, **decision_json(decision)}
    return store.append_to(found.logs / "decisions.jsonl", [store.encode(line) + b"\n"], blocking=blocking)


def last(found: Paths) -> str | None:
    """The account of the last decision, which the next session stays on if it can."""
    try:
        words = kept.own(str(last_place(found)), _LARGEST).split()
    except (OSError, ValueError):
        return None
    whole = len(words) == _WORDS and words[0] == "tokmon-decision" and words[-1] == "end"
    return words[5] if whole else None
