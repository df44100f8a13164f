"""Time zones in texts, by abbreviation, name or offset. Pure: a table, since `zoneinfo` reads files."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_FIXED_H: Final = {
    **dict.fromkeys(("z", "utc", "gmt", "etc/utc", "etc/gmt", "coordinated universal time"), 0.0),
    **dict.fromkeys(("cet", "bst", "wat", "africa/lagos", "africa/algiers", "africa/casablanca"), 1.0),
    **dict.fromkeys(("cest", "eet", "sast", "africa/johannesburg", "africa/cairo"), 2.0),
    **dict.fromkeys(("eest", "msk", "europe/moscow", "europe/istanbul", "europe/minsk"), 3.0),
    **dict.fromkeys(("asia/riyadh", "asia/baghdad", "asia/kuwait", "asia/qatar", "africa/nairobi"), 3.0),
    **dict.fromkeys(("asia/tehran",), 3.5),
    **dict.fromkeys(("gst", "asia/dubai", "asia/baku", "asia/tbilisi", "asia/yerevan"), 4.0),
    **dict.fromkeys(("asia/kabul",), 4.5),
    **dict.fromkeys(("pkt", "asia/karachi", "asia/tashkent", "asia/almaty"), 5.0),
    **dict.fromkeys(("ist", "asia/kolkata", "asia/calcutta", "asia/colombo"), 5.5),
    **dict.fromkeys(("asia/kathmandu", "asia/katmandu"), 5.75),
    **dict.fromkeys(("asia/dhaka",), 6.0),
    **dict.fromkeys(("asia/yangon", "asia/rangoon"), 6.5),
    **dict.fromkeys(("wib", "ict", "asia/bangkok", "asia/jakarta", "asia/ho_chi_minh", "asia/saigon"), 7.0),
    **dict.fromkeys(("asia/shanghai", "asia/singapore", "asia/hong_kong", "asia/taipei", "sgt", "hkt"), 8.0),
    **dict.fromkeys(("asia/manila", "asia/kuala_lumpur", "asia/macau", "asia/chongqing", "australia/perth"), 8.0),
    **dict.fromkeys(("beijing time", "china standard time", "cst (china)", "北京时间", "北京時間"), 8.0),
    **dict.fromkeys(("jst", "kst", "asia/tokyo", "asia/seoul"), 9.0),
    **dict.fromkeys(("australia/darwin",), 9.5),
    **dict.fromkeys(("aest", "australia/brisbane"), 10.0),
    **dict.fromkeys(("aedt",), 11.0),
    **dict.fromkeys(("nzst",), 12.0),
    **dict.fromkeys(("nzdt",), 13.0),
    **dict.fromkeys(("brt", "art", "america/sao_paulo", "america/buenos_aires"), -3.0),
    **dict.fromkeys(("america/argentina/buenos_aires", "america/montevideo", "america/bahia"), -3.0),
    **dict.fromkeys(("edt", "america/caracas", "america/la_paz", "america/puerto_rico"), -4.0),
    **dict.fromkeys(("est", "cdt", "america/bogota", "america/lima", "america/panama", "america/guayaquil"), -5.0),
    **dict.fromkeys(("cst", "mdt", "america/mexico_city", "america/costa_rica", "america/guatemala"), -6.0),
    **dict.fromkeys(("mst", "pdt", "america/phoenix"), -7.0),
    **dict.fromkeys(("pst", "akdt"), -8.0),
    **dict.fromkeys(("akst",), -9.0),
    **dict.fromkeys(("hst", "pacific/honolulu"), -10.0),
}
_SUMMER: Final = {
    **dict.fromkeys(("america/halifax", "atlantic/bermuda"), (-4.0, "us")),
    **dict.fromkeys(("america/new_york", "america/toronto", "america/detroit"), (-5.0, "us")),
    **dict.fromkeys(("et", "eastern", "eastern time", "us/eastern"), (-5.0, "us")),
    **dict.fromkeys(
        ("america/chicago", "america/winnipeg", "ct", "central", "central time", "us/central"), (-6.0, "us")
    ),
    **dict.fromkeys(
        ("america/denver", "america/edmonton", "america/boise", "mt", "mountain time", "us/mountain"), (-7.0, "us")
    ),
    **dict.fromkeys(("america/los_angeles", "america/vancouver", "america/tijuana"), (-8.0, "us")),
    **dict.fromkeys(("pt", "pacific", "pacific time", "us/pacific"), (-8.0, "us")),
    **dict.fromkeys(("america/anchorage",), (-9.0, "us")),
    **dict.fromkeys(("europe/london", "europe/dublin", "europe/lisbon", "atlantic/canary"), (0.0, "eu")),
    **dict.fromkeys(("europe/berlin", "europe/paris", "europe/madrid", "europe/rome", "europe/amsterdam"), (1.0, "eu")),
    **dict.fromkeys(
        ("europe/vienna", "europe/zurich", "europe/brussels", "europe/warsaw", "europe/prague"), (1.0, "eu")
    ),
    **dict.fromkeys(("europe/stockholm", "europe/oslo", "europe/copenhagen", "europe/budapest"), (1.0, "eu")),
    **dict.fromkeys(("europe/belgrade", "europe/zagreb", "europe/bratislava", "europe/luxembourg"), (1.0, "eu")),
    **dict.fromkeys(("central european time",), (1.0, "eu")),
    **dict.fromkeys(
        ("europe/helsinki", "europe/athens", "europe/kyiv", "europe/kiev", "europe/bucharest"), (2.0, "eu")
    ),
    **dict.fromkeys(("europe/sofia", "europe/riga", "europe/vilnius", "europe/tallinn", "asia/nicosia"), (2.0, "eu")),
    **dict.fromkeys(("australia/adelaide",), (9.5, "south")),
    **dict.fromkeys(
        ("australia/sydney", "australia/melbourne", "australia/hobart", "australia/canberra"), (10.0, "south")
    ),
    **dict.fromkeys(("pacific/auckland",), (12.0, "south")),
}
"""Zones with daylight saving time: their offset in winter, and whose rule they follow."""

_MOST_H: Final = 15
_OFFSET: Final = re.compile(r"(?:utc|gmt)? ?([+-])(\d\d?)(?::?(\d\d))?")
_NAMES: Final = "|".join(sorted(map(re.escape, (*_FIXED_H, *_SUMMER)), key=len, reverse=True))
PATTERN: Final = rf"(?:utc|gmt)? ?[+-]\d\d?(?::?\d\d)?(?!\d)|(?:{_NAMES})(?![a-z/])|[a-z]{{2,12}}/[a-z_/]{{2,30}}"
"""A zone in a lower-case text, known or not."""


def offset_h(zone: str, at: float) -> float | None:
    """The offset of a zone from UTC in hours, in summer if `at` lies in it; None if the zone is not known."""
    if zone in _FIXED_H:
        return _FIXED_H[zone]
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
    """True between the days of that rule: the first Sunday from each on."""
    first, last = (_sunday(local, month, day) for month, day in _RULES[rule])
    return not last <= local < first if last < first else first <= local < last


_RULES: Final = {"us": ((3, 8), (11, 1)), "eu": ((3, 25), (10, 25)), "south": ((10, 1), (4, 1))}
"""Month and day from which on the first Sunday begins the summer, and the one that ends it."""


def _sunday(local: datetime, month: int, day: int) -> datetime:
    """The first Sunday from that day on, at two in the morning."""
    moment = local.replace(month=month, day=day, hour=2, minute=0, second=0, microsecond=0)
    return moment + timedelta(days=6 - moment.weekday())
