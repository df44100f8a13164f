"""Accounts that other members have under the same name, where nothing shows whether they are the same."""

import json
from typing import TYPE_CHECKING, Final

from tokmon.decision import policy_cache, sharing
from tokmon.doctor_checks.subject import Subject
from tokmon.pi.accounts import read_accounts
from tokmon.report.findings import Finding, ok, warn
from tokmon.report.words import plural
from tokmon.store import state_file

if TYPE_CHECKING:
    from tokmon.evidence.shared import Doubt

_NAMED: Final = 5


def pool_identity(subject: Subject) -> Finding:
    """The accounts in doubt, each with the members that have one of its name, and the `alias` that would merge them."""
    loaded = policy_cache.with_chain(
        subject.paths, policy_cache.load(subject.paths, subject.env, keep=False), subject.env
    )
    names = {*read_accounts(subject.paths, subject.env), *loaded.policy.accounts}
    own = state_file.current(subject.paths).snapshot
    doubts: list[Doubt] = []
    sharing.with_members(subject.paths, subject.env, loaded.pool, own, names, doubts)
    members: dict[str, list[str]] = {}
    for provider, member in sorted(set(doubts)):
        members.setdefault(provider, []).append(member)
    if not members:
        return ok("no account of another member is in doubt")
    alias = json.dumps([*loaded.pool.alias, *members], ensure_ascii=False)
    return warn(
        f"perhaps the same account, perhaps not, and so not merged: {'; '.join(map(_words, members.items()))}",
        f"if they are the same, set `alias = {alias}` in the table `[pool]` of `{subject.paths.config}`",
    )


def _words(doubt: tuple[str, list[str]]) -> str:
    """`team-a` here and of nadja."""
    provider, members = doubt
    more = len(members) - _NAMED
    others = f" and {plural(more, 'other member')}" if more > 0 else ""
    return f"`{provider}` here and of {', '.join(members[:_NAMED])}{others}"
