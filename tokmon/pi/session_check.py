"""Does a session of pi start on this account? A few at a time, each within its deadline, and none left behind.

Pi is run as a person would run it, with an empty folder to work in, without a session file, tools, skills, templates,
themes and extensions, but for tokmon's own: a check is a turn, and what its headers say is worth keeping. Should that
extension not load, the check is made again without it. So is a check whose key was refused, once: 401s flap on valid
keys, and what is refused twice is refused.
"""

import tempfile
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tokmon.evidence.log_line import CONFIRMED
from tokmon.evidence.model import Status
from tokmon.evidence.model import replace as with_other
from tokmon.pi.check_process import SILENT, How, Result, Running, Try, Wanted, read, started


def check(
    wanted: Sequence[Wanted], how: How, env: Mapping[str, str], stopped: Callable[[], bool] = lambda: False
) -> Generator[Result, None, None]:
    """A result for each, as they come, unless `stopped`. Whoever stops asking (`close`) leaves no pi behind."""
    waiting = deque(Try(each, how) for each in wanted)
    running: list[Running] = []
    with tempfile.TemporaryDirectory(prefix="tokmon-check-", ignore_cleanup_errors=True) as folder:
        try:
            while (waiting or running) and not stopped():
                while waiting and len(running) < how.jobs and not stopped():
                    begun = started(waiting.popleft(), Path(folder), env)
                    if isinstance(begun, Result):
                        yield begun
                    else:
                        running.append(begun)
                read(running)
                for each in [each for each in running if each.is_over()]:
                    running.remove(each)
                    following = _following(each.tried, each.end())
                    if isinstance(following, Try):
                        waiting.appendleft(following)
                    else:
                        yield following
        finally:
            for each in running:
                each.kill()


def _following(tried: Try, result: Result) -> "Try | Result":
    """The result of the check, or the next try."""
    extension = tried.how.extension
    if extension is not None and (result.reason == SILENT or str(extension) in (result.error or "")):
        return replace(tried, how=replace(tried.how, extension=None))
    if result.reading.status is not Status.INVALID_KEY:
        return result
    if not tried.again:
        return replace(tried, again=True)
    return replace(result, reading=with_other(result.reading, substatus=CONFIRMED))
