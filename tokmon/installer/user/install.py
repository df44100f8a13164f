"""Installing for the user who runs this: the program if it is the user's own, their part, and what to do next."""

import contextlib
import os
import sys
from dataclasses import replace
from pathlib import Path

from tokmon.errors import StoreError, reason_of
from tokmon.installer.user import identity_key
from tokmon.installer.user.layout import ProgramPaths, running_prefix, user_paths
from tokmon.installer.user.options import Options
from tokmon.installer.user.plan import STEPS_TAKEN, execute, say, say_total
from tokmon.installer.user.program import opened
from tokmon.installer.user.receipt import Receipt
from tokmon.installer.user.setup import UserSetup
from tokmon.paths import Paths
from tokmon.pi import installed, package


def check(options: Options, paths: ProgramPaths) -> None:
    """Say what of the user's part cannot be written, before anything is."""
    home = user_paths(os.environ, options.prefix)
    UserSetup(home, paths.prefix, Path(sys.prefix), options, Receipt(paths.receipt)).check()


def install(options: Options, version: Path, steps: int, *, is_own: bool) -> int:
    """Have `version` in use and the user's part done; `steps` were taken before. Returns the exit code.

    `is_own`: the program is this user's; else it is root's, or came by other means than this installer.
    """
    home = user_paths(os.environ, options.prefix)
    prefix = home.program.prefix if is_own else running_prefix()
    key = identity_key.received() if options.identity_key else None
    setup = UserSetup(home, prefix, version, options, Receipt(home.program.receipt), is_own, key)
    setup.check()
    with opened(home.program, dry_run=options.dry_run) as own:
        if is_own:
            steps += execute(own.use(version.name), dry_run=options.dry_run)
        steps += execute(replace(setup, receipt=own.receipt).steps(), dry_run=options.dry_run)
        if is_own:
            steps += execute(own.prune(version.name), dry_run=options.dry_run)
    has_accounts = options.dry_run or _decide(home.tokmon, changed=bool(steps))
    _say_support(options)
    if options.here:
        say(f"{STEPS_TAKEN} {steps}")
        return 0
    say_total(steps, dry_run=options.dry_run, nothing=f"tokmon {version.name} was installed already: nothing changed")
    if not options.dry_run:
        if steps:
            say(f"tokmon {version.name} is installed")
        _say_next(setup, has_accounts=has_accounts)
    return 0


def _decide(paths: Paths, *, changed: bool) -> bool:
    """Have a decision file, whose lines of accounts the hook falls back on; whether any account is configured."""
    # Here, since a bare checkout has no packages: there a dry run comes this far at most.
    from tokmon.decision import decide, decision_file, policy_cache  # noqa: PLC0415

    try:
        policy = policy_cache.with_chain(paths, policy_cache.load(paths, os.environ)).policy
        if policy.accounts and (changed or not decision_file.path_of(paths, os.environ).exists()):
            decide.refresh_quietly(paths, os.environ, "install")
    except (OSError, StoreError) as error:
        say(f"no decision was made for the hook: {reason_of(error)}")
        return True
    return bool(policy.accounts)


def _say_support(options: Options) -> None:
    """Say if the installed pi is older or newer than what is tested, by its package: pi is not started for that."""
    words = installed.command({**os.environ, "TOKMON_PI": options.pi})
    version = package.package_version(words) if words else None
    # A bare checkout, in a dry run, has no library that compares versions.
    with contextlib.suppress(ImportError):
        from tokmon.pi.support import Support, support  # noqa: PLC0415

        if version is not None and (verdict := support(version)) is not Support.SUPPORTED:
            say(f"pi {version} is {verdict}")


def _say_next(setup: UserSetup, *, has_accounts: bool) -> None:
    """Say what is left to do for the user, in the order in which it is to be done."""
    folder = setup.home.program.link.parent
    if str(folder) not in os.environ.get("PATH", "").split(":"):
        say(f"next: put {folder} on your PATH, to run `tokmon` by its name")
    if installed.command({**os.environ, "TOKMON_PI": setup.options.pi}) is None:
        say("next: install pi; it loads the extension from then on")
    if not has_accounts:
        say(f"next: list your accounts in `{setup.home.tokmon.config}`")
    say("next: use pi as before; `tokmon status` shows an account after its first response, `tokmon doctor` a fault")
