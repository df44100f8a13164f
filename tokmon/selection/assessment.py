"""What an account is good for as of now: the evidence that stands, ranked by where it comes from.

A real pi turn outranks a pi check outranks a probe of the bare API, within their age limits. What no longer stands is
not its old value and not nothing: it is unknown, and an unknown account may be tried.
"""

from enum import StrEnum
from typing import Final

import msgspec

from tokmon.evidence.history import History
from tokmon.evidence.log_line import CHECK, CONFIRMED, SERVED
from tokmon.evidence.model import Status, Window
from tokmon.evidence.snapshot import Account, Evidence
from tokmon.selection.policy import Policy

SOURCES: Final = ("piggyback", CHECK, "probe")
"""By rank."""

CHECK_S: Final = 2 * 3600.0
PROBE_S: Final = 20 * 60.0
TURN_S: Final = 24 * 3600.0
"""How long what a source says stands, where the provider names no end. A turn's windows have resets of their own."""

PASSING_S: Final = 600.0
"""How long an overload stands that names no end."""

_DENIED_IN_A_ROW: Final = 3
DENIED_OVER_S: Final = 120.0


class Verdict(StrEnum):
    """What the account is good for, the best first."""

    USABLE = "usable"
    SPENDS = "spends"
    UNKNOWN = "unknown"
    EXCLUDED = "excluded"


class Standing(msgspec.Struct, frozen=True):
    """One account as of now. Utilizations are fractions, None where unknown or expired; ages in seconds."""

    provider: str
    verdict: Verdict
    why: str
    status: Status = Status.UNKNOWN
    source: str | None = None
    age_s: float | None = None
    windows: tuple[Window, ...] = ()
    """Of the account, as far as they stand."""

    expired: tuple[str, ...] = ()
    """Names of windows that have started afresh since they were read."""

    checked: bool = False
    """Whether the newest pi check is fresh and has passed."""

    failing: bool = False
    """Whether the newest pi check is fresh and started no session, for nothing that is known otherwise."""

    denied: bool = False
    """Whether it is excluded for its key alone."""

    confirmed: bool = False
    """Whether that is what it has just said when it was asked."""

    unreachable: bool = False
    """Whether the newest word is that the network failed: that breaks ties and excludes nothing."""

    def window(self, name: str) -> Window | None:
        """The window of that name, if it stands."""
        return next((window for window in self.windows if window.name == name), None)

    def utilization(self, name: str) -> float | None:
        """How much of it is used."""
        found = self.window(name)
        return None if found is None else found.utilization


def standing(provider: str, account: Account | None, policy: Policy, now: float) -> Standing:
    """What that account is good for, for the model that would be asked of it."""
    if account is None:
        return Standing(provider, Verdict.UNKNOWN, "nothing seen yet")
    seen = _ranked(account, now)
    past = account.history
    failed = past.network_error
    valid = past.last_served is not None and now - past.last_served.ts <= PROBE_S
    heard = [stamp for stamp in (past.last_served, None if seen is None else seen.stamp) if stamp is not None]
    own = [each.window for each in account.windows.values() if each.window.scope is None]
    told = Standing(
        provider,
        Verdict.UNKNOWN,
        "its key is valid, and nothing else that stands" if valid else "nothing that stands",
        status=Status.UNKNOWN if seen is None else seen.status,
        source=None if seen is None else seen.stamp.source,
        age_s=None if seen is None else now - seen.stamp.ts,
        windows=tuple(window for window in own if not window.expired(now)),
        expired=tuple(sorted(window.name for window in own if window.expired(now))),
        checked=_is_checked(account, now),
        failing=_is_failing(account, now),
        unreachable=failed is not None
        and all(failed.stamp > stamp for stamp in heard)
        and now - failed.stamp.ts < PASSING_S,
    )
    verdict, why = _verdict(account, seen, told, policy, now)
    denied = why == _DENIED
    if told.failing and verdict is not Verdict.EXCLUDED:
        why = f"{why}, but its last pi check started no session"
    if told.unreachable and verdict is not Verdict.EXCLUDED:
        why = f"{why}, but the network failed of late"
    return msgspec.structs.replace(
        told, verdict=verdict, why=why, denied=denied, confirmed=denied and _asked(past, now)
    )


