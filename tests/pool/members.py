"""Members of one pool, each with a home of its own, as processes of `tokmon` see them."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.commands.logbook import Record
from tests.patience import PATIENCE_S
from tokmon import paths
from tokmon.decision import decision_file
from tokmon.paths import Paths

KEY = b"k" * 32


@dataclass(frozen=True)
class Member:
    """One member: its environment, and where its files lie."""

    name: str
    env: Mapping[str, str]

    @property
    def paths(self) -> Paths:
        return paths.find(self.env)

    @property
    def published(self) -> Path:
        return self.paths.pool / self.name

    def log(self, *lines: Record, name: str = "piggyback.jsonl") -> None:
        """Append lines to a log, as another process would."""
        self.paths.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.paths.logs / name).open("a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(line)}\n" for line in lines)

    def configure(self, accounts: Mapping[str, str], config: str = "") -> None:
        """Give pi these accounts, with their keys, and tokmon this configuration."""
        providers = {
            name: {"baseUrl": "https://api.anthropic.com", "api": "anthropic-messages", "apiKey": key, "models": []}
            for name, key in accounts.items()
        }
        self.paths.models.parent.mkdir(parents=True, exist_ok=True)
        self.paths.models.write_text(json.dumps({"providers": providers}), encoding="utf-8")
        self.paths.config.parent.mkdir(parents=True, exist_ok=True)
        self.paths.config.write_text(config or f"[select]\nchain = {json.dumps([*accounts])}\n", encoding="utf-8")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tokmon", *words],
            env=dict(self.env),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def select(self, *words: str) -> str:
        """The account that it would take now."""
        done = self.run("select", *words)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout.split()[0]

    def decided(self) -> str | None:
        """The account in its decision file."""
        return decision_file.last_account(decision_file.path_of(self.paths, self.env))

    def known(self) -> dict[str, Any]:
        """What it published."""
        known: dict[str, Any] = json.loads((self.published / "evidence.json").read_text(encoding="utf-8"))
        return known


def member(folder: Path, name: str, key: bytes | None = KEY) -> Member:
    """A member with a home in that folder; all of one folder share a pool."""
    home = folder / name
    env = {
        **os.environ,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "TOKMON_MEMBER": name,
        "TOKMON_POOL_DIR": str(folder / "pool"),
        "TOKMON_SOCKET": str(home / "sock"),
        "PYTHONPATH": str(Path(paths.__file__).parents[1]),
    }
    one = Member(name, env)
    one.paths.state.mkdir(parents=True, mode=0o700)
    if key is not None:
        (one.paths.state / "identity.key").write_bytes(key)
        (one.paths.state / "identity.key").chmod(0o600)
    return one
