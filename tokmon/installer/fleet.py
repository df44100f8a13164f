"""Root's way through the members: what only root may do for each, then their part, done as themselves."""

import functools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tokmon.errors import TokmonError, UsageError
from tokmon.installer import daemons, member, members, places, service
from tokmon.installer.member import Wanted
from tokmon.installer.members import Found, Member, Outcome
from tokmon.installer.options import Options
from tokmon.installer.plan import Step, carry_out, say
from tokmon.installer.receipt import Receipt


@dataclass(frozen=True, slots=True)
class Done:
    """What became of the members: how many steps were taken, for how many of how many, and whose part failed."""

    steps: int
    good: int
    members: int
    failed: tuple[Outcome, ...]


def find(options: Options) -> Found:
    """The members that are named, or else everyone who is one. Raises UsageError."""
    if options.members:
        return Found(tuple(members.named(each) for each in options.members), ())
    return members.discover()


def with_recorded(found: Found, receipt: Receipt) -> Found:
    """Those that were found, and those that were set up by name before: an upgrade for all is for them, too."""
    known, more = {each.label for each in found.members}, []
    for label in sorted(receipt.members.keys() - known):
        try:
            more.append(members.named(label))
        except UsageError as error:
            say(f"{label}: {error}: left out")
    return replace(found, members=(*found.members, *more))


def set_up(found: Found, wanted: Wanted, receipt: Receipt, *, dry_run: bool) -> Done:
    """Do the part of each; one that fails keeps nobody else from theirs."""
    steps, good, failed = 0, 0, list(found.unseen)
    for each in found.members:
        needed = wanted.systemd and service.needs_linger(each.name, each.uid)
        try:
            steps += carry_out(_roots_steps(each, receipt, linger=needed), dry_run=dry_run)
            if wanted.systemd and daemons.on_this_system():
                steps += carry_out(daemons.install(each, wanted.program, receipt), dry_run=dry_run)
        except TokmonError as error:
            outcome = Outcome(each, problem=str(error), hint=error.hint)
        else:
            own = replace(wanted, manager=needed)
            outcome = members.become(each, functools.partial(_as_member, own, dry_run=dry_run))
        steps += outcome.answer if isinstance(outcome.answer, int) else 0
        if outcome.problem is None:
            good += 1
        else:
            failed.append(outcome)
    return Done(steps, good, len(found.members), tuple(failed))


def _roots_steps(each: Member, receipt: Receipt, *, linger: bool) -> Iterator[Step]:
    """What root does for a member: nothing in their home."""
    if each.label not in receipt.members:

        def remember() -> None:
            receipt.members[each.label] = False
            receipt.save()

        yield Step(f"record the member {each.label}", remember, receipt.path)
    if linger:

        def turn_on() -> None:
            receipt.members[each.label] = True
            receipt.save()
            service.linger(each.name, each.uid)

        yield Step(f"have systemd run for {each.name} without a login (linger)", turn_on)


def _as_member(wanted: Wanted, *, dry_run: bool) -> int:
    return member.set_up(places.of_home(os.environ), wanted, dry_run=dry_run)


def tell(failed: tuple[Outcome, ...]) -> None:
    """Say whose part failed, and why."""
    for outcome in failed:
        sys.stderr.write(f"error: {outcome.member.label}: {outcome.problem}\n")
        if outcome.hint:
            sys.stderr.write(f"hint: {outcome.hint}\n")


def last_words(done: Done, version: str, count: int, *, dry_run: bool) -> int:
    """Say what became of all; the exit code."""
    if not done.members:
        say("nobody here has a pi folder yet: once somebody has, run this again, or name them with `--member NAME`")
    if dry_run:
        say(f"{count} steps would be taken; nothing was changed" if count else "nothing would be changed")
    elif not count and not done.failed:
        say(f"tokmon {version} was installed already: nothing changed")
    else:
        say(f"tokmon {version}: {done.good} of {done.members} members are set up")
    tell(done.failed)
    return 1 if done.failed else 0
