"""Programs that are taken for pi: real ones, in shell, that do what a pi may do."""

import json
import os
import stat
from pathlib import Path
from typing import Any

from tokmon import paths

REFUSED = '401 {"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}'
SPENT = (
    '400 {"type":"error","error":{"type":"invalid_request_error","message":'
    '"Your credit balance is too low to access the Anthropic API."}}'
)
POLICY = (
    '400 {"type":"error","error":{"type":"invalid_request_error","message":"Third-party apps now draw from your '
    'extra usage, not your plan limits. Add more at claude.ai/settings/usage and keep going."}}'
)


def pi(folder: Path, script: str, name: str = "pi") -> Path:
    """A program of that name; `$1` and so on are its words, and `$account` the account that it is asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    account = 'account=; for word; do [ "$before" = --model ] && account=${word%%/*}; before=$word; done\n'
    path.write_text(f"#!/bin/sh\n{account}{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def fails(text: str, code: int = 1) -> str:
    """The script that says so on stderr, and ends."""
    return f"cat >&2 <<'END'\n{text}\nEND\nexit {code}"


def lines() -> list[dict[str, Any]]:
    """The log of checks."""
    path = paths.find().check
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def mode(path: Path) -> int:
    """Its permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def lives(pid: int) -> bool:
    """Whether a process of that number does anything yet: what has ended and is not waited for does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
