"""`install` and `uninstall` from the command line to the exit code.

A new version is made first, by the standard library alone, since the installer may run from a bare checkout. Then that
version does the rest: its hook, its units and its rules are its own.
"""

import os
import sys
from pathlib import Path
from typing import Final

from tokmon.errors import InstallError, UsageError
from tokmon.installer.host import install as for_host
from tokmon.installer.host import members
from tokmon.installer.host import uninstall as from_host
from tokmon.installer.user import install as for_user
from tokmon.installer.user import login, sources
from tokmon.installer.user.layout import ProgramPaths, host_program, running_prefix, user_paths
from tokmon.installer.user.options import Options, parse_install, parse_uninstall
from tokmon.installer.user.plan import STEPS_TAKEN, execute, say, say_total
from tokmon.installer.user.program import Program, opened
from tokmon.installer.user.receipt import Receipt
from tokmon.installer.user.sources import Source
from tokmon.installer.user.subprocesses import clean_environment
from tokmon.installer.user.uninstall import remove_user
from tokmon.installer.user.wheelhouse import wheelhouse

_STEPS: Final = "TOKMON_INSTALL_STEPS"
"""How many steps were taken before the version that was made was started."""


def install(words: list[str]) -> int:
    """Install as the command line says; 0 if all is well, 1 if a member's part failed. Raises TokmonError."""
    options = parse_install(words)
    source = None if options.rollback else _source(options)
    if options.host:
        os.umask(0o022)
        paths = host_program(options.prefix)
        for label in options.member:
            members.named(label)  # refused before anything is done
    else:
        os.umask(0o077)
        login.complete(os.environ, by_root=options.here)
        paths = user_paths(os.environ, options.prefix).program
    name, steps = Path(sys.prefix).name, int(os.environ.pop(_STEPS, "0"))
    is_own = source is not None or options.rollback or running_prefix() == paths.prefix
    if source is not None or options.rollback:
        name, steps = _make_version(options, paths, source)
    if not options.host:
        return for_user.install(options, paths.versions / name if is_own else Path(sys.prefix), steps, is_own=is_own)
    if not is_own:
        raise InstallError(
            "this tokmon was not installed for every member", hint="run `bootstrap/install.sh` or add `--from index`"
        )
    return for_host.install(options, paths, name, steps)


def _source(options: Options) -> Source | None:
    """Where the version comes from; None for the one that runs."""
    if options.wheelhouse is not None:
        return wheelhouse(options.wheelhouse, options.version)
    if options.origin == "index":
        return sources.index(options.version)
    root = sources.own_checkout()
    if root is not None:
        return sources.checkout(root)
    if options.origin == "checkout":
        raise UsageError("this is no checkout", hint="run `bootstrap/install.sh` where tokmon was cloned to")
    return None


def _make_version(options: Options, paths: ProgramPaths, source: Source | None) -> tuple[str, int]:  # noqa: RET503
    """Have the version, and start it to do the rest; in a dry run return its name and the number of steps."""
    Program(paths, Receipt(paths.receipt)).check(source)
    if not options.host:
        for_user.check(options, paths)
    with opened(paths, dry_run=options.dry_run) as program:
        name = program.previous() if source is None else source.name
        if name is None:
            raise InstallError(
                "there is no version to go back to", hint=f"`{paths.versions}` has the one in use, or none"
            )
        steps = 0 if source is None else execute(program.build(source), dry_run=options.dry_run)
    if options.dry_run:
        return name, steps
    command = str(paths.versions / name / "bin" / "tokmon")
    words = [command, "install", *options.for_the_new_version()]
    os.execve(command, words, clean_environment() | {_STEPS: str(steps)})  # noqa: S606 - no shell is wanted


def uninstall(words: list[str]) -> int:
    """Uninstall as the command line says; 0 if all is well, 1 if a member's part failed. Raises TokmonError."""
    options = parse_uninstall(words)
    if options.purge and not options.dry_run:
        _confirm(yes=options.yes)
    if options.host:
        return from_host.uninstall(options, host_program(options.prefix))
    count = remove_user(user_paths(os.environ, options.prefix), options)
    if options.here:
        say(f"{STEPS_TAKEN} {count}")
    else:
        say_total(count, dry_run=options.dry_run, nothing="nothing was installed: nothing changed")
    return 0


def _confirm(*, yes: bool) -> None:
    say("--purge removes the logs and the state as well: every reading, usage event and decision that was recorded")
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("`--purge` asks, and there is no terminal to ask on", hint="add `--yes` if you are sure")
    say("go on? [y/N]")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UsageError("nothing was removed", hint="leave out `--purge` to keep the logs and the state")
