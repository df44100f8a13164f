"""Removing what the receipts list and nobody changed since; what others had put there comes back."""

import contextlib
import functools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokmon.installer.user import files, lock, pool_files, purge, systemd, units
from tokmon.installer.user.layout import ProgramPaths, UserPaths
from tokmon.installer.user.options import Options
from tokmon.installer.user.plan import Step, execute, say
from tokmon.installer.user.receipt import Entry, Receipt
from tokmon.pi import extension
from tokmon.pool.key import FILE as KEY_FILE


def remove_user(home: UserPaths, options: Options) -> int:
    """Remove the part of the user who runs this, and a program of their own; return the number of steps."""
    own = home.program
    with contextlib.nullcontext() if options.dry_run or not own.receipt.is_file() else lock.held(own.lock):
        return execute(_user(home, options), dry_run=options.dry_run)


def _user(home: UserPaths, options: Options) -> Iterator[Step]:
    own = home.program
    receipt = Receipt.load(own.receipt)
    if own.receipt.is_file():
        listed = any(str(home.units / name) in receipt.files for name in units.NAMES)
        yield from systemd.stop(home.units, home.tokmon, listed=listed)
        yield from pool_files.steps(home.tokmon)
        yield from purge.steps(home.tokmon) if options.purge else _caches(home)
        yield from remove_program(own, receipt)
        return
    say(f"nothing is installed for this user: there is no {own.receipt}")
    if own.prefix.is_dir() and not own.prefix.is_symlink() and set(files.names_in(own.prefix)) <= {own.lock.name}:
        # Left by an uninstall that was killed when the receipt had just gone.
        yield from _receipt(receipt, own.lock)
    if options.purge:
        yield from purge.steps(home.tokmon)


def _caches(home: UserPaths) -> Iterator[Step]:
    """Remove what the installer had made beside its own files: the decision and the policy that it rests on."""
    state = home.tokmon.state
    names = files.names_in(state)
    own = [name for name in names if name == "policy.json" or name.partition("-")[0] == "decision"]
    if set(names) <= {*own, KEY_FILE}:
        own = names  # nothing was recorded that the key is needed for
    for path in (state / name for name in own):
        yield Step(f"remove {path}", functools.partial(path.unlink, missing_ok=True), path)
    if own and own == names:
        yield Step(f"remove the folder {state}", functools.partial(purge.remove_empty, state, home.home), state)


def remove_program(own: ProgramPaths, receipt: Receipt) -> Iterator[Step]:
    """Remove what a receipt lists, the versions if there are any, and the receipt last of all."""
    yield from _files(receipt)
    if own.current.is_symlink():
        yield Step(f"remove {own.current}", own.current.unlink, own.current)
    if own.versions.is_dir():
        yield Step(f"remove {own.versions}", functools.partial(files.remove_tree, own.versions), own.versions)
    yield from _receipt(receipt, own.lock)


def _files(receipt: Receipt) -> Iterator[Step]:
    yield from _extensions(receipt)
    has_unit = False
    for name, entry in sorted(receipt.files.items()):
        path = Path(name)
        state = files.state(path)
        if state is not None and not receipt.wrote(path, state) and not extension.is_own(path):
            say(f"{path} was changed since it was installed: it is left")
            _say_left(path, entry.backups)
            continue
        has_unit |= path.name in units.NAMES
        if state is not None:
            yield Step(f"remove {path}", functools.partial(files.remove_tree, path), path)
        yield from _restore(path, entry)
    if has_unit and systemd.is_reachable(os.environ):
        yield Step("have systemd forget its units", systemd.reload)


def _extensions(receipt: Receipt) -> Iterator[Step]:
    """Remove extensions of tokmon that others put where pi loads them: a dotfiles manager's link or copy of ours."""
    for agent in receipt.agents:
        for path in (Path(agent, "extensions", name) for name in ("tokmon", "tokmon.ts")):
            if str(path) not in receipt.files and extension.is_own(path):
                yield Step(f"remove {path}", functools.partial(files.remove_tree, path), path)


def _restore(path: Path, entry: Entry) -> Iterator[Step]:
    """Put back what was there last before us. An older extension of ours is removed: pi would load it again."""
    existing = [Path(aside) for aside in entry.backups if os.path.lexists(aside)]
    for own in filter(extension.is_own, list(existing)):
        existing.remove(own)
        yield Step(f"remove {own}", functools.partial(files.remove_tree, own), own)
    if existing:
        last = existing.pop()
        yield Step(f"put back what was at {path} before", lambda: files.move(last, path), path)
    _say_left(path, map(str, existing))


def _say_left(path: Path, asides: Iterable[str]) -> None:
    for aside in asides:
        if os.path.lexists(aside):
            say(f"{aside} is left: it was at {path} before")


def _receipt(receipt: Receipt, lock_file: Path) -> Iterator[Step]:
    """Remove the receipt when all else is gone, and the folders that were made for us if nobody uses them."""
    folders = receipt.folders if receipt.path.is_file() else [str(receipt.path.parent)]

    def remove() -> None:
        # Until it is gone, the receipt says what is left to do.
        _remove_empty(folders)
        lock_file.unlink(missing_ok=True)
        receipt.path.unlink(missing_ok=True)
        _remove_empty(folders)

    yield Step(f"remove {receipt.path} and the folders that are empty now", remove, receipt.path)


def _remove_empty(folders: list[str]) -> None:
    for folder in sorted(map(Path, folders), key=lambda path: len(path.parts), reverse=True):
        if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()
