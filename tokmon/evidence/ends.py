"""Ends stated in an error text: when a limit resets, or how long to wait. Pure, and linear in the length of the text.

A text states an end in a JSON field (`resets_at`, `quotaResetDelay`, `reset_seconds`) or in words ("resets in 5 days 10
hours", "on April 20, 2026 at 2:00 AM", a Chinese sentence). A number or date counts only beside a word for a reset or a
wait, because error texts hold request ids, prices and prompts too. An instant without zone is UTC unless the caller
knows better; a date without a year is the next such date.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from tokmon.evidence import dates, units
from tokmon.evidence.units import DAY_S, SECONDS
from tokmon.evidence.values import duration, instant, number, plausible

_FARTHEST_S: Final = 400 * DAY_S
"""No limit lasts longer than a year and some days, so an instant farther from the capture is not an end."""

_SLACK: Final = 1.1
"""A month may have 31 days, and clocks differ."""

_BEFORE: Final = 90
_AFTER: Final = 40
"""How far a word for a reset may be from its date, in characters."""

_FIELD: Final = re.compile(
    r"""(?<![a-z_-])([a-z][a-z_-]{2,40})["']? {0,4}[:=] {0,4}["']?([^"',}\]\s][^"',}\]]{0,63})"""
)
_OF_RESET: Final = re.compile(
    r"reset|retry|cooldown|available|unblock|blockeduntil|unlock|resume|renew|refresh|lifted"
    r"|^(?:period|window|cycle|limit)ends?(?:at)?$"
)
_NO_END: Final = re.compile(r"count|attempt|max|reason|type|message|able$")
_IN_MS: Final = re.compile(r"(?:ms|millis|milliseconds)$")
_SCALES: Final = (("minutes", 60.0), ("hours", 3600.0), ("days", DAY_S))

_UNIT: Final = "|".join(sorted(SECONDS, key=len, reverse=True))
_AMOUNT: Final = r"\d{1,9}(?:\.\d{1,12})? ?|(?<![a-z])(?:an?|one) "
_PAIR: Final = rf"(?:{_AMOUNT})(?:{_UNIT})(?![a-z])"
_DURATION: Final = re.compile(rf"(?<![\d.$-]){_PAIR}(?:(?:, ?| )?(?:and |& )?{_PAIR}){{0,6}}")
_PART: Final = re.compile(rf"({_AMOUNT})({_UNIT})(?![a-z])")

_CUE: Final = re.compile(
    r"reset|renew|refresh|refill|recharge|replenish|next window"
    r"|retry|try(?:ing)? (?:it |your request )?again|wait|available|resum|unblock|unlock"
    r"|regain|restor|\b(?:come back|back (?:in|at|on))\b|\breturns?\b|until|cool|\blift(?:s|ed)?\b"
    r"|\b(?:window|block|period|cycle|session) (?:end|open|start|begin)s?\b"
    r"|(?:again|continue) (?:in|at|after|on|from)\b"
    r"|重置|恢复|恢復|刷新|重试|重試|再试|再試|等待|可用|解除|リセット|再試行|お試し"
)
_BEFORE_WAIT: Final = re.compile(
    r"(?:\bin|\bafter|\bfor|\bwithin|\banother|\bnext|\bwait|\babout|~|:|=|→|\bresets?|在|于|於|待|请|請|约|約|\bdelay)"
    r"(?: (?:about|approximately|roughly|around|at least|less than|under|up to|the next|another))? ?[~(\"'≈]{0,2}$"
)
_FOLLOWED: Final = re.compile(
    r"^ ?(?:之?[后後內内]|(?:(?:left|remaining) )?(?:before|until) |(?:retry )?delay\b|wait\b|cool-?down\b)"
)
_OF_WAIT: Final = re.compile(
    r"(?:\bin|\btime (?:until|till|to|before) (?:the )?reset:?|\bwait(?: time)?:?|\bremaining:?) $"
)
_CLOCK_WAIT: Final = re.compile(r"(?<![\d:])(\d{1,3}):([0-5]\d):([0-5]\d)(?![\d:])")
_DETERMINER: Final = re.compile(r"(?:every|per|each|of|last|past|max:|\d) ?$")
_BREAK: Final = re.compile(r"[.!?;] |\n")
_CHINESE: Final = re.compile("[\u4e00-\u9fff]")
_MARKED: Final = "reached|"
"""What precedes the epoch seconds in the sentence of Claude Code."""

