"""A pi as npm installs one: a link in a folder of programs, and beside what it leads to a package.json."""

import json
from pathlib import Path


def npm_pi(root: Path, version: str, script: str = "exit 9") -> Path:
    """Install it, or another version in its place, and return the program. It is not for running, unless told so."""
    package = root / "lib" / "node_modules" / "@earendil-works" / "pi-coding-agent"
    program = package / "dist" / "bundle" / "cli.js"
    program.parent.mkdir(parents=True, exist_ok=True)
    (package / "package.json").write_text(json.dumps({"name": "@earendil-works/pi-coding-agent", "version": version}))
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    link = root / "bin" / "pi"
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(program)
    return link


def wrapper(root: Path, version: str, runs: Path) -> Path:
    """A script that only says its version, and writes down that it was asked."""
    link = root / "bin" / "pi"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.write_text(f"#!/bin/sh\necho asked >>'{runs}'\necho {version} >&2\n")
    link.chmod(0o755)
    return link
