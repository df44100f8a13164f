"""Plan, then act: what is there is compared with what should be, and only the differences become steps.

So a second run has nothing to do, the next run finishes an interrupted one, and a dry run is the plan alone.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tokmon.errors import InstallError


@dataclass(frozen=True, slots=True)
class Step:
    """One change: `what` it is, as an instruction, and how to make it; `path` is what it writes, if it does."""

    what: str
    apply: Callable[[], None]
    path: Path | None = None


def carry_out(steps: Iterable[Step], *, dry_run: bool) -> int:
    """Take the steps in order, or only print them; how many there were. Each is printed as it begins."""
    count = 0
    for step in steps:
        say(f"would {step.what}" if dry_run else step.what)
        if not dry_run:
            try:
                step.apply()
            except OSError as error:
                raise InstallError(f"cannot {step.what}: {error}", hint="mend that, then run this again") from error
        count += 1
    return count


def say(line: str) -> None:
    """Print a line at once: whoever reads along sees what is being done now."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def warn(line: str, hint: str | None = None) -> None:
    """Say on stderr what does not stop the installer."""
    sys.stderr.write(f"warning: {line}\n")
    if hint:
        sys.stderr.write(f"hint: {hint}\n")
    sys.stderr.flush()
