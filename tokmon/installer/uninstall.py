"""Taking away what the receipts list and nobody changed since; what others had put there comes back."""

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokmon.installer import daemons, files, locking, purge, service, sidecars, units
from tokmon.installer.places import Home, Places
from tokmon.installer.plan import Step, carry_out, say
from tokmon.installer.receipt import Entry, Receipt
from tokmon.pi import extension

_NO_VERSION: Final = Path("/")


@dataclass(frozen=True, slots=True)
class Removal:
    """What is asked for."""

    purge: bool = False
    dry_run: bool = False


def member(home: Home, removal: Removal) -> int:
    """Take away the part of the member who runs this, and a program of their own; how many steps it took."""
    where = Places(home.data, home.link)
    if home.receipt.is_file() and (where.current.is_symlink() or where.versions.is_dir()):
        return _own(home, where, removal)
    if not home.receipt.is_file():
        say(f"nothing is installed for this member: there is no {home.receipt}")
        count = carry_out(_left_over(home), dry_run=removal.dry_run)
        return count + (carry_out(purge.steps(home.found), dry_run=removal.dry_run) if removal.purge else 0)
    if removal.dry_run:
        return carry_out(_member(home, removal, Receipt.load(home.receipt)), dry_run=True)
    with locking.held(home.lock):
        return carry_out(_member(home, removal, Receipt.load(home.receipt)), dry_run=False)


def _member(home: Home, removal: Removal, receipt: Receipt) -> Iterator[Step]:
    yield from _stop(home, receipt)
    yield from _files(receipt)
    if removal.purge:
        yield from purge.steps(home.found)
    yield from _last(receipt, home.lock)


def _left_over(home: Home) -> Iterator[Step]:
    """What an uninstall leaves that was killed when the receipt had just gone."""
    if home.data.is_dir() and not home.data.is_symlink() and set(os.listdir(home.data)) <= {home.lock.name}:  # noqa: PTH208 - names
        yield from _last(Receipt(home.receipt), home.lock)


def program(where: Places, removal: Removal) -> int:
    """Take away the program, whose lock is held and whose receipt has no member left; how many steps it took."""
    receipt = Receipt.load(where.receipt, shared=where.shared)
    return carry_out(_program(where, receipt), dry_run=removal.dry_run)


def _own(home: Home, where: Places, removal: Removal) -> int:
    """Take away a member's part and their own program, which share a receipt."""

    def steps(receipt: Receipt) -> Iterator[Step]:
        yield from _stop(home, receipt)
        if removal.purge:
            yield from purge.steps(home.found)
        yield from _program(where, receipt)

    if removal.dry_run:
        return carry_out(steps(Receipt.load(where.receipt)), dry_run=True)
    with locking.held(where.lock):
        return carry_out(steps(Receipt.load(where.receipt)), dry_run=False)


def _program(where: Places, receipt: Receipt) -> Iterator[Step]:
    yield from daemons.remove(receipt)
    yield from _files(receipt)
    if os.path.lexists(where.current):
        yield Step(f"remove {where.current}", where.current.unlink, where.current)
    if where.versions.is_dir():
        yield Step(f"remove {where.versions}", lambda: files.remove_tree(where.versions), where.versions)
    yield from _last(receipt, where.lock)


def _stop(home: Home, receipt: Receipt) -> Iterator[Step]:
    """Have nobody listen, and the sidecar end once it has stored all."""
    listed = [name for name in units.NAMES if str(home.units / name) in receipt.files]
    if listed and service.reachable(os.environ):
        yield Step("have systemd listen no more (tokmon.socket)", service.remove)
    wants = home.units / "sockets.target.wants" / units.NAMES[0]
    if listed and wants.is_symlink():
        yield Step(f"remove {wants}", lambda: wants.unlink(missing_ok=True), wants)
    pid = sidecars.answering(home.found)
    if pid is not None and sidecars.outdated(pid, _NO_VERSION):
        yield Step(f"end the sidecar (pid {pid})", lambda: sidecars.end(pid, home.found))


def _files(receipt: Receipt) -> Iterator[Step]:
    unit = False
    yield from _extensions(receipt)
    for name, entry in sorted(receipt.files.items()):
        path = Path(name)
        found = files.state(path)
        if found is not None and not receipt.wrote(path, found) and not extension.is_own(path):
            say(f"{path} was changed since it was installed: it is left")
            _tell_kept(path, entry)
            continue
        unit |= path.name in units.NAMES
        if found is not None:
            yield Step(f"remove {path}", functools.partial(files.remove_tree, path), path)
        yield from _restore(path, entry)
    if unit and service.reachable(os.environ):
        yield Step("have systemd forget its units", service.reload)


def _extensions(receipt: Receipt) -> Iterator[Step]:
    """Remove extensions of tokmon that others put where pi loads them: a dotfiles manager's link or copy of ours."""
    for agent in receipt.agents:
        for name in ("tokmon", "tokmon.ts"):
            path = Path(agent) / "extensions" / name
            if str(path) not in receipt.files and extension.is_own(path):
                yield Step(f"remove {path}", functools.partial(files.remove_tree, path), path)


def _restore(path: Path, entry: Entry) -> Iterator[Step]:
    """Put back what was there last before us. An older extension of ours is removed: pi would load it again."""
    there = [Path(each) for each in entry.kept if os.path.lexists(each)]
    own = [kept for kept in there if extension.is_own(kept)]
    there = [kept for kept in there if kept not in own]
    for kept in own:
        yield Step(f"remove {kept}", functools.partial(files.remove_tree, kept), kept)
    if there:
        kept = there.pop()
        yield Step(f"put back what was at {path} before", lambda: files.move(kept, path), path)
    for each in there:
        say(f"{each} is left: it was at {path} earlier still")


def _tell_kept(path: Path, entry: Entry) -> None:
    for each in entry.kept:
        if os.path.lexists(each):
            say(f"{each} is left: it was at {path} before")


def _last(receipt: Receipt, lock: Path) -> Iterator[Step]:
    """Remove the receipt when all else is gone, and the folders that were made for us if nobody uses them."""
    folders = receipt.folders if receipt.path.is_file() else [str(receipt.path.parent)]

    def last() -> None:
        # Until it is gone, the receipt says what is left to do.
        _remove_empty(folders)
        lock.unlink(missing_ok=True)
        receipt.path.unlink(missing_ok=True)
        _remove_empty(folders)

    yield Step(f"remove {receipt.path} and the folders that are empty now", last, receipt.path)


def _remove_empty(folders: list[str]) -> None:
    for folder in sorted(map(Path, folders), key=lambda each: len(each.parts), reverse=True):
        if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()
