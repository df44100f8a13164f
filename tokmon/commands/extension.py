"""`tokmon extension`: the extension for the pi that is installed, printed, written, or compared."""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tokmon import extension
from tokmon.errors import RenderError, StoreError, UsageError

SUMMARY: Final = "render the pi extension for the pi that is installed"

_PATIENCE_S: Final = 5.0


def run(arguments: list[str]) -> int:
    """Render, then print, write or compare."""
    options = _parser().parse_args(arguments)
    source = extension.folder() / "tokmon.ts"
    target: Path | None = options.output
    said: str | None = options.pi_version
    if options.check and target is None:
        target = source
        said = said or str(extension.NEWEST)
    version = extension.version(said or _installed(options.pi))
    text = extension.render(version, source.read_text(encoding="utf-8"))
    if options.check and target is not None:
        return _check(target, text, str(version))
    if target is None:
        sys.stdout.write(text)
    elif _read(target) != text:
        _write(target, text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tokmon extension", description=SUMMARY, allow_abbrev=False)
    parser.add_argument("--pi-version", metavar="X", help="render for this version instead of asking pi")
    pi = os.environ.get("TOKMON_PI") or "pi"
    parser.add_argument("--pi", metavar="COMMAND", default=pi, help="how to run pi (default: $TOKMON_PI, then `pi`)")
    parser.add_argument("--output", metavar="FILE", type=Path, help="write there, if it differs, instead of printing")
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit 1 if FILE differs from what would be written (default: the committed file, for the newest pi)",
    )
    return parser


def _installed(command: str) -> str:
    """Ask pi; the older versions answer on stderr."""
    words = shlex.split(command)
    if not words:
        raise UsageError("`--pi` is empty", hint="say how to run pi, or give `--pi-version X`")
    try:
        done = subprocess.run(  # noqa: S603 - the user's own pi
            [*words, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RenderError(f"cannot ask `{words[0]}` for its version: {_reason(error)}", hint=_HINT) from error
    for line in (*done.stdout.splitlines(), *done.stderr.splitlines()):
        try:
            return str(extension.version(line))
        except UsageError:
            continue
    raise RenderError(f"`{words[0]} --version` named no version", hint=_HINT)


_HINT: Final = "name it with `--pi-version X`, or say how to run pi with `--pi COMMAND`"


def _reason(error: OSError | subprocess.TimeoutExpired) -> str:
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return f"no answer in {_PATIENCE_S:.0f} s"


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


def _write(path: Path, text: str) -> None:
    """Replace the file in one step: a pi that starts meanwhile loads the old one or the new one."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(f"cannot write `{path}`: {error.strerror}") from error
