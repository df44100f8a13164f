"""Whether credit pays for a session beyond the plan of an account. Pure."""

from tokmon.evidence.log_line import SERVED
from tokmon.evidence.model import Status
from tokmon.evidence.snapshot import Account, Evidence
from tokmon.selection.current import TURN_S
from tokmon.selection.limits import concern


def overage_is_open(account: Account, evidence: Evidence | None, now: float) -> bool:
    """Whether credit pays beyond the plan, by the newest evidence of that: a later refusal (`evidence`) is one."""
    paid = account.overage_evidence
    if paid is None or paid.overage is None or now - paid.stamp.ts > TURN_S:
        return False
    if evidence is not None and evidence.status is Status.REJECTED and evidence.stamp > paid.stamp:
        return False
    return paid.overage.in_use or paid.overage.status in SERVED or paid.overage.permitted is True


def is_billed(account: Account, model: str, now: float) -> bool:
    """Whether the last answer that reported windows was paid from credit although none of the plan's was used up.

    Where one was used up, that ends with the window.
    """
    paid = account.overage_evidence
    if paid is None or paid.overage is None or not paid.overage.in_use or now - paid.stamp.ts > TURN_S:
        return False
    newer = any(known.stamp > paid.stamp for known in account.windows.values())
    full = any(known.window.is_full and concern(account, known.window, model) for known in account.windows.values())
    return paid.model in {None, model} and not newer and not full
