"""Many wakes at once, none of which has a fresh decision: how many ask, and how late the slowest is.

    python -m tests.bench.many_wakes [--wakes N] [--select SECONDS] [--shell NAME] [--rounds N]

`tokmon select` is a program that uses so many seconds of a processor and leaves a decision file.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from tests.hooks.wake import HOOK, LAST, Wake, boot
from tests.install.capabilities import SHELLS

_SELECT: Final = """#!{python} -IS
import os, time
os.write(os.open({calls!r}, os.O_CREAT | os.O_APPEND | os.O_WRONLY), b"x")
while time.process_time() < {seconds}:
    pass
now = int(open("/proc/uptime").read().split(".")[0])
with open({decision!r} + ".new", "w") as file:
    file.write("tokmon-decision/2 {boot} %d %d from-select itself end\\n" % (now, now + 3000) + {rest!r})
os.rename({decision!r} + ".new", {decision!r})
print("from-select itself")
"""


def main() -> int:
    """Print a line for each round."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.many_wakes")
    parser.add_argument("--wakes", type=int, default=300)
    parser.add_argument("--select", type=float, default=0.3, help="seconds of a processor")
    parser.add_argument("--shell", choices=SHELLS, default="dash")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    program, *words = SHELLS[options.shell]
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            wake = Wake(Path(folder), (shutil.which(program) or program, *words))
            del wake.environment["TOKMON_DEADLINE_MS"]
            print(_round(wake, options.wakes, options.select))
    return 0


def _round(wake: Wake, count: int, seconds: float) -> str:
    calls = wake.folder / "calls"
    rest = wake.text().split("\n", 1)[1]
    select = wake.tokmon()
    select.write_text(
        _SELECT.format(
            python=sys.executable,
            calls=str(calls),
            seconds=seconds,
            decision=str(wake.decision),
            boot=boot(),
            rest=rest,
        ),
        encoding="utf-8",
    )
    wake.decide(pair=LAST, boot_id="another-boot")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started: dict[int, float] = {}
    taken: list[float] = []
    output = wake.folder / "output"
    with output.open("ab") as file:
        for _ in range(count):
            process = subprocess.Popen(
                [*wake.shell, HOOK], env=wake.environment, stdout=file, stderr=subprocess.DEVNULL
            )
            process.returncode = 0  # waited for below
            started[process.pid] = time.monotonic()
        while len(taken) < count:
            pid, status = os.wait()
            if status != 0:
                raise RuntimeError(f"a wake ended with {os.waitstatus_to_exitcode(status)}")
            taken.append(time.monotonic() - started[pid])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    lines = Counter(output.read_text(encoding="ascii").splitlines())
    return (
        f"{count} wakes: {dict(lines)}, asked {len(calls.read_text(encoding='ascii'))}, "
        f"median {statistics.median(taken):.2f} s, slowest {max(taken):.2f} s, {used:.2f} s of processors"
    )


if __name__ == "__main__":
    sys.exit(main())
