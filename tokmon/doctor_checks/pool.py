"""The pool: how many members are read, what of it is not believed, and whether this member has a folder in it."""

import grp
import os
import stat
from collections.abc import Iterator
from typing import Final

from tokmon.decision import policy_cache
from tokmon.doctor_checks.subject import Subject
from tokmon.errors import reason_of
from tokmon.pool import folder
from tokmon.pool.folder import FILES, Pool, Problem
from tokmon.pool.key import FILE as KEY_FILE
from tokmon.pool.key import fingerprint_of, read_key
from tokmon.pool.settings import PoolSettings
from tokmon.pool.view import PoolReader
from tokmon.report.findings import Finding, ok, warn
from tokmon.report.words import plural

_NAMED: Final = 5
_INSTALL: Final = "run root's install: `sudo tokmon install`"


def pool(subject: Subject) -> Finding:
    """The members that are read, and the first of the folders and files that are not believed. Nothing blocks."""
    settings = policy_cache.load(subject.paths, subject.env, keep=False).pool
    if not settings.share:
        return ok("not shared (`[pool] share = false`)")
    current = folder.look(subject.paths, subject.env)
    if subject.paths.pool_is_shared and current.own is None and os.geteuid() != 0:
        return _without_folder(current)
    if (group := _foreign_group(current)) is not None:
        return warn(
            f"`{current.own}` is for the group `{group}`, which this process is not in: it reads no other member",
            f"`usermod --append --groups {group} NAME` as root, then {_INSTALL}",
        )
    if current.own is not None and not _has_hosts_key(subject, current):
        return warn(
            f"`{subject.paths.state / KEY_FILE}` is not the key of this host: members cannot compare their accounts",
            f"{_INSTALL}, then restart pi and the sidecar",
        )
    problems = list(dict.fromkeys(_problems(current, settings, subject.now)))
    read = plural(len(_members(current, settings)), "other member")
    ignored = f", {len(settings.ignore)} ignored" if settings.ignore else ""
    if problems:
        first = "; ".join(f"`{path}`: {why}" for path, why in problems[:_NAMED])
        more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        return warn(
            f"{read}{ignored}; not believed: {first}{more}",
            "nothing of that is used; its owner can publish it anew, and root's install corrects folders",
        )
    return ok(f"{read}{ignored} in `{current.path}`")


def _without_folder(current: Pool) -> Finding:
    return warn(f"this user has no folder of its own in `{current.path}`: it publishes nothing", _INSTALL)


def _has_hosts_key(subject: Subject, current: Pool) -> bool:
    key, recorded = read_key(subject.paths), folder.recorded_key(current.path)
    return recorded is None or (key is not None and fingerprint_of(key) == recorded)


def _members(current: Pool, settings: PoolSettings) -> list[folder.Member]:
    return [member for member in current.others if member.name not in settings.ignore]


def _problems(current: Pool, settings: PoolSettings, now: float) -> Iterator[Problem]:
    """What is not believed: folders, files, and parts of what they hold."""
    yield from PoolReader().read(current, settings, None, now)[1]
    for member in _members(current, settings):
        for name in FILES:
            try:
                folder.read(member, name)
            except (OSError, ValueError) as error:
                yield Problem(member.folder / f"{name}.json", reason_of(error))


def _foreign_group(current: Pool) -> str | None:
    """The group that may read the members' folders, if this process is not in it."""
    try:
        status = current.own.lstat() if current.own is not None else None
    except OSError:
        return None
    if status is None or not status.st_mode & stat.S_ISGID or os.geteuid() == 0:
        return None
    if status.st_gid in {os.getegid(), *os.getgroups()}:
        return None
    try:
        return grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        return str(status.st_gid)
