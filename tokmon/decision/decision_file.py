"""The decision file, which the hook of a wake reads with the shell's own means (docs/decision-file.md).

    tokmon-decision/2 BOOT ISSUED EXPIRES PROVIDER MODEL end
    for CONFIG_DIR LOG_DIR AGENT_DIR
    equal PROVIDER MODEL
    input PATH
    account PROVIDER MODEL
    end

ISSUED and EXPIRES are whole seconds since the boot BOOT: wall clocks are set, and jump. The file's modification time
is an instant before the evidence was read, so that it is fresh while every input is older, as `make` sees it.
"""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokmon.paths import Paths
from tokmon.selection.overrides import name_problem
from tokmon.store.atomic import replace_private
from tokmon.store.opener import read_own_file

FORMAT: Final = "tokmon-decision/2"
LONGEST_S: Final = 3600
MAX_INPUTS: Final = 10
MAX_EQUAL: Final = 49
MAX_LINES: Final = 200
MAX_LINE: Final = 600
"""Bytes of a line: what the hook reads of it at most."""

_HEAD_WORDS: Final = 7
_OTHERS_MAY_WRITE: Final = 0o022
_NO_BOOT: Final = "-"

Pair = tuple[str, str]
"""Provider and model."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Whole seconds since a boot, and which boot that was."""

    boot: str
    uptime: int


@dataclass(frozen=True, slots=True)
class DecisionFile:
    """What the file says. `expires == issued` is a decision that is only a fallback: it never counts as fresh."""

    clock: Clock
    expires: int
    choice: Pair
    places: str
    accounts: tuple[Pair, ...] = ()
    equal: tuple[Pair, ...] = ()
    inputs: tuple[str, ...] = ()
    """Those that are not absolute lie in the folder of the logs."""

    @property
    def account(self) -> str | None:
        """The account that was decided for; None where nothing was decided yet between several."""
        is_first = len(self.accounts) > 1 and self.accounts[0] == self.choice
        return None if is_first and self.expires == self.clock.uptime else self.choice[0]


def path_of(paths: Paths, env: Mapping[str, str]) -> Path:
    """The file: `TOKMON_DECISION`, else in the state folder, one for each identity with a pi folder of its own."""
    if env.get("TOKMON_DECISION"):
        return Path(env["TOKMON_DECISION"])
    member = env.get("TOKMON_MEMBER", "") if env.get("PI_CODING_AGENT_DIR") else ""
    own = member and "/" not in member and name_problem(member) is None
    return paths.state / (f"decision-{member}" if own else "decision")


def places_of(paths: Paths) -> str:
    """The folders that a decision was made for, as they stand in its `for` line."""
    return f"{paths.config.parent} {paths.logs} {paths.agent}"


def clock() -> Clock:
    """The present; without /proc (macOS) a boot that no hook takes for its own."""
    try:
        uptime = Path("/proc/uptime").read_text(encoding="ascii").split(".", 1)[0]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return Clock(boot, int(uptime))
    except (OSError, ValueError):
        return Clock(_NO_BOOT, 0)


def write(path: Path, content: DecisionFile, mtime_ns: int) -> None:
    """Replace the file; OSError or StoreError if it cannot be written, ValueError if the hook could not read it."""
    replace_private(path, encode(content), mtime_ns=mtime_ns)


def encode(content: DecisionFile) -> bytes:
    """The file's bytes; ValueError where a line is too long, or is more than one."""
    head = (FORMAT, content.clock.boot, content.clock.uptime, content.expires, *content.choice, "end")
    lines = [" ".join(map(str, head)), f"for {content.places}"]
    lines += [f"equal {provider} {model}" for provider, model in content.equal]
    # Inputs first: a shell reads byte by byte, and a fresh decision is read no further than to its first account.
    lines += [f"input {path}" for path in content.inputs]
    lines += [f"account {provider} {model}" for provider, model in content.accounts]
    encoded = [os.fsencode(line) for line in (*lines[: MAX_LINES - 1], "end")]
    if any(len(line) >= MAX_LINE or b"\n" in line for line in encoded):
        raise ValueError("a path or a name is too long for the decision file")
    return b"\n".join(encoded) + b"\n"


def read(path: Path) -> DecisionFile | None:
    """The file, of whatever age; None where it is missing, damaged, or may be written by others."""
    try:
        return _decoded(os.fsdecode(read_own_file(path, MAX_LINES * MAX_LINE)).split("\n"))
    except (OSError, ValueError):
        return None


def _decoded(lines: list[str]) -> DecisionFile | None:
    head = lines[0].split(" ")
    if len(head) != _HEAD_WORDS or (head[0], head[-1]) != (FORMAT, "end") or lines[-2:] != ["end", ""]:
        return None
    by_word: dict[str, list[str]] = {"for": [], "equal": [], "account": [], "input": []}
    for line in lines[1:-2]:
        word, _, rest = line.partition(" ")
        by_word.setdefault(word, []).append(rest)
    return DecisionFile(
        Clock(head[1], int(head[2])),
        int(head[3]),
        (head[4], head[5]),
        "".join(by_word["for"]),
        accounts=tuple(_pairs(by_word["account"])),
        equal=tuple(_pairs(by_word["equal"])),
        inputs=tuple(by_word["input"]),
    )


def _pairs(lines: Iterable[str]) -> Iterable[Pair]:
    for line in lines:
        provider, _, model = line.partition(" ")
        yield provider, model


def leave_accounts(path: Path, paths: Paths, accounts: tuple[Pair, ...]) -> None:
    """Leave the accounts of a policy for the hook to fall back on; OSError, StoreError or ValueError if that fails.

    The last decision stays if its account is still one of them, and holds for no wake any more.
    """
    before, now = read(path), clock()
    stays = before is not None and before.choice in accounts
    choice = before.choice if before is not None and stays else accounts[0]
    content = DecisionFile(now, now.uptime, choice, places_of(paths), accounts=accounts)
    write(path, content, time.time_ns())


def last_account(path: Path) -> str | None:
    """The account of the last decision, on which the next session stays if that is safe."""
    content = read(path)
    return None if content is None else content.account
