"""GitHub Copilot: quota snapshots as URL queries, and what its limits of use are called when one is exceeded.

`rem` is the percent that *remains*, `ent` the entitlement (-1: unlimited), `ov` what was used beyond it.
Sources: microsoft/vscode-copilot-chat, captured responses; docs/families.md.
"""

from typing import Final
from urllib.parse import parse_qs

from tokmon.evidence import values
from tokmon.evidence.model import ErrorClass, ErrorText, Overage, RawResponse, Reading, Scope, Status, Window

NAME: Final = "copilot"
PREFIXES: Final = (
    "x-quota-snapshot-",
    "x-ratelimit-exceeded",
    "x-ratelimit-user-retry-after",
    "x-usage-ratelimit-",
)

_QUOTAS: Final = ("x-quota-snapshot-", "x-usage-ratelimit-")
_EXCEEDED: Final = (("5-hour", "session"), ("session", "session"), ("weekly", "weekly"), ("7-day", "weekly"))
_PREMIUM: Final = "premium"


def parse(evidence: RawResponse) -> Reading | None:
    """Read the quotas, and the limit that a refusal names; None where there is none of them."""
    windows: dict[str, Window] = {}
    overage: Overage | None = None
    warnings: list[str] = []
    for header in sorted(evidence.headers):
        if not header.startswith(_QUOTAS):
            continue
        name = header.removeprefix(_QUOTAS[0]).removeprefix(_QUOTAS[1]).replace("-", "_")
        # A plus sign is that of a time zone here, not a space.
        query = (values.first_value(evidence.headers[header]) or "").replace("+", "%2B")
        said = {key: found[0] for key, found in parse_qs(query).items()}
        window = _quota(name, said, evidence.at)
        windows[name] = window
        if not said:
            warnings += values.unparseable(name, {"quota": query}, {"quota": None})
        warnings += values.unparseable(name, said, {"rem": window.utilization, "rst": window.resets_at})
        if "ov" in said and (overage is None or name.startswith(_PREMIUM)):
            used = values.count(said["ov"])
            overage = Overage(in_use=bool(used), used=used, permitted=values.flag(said.get("ovPerm")))
    exceeded = values.first_value(evidence.headers.get("x-ratelimit-exceeded"))
    wait = values.number(evidence.headers.get("x-ratelimit-user-retry-after") or evidence.headers.get("retry-after"))
    spent = next((name for word, name in _EXCEEDED if exceeded and word in exceeded), None)
    if spent is not None:
        until = None if wait is None or wait < 0 else values.plausible(evidence.at + wait)
        windows[spent] = Window(spent, 1.0, until, status=Status.REJECTED)
    if not windows and exceeded is None:
        return None
    return Reading(
        windows=tuple(windows.values()),
        overage=overage,
        retry_after_s=wait if exceeded is not None and wait is not None and wait >= 0 else None,
        family=NAME,
        warnings=tuple(warnings),
    )


def _quota(name: str, said: dict[str, str], at: float) -> Window:
    """One quota; an unlimited one has no limit."""
    entitled = values.number(said.get("ent"))
    left = values.percent(said.get("rem"))
    limited = entitled is None or entitled >= 0
    return Window(
        name=name,
        utilization=None if left is None else round(max(0.0, 1 - left), 9),
        resets_at=values.reset(said.get("rst"), at),
        limit=entitled if limited else None,
        remaining=round(entitled * left, 6) if entitled is not None and limited and left is not None else None,
    )


def classify(error: ErrorText) -> ErrorClass | None:
    """Read an error text of Copilot's."""
    spent = "exceeded your" in error.lowercase and ("session limit" in error.lowercase or "weekly" in error.lowercase)
    if spent and error.http_status != _BAD_REQUEST:
        return ErrorClass(Status.REJECTED, Scope.ACCOUNT)
    if error.http_status == _CLIENT_UNSUPPORTED and "copilot" in error.account_type:
        return ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT, "client_unsupported")
    return None


_BAD_REQUEST: Final = 400
_CLIENT_UNSUPPORTED: Final = 466
