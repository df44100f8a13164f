"""The extension in its place, where pi loads it: whether it is ours, and written anew where pi has become another.

What was found is remembered in `pi.json` in the state folder, a cache: while neither pi, nor the extension, nor tokmon
is another than then, nobody need look again.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tokmon import __version__, store
from tokmon.errors import RenderError, StoreError
from tokmon.paths import Paths
from tokmon.pi import installed

OURS: Final = "Made by `tokmon extension`"
"""Stands in the head of every extension that is ours."""

_HEAD: Final = 2000
_LARGEST: Final = 1 << 20


class Renewed(NamedTuple):
    """The extension was written anew for that version of pi."""

    path: Path
    version: str


def memory(paths: Paths) -> Path:
    """Where it is remembered."""
    return paths.state / "pi.json"


def ours(path: Path) -> str | None:
    """The text of an extension of ours at `path`; None where there is nothing, or anything else: a link is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        os.close(fd)
        return None
    with os.fdopen(fd, "rb") as file:
        text = file.read(_LARGEST).decode(errors="replace")
    return text if OURS in text[:_HEAD] else None


def looked_at(paths: Paths, env: Mapping[str, str]) -> bool:
    """Whether there is nothing to look for: no extension is there, or all is as when it was last looked at. Quick."""
    if not os.path.lexists(paths.extension):
        return True
    kept = store.read_json(memory(paths)) or {}
    words = _command(kept, env)
    return words is None or (kept.get("seen") is not None and kept["seen"] == _seen(paths, words))


def renew(paths: Paths, env: Mapping[str, str]) -> Renewed | None:
    """Write the extension anew if it is ours and not the one for the pi that is installed; None where nothing was done.

    RenderError where pi names no version or one that is not supported, StoreError where it cannot be written.
    """
    before = ours(paths.extension)
    words = _command(store.read_json(memory(paths)) or {}, env)
    if before is None or words is None:
        return None
    version, problem = _version(words, env)
    if version is None:
        raise RenderError(f"cannot ask `{words[0]}` for its version: it {problem}", hint="name pi with TOKMON_PI")
    text = rendered(version)
    if text != before:
        write(paths.extension, text)
    remember(paths, words)
    return None if text == before else Renewed(paths.extension, version)


def rendered(version: str) -> str:
    """The extension for that version of pi."""
    from tokmon.pi import schema_ts  # noqa: PLC0415 - a sidecar does not pay for `packaging`

    source = (schema_ts.folder() / "tokmon.ts").read_text(encoding="utf-8")
    return schema_ts.render(schema_ts.version(version), source)


def write(path: Path, text: str) -> None:
    """Put it in its place at once: a pi that starts meanwhile loads the old one or the new one. Links are replaced."""
    try:
        store.place(path, text.encode())
    except OSError as error:
        raise StoreError(f"cannot write `{path}`: {error.strerror}") from error


def remember(paths: Paths, words: Sequence[str]) -> None:
    """Keep how pi is run, for whoever has no PATH that leads there, and what was seen. Its loss costs a look."""
    kept = {"command": list(words), "seen": _seen(paths, words)}
    try:
        store.replace(memory(paths), store.encode(kept) + b"\n")
    except (OSError, StoreError):
        return


def _command(kept: Mapping[str, Any], env: Mapping[str, str]) -> list[str] | None:
    """How to run pi: as this environment does, or else as it was run before."""
    found = installed.command(env)
    words = kept.get("command")
    if found is not None or env.get("TOKMON_PI") or not isinstance(words, list):
        return found
    return installed.found([str(word) for word in words])


def _version(words: Sequence[str], env: Mapping[str, str]) -> tuple[str | None, str]:
    found = installed.package(words)
    return (found.version, "") if found is not None else installed.ask_version(words, env)


def _seen(paths: Paths, words: Sequence[str]) -> list[Any] | None:
    """What tells that nothing has changed; None where nothing can, since pi must be asked for its version."""
    found = installed.package(words)
    if found is None:
        return None
    return [__version__, *words, found.version, str(found.path), *_stamp(found.path), *_stamp(paths.extension)]


def _stamp(path: Path) -> list[int]:
    try:
        found = path.lstat()
    except OSError:
        return [0, 0, 0]
    return [found.st_mtime_ns, found.st_size, found.st_ino]
