"""Dates and times in words: `2026-08-25 11:16:11`, `April 20, 2026 at 2:00 AM`, `8pm (UTC)`, `Friday`. Pure.

A zone that `zones` does not know gives no instant, since the text states another than UTC.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from tokmon.evidence import zones
from tokmon.evidence.values import instant, plausible

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _zone(form: str) -> str:
    return rf"(?: ?\(?(?P<{form}_zone>{zones.PATTERN})\)?)?"


def _clock(form: str, *, alone: bool = False) -> str:
    """A time of day: `16:00`, `4pm`, `4:13 PM (UTC)`. Alone, a bare number is none."""
    minutes = rf":(?P<{form}_minute>\d\d)(?::(?P<{form}_second>\d\d)(?:\.\d{{1,9}})?)?"
    half = rf" ?(?P<{form}_half>[ap])\.?m\b\.?"
    rest = rf"(?=:\d\d| ?[ap]\.?m\b)(?:{minutes})?(?:{half})?" if alone else rf"(?:{minutes})?(?:{half})?"
    return rf"(?P<{form}_hour>\d{{1,2}}){rest}{_zone(form)}"


def _month(form: str) -> str:
    return rf"(?P<{form}_month>{'|'.join(_MONTHS)})[a-z]{{0,6}}\.?"


def _year(form: str) -> str:
    return rf"(?:,? (?P<{form}_year>20\d\d)(?!\d))?"


def _day(form: str, suffix: str) -> str:
    weekday = rf"(?P<{form}_weekday>{'|'.join(_DAYS)}){suffix}"
    return rf"(?:{weekday}|(?P<{form}_tomorrow>tomorrow|明天|明日))"


_FULL: Final = "[a-z]{0,5}day(?![a-z])"
_NTH: Final = "(?:st|nd|rd|th)?"
_AT: Final = "(?:,| at|, at)? "
_BY_NUMBER: Final = (
    # 2026-08-25 11:16:11, 2026/08/25T11:16Z, 2026年8月25日 11:16
    rf"(?P<a_year>20\d\d)[-/.年](?P<a_month>\d\d?)[-/.月](?P<a_day>\d\d?)日?(?:(?:[t ]|, | at ){{1,2}}{_clock('a')})?",
    # 20 April 2026 02:00
    rf"(?P<c_day>\d{{1,2}}){_NTH} (?:of )?{_month('c')}(?![a-z]){_year('c')}(?:{_AT}{_clock('c')})?",
    # 8月25日 11:16
    rf"(?P<d_month>\d{{1,2}})月(?P<d_day>\d{{1,2}})日 ?(?:{_clock('d')})?",
    # 4/25/2026, 5:00:00 PM
    rf"(?P<e_month>\d{{1,2}})/(?P<e_day>\d{{1,2}})/(?P<e_year>20\d\d)(?:,? (?:at )?{_clock('e')})?",
    # 30.11.2026 um 16:30 Uhr
    rf"(?P<g_day>\d{{1,2}})\.(?P<g_month>\d{{1,2}})\.(?P<g_year>20\d\d)(?:,?(?: at| um)? {_clock('g')})?",
    # 9 PM on December 7, 2026; 21:15 on 7 December 2026; 9am on Monday; 12:00 tomorrow; 8pm (UTC)
    (
        rf"(?<!:){_clock('h', alone=True)}"
        rf"(?:,?(?: on| next| this)? (?:"
        rf"{_month('h')} (?P<h_day>\d{{1,2}}){_NTH}(?!\d){_year('h')}"
        rf"|(?P<i_day>\d{{1,2}}){_NTH} {_month('i')}(?![a-z]){_year('i')}"
        rf"|{_day('h', _FULL)}))?"
    ),
)
_BY_WORD: Final = (
    # April 20, 2026 at 2:00 AM; Apr 23 at 4pm
    rf"{_month('b')} (?P<b_day>\d{{1,2}}){_NTH}(?!\d){_year('b')}(?:{_AT}{_clock('b')})?",
    # Monday at 9am; tomorrow at 09:00
    rf"{_day('k', '(?:[a-z]{0,5}day|s)?')},? ?(?:at )?{_clock('k', alone=True)}",
    # Friday; tomorrow
    rf"{_day('l', _FULL)}(?!,? ?(?:\d|{'|'.join(_MONTHS)}))",
    # the first of next month
    r"(?P<m_next>next (?:calendar )?month(?!ly)|end of (?:the|this) (?:calendar )?month|下个?月)",
)
_DATE: Final = re.compile(
    rf"(?<![\d.-])(?:(?=\d)(?:{'|'.join(_BY_NUMBER)})|(?<![a-z])(?=[a-z明下])(?:{'|'.join(_BY_WORD)}))"
)
_EPOCH: Final = re.compile(r"(?<![\w.])([12]\d{9}(?:\d{3})?)(?![\w.]\d|\w)")
_AFTERNOON: Final = {"a": 0, "p": 12}
_NOON: Final = 12
_MORE_THAN_A_MONTH: Final = 32


def all_in(text: str, at: float, utc_offset_h: float) -> Iterator[tuple[int, int, float]]:
    """The dates in a lower-case text: start, end, and epoch seconds."""
    for match in _DATE.finditer(text):
        moment = _moment(match, at, utc_offset_h)
        if moment is not None:
            yield match.start(), match.end(), moment
    for match in _EPOCH.finditer(text):
        moment = instant(match[1])
        if moment is not None:
            yield match.start(), match.end(), moment


def first(text: str, at: float, utc_offset_h: float) -> float | None:
    """The first date in a lower-case text as epoch seconds, or None."""
    return next((moment for _, _, moment in all_in(text, at, utc_offset_h)), None)


def _moment(match: re.Match[str], at: float, utc_offset_h: float) -> float | None:
    """The epoch seconds of a match; None if there is no such date, or its zone is not known."""
    fields = {name[2:]: value for name, value in match.groupdict().items() if value is not None}
    zone = fields.get("zone", "").strip()
    offset_h = zones.offset_h(zone, at) if zone else utc_offset_h
    moment = None if offset_h is None else _date_or_none(fields, at, offset_h)
    if zone and moment is not None:
        # The date may lie beyond a change of the clocks.
        then_h = zones.offset_h(zone, moment)
        moment = moment if then_h is None or then_h == offset_h else _date_or_none(fields, at, then_h)
    return moment


def _date_or_none(fields: dict[str, str], at: float, offset_h: float) -> float | None:
    offset = timedelta(hours=offset_h)
    try:
        return _date(fields, datetime.fromtimestamp(at, UTC) + offset, offset)
    except (ValueError, OverflowError):
        return None


def _date(fields: dict[str, str], now: datetime, offset: timedelta) -> float | None:
    """The date of these fields as epoch seconds. `now` is the local time of the capture, `offset` its zone."""
    hour, half = int(fields.get("hour", 0)), fields.get("half")
    if half is not None:
        hour = hour % _NOON + _AFTERNOON[half]
    clock = now.replace(
        hour=hour, minute=int(fields.get("minute", 0)), second=int(fields.get("second", 0)), microsecond=0
    )
    if "next" in fields:
        moment = (clock.replace(day=1) + timedelta(days=_MORE_THAN_A_MONTH)).replace(day=1)
    else:
        moment = _of_month(fields, clock, now) if "day" in fields else _of_week(fields, clock, now)
    return plausible((moment - offset).timestamp())


def _of_week(fields: dict[str, str], clock: datetime, now: datetime) -> datetime:
    """The next such time of day, on that weekday if one is named."""
    if "weekday" in fields:
        moment = clock + timedelta(days=(_DAYS.index(fields["weekday"]) - now.weekday()) % 7)
        return moment if moment > now else moment + timedelta(days=7)
    return clock + timedelta(days=1) if "tomorrow" in fields or clock <= now else clock


def _of_month(fields: dict[str, str], clock: datetime, now: datetime) -> datetime:
    """That date; ValueError if there is none. Without a year it is the next one, or that of the last day."""
    name = fields["month"]
    month, day = int(name) if name.isdigit() else _MONTHS.index(name) + 1, int(fields["day"])
    if "year" in fields:
        return clock.replace(year=int(fields["year"]), month=month, day=day)
    moment = clock.replace(month=month, day=day)
    return moment if moment > now - timedelta(days=1) else moment.replace(year=now.year + 1)
