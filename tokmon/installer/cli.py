"""`install` from its command line to its exit code: the program first, then each member's part."""

import contextlib
import os
import pwd
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import tokmon
from tokmon import shipped
from tokmon.errors import InstallError, UsageError
from tokmon.installer import files, locking, places, running, sources, units
from tokmon.installer.member import Part, Wanted, load
from tokmon.installer.options import Options, parse
from tokmon.installer.places import Places
from tokmon.installer.plan import carry_out, say, warn
from tokmon.installer.program import Program
from tokmon.installer.receipt import Receipt
from tokmon.installer.sources import Source

_PACKAGE = Path(tokmon.__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Done:
    """What became of the program's part: steps taken, the version in use, and whether it has yet to do the members'."""

    steps: int
    version: Path
    hand_over: bool


def install(words: list[str]) -> int:
    """Install as the command line says; 0 if all is well. Raises TokmonError."""
    options = parse(words)
    if options.fleet:
        raise UsageError("not yet", hint="add `--user`")
    return _alone(options)


def _alone(options: Options) -> int:
    """For the user who runs this."""
    _find_home()
    os.umask(0o077)
    home = places.of_home(os.environ, options.prefix)
    where = Places(home.data, home.link)
    wanted = _wanted(options, where)
    source = None if options.rollback else _source(options)
    Part(home, wanted, Receipt(home.receipt)).check()
    with _held(options, where, source) as (receipt, lock):
        program = Program(where, receipt, lock)
        done = _program(options, program, source)
        count = done.steps
        if not done.hand_over:
            part = Part(home, replace(wanted, version=done.version), receipt)
            count += carry_out(part.steps(), dry_run=options.dry_run)
            count += carry_out(program.prune(done.version.name), dry_run=options.dry_run)
    if done.hand_over:
        _hand_over(options, done.version)
    _last_words(where, done.version, count, options)
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
def _held(options: Options, where: Places, source: Source | None) -> Iterator[tuple[Receipt, int | None]]:
    """The program's receipt, and the lock that it is under; in a dry run nothing is locked, or made for a lock."""
    Program(where, Receipt(where.receipt)).check(source)
    if options.dry_run:
        yield Receipt.load(where.receipt, shared=where.shared), None
        return
    made = files.missing(where.prefix)
    files.make_folders(where.prefix, shared=where.shared)
    with locking.held(where.lock, shared=where.shared) as lock:
        yield load(where.receipt, made, shared=where.shared), lock


def _program(options: Options, program: Program, source: Source | None) -> Done:
    """Do the program's part."""
    if options.rollback:
        name = program.roll_back()
        steps = program.use(name)
    else:
        if source is None:
            return Done(0, Path(sys.prefix), hand_over=False)
        name = source.name
        steps = program.install(source)
    count = carry_out(steps, dry_run=options.dry_run)
    other = options.rollback or options.wheelhouse is not None or options.origin == "index"
    return Done(count, program.version(name), hand_over=other and not options.dry_run)


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


def _wanted(options: Options, where: Places) -> Wanted:
    return Wanted(
        program=where.program,
        version=where.current,
        hook=(shipped.folder("hooks") / "budget-select").read_bytes(),
        units=units.read(shipped.folder("bootstrap") / "systemd"),
        pi=options.pi,
        hook_dir=options.hook_dir,
        systemd=options.systemd,
    )


def _hand_over(options: Options, version: Path) -> None:
    """Have the version that was installed do the rest, since the rest is its own: its hook, its units, its rules."""
    program = str(version / "bin" / "tokmon")
    if running.ask([program, "install", "--help"]).returncode != 0:
        warn(f"`{program}` is too old to set up members", "their parts are left as they are")
        return
    os.execve(program, [program, "install", *options.given], running.clean())  # noqa: S606 - no shell is wanted


def _last_words(where: Places, version: Path, count: int, options: Options) -> None:
    if options.dry_run:
        say(f"{count} steps would be taken; nothing was changed" if count else "nothing would be changed")
        return
    if str(where.link.parent) not in os.environ.get("PATH", "").split(":"):
        say(f"put {where.link.parent} on your PATH to run `tokmon` by its name")
    if not count:
        say(f"tokmon {version.name} was installed already: nothing changed")
    done = running.ask([where.program, "doctor"])
    sys.stdout.write(done.stdout)
    if done.returncode != 0:
        warn("tokmon is installed; `tokmon doctor` found something to mend (above)")
