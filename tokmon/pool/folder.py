"""The pool's folders: which of them are believed, and how their files are read and written.

    POOL/                     root's install makes it; without root it is a folder of the user
    POOL/MEMBER/NAME.json     what that member publishes, by atomic replacement
    POOL/@fleet/HOST/MEMBER/  the same of members of other hosts

Root's install records whose each folder is (`members.json` beside the pool). Whatever else a folder holds, or where a
link leads, is hostile: nothing is followed, nothing is read that is not a file of that member.
"""

import os
import pwd
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from tokmon.errors import reason_of
from tokmon.paths import FOLDER_MODE, HOST_POOL, Paths, private_folder
from tokmon.pool import names
from tokmon.pool.key import share_key
from tokmon.store.atomic import replace_public
from tokmon.store.codec import encode, parse, read_json
from tokmon.store.opener import open_file

FILES: Final = names.FILES
RECORD: Final = names.RECORD
FLEET: Final = names.FLEET
FLEET_USER: Final = names.FLEET_USER
is_member_name = names.is_member_name
MOST_MEMBERS: Final = 2000
"""Folders that are looked at, in the order of their names."""

_OTHERS_MAY_WRITE: Final = 0o022


class Member(NamedTuple):
    """A folder of the pool that is believed. `name` is `MEMBER`, or `HOST/MEMBER` of another host."""

    name: str
    folder: Path
    uid: int


class Problem(NamedTuple):
    """A folder or file that is not believed, and why."""

    path: Path
    why: str


@dataclass(frozen=True, slots=True)
class Pool:
    """The pool as this member sees it. `own` is its folder, None where it does not publish."""

    path: Path
    own: Path | None
    others: tuple[Member, ...]
    problems: tuple[Problem, ...]


def look(paths: Paths, env: Mapping[str, str]) -> Pool:
    """The pool now: the folders of all members that are believed. Touches nothing; a missing pool is an empty one."""
    record = _recorded(paths.pool)
    own = own_folder(paths, env)
    others: list[Member] = []
    problems: list[Problem] = []
    for folder in _folders(paths.pool, problems):
        if folder.name == FLEET:
            others += _fleet(folder, problems)
        elif folder != own and (member := _believed(folder, folder.name, record, problems)):
            others.append(member)
    return Pool(paths.pool, own, tuple(others), tuple(problems))


def own_folder(paths: Paths, env: Mapping[str, str]) -> Path | None:
    """The folder of this member in root's pool, if root made one, or in a pool of the user's own.

    Root's pool has one for each Unix account, whatever TOKMON_MEMBER is: its identities share their logs.
    """
    name = _user() if paths.pool_is_shared else own_name(env)
    if name is None or not is_member_name(name):
        return None
    folder = paths.pool / name
    return folder if not paths.pool_is_shared or _is_folder_of(folder, os.geteuid()) else None


def own_name(env: Mapping[str, str]) -> str | None:
    """The name under which this member publishes: `TOKMON_MEMBER`, else the user's; None if it cannot name a folder."""
    name = env.get("TOKMON_MEMBER") or _user()
    return name if is_member_name(name) else None


def read(member: Member, name: str) -> dict[str, Any]:
    """The object in a file of a member, {} if there is no such file. ValueError, OSError if it is not believed."""
    path = member.folder / f"{name}.json"
    limit = FILES[name]
    try:
        file = open_file(path, follow_links=False)
    except FileNotFoundError:
        return {}
    with file:
        status = os.fstat(file.fileno())
        if status.st_uid != member.uid or status.st_mode & _OTHERS_MAY_WRITE:
            raise ValueError("another user may have written it")
        if status.st_size > limit:
            raise ValueError(f"more than {limit} bytes")
        data = file.read(limit + 1) or b""
    value = parse(data) if len(data) <= limit else None
    if value is None:
        raise ValueError("not a JSON object")
    return value


def make_own(paths: Paths, env: Mapping[str, str]) -> Path | None:
    """The folder of this member, made if the pool is the user's own, with one key for all; None where it has none.

    OSError or StoreError if it cannot be made.
    """
    folder = own_folder(paths, env)
    if folder is not None and not paths.pool_is_shared:
        private_folder(folder.parent)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        share_key(paths)
    return folder


