"""One account out of the configuration, with the reason, and why not each other."""

import math
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from tokmon.evidence.snapshot import Snapshot
from tokmon.selection.assessment import Verdict
from tokmon.selection.candidates import Alternative, Seen, look
from tokmon.selection.policy import Policy

VALID_S: Final = 30.0
"""How long a decision stands at most: new evidence may come at any moment."""

_STICKY: Final = 1.5
"""How much more urgent another account must be before a session leaves its own: a switch loses prompt caches."""

_CLOSE: Final = 1.1
"""Within which two are as urgent as each other, and the order of the chain decides."""


class Asked(msgspec.Struct, frozen=True):
    """One account that was asked before the choice: what was asked (`GET /path`), and what came, if anything."""

    provider: str
    asked: str
    http_status: int | None
    status: str
    elapsed_ms: float
    error: str | None = None


class Decision(msgspec.Struct, frozen=True):
    """The choice. `emergency` is a failure, and is said so; instants are epoch seconds."""

    provider: str
    model: str
    reason: str
    policy: str
    decided_at: float
    valid_until: float
    emergency: bool = False
    spends: bool = False
    pinned: bool = False
    afresh: bool = False
    """Whether every key of the chain was refused by what is remembered, and that was not believed."""

    asked: tuple[Asked, ...] = ()
    """Who was asked for it."""

    alternatives: tuple[Alternative, ...] = ()


def choose(
    policy: Policy, snapshot: Snapshot, now: float, current: str | None = None, before: dict[str, Seen] | None = None
) -> Decision | None:
    """The account for a session that starts now; None where the configuration names nobody.

    `current` is the account that the session has had, or that the last decision was for; `before` as of `look`.
    """
    if policy.pin is not None:
        others = tuple(look(policy, snapshot, now).values())
        return _decision(policy, policy.pin, "pinned by TOKMON_PIN", now, others, pinned=True)
    if not policy.order:
        return None
    seen = look(policy, snapshot, now, before)
    cached = cached_refusals(policy, seen)
    for name in cached:
        unknown = msgspec.structs.replace(
            seen[name].standing,
            verdict=Verdict.UNKNOWN,
            why="every key of the chain was refused: not believed",
            denied=False,
        )
        seen[name] = msgspec.structs.replace(seen[name], standing=unknown)
    picked = pick(policy, seen, current)
    return _decision(policy, *picked[:2], now, tuple(seen.values()), emergency=picked.emergency, afresh=bool(cached))


class Picked(NamedTuple):
    """Who, and why; `emergency` where nobody is usable."""

    provider: str
    reason: str
    emergency: bool


def pick(policy: Policy, seen: Mapping[str, Alternative], current: str | None) -> Picked:
    """The choice among all accounts of a policy that names one at least."""
    resumed = policy.resumes
    if resumed in policy.chain and _goes_on(policy, seen[resumed]):
        return Picked(resumed, "the session goes on where it was, and that lasts for it", emergency=False)
    picked, reason = (_by_threshold if policy.policy == "threshold" else _by_forecast)(policy, seen, current)
    if picked is None:
        return Picked(policy.emergency or policy.order[0], "nothing else is usable", emergency=True)
    return Picked(picked, reason, emergency=False)


def _goes_on(policy: Policy, each: Alternative) -> bool:
    """Whether a session that is resumed may stay where its prompt cache is: on a plan that lasts for it."""
    if each.standing.verdict in {Verdict.EXCLUDED, Verdict.SPENDS} or each.standing.failing:
        return False
    if policy.policy == "threshold":
        return (each.standing.utilization("7d") or 0.0) < policy.threshold
    return _lasts(each, policy)


def cached_refusals(policy: Policy, seen: Mapping[str, Alternative]) -> list[str]:
    """The keys that are refused by what is remembered alone, where every key of the chain is: it is not believed."""
    chain = [seen[name].standing for name in policy.chain]
    return [each.provider for each in chain if not each.confirmed] if all(each.denied for each in chain) else []


def _able(seen: Mapping[str, Alternative], names: tuple[str, ...]) -> tuple[list[Alternative], list[Alternative]]:
    """Those that may be taken, in the order of the names: on their plan, and on credit."""
    able = [seen[name] for name in names if seen[name].standing.verdict is not Verdict.EXCLUDED]
    # Whether a session starts at all is the first question: where a check of late says no, others go first.
    able = [each for each in able if not each.standing.failing] or able
    spending = [each for each in able if each.standing.verdict is Verdict.SPENDS]
    plain = [each for each in able if each.standing.verdict is not Verdict.SPENDS]
    # A network error excludes nothing; it only lets others go first.
    plain.sort(key=lambda each: each.standing.unreachable)
    return plain, spending


def _reserve(policy: Policy, seen: Mapping[str, Alternative]) -> list[Alternative]:
    """Those of the fallback that may be taken, with credit where `spend_credit` puts it."""
    plain, spending = _able(seen, policy.fallback)
    return [*spending, *plain] if policy.spend_credit == "first" else [*plain, *spending]


