"""Root installs for the members: what only root may do for each, then each member's part, run as that member."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from tokmon.errors import InstallError, TokmonError, UsageError
from tokmon.installer.host import host_key, launchd, linger, members, user_manager
from tokmon.installer.host.commands import command, run_part
from tokmon.installer.host.members import Discovery, HostMember
from tokmon.installer.host.pool import Group, HostPool
from tokmon.installer.user.layout import ProgramPaths
from tokmon.installer.user.options import Options
from tokmon.installer.user.plan import Step, execute, report, say, say_total
from tokmon.installer.user.program import Program, opened
from tokmon.installer.user.receipt import Receipt
from tokmon.installer.user.sources import base_python
from tokmon.installer.user.subprocesses import Words

_POOL: Final = "the pool"


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the members have in common: the key, and the group that may read the pool."""

    key: bytes | None = None
    group: Group | None = None


def install(options: Options, paths: ProgramPaths, name: str, steps: int) -> int:
    """Have the version `name` in use and every member set up; `steps` were taken before. Returns the exit code."""
    chosen = Discovery(tuple(map(members.named, options.member)), {})
    with opened(paths, dry_run=options.dry_run) as program:
        steps += execute(program.use(name), dry_run=options.dry_run)
        if not options.member:
            chosen = _with_recorded(members.discover(base_python()), program.receipt)
        more, shared = _have_pool(chosen, program.receipt, options)
        steps += more
        with command(program.version(name)) as words:
            part = [*words, "install", "--user", "--here", *options.for_a_user()]
            part += ["--dry-run"] if options.dry_run else []
            steps += _set_up_all(chosen, part, program, options, shared)
        steps += execute(program.prune(name), dry_run=options.dry_run)
    return _last_words(chosen, name, steps, dry_run=options.dry_run)


def _with_recorded(discovery: Discovery, receipt: Receipt) -> Discovery:
    """The members that were found, and those that were set up by name before: an install for all is for them too."""
    labels, more = {member.label for member in discovery.members}, []
    for label in sorted(receipt.members.keys() - labels):
        try:
            more.append(members.named(label))
        except UsageError as error:
            say(f"{label}: {error}: left out")
    return replace(discovery, members=(*discovery.members, *more))


def _have_pool(chosen: Discovery, receipt: Receipt, options: Options) -> tuple[int, _Shared]:
    """Have the pool's folders; the number of steps. What fails there keeps no member from theirs."""
    pool = HostPool()
    accounts = members.accounts_of(receipt.members) | {one.account.name: one.account for one in chosen.members}
    try:
        group = pool.group(pool.recorded_group() if options.pool_group is None else options.pool_group)
        steps = execute(pool.install(accounts.values(), group), dry_run=options.dry_run)
        return steps, _Shared(host_key.read(pool.key, dry_run=options.dry_run), group)
    except InstallError as error:
        chosen.problems[_POOL] = error
        return 0, _Shared()


def _set_up_all(chosen: Discovery, words: Words, program: Program, options: Options, shared: _Shared) -> int:
    """Set up each member; a part that fails keeps no other member from theirs, and is added to the problems."""
    steps = 0
    for member in chosen.members:
        try:
            steps += _set_up(member, words, program, options, shared)
        except TokmonError as error:
            chosen.problems[member.label] = InstallError(str(error), hint=error.hint)
    return steps


def _set_up(member: HostMember, words: Words, program: Program, options: Options, shared: _Shared) -> int:
    account, receipt = member.account, program.receipt
    lingers = options.systemd and linger.is_needed(account.name, account.uid)
    steps = execute(_roots_steps(member, receipt, lingers=lingers), dry_run=options.dry_run)
    if options.systemd and launchd.is_this_system():
        steps += execute(launchd.install(member, program.paths.command, receipt), dry_run=options.dry_run)
    if options.systemd and shared.group is not None and shared.group.has(account):
        steps += execute(user_manager.steps(account, shared.group.gid), dry_run=options.dry_run)
    part = [*words, *(["--lingers"] if lingers else []), *(["--identity-key"] if shared.key else [])]
    return steps + run_part(member, part, shared.key or b"")


def _roots_steps(member: HostMember, receipt: Receipt, *, lingers: bool) -> Iterator[Step]:
    """What root does for a member: nothing in their home."""

    def record(*, lingering: bool) -> None:
        receipt.members[member.label] = lingering
        receipt.save()

    def turn_on() -> None:
        record(lingering=True)
        linger.turn_on(member.account.name, member.account.uid)

    if member.label not in receipt.members:
        yield Step(f"record the member {member.label}", lambda: record(lingering=False), receipt.path)
    if lingers:
        yield Step(f"have systemd run for {member.account.name} without a login (linger)", turn_on)


def _last_words(chosen: Discovery, name: str, steps: int, *, dry_run: bool) -> int:
    """Say what became of all, and what to do next; return the exit code."""
    good = len(chosen.members) - len(chosen.problems.keys() & {member.label for member in chosen.members})
    if (steps and not dry_run) or chosen.problems:
        say(f"tokmon {name}: {good} of {len(chosen.members)} members are set up")
    say_total(steps, dry_run=dry_run, nothing=f"tokmon {name} was installed already: nothing changed")
    if not chosen.members:
        say("next: nobody here has used pi yet (no home holds `.pi/agent`). Once somebody has, run this again;")
        say("      or set up an account now with `--member NAME`")
    elif not chosen.problems and not dry_run:
        say("next: members use pi as before; their `tokmon status` shows an account after its first response")
    for label, error in chosen.problems.items():
        report(error, label)
    return 1 if chosen.problems else 0
