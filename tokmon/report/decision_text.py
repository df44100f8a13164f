"""A decision for a person: why this account, and why not each of the others."""

from collections.abc import Iterator
from typing import Final

from tokmon.evidence.model import Scope, Window
from tokmon.evidence.snapshot import WindowEvidence
from tokmon.report.words import Style, ago, by, clean, clock, duration, percent, source_word, spoken
from tokmon.selection.assessment import Assessment, Fitness
from tokmon.selection.candidates import Candidate
from tokmon.selection.choose import Decision, ProbeSummary

_COLOURS: Final = {
    Fitness.USABLE: "green",
    Fitness.BILLED: "yellow",
    Fitness.UNKNOWN: "dim",
    Fitness.EXCLUDED: "red",
}


def decision_text(decision: Decision, style: Style) -> Iterator[str]:
    """The choice and its reason, then every account of the policy, in the order of preference."""
    name = style.paint(f"{clean(decision.provider)} {clean(decision.model)}", "bold")
    yield f"{name}  {clean(decision.reason)}"
    if decision.emergency:
        yield style.paint("EMERGENCY: no account of the chain or the fallback is usable", "red")
    if decision.spends:
        yield style.paint("paid from credit", "yellow")
    if decision.equal:
        yield f"about as good: {', '.join(map(clean, decision.equal))}"
    yield f"policy {decision.policy}; {_holds(decision, style)}"
    for probe in decision.probes:
        yield _probe(probe)
    width = max((len(clean(candidate.provider)) for candidate in decision.candidates), default=0)
    for candidate in decision.candidates:
        yield _line(candidate, decision, width, style)


def _holds(decision: Decision, style: Style) -> str:
    seconds = decision.valid_until - decision.decided_at
    if seconds < 1:
        return "decided for this session alone"
    until = clock(decision.valid_until, decision.decided_at, style.zone)
    return f"the same for {duration(seconds)} (until {until}) unless new evidence comes"


def _probe(probe: ProbeSummary) -> str:
    result = "no answer" if probe.http_status is None else f"HTTP {probe.http_status}, {spoken(probe.status)}"
    why = f" ({clean(probe.error)})" if probe.error else ""
    return f"probed {clean(probe.provider)} ({clean(probe.request)}): {result} in {probe.elapsed_ms:.0f} ms{why}"


def _line(candidate: Candidate, decision: Decision, width: int, style: Style) -> str:
    assessment = candidate.assessment
    mark = ">" if candidate.provider == decision.provider else " "
    fitness = style.paint(f"{assessment.fitness:<8}", _COLOURS[assessment.fitness])
    remarks = [clean(assessment.reason), *_remarks(candidate, decision.decided_at)]
    if sessions := decision.reservations.on(candidate):
        remarks.append(f"{sessions} running or just sent there")
    return f"{mark} {clean(candidate.provider):<{width}}  {fitness}  {'; '.join(remarks)}"


def _remarks(candidate: Candidate, now: float) -> Iterator[str]:
    """The figures that the choice looks at, each with its age, and the status with its own."""
    assessment = candidate.assessment
    yield from (_figure(known, now) for known in assessment.figures if _is_watched(known.window))
    yield from (f"{clean(name)} has reset since" for name in assessment.expired)
    exhausted = candidate.exhausted
    if exhausted is not None and exhausted.hits_in_s is not None and assessment.fitness is not Fitness.EXCLUDED:
        yield f"{exhausted.name} would be used up in {duration(exhausted.hits_in_s)}"
    if assessment.evidence is not None:
        yield _status(assessment, now)


def _is_watched(window: Window) -> bool:
    return window.name in {"5h", "7d"} or window.scope is Scope.MODEL


def _figure(known: WindowEvidence, now: float) -> str:
    """`7d 30% used 3m ago, resets in 2d`; `3m ago (by nadja)` for what another member knows."""
    resets_at, stamp = known.window.resets_at, known.stamp
    owner = f" ({by(stamp.member, '')})" if stamp.member else ""
    resets = "" if resets_at is None else f", resets in {duration(resets_at - now)}"
    return f"{clean(known.window.name)} {percent(known.window.utilization)} used {ago(now - stamp.ts)}{owner}{resets}"


def _status(assessment: Assessment, now: float) -> str:
    stamp = None if assessment.evidence is None else assessment.evidence.stamp
    origin = "" if stamp is None else f" ({source_word(stamp.source)}{by(stamp.member)}, {ago(now - stamp.ts)})"
    return f"{spoken(assessment.status)}{origin}"
