"""The hook's rule for a fresh decision file, in Python: what the file's inputs must be for a wake to believe it."""

import os
from collections.abc import Mapping
from pathlib import Path

from tokmon import paths
from tokmon.decision import decision_file
from tokmon.decision.decision_file import DecisionFile


def published(env: Mapping[str, str] | None = None) -> DecisionFile:
    """The decision file of this home."""
    content = decision_file.read(place(env))
    assert content is not None
    return content


def place(env: Mapping[str, str] | None = None) -> Path:
    return decision_file.path_of(paths.find(), os.environ if env is None else env)


def fresh(env: Mapping[str, str] | None = None) -> bool:
    """Whether a wake takes it."""
    content, now = published(env), decision_file.clock()
    written, logs = place(env).stat().st_mtime_ns, paths.find().logs
    return (
        content.clock.boot == now.boot
        and content.clock.uptime <= now.uptime < content.expires
        and content.places == decision_file.places_of(paths.find())
        and all((logs / path).exists() and (logs / path).stat().st_mtime_ns < written for path in content.inputs)
    )


def age_inputs() -> None:
    """Make everything in this home some seconds old, as if it had been written before the next decision."""
    home = paths.find().home
    for folder, folders, files in os.walk(home):
        for name in (*folders, *files):
            path = Path(folder) / name
            if not path.is_symlink():
                then = path.stat().st_mtime_ns - 5_000_000_000
                os.utime(path, ns=(then, then))
