"""The program: versions side by side, of which `current` is one; made, flipped, rolled back, and removed when old."""

import functools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokmon.errors import InstallError
from tokmon.installer import files, launcher, running, sidecars, sources
from tokmon.installer.places import Places
from tokmon.installer.placing import Placing
from tokmon.installer.plan import Step
from tokmon.installer.receipt import Receipt
from tokmon.installer.sources import Source

_COMPLETE = ".complete"


@dataclass(frozen=True, slots=True)
class Program:
    """The versions in `places`. `lock` is the lock that is held, None in a dry run."""

    places: Places
    receipt: Receipt
    lock: int | None = None

    def version(self, name: str) -> Path:
        """The environment of a version, there or not."""
        return self.places.versions / name

    def works(self, name: str) -> bool:
        """Whether a version is whole, and its Python still there."""
        place = self.version(name)
        return (place / _COMPLETE).is_file() and running.ask([place / "bin" / "tokmon", "--version"]).returncode == 0

    def current(self) -> str | None:
        """The name of the version in use."""
        return self.places.current.readlink().name if self.places.current.is_symlink() else None

    def before(self) -> str | None:
        """The version before the current one, if it is still there."""
        there = [
            name for name in self._names() if name != self.current() and (self.version(name) / _COMPLETE).is_file()
        ]
        return self.receipt.previous if self.receipt.previous in there else next(iter(there), None)

    def _names(self) -> list[str]:
        return sorted(os.listdir(self.places.versions)) if self.places.versions.is_dir() else []  # noqa: PTH208 - names

    def check(self, source: Source | None) -> None:
        """Say what is missing or cannot be written before anything is."""
        for folder in (self.places.versions, self.places.link.parent):
            files.trust(folder, shared=self.places.shared)
            files.check(folder, "choose another with `--prefix DIR`")
        # Only now: what is there is run.
        if source is not None and not self.works(source.name):
            _can_build(sources.base_python(), shared=self.places.shared)

    def install(self, source: Source) -> Iterator[Step]:
        """Have that version, and have it in use."""
        if not self.works(source.name):
            yield from self._build(source)
        yield from self.use(source.name)

    def _build(self, source: Source) -> Iterator[Step]:
        python, place = sources.base_python(), self.version(source.name)
        pip = place / "pip"
        if os.path.lexists(place):
            # What an interrupted install, or a Python that has gone, left behind.
            yield Step(f"remove the unfinished {place}", lambda: files.remove_tree(place), place)

        def environment() -> None:
            files.make_folders(place.parent, shared=self.places.shared)
            self._ensure(python, "-I", "-m", "venv", "--without-pip", place)

        def install() -> None:
            sources.unpack_pip(pip)
            words: list[str | Path] = [*source.words]
            if source.requirements:
                (pip / "requirements.txt").write_text(source.requirements, encoding="utf-8")
                words += ["--requirement", pip / "requirements.txt"]
            self._ensure(
                *(place / "bin" / "python", "-I", pip / "pip", "install", "--quiet", "--no-input"),
                *("--no-warn-script-location", *words),
            )

        def finish() -> None:
            files.remove_tree(pip)
            self._launch(place)
            self._expose(place)
            self._ensure(place / "bin" / "tokmon", "--version")
            files.write(place / _COMPLETE, f"{source.name}\n{python}\n".encode(), 0o644, shared=self.places.shared)

        yield Step(f"make the environment {place} with {python}", environment, place)
        yield Step(f"install tokmon {source.name} there", install, place)
        yield Step(f"try tokmon {source.name}", finish, place / _COMPLETE)

    def _launch(self, place: Path) -> None:
        """Put our own program in the place of pip's, if it can be one."""
        packages = [found.parents[1] for found in sorted(place.glob("lib*/python3*/site-packages/tokmon/entry.py"))]
        text = launcher.text(place / "bin" / "python", packages[:1])
        if packages and text is not None:
            files.write(place / "bin" / "tokmon", text.encode(), 0o755, shared=self.places.shared)

    def _expose(self, place: Path) -> None:
        """Link the version's extensions where a path without a version of Python leads to them."""
        packages = sorted(place.glob("lib*/python3*/site-packages/tokmon/_shipped/extensions"))
        if packages:
            target = str(packages[0].relative_to(place))
            files.link(place / "extensions", target, shared=self.places.shared)

    def _ensure(self, *words: str | Path) -> None:
        running.ensure(words, holding=self.lock)

    def use(self, name: str) -> Iterator[Step]:
        """Have that version in use, and be called by its name."""
        current = self.current()
        if current != name:

            def flip() -> None:
                if current is not None:
                    self.receipt.previous = current
                self.receipt.save()
                files.link(self.places.current, f"versions/{name}", shared=self.places.shared)

            yield Step(f"make {name} the current version", flip, self.places.current)
        placing = Placing(self.receipt)
        yield from placing.link(self.places.link, str(self.places.program), is_our_link)

    def roll_back(self) -> str:
        """The name of the version to go back to. Raises InstallError if there is none."""
        name = self.before()
        if name is None:
            raise InstallError(
                "there is no version to go back to", hint=f"`{self.places.versions}` has the one in use, or none"
            )
        return name

    def prune(self, name: str) -> Iterator[Step]:
        """Remove all but that version, the one before, and those that run: a process may still load a module.

        A member whose part was not done, or failed, has a sidecar of an older version.
        """
        current = self.current()
        kept = {name, self.before() if current == name else current, *sidecars.versions_that_run()}
        for each in self._names():
            if each not in kept:
                place = self.version(each)
                yield Step(f"remove the old {place}", functools.partial(files.remove_tree, place), place)


def is_our_link(path: Path) -> bool:
    """Whether a link leads to the program of a tokmon that was installed elsewhere, or earlier."""
    return path.is_symlink() and path.readlink().parts[-4:] == ("tokmon", "current", "bin", "tokmon")


def _can_build(python: str, *, shared: bool) -> None:
    """Say what is missing before anything is written."""
    try:
        import ssl  # noqa: F401, PLC0415 - some distributions leave them out
        import venv  # noqa: F401, PLC0415
    except ImportError as error:
        raise InstallError(
            f"`{python}` lacks its module `{error.name}`", hint=running.how_to_install("venv")
        ) from error
    sources.bundled_pip()
    if shared:
        ensure_for_everyone(python)


def ensure_for_everyone(python: str) -> None:
    """Raise InstallError if others cannot run a Python, or somebody but root could exchange it below all of them."""
    hint = "name a Python that is root's and that everybody can run, for example TOKMON_PYTHON=/usr/bin/python3"
    for each in (real := Path(python).resolve(), *real.parents):
        found = each.stat()
        if not found.st_mode & stat.S_IXOTH:
            raise InstallError(f"`{python}` cannot be run by others: `{each}` is closed to them", hint=hint)
        if found.st_uid != 0 or (found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX):
            raise InstallError(f"`{python}` is not for everyone: others than root can change `{each}`", hint=hint)
