"""`uninstall` from its command line to its exit code."""

import functools
import os
import sys
from dataclasses import replace
from typing import Final

from tokmon.errors import TokmonError, UsageError
from tokmon.installer import files, fleet, locking, members, places, service, uninstall
from tokmon.installer.members import Member, Outcome
from tokmon.installer.options import Parser
from tokmon.installer.places import Places
from tokmon.installer.plan import Step, carry_out, say
from tokmon.installer.receipt import Receipt
from tokmon.installer.uninstall import Removal

SUMMARY: Final = "take away what was installed and not changed since"


def run(words: list[str]) -> int:
    """Uninstall as the command line says; 0 if all is well, 1 if a member's part failed. Raises TokmonError."""
    options = _parser().parse_args(words)
    prefix = options.prefix or os.environ.get("TOKMON_PREFIX") or None
    given = places.absolute(prefix, "--prefix") if prefix else places.prefix_of_running()
    if options.member and (os.geteuid() != 0 or options.user):
        raise UsageError("only root can name members", hint="run it as root, or leave out whom")
    removal = Removal(purge=options.purge, dry_run=options.dry_run)
    if removal.purge and not removal.dry_run:
        _confirm(yes=options.yes)
    if os.geteuid() == 0 and not options.user:
        return _members(places.of_root(given), options.member, removal)
    count = uninstall.member(places.of_home(os.environ, given), removal)
    _tell(count, dry_run=removal.dry_run)
    return 0


def _parser() -> Parser:
    parser = Parser(prog="tokmon uninstall", description=SUMMARY, allow_abbrev=False)
    parser.add_argument("--user", action="store_true", help="for the user who runs it (default, but for root)")
    parser.add_argument(
        "--member", action="append", default=[], metavar="NAME[=DIR]", help="as root: only this member; may be repeated"
    )
    parser.add_argument("--prefix", metavar="DIR", help="where it was installed")
    parser.add_argument("--purge", action="store_true", help="the logs and the state as well; asks first")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, and change nothing")
    return parser


def _confirm(*, yes: bool) -> None:
    say("--purge removes the logs and the state as well: every reading, usage event and decision that was recorded")
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("`--purge` asks, and there is no terminal to ask on", hint="add `--yes` if you are sure")
    say("go on? [y/N]")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UsageError("nothing was removed", hint="leave out `--purge` to keep the logs and the state")


def _members(where: Places, names: list[str], removal: Removal) -> int:
    """As root: for the members that were set up, or those that are named; then the program, unless some were named."""
    files.trust(where.prefix, shared=True)
    if removal.dry_run or not where.prefix.is_dir():
        return _each(where, names, removal)
    with locking.held(where.lock, shared=True):
        return _each(where, names, removal)


def _each(where: Places, names: list[str], removal: Removal) -> int:
    receipt = Receipt.load(where.receipt, shared=True)
    _together(names, receipt)
    count, failed = 0, []
    for label in names or sorted(receipt.members):
        try:
            each = members.named(label)
        except UsageError as error:
            say(f"{label}: {error}: nothing of theirs is looked at")
            continue
        outcome = members.become(each, functools.partial(_as_member, removal))
        if outcome.problem is None:
            count += outcome.answer if isinstance(outcome.answer, int) else 0
            outcome = _forget(each, receipt, removal, outcome)
        if outcome.problem is not None:
            failed.append(outcome)
    if failed:
        say("the program is left, since a member's part of it is")
    elif not names and where.prefix.is_dir():
        count += uninstall.program(where, replace(removal, purge=False))
    fleet.tell(tuple(failed))
    _tell(count, dry_run=removal.dry_run)
    return 1 if failed else 0


def _together(names: list[str], receipt: Receipt) -> None:
    """Refuse to take one identity away from under another of its account, whose sidecar and logs are the same."""
    for name in names:
        account = name.partition("=")[0]
        others = [label for label in sorted(receipt.members) if label.partition("=")[0] == account]
        left = [label for label in others if label not in names]
        if left and len(others) > 1:
            raise UsageError(
                f"`{name}` shares its account with `{left[0]}`, which would lose what both use",
                hint="name each of them with `--member`: " + ", ".join(f"`{label}`" for label in others),
            )


def _as_member(removal: Removal) -> int:
    return uninstall.member(places.of_home(os.environ), removal)


def _forget(each: Member, receipt: Receipt, removal: Removal, outcome: Outcome) -> Outcome:
    """What root undoes for a member: lingering, if it was turned on for them by us."""
    steps = []
    if receipt.members.get(each.label):
        steps.append(Step(f"end lingering for {each.name}", lambda: service.stop_lingering(each.name)))
    try:
        carry_out(steps, dry_run=removal.dry_run)
        if not removal.dry_run and receipt.members.pop(each.label, None) is not None:
            receipt.save()
    except TokmonError as error:
        return Outcome(each, problem=str(error), hint=error.hint)
    return outcome


def _tell(count: int, *, dry_run: bool) -> None:
    if dry_run:
        say(f"{count} steps would be taken; nothing was changed" if count else "nothing would be changed")
    elif not count:
        say("nothing was installed: nothing changed")
