"""Dates and times in words: `2026-08-25 11:16:11`, `April 20, 2026 at 2:00 AM`, `8pm (UTC)`, epoch seconds. Pure.

A zone that is not known by its abbreviation or name gives no instant, since the text states another than UTC.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from tokmon.evidence.values import instant, plausible

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ZONES_H: Final = {
    **dict.fromkeys(("z", "utc", "gmt", "etc/utc", "etc/gmt", "coordinated universal time"), 0.0),
    **dict.fromkeys(("cet", "bst", "wat", "africa/lagos"), 1.0),
    **dict.fromkeys(("cest", "eet", "sast", "africa/johannesburg"), 2.0),
    **dict.fromkeys(("eest", "msk", "europe/moscow", "europe/istanbul"), 3.0),
    **dict.fromkeys(("ist", "asia/kolkata", "asia/calcutta"), 5.5),
    **dict.fromkeys(("asia/shanghai", "asia/singapore", "asia/hong_kong", "asia/taipei", "sgt", "hkt"), 8.0),
    **dict.fromkeys(("beijing time", "china standard time", "北京时间", "北京時間"), 8.0),
    **dict.fromkeys(("jst", "kst", "asia/tokyo", "asia/seoul"), 9.0),
    **dict.fromkeys(("aest", "australia/brisbane"), 10.0),
    **dict.fromkeys(("brt", "america/sao_paulo", "america/argentina/buenos_aires"), -3.0),
    **dict.fromkeys(("edt",), -4.0),
    **dict.fromkeys(("est", "cdt"), -5.0),
    **dict.fromkeys(("cst", "mdt"), -6.0),
    **dict.fromkeys(("mst", "pdt", "america/phoenix"), -7.0),
    **dict.fromkeys(("pst",), -8.0),
}
_SUMMER: Final = {
    **dict.fromkeys(("america/new_york", "america/toronto", "america/detroit", "et", "eastern time"), (-5.0, "us")),
    **dict.fromkeys(("america/chicago", "ct", "central time"), (-6.0, "us")),
    **dict.fromkeys(("america/denver", "mt", "mountain time"), (-7.0, "us")),
    **dict.fromkeys(("america/los_angeles", "america/vancouver", "pt", "pacific time"), (-8.0, "us")),
    **dict.fromkeys(("europe/london", "europe/dublin", "europe/lisbon"), (0.0, "eu")),
    **dict.fromkeys(("europe/berlin", "europe/paris", "europe/madrid", "europe/rome", "europe/amsterdam"), (1.0, "eu")),
    **dict.fromkeys(
        ("europe/vienna", "europe/zurich", "europe/brussels", "europe/warsaw", "europe/prague"), (1.0, "eu")
    ),
    **dict.fromkeys(("europe/stockholm", "europe/oslo", "europe/copenhagen"), (1.0, "eu")),
    **dict.fromkeys(("europe/helsinki", "europe/athens", "europe/kyiv", "europe/bucharest"), (2.0, "eu")),
}
"""Zones with daylight saving time: their offset in winter, and whose rule they follow."""

_MOST_H: Final = 15
_OFFSET: Final = re.compile(r"(?:utc|gmt)? ?([+-])(\d\d?)(?::?(\d\d))?")
_NAMES: Final = "|".join(sorted(map(re.escape, (*_ZONES_H, *_SUMMER)), key=len, reverse=True))


def _zone(form: str) -> str:
    offset, known = r"(?:utc|gmt)? ?[+-]\d\d?(?::?\d\d)?(?!\d)", rf"(?:{_NAMES})(?![a-z/])"
    return rf"(?: ?\(?(?P<{form}_zone>{offset}|{known}|[a-z]{{2,12}}/[a-z_/]{{2,30}})\)?)?"


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


def _day(form: str) -> str:
    weekday = rf"(?P<{form}_weekday>{'|'.join(_DAYS)})(?:[a-z]{{0,5}}day|s)?"
    return rf"(?:(?<![a-z])(?:{weekday}|(?P<{form}_tomorrow>tomorrow|明天|明日)),? ?(?:at )?)?"


_NTH: Final = "(?:st|nd|rd|th)?"
_AT: Final = "(?:,| at|, at)? "
_FORMS: Final = (
    # 2026-08-25 11:16:11, 2026/08/25T11:16Z, 2026年8月25日 11:16
    rf"(?P<a_year>20\d\d)[-/年](?P<a_month>\d\d?)[-/月](?P<a_day>\d\d?)日?(?:(?:[t ]|, | at ){{1,2}}{_clock('a')})?",
    # April 20, 2026 at 2:00 AM; Apr 23 at 4pm
    rf"(?<![a-z]){_month('b')} (?P<b_day>\d{{1,2}}){_NTH}(?!\d){_year('b')}(?:{_AT}{_clock('b')})?",
    # 20 April 2026 02:00
    rf"(?P<c_day>\d{{1,2}}){_NTH} (?:of )?{_month('c')}(?![a-z]){_year('c')}(?:{_AT}{_clock('c')})?",
    # 8月25日 11:16
    rf"(?P<d_month>\d{{1,2}})月(?P<d_day>\d{{1,2}})日 ?(?:{_clock('d')})?",
    # 4/25/2026, 5:00:00 PM
    rf"(?P<e_month>\d{{1,2}})/(?P<e_day>\d{{1,2}})/(?P<e_year>20\d\d)(?:,? (?:at )?{_clock('e')})?",
    # Monday at 9am; tomorrow at 09:00; 8pm (UTC)
    rf"{_day('f')}(?<![\d:]){_clock('f', alone=True)}",
)
_DATE: Final = re.compile(rf"(?<![\d.-])(?:{'|'.join(_FORMS)})")
_EPOCH: Final = re.compile(r"(?<![\w.])([12]\d{9}(?:\d{3})?)(?![\w.]\d|\w)")
_AFTERNOON: Final = {"a": 0, "p": 12}
_NOON: Final = 12


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
    offset_h = _offset_h(fields["zone"].strip(), at) if "zone" in fields else utc_offset_h
    if offset_h is None:
        return None
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


def _offset_h(zone: str, at: float) -> float | None:
    """The offset of a zone from UTC in hours, in summer if `at` lies in it; None if the zone is not known."""
    if zone in _ZONES_H:
        return _ZONES_H[zone]
    if zone in _SUMMER:
        winter_h, rule = _SUMMER[zone]
        return winter_h + (
            1.0 if _is_summer(datetime.fromtimestamp(at, UTC) + timedelta(hours=winter_h), rule) else 0.0
        )
    match = _OFFSET.fullmatch(zone)
    if match is None:
        return None
    hours = int(match[2]) + int(match[3] or 0) / 60
    return (-hours if match[1] == "-" else hours) if hours <= _MOST_H else None


def _is_summer(local: datetime, rule: str) -> bool:
    """True from the second Sunday of March to the first of November (US), or the last of March to that of October."""
    if rule == "us":
        first, last = _sunday(local, 3, 8), _sunday(local, 11, 1)
    else:
        first, last = _sunday(local, 3, 25), _sunday(local, 10, 25)
    return first <= local < last


def _sunday(local: datetime, month: int, day: int) -> datetime:
    """The first Sunday from that day on, at two in the morning."""
    moment = local.replace(month=month, day=day, hour=2, minute=0, second=0, microsecond=0)
    return moment + timedelta(days=6 - moment.weekday())
