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
from tokmon.pi.check_process import SILENT, AccountToCheck, CheckSettings, Running, SessionResult, Try, read, started


def check(
    wanted: Sequence[AccountToCheck],
    how: CheckSettings,
    env: Mapping[str, str],
    stopped: Callable[[], bool] = lambda: False,
) -> Generator[SessionResult, None, None]:
    """A result for each, as they come, unless `stopped`. Whoever stops asking (`close`) leaves no pi behind."""
    waiting = deque(Try(run, how) for run in wanted)
    running: list[Running] = []
    with tempfile.TemporaryDirectory(prefix="tokmon-check-", ignore_cleanup_errors=True) as folder:
        try:
            while (waiting or running) and not stopped():
                while waiting and len(running) < how.jobs and not stopped():
                    begun = started(waiting.popleft(), Path(folder), env)
                    if isinstance(begun, SessionResult):
                        yield begun
                    else:
                        running.append(begun)
                read(running)
                for run in [run for run in running if run.is_over()]:
                    running.remove(run)
                    following = _following(run.tried, run.end())
                    if isinstance(following, Try):
                        waiting.appendleft(following)
                    else:
                        yield following
        finally:
            for run in running:
                run.kill()


def _following(tried: Try, result: SessionResult) -> "Try | SessionResult":
    """The result of the check, or the next try."""
    extension = tried.how.extension
    if extension is not None and (result.reason == SILENT or str(extension) in (result.error or "")):
        return replace(tried, how=replace(tried.how, extension=None))
    if result.reading.status is not Status.INVALID_KEY:
        return result
    if not tried.again:
        return replace(tried, again=True)
    return replace(result, reading=with_other(result.reading, substatus=CONFIRMED))
