"""Runs a real pi in a home of its own: `pi -p`, `pi --mode json`, and `pi --mode rpc`.

home = Home.make(pi("1.5.2"), tmp_path, provider, [Seat("team-a")], extensions=[path])
run = home.run("say hello")
with home.rpc() as rpc:
    events = rpc.prompt("say hello")
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from tests.pi.install import Pi, cache
from tests.pi.provider import Provider
from tests.pi.rpc import Rpc
from tests.pi.seats import Seat, models_json

QUICK_RETRIES: Final = {
    "enabled": True,
    "maxRetries": 3,
    "baseDelayMs": 1,
}
NO_RETRIES: Final = {"enabled": False}

SETTINGS: Final[dict[str, Any]] = {
    "retry": NO_RETRIES,
    "transport": "sse",
    "quietStartup": True,
    "compaction": {"enabled": False},
    "defaultProjectTrust": "never",
}
"""One request a prompt (where the version lets us), Codex over HTTP, and no compaction unless it is asked for."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished pi."""

    exit_code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of `--mode json`."""
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]


@dataclass(slots=True)
class Home:
    """An isolated home with pi's settings, seats and extensions in it."""

    pi: Pi
    root: Path
    seats: list[Seat]
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(
        cls,
        pi: Pi,
        root: Path,
        provider: Provider,
        seats: Sequence[Seat],
        *,
        extensions: Iterable[Path] = (),
        settings: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Self:
        """Write the home. `settings` replaces keys of SETTINGS; `env` is added to pi's environment."""
        made = cls(pi, root, list(seats))
        for folder in (made.agent / "extensions", made.work, root / "run", root / "tmp"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Half of what a start of pi costs is the compilation of extensions that it does not find there.
        compiled = cache() / "compiled-extensions"
        compiled.mkdir(parents=True, exist_ok=True)
        if not (root / "tmp" / "jiti").is_symlink():
            (root / "tmp" / "jiti").symlink_to(compiled)
        made.write("models.json", models_json(seats, provider))
        made.write("settings.json", {**SETTINGS, **(settings or {})})
        for extension in extensions:
            made.add_extension(extension)
        made.env = {**made._environment(), **{seat.variable: seat.key for seat in seats}, **(env or {})}
        return made

    @property
    def agent(self) -> Path:
        """Pi's agent folder."""
        return self.root / ".pi" / "agent"

    @property
    def work(self) -> Path:
        """Pi's working folder."""
        return self.root / "work"

    @property
    def sessions(self) -> list[Path]:
        """The session files written so far, oldest first."""
        return sorted((self.agent / "sessions").rglob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file in the agent folder."""
        (self.agent / name).write_text(json.dumps(content, indent=1))

    def add_extension(self, source: Path) -> Path:
        """Put an extension where pi loads it from: a file is copied, a folder linked, as an install does."""
        target = self.agent / "extensions" / source.name
        if source.is_dir():
            target.symlink_to(source)
            return target
        return Path(shutil.copy(source, target))

    def command(self, seat: Seat | None, *arguments: str) -> list[str]:
        """Build the argv of pi with the given seat, else the first."""
        return [*self.pi.command, "--model", (seat or self.seats[0]).spec, *arguments]

    def run(
        self,
        prompt: str = "hello",
        seat: Seat | None = None,
        *arguments: str,
        mode: str = "text",
        env: Mapping[str, str] | None = None,
        timeout: float = 100.0,
    ) -> Run:
        """Run one prompt to its end, as text (`-p`) or as `--mode json`."""
        how = ["-p"] if mode == "text" else ["-p", "--mode", mode]
        started = time.monotonic()
        done = subprocess.run(
            self.command(seat, *arguments, *how, prompt),
            cwd=self.work,
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    def start(
        self, prompt: str = "hello", seat: Seat | None = None, *arguments: str, mode: str = "text"
    ) -> subprocess.Popen[str]:
        """Start one prompt and leave it running, for tests that send signals. Wait for it, or kill it."""
        how = ["-p"] if mode == "text" else ["-p", "--mode", mode]
        return subprocess.Popen(
            self.command(seat, *arguments, *how, prompt),
            cwd=self.work,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rpc(self, seat: Seat | None = None, *arguments: str, env: Mapping[str, str] | None = None) -> Rpc:
        """Start `pi --mode rpc`, to be used with `with`."""
        command = self.command(seat, *arguments, "--mode", "rpc")
        return Rpc(command, self.work, {**self.env, **(env or {})}, says_settled=self.pi.at_least_087)

    def _environment(self) -> dict[str, str]:
        """Give pi a small environment: nothing of the real user's but PATH and the language."""
        names = ("PATH", "LANG", "LC_ALL", "TZ", "NODE_COMPILE_CACHE")
        inherited = {name: os.environ[name] for name in names if name in os.environ}
        xdg = {
            "XDG_CONFIG_HOME": self.root / ".config",
            "XDG_STATE_HOME": self.root / ".local" / "state",
            "XDG_CACHE_HOME": self.root / ".cache",
            "XDG_DATA_HOME": self.root / ".local" / "share",
            "XDG_RUNTIME_DIR": self.root / "run",
            "TMPDIR": self.root / "tmp",
        }
        return {
            **inherited,
            "HOME": str(self.root),
            "PI_CODING_AGENT_DIR": str(self.agent),
            "PI_OFFLINE": "1",
            "PI_TELEMETRY": "0",
            "NO_COLOR": "1",
            **{name: str(path) for name, path in xdg.items()},
        }
