"""`tokmon tail`: follow the logs, one readable line a response or a billed thing."""

import argparse
import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from tokmon import paths
from tokmon.report.line import instant, line_text
from tokmon.report.terminal import put, style_of
from tokmon.report.words import Style
from tokmon.store import state_file
from tokmon.store.codec import parse
from tokmon.store.follow import Follower

SUMMARY: Final = "follow the log, one readable line a response"

_INTERVAL_S: Final = 0.2

Written = tuple[float, bytes, dict[str, Any]]
"""A line that says when: the instant, the line, and what it holds."""


def run(arguments: list[str]) -> int:
    """Print the last lines of all logs together in their order in time, then those that come, until stopped."""
    parser = argparse.ArgumentParser(prog="tokmon tail", description=SUMMARY)
    parser.add_argument("-n", "--lines", type=_count, default=10, metavar="N", help="how many to begin with (10)")
    parser.add_argument("--json", action="store_true", help="the lines as they stand in the logs")
    parser.add_argument("--utc", action="store_true", help="clock times in UTC")
    parser.add_argument("--no-follow", action="store_true", help="stop after the last lines")
    options = parser.parse_args(arguments)
    found = paths.find()
    show = _as_stored if options.json else Reader(style_of(sys.stdout, utc=options.utc)).show
    pause = _pause_on(sys.stdout.fileno())
    with Follower(state_file.evidence_logs(found)) as follower:
        show(in_time(follower.last(options.lines))[-options.lines :] if options.lines else [])
        while not options.no_follow:
            show(in_time(follower.lines(state_file.evidence_logs(found))))
            pause()
    return 0


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("it cannot be negative")
    return number


def in_time(lines: Iterable[bytes]) -> list[Written]:
    """The lines that are records and say when, in the order of that; torn ones are passed over."""
    records = ((line, parse(line)) for line in lines)
    dated = ((instant(record), line, record) for line, record in records if record is not None)
    return sorted(((at, line, record) for at, line, record in dated if at is not None), key=lambda each: each[0])


class Reader:
    """Turns records into text with the provider's column as wide as the longest name so far."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._width = 0

    def show(self, written: list[Written]) -> None:
        """Print one line each."""
        now = time.time()
        self._width = max([self._width, *(len(str(record.get("provider") or "-")) for _, _, record in written)])
        texts = (line_text(record, now, self._style, name_width=self._width) for _, _, record in written)
        for text in texts:
            print(text)
        sys.stdout.flush()


def _as_stored(written: list[Written]) -> None:
    if written:
        put(b"\n".join(line for _, line, _ in written))


def _pause_on(out: int) -> Callable[[], None]:
    """How to wait for a while. Where the reader of a pipe goes meanwhile, that ends it: nobody is left to write for."""
    kind = os.fstat(out).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):
        return lambda: time.sleep(_INTERVAL_S)
    poller = select.poll()
    poller.register(out, 0)

    def pause() -> None:
        if poller.poll(_INTERVAL_S * 1000):
            raise BrokenPipeError

    return pause
