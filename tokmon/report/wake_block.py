"""The block for a wake prompt: what an agent should know of its accounts before it begins, one short line each.

It is read by a model, so nothing out of a log can begin a line, and every text from one is cut. A figure that no
longer stands is said to have expired, and whatever is older than some minutes says how old it is.
"""

import re
from typing import Final

from tokmon.evidence.model import Scope, Status
from tokmon.evidence.snapshot import SERVED, Evidence
from tokmon.report.gauge import Gauge
from tokmon.report.judge import RESET, Limits, Severity, maxed, refusing, rejected_until, stands, worry
from tokmon.report.status import credits_words
from tokmon.report.view import Provider, View
from tokmon.report.words import Style, about, clean, fit, left, percent, spoken

HEADER: Final = "## Token Economics"
NOTHING: Final = "No account is known yet: none is configured, and no response has been seen."

INCOMPLETE: Final = "Not all of it could be read: an account may be missing, or worse than it looks."

_WIDTH: Final = 78
_NAME: Final = 24
_LABEL: Final = 20
_MOST: Final = 40
"""Accounts that are shown. The configured ones come first, so a log cannot push them out."""

_FIGURES: Final = 3
_MODELS: Final = 2
_FRESH_S: Final = 300.0
_SHORT_S: Final = 3600.0
"""A window shorter than this is not worth a word once it has passed."""

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
    if not shown.providers:
        return [*start_of, NOTHING] if complete else start_of
    groups: dict[str | None, list[Provider]] = {}
    for provider in shown.providers[:_MOST]:
        groups.setdefault(provider.type or None, []).append(provider)
    lines = start_of
    for kind, group in groups.items():
        of_kind = sum((provider.type or None) == kind for provider in shown.providers)
        lines.append(f"{_title(kind, of_kind)}:")
        names = {provider.name: _word(provider.name) for provider in group}
        width = max(map(len, names.values()))
        for provider in group:
            mark, said = _account(provider, shown.now)
            start = f"  {names[provider.name]:<{width}} {style.mark(mark)} "
            lines.append(start + _as_fits(said, _WIDTH - len(start)))
    more = len(shown.providers) - _MOST
    return [*lines, f"{more} more: see `tokmon status`"] if more > 0 else lines


def _title(kind: str | None, number: int) -> str:
    """`Anthropic Teams (5 seats)`; a type that has no title here stands for itself, if it is a word."""
    title = "Other accounts" if kind is None else _TITLES.get(kind) or fit(_NO_SLUG.sub("?", kind), _NAME)
    what = {"teams-direct": "seat", "anthropic-api": "key"}.get(kind or "", "account")
    if number == 1:
        return f"{title} (1 seat)" if what == "seat" else title
    return f"{title} ({number} {what}s)"


def _as_fits(said: list[str], width: int) -> str:
    """The first remark, and those of the others for which there is room."""
    line = fit(said[0], width)
    for remark in said[1:]:
        if len(line) + 2 + len(remark) <= width:
            line += f", {remark}"
    return line.rstrip()


def _account(provider: Provider, now: float) -> tuple[str, list[str]]:
    """The mark of an account, and what is to be said of it, the most important first."""
    last = provider.standing
    full = maxed(last, provider.gauges, Limits(), spending=provider.spending)
    if last is not None and last.status is Status.REJECTED and last.scope != Scope.PROVIDER:
        full = full or tuple(gauge for gauge in refusing(provider.gauges) if not gauge.expired)
        return "no", _remarks(_maxed(full, last.blocked_until or rejected_until(provider.gauges), last, now), provider)
    if last is not None and last.status in _DEAD:
        return "no", [f"{_dead(provider, last, now)}{_old(now - last.stamp.ts)}"]
    if full:
        known = [gauge.window.resets_at for gauge in full if gauge.window.resets_at is not None]
        return "no", _remarks(_maxed(full, max(known, default=None), None, now), provider)
    figures = _figures(provider.gauges, now)
    if last is None:
        return "unknown", _remarks(_unknown(provider, now), provider, figures)
    word = _warning(provider, last)
    if not figures or last.status not in SERVED:
        word = f"{word or 'usable'}{_old(now - last.stamp.ts)}"
    mark = "usable" if provider.severity is Severity.OK else "warning"
    return mark, _remarks(" ".join(part for part in (word, figures) if part), provider)


_DEAD: Final = frozenset({Status.INVALID_KEY, Status.NO_CREDIT, Status.POLICY_REJECTED})


def _maxed(full: tuple[Gauge, ...], until: float | None, last: Evidence | None, now: float) -> str:
    shown = " ".join(_figure(gauge) for gauge in full[:_FIGURES])
    at = last.stamp.ts if last is not None else min(gauge.stamp.ts for gauge in full)
    ends = "reset unknown" if until is None else f"resets {about(until - now)}"
    return " ".join(part for part in ("MAXED", shown, ends) if part) + _old(now - at)


