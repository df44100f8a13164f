"""The package of pi that a launcher starts, found without starting it. Standard library only: the installer uses it.

A launcher is a link into the package (npm, nvm, bun), a script that runs a file of it (pnpm, a wrapper of the user's
own), or the launcher of pi's own installer, which keeps its releases in one folder:

    ROOT/managed-install.json, ROOT/current-version, ROOT/releases/VERSION/node_modules/SCOPE/pi-coding-agent
"""

import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tokmon.store.opener import read_head

VERSION: Final = re.compile(r"v?(\d+\.\d+\.\d+\S*)")

_LEVELS: Final = 5
_SCRIPTS: Final = 3
"""How many scripts that start one another are followed."""

_MAX_SCRIPT: Final = 64 << 10
_MAX_BYTES: Final = 1 << 20
_MAX_PATHS: Final = 50
_PACKAGE: Final = "pi-coding-agent"
_SCOPES: Final = ("@earendil-works", "@mariozechner")
_RELEASE: Final = re.compile(r"[0-9A-Za-z._+-]{1,100}")

_EXEC: Final = re.compile(r"(?<![\w-])exec\s+")
_HOME: Final = re.compile(r"(?:~|\$HOME|\$\{HOME\})(?=/)")
_OWN_FOLDER: Final = re.compile(r"(?:\$\w+|\$\{\w+\}|\$\(.*\)|`.*`)(?=/)")
"""In a launcher, a variable or command before a path is nearly always the folder of the script (`$basedir`)."""


def package_version(words: Sequence[str]) -> str | None:
    """The version of the pi that a command runs, if one of its absolute paths leads to a package of pi.

    None also if a script names several versions.
    """
    for word in words:
        if word.startswith("/") and (version := _version_at(Path(word), _SCRIPTS)) is not None:
            return version
    return None


def _version_at(path: Path, scripts: int) -> str | None:
    program = Path(os.path.realpath(path))
    folders = list(program.parents)[:_LEVELS]
    for folder in folders:
        version = _version_in(folder) or _managed_version(folder) or _managed_version(folder / "install")
        if version is not None:
            return version
    if scripts == 0:
        return None
    versions = {_version_at(other, scripts - 1) for other in _paths_in(program) if other != program}
    versions.discard(None)
    return versions.pop() if len(versions) == 1 else None


def _version_in(folder: Path) -> str | None:
    content = _json(folder / "package.json")
    if not str(content.get("name")).endswith(_PACKAGE):
        return None
    match = VERSION.fullmatch(str(content.get("version")))
    return None if match is None else match[1]


def _managed_version(root: Path) -> str | None:
    """The version that pi's own installer has activated in this folder."""
    marker = _json(root / "managed-install.json")
    name = read_head(root / "current-version", 200).decode(errors="replace").strip()
    if not str(marker.get("kind")).startswith("pi-") or not _RELEASE.fullmatch(name) or name in {".", ".."}:
        return None
    release = root / "releases" / name
    packages = [release / "node_modules" / scope / _PACKAGE for scope in _SCOPES]
    return next((version for folder in (*packages, release) if (version := _version_in(folder))), None)


def _paths_in(script: Path) -> Iterator[Path]:
    """The files that a shell script may run, by its lines with `exec`."""
    text = read_head(script, _MAX_SCRIPT)
    if not text.startswith(b"#!") or b"\0" in text:
        return
    left = _MAX_PATHS
    for line in text.decode(errors="replace").splitlines():
        command = None if line.lstrip().startswith("#") else _EXEC.search(line)
        if command is not None:
            for word in _words(line[command.end() :]):
                path = _OWN_FOLDER.sub(str(script.parent), _HOME.sub(str(Path.home()), word, count=1), count=1)
                left -= 1
                if left >= 0 and path.startswith("/") and os.path.isfile(path):  # noqa: PTH113 - any text may be a word
                    yield Path(os.path.realpath(path))


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command, comments=True)
    except ValueError:
        return []


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_head(path, _MAX_BYTES))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
