"""Numbers, instants and durations in words. Pure: `now`, the zone and the kind of terminal are arguments.

Any number is taken: a log may hold one of 400 digits, which is an infinity.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from math import isfinite
from pathlib import Path
from typing import Final

from tokmon.evidence.model import Window

_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400
_LONGEST_S: Final = 1e12
_SKEW_S: Final = 5.0
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_MEMBER: Final = 16
"""Characters of a member's name on a screen."""

_CODES: Final = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "bold": "1", "dim": "2"}

MARKS: Final = {"usable": "✓+", "warning": "!!", "no": "✗x", "unknown": "??"}
"""Each with its substitute where the encoding lacks the character."""

LOCAL: Final[tzinfo | None] = None
"""The zone of this machine, as `datetime` takes it."""


@dataclass(frozen=True, slots=True)
class Style:
    """What the terminal can show. The default is safe everywhere: no escape codes, ASCII only."""

    colour: bool = False
    blocks: bool = False
    marks: bool = False
    zone: tzinfo | None = LOCAL

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour of the terminal's own palette, or as it is."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.colour and colour else text

    @property
    def dot(self) -> str:
        """Stands between remarks."""
        return " · " if self.blocks else "; "

    def mark(self, what: str) -> str:
        """The mark of `usable`, `warning`, `no` or `unknown`."""
        return MARKS[what][0 if self.marks else 1]

    def bar(self, fraction: float | None, width: int) -> str:
        """A bar, full at 1 and beyond; dotted where the fraction is unknown."""
        if fraction is None:
            return ("·" if self.blocks else " ") * width
        share = min(1.0, max(0.0, fraction))
        if not self.blocks:
            whole = int(share * width)
            return "#" * whole + "." * (width - whole)
        whole, rest = divmod(int(share * width * 8), 8)
        part = _EIGHTHS[rest] if rest else ""
        return "█" * whole + part + "░" * (width - whole - len(part))


