"""A decision for a person: why this account, and why not each other."""

from collections.abc import Iterator
from typing import Final

from tokmon.report.words import Style, ago, clean, clock, duration, percent, source_word, spoken
from tokmon.selection.assessment import Verdict
from tokmon.selection.candidates import Alternative
from tokmon.selection.choose import Asked, Decision

_COLOURS: Final = {
    Verdict.USABLE: "green",
    Verdict.SPENDS: "yellow",
    Verdict.UNKNOWN: "dim",
    Verdict.EXCLUDED: "red",
}


def decision_text(decision: Decision, style: Style) -> Iterator[str]:
    """The choice and its reason, then every account that was looked at, in the order of preference."""
    name = style.paint(f"{clean(decision.provider)} {clean(decision.model)}", "bold")
    yield f"{name}  {clean(decision.reason)}"
    if decision.emergency:
        yield style.paint("EMERGENCY: nothing of the chain or the fallback is usable", "red")
    if decision.spends:
        yield style.paint("this spends credit", "yellow")
    until = clock(decision.valid_until, decision.decided_at, style.zone)
    holds = duration(decision.valid_until - decision.decided_at)
    yield f"policy {decision.policy}; decided now, holds for {holds} ({until})"
    for answer in decision.asked:
        yield _asked(answer)
    width = max((len(clean(each.standing.provider)) for each in decision.alternatives), default=0)
    for each in decision.alternatives:
        yield _line(each, decision, width, style)


def _asked(answer: Asked) -> str:
    came = "no answer" if answer.http_status is None else f"HTTP {answer.http_status}, {spoken(answer.status)}"
    why = f" ({clean(answer.error)})" if answer.error else ""
    return f"asked {clean(answer.provider)} {clean(answer.asked)}: {came} in {answer.elapsed_ms:.0f} ms{why}"


def _line(each: Alternative, decision: Decision, width: int, style: Style) -> str:
    told = each.standing
    mark = ">" if told.provider == decision.provider else " "
    parts = [f"{window.name} {percent(window.utilization)}" for window in told.windows if window.name in {"5h", "7d"}]
    parts += [f"{name} expired" for name in told.expired]
    week = told.window("7d")
    if week is not None and week.resets_at is not None:
        parts.append(f"7d resets in {duration(week.resets_at - decision.decided_at)}")
    unsafe = each.unsafe
    if unsafe is not None and unsafe.hits_in_s is not None and told.verdict is not Verdict.EXCLUDED:
        parts.append(f"{unsafe.name} would be used up in {duration(unsafe.hits_in_s)}")
    if told.source is not None and told.age_s is not None:
        parts.append(f"{told.status}, {ago(told.age_s)}, {source_word(told.source)}")
    verdict = style.paint(f"{told.verdict:<8}", _COLOURS[told.verdict])
    return f"{mark} {clean(told.provider):<{width}}  {verdict}  {clean(told.why)}" + "".join(
        f"; {part}" for part in parts
    )
