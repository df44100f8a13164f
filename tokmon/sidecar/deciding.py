"""The decision, ready for the next wake while the sidecar runs: a wake then costs one shell."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator

from tokmon import foresight
from tokmon.decision import decision_file, policy_cache
from tokmon.errors import StoreError
from tokmon.evidence.snapshot import Snapshot
from tokmon.grounds import Grounds
from tokmon.paths import Paths
from tokmon.pi import check_file
from tokmon.selection.choose import Decision, choose
from tokmon.selection.overrides import relevant
from tokmon.selection.probe_choice import asks_first


class Announcer:
    """Writes the decision file after each change of the snapshot, and a line of the log when it is another."""

    def __init__(self, paths: Paths, say: Callable[[str], None]) -> None:
        self._paths = paths
        self._say = say
        self._said: tuple[str, str] | None = None
        self._failing = False

    def announce(self, snapshot: Snapshot) -> None:
        """Decide, and write it down. A failure is said once; the hook then asks `tokmon select`."""
        loaded = foresight.validated(self._paths)
        if loaded is None or loaded.policy.pin or loaded.policy.resumes or relevant(os.environ):
            return  # what the session asked for that started this process is not what every wake asks for
        policy, now = loaded.policy, time.time()
        seen = check_file.merge_check_results(
            snapshot, policy_cache.check_file(self._paths, os.environ), policy.order, now
        )
        last = decision_file.last(self._paths)
        decision = choose(policy, seen, now, last)
        if decision is None:
            return
        if asks_first(policy, seen, decision, last, Grounds(self._paths).askable):
            # That is for a wake to find out: the sidecar asks nobody.
            self._withdraw()
        else:
            self._write(decision)

    def look_ahead(self) -> Iterator[None]:
        """Decide, and keep that for as long as the same evidence gives it again: some steps at a time."""
        return foresight.keeping(self._paths, self._write)

    def _withdraw(self) -> None:
        with contextlib.suppress(OSError):  # it expires by itself within the minute
            decision_file.place(self._paths, os.environ).unlink(missing_ok=True)

    def _write(self, decision: Decision) -> None:
        try:
            decision_file.write(self._paths, os.environ, decision)
            said = (decision.provider, decision.model)
            # Who holds that log must not hold up the captures: the line then comes with the next occasion.
            if said != self._said and decision_file.record(self._paths, decision, "sidecar", blocking=False):
                self._said = said
            self._failing = False
        except (OSError, StoreError) as error:
            if not self._failing:
                self._say(f"cannot write the decision: {error}")
            self._failing = True
