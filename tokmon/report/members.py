"""The members of the pool, each with its accounts as it knows them first hand: as text, and as one object."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tokmon.pool.folder import Problem
from tokmon.pool.publication import RunningSessions
from tokmon.pool.roster import RosterEntry
from tokmon.report.status import remarks_text, status_text
from tokmon.report.status_json import VERSION, to_json
from tokmon.report.view import View, view
from tokmon.report.words import Style, ago, clean, fit, plural
from tokmon.selection.policy import Policy
from tokmon.wire.instants import rfc3339

_MOST_ACCOUNTS: Final = 40
"""Of one other member, in text: a member can publish any number of names."""

_MOST_PROBLEMS: Final = 20


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member as of now. `newest_at` is the instant of its newest evidence; `note` says why there is none."""

    name: str
    shown: View
    newest_at: float | None
    sessions: tuple[RunningSessions, ...]
    note: str
    is_own: bool


def member_view(
    entry: RosterEntry, now: float, types: Mapping[str, str | None], policy: Policy, others: Policy
) -> MemberView:
    """The view of one member. Types and policies are of this member: they say nothing of another one's accounts."""
    mine = (types, policy, others) if entry.is_own else ({}, Policy(), Policy())
    newest = entry.snapshot.newest
    newest_at = None if newest is None else newest.ts
    shown = view(entry.snapshot, *mine, now)
    return MemberView(entry.name, shown, newest_at, entry.sessions, entry.note, entry.is_own)


def members_text(
    members: list[MemberView], problems: tuple[Problem, ...], width: int, style: Style, no_accounts: str
) -> Iterator[str]:
    """A heading and the accounts of each member, then what is not believed.

    `no_accounts` says why this member has none.
    """
    for number, member in enumerate(members):
        if number:
            yield ""
        yield from (style.paint(line, "bold") for line in remarks_text([_heading(member, width)], width))
        if not member.shown.accounts:
            yield from remarks_text([no_accounts] if member.is_own else [], width)
            continue
        yield ""
        first = replace(member.shown, accounts=member.shown.accounts[: None if member.is_own else _MOST_ACCOUNTS])
        yield from status_text(first, width, style, _notes(member.sessions))
        if more := len(member.shown.accounts) - len(first.accounts):
            yield f"{more} more: `--json` has all"
    if problems:
        yield from ("", style.paint("Not believed:", "bold"))
        first_problems = [f"`{path}`: {why}" for path, why in problems[:_MOST_PROBLEMS]]
        yield from remarks_text(first_problems, width)
        if more := len(problems) - _MOST_PROBLEMS:
            yield from [f"and {more} more"] if more > 0 else []


def members_json(members: list[MemberView], problems: tuple[Problem, ...], now: float) -> dict[str, Any]:
    """The same (docs/json.md)."""
    return {
        "version": VERSION,
        "now": rfc3339(now),
        "members": [_member_json(member, now) for member in members],
        "not_believed": [{"path": str(path), "reason": why} for path, why in problems],
    }


def _heading(member: MemberView, width: int) -> str:
    """`Member nadja: newest evidence 3m ago; 2 sessions running`."""
    number = sum(running.sessions for running in member.sessions)
    remarks = [member.note] if member.note else []
    if member.newest_at is not None:
        remarks.append(f"newest evidence {ago(member.shown.now - member.newest_at)}")
    elif member.is_own:
        remarks.append("no evidence yet")
    if number:
        remarks.append(f"{plural(number, 'session')} running")
    own = " (this one)" if member.is_own else ""
    return f"Member {fit(clean(member.name), max(8, width - 20))}{own}: {'; '.join(remarks)}"


def _notes(sessions: tuple[RunningSessions, ...]) -> dict[str, str]:
    """The sessions of each account."""
    return {running.provider: f"{plural(running.sessions, 'session')} running" for running in sessions}


def _member_json(member: MemberView, now: float) -> dict[str, Any]:
    report, newest_at = to_json(member.shown), member.newest_at
    return {
        "member": member.name,
        "own": member.is_own,
        "note": member.note or None,
        "newest_at": None if newest_at is None else rfc3339(newest_at),
        "newest_age_s": None if newest_at is None else round(now - newest_at, 3),
        "sessions": [
            {"provider": provider, "count": count, "since": rfc3339(since)}
            for provider, count, since in member.sessions
        ],
        "overall": report["overall"],
        "providers": report["providers"],
    }
