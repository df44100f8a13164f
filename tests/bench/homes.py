"""Homes in which a wake is measured: a member's with a log of so many lines, and one with accounts of claude-swap."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.events import SEATS
from tokmon.wire.instants import rfc3339

_MONTH_S: Final = 30 * 86400.0
_MOVES_EVERY: Final = 250
_LINE: Final = (
    '{"kind":"capture","id":"event-%08d","ts":"%s","request_id":"req_%020d","provider":"%s","model":"claude-sonnet-4-6"'
    ',"member":"vigilio","host":"build-1","source":"piggyback","http_status":200,"status":"allowed","windows":[{"name":'
    '"5h","utilization":0.%02d,"resets_at":"%s"},{"name":"7d","utilization":0.%02d,"resets_at":"%s"}]}\n'
)
_CONFIGURATION: Final = f"""
[select]
chain = {json.dumps(SEATS)}
fallback = ["xai-vigilio"]
emergency = "shelley-proxy"
"""


@dataclass(frozen=True, slots=True)
class Home:
    """A member's home with a log of so many lines."""

    folder: Path
    lines: int

    @classmethod
    def make(cls, folder: Path, lines: int) -> "Home":
        """Write the last so many lines of a month in which five seats were used; catch up with them once."""
        home = cls(folder, lines)
        for path in (home._logs, folder / ".config" / "tokmon"):
            path.mkdir(mode=0o700, parents=True)
        (folder / ".config" / "tokmon" / "config.toml").write_text(_CONFIGURATION, encoding="ascii")
        with (home._logs / "piggyback.jsonl").open("w", encoding="ascii") as log:
            log.writelines(_turns(lines))
        program = f"#!{sys.executable} -I\nimport sys\nfrom tokmon.cli import main\nsys.exit(main())\n"
        home.program.write_text(program, encoding="ascii")
        home.program.chmod(0o755)
        for _ in range(2):
            subprocess.run([home.program, "select"], env=home.env, stdout=subprocess.DEVNULL, check=True)
        return home

    @property
    def program(self) -> Path:
        """A program like the installed `tokmon`."""
        return self.folder / "tokmon"

    @property
    def _logs(self) -> Path:
        return self.folder / ".logs" / "token-monitor"

    @property
    def env(self) -> dict[str, str]:
        """The variables of a wake."""
        packages = os.environ.get("PYTHONPATH")
        return {
            "HOME": str(self.folder),
            "PATH": "/usr/bin:/bin",
            "TOKMON_BIN": str(self.program),
            **({"PYTHONPATH": packages} if packages else {}),
        }

    def turn(self) -> None:
        """Append one more response, as another tool does."""
        with (self._logs / "piggyback.jsonl").open("a", encoding="ascii") as log:
            log.writelines(_turns(1))

    def refresh(self) -> None:
        """Append one more response and decide on it, as a process that logs evidence does."""
        self.turn()
        code = "import os; from tokmon import paths; from tokmon.decision.decide import refresh_quietly as decide; "
        subprocess.run(
            [sys.executable, "-c", f"{code}decide(paths.find(), os.environ, 'monitor')"], env=self.env, check=True
        )

    def decisions(self) -> int:
        """How many decisions were recorded."""
        return len((self._logs / "decisions.jsonl").read_bytes().splitlines())


def _turns(count: int) -> Iterator[str]:
    now = time.time()
    ends = rfc3339(now + 4 * 3600), rfc3339(now + 3 * 86400)
    for number in range(count):
        left = count - number - 1
        used = 20 + number // _MOVES_EVERY % 40
        at = rfc3339(round(now - 1 - left * _MONTH_S / 1e6, 3))
        yield _LINE % (
            time.time_ns() // 1000 % 10**8,
            at,
            number,
            SEATS[number % len(SEATS)],
            used,
            ends[0],
            used,
            ends[1],
        )


def swapping(program: Path, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Three accounts of claude-swap whose use it knows, so that it needs no network: how to ask, and where."""
    folder.mkdir()
    env = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
    accounts = []
    for slot, (five, week) in enumerate(((95, 97), (10, 60), (5, 30)), 1):
        mail = f"s{slot}@example.test"
        words = [str(program), "add-token", "-", "--email", mail, "--slot", str(slot)]
        subprocess.run(words, env=env, input=b"sk-ant-" + b"oat01-%d" % slot, capture_output=True, check=True)
        windows = {"fiveHour": five, "sevenDay": week}
        usage = {name: {"pct": pct, "resetsAt": rfc3339(time.time() + 86400)} for name, pct in windows.items()}
        accounts.append({"number": slot, "email": mail, "organizationUuid": "", "usageStatus": "ok", "usage": usage})
        accounts[-1]["usageAgeSeconds"] = 1
    (folder / "usage.json").write_text(json.dumps({"schemaVersion": 1, "accounts": accounts}), encoding="ascii")
    adopt = [str(program), "import-usage", str(folder / "usage.json"), "--hold", "3600"]
    subprocess.run(adopt, env=env, capture_output=True, check=True)
    return [str(program), "switch", "--strategy", "best", "--json"], env
