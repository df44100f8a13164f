"""Root's part of the pool: a folder for each member's Unix account, and the record of whose each is.

    /var/lib/tokmon/members.json    root's: the members, a fingerprint of the key, and the group that may read
    /var/lib/tokmon/identity.key    root's alone; each member gets a copy
    /var/lib/tokmon/pool/MEMBER/    the member's; others read it

Everything above a member's folder is root's, so that nobody can exchange what was looked at before it is changed.
"""

import functools
import grp
import json
import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from tokmon.errors import InstallError
from tokmon.installer.host import host_key
from tokmon.installer.host.run_as import UnixAccount
from tokmon.installer.user import files
from tokmon.installer.user.plan import Step, say
from tokmon.installer.user.subprocesses import require
from tokmon.paths import HOST_POOL
from tokmon.pool.key import FILE as KEY_FILE
from tokmon.pool.key import fingerprint_of, key_in
from tokmon.pool.names import FLEET, FLEET_USER, RECORD, is_member_name

_VERSION: Final = 1
_OPEN_MODE: Final = 0o755
_GROUP_MODE: Final = 0o2750
_PUBLIC_MODE: Final = 0o644
_HINT: Final = "move it away, then run this again"


class Group(NamedTuple):
    """The group whose users may read the members' folders."""

    name: str
    gid: int

    def has(self, account: UnixAccount) -> bool:
        """Whether the account is in it: its next login, at least, has the group."""
        return self.gid in os.getgrouplist(account.name, account.gid)


class _Wanted(NamedTuple):
    """A folder as it should be; `gid` is None where its group does not matter."""

    path: Path
    uid: int
    gid: int | None
    mode: int


@dataclass(frozen=True, slots=True)
class HostPool:
    """The pool in `place`, a folder of root."""

    place: Path = HOST_POOL.parent

    @property
    def folder(self) -> Path:
        """It has one folder for each member."""
        return self.place / HOST_POOL.name

    @property
    def record(self) -> Path:
        """It says whose each folder is."""
        return self.place / RECORD

    @property
    def key(self) -> Path:
        """The key of which each member gets a copy."""
        return self.place / KEY_FILE

    def recorded_group(self) -> str:
        """The name of the group that was chosen before; empty if every local user may read."""
        try:
            believed = self.record.lstat().st_uid == 0
            name = json.loads(files.text_of(self.record)).get("group") if believed else None
        except (OSError, ValueError, AttributeError, RecursionError):
            return ""
        return name if isinstance(name, str) else ""

    def group(self, name: str) -> Group | None:
        """The group with that name, None if it is empty. InstallError if there is no such group."""
        if not name:
            return None
        try:
            return Group(name, grp.getgrnam(name).gr_gid)
        except (KeyError, ValueError):
            hint = "name another with `--pool-group NAME`, or let every local user read with `--no-pool-group`"
            raise InstallError(f"there is no group `{name}`", hint=hint) from None

    def install(self, accounts: Iterable[UnixAccount], group: Group | None) -> Iterator[Step]:
        """Have the key, and a folder for each of these accounts and for the fleet's agent, and none else."""
        accounts = list(accounts)
        members = _by_name(accounts)
        for account in accounts:
            if account.name not in members:
                say(f"{account.name}: no folder of the pool can have this name: it shares nothing")
        for path in (self.place, self.folder):
            yield from _have_folder(_Wanted(path, 0, None, _OPEN_MODE))
        yield from host_key.steps(self.key)
        yield from self.leave(members.values(), "" if group is None else group.name)
        agent = _fleet_agent()
        for name, account in {**members, **({} if agent is None else {FLEET: agent})}.items():
            gid, mode = (account.gid, _OPEN_MODE) if group is None else (group.gid, _GROUP_MODE)
            yield from _have_folder(_Wanted(self.folder / name, account.uid, gid, mode))
            if group is not None and not group.has(account):
                say(f"{account.name} is not in the group `{group.name}`: it cannot read what other members know; have")
                say(f"      it join by `usermod --append --groups {group.name} {account.name}`, then run this again")

    def leave(self, accounts: Iterable[UnixAccount], group: str) -> Iterator[Step]:
        """Remove what is there of members other than these accounts, and record these alone, with the group's name."""
        members = _by_name(accounts)
        stays = {*members, *([FLEET] if _fleet_agent() else [])}
        for name in _folders_in(self.folder):
            if name not in stays:
                path = self.folder / name
                yield Step(f"remove {path}, whose member has left", functools.partial(_remove_folder, path), path)
        key = key_in(self.key)
        record: dict[str, Any] = {
            "version": _VERSION,
            "members": {name: {"uid": account.uid} for name, account in sorted(members.items())},
            **({} if key is None else {"key": fingerprint_of(key)}),
            **({"group": group} if group else {}),
        }
        content = (json.dumps(record) + "\n").encode()
        if not _is_file(self.record, content):
            write = functools.partial(files.write, self.record, content, _PUBLIC_MODE, shared=True)
            yield Step(f"record the members of the pool in {self.record}", write, self.record)

    def remove(self) -> Iterator[Step]:
        """Remove all of it, and the folder above it if nothing else is in it."""
        for name in _folders_in(self.folder):
            path = self.folder / name
            yield Step(f"remove {path}", functools.partial(_remove_folder, path), path)
        if os.path.lexists(self.folder):
            yield Step(f"remove {self.folder}", functools.partial(files.remove_tree, self.folder), self.folder)
        for path in (self.record, self.key):
            if os.path.lexists(path):
                yield Step(f"remove {path}", functools.partial(files.remove_tree, path), path)
        rest = {self.folder.name, self.record.name, self.key.name}
        if _is_folder(self.place) and set(files.names_in(self.place)) <= rest:
            yield Step(f"remove the folder {self.place}", self.place.rmdir, self.place)


