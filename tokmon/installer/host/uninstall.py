"""Root uninstalls: each member's part, run as that member, and then the program."""

import contextlib
import functools
from collections.abc import Iterable, Iterator

from tokmon.errors import TokmonError, UsageError
from tokmon.installer.host import launchd, linger, members
from tokmon.installer.host.commands import command, run_part
from tokmon.installer.host.members import HostMember
from tokmon.installer.host.pool import HostPool
from tokmon.installer.user import files, lock
from tokmon.installer.user.layout import ProgramPaths
from tokmon.installer.user.options import Options
from tokmon.installer.user.plan import Step, execute, report, say, say_total
from tokmon.installer.user.receipt import Receipt
from tokmon.installer.user.uninstall import remove_program


def uninstall(options: Options, paths: ProgramPaths) -> int:
    """Remove the parts of the members that were set up, or that are named; then the program, unless some were named."""
    files.trust(paths.prefix, shared=True)
    unlocked = options.dry_run or not paths.prefix.is_dir()
    with contextlib.nullcontext() if unlocked else lock.held(paths.lock, shared=True):
        return _uninstall(options, paths)


def _uninstall(options: Options, paths: ProgramPaths) -> int:
    receipt = Receipt.load(paths.receipt, shared=True)
    _check_shared_accounts(options.member, receipt)
    flags = [*(["--purge", "--yes"] if options.purge else []), *(["--dry-run"] if options.dry_run else [])]
    steps, problems, left = 0, dict[str, TokmonError](), set(receipt.members)
    with command(paths.current) as words:
        for label in options.member or sorted(receipt.members):
            try:
                member = members.named(label)
            except UsageError as problem:
                say(f"{label}: {problem}: nothing of theirs is looked at")
                continue
            try:
                steps += run_part(member, [*words, "uninstall", "--user", "--here", *flags])
                steps += execute(_roots_steps(member, receipt), dry_run=options.dry_run)
                left.discard(label)
            except TokmonError as problem:
                problems[label] = problem
    is_all = not options.member and not problems and paths.prefix.is_dir()
    try:
        steps += execute(_pool(left, is_all=is_all), dry_run=options.dry_run)
    except TokmonError as problem:
        problems["the pool"] = problem
    if problems:
        say("the program is left, because a member's part is left")
    elif is_all:
        steps += execute(_program(paths), dry_run=options.dry_run)
    for label, error in problems.items():
        report(error, label)
    say_total(steps, dry_run=options.dry_run, nothing="nothing was installed: nothing changed")
    return 1 if problems else 0


def _check_shared_accounts(labels: tuple[str, ...], receipt: Receipt) -> None:
    """Refuse to remove one identity from under another of its account, whose sidecar and logs are the same."""
    for label in labels:
        account = label.partition("=")[0]
        others = [known for known in sorted(receipt.members) if known.partition("=")[0] == account]
        left = [known for known in others if known not in labels]
        if left and len(others) > 1:
            raise UsageError(
                f"`{label}` shares its account with `{left[0]}`, which would lose what both use",
                hint="name each of them with `--member`: " + ", ".join(f"`{known}`" for known in others),
            )


def _roots_steps(member: HostMember, receipt: Receipt) -> Iterator[Step]:
    """What root undoes for a member: lingering, if it was turned on for them by us."""
    if receipt.members.get(member.label):
        name = member.account.name
        yield Step(f"end lingering for {name}", functools.partial(linger.turn_off, name))
    if member.label in receipt.members:

        def forget() -> None:
            del receipt.members[member.label]
            receipt.save()

        yield Step(f"forget the member {member.label}", forget, receipt.path)


def _pool(left: Iterable[str], *, is_all: bool) -> Iterator[Step]:
    """Remove the pool, or what is in it of members other than those that are left."""
    pool = HostPool()
    if is_all:
        yield from pool.remove()
    elif pool.folder.is_dir():
        yield from pool.leave(members.accounts_of(left).values(), pool.recorded_group())


def _program(paths: ProgramPaths) -> Iterator[Step]:
    receipt = Receipt.load(paths.receipt, shared=True)
    yield from launchd.remove(receipt)
    yield from remove_program(paths, receipt)