_KANA: Final = re.compile("[\u3040-\u30ff]")
_CHINA_H: Final = 8.0
_JAPAN_H: Final = 9.0


class End(NamedTuple):
    """The end of a limit. `resets_at` is epoch seconds; `wait_s` is the wait if the text states one, else None."""

    resets_at: float
    wait_s: float | None = None


def stated_end(text: str, at: float, utc_offset_h: float = 0.0, length_s: float | None = None) -> End | None:
    """The end that a text (lower case, without escapes) states; of several the last. None if it states none.

    `at` is the instant of the capture. `utc_offset_h` is the offset of dates without zone; a Chinese text is in China's
    time, a Japanese one in Japan's. `length_s` is the length of the window that refused, if it is known: an end beyond
    it is another one's ("your subscription renews on Dec 20").
    """
    text = units.plain(text)
    offset_h = utc_offset_h or (_JAPAN_H if _KANA.search(text) else _CHINA_H if _CHINESE.search(text) else 0.0)
    in_words = (*_waits(text, at), *_dates(text, at, offset_h)) if _CUE.search(text) or _MARKED in text else ()
    ends = [end for end in (*_fields(text, at, offset_h), *in_words) if end]
    ends = [end for end in ends if abs(end.resets_at - at) <= _FARTHEST_S]
    within = [end for end in ends if length_s is not None and end.resets_at - at <= length_s * _SLACK]
    return max(within or ends, key=lambda end: (end.resets_at, end.wait_s is None), default=None)


def _fields(text: str, at: float, offset_h: float) -> Iterator[End | None]:
    """The ends in JSON fields, by the name of the field and the form of its value."""
    for match in _FIELD.finditer(text):
        key = match[1].replace("_", "").replace("-", "")
        if _OF_RESET.search(key) and not _NO_END.search(key):
            yield _of_field(key, match[2].strip(), at, offset_h)


def _of_field(key: str, value: str, at: float, offset_h: float) -> End | None:
    figure = number(value)
    if figure is None:
        wait = duration(value)
        if wait is not None:
            return _after(at, wait)
        if value[4:5] in "-/." and (date := dates.first(value, at, offset_h)) is not None:
            return End(date)
        moment = instant(value)
        return _after(at, _seconds(value)) if moment is None else End(moment)
    moment = instant(value)
    if moment is not None:
        return End(moment)
    scale = next((scale for unit, scale in _SCALES if unit in key), 1.0)
    return _after(at, figure / 1000 if _IN_MS.search(key) else figure * scale)


def _waits(text: str, at: float) -> Iterator[End | None]:
    """The waits in words: a duration beside a word for a reset or a wait, in one sentence."""
    for match in _DURATION.finditer(text):
        before, after = _around(text, match.start(), match.end())
        if _DETERMINER.search(before):
            continue
        introduced = _BEFORE_WAIT.search(before) and _CUE.search(before)
        if introduced or (_FOLLOWED.search(after) and _CUE.search(before + after)):
            yield _after(at, _seconds(match[0]))
    for match in _CLOCK_WAIT.finditer(text):
        before = _around(text, match.start(), match.end())[0]
        if _OF_WAIT.search(before) and _CUE.search(before):
            yield _after(at, int(match[1]) * 3600.0 + int(match[2]) * 60.0 + int(match[3]))


def _dates(text: str, at: float, offset_h: float) -> Iterator[End | None]:
    """The dates and times in words beside a word for a reset, in one sentence."""
    for start, end, moment in dates.all_in(text, at, offset_h):
        before, after = _around(text, start, end)
        if _OF_WAIT.search(before):
            continue
        if _CUE.search(before) or _CUE.search(after) or before.endswith(_MARKED):
            yield End(moment)


def _around(text: str, start: int, end: int) -> tuple[str, str]:
    """The text just before and just after a match, within its sentence."""
    before = _BREAK.split(text[max(0, start - _BEFORE) : start])[-1]
    after = _BREAK.split(text[end : end + _AFTER])[0]
    return before, after


def _seconds(text: str) -> float | None:
    """Seconds of `5 days 10 hours`, `71h15m27s`, `an hour`; None if there is no duration in it."""
    parts = _PART.findall(text)
    return (
        sum((1.0 if amount[0] in "ao" else float(amount)) * SECONDS[unit] for amount, unit in parts) if parts else None
    )


def _after(at: float, wait: float | None) -> End | None:
    moment = None if wait is None or wait < 0 else plausible(at + wait)
    return None if moment is None else End(moment, wait)