_DENIED: Final = "its key is refused"


def _is_checked(account: Account, now: float) -> bool:
    check, failed = account.history.by_source.get(CHECK), account.history.last_failed_check
    if check is None or check.status not in SERVED or now - check.stamp.ts > CHECK_S:
        return False
    return failed is None or failed < check.stamp


def _is_failing(account: Account, now: float) -> bool:
    """Not where the check said why of the account, of one model or of the network: that counts by itself, elsewhere."""
    past = account.history
    failed, turn = past.last_failed_check, past.by_source.get("piggyback")
    if failed is None or now - failed.ts > CHECK_S:
        return False
    said = [past.network_error, *past.from_source(CHECK), *account.models.values()]
    if any(seen is not None and seen.stamp == failed for seen in said):
        return False
    return turn is None or turn.status not in SERVED or turn.stamp < failed


def _ranked(account: Account, now: float, *, keys: bool = True) -> Evidence | None:
    """The evidence of its status that counts, by rank; a refusal gives way to a newer session that started.

    Without `keys`, it is the refusal of another kind than of its key, if there is one.
    """
    past = account.history
    words = [
        next((seen for seen in past.from_source(source) if _counts(account, seen, now, keys=keys)), None)
        for source in SOURCES
    ]
    counting = [seen for seen in words if seen is not None]
    if not counting:
        return None
    first, check = counting[0], past.by_source.get(CHECK)
    if not keys:
        first = next((seen for seen in counting if seen.status not in SERVED), first)
    started = check is not None and check in counting and check.status in SERVED and check.stamp > first.stamp
    return check if started and first.status not in SERVED else first


def _counts(account: Account, seen: Evidence, now: float, *, keys: bool) -> bool:
    if seen.status is Status.INVALID_KEY and (not keys or _worked_since(account, seen)):
        return False
    return stands(seen, now) and not _reset_since(account, seen, now)


def stands(seen: Evidence, now: float) -> bool:
    """Whether that evidence of a status counts as of now."""
    return now < over_at(seen)


def over_at(seen: Evidence) -> float:
    """Until when that evidence of a status counts."""
    if seen.status not in SERVED and seen.blocked_until is not None:
        return seen.blocked_until
    if seen.status is Status.OVERLOADED:
        return seen.stamp.ts + PASSING_S
    return seen.stamp.ts + {"piggyback": TURN_S, CHECK: CHECK_S}.get(seen.stamp.source, PROBE_S)


def _reset_since(account: Account, seen: Evidence, now: float) -> bool:
    """Whether a rejection that names no end has ended with the windows that were used up."""
    if seen.status is not Status.REJECTED or seen.blocked_until is not None:
        return False
    full = [each.window for each in account.windows.values() if each.window.scope is None and _is_full(each.window)]
    return bool(full) and all(window.expired(now) for window in full)


def _asked(past: History, now: float) -> bool:
    """Whether a question of the last minutes was answered with a refusal of its key."""
    answers = [seen for source, seen in past.key_refusals.items() if source in {CHECK, "probe"}]
    return any(now - seen.stamp.ts <= DENIED_OVER_S for seen in answers)


def _worked_since(account: Account, seen: Evidence) -> bool:
    """Whether the key has been shown to be valid since."""
    worked = account.history.last_served
    return worked is not None and worked > seen.stamp


def _is_full(window: Window) -> bool:
    return window.status == Status.REJECTED or window.remaining == 0 or (window.utilization or 0) >= 1


