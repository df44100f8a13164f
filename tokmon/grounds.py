"""What a decision rests on, and keeping the decision for as long as that is unchanged (`kept`).

Everything is stamped before it is read, and once more when the decision is kept: unchanged files give the same
snapshot, and with that the look ahead was made.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tokmon import kept, store
from tokmon.errors import StoreError
from tokmon.paths import Paths
from tokmon.selection.choose import Decision
from tokmon.selection.horizon import Ahead
from tokmon.store import state_file as states
from tokmon.store.state_file import State

if TYPE_CHECKING:
    from tokmon.probes import Slot  # few decisions need them


class Grounds:
    """Of one decision. Made before the configuration is read."""

    def __init__(self, found: Paths) -> None:
        self._found = found
        self._files = [str(found.config), str(found.models)]
        self._stamps = [_told(lambda: kept.file_stamps(self._files))]
        self._logs: str | None = None
        self._ahead = False
        self._turns: dict[str, Slot] | None = None

    def also(self, path: Path | None) -> None:
        """One more file that will be read, if there is one."""
        if path is not None:
            self._files.append(str(path))
            self._stamps.append(_told(lambda: kept.file_stamps([str(path)])))

    def state(self) -> State:
        """The state as of now. Who has changed the evidence since asks again."""
        self._logs = _told(lambda: kept.log_stamps(str(self._found.logs)))
        found = states.current(self._found)
        # What is left out for its clock would be taken in by whoever reads it later.
        self._ahead = found.ahead
        return found

    def askable(self, at: float) -> frozenset[str]:
        """Whom a wake might ask at that instant (epoch seconds), whatever its environment.

        Not who cannot be asked at all, by what pi is configured with, nor who may not be asked again yet.
        """
        if self._turns is None:
            from tokmon import probes  # noqa: PLC0415 - where nobody is in doubt nobody is asked

            self.also(self._found.agent / "auth.json")
            now = time.time()
            known = probes.targets(self._found, os.environ, now)
            able = [
                name
                for name, each in known.items()
                if each.in_other_environment or probes.unavailable_reason(each) is None
            ]
            self._turns = probes.probe_limiter(self._found).slots(able, now)
        return frozenset(name for name, turn in self._turns.items() if turn.may_be_probed(at))

    def certain(self, env: Mapping[str, str], decision: Decision) -> bool:
        """Whether it is the usual decision, and one that a look ahead says something of."""
        return not (kept.overridden(env) or decision.pinned or self._ahead)

    def unchanged(self) -> bool:
        """Whether all that was read is what it was."""
        try:
            self._body()
        except (OSError, ValueError):
            return False
        return True

    def keep(self, decision: Decision, ahead: Ahead | None, same_until: float = math.inf) -> None:
        """Keep the decision for that long, if nothing has changed since it was read.

        `same_until` (epoch seconds) is when what was read would give other evidence by itself. What cannot be kept
        costs the next wake time, and nothing else.
        """
        clock = kept.clock()
        if ahead is None or clock is None:
            return
        with contextlib.suppress(OSError, StoreError, ValueError):
            ahead = ahead._replace(until=min(ahead.until, same_until))
            store.replace(self._found.state / kept.NAME, os.fsencode(self._text(clock, decision, ahead)))

    def _text(self, clock: tuple[str, int], decision: Decision, ahead: Ahead) -> str:
        boot, now = clock
        offset = kept.wall() - now
        issued = int(decision.decided_at * 100) - offset
        until = issued + int((ahead.until - decision.decided_at) * 100)
        flags = ["yes" if each else "no" for each in (decision.emergency, decision.spends)]
        header = [boot, issued, until, int(ahead.crossing_s), offset, decision.provider, decision.model, *flags]
        return kept.text(header, self._body())

    def _body(self) -> str:
        """What must be unchanged, if it is; ValueError or OSError otherwise."""
        found = self._found
        logs = kept.log_stamps(str(found.logs))
        files = kept.file_stamps(self._files)
        if [files, logs] != ["".join(each or "?" for each in self._stamps), self._logs]:
            raise ValueError("it has changed while it was read")
        return kept.body(str(found.state), str(found.home), files, logs)


def _told(stamped: Callable[[], str]) -> str | None:
    """The stamps; None where they cannot be had, and nothing is kept then."""
    try:
        return stamped()
    except (OSError, ValueError):
        return None
