"""Units of time and numbers in words, as error texts write them, in plain form. Pure."""

import re
from typing import Final

DAY_S: Final = 86_400.0
SECONDS: Final = {
    **dict.fromkeys(("milliseconds", "millisecond", "msecs", "ms", "毫秒"), 0.001),
    **dict.fromkeys(("seconds", "second", "secs", "sec", "s", "秒钟", "秒間", "秒"), 1.0),
    **dict.fromkeys(("minutes", "minute", "mins", "min", "m", "分钟", "分鐘", "分間", "分"), 60.0),
    **dict.fromkeys(("hours", "hour", "hrs", "hr", "h", "个小时", "個小時", "小时", "小時", "時間"), 3600.0),
    **dict.fromkeys(("days", "day", "d", "天", "日間", "日"), DAY_S),
    **dict.fromkeys(("weeks", "week", "wks", "wk", "w", "个星期", "星期", "周", "週間", "週"), 7 * DAY_S),
    **dict.fromkeys(("months", "month", "个月", "個月", "か月"), 30 * DAY_S),
}
"""The length of each unit, in lower case."""

_NUMBERS: Final = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_CHINESE_DAYS: Final = {"一": "monday", "二": "tuesday", "三": "wednesday", "四": "thursday", "五": "friday"} | {
    "六": "saturday",
    "日": "sunday",
    "天": "sunday",
}
_MIDNIGHT: Final = "00:00"
_FORM: Final = re.compile(
    r"\b(?:(?P<midnight>midnight|(?:the )?end of (?:the |this )?day)|(?P<noon>noon)|(?P<half>half an hour))\b"
    r"|\b(?P<oclock>\d{1,2}) o'clock\b"
    rf"|\b(?P<number>{'|'.join(_NUMBERS)}) (?=second|minute|hour|day|week|month)"
    r"|\bp(?P<days>\d{1,3}d)?t(?=\d)"
)
_CHINESE_DAY: Final = re.compile(r"(?:周|週|星期|礼拜|禮拜)([一二三四五六日天])(?![数數])")
_CHINESE_MIDNIGHT: Final = re.compile(r"(?:凌晨)?[零0][点點时時]整?")
_CHINESE_CLOCK: Final = re.compile(
    r"(下午|晚上|午後|傍晚)?(?:上午|早上|凌晨|午前)?(?<!\d)(\d{1,2})[点點时時](?!间|間)(?:(\d{1,2})分|(半)|整)?"
)
_HALF_A_DAY: Final = 12


def plain(text: str) -> str:
    """A lower-case text with times and durations in plain form: `midnight` is `00:00`, `two hours` is `2 hours`."""
    text = _FORM.sub(_form, text)
    if text.isascii():
        return text
    text = _CHINESE_DAY.sub(lambda match: f" {_CHINESE_DAYS[match[1]]} ", text)
    return _CHINESE_CLOCK.sub(_clock, _CHINESE_MIDNIGHT.sub(_MIDNIGHT, text))


def _form(match: re.Match[str]) -> str:
    if match["number"]:
        return f"{_NUMBERS.index(match['number']) + 2} "
    if match["oclock"]:
        return f"{match['oclock']}:00"
    if match["midnight"]:
        return _MIDNIGHT
    return "12:00" if match["noon"] else "30 minutes" if match["half"] else match["days"] or ""


def _clock(match: re.Match[str]) -> str:
    hour = int(match[2])
    later = _HALF_A_DAY if match[1] and hour < _HALF_A_DAY else 0
    return f" {hour + later}:{match[3] or (30 if match[4] else 0):0>2} "
