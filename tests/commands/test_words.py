from datetime import UTC, timedelta, timezone

import pytest

from tests.commands.logbook import DAY, HOUR, NOW
from tokmon.evidence.model import Window
from tokmon.report.words import Style, ago, clean, clock, count, duration, left, money, percent, shorten, visible


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0s"), (42, "42s"), (720, "12m"), (15120, "4h 12m"), (14400, "4h"), (183600, "2d 3h"), (172800, "2d")],
)
def test_a_duration_has_its_two_greatest_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "now"), (-2, "now"), (12, "12s ago"), (15120, "4h ago"), (-7200, "2h ahead of this clock")],
)
def test_an_age_is_said_and_the_future_is_not_an_age(seconds: float, words: str) -> None:
    assert ago(seconds) == words


def test_a_clock_names_the_day_only_where_it_is_not_today() -> None:
    assert clock(NOW + 4 * HOUR, NOW, UTC) == "11:00Z"
    assert clock(NOW + 2 * DAY, NOW, UTC) == "Tue 07:00Z"
    assert clock(NOW + 9 * DAY, NOW, UTC) == "1 Dec 07:00Z"
    assert clock(NOW - DAY, NOW, UTC) == "21 Nov 07:00Z"


def test_a_clock_follows_the_zone_and_marks_utc_alone() -> None:
    assert clock(NOW, NOW, timezone(timedelta(hours=2))) == "09:00"


@pytest.mark.parametrize(
    ("fraction", "words"),
    [(None, "?"), (0.0, "0%"), (0.001, "<1%"), (0.42, "42%"), (0.999, "99%"), (1.0, "100%"), (1.04, "104%")],
)
def test_only_all_is_a_hundred_per_cent_and_only_nothing_is_zero(fraction: float | None, words: str) -> None:
    assert percent(fraction) == words


@pytest.mark.parametrize(
    ("usd", "words"),
    [(0.0, "$0.00"), (0.00001, "<$0.0001"), (0.0041, "$0.0041"), (0.0412, "$0.041"), (0.25, "$0.25"), (12.5, "$12.50")],
)
def test_a_small_amount_is_never_shown_as_nothing(usd: float, words: str) -> None:
    assert money(usd) == words


def test_counts_are_short() -> None:
    assert [count(number) for number in (0, 950, 1200, 88_000, 4_500_000)] == ["0", "950", "1.2k", "88k", "4.5M"]


@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize("fraction", [None, 0.0, 0.01, 0.5, 0.999, 1.0, 7.0])
@pytest.mark.parametrize("width", [0, 1, 8, 24])
def test_a_bar_is_as_wide_as_asked(fraction: float | None, width: int, *, blocks: bool) -> None:
    assert len(Style(blocks=blocks).bar(fraction, width)) == width


def test_a_bar_of_what_is_unknown_differs_from_an_empty_one() -> None:
    for style in (Style(blocks=True), Style(blocks=False)):
        assert style.bar(None, 10) != style.bar(0.0, 10)
        assert style.bar(1.0, 10) != style.bar(0.0, 10)


def test_nothing_that_a_terminal_would_obey_comes_out_of_a_log() -> None:
    assert clean("a\x1b[31mb\nc\x07") == "a?[31mb?c?"


def test_the_visible_length_leaves_the_paint_out() -> None:
    painted = f"ab {Style(colour=True).paint('cd', 'red')} ef"
    assert len(painted) > len("ab cd ef")
    assert visible(painted) == len("ab cd ef")


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        (Window("a"), []),
        (Window("a", remaining=120, limit=1000), ["120 of 1k left"]),
        (Window("a", remaining=0), ["0 left"]),
        (Window("a", limit=1000), ["limit 1k"]),
        (Window("a", used_usd=1.2, limit_usd=5), ["$1.20 of $5.00 used"]),
        (Window("a", used_usd=0.0), ["$0.00 used"]),
        (Window("a", limit_usd=5), ["limit $5.00"]),
    ],
)
def test_counts_and_money_are_said_as_far_as_they_are_known(counted: Window, words: list[str]) -> None:
    assert left(counted) == words


@pytest.mark.parametrize(("fraction", "words"), [(1e300, ">999%"), (9.996, ">999%"), (-1.0, "?"), (9.99, "999%")])
def test_a_share_that_cannot_be_is_no_reason_to_fail(fraction: float, words: str) -> None:
    assert percent(fraction) == words


@pytest.mark.parametrize(
    ("fraction", "words"),
    [
        (0.0, "0%"),
        (-0.0, "0%"),
        (1e-9, "<1%"),
        (0.005, "<1%"),
        (0.006, "1%"),
        (0.996, "99%"),
        (1, "100%"),
        (1.2, "120%"),
    ],
)
def test_only_nothing_is_none_and_only_all_is_all(fraction: float, words: str) -> None:
    assert percent(fraction) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (12_345, "12.3k"),
        (999_499, "999k"),
        (999_999, "1M"),
        (2.5e9, "2.5G"),
        (1e15, "1e+15"),
        (-5, "-5"),
    ],
)
def test_counts_have_three_figures_and_never_an_exponent_before_their_unit(number: float, words: str) -> None:
    assert count(number) == words


@pytest.mark.parametrize(("usd", "words"), [(0, "$0.00"), (0.00001, "<$0.0001"), (-5, "$-5.00"), (1e300, "$1e+300")])
def test_money_that_cannot_be_is_neither_little_nor_long(usd: float, words: str) -> None:
    assert money(usd) == words


def test_a_long_remark_is_cut_after_a_whole_word() -> None:
    assert shorten("the last pi check started no session", 20) == "the last pi check~"
    assert shorten("short", 20) == "short"
    assert shorten("a" * 30, 20) == "a" * 19 + "~"
