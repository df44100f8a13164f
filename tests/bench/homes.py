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
from tokmon import kept
from tokmon.installer import launcher
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
    """A member's home, and how often tokmon was asked there."""

    folder: Path
    lines: int

    @classmethod
    def make(cls, folder: Path, lines: int) -> "Home":
        """Write the last so many lines of a month in which five seats were used; catch up with them once."""
        home = cls(folder, lines)
        for path in (home._logs, home._runtime, folder / ".config" / "tokmon"):
            path.mkdir(mode=0o700, parents=True)
        (folder / ".config" / "tokmon" / "config.toml").write_text(_CONFIGURATION, encoding="ascii")
        with (home._logs / "piggyback.jsonl").open("w", encoding="ascii") as log:
            log.writelines(_turns(lines))
        text = launcher.text(Path(sys.executable), [Path(kept.__file__).parents[1]])
        if text is None:
            raise RuntimeError(f"`{sys.executable}` is no name for the first line of a script")
        home.program.write_text(text, encoding="ascii")
        home.program.chmod(0o755)
        for _ in range(2):
            subprocess.run([home.program, "select"], env=home.env, stdout=subprocess.DEVNULL, check=True)
        return home

    @property
    def program(self) -> Path:
        """What the installer writes for `tokmon`."""
        return self.folder / "tokmon"

    @property
    def _logs(self) -> Path:
        return self.folder / ".logs" / "token-monitor"

    @property
    def _runtime(self) -> Path:
        return self.folder / "run" / "tokmon"

    @property
    def env(self) -> dict[str, str]:
        """The variables of a wake."""
        packages = os.environ.get("PYTHONPATH")
        return {
            "HOME": str(self.folder),
            "PATH": "/usr/bin:/bin",
            "XDG_RUNTIME_DIR": str(self._runtime.parent),
            "TOKMON_BIN": str(self.program),
            **({"PYTHONPATH": packages} if packages else {}),
        }

    def expire(self) -> None:
        """Take the hook's decision away, as its time does."""
        (self._runtime / "decision").unlink(missing_ok=True)

    def turn(self) -> None:
        """Let one more response be heard of."""
        self.expire()
        with (self._logs / "piggyback.jsonl").open("a", encoding="ascii") as log:
            log.writelines(_turns(1))

    def ask(self) -> None:
        """Let `tokmon monitor` or `check` have heard of one more response: who logs evidence decides."""
        self.turn()
        keep = "from tokmon import foresight, paths; foresight.keep(paths.find(), 'monitor')"
        subprocess.run([sys.executable, "-c", keep], env=self.env, check=True)
        self.expire()

    def told(self) -> tuple[int, int]:
        """How many decisions were told again, and how many were made."""
        lines = (self._logs / "decisions.jsonl").read_bytes().splitlines()
        made = sum(b'"alternatives"' in line for line in lines)
        return len(lines) - made, made


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
