"""The decision, ready for the next wake while the sidecar runs: a wake then costs one shell.

Only a policy that has been validated already is taken: validating imports more than the whole sidecar is. Whoever
calls `tokmon select` after the configuration has changed validates it.
"""

import os
import time
from collections.abc import Callable

from tokmon import check_file, decision_file, policy_file
from tokmon.errors import StoreError
from tokmon.paths import Paths
from tokmon.selection.choose import choose
from tokmon.snapshot import Snapshot


class Announcer:
    """Writes the decision file after each change of the snapshot, and a line of the log when it is another."""

    def __init__(self, paths: Paths, say: Callable[[str], None]) -> None:
        self._paths = paths
        self._say = say
        self._said: tuple[str, str] | None = None
        self._failing = False

    def announce(self, snapshot: Snapshot) -> None:
        """Decide, and write it down. A failure is said once; the hook then asks `tokmon select`."""
        policy = policy_file.cached(self._paths, os.environ)
        if policy is None or not policy.order or policy.pin is not None:
            return
        now = time.time()
        seen = check_file.beside(snapshot, self._paths, os.environ, policy.order, now)
        decision = choose(policy, seen, now, decision_file.last(self._paths))
        if decision is None:
            return
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