def _dead(provider: Provider, last: Evidence, now: float) -> str:
    """What is wrong with the account, and what ends it."""
    until = None if last.blocked_until is None else f"resets {about(last.blocked_until - now)}"
    if last.status is Status.NO_CREDIT:
        return f"NO CREDIT {until or 'until topped up'}"
    if last.status is Status.POLICY_REJECTED:
        why = f" ({fit(spoken(last.substatus), _NAME)})" if last.substatus else ""
        return f"REFUSED by policy{why} {until or 'until its terms change'}"
    if last.substatus == "transient_possible":
        return "INVALID KEY, may pass"
    return f"INVALID KEY until a new {'login' if provider.type in _LOGINS else 'key'}"


def _unknown(provider: Provider, now: float) -> str:
    if provider.last is None:
        return "unknown" if provider.seen else "nothing seen yet"
    why = ", reset since" if provider.ended == RESET else ""
    return f"unknown, was {spoken(provider.last.status)}{why}{_old(now - provider.last.stamp.ts)}"


def _warning(provider: Provider, last: Evidence) -> str:
    """What to mind about an account that may be used."""
    if last.status not in SERVED:
        why = f" ({fit(spoken(last.substatus), _NAME)})" if last.substatus else ""
        return f"{spoken(last.status)}{why}"
    if provider.spending:
        return "spending credit"
    worries = [gauge for gauge in provider.gauges if worry(gauge, Limits(), spending=False)]
    if any((gauge.window.utilization or 0) >= 1 and gauge.window.scope is None for gauge in worries):
        return "at limit"
    if worries:
        return "near limit"
    return "warning" if last.status is Status.ALLOWED_WARNING else ""


def _figures(gauges: tuple[Gauge, ...], now: float) -> str:
    """`5h:32% 7d:45% resets 4h (3h old)`: the windows that matter most, and when the one that binds resets."""
    telling = [gauge for gauge in gauges if _tells(gauge)]
    most = sorted(telling, key=lambda gauge: (gauge.claim, gauge.window.utilization or 0), reverse=True)[:_FIGURES]
    shown = [gauge for gauge in telling if gauge in most]
    ages = {id(gauge): _old(gauge.age) for gauge in shown if not gauge.expired}
    together = len(set(ages.values())) == 1 or not ages
    words = [_figure(gauge) + ("" if together else ages.get(id(gauge), "")) for gauge in shown]
    ahead = [gauge for gauge in shown if not gauge.expired and gauge.window.resets_at is not None]
    binding = next((gauge for gauge in ahead if gauge.claim), ahead[0] if ahead else None)
    if binding is not None and binding.window.resets_at is not None:
        name = "" if binding is shown[0] else f"{_label(binding)} "
        words.append(f"{name}resets {about(binding.window.resets_at - now)}")
    age = next(iter(ages.values()), "") if ages else _old(min((gauge.age for gauge in shown), default=0))
    return " ".join(words) + (age if together else "")


def _tells(gauge: Gauge) -> bool:
    window = gauge.window
    if gauge.expired:
        return window.scope is None and (gauge.period is None or gauge.period >= _SHORT_S)
    if not stands(gauge, Limits()) or (window.utilization is None and not left(window)):
        return False
    return window.scope is None or worry(gauge, Limits(), spending=False) is not None


def _figure(gauge: Gauge) -> str:
    if gauge.expired:
        return f"{_label(gauge)}:expired"
    used = gauge.window.utilization
    return f"{_label(gauge)}:{percent(used) if used is not None else next(iter(left(gauge.window)), '?')}"


def _label(gauge: Gauge) -> str:
    return fit(clean(gauge.window.name).replace(" ", "_"), _LABEL)


def _word(name: str) -> str:
    """A name out of a log as one short word, so that it says nothing else."""
    return fit(_NO_NAME.sub("?", clean(name)), _NAME)


def _remarks(said: str, provider: Provider, more: str = "") -> list[str]:
    """What was said, then the models that are refused, then the credits that are left."""
    refused = [_word(each.model) or "one model" for each in provider.refused if each.ended is None]
    remarks = [said, more] if more else [said]
    if refused:
        many = f"{len(refused)} models" if len(refused) > _MODELS else " and ".join(refused)
        remarks.append(f"{many} refused")
    credit = provider.account.credits
    if credit is not None and (credit[1].unlimited or credit[1].has_credits):
        remarks.append(f"credits: {fit(credits_words(credit[1]), _NAME)}")
    return remarks


def _old(age: float) -> str:
    return f" ({about(age)} old)" if age > _FRESH_S else ""