def _verdict(
    account: Account, seen: Evidence | None, told: Standing, policy: Policy, now: float
) -> tuple[Verdict, str]:
    model = policy.model_of(told.provider)
    refused = account.models.get(model)
    if refused is not None and refused.status not in SERVED and stands(refused, now):
        return Verdict.EXCLUDED, f"{model} is refused ({refused.status})"
    if seen is not None and seen.status is Status.INVALID_KEY:
        if _is_denied(account, seen, now):
            return Verdict.EXCLUDED, _DENIED
        # It says nothing yet, and so hides nothing that others say.
        told = msgspec.structs.replace(told, why="one 401 on a key that worked")
        other = _ranked(account, now, keys=False)
        seen = None if other is None or other.status in SERVED else other
    if seen is not None and seen.status not in {*SERVED, Status.REJECTED}:
        return Verdict.EXCLUDED, _REFUSED.get(seen.status, seen.status)
    return _by_use(account, seen, told, policy, now)


def _by_use(account: Account, seen: Evidence | None, told: Standing, policy: Policy, now: float) -> tuple[Verdict, str]:
    """By what is left of the plan, and whether credit pays where nothing is."""
    full = _spent(told.windows)
    rejected = seen is not None and seen.status is Status.REJECTED
    billed = _is_billed(account, policy.model_of(told.provider), now)
    if billed or ((full is not None or rejected) and _overage_is_open(account, seen, now)):
        if policy.spend_credit == "never":
            return Verdict.EXCLUDED, "it would spend credit, and `spend_credit` is `never`"
        return Verdict.SPENDS, "its answers are billed, credit pays" if billed else "the plan is used up, credit pays"
    if rejected or (seen is None and full is not None):
        return Verdict.EXCLUDED, f"{full.name} is used up" if full else _REFUSED[Status.REJECTED]
    return (Verdict.UNKNOWN, told.why) if seen is None else (Verdict.USABLE, "answers")


_REFUSED: Final = {
    Status.REJECTED: "its limit is reached",
    Status.POLICY_REJECTED: "refused by policy",
    Status.NO_CREDIT: "no credit left",
    Status.OVERLOADED: "overloaded",
}


def _overage_is_open(account: Account, seen: Evidence | None, now: float) -> bool:
    """Whether use beyond the plan is paid from credit, by the newest word on that: a later refusal (`seen`) is one."""
    paid = account.overage_evidence
    if paid is None or paid.overage is None or now - paid.stamp.ts > TURN_S:
        return False
    if seen is not None and seen.status is Status.REJECTED and seen.stamp > paid.stamp:
        return False
    return paid.overage.in_use or paid.overage.status in SERVED or paid.overage.permitted is True


def _is_billed(account: Account, model: str, now: float) -> bool:
    """Whether the last answer that told of windows was paid from credit although none of the plan's was used up.

    Where one was used up, that ends with the window.
    """
    paid = account.overage_evidence
    if paid is None or paid.overage is None or not paid.overage.in_use or now - paid.stamp.ts > TURN_S:
        return False
    windows = account.windows.values()
    return paid.model in {None, model} and not any(
        each.stamp > paid.stamp or (each.window.scope is None and _is_full(each.window)) for each in windows
    )


def _spent(windows: tuple[Window, ...]) -> Window | None:
    return next((window for window in windows if (window.utilization or 0) >= 1 and window.name in {"5h", "7d"}), None)


def _is_denied(account: Account, seen: Evidence, now: float) -> bool:
    """Whether its key is taken for invalid: 401s flap on valid ones.

    It takes three in a row over two minutes, a second try or a second source that says so too, or a key that never
    worked.
    """
    past = account.history
    if past.last_served is None or (seen.substatus == CONFIRMED and seen.stamp > past.last_served):
        return True
    known_good = max(past.last_served.ts, 0.0 if past.last_limited is None else past.last_limited.ts)
    refusals = [ts for ts in past.key_refusal_times.values() if ts > known_good]
    if len(refusals) >= _DENIED_IN_A_ROW and max(refusals) - min(refusals) >= DENIED_OVER_S:
        return True
    others = [other for source, other in past.key_refusals.items() if source != seen.stamp.source]
    return any(other.stamp.ts > known_good and stands(other, now) for other in others)
