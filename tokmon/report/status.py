"""The view as text: a block for each account, one line for each window; stacked where the terminal is narrow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tokmon.evidence.model import Credits, Overage, Window
from tokmon.evidence.model_windows import names_no_model
from tokmon.evidence.snapshot import Evidence, Stamp
from tokmon.report.gauge import Gauge
from tokmon.report.other_accounts import other_accounts
from tokmon.report.severity import Severity, window_severity
from tokmon.report.view import AccountView, View
from tokmon.report.words import (
    Style,
    ago,
    by,
    clean,
    clock,
    count,
    duration,
    fit,
    left,
    origin,
    percent,
    shorten,
    source_word,
    spoken,
    visible,
)
from tokmon.selection.assessment import WORKS, Fitness

COLOURS: Final = {Severity.CRITICAL: "red", Severity.WARN: "yellow", Severity.OK: "green", Severity.UNKNOWN: "dim"}

_WIDEST: Final = 96
_BAR: Final = (8, 24)
_LEAST_BAR: Final = 4  # where figures of another member need the room
_LABEL: Final = (7, 20)
_REST: Final = 57
"""Columns of a row beside label and bar: indent, gaps, percentage, reset and age."""

_STACKED: Final = 10
"""The same where reset and age stand below."""

_REMARK_LINES: Final = 2
"""That one remark may take on a narrow terminal."""

_OFFERED: Final = {"rejected": "off", "allowed": "available, not in use", None: "not in use"}
_EXTRA: Final = "extra usage"


def status_text(shown: View, width: int, style: Style, notes: Mapping[str, str] | None = None) -> list[str]:
    """The lines of the report; none is longer than `width`. `notes` has a remark for each account, by name."""
    page = _page(shown, width, style)
    lines: list[str] = []
    before = 1
    for account in shown.accounts:
        block = page.block(account) + page.note((notes or {}).get(account.name))
        if lines and max(len(block), before) > 1:
            lines.append("")
        lines += block
        before = len(block)
    return [*lines, "", *_overall(shown, page.width, style)] if lines else []


def remarks_text(remarks: list[str], width: int) -> list[str]:
    """Remarks below the accounts, each in as many lines as it takes."""
    import textwrap  # noqa: PLC0415 - seldom needed

    # A path stays whole, so that it can be copied.
    wrap = textwrap.TextWrapper(min(width, _WIDEST), break_on_hyphens=False, break_long_words=False).wrap
    return [line for remark in remarks for line in wrap(clean(remark))]


def _overall(shown: View, width: int, style: Style) -> list[str]:
    """`Overall: 1 CRITICAL, 3 OK`, in two lines where one is too short."""
    counts = [f"{number} {style.paint(severity, COLOURS[severity])}" for severity, number in shown.counts.items()]
    lines = ["Overall:"]
    for count_of_one in [*(f"{text}," for text in counts[:-1]), *counts[-1:]]:
        if visible(lines[-1]) + 1 + visible(count_of_one) > width:
            lines.append("        ")
        lines[-1] += f" {count_of_one}"
    return lines


def _page(shown: View, width: int, style: Style) -> "_Page":
    names = [len(gauge.window.name) for account in shown.accounts for gauge in account.gauges]
    names += [len(_EXTRA) for account in shown.accounts if _overage(account) is not None]
    more = max((len(by(gauge.stamp.member)) for account in shown.accounts for gauge in account.gauges), default=0)
    width = min(width, _WIDEST + more)
    stacked = width < _REST + _BAR[0] + _LABEL[0]
    room = width - _STACKED - 1 if stacked else width - _REST - _BAR[0]
    label = min(_LABEL[1], max([_LABEL[0], *names]), max(_LABEL[0], room))
    bar = width - label - _STACKED if stacked else max(_LEAST_BAR, width - label - _REST - more)
    return _Page(shown.now, width, label, max(0, min(_BAR[1], bar)), stacked, style)


@dataclass(frozen=True, slots=True)
class _Page:
    """The measures that all blocks share, so that their columns line up."""

    now: float
    width: int
    label: int
    bar: int
    stacked: bool
    style: Style

    def block(self, view: AccountView) -> list[str]:
        """The lines of one account: the assessment, the status, the windows, what pays beyond them, refused models."""
        lines = [*self._title(view), *self._status(view)]
        for gauge in view.gauges:
            lines += self._gauge(gauge, billed=view.billed)
        account, overage = view.account, _overage(view)
        if account.overage_evidence is not None and overage is not None:
            lines += self._row(_EXTRA, self._extra_usage(overage, billed=view.billed), account.overage_evidence.stamp)
        if account.plan is not None:
            lines += self._row("plan", [spoken(account.plan[1])], account.plan[0])
        if account.credits is not None:
            lines += self._row("credits", [credits_words(account.credits[1])], account.credits[0])
        for model, evidence in view.refused.items():
            lines += self._row("refused", self._refusal(model, evidence), evidence.stamp)
        for words in other_accounts(view, self._at, self._origin):
            lines += self._wrap(words, indent=2)
        return lines

    def note(self, remark: str | None) -> list[str]:
        """A remark in a line or two of its own."""
        return [] if remark is None else self._wrap([clean(remark)], indent=2)

    def _title(self, view: AccountView) -> list[str]:
        """Severity, name, type and assessment; without the type or in two lines where there is no room for all."""
        severity = self.style.paint(f"{view.severity:<8}", COLOURS[view.severity])
        kind = self.style.paint(clean(view.type), "dim") if view.type else ""
        remarks = self._verdict(view)
        verdict = ", ".join(remarks)
        title = f"{severity}  {self.style.paint(fit(clean(view.name), self.width - 10), 'bold')}"
        for parts in ((kind, verdict), (verdict,), (kind,)):
            longer = "  ".join([title, *filter(None, parts)])
            if visible(longer) <= self.width:
                return [longer] if verdict in parts else [longer, *self._wrap(remarks, indent=2)]
        return [title, *self._wrap(remarks, indent=2)]

    def _verdict(self, view: AccountView) -> list[str]:
        """`excluded  7d used up`, `until 08:00Z, in 1h`: the assessment, then what else makes it urgent."""
        assessment = view.assessment
        words = [clean(assessment.reason)] if assessment.reason != WORKS else []
        if assessment.until is not None:
            words.append(f"until {self._at(assessment.until)}")
        words += [f"{fit(clean(model), self.width // 2) or 'a model'} refused" for model in _other_models(view)]
        urgent = [gauge for gauge in view.gauges if window_severity(gauge, billed=view.billed) is view.severity]
        if view.severity in {Severity.WARN, Severity.CRITICAL} and assessment.fitness is not Fitness.EXCLUDED:
            words += [f"{clean(gauge.window.name)} at {percent(gauge.window.utilization)}" for gauge in urgent]
        # An unknown account of severity UNKNOWN need not say so twice.
        known = assessment.fitness is not Fitness.UNKNOWN or view.severity is not Severity.UNKNOWN
        return ["  ".join([*([str(assessment.fitness)] if known else []), *words[:1]]), *words[1:]]

    def _status(self, view: AccountView) -> list[str]:
        """The status that counts; where none does, the last one, and why it is not used."""
        evidence, last = view.assessment.evidence, view.last_known
        if evidence is not None:
            words = fit(_status_words(evidence), self.width - 2)
            remarks = [self.style.paint(words, COLOURS[view.severity]), self._origin(evidence.stamp)]
            limit = next((gauge.window.name for gauge in view.gauges if gauge.limiting), evidence.claim)
            remarks += [f"limited by {clean(limit)}"] if limit else []
        elif last is not None:
            evidence, stamp = last.evidence, last.evidence.stamp
            why = f"; {last.why_unused}" if last.why_unused else ""
            age = f"{source_word(stamp.source)}{by(stamp.member)}, {ago(self.now - stamp.ts)}{why}"
            remarks = [f"last known: {_status_words(evidence)} ({age})"]
        else:
            return []
        return self._wrap([*remarks, *([clean(evidence.model)] if evidence.model else [])], indent=2)

    def _gauge(self, gauge: Gauge, *, billed: bool) -> list[str]:
        window = gauge.window
        used = None if gauge.expired else window.utilization
        severity = window_severity(gauge, billed=billed)
        bar = self.style.paint(self.style.bar(used, self.bar), "dim" if used is None else COLOURS[severity])
        label = f"{fit(clean(window.name), self.label):<{self.label}}"
        label = self.style.paint(label, "bold" if gauge.limiting else "")
        start = f"  {label}  {bar} {percent(used):>4}"
        if gauge.expired:
            then = f"reset since, was {percent(window.utilization)}"
            return self._line(start, [then], self._origin(gauge.stamp))
        return self._line(start, [*self._resets(window), *self._models(gauge)], self._origin(gauge.stamp))

    def _models(self, gauge: Gauge) -> list[str]:
        """Which models a window concerns whose name does not tell."""
        models = gauge.models if names_no_model(gauge.window) else ()
        return [f"for {fit(clean(', '.join(models)), self.width // 3)}"] if models else []

    def _resets(self, window: Window) -> list[str]:
        if window.resets_at is None:
            return [*left(window), "reset unknown"]
        return [*left(window), f"resets in {duration(window.resets_at - self.now)}, {self._clock(window.resets_at)}"]

    def _extra_usage(self, overage: Overage, *, billed: bool) -> list[str]:
        if billed:
            state = self.style.paint("paid from credit", "yellow")
        elif overage.in_use:
            state = "was paid from credit"
        else:
            offered = overage.status if overage.permitted is not False else "not permitted"
            state = _OFFERED.get(offered) or fit(spoken(offered or ""), self.width // 2)
        reason = _disabled_words(overage.disabled_reason)
        reason = fit(reason, self.width - 4 - len(" ()") - visible(state))
        remarks = [f"{state} ({reason})" if reason else state]
        if overage.used is not None:
            remarks.append(f"{count(overage.used)} used")
        if overage.utilization is not None:
            remarks.append(f"{percent(overage.utilization)} used")
        if overage.resets_at is not None and overage.resets_at > self.now:
            remarks.append(f"resets {self._at(overage.resets_at)}")
        return remarks

    def _refusal(self, model: str, evidence: Evidence) -> list[str]:
        name = fit(clean(model), self.width // 2) or "a model that was not named"
        until = [] if evidence.blocked_until is None else [f"until {self._at(evidence.blocked_until)}"]
        return [f"{name}: {_status_words(evidence)}", *until]

    def _row(self, label: str, remarks: list[str], stamp: Stamp) -> list[str]:
        return self._line(f"  {label:<{self.label}}", remarks, self._origin(stamp))

    def _line(self, start: str, remarks: list[str], age: str) -> list[str]:
        """One row with the age at its right end; or the remarks below where there is no room."""
        then = ", ".join(remarks)
        gap = self.width - visible(start) - visible(then) - len(age) - 2
        if not self.stacked and gap > 1:
            return [f"{start}  {then}{' ' * gap}{self.style.paint(age, 'dim')}"]
        return [start.rstrip(), *self._wrap([*remarks, self.style.paint(fit(age, self.width - 4), "dim")], indent=4)]

    def _wrap(self, remarks: list[str], *, indent: int) -> list[str]:
        """As many remarks in a line as fit; one that is longer than a line goes on in the next, and is cut there."""
        lines: list[str] = []
        for remark in remarks:
            joined = f"{lines[-1]}{self.style.dot}{remark}" if lines else ""
            if joined and visible(joined) <= self.width:
                lines[-1] = joined
            else:
                lines += [f"{' ' * indent}{part}" for part in self._folded(remark, self.width - indent)]
        return lines

    def _folded(self, remark: str, width: int) -> list[str]:
        """The remark in lines of that width, broken between words where that is possible."""
        if visible(remark) <= width or "\x1b" in remark:
            return [remark]
        import textwrap  # noqa: PLC0415 - only a narrow terminal needs it

        parts = textwrap.wrap(remark, max(1, width), break_on_hyphens=False)
        return [*parts[: _REMARK_LINES - 1], shorten(" ".join(parts[_REMARK_LINES - 1 :]), width)]

    def _origin(self, stamp: Stamp) -> str:
        return origin(self.now - stamp.ts, stamp.source, stamp.member)

    def _clock(self, when: float) -> str:
        return clock(when, self.now, self.style.zone)

    def _at(self, when: float) -> str:
        return f"{self._clock(when)}, in {duration(when - self.now)}"


def _overage(view: AccountView) -> Overage | None:
    paid = view.account.overage_evidence
    return None if paid is None else paid.overage


def _other_models(view: AccountView) -> list[str]:
    """The refused models that are not the one that a session would run on the account."""
    return [model for model in view.refused if model != view.assessment.model]


_DISABLED: Final = {"org_level_disabled": "disabled by your organisation"}


def _disabled_words(reason: str | None) -> str:
    """Why extra usage is off, in words where the provider's are not plain."""
    return _DISABLED.get(reason or "") or spoken(reason or "")


def credits_words(credit: Credits) -> str:
    """What is left of the credits, in their own unit."""
    if credit.unlimited:
        return "unlimited"
    if credit.has_credits is False:
        return "none"
    if credit.balance:
        return f"{spoken(credit.balance)} left"
    return "some, amount unknown" if credit.has_credits else "unknown"


def _status_words(evidence: Evidence) -> str:
    """`rejected (shared capacity) HTTP 429`."""
    more = f" ({spoken(evidence.substatus)})" if evidence.substatus else ""
    code = evidence.http_status
    error = f" HTTP {code}" if code is not None and code >= 400 else ""  # noqa: PLR2004 - an error
    return f"{spoken(evidence.status)}{more}{error}"
