"""`tokmon status`: the quota, limits and data age of every account. Needs no sidecar."""

import os
import stat
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from tokmon import paths
from tokmon.decision import policy_cache
from tokmon.decision.decide import situation
from tokmon.errors import UsageError, nearest
from tokmon.paths import Paths
from tokmon.pi.accounts import read_types
from tokmon.pi.models_json import read_models
from tokmon.pool.folder import Problem
from tokmon.pool.roster import RosterEntry, roster
from tokmon.report.status import remarks_text, status_text
from tokmon.report.terminal import output, put_json, say, style_of, width_of
from tokmon.report.view import View, view
from tokmon.report.words import no_accounts
from tokmon.store import state_file

SUMMARY: Final = "show quota, limits and data age of every account"

_PLAIN: Final = {"": "text", "--json": "json", "--format wake": "wake", "--format=wake": "wake"}
"""What hooks and people use most, recognised without a parser: its import would cost as much as all the rest."""


def run(arguments: list[str]) -> int:
    """Print the report, one object, or the block for a wake prompt; 0 also without any data."""
    form, utc, everyone, member = _options(arguments)
    locations = paths.find()
    if everyone or member is not None:
        return _members(locations, form, member, utc=utc)
    if form != "wake":
        state_file.require_readable(locations)
    shown = look(locations, time.time())
    unreadable = unreadable_files(locations)
    if form == "wake":
        from tokmon.report.wake_block import wake_text  # noqa: PLC0415 - only for a prompt, which gets no hint either

        say(wake_text(shown, style_of(output()), complete=not unreadable))
        return 0
    from tokmon.sidecar import health  # noqa: PLC0415 - a wake prompt has no line for it

    sidecar = health.look(locations)
    if form == "json":
        from tokmon.report.status_json import to_json  # noqa: PLC0415 - the text needs none of it

        put_json(to_json(shown) | {"sidecar": sidecar.to_json()})
    else:
        width = width_of(output())
        lines = status_text(shown, width, style_of(output(), utc=utc))
        remarks = remarks_text(sidecar.remarks(), width)
        if lines or remarks:
            say([*lines, *([""] if lines and remarks else []), *remarks])
    for path in unreadable:
        print(f"warning: cannot read `{path}`; its data is not shown", file=sys.stderr)
    _hint(shown, locations)
    return 0


def _members(locations: Paths, form: str, name: str | None, *, utc: bool) -> int:
    """Print what each member of the pool knows first hand, or the one of that name."""
    from tokmon.report import members  # noqa: PLC0415 - only for people

    state_file.require_readable(locations)
    now = time.time()
    types = read_types(locations, os.environ)
    loaded = policy_cache.with_chain(locations, policy_cache.load(locations, os.environ), os.environ)
    proposed = policy_cache.propose(locations, loaded.policy, os.environ)
    entries, problems = roster(locations, os.environ, loaded.pool, now)
    if name is not None:
        entries, problems = (_of_name(name, entries, problems),), ()
    views = [members.member_view(entry, now, types, loaded.policy, proposed) for entry in entries]
    if form == "json":
        put_json(members.members_json(views, problems, now))
        return 0
    why_none = f"no accounts: {no_accounts(locations.models)}, and no response has been recorded"
    say(members.members_text(views, problems, width_of(output()), style_of(output(), utc=utc), why_none))
    return 0


def _of_name(name: str, entries: tuple[RosterEntry, ...], problems: tuple[Problem, ...]) -> RosterEntry:
    entry = next((entry for entry in entries if entry.name == name), None)
    if entry is not None:
        return entry
    refused = next((f"`{path}` is not believed: {why}" for path, why in problems if path.name == name), None)
    near = nearest(name, (entry.name for entry in entries))
    meant = f"did you mean `{near}`?" if near else "`tokmon status --all` lists the members"
    raise UsageError(f"the pool has no member `{name}`", hint=refused or meant)


def look(locations: Paths, now: float) -> View:
    """The accounts of pi, of the policy and of the logs, as of `now`."""
    types = read_types(locations, os.environ)
    known = situation(locations, os.environ, more=types)
    return view(known.snapshot, types, known.policy, known.others, now)


def unreadable_files(locations: Paths) -> list[Path]:
    """What exists and cannot be read: the folder of the logs, a log, models.json."""
    try:
        os.scandir(locations.logs).close()
        logs = [path for path in state_file.evidence_logs(locations) if not _is_readable(path)]
    except FileNotFoundError:
        logs = []
    except OSError:
        logs = [locations.logs]
    return logs if _is_json(locations.models) else [*logs, locations.models]


def _is_readable(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode) and os.access(path, os.R_OK)
    except OSError as error:
        return isinstance(error, FileNotFoundError)


def _is_json(path: Path) -> bool:
    """Whether the file is an object, or does not exist."""
    return read_models(path) is not None or (_is_readable(path) and not os.access(path, os.F_OK))


def _hint(shown: View, locations: Paths) -> None:
    """What to do where there is nothing to show yet."""
    if any(account.has_evidence for account in shown.accounts):
        return
    if not shown.accounts:
        print(
            f"no accounts: {no_accounts(locations.models)}, and no response has been recorded",
            file=sys.stderr,
        )
    print("hint: run a turn of pi, then try again; `tokmon doctor` checks the installation", file=sys.stderr)


class _Options(NamedTuple):
    form: str
    utc: bool = False
    everyone: bool = False
    member: str | None = None


def _options(arguments: list[str]) -> _Options:
    plain = _PLAIN.get(" ".join(arguments))
    if plain is not None:
        return _Options(plain)
    from tokmon.report import arguments as command_line  # noqa: PLC0415 - see above

    parser = command_line.parser(
        "status", SUMMARY, examples=("tokmon status", "tokmon status --all", "tokmon status --format wake")
    )
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", dest="format", action="store_const", const="json", help="same as `--format json`")
    forms.add_argument(
        "--format",
        choices=("text", "json", "wake"),
        default="text",
        help="a report (text), one JSON object with ages in seconds (json), or a short block for an agent's prompt "
        "(wake)",
    )
    parser.add_argument("--utc", action="store_true", help="show clock times in UTC")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="show what each member of the host knows first hand")
    which.add_argument("--member", metavar="NAME", help="show what this member knows first hand")
    parsed = parser.parse(arguments)
    if (parsed.all or parsed.member is not None) and parsed.format == "wake":
        raise UsageError("a wake prompt has the accounts of its own member", hint="leave out `--all` and `--member`")
    return _Options(parsed.format, parsed.utc, parsed.all, parsed.member)
