"""`tokmon extension`: the extension for the pi that is installed, printed, written, or compared."""

import argparse
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Final

from tokmon import paths
from tokmon.errors import RenderError, StoreError, UsageError
from tokmon.pi import extension, installed, schema_ts
from tokmon.report.terminal import say

SUMMARY: Final = "render the pi extension for the pi that is installed"

_HINT: Final = "name it with `--pi-version X`, or say how to run pi with `--pi COMMAND`"


def run(arguments: list[str]) -> int:
    """Render, then print, write or compare."""
    options = _parser().parse_args(arguments)
    if options.renew:
        return _renew()
    source = schema_ts.folder() / "tokmon.ts"
    target: Path | None = options.output
    said: str | None = options.pi_version
    words: list[str] | None = None
    if options.check and target is None:
        target = source
        said = said or str(schema_ts.NEWEST)
    if said is None:
        words, said = _installed(options.pi)
    version = schema_ts.version(said)
    text = schema_ts.render(version, source.read_text(encoding="utf-8"))
    if options.check and target is not None:
        return _check(target, text, str(version))
    if target is None:
        sys.stdout.write(text)
        return 0
    if _read(target) != text:
        extension.write(target, text)
    found = paths.find()
    if words is not None and Path(os.path.abspath(target)) == found.extension:  # noqa: PTH100 - links stay links
        extension.remember(found, words)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tokmon extension", description=SUMMARY, allow_abbrev=False)
    parser.add_argument("--pi-version", metavar="X", help="render for this version instead of asking pi")
    named = os.environ.get("TOKMON_PI") or "pi"
    parser.add_argument("--pi", metavar="COMMAND", default=named, help="how to run pi (default: $TOKMON_PI, then `pi`)")
    parser.add_argument("--output", metavar="FILE", type=Path, help="write there, if it differs, instead of printing")
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit 1 if FILE differs from what would be written (default: the committed file, for the newest pi)",
    )
    parser.add_argument(
        "--renew",
        action="store_true",
        help="write the one that pi loads anew, if it is ours and pi has become another, as a sidecar does that starts",
    )
    return parser


def _renew() -> int:
    # A sidecar that ends first ends this: the pi that is being asked goes along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    done = extension.renew(paths.find(), os.environ)
    if done is not None:
        say([f"wrote `{done.path}` for pi {done.version}"])
    return 0


def _installed(command: str) -> tuple[list[str], str]:
    """How that pi is run, and its version, which it is asked for."""
    if not command.strip():
        raise UsageError("`--pi` is empty", hint="say how to run pi, or give `--pi-version X`")
    words = installed.command({**os.environ, "TOKMON_PI": command})
    if words is None:
        raise RenderError(f"cannot ask `{command}` for its version: no such program", hint=_HINT)
    version, problem = installed.ask_version(words, os.environ)
    if version is None:
        raise RenderError(f"cannot ask `{command}` for its version: it {problem}", hint=_HINT)
    return words, version


def _check(target: Path, text: str, version: str) -> int:
    found = _read(target)
    if found == text:
        return 0
    what = "is missing" if found is None else f"is not what the renderer gives for pi {version}"
    print(f"error: `{target}` {what}", file=sys.stderr)
    print(f"hint: `tokmon extension --pi-version {version} --output {shlex.quote(str(target))}`", file=sys.stderr)
    return 1


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise StoreError(f"cannot read `{path}`: {error.strerror}") from error
