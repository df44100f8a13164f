"""Screens for the docs: real output of `tokmon`, in a made-up home at a fixed instant."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import tokmon
from scripts.docs.demo import NOW, write_home

_PROGRAM: Final = f"""
import sys, time
time.time = lambda: {NOW}
from tokmon.cli import main
sys.exit(main(sys.argv[1:]))
"""
_WIDTH: Final = 100


def block(command: str, language: str | None = None) -> Iterator[str]:
    """A fenced block with the command and its output; with a language, the output alone."""
    yield f"```{language or 'console'}"
    if language is None:
        yield f"$ {command}"
    yield from run(command).splitlines()
    yield "```"


@cache
def run(command: str) -> str:
    """Everything that `tokmon …` prints in the made-up home, without blanks at the ends of lines."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder).resolve() / "home"
        write_home(home)
        env = {
            "COLUMNS": str(_WIDTH),
            "HOME": str(home),
            "NO_COLOR": "1",
            "PATH": os.defpath,
            "PYTHONPATH": str(Path(tokmon.__file__).parents[1]),
            "PYTHONUTF8": "1",
            "TOKMON_SOCKET": str(home / ".local" / "state" / "tokmon" / "sock"),
            "TZ": "UTC",
        }
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *shlex.split(command)[1:]],
            cwd=home,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode and "Traceback" in done.stdout:
            raise SystemExit(f"error: `{command}` failed:\n{done.stdout}")
        return "\n".join(line.rstrip() for line in done.stdout.replace(str(home), "~").strip("\n").split("\n"))