def clean(text: str) -> str:
    """A text from a log without control characters."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def spoken(text: str) -> str:
    """A word from a log (`org_level_disabled`) as words."""
    return clean(text).replace("_", " ")


_SOURCES: Final = {"piggyback": "pi", "pi-check": "check"}


def source_word(source: str) -> str:
    """The name of a source on a screen: `pi` for a response that pi got."""
    return _SOURCES.get(source) or fit(clean(source), 16)


def by(member: str, before: str = ", ") -> str:
    """`, by nadja` for what another member of the pool knows; nothing for what this member knows first hand."""
    return f"{before}by {fit(clean(member), _MEMBER)}" if member else ""


def origin(age: float, source: str, member: str = "") -> str:
    """`3m ago (pi)`, `3m ago (pi, by nadja)`: how old evidence is, in seconds, and where it comes from."""
    return f"{ago(age)} ({source_word(source)}{by(member)})"


def duration(seconds: float) -> str:
    """`42s`, `12m`, `4h 12m`, `2d 3h`: the two largest units, rounded down."""
    if not abs(seconds) < _LONGEST_S:
        return "?"
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < _DAY:
        return _two(whole // _HOUR, "h", whole % _HOUR // _MINUTE, "m")
    return _two(whole // _DAY, "d", whole % _DAY // _HOUR, "h")


def about(seconds: float) -> str:
    """`40s`, `95m`, `23h`, `4d`: one unit, rounded to the nearest, small enough to be useful."""
    if not abs(seconds) < _LONGEST_S:
        return "?"
    whole = max(0, round(seconds))
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 2 * _HOUR - _MINUTE // 2:
        return f"{round(whole / _MINUTE)}m"
    return f"{round(whole / _HOUR)}h" if whole < 3 * _DAY - _HOUR // 2 else f"{round(whole / _DAY)}d"


def _two(great: int, unit: str, small: int, smaller: str) -> str:
    return f"{great}{unit} {small}{smaller}" if small else f"{great}{unit}"


def ago(seconds: float) -> str:
    """`3m ago`; `2h ahead of this clock` for an instant in the future."""
    if seconds < -_SKEW_S:
        return f"{_short(-seconds)} ahead of this clock"
    return "now" if seconds < 1 else f"{_short(seconds)} ago"


def _short(seconds: float) -> str:
    """One unit: `3h`, `2d`."""
    return duration(seconds).split(" ", 1)[0]


def clock(when: float, now: float, zone: tzinfo | None = LOCAL) -> str:
    """`18:00` today, `Thu 18:00` within six days, `14 Apr 18:00` otherwise; with a `Z` in UTC."""
    moment, today = datetime.fromtimestamp(when, zone), datetime.fromtimestamp(now, zone)
    time = f"{moment:%H:%M}{'Z' if zone is UTC else ''}"
    days = (moment.date() - today.date()).days
    if days == 0:
        return time
    return f"{moment:%a} {time}" if 0 < days < 7 else f"{moment.day} {moment:%b} {time}"  # noqa: PLR2004 - a week


def percent(fraction: float | None) -> str:
    """`42%`, `104%`; only 1 is `100%` and only 0 is `0%`; `?` where it is unknown."""
    if fraction is None or not fraction >= 0:
        return "?"
    if fraction > 9.99:  # noqa: PLR2004 - beyond any real figure, and a log may hold 1e300
        return ">999%"
    whole = round(fraction * 100)
    if fraction > 0 and whole == 0:
        return "<1%"
    return f"{min(99, whole) if fraction < 1 else whole}%"


def count(number: float) -> str:
    """`950`, `12.3k`, `4.5M`, `1.2G`; `?` for what is no number."""
    if not isfinite(number):
        return "?"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if 0.9995 <= number / size < 999.5:  # noqa: PLR2004 - what three figures round to `1` and to `999`
            return f"{number / size:.3g}{unit}"
    return f"{number:.4g}"


def money(usd: float) -> str:
    """`$0.04`; small amounts keep two significant figures, so that no cost is shown as zero."""
    if not isfinite(usd):
        return "$?"
    if usd >= 1e6:  # noqa: PLR2004 - a log may hold 1e300
        return f"${count(usd)}"
    if 0 < usd < 0.1:  # noqa: PLR2004 - below, two decimals are too few
        return f"${usd:.2g}" if usd >= 0.0001 else "<$0.0001"  # noqa: PLR2004 - the smallest amount shown
    return f"${usd:.2f}"


def no_accounts(models: Path) -> str:
    """That pi has no account, in words; `models` is its models.json."""
    return f"pi has none (`{models}` lists none, and there is no login and no key)"


def plural(number: int, noun: str) -> str:
    """`1 line`, `3 lines`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def left(window: Window) -> list[str]:
    """What is left of a window in counts, or what is used of one in money; empty where neither is known."""
    remarks = []
    if window.remaining is not None:
        of = "" if window.limit is None else f" of {count(window.limit)}"
        remarks.append(f"{count(window.remaining)}{of} left")
    elif window.limit is not None:
        remarks.append(f"limit {count(window.limit)}")
    if window.used_usd is not None:
        of = "" if window.limit_usd is None else f" of {money(window.limit_usd)}"
        remarks.append(f"{money(window.used_usd)}{of} used")
    elif window.limit_usd is not None:
        remarks.append(f"limit {money(window.limit_usd)}")
    return remarks


def fit(text: str, width: int) -> str:
    """The text, cut to `width` characters with a mark where it was longer."""
    return text if len(text) <= width else f"{text[: width - 1]}~" if width > 0 else ""


def shorten(text: str, width: int) -> str:
    """The text, cut to `width` characters after a whole word, where there is one in the second half, and marked."""
    if len(text) <= width:
        return text
    end = text.rfind(" ", 0, width)
    return f"{text[:end]}~" if end > width // 2 else fit(text, width)


def visible(text: str) -> int:
    """The length of a text as a terminal shows it, without its escape codes."""
    bare, *painted = text.split("\x1b[")
    return len(bare) + sum(len(part.partition("m")[2]) for part in painted)
