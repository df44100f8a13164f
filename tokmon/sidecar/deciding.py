"""The decision, ready for the next wake while the sidecar runs: a wake then costs one shell.

Only a policy that has been validated already is taken: validating imports more than the whole sidecar is. Whoever
calls `tokmon select` after the configuration has changed validates it.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from tokmon import check_file, decision_file, policy_file
from tokmon.errors import StoreError
from tokmon.grounds import Grounds
from tokmon.paths import Paths
from tokmon.selection.ahead import looking_ahead
from tokmon.selection.asking import asks_first
from tokmon.selection.choose import Decision, choose
from tokmon.selection.given import relevant
from tokmon.snapshot import Snapshot

_LOOKS: Final = 240
"""Two hours of half minutes: some 40 ms for seven accounts, when nothing else happens."""

_AT_ONCE: Final = 8


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
        if policy is None or not policy.order or policy.pin or policy.resumes or relevant(os.environ):
            return  # what the session asked for that started this process is not what every wake asks for
        now = time.time()
        seen = check_file.beside(snapshot, self._paths, os.environ, policy.order, now)
        last = decision_file.last(self._paths)
        decision = choose(policy, seen, now, last)
        if decision is None:
            return
        if asks_first(policy, seen, decision, last):
            # That is for a wake to find out: the sidecar asks nobody.
            self._withdraw()
        else:
            self._write(decision)

    def look_ahead(self) -> Iterator[None]:
        """Decide, and keep that for as long as the same evidence gives it again: a step at a time.

        From what lies on the disk, as `tokmon select` does it, since it is `tokmon select` that will find it.
        """
        grounds = Grounds(self._paths)
        loaded = policy_file.ready(self._paths, os.environ)
        if loaded is None or loaded.errors or not loaded.policy.order:
            return
        grounds.also(loaded.check_file)
        policy, known, now = loaded.policy, grounds.state(), time.time()
        snapshot = check_file.beside(known.snapshot, self._paths, os.environ, policy.order, now)
        decision = choose(policy, snapshot, now, decision_file.last(self._paths))
        if decision is None or not grounds.certain(os.environ, decision):
            return
        ahead = None
        for number, ahead in enumerate(islice(looking_ahead(policy, snapshot, decision), _LOOKS)):  # noqa: B007
            if number % _AT_ONCE == 0:
                yield
        if ahead is not None:
            self._write(decision)
            grounds.keep(decision, ahead, check_file.same_until(self._paths, os.environ, now))

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
