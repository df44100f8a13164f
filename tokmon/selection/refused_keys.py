"""Whether the key of an account counts as refused: 401s flap on valid keys. Pure."""

from typing import Final

from tokmon.evidence.history import History
from tokmon.evidence.log_line import CHECK, CONFIRMED
from tokmon.evidence.snapshot import Account, Evidence, Stamp
from tokmon.selection.current import counts

KEY_REFUSALS: Final = 3
KEY_REFUSED_OVER_S: Final = 120.0
"""So many 401s, over so many seconds, exclude a key that has worked."""


def refused_to_a_probe(history: History, now: float) -> bool:
    """Whether a probe or check of the last two minutes was answered with a refusal of the key."""
    answers = [evidence for source, evidence in history.key_refusals.items() if source in {CHECK, "probe"}]
    return any(now - evidence.stamp.ts <= KEY_REFUSED_OVER_S for evidence in answers)


def key_is_refused(account: Account, evidence: Evidence, now: float) -> bool:
    """Whether the key counts as invalid: 401s flap on valid keys.

    It takes three in a row over two minutes, a second try or a second source that says so too, or a key that never
    worked.
    """
    history = account.history
    served = history.last_served
    if served is None or (evidence.substatus == CONFIRMED and evidence.stamp > served):
        return True
    known_good = max(served.ts, _instant(history.last_limited))
    refusals = [ts for ts in history.key_refusal_times.values() if ts > known_good]
    if len(refusals) >= KEY_REFUSALS and max(refusals) - min(refusals) >= KEY_REFUSED_OVER_S:
        return True
    others = [other for source, other in history.key_refusals.items() if source != evidence.stamp.source]
    return any(other.stamp.ts > known_good and counts(account, other, now) for other in others)


def _instant(stamp: Stamp | None) -> float:
    return 0.0 if stamp is None else stamp.ts
