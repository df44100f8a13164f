"""Plan, then act: what exists is compared with what should exist, and only the differences become steps.

So a second run has nothing to do, the next run finishes an interrupted one, and a dry run is the plan alone.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokmon.errors import InstallError, TokmonError

STEPS_TAKEN: Final = "steps taken:"
"""How a member's part ends what it prints for root: with their number."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change: `what` it is, as an instruction, and how to make it; `path` is what it writes, if it does."""

    what: str
    apply: Callable[[], object]
    path: Path | None = None


def execute(steps: Iterable[Step], *, dry_run: bool) -> int:
    """Take the steps in order, or only print them; return their number. Each is printed as it begins."""
    count = 0
    for step in steps:
        say(f"would {step.what}" if dry_run else step.what)
        if not dry_run:
            try:
                step.apply()
            except OSError as error:
                raise InstallError(f"cannot {step.what}: {error}", hint="fix that, then run this again") from error
        count += 1
    return count


def say(line: str) -> None:
    """Print a line at once, so that a reader sees what is being done now."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def say_total(count: int, *, dry_run: bool, nothing: str) -> None:
    """Print how many steps a dry run planned, or `nothing` where there was nothing to do."""
    if dry_run:
        say(f"{count} steps would be taken; nothing was changed" if count else "nothing would be changed")
    elif not count:
        say(nothing)


def report(error: TokmonError, member: str) -> None:
    """Print on stderr why a member's part failed."""
    sys.stderr.write(f"error: {member}: {error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
    sys.stderr.flush()


def warn(line: str, hint: str) -> None:
    """Print on stderr what does not stop the installer."""
    sys.stderr.write(f"warning: {line}\nhint: {hint}\n")
    sys.stderr.flush()
