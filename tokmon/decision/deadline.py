"""What is left of a wake's deadline, `TOKMON_DEADLINE_MS`, which the hook sets. It counts from this process's start."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

DEFAULT_MS: Final = 3000
_LONGEST_MS: Final = 60_000
_STARTING_S: Final = 0.3
"""How long this process is assumed to have run where the machine does not say."""


def seconds_left(env: Mapping[str, str]) -> float:
    """Seconds until the deadline, by the default where none is set; negative once it is over."""
    text = env.get("TOKMON_DEADLINE_MS", "").strip()
    deadline_ms = min(int(text[:9]), _LONGEST_MS) if text.isascii() and text.isdecimal() else DEFAULT_MS
    return deadline_ms / 1000 - _age_s()


def _age_s() -> float:
    """How long ago this process started: the interpreter alone takes a while where many start at once."""
    try:
        stat = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        started = int(stat.rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return _STARTING_S
    return age if age >= 0 else _STARTING_S
