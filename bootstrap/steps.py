"""The steps of `install.sh` that a POSIX shell cannot do alone. Standard library only, any Python >= 3.11.

python3 steps.py VERB [ARGUMENT ...]; a problem is one line on stderr and exit code 1.
"""
# ruff: noqa: INP001, T201 - a program of its own beside the shell script, which reads what it prints

import contextlib
import fcntl
import hashlib
import os
import pwd
import re
import signal
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_PARTS: Final = ("pyproject.toml", "README.md", "tokmon", "extensions", "bootstrap", "hooks")
_LEFT_OUT: Final = {"__pycache__", "_shipped", "node_modules"}
_LOCK_FD: Final = 9
_PATIENCE_S: Final = 900
_END_S: Final = 10.0
_KEPT: Final = (
    "PI_CODING_AGENT_DIR",
    "TOKMON_CONFIG_DIR",
    "TOKMON_FSYNC",
    "TOKMON_LOG_DIR",
    "TOKMON_STATE_DIR",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
)
"""What a user manager does not know of the member's shell, and the sidecar needs."""


class StepError(Exception):
    """A step could not be done."""


def home() -> None:
    """Print the home of the user who runs this, as the system knows it."""
    try:
        print(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError as error:
        raise StepError(f"user {os.geteuid()} is not known to the system") from error


def name(checkout: str) -> None:
    """Print `VERSION-HASH` for what would be installed: the sources and the Python they run on."""
    root = Path(checkout)
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {sys.base_prefix}".encode())
    for path in _sources(root):
        content = path.read_bytes()
        digest.update(f"\0{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    found = re.search(r'^__version__ = "([^"]+)"', (root / "tokmon" / "__init__.py").read_text(), re.MULTILINE)
    if found is None:
        raise StepError(f"`{root}/tokmon/__init__.py` names no version")
    print(f"{found[1]}-{digest.hexdigest()[:12]}")


def _sources(root: Path) -> Iterator[Path]:
    for part in _PARTS:
        path = root / part
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if each.is_file() and not _LEFT_OUT & set(each.relative_to(root).parts):
                yield each


def lock() -> None:
    """Lock the file that the shell holds open as descriptor 9, and wait for it if need be.

    The lock belongs to the open file, which the shell and what it starts share: it outlives this process, ends
    with the last of them however they die, and so is never stale.
    """
    try:
        fcntl.flock(_LOCK_FD, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another install is running: waiting for it to end", flush=True)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_PATIENCE_S)
        fcntl.flock(_LOCK_FD, fcntl.LOCK_EX)
        signal.alarm(0)


def link(target: str, path: str) -> None:
    """Make `path` a symlink to `target` in one step; print `linked` if it was not."""
    place = Path(path)
    if place.is_symlink() and place.readlink() == Path(target):
        return
    fresh = place.with_name(f".{place.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(place)
    print("linked")


def unit(template: str, target: str, program: str) -> None:
    """Write a systemd user unit for `program` and this environment; print `written` if it was not so."""
    lines: list[str] = []
    for line in Path(template).read_text(encoding="utf-8").splitlines():
        if line.startswith("ListenStream=") and (socket := os.environ.get("TOKMON_SOCKET")):
            lines.append(f"ListenStream={_escaped(socket)}")
        elif line.startswith("ExecStart="):
            lines.append(f'ExecStart="{_escaped(program).replace("$", "$$")}" sidecar')
            kept = ((each, os.environ.get(each)) for each in _KEPT)
            lines += [f'Environment="{each}={_escaped(value)}"' for each, value in kept if value]
        else:
            lines.append(line)
    text = "\n".join(lines) + "\n"
    place = Path(target)
    with contextlib.suppress(FileNotFoundError):
        if place.read_text(encoding="utf-8") == text:
            return
    fresh = place.with_name(f".{place.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(place)
    print("written")


def _escaped(text: str) -> str:
    if "\n" in text:
        raise StepError(f"a path with a line break cannot stand in a unit: {text!r}")
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def running() -> None:
    """Print the pid of the sidecar that answers. Runs under the installed Python, which has tokmon."""
    from tokmon import client, paths  # noqa: PLC0415 - the other verbs run before anything is installed

    try:
        print(client.ask_status(paths.find().sockets)["pid"])
    except (OSError, KeyError, ValueError) as error:
        raise StepError("no sidecar answers") from error


def stop(pid: str) -> None:
    """Ask a sidecar to end, and wait until it let go of its lock. Runs under the installed Python as well."""
    from tokmon import paths, store  # noqa: PLC0415 - the other verbs run before anything is installed

    with contextlib.suppress(ProcessLookupError):
        os.kill(int(pid), signal.SIGTERM)
    with store.Held(paths.find().lock) as lock:
        if not lock.take(timeout=_END_S):
            raise StepError(f"the sidecar (pid {pid}) does not end")


def pip(folder: str) -> None:
    """Unpack the pip that came with Python into `folder` and print how to run it.

    Unpacked, since each of the processes that pip starts would read it from the wheel again.
    """
    found: list[Path] = []
    with contextlib.suppress(ImportError):
        import ensurepip  # noqa: PLC0415 - Debian leaves it out

        found += (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    for place in (sysconfig.get_config_var("WHEEL_PKG_DIR"), "/usr/share/python-wheels"):
        if place:
            found += Path(place).glob("pip-*.whl")
    if not found:
        raise StepError("this Python came without pip")
    wheel = max(found, key=lambda each: _order(str(each)))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    print(Path(folder) / "pip")


def _order(url: str) -> tuple[int, ...]:
    """Final releases as wheels only; anything else comes before all of them."""
    found = re.search(r"/pip-([0-9.]+)-py3-none-any\.whl$", url)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


VERBS: Final[dict[str, Callable[..., None]]] = {
    each.__name__: each for each in (home, name, lock, link, unit, running, stop, pip)
}

if __name__ == "__main__":
    try:
        VERBS[sys.argv[1]](*sys.argv[2:])
    except (StepError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)
