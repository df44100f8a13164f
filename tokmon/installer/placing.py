"""Steps that put files and links in their places, keep what others put there, and record it."""

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tokmon.installer import files
from tokmon.installer.plan import Step
from tokmon.installer.receipt import Receipt


def nobody(_path: Path) -> bool:
    """What is not in the receipt is somebody else's."""
    return False


@dataclass(frozen=True, slots=True)
class Placing:
    """`ours`, below, says of what is not in the receipt whether it is ours all the same: of an older tokmon, say."""

    receipt: Receipt

    def file(self, path: Path, content: bytes, mode: int, ours: Callable[[Path], bool] = nobody) -> Iterator[Step]:
        """Have a file with that content at `path`."""
        wanted, found = files.digest(content), files.state(path)
        if found == wanted and stat.S_IMODE(path.lstat().st_mode) == mode:
            yield from self._adopt(path, wanted)
            return

        def write() -> None:
            self._prepare(path, wanted)
            files.write(path, content, mode, shared=self.receipt.shared)

        yield from self._keep(path, wanted, found, ours)
        yield Step(f"write {path}", write, path)

    def link(self, path: Path, target: str, ours: Callable[[Path], bool] = nobody) -> Iterator[Step]:
        """Have a link to `target` at `path`."""
        wanted, found = f"link:{target}", files.state(path)
        if found == wanted:
            yield from self._adopt(path, wanted)
            return

        def link() -> None:
            self._prepare(path, wanted)
            files.link(path, target, shared=self.receipt.shared)

        yield from self._keep(path, wanted, found, ours)
        yield Step(f"link {path} to {target}", link, path)

    def _adopt(self, path: Path, wanted: str) -> Iterator[Step]:
        if str(path) not in self.receipt.files:
            yield Step(f"record {path}", lambda: self.receipt.note(path, wanted), self.receipt.path)

    def _keep(self, path: Path, wanted: str, found: str | None, ours: Callable[[Path], bool]) -> Iterator[Step]:
        if found is None or found == wanted or self.receipt.wrote(path, found) or ours(path):
            return
        kept = files.free_name(path)

        def keep() -> None:
            files.trust(path.parent, shared=self.receipt.shared)
            self.receipt.note(path, wanted, kept)
            files.move(path, kept)

        yield Step(f"keep what is at {path} as {kept}", keep, kept)

    def _prepare(self, path: Path, wanted: str) -> None:
        self.receipt.note(path, wanted)
        files.make_folders(path.parent, shared=self.receipt.shared)
