"""The view as text: a block a provider, one line a window; stacked where the terminal is narrow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tokmon.evidence.model import Credits, Overage, Window
from tokmon.evidence.snapshot import Evidence, Stamp
from tokmon.report.gauge import Gauge
from tokmon.report.judge import Limits, Refusal, Severity, worry
from tokmon.report.view import Provider, View
from tokmon.report.words import (
    Style,
    ago,
    clean,
    clock,
    count,
    duration,
    fit,
    left,
    percent,
    source_word,
    spoken,
    visible,
)

COLOURS: Final = {Severity.CRITICAL: "red", Severity.WARN: "yellow", Severity.OK: "green", Severity.UNKNOWN: "dim"}

_WIDEST: Final = 96
_BAR: Final = (8, 24)
_LABEL: Final = (7, 20)
_REST: Final = 57
"""Columns of a row beside label and bar: indent, gaps, percentage, reset and age."""

_STACKED: Final = 10
"""The same where reset and age stand below."""

_REMARK_LINES: Final = 2
"""That one remark may take on a narrow terminal."""

_OFFERED: Final = {"rejected": "off", "allowed": "available, not in use", None: "not in use"}


def status_text(shown: View, width: int, style: Style, notes: Mapping[str, str] | None = None) -> list[str]:
    """The lines of the report; none is longer than `width`. `notes` are a remark more on each provider, by name."""
    page = _page(shown, min(width, _WIDEST), style)
    lines: list[str] = []
    before = 1
    for provider in shown.providers:
        block = page.block(provider) + page.note((notes or {}).get(provider.name))
        if lines and max(len(block), before) > 1:
            lines.append("")
        lines += block
        before = len(block)
    return [*lines, "", *_overall(shown, page.width, style)] if lines else []


def _overall(shown: View, width: int, style: Style) -> list[str]:
    """`Overall: 1 CRITICAL, 3 OK`, in two lines where one is too short."""
    counts = [f"{number} {style.paint(each, COLOURS[each])}" for each, number in shown.counts.items()]
    lines = ["Overall:"]
    for count_of_one in [*(f"{each}," for each in counts[:-1]), *counts[-1:]]:
        if visible(lines[-1]) + 1 + visible(count_of_one) > width:
            lines.append("        ")
        lines[-1] += f" {count_of_one}"
    return lines


def _page(shown: View, width: int, style: Style) -> "_Page":
    names = [len(gauge.window.name) for provider in shown.providers for gauge in provider.gauges]
    stacked = width < _REST + _BAR[0] + _LABEL[0]
    room = width - _STACKED - 1 if stacked else width - _REST - _BAR[0]
    label = min(_LABEL[1], max([_LABEL[0], *names]), max(_LABEL[0], room))
    bar = max(0, min(_BAR[1], width - label - (_STACKED if stacked else _REST)))
    return _Page(shown.now, width, label, bar, stacked, style)


@dataclass(frozen=True, slots=True)
class _Page:
    """The measures that all blocks share, so that their columns stand below each other."""

    now: float
    width: int
    label: int
    bar: int
    stacked: bool
    style: Style

    def block(self, provider: Provider) -> list[str]:
        """The lines of one provider: the name, the status, the windows, what pays beyond them, what is refused."""
        lines = self._title(provider)
        if provider.last is not None:
            lines += self._wrap(self._status(provider, provider.last), indent=2)
        for gauge in provider.gauges:
            lines += self._gauge(gauge, spending=provider.spending)
        account = provider.account
        if account.overage_evidence is not None and account.overage_evidence.overage is not None:
            remarks = self._overage(account.overage_evidence.overage, spending=provider.spending)
            lines += self._row("overage", remarks, account.overage_evidence.stamp)
        if account.plan is not None:
            lines += self._row("plan", [spoken(account.plan[1])], account.plan[0])
        if account.credits is not None:
            lines += self._row("credits", [credits_words(account.credits[1])], account.credits[0])
        for refusal in provider.refused:
            if refusal.ended is None:
                lines += self._row("refused", self._refusal(refusal), refusal.seen.stamp)
        return lines

    def note(self, said: str | None) -> list[str]:
        """A remark in a line or two of its own."""
        return [] if said is None else self._wrap([clean(said)], indent=2)

    def _title(self, provider: Provider) -> list[str]:
        """Severity, name, type, and why; without the type or in two lines where there is no room for all."""
        severity = self.style.paint(f"{provider.severity:<8}", COLOURS[provider.severity])
        kind = self.style.paint(clean(provider.type), "dim") if provider.type else ""
        why = ", ".join(clean(reason) for reason in provider.reasons) or _nothing(provider)
        title = f"{severity}  {self.style.paint(fit(clean(provider.name), self.width - 10), 'bold')}"
        for parts in ((kind, why), (why,), (kind,)):
            longer = "  ".join([title, *filter(None, parts)])
            if visible(longer) <= self.width:
                return [longer] if why in parts else [longer, *self._wrap([why], indent=2)]
        return [title, *self._wrap([why] if why else [], indent=2)]

    def _status(self, provider: Provider, last: Evidence) -> list[str]:
        said = _status_words(last)
        if last.http_status is not None and last.http_status >= 400:  # noqa: PLR2004 - an error
            said += f" HTTP {last.http_status}"
        seen = self._seen(last.stamp)
        if provider.ended:
            remarks = [f"unknown: was {said}", seen, provider.ended]
        else:
            remarks = [self.style.paint(fit(said, self.width - 2), COLOURS[provider.severity]), seen]
            if last.blocked_until is not None:
                remarks.append(f"until {self._at(last.blocked_until)}")
            claim = next((each.window.name for each in provider.gauges if each.claim), last.claim)
            if claim:
                remarks.append(f"claim {clean(claim)}")
        if last.model:
            remarks.append(clean(last.model))
        return remarks

    def _gauge(self, gauge: Gauge, *, spending: bool) -> list[str]:
        window = gauge.window
        used = None if gauge.expired else window.utilization
        severity = worry(gauge, Limits(), spending=spending) or Severity.OK
        bar = self.style.bar(used, self.bar)
        bar = self.style.paint(bar, "dim" if used is None else COLOURS[severity])
        label = f"{fit(clean(window.name), self.label):<{self.label}}"
        label = self.style.paint(label, "bold" if gauge.claim else "")
        start = f"  {label}  {bar} {percent(used):>4}"
        if gauge.expired:
            then = f"expired, was {percent(window.utilization)} {ago(gauge.age)}"
            return self._line(start, [then], source_word(gauge.stamp.source))
        return self._line(start, self._resets(window), self._seen(gauge.stamp))

    def _resets(self, window: Window) -> list[str]:
        if window.resets_at is None:
            return [*left(window), "reset unknown"]
        return [*left(window), f"resets in {duration(window.resets_at - self.now)}, {self._clock(window.resets_at)}"]

    def _overage(self, overage: Overage, *, spending: bool) -> list[str]:
        if spending:
            said = self.style.paint("spending credit", "yellow")
        elif overage.in_use:
            said = "was spending credit"
        else:
            offered = overage.status if overage.permitted is not False else "not permitted"
            said = _OFFERED.get(offered) or fit(spoken(offered or ""), self.width // 2)
        reason = fit(spoken(overage.disabled_reason or ""), self.width - 4 - len(" ()") - visible(said))
        remarks = [f"{said} ({reason})" if reason else said]
        if overage.used is not None:
            remarks.append(f"{count(overage.used)} used")
        if overage.utilization is not None:
            remarks.append(f"{percent(overage.utilization)} used")
        if overage.resets_at is not None and overage.resets_at > self.now:
            remarks.append(f"resets {self._at(overage.resets_at)}")
        return remarks

    def _refusal(self, refusal: Refusal) -> list[str]:
        seen = refusal.seen
        name = fit(clean(refusal.model), self.width // 2) or "a model that was not named"
        until = [] if seen.blocked_until is None else [f"until {self._at(seen.blocked_until)}"]
        return [f"{name}: {_status_words(seen)}", *until]

    def _row(self, label: str, remarks: list[str], stamp: Stamp) -> list[str]:
        return self._line(f"  {label:<{self.label}}", remarks, self._seen(stamp))

    def _line(self, start: str, remarks: list[str], seen: str) -> list[str]:
        """One row with the age at its right end; or the remarks below where there is no room."""
        then = ", ".join(remarks)
        gap = self.width - visible(start) - visible(then) - len(seen) - 2
        if not self.stacked and gap > 1:
            return [f"{start}  {then}{' ' * gap}{self.style.paint(seen, 'dim')}"]
        return [start.rstrip(), *self._wrap([*remarks, self.style.paint(fit(seen, self.width - 4), "dim")], indent=4)]

    def _wrap(self, remarks: list[str], *, indent: int) -> list[str]:
        """As many remarks a line as fit; one that is longer than a line goes on in the next, and is cut there."""
        lines: list[str] = []
        for said in remarks:
            joined = f"{lines[-1]}{self.style.dot}{said}" if lines else ""
            if joined and visible(joined) <= self.width:
                lines[-1] = joined
            else:
                lines += [f"{' ' * indent}{part}" for part in self._folded(said, self.width - indent)]
        return lines

    def _folded(self, said: str, width: int) -> list[str]:
        if visible(said) <= width or "\x1b" in said:
            return [said]
        import textwrap  # noqa: PLC0415 - only a narrow terminal needs it

        parts = textwrap.wrap(fit(said, self.width * _REMARK_LINES), max(1, width), break_on_hyphens=False)
        return [*parts[: _REMARK_LINES - 1], fit(" ".join(parts[_REMARK_LINES - 1 :]), width)]

    def _seen(self, stamp: Stamp) -> str:
        return f"{ago(self.now - stamp.ts)}, {source_word(stamp.source)}"

    def _clock(self, when: float) -> str:
        return clock(when, self.now, self.style.zone)

    def _at(self, when: float) -> str:
        return f"{self._clock(when)}, in {duration(when - self.now)}"


def _nothing(provider: Provider) -> str:
    """What to say of an account that nobody has said anything of."""
    if not provider.seen:
        return "nothing seen yet"
    return "" if provider.last is not None or provider.gauges else "seen, and nothing said of its quota"


def credits_words(credit: Credits) -> str:
    """What is left of the credits, in their own unit."""
    if credit.unlimited:
        return "unlimited"
    if credit.has_credits is False:
        return "none"
    if credit.balance:
        return f"{spoken(credit.balance)} left"
    return "some, how much is unknown" if credit.has_credits else "unknown"


def _status_words(seen: Evidence) -> str:
    more = f" ({spoken(seen.substatus)})" if seen.substatus else ""
    return f"{spoken(seen.status)}{more}"
