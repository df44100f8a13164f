"""The block for a wake prompt: what an agent should know of its accounts before it begins, one short line for each.

A model reads it, so no text of a log can begin a line, and every such text is cut. Figures of a window that has reset
are left out, and evidence older than some minutes is shown with its age.
"""

import re
from typing import Final

from tokmon.evidence.model import Status
from tokmon.report.gauge import Gauge
from tokmon.report.severity import SHORT_S, Severity, window_severity
from tokmon.report.status import credits_words
from tokmon.report.view import AccountView, View
from tokmon.report.words import Style, about, by, clean, fit, left, percent, shorten, spoken
from tokmon.selection.assessment import WORKS, Assessment, Fitness

HEADER: Final = "## Token Economics"
NOTHING: Final = "No accounts yet: none is configured, and no response has been recorded."

INCOMPLETE: Final = "Some files could not be read: an account may be missing, or worse than shown."

_WIDTH: Final = 78
_NAME: Final = 24
_LABEL: Final = 20
_MOST: Final = 40
"""Accounts that are shown at most. The configured ones come first, so a log cannot push them out."""

_FIGURES: Final = 3
_MODELS: Final = 2
_FRESH_S: Final = 300.0
_TITLES: Final = {
    "teams-direct": "Anthropic Teams",
    "anthropic-api": "Anthropic API",
    "anthropic": "Anthropic",
    "gateway": "Gateway",
    "gemini": "Google Gemini",
    "vertex": "Google Vertex AI",
    "xai": "xAI",
    "openai-codex": "ChatGPT (Codex)",
    "openai": "OpenAI API",
    "azure-openai": "Azure OpenAI",
    "openrouter": "OpenRouter",
    "groq": "Groq",
    "cerebras": "Cerebras",
    "mistral": "Mistral",
    "fireworks": "Fireworks",
    "together": "Together AI",
    "deepseek": "DeepSeek",
    "github-copilot": "GitHub Copilot",
    "cloudflare": "Cloudflare AI Gateway",
    "zai": "Z.ai",
    "moonshot": "Moonshot (Kimi)",
    "minimax": "MiniMax",
    "bedrock": "Amazon Bedrock",
}
_LOGINS: Final = frozenset({"teams-direct", "openai-codex", "github-copilot"})
_NO_SLUG: Final = re.compile(r"[^A-Za-z0-9._-]")
_NO_NAME: Final = re.compile(r"[^\w.@/:+-]")


def wake_text(shown: View, style: Style, *, complete: bool = True) -> list[str]:
    """The lines of the block, none longer than 78 characters, and an account's first word is all of its name."""
    start_of = [HEADER] if complete else [HEADER, INCOMPLETE]
    if not shown.accounts:
        return [*start_of, NOTHING] if complete else start_of
    groups: dict[str | None, list[AccountView]] = {}
    for account in shown.accounts[:_MOST]:
        groups.setdefault(account.type or None, []).append(account)
    lines = start_of
    for kind, group in groups.items():
        of_kind = sum((account.type or None) == kind for account in shown.accounts)
        lines.append(f"{_title(kind, of_kind)}:")
        names = {account.name: _word(account.name) for account in group}
        width = max(map(len, names.values()))
        for account in group:
            start = f"  {names[account.name]:<{width}} {style.mark(_mark(account))} "
            lines.append(start + _as_fits(_remarks(account, shown.now), _WIDTH - len(start)))
    more = len(shown.accounts) - _MOST
    return [*lines, f"{more} more: see `tokmon status`"] if more > 0 else lines


def _title(kind: str | None, number: int) -> str:
    """`Anthropic Teams (5 seats)`; a type without a title here is shown as it is, if it is a word."""
    title = "Other accounts" if kind is None else _TITLES.get(kind) or fit(_NO_SLUG.sub("?", kind), _NAME)
    what = {"teams-direct": "seat", "anthropic-api": "key"}.get(kind or "", "account")
    if number == 1:
        return f"{title} (1 seat)" if what == "seat" else title
    return f"{title} ({number} {what}s)"


def _as_fits(remarks: list[str], width: int) -> str:
    """The remarks up to the first for which there is no room."""
    line = shorten(remarks[0], width)
    for remark in remarks[1:]:
        if len(line) + 2 + len(remark) > width:
            break
        line += f", {remark}"
    return line.rstrip()


def _mark(view: AccountView) -> str:
    """By the assessment alone, but for the warning about an account that can be used."""
    if view.assessment.fitness is Fitness.EXCLUDED:
        return "no"
    if view.assessment.fitness is Fitness.UNKNOWN:
        return "unknown"
    return "usable" if view.severity is Severity.OK else "warning"


def _remarks(view: AccountView, now: float) -> list[str]:
    """What to say of an account, the most important first."""
    assessment = view.assessment
    if assessment.fitness is Fitness.EXCLUDED:
        remarks = _excluded(view, now)
    elif assessment.fitness is Fitness.UNKNOWN:
        remarks = [clean(assessment.reason), *_figures(view.gauges, now), *_last_known(view, now)]
    else:
        figures = _figures(view.gauges, now)
        warning = _warning(view)
        if warning or not figures:
            age = "" if figures else _ago(assessment.age_s, assessment.member)
            remarks = [f"{warning or 'usable'}{age}", *figures]
        else:
            remarks = figures
    return [*remarks, *_more(view)]


