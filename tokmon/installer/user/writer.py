"""Steps that put files and links in their places, move aside what others put there, and record it."""

import functools
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tokmon.installer.user import files
from tokmon.installer.user.plan import Step
from tokmon.installer.user.receipt import Receipt

IsOurs = Callable[[Path], bool]
"""Whether what is not in the receipt is ours all the same: of an older tokmon, for example."""


def never(_path: Path) -> bool:
    """What is not in the receipt belongs to somebody else."""
    return False


@dataclass(frozen=True, slots=True)
class Writer:
    """Plans files and links, and records them in `receipt`."""

    receipt: Receipt

    def file(self, path: Path, content: bytes, mode: int, is_ours: IsOurs = never) -> Iterator[Step]:
        """Have a file with that content at `path`."""
        wanted, shared = files.digest(content), self.receipt.shared
        right = files.state(path) == wanted and stat.S_IMODE(path.lstat().st_mode) == mode
        write = functools.partial(files.write, path, content, mode, shared=shared)
        yield from self._put(path, wanted, Step(f"write {path}", write, path), is_ours, right=right)

    def link(self, path: Path, target: str, is_ours: IsOurs = never) -> Iterator[Step]:
        """Have a link to `target` at `path`."""
        wanted, shared = f"link:{target}", self.receipt.shared
        link = functools.partial(files.link, path, target, shared=shared)
        step = Step(f"link {path} to {target}", link, path)
        yield from self._put(path, wanted, step, is_ours, right=files.state(path) == wanted)

    def _put(self, path: Path, wanted: str, step: Step, is_ours: IsOurs, *, right: bool) -> Iterator[Step]:
        if right:
            if str(path) not in self.receipt.files:
                yield Step(f"record {path}", lambda: self.receipt.record(path, wanted), self.receipt.path)
            return
        state = files.state(path)
        if state not in {None, wanted} and not self.receipt.wrote(path, state) and not is_ours(path):
            aside = files.free_name(path)
            yield Step(f"keep what is at {path} as {aside}", lambda: self._move_aside(path, wanted, aside), aside)

        def put() -> None:
            self.receipt.record(path, wanted)
            files.make_folders(path.parent, shared=self.receipt.shared)
            step.apply()

        yield Step(step.what, put, path)

    def _move_aside(self, path: Path, wanted: str, aside: Path) -> None:
        files.trust(path.parent, shared=self.receipt.shared)
        self.receipt.record(path, wanted, aside)
        files.move(path, aside)
