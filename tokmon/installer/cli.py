"""`install` from its command line to its exit code: the program first, then each member's part."""

import contextlib
import os
import pwd
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import tokmon
from tokmon import paths
from tokmon.errors import InstallError, UsageError
from tokmon.installer import files, fleet, locking, member, places, running, sources, units
from tokmon.installer.member import Part, Wanted
from tokmon.installer.options import Options, parse
from tokmon.installer.places import Home, Places
from tokmon.installer.plan import carry_out, say, warn
from tokmon.installer.program import Program
from tokmon.installer.receipt import Receipt
from tokmon.installer.sources import Source
from tokmon.pi import extension

_PACKAGE: Final = Path(tokmon.__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Target:
    """What is installed, and where: a version from `source`, the one that runs, or with `--rollback` the one before.

    `own` says whether the program is ours to change; else it is root's, or came by other means than this installer.
    """

    where: Places
    source: Source | None
    own: bool


def install(words: list[str]) -> int:
    """Install as the command line says; 0 if all is well, 1 if a member's part failed. Raises TokmonError."""
    options = parse(words)
    source = None if options.rollback else _source(options)
    return _for_members(options, source) if options.fleet else _alone(options, source)


def _source(options: Options) -> Source | None:
    """Where the version comes from; None for the one that runs."""
    if options.wheelhouse is not None:
        return sources.wheelhouse(options.wheelhouse, options.version)
    if options.origin == "index":
        return sources.index(options.version)
    root = sources.checkout_of(_PACKAGE)
    if root is not None:
        return sources.checkout(root)
    if options.origin == "checkout":
        raise UsageError("this is no checkout", hint="run `bootstrap/install.sh` where tokmon was cloned to")
    return None


def _target(options: Options, where: Places, source: Source | None) -> Target:
    own = source is not None or options.rollback or places.of_running() == where.prefix
    return Target(where, source, own)


def _alone(options: Options, source: Source | None) -> int:
    """For the user who runs this."""
    _find_home()
    os.umask(0o077)
    home = places.of_home(os.environ, options.prefix or places.prefix_of_running())
    target = _target(options, Places(home.data, home.link), source)
    if not target.own:
        said = _wanted(options, target)
        count, version = member.set_up(home, said, dry_run=options.dry_run), said.version
        return _last_words(home, said.program, version, count, options)
    return _own(options, home, target)


def _own(options: Options, home: Home, target: Target) -> int:
    """The user's own program, and their part."""
    wanted = _wanted(options, target)
    Part(home, wanted, Receipt(home.receipt)).check()
    with _held(options, target) as (receipt, lock):
        program = Program(target.where, receipt, lock)
        version, count = _program(options, program, target.source)
        if not _is_foreign(options):
            part = Part(home, replace(wanted, version=version), receipt)
            count += carry_out(part.steps(), dry_run=options.dry_run)
            count += carry_out(program.prune(version.name), dry_run=options.dry_run)
    if _is_foreign(options):
        _hand_over(options, version)
    return _last_words(home, target.where.program, version, count, options)


def _for_members(options: Options, source: Source | None) -> int:
    """As root, for the members of this host."""
    os.umask(0o022)
    target = _target(options, places.of_root(options.prefix or places.prefix_of_running()), source)
    if not target.own:
        raise InstallError(
            "this tokmon was not installed for every member", hint="run `bootstrap/install.sh` or add `--from index`"
        )
    members = fleet.find(options)
    wanted = replace(_wanted(options, target), link=True)
    with _held(options, target) as (receipt, lock):
        program = Program(target.where, receipt, lock)
        version, count = _program(options, program, target.source)
        if not _is_foreign(options):
            everyone = members if options.members else fleet.with_recorded(members, receipt)
            done = fleet.set_up(everyone, replace(wanted, version=version), receipt, dry_run=options.dry_run)
            count += done.steps + carry_out(program.prune(version.name), dry_run=options.dry_run)
            return fleet.last_words(done, version.name, count, dry_run=options.dry_run)
    _hand_over(options, version)
    return 0


def _find_home() -> None:
    """Set HOME where it is not, and see that it is ours: root's files in a home are what its owner cannot mend."""
    if not os.environ.get("HOME"):
        try:
            os.environ["HOME"] = pwd.getpwuid(os.geteuid()).pw_dir
        except KeyError:
            raise InstallError("HOME is not set, and this user has no home", hint="set HOME") from None
        say(f"HOME is not set: taking {os.environ['HOME']}")
    home = places.absolute(os.environ["HOME"], "HOME")
    if not home.is_dir():
        raise InstallError(f"the home folder `{home}` is missing", hint="make it, or set HOME")
    if home.stat().st_uid != os.geteuid():
        raise InstallError(
            f"the home folder `{home}` belongs to another user",
            hint="run this as its owner, for example with `sudo -H -u NAME`",
        )
    if os.geteuid() == 0:
        warn("this installs for root alone", "without `--user` it is for every member")


@contextlib.contextmanager
def _held(options: Options, target: Target) -> Iterator[tuple[Receipt, int | None]]:
    """The program's receipt, and the lock that it is under; in a dry run nothing is locked, or made for a lock."""
    where = target.where
    Program(where, Receipt(where.receipt)).check(target.source)
    if options.dry_run:
        yield Receipt.load(where.receipt, shared=where.shared), None
        return
    made = files.missing(where.prefix)
    files.make_folders(where.prefix, shared=where.shared)
    with locking.held(where.lock, shared=where.shared) as lock:
        yield member.load(where.receipt, made, shared=where.shared), lock


def _program(options: Options, program: Program, source: Source | None) -> tuple[Path, int]:
    """Do the program's part: which version is in use then, and how many steps it took."""
    if options.rollback:
        name = program.roll_back()
        steps = program.use(name)
    elif source is not None:
        name = source.name
        steps = program.install(source)
    else:
        name = Path(sys.prefix).name
        steps = program.use(name)
    return program.version(name), carry_out(steps, dry_run=options.dry_run)


def _is_foreign(options: Options) -> bool:
    """Whether the version in use will be another than the one that runs this: it does the members' part itself."""
    other = options.rollback or options.wheelhouse is not None or options.origin == "index"
    return other and not options.dry_run


def _wanted(options: Options, target: Target) -> Wanted:
    prefix = target.where.prefix if target.own else places.of_running()
    inside = Path(sys.prefix) if prefix is None else prefix / "current"
    return Wanted(
        program=inside / "bin" / "tokmon",
        version=Path(sys.prefix),
        extension=extension.source() if prefix is None else inside / "extensions" / "tokmon",
        hook=(paths.shipped_folder("hooks") / "budget-select").read_bytes(),
        units=units.read(paths.shipped_folder("bootstrap") / "systemd"),
        pi=options.pi,
        hook_dir=options.hook_dir,
        link=not target.own and prefix is not None,
        systemd=options.systemd,
    )


def _hand_over(options: Options, version: Path) -> None:
    """Have the version that was installed do the rest, since the rest is its own: its hook, its units, its rules."""
    program = str(version / "bin" / "tokmon")
    if running.ask([program, "install", "--help"]).returncode != 0:
        warn(f"`{program}` is too old to set up members", "their parts are left as they are")
        return
    os.execve(program, [program, "install", *options.given], running.clean())  # noqa: S606 - no shell is wanted


def _last_words(home: Home, program: Path, version: Path, count: int, options: Options) -> int:
    if options.dry_run:
        say(f"{count} steps would be taken; nothing was changed" if count else "nothing would be changed")
        return 0
    if str(home.link.parent) not in os.environ.get("PATH", "").split(":"):
        say(f"put {home.link.parent} on your PATH to run `tokmon` by its name")
    if not count:
        say(f"tokmon {version.name} was installed already: nothing changed")
    done = running.ask([program, "doctor"])
    sys.stdout.write(done.stdout)
    if done.returncode != 0:
        warn("tokmon is installed; `tokmon doctor` found something to mend (above)")
    return 0