def _by_name(accounts: Iterable[UnixAccount]) -> dict[str, UnixAccount]:
    """One for each account, by the name of its folder; the identities of one account share it."""
    return {account.name: account for account in accounts if is_member_name(account.name)}


def _fleet_agent() -> UnixAccount | None:
    try:
        entry = pwd.getpwnam(FLEET_USER)
    except KeyError:
        return None
    return UnixAccount(entry.pw_name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))


def _have_folder(wanted: _Wanted) -> Iterator[Step]:
    """Have that folder. InstallError if something else is in its place."""
    path = wanted.path
    status = _status(path)
    if status is None:
        yield Step(f"make the folder {path}", lambda: _make(wanted), path)
    elif not stat.S_ISDIR(status.st_mode):
        raise InstallError(f"`{path}` is in the way: it is not a folder", hint=_HINT)
    elif not _is_right(status, wanted):
        what = f"give the folder {path} to user {wanted.uid}, with the mode {wanted.mode:o}"
        yield Step(what, lambda: _correct(wanted), path)


def _make(wanted: _Wanted) -> None:
    files.make_folders(wanted.path.parent, shared=True)
    wanted.path.mkdir(mode=0o700)
    _correct(wanted)


def _correct(wanted: _Wanted) -> None:
    """Set mode and owner. The folder above must be root's: what is looked at here stays in its place."""
    path = wanted.path
    files.trust(path.parent, shared=True)
    if not stat.S_ISDIR(path.lstat().st_mode):
        raise InstallError(f"`{path}` is in the way: it is not a folder", hint=_HINT)
    path.chmod(wanted.mode)
    os.chown(path, wanted.uid, -1 if wanted.gid is None else wanted.gid, follow_symlinks=False)
    if not _is_right(path.lstat(), wanted):
        path.chmod(wanted.mode)  # a system that takes the bit of the group away with the owner


def _is_right(status: os.stat_result, wanted: _Wanted) -> bool:
    is_owner = status.st_uid == wanted.uid and wanted.gid in {None, status.st_gid}
    return is_owner and stat.S_IMODE(status.st_mode) == wanted.mode


def _remove_folder(path: Path) -> None:
    """Remove a folder of a member, which may write in it until it is root's."""
    files.trust(path.parent, shared=True)
    if stat.S_ISDIR(path.lstat().st_mode):
        os.chown(path, 0, 0, follow_symlinks=False)
        path.chmod(0o700)
    try:
        files.remove_tree(path)
    except RecursionError:
        require(["rm", "-rf", path])  # folders in folders, deeper than Python goes


def _folders_in(pool: Path) -> list[str]:
    return [name for name in files.names_in(pool) if _is_folder(pool / name)] if _is_folder(pool) else []


def _is_folder(path: Path) -> bool:
    status = _status(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def _is_file(path: Path, content: bytes) -> bool:
    status = _status(path)
    if status is None or status.st_uid != 0 or stat.S_IMODE(status.st_mode) != _PUBLIC_MODE:
        return False
    return files.state(path) == files.digest(content)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None
