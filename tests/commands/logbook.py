"""Writes logs and models.json as their real writers do, and runs `tokmon` as a process."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE_S
from tokmon import paths
from tokmon.evidence.snapshot import Snapshot, fold
from tokmon.report.view import View, view
from tokmon.selection.policy import Policy
from tokmon.wire.instants import rfc3339

NOW = 1_795_330_800.0
"""2026-11-22T07:00:00Z, a Sunday."""

HOUR = 3600.0
DAY = 24 * HOUR

Record = dict[str, Any]


def window(name: str, used: float | None, resets_in: float | None = None, **fields: object) -> Record:
    """A window of a line, with its reset counted from NOW."""
    return {
        "name": name,
        "utilization": used,
        "resets_at": None if resets_in is None else rfc3339(NOW + resets_in),
        **fields,
    }


def line(provider: str, status: str = "allowed", *windows: Record, age: float = 60.0, **fields: object) -> Record:
    """A line of piggyback.jsonl, `age` seconds old at NOW."""
    return {
        "ts": rfc3339(NOW - age),
        "id": f"{provider}-{age:g}",
        "source": "piggyback",
        "provider": provider,
        "http_status": 200,
        "status": status,
        "windows": list(windows),
        **fields,
    }


def snapshot(*lines: Record) -> Snapshot:
    """The lines, folded."""
    return fold(Snapshot(), lines)


def shown(*lines: Record, at: float = NOW, types: Mapping[str, str | None] | None = None) -> View:
    """The lines as the screens show them, with no chain configured; `types` are the accounts of models.json."""
    return view(snapshot(*lines), types or {}, Policy(), Policy(), at)


def write(name: str, *lines: Record | bytes) -> Path:
    """Append to a log of this home; bytes as they are."""
    path = paths.find().logs / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path, "ab", opener=lambda file, flags: os.open(file, flags, 0o600)) as file:
        file.writelines(
            record if isinstance(record, bytes) else json.dumps(record).encode() + b"\n" for record in lines
        )
    return path


def configure(**providers: Mapping[str, Any]) -> Path:
    """Write models.json with these providers (`_` in a name stands for `-`)."""
    path = paths.find().models
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    named = {name.replace("_", "-"): entry for name, entry in providers.items()}
    path.write_text(json.dumps({"providers": named}), encoding="utf-8")
    return path


def tokmon(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, its output not a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "tokmon", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1", **env},
        timeout=PATIENCE_S,
        check=False,
    )