def _excluded(view: AccountView, now: float) -> list[str]:
    """Why the account cannot be used, and what ends that."""
    assessment = view.assessment
    age = _ago(assessment.age_s, assessment.member)
    if assessment.key_refused:
        what, remedy = ("login", "log in again") if view.type in _LOGINS else ("key", "set a valid key")
        when = age if assessment.member or not age else f" {_since(assessment.age_s)}"
        return [f"{what} refused{when}: {remedy}"]
    reason = clean(assessment.reason)
    evidence = assessment.evidence
    if assessment.status is Status.POLICY_REJECTED and evidence is not None and evidence.substatus:
        reason += f" ({fit(spoken(evidence.substatus), _NAME)})"
    if assessment.until is None:
        return [f"{reason}{age}{_remedy(assessment)}"]
    limit = assessment.status in {Status.REJECTED, Status.NO_CREDIT, Status.UNKNOWN}
    return [f"{reason}{age}", f"{'resets' if limit else 'retry'} in {about(assessment.until - now)}"]


def _remedy(assessment: Assessment) -> str:
    return {Status.NO_CREDIT: ": top up", Status.REJECTED: ", reset unknown"}.get(assessment.status, "")


def _last_known(view: AccountView, now: float) -> list[str]:
    last = view.last_known
    if last is None:
        return []
    why = f", {last.why_unused}" if last.why_unused.endswith("since") else ""
    stamp = last.evidence.stamp
    return [f"last known: {spoken(last.evidence.status)}{why}{_ago(now - stamp.ts, stamp.member)}"]


def _warning(view: AccountView) -> str:
    """What to mind about an account that can be used."""
    assessment = view.assessment
    if view.billed:
        return "paid from credit"
    if assessment.reason != WORKS:
        return clean(assessment.reason)
    urgent = [gauge for gauge in view.gauges if window_severity(gauge) in {Severity.WARN, Severity.CRITICAL}]
    if any((gauge.window.utilization or 0) >= 1 and gauge.window.scope is None for gauge in urgent):
        return "at limit"
    if urgent:
        return "near limit"
    return "warning" if assessment.status is Status.ALLOWED_WARNING else ""


def _figures(gauges: tuple[Gauge, ...], now: float) -> list[str]:
    """`5h 32%, 7d 45% used (3h ago)`, `resets in 4h`: the most important windows, and when the limiting one resets."""
    shown = _most_important(gauges)
    if not shown:
        return []
    all_ages = [_ago(gauge.age, gauge.stamp.member) for gauge in shown]
    ages = ["" if gauge.expired else age for gauge, age in zip(shown, all_ages, strict=True)]
    current = [age for gauge, age in zip(shown, ages, strict=True) if not gauge.expired]
    same = len({*current}) <= 1
    if same:
        ages = ["" for _ in shown[1:]] + (current or all_ages)[:1]
    words = []
    for index, gauge in enumerate(shown):
        next_is_share = index + 1 < len(shown) and _is_share(shown[index + 1])
        used = " used" if _is_share(gauge) and not (next_is_share and same) else ""
        words.append(f"{_figure(gauge)}{used}{ages[index]}")
    return [", ".join(words), *_next_reset(shown, now)]


def _most_important(gauges: tuple[Gauge, ...]) -> list[Gauge]:
    """The windows to show, the shortest first: the limiting one, and those with the highest use."""
    candidates = [gauge for gauge in gauges if _matters(gauge)]
    most = sorted(candidates, key=lambda gauge: (gauge.limiting, gauge.window.utilization or 0), reverse=True)
    return [gauge for gauge in candidates if gauge in most[:_FIGURES]]


def _matters(gauge: Gauge) -> bool:
    window = gauge.window
    if gauge.expired:
        return window.scope is None and (gauge.period is None or gauge.period >= SHORT_S)
    if window.utilization is None and not left(window):
        return False
    return window.scope is None or window_severity(gauge) is not Severity.OK


def _next_reset(shown: list[Gauge], now: float) -> list[str]:
    """When the limiting window resets, else the first that is shown; by name where it is not the first."""
    current = [gauge for gauge in shown if not gauge.expired and gauge.window.resets_at is not None]
    gauge = next((gauge for gauge in current if gauge.limiting), current[0] if current else None)
    if gauge is None or gauge.window.resets_at is None:
        return []
    name = "" if gauge is shown[0] else f"{_label(gauge)} "
    return [f"{name}resets in {about(gauge.window.resets_at - now)}"]


def _is_share(gauge: Gauge) -> bool:
    return not gauge.expired and gauge.window.utilization is not None


def _figure(gauge: Gauge) -> str:
    if gauge.expired:
        return f"{_label(gauge)} has reset"
    used = gauge.window.utilization
    return f"{_label(gauge)} {percent(used) if used is not None else next(iter(left(gauge.window)), '?')}"


def _label(gauge: Gauge) -> str:
    return fit(clean(gauge.window.name).replace(" ", "_"), _LABEL)


def _word(name: str) -> str:
    """A name out of a log as one short word, so that it says nothing else."""
    return fit(_NO_NAME.sub("?", clean(name)), _NAME)


def _more(view: AccountView) -> list[str]:
    """The other models that are refused, and the credits that are left."""
    remarks = []
    refused = [_word(model) or "one model" for model in view.refused if model != view.assessment.model]
    if refused:
        many = f"{len(refused)} models" if len(refused) > _MODELS else " and ".join(refused)
        remarks.append(f"{many} refused")
    credit = view.account.credits
    if credit is not None and (credit[1].unlimited or credit[1].has_credits):
        remarks.append(f"credits: {fit(credits_words(credit[1]), _NAME)}")
    return remarks


def _ago(age: float | None, member: str) -> str:
    """` (3h ago)`; nothing for evidence of the last minutes, unless another member has it: ` (20s ago, by nadja)`."""
    shown = age is not None and (member or age > _FRESH_S)
    return f" ({_since(age)}{by(_word(member))})" if shown else ""


def _since(age: float | None) -> str:
    return f"{about(age or 0.0)} ago"
