"""Runs the extension under Node with a fake pi (`driver.mjs`): a list of steps in, a list of results out."""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.patience import PATIENCE_S
from tests.pi.install import node
from tokmon import paths

DRIVER: Final = Path(__file__).parent / "driver.mjs"
EXTENSION: Final = paths.shipped_folder("extensions") / "tokmon"
OLDER: Final = Path(__file__).parents[1] / "fixtures" / "tokmon-0.1.0.ts"
"""The single file that tokmon 0.1.0 installed, as it was rendered for pi 0.81.1 and later."""

Step = dict[str, Any]

LOAD: Final[Step] = {"do": "load"}
START: Final[Step] = {"do": "emit", "event": "session_start", "data": {"reason": "startup"}}
DRAIN: Final[Step] = {"do": "drain"}
QUIT: Final[Step] = {"do": "emit", "event": "session_shutdown", "data": {"reason": "quit"}}


def emit(event: str, times: int = 1, **data: Any) -> Step:
    """An event of pi's; `$TIME` in its data is replaced by the repetition's number."""
    return {"do": "emit", "event": event, "data": data, "times": times}


def fetch(url: str, kind: str = "string", **init: Any) -> Step:
    """A request outside any wrapper; `kind` is what the address is passed as."""
    return {"do": "fetch", "url": url, "as": kind, "init": init}


def ask(provider: str, *urls: str, **more: Any) -> Step:
    """Let a provider send requests, through whatever wraps it."""
    init = {"method": "POST", "headers": more.pop("headers", {})}
    return {"do": "ask", "provider": provider, "requests": [{"url": url, "init": init} for url in urls], **more}


def answer_ended(**message: Any) -> Step:
    """The end of an assistant message that used 18 tokens."""
    usage = {"input": 11, "output": 7, "cacheRead": 0, "cacheWrite": 0, "totalTokens": 18, "cost": {"total": 0.001}}
    made = {"role": "assistant", "provider": "team-a", "model": "m1", "api": "anthropic-messages", "usage": usage}
    return emit("message_end", message={**made, "stopReason": "stop", **message})


@dataclass(frozen=True, slots=True)
class Done:
    """What a driver run gave: one result a step, and how long the process took."""

    results: list[dict[str, Any]]
    seconds: float
    stderr: str
    exit_code: int


def drive(
    *steps: Step,
    env: Mapping[str, str] | None = None,
    **scenario: Any,
) -> Done:
    """Run the steps in one Node process with the extension."""
    began = time.monotonic()
    done = subprocess.run(
        [str(node()), "--no-warnings", str(DRIVER)],
        input=json.dumps({"extension": str(EXTENSION), "steps": steps, **scenario}),
        env={**os.environ, "TOKMON_NO_SPAWN": "1", **(env or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    seconds = time.monotonic() - began
    results = json.loads(done.stdout) if done.stdout else []
    return Done(results, seconds, done.stderr, done.returncode)
