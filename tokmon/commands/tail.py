"""`tokmon tail`: follow the logs, one readable line for each response or billed item."""

import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, Final

from tokmon import paths
from tokmon.report.arguments import parser, whole_number
from tokmon.report.line import account_name, instant, line_text
from tokmon.report.terminal import put, style_of
from tokmon.report.words import Style
from tokmon.store import state_file
from tokmon.store.codec import parse, printable_json
from tokmon.store.follow import Follower

SUMMARY: Final = "follow the logs, one readable line for each response"

_INTERVAL_S: Final = 0.2

Written = tuple[float, bytes, dict[str, Any]]
"""A line with an instant: that (epoch seconds), the line, and the record in it."""


def run(arguments: list[str]) -> int:
    """Print the last lines of all logs in the order of time, then new ones, until stopped."""
    command_line = parser("tail", SUMMARY, examples=("tokmon tail", "tokmon tail -n 100 --no-follow"))
    command_line.add_argument(
        "-n", "--lines", type=whole_number(0), default=10, metavar="N", help="number of lines to begin with (10)"
    )
    command_line.add_argument("--json", action="store_true", help="print the lines as they are in the logs")
    command_line.add_argument("--utc", action="store_true", help="show clock times in UTC")
    command_line.add_argument("--no-follow", action="store_true", help="stop after the last lines")
    options = command_line.parse(arguments)
    locations = paths.find()
    state_file.require_readable(locations)
    show = _as_stored if options.json else Reader(style_of(sys.stdout, utc=options.utc)).show
    pause = _pause_on(sys.stdout.fileno())
    with Follower(state_file.evidence_logs(locations)) as follower:
        show(in_time(follower.last(options.lines))[-options.lines :] if options.lines else [])
        while not options.no_follow:
            show(in_time(follower.lines(state_file.evidence_logs(locations))))
            pause()
    return 0


def in_time(lines: Iterable[bytes]) -> list[Written]:
    """The records among the lines, in the order of their instants; torn lines are skipped."""
    records = ((line, parse(line)) for line in lines)
    dated = ((instant(record), line, record) for line, record in records if record is not None)
    return sorted(((at, line, record) for at, line, record in dated if at is not None), key=itemgetter(0))


class Reader:
    """Prints records as text, with the account's column as wide as the longest name so far."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._width = 0

    def show(self, written: list[Written]) -> None:
        """Print one line for each record."""
        now = time.time()
        self._width = max([self._width, *(len(account_name(record)) for _, _, record in written)])
        texts = (line_text(record, now, self._style, name_width=self._width) for _, _, record in written)
        for text in texts:
            print(text)
        sys.stdout.flush()


def _as_stored(written: list[Written]) -> None:
    if written:
        put(b"\n".join(printable_json(line) for _, line, _ in written))


def _pause_on(out: int) -> Callable[[], None]:
    """A function that waits for a while, and raises BrokenPipeError when the reader of a pipe has gone."""
    kind = os.fstat(out).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):
        return lambda: time.sleep(_INTERVAL_S)
    poller = select.poll()
    poller.register(out, 0)

    def pause() -> None:
        if poller.poll(_INTERVAL_S * 1000):
            raise BrokenPipeError

    return pause
