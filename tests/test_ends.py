"""Ends in error texts: the instant or the wait that a sentence or a field states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokmon.evidence.ends import stated_end
from tokmon.wire.instants import parse_rfc3339, rfc3339

AT = parse_rfc3339("2026-11-29T12:00:00Z")
IN_3_HOURS = "2026-11-29T15:00:00Z"


def end(text: str) -> str | None:
    """The stated end as text, to the second."""
    stated = stated_end(text.lower(), AT)
    return None if stated is None else rfc3339(float(round(stated.resets_at)))


@pytest.mark.parametrize(
    "text",
    [
        "Resets in 3 hours.",
        "resets in 3hrs",
        "It will reset in 2 hours 60 minutes",
        "It will reset in 2 hours, 59 minutes and 60 seconds",
        "try again in 180 min",
        "Try again in ~180 min.",
        "retry in 3h0m0s",
        "quota will reset after 2h59m60s",
        "Please wait 10800 seconds",
        "please wait another 3 hours",
        "available again in about 3 hours",
        "available in less than 3 hours",
        "3 hours until your limit resets",
        "3 hours left until reset",
        "resets in 03:00:00",
        "resets in 10800000ms",
        "retry in PT3H",
        "time until reset: 03:00:00",
        "resets in 2 hrs & 60 mins",
        "the provider requested a 10800s wait before the next retry",
        "next window: 15:00 UTC",
        "Limit resets at 2026-11-29T15:00:00Z",
        "Limit resets at 2026-11-29T16:00:00.000001+01:00",
        "resets at 2026-11-29 15:00",
        "resets at 2026/11/29 15:00:00 UTC",
        "resets at 2026-11-29 23:00:00 +0800 CST",
        "resets at 2026-11-29 23:00:00 (UTC+8)",
        "resets Sun Nov 29 2026 23:00:00 GMT+0800 (China Standard Time)",
        "resets on November 29, 2026 at 3:00 PM",
        "resets on Nov 29th at 3pm",
        "resets on 29 November 2026 15:00",
        "resets 11/29/2026, 3:00:00 PM",
        "resets 3pm",
        "resets at 15:00 UTC",
        "resets 10am (America/New_York)",
        "resets 7am PT",
        "resets 4pm (Europe/Berlin)",
        "resets 12am (Asia/Tokyo)",
        "resets on Sunday at 3pm",
        "resets at 1795964400",
        "usage limit reached|1795964400",
        "resets at 1795964400000",
        '{"resets_at": 1795964400}',
        '{"resetsAt":"1795964400000"}',
        '{"reset_at":"2026-11-29T15:00:00+00:00"}',
        '{"quotaResetTimeStamp":"2026-11-29T15:00:00Z"}',
        '{"quotaResetDelay":"3h0m0.4s"}',
        '{"retry_after_seconds":10800}',
        '{"retryAfter": "10800"}',
        '{"reset_seconds":10800,"reset_time":"3h0m0s"}',
        '{"resets_in_seconds":10800}',
        '{"retry_after_ms":10800000}',
        '{"resetInMinutes":180}',
        "{'reset_at': 1795964400}",
        "429 limit retry-after-ms=10800000",
        "reset: 2026-11-29T15:00:00Z",
        "您的限额将在 2026-11-29 23:00:00 重置",
        "将于2026年11月29日23:00恢复",
        "将在11月29日 23:00重置",
        "请在3小时后重试",
        "3小时后恢复",
        "请等待 180 分钟",
    ],
)
def test_end_is_read_in_every_form(text: str) -> None:
    assert end(text) == IN_3_HOURS


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("try again in a day", "2026-11-30T12:00:00Z"),
        ("try again in 2 weeks", "2026-12-13T12:00:00Z"),
        ("resets in 1 month", "2026-12-29T12:00:00Z"),
        ("resets on January 3 at 2:00 AM", "2027-01-03T02:00:00Z"),
        ("resets on December 1", "2026-12-01T00:00:00Z"),
        ("resets tomorrow at 09:00", "2026-11-30T09:00:00Z"),
        ("明天 08:00 重置", "2026-11-30T00:00:00Z"),
        ("resets 11am", "2026-11-30T11:00:00Z"),
        ("resets on Monday at 9am", "2026-11-30T09:00:00Z"),
        ("resets Sunday at 9am", "2026-12-06T09:00:00Z"),
        ("resets in 2 hours; the weekly limit resets in 3 days", "2026-12-02T12:00:00Z"),
        ("please wait two days", "2026-12-01T12:00:00Z"),
        ("resets in one day and twelve hours", "2026-12-01T00:00:00Z"),
        ("resets on Friday", "2026-12-04T00:00:00Z"),
        ("resets this Friday at 5 PM ET", "2026-12-04T22:00:00Z"),
        ("resets Sunday, Dec 6 at 9am", "2026-12-06T09:00:00Z"),
        ("try again tomorrow", "2026-11-30T00:00:00Z"),
        ("resets at noon tomorrow", "2026-11-30T12:00:00Z"),
        ("resets at the end of the day", "2026-11-30T00:00:00Z"),
        ("resets at midnight Pacific time", "2026-11-30T08:00:00Z"),
        ("resets at 9 o'clock tomorrow", "2026-11-30T09:00:00Z"),
        ("resets on the 1st of next month", "2026-12-01T00:00:00Z"),
        ("try again after 21:15 on December 7", "2026-12-07T21:15:00Z"),
        ("try again after 9:15 PM on 7 December 2026", "2026-12-07T21:15:00Z"),
        ("resets 30.11.2026 um 16:30 Uhr", "2026-11-30T16:30:00Z"),
        ("resets 2026.12.01 00:00 UTC", "2026-12-01T00:00:00Z"),
        ("resets Dec 1, 12am (Australia/Sydney)", "2026-11-30T13:00:00Z"),
        ("resets Jul 1, 12am (Australia/Sydney)", "2027-06-30T14:00:00Z"),
        ("resets Jul 1, 12am (America/New_York)", "2027-07-01T04:00:00Z"),
        ("下周一零点重置", "2026-11-29T16:00:00Z"),
        ("请在明天上午9点后重试", "2026-11-30T01:00:00Z"),
        ("将于今天下午11点30分恢复", "2026-11-29T15:30:00Z"),
        ("明日 0時にリセットされます", "2026-11-29T15:00:00Z"),
    ],
)
def test_end_counts_from_the_capture(text: str, instant: str) -> None:
    assert end(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "limits reset every 5 hours",
        "you used 5 hours of your 10 hours",
        "usage limit reached for 5 hour",
        "rate limit of 50 requests per 1 minute",
        "request req_1795964400 failed",
        "{'timestamp': 1795964400, 'limit': 5}",
        '{"created_at":"2026-11-29T15:00:00Z"}',
        "the weekly (7-day) limit",
        "resets 3pm (Mars/Olympus)",
        "resets on February 31",
        "resets at 25:00",
        "resets on 2026-13-40",
        "retry 3 times",
        "resets soon",
        "resets in 99999999 days",
        "",
    ],
)
def test_text_without_an_end_gives_none(text: str) -> None:
    assert end(text) is None


def test_end_beyond_the_window_belongs_to_another_limit() -> None:
    text = "resets in 2 hours. your subscription renews on dec 20."
    ends = [stated_end(text, AT, length_s=length) for length in (5 * 3600.0, 60.0, None)]
    assert [end and rfc3339(end.resets_at) for end in ends] == [
        "2026-11-29T14:00:00Z",
        "2026-12-20T00:00:00Z",
        "2026-12-20T00:00:00Z",
    ]


@given(st.text(max_size=200), st.floats(0, 4e9), st.floats(-12, 14))
def test_no_text_raises(text: str, at: float, offset_h: float) -> None:
    stated_end(text.lower(), at, offset_h)


WORDS = [
    "resets",
    "in",
    "at",
    "1",
    "12",
    ":30",
    "3",
    "pm",
    "jan",
    "2026",
    "-",
    "/",
    "年",
    "月",
    "monday",
    "utc",
    "+9",
    "hours",
]


@given(st.lists(st.sampled_from(WORDS), max_size=14))
def test_no_order_of_words_raises(words: list[str]) -> None:
    stated_end(" ".join(words), AT)
    stated_end("".join(words), AT)