def _by_threshold(policy: Policy, seen: Mapping[str, Alternative], _current: str | None) -> tuple[str | None, str]:
    """The first of the chain that is usable and under the threshold; the lowest if all are over; then the fallback."""
    checked = tuple(name for name in policy.chain if seen[name].standing.checked)
    plain, spending = _able(seen, checked)
    if not plain and not spending:
        plain, spending = _able(seen, policy.chain)
    if spending and (policy.spend_credit == "first" or not plain):
        return spending[0].standing.provider, spending[0].standing.why
    for each in plain:
        used = each.standing.utilization("7d")
        apart = not each.standing.unreachable and any(other.standing.unreachable for other in plain)
        but = "; the network failed for others" if apart else ""
        if used is None:
            return each.standing.provider, f"first of the chain; its 7d is unknown, and assumed to be fresh{but}"
        if used < policy.threshold:
            limit = _percent(policy.threshold)
            return each.standing.provider, f"first of the chain under {limit}: 7d at {_percent(used)}{but}"
    if plain:
        lowest = min(plain, key=lambda each: each.standing.utilization("7d") or 0.0)
        used = lowest.standing.utilization("7d") or 0.0
        return (
            lowest.standing.provider,
            f"all are over {_percent(policy.threshold)}; the lowest 7d, at {_percent(used)}",
        )
    return _fallback(policy, seen)


def _percent(fraction: float) -> str:
    """With a tenth where there is one, not rounded up: what is under the threshold must not look as if it were over."""
    return f"{math.floor(fraction * 1000 + 1e-6) / 10:g}%"


def _fallback(policy: Policy, seen: Mapping[str, Alternative]) -> tuple[str | None, str]:
    able = _reserve(policy, seen)
    return (able[0].standing.provider, "no account of the chain is usable") if able else (None, "")


def _by_forecast(policy: Policy, seen: Mapping[str, Alternative], current: str | None) -> tuple[str | None, str]:
    """Of those that last for the session, the one whose quota dies first; else the one that lasts longest."""
    plain, spending = _able(seen, policy.chain)
    safe = [each for each in plain if _lasts(each, policy)]
    if policy.spend_credit == "first" and spending:
        return spending[0].standing.provider, f"{spending[0].standing.why}, which expires"
    if safe:
        return _most_urgent(safe, current)
    if spending:
        return spending[0].standing.provider, f"no plan lasts for the session; {spending[0].standing.why}"
    reserve = [each for each in _reserve(policy, seen) if _lasts(each, policy)]
    if reserve:
        return reserve[0].standing.provider, "no account of the chain would last for the session"
    if plain:
        longest = max(plain, key=_lasting)
        return longest.standing.provider, f"none would last for the session; this one lasts longest ({_until(longest)})"
    return _fallback(policy, seen)


def _lasts(each: Alternative, policy: Policy) -> bool:
    return each.unsafe is None and (each.standing.utilization("5h") or 0.0) < policy.five_hour_guard


def _lasting(each: Alternative) -> float:
    """Seconds until it would be used up; past the 5h guard counts for less than before it."""
    unsafe = each.unsafe
    return float("inf") if unsafe is None or unsafe.hits_in_s is None else unsafe.hits_in_s


def _until(each: Alternative) -> str:
    unsafe = each.unsafe
    if unsafe is None or unsafe.hits_in_s is None:
        return "past the 5h guard"
    return f"{unsafe.name} used up in {unsafe.hits_in_s / 60:.0f} min"


def _most_urgent(safe: list[Alternative], current: str | None) -> tuple[str, str]:
    most = max(each.urgency for each in safe)
    own = next((each for each in safe if each.standing.provider == current), None)
    if own is not None and own.urgency * _STICKY >= most and not own.standing.unreachable:
        return own.standing.provider, "it goes on: it lasts for the session, and none is much more urgent"
    picked = next(each for each in safe if each.urgency * _CLOSE >= most)
    if picked.standing.utilization("7d") is None:
        return picked.standing.provider, "nothing is known of its week, which is taken to be fresh"
    return picked.standing.provider, "it lasts for the session, and its week is lost first"


def _decision(
    policy: Policy, provider: str, reason: str, now: float, alternatives: tuple[Alternative, ...], **flags: bool
) -> Decision:
    taken = next((each for each in alternatives if each.standing.provider == provider), None)
    spends = taken is not None and taken.standing.verdict is Verdict.SPENDS
    return Decision(
        provider=provider,
        model=policy.model_of(provider),
        reason=reason,
        policy=policy.policy,
        decided_at=now,
        valid_until=_valid_until(alternatives, now),
        spends=spends,
        asked=(),
        alternatives=alternatives,
        **flags,
    )


def _valid_until(alternatives: tuple[Alternative, ...], now: float) -> float:
    """Until something may change by itself: evidence ends, a window starts afresh, or would be used up."""
    moments = [now + VALID_S, *changes(alternatives), *(now + seconds for seconds in crossings(alternatives))]
    return min(moment for moment in moments if moment > now)


def changes(alternatives: tuple[Alternative, ...]) -> Iterator[float]:
    """When evidence ends, and when the windows that stand start afresh, in epoch seconds."""
    for each in alternatives:
        yield each.changes_at
        yield from (window.resets_at for window in each.standing.windows if window.resets_at is not None)


def crossings(alternatives: tuple[Alternative, ...]) -> Iterator[float]:
    """How soon limits would be reached, in seconds; not those that are."""
    for each in alternatives:
        yield from (hit.hits_in_s for hit in each.projections if hit.hits_in_s)