def write(folder: Path, name: str, value: Mapping[str, Any]) -> None:
    """Replace a file of this member's folder; OSError if it cannot be written, ValueError if it is too large."""
    data = encode(value) + b"\n"
    if len(data) > FILES[name]:
        raise ValueError(f"more than {FILES[name]} bytes")
    replace_public(folder / f"{name}.json", data)


def recorded_key(pool: Path) -> str | None:
    """The fingerprint of the key that root's install gave to all members; None if it gave none."""
    fingerprint = (_record(pool) or {}).get("key")
    return fingerprint if isinstance(fingerprint, str) else None


def _recorded(pool: Path) -> Mapping[str, Any] | None:
    """Whose folders root's install made, by name; None in a pool of the user's own, where all are the user's."""
    record = _record(pool)
    members = {} if record is None else record.get("members")
    return None if record is None else members if isinstance(members, dict) else {}


def _record(pool: Path) -> Mapping[str, Any] | None:
    """What root's install recorded, empty where that is not root's; None in a pool of the user's own."""
    record = pool.parent / RECORD
    try:
        owner = pool.lstat().st_uid
        status = record.lstat()
    except OSError:
        return None if pool != HOST_POOL else {}
    if pool != HOST_POOL and owner == os.geteuid() != 0:
        return None
    believed = stat.S_ISREG(status.st_mode) and status.st_uid == 0 and not status.st_mode & _OTHERS_MAY_WRITE
    return (read_json(record) or {}) if believed else {}


def _folders(pool: Path, problems: list[Problem]) -> list[Path]:
    """What lies in the pool, by name; nothing where others than its owner may have put it there."""
    try:
        status = pool.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {0, os.geteuid()}:
            raise ValueError("not a folder of root or of this user")
        if status.st_mode & _OTHERS_MAY_WRITE:
            raise ValueError("others may write in it")
        entries = sorted(name for name in os.listdir(pool) if not name.startswith("."))  # noqa: PTH208
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        problems.append(Problem(pool, reason_of(error)))
        return []
    if len(entries) > MOST_MEMBERS:
        problems.append(Problem(pool, f"more than {MOST_MEMBERS} folders"))
    return [pool / name for name in entries[:MOST_MEMBERS]]


def _believed(
    folder: Path, name: str, record: Mapping[str, Any] | None, problems: list[Problem], uid: int | None = None
) -> Member | None:
    """The member whose folder it is; None, and the reason among the problems, if it is not believed."""
    entry = None if record is None else record.get(name)
    owner = uid if uid is not None else os.geteuid() if record is None else _uid(entry)
    if not is_member_name(folder.name):
        problems.append(Problem(folder, "not a member's name"))
    elif owner is None:
        problems.append(Problem(folder, "not a member that root's install recorded"))
    elif not _is_folder_of(folder, owner):
        problems.append(Problem(folder, f"not a folder of user {owner}"))
    else:
        return Member(name, folder, owner)
    return None


def _fleet(folder: Path, problems: list[Problem]) -> Iterator[Member]:
    """Members of other hosts: `@fleet/HOST/MEMBER`, all of the system user of the fleet's agent."""
    try:
        uid = pwd.getpwnam(FLEET_USER).pw_uid
    except KeyError:
        problems.append(Problem(folder, f"there is no user `{FLEET_USER}`"))
        return
    if not _is_folder_of(folder, uid):
        problems.append(Problem(folder, f"not a folder of user {uid}"))
        return
    left = MOST_MEMBERS
    for host in _subfolders(folder):
        if not _is_folder_of(host, uid):
            problems.append(Problem(host, f"not a folder of user {uid}"))
            continue
        members = _subfolders(host)[:left]
        left -= len(members)
        for member in members:
            if one := _believed(member, f"{host.name}/{member.name}", None, problems, uid):
                yield one


def _subfolders(folder: Path) -> list[Path]:
    """What can be hosts or members in a folder of the fleet's agent, by name; bounded, however much it holds."""
    try:
        with os.scandir(folder) as entries:
            entry_names = sorted(entry.name for entry in islice(entries, MOST_MEMBERS))
    except OSError:
        return []
    return [folder / name for name in entry_names if is_member_name(name)]


def _is_folder_of(folder: Path, uid: int) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == uid and not status.st_mode & _OTHERS_MAY_WRITE


def _uid(entry: object) -> int | None:
    uid = entry.get("uid") if isinstance(entry, dict) else None
    return uid if isinstance(uid, int) and uid >= 0 else None


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
