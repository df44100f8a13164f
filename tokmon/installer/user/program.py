"""The program: versions side by side, of which `current` is one; made, flipped, rolled back, and removed when old."""

import contextlib
import functools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokmon.errors import InstallError
from tokmon.installer.user import files, lock, running_sidecar, sources
from tokmon.installer.user.layout import ProgramPaths
from tokmon.installer.user.plan import Step
from tokmon.installer.user.receipt import Receipt
from tokmon.installer.user.sources import Source
from tokmon.installer.user.subprocesses import capture, how_to_install, require
from tokmon.installer.user.writer import Writer

_COMPLETE = ".complete"


@dataclass(frozen=True, slots=True)
class Program:
    """The versions in `paths`. `lock_fd` is the lock that is held, None in a dry run."""

    paths: ProgramPaths
    receipt: Receipt
    lock_fd: int | None = None

    def version(self, name: str) -> Path:
        """The environment of a version, whether or not it exists."""
        return self.paths.versions / name

    def works(self, name: str) -> bool:
        """Whether a version is whole, and its Python still exists."""
        place = self.version(name)
        return (place / _COMPLETE).is_file() and capture([place / "bin" / "tokmon", "--version"]).returncode == 0

    def current(self) -> str | None:
        """The name of the version in use."""
        return self.paths.current.readlink().name if self.paths.current.is_symlink() else None

    def previous(self) -> str | None:
        """The version before the current one, if it is still there."""
        names = [name for name in files.names_in(self.paths.versions) if name != self.current()]
        whole = [name for name in names if (self.version(name) / _COMPLETE).is_file()]
        return self.receipt.previous if self.receipt.previous in whole else next(iter(whole), None)

    def check(self, source: Source | None = None) -> None:
        """Say what is missing or cannot be written before anything is."""
        for folder in (self.paths.versions, self.paths.link.parent):
            files.check(folder, "choose another with `--prefix DIR`", shared=self.paths.shared)
        # Only now: what is in those folders is run.
        if source is not None and not self.works(source.name):
            _check_python(sources.base_python(), shared=self.paths.shared)

    def build(self, source: Source) -> Iterator[Step]:
        """Have the environment of that version, whole."""
        if self.works(source.name):
            return
        python, place = sources.base_python(), self.version(source.name)
        if os.path.lexists(place):
            # Left behind by an interrupted install, or by a Python that has gone.
            yield Step(f"remove the unfinished {place}", functools.partial(files.remove_tree, place), place)
        yield Step(f"make the environment {place} with {python}", lambda: self._make(place, python), place)
        yield Step(f"install tokmon {source.name} there", lambda: self._fill(place, source), place)
        yield Step(f"try tokmon {source.name}", lambda: self._finish(place, python), place / _COMPLETE)

    def _make(self, place: Path, python: str) -> None:
        files.make_folders(place.parent, shared=self.paths.shared)
        require([python, "-I", "-m", "venv", "--without-pip", place], holding=self.lock_fd)

    def _fill(self, place: Path, source: Source) -> None:
        pip = place / "pip"
        sources.unpack_pip(pip)
        words = list(source.words)
        if source.requirements:
            (pip / "requirements.txt").write_text(source.requirements, encoding="utf-8")
            words += ["--requirement", str(pip / "requirements.txt")]
        options = ("install", "--quiet", "--no-input", "--no-warn-script-location")
        require([place / "bin" / "python", "-I", pip / "pip", *options, *words], holding=self.lock_fd)
        files.remove_tree(pip)

    def _finish(self, place: Path, python: str) -> None:
        _isolate(place / "bin" / "tokmon", place / "bin" / "python", shared=self.paths.shared)
        # pi loads the extension by way of `current/extensions`, in which no version of Python stands.
        for shipped in place.glob("lib/python3*/site-packages/tokmon/_shipped/extensions"):
            files.link(place / "extensions", str(shipped.relative_to(place)), shared=self.paths.shared)
        require([place / "bin" / "tokmon", "--version"], holding=self.lock_fd)
        content = f"{place.name}\n{python}\n".encode()
        files.write(place / _COMPLETE, content, 0o644, shared=self.paths.shared)

    def use(self, name: str) -> Iterator[Step]:
        """Have that version in use, and called by the program's name."""
        current = self.current()
        if current != name:

            def flip() -> None:
                if current is not None:
                    self.receipt.previous = current
                self.receipt.save()
                files.link(self.paths.current, f"versions/{name}", shared=self.paths.shared)

            yield Step(f"make {name} the current version", flip, self.paths.current)
        yield from Writer(self.receipt).link(self.paths.link, str(self.paths.command), is_our_link)

    def prune(self, name: str) -> Iterator[Step]:
        """Remove all versions but that one, the one before, and those in use: a process may still load a module.

        A member whose part was not done, or failed, has a sidecar of an older version.
        """
        current = self.current()
        wanted = {name, self.previous() if current == name else current, *running_sidecar.versions_in_use()}
        for old in files.names_in(self.paths.versions):
            if old not in wanted:
                place = self.version(old)
                yield Step(f"remove the old {place}", functools.partial(files.remove_tree, place), place)


@contextlib.contextmanager
def opened(paths: ProgramPaths, *, dry_run: bool) -> Iterator[Program]:
    """The program under its lock, with its receipt; in a dry run nothing is locked, or made for a lock."""
    if dry_run:
        yield Program(paths, Receipt.load(paths.receipt, shared=paths.shared))
        return
    with receipt_locked(paths) as (receipt, lock_fd):
        yield Program(paths, receipt, lock_fd)


@contextlib.contextmanager
def receipt_locked(paths: ProgramPaths) -> Iterator[tuple[Receipt, int]]:
    """The receipt under its lock, with the folders that had to be made for it recorded."""
    made = files.missing(paths.prefix)
    files.make_folders(paths.prefix, shared=paths.shared)
    with lock.held(paths.lock, shared=paths.shared) as lock_fd:
        receipt = Receipt.load(paths.receipt, shared=paths.shared)
        if made:
            receipt.folders += [str(path) for path in made]
            receipt.save()
        yield receipt, lock_fd


def is_our_link(path: Path) -> bool:
    """Whether a link leads to the program of a tokmon that was installed elsewhere, or earlier."""
    return path.is_symlink() and path.readlink().parts[-4:] == ("tokmon", "current", "bin", "tokmon")


def _isolate(script: Path, python: Path, *, shared: bool) -> None:
    """Have the program start Python isolated (`-I`): what other Pythons were configured with is not its own."""
    text = script.read_text(encoding="utf-8")
    # Where the first line of a script cannot name the interpreter, pip has the shell start it.
    for start in (f"#!{python}\n", f"""'''exec' "{python}" """):
        text = text.replace(start, f"{start.rstrip()} -I{start[-1]}", 1)
    files.write(script, text.encode(), 0o755, shared=shared)


def _check_python(python: str, *, shared: bool) -> None:
    """Say what a Python lacks for making an environment."""
    try:
        import ssl  # noqa: F401, PLC0415 - some distributions leave them out
        import venv  # noqa: F401, PLC0415
    except ImportError as error:
        raise InstallError(f"`{python}` lacks its module `{error.name}`", hint=how_to_install("venv")) from error
    sources.bundled_pip()
    if shared:
        check_for_everyone(python)


def check_for_everyone(python: str) -> None:
    """Raise InstallError if others cannot run a Python, or somebody but root could exchange it below all of them."""
    hint = "name a Python that is root's and that everybody can run, for example TOKMON_PYTHON=/usr/bin/python3"
    for path in (real := Path(python).resolve(), *real.parents):
        status = path.stat()
        if not status.st_mode & stat.S_IXOTH:
            raise InstallError(f"`{python}` cannot be run by others: `{path}` is closed to them", hint=hint)
        if status.st_uid != 0 or (status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX):
            raise InstallError(f"`{python}` is not for everyone: others than root can change `{path}`", hint=hint)
