"""The decision for the next wake, taken by whoever has new evidence, so that the wake need not take it.

Only a policy that has been validated already is taken: validating imports more than the rest of tokmon. Whoever calls
`tokmon select` after the configuration has changed validates it.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from tokmon.decision import decision_file, policy_cache
from tokmon.errors import StoreError
from tokmon.grounds import Grounds
from tokmon.paths import Paths
from tokmon.pi import check_file
from tokmon.selection.choose import Decision, choose
from tokmon.selection.horizon import STEPS, looking_ahead

_ACCOUNTS: Final = 7200
"""How many accounts are looked at in all: thirty for two hours. A sidecar that ends is waited for."""

_AT_ONCE: Final = 56
"""How many are looked at in one step."""


def validated(paths: Paths) -> policy_cache.Loaded | None:
    """The policy as it was validated, with the chain that `tokmon select` proposes where none is configured.

    None where that is not known, or where nobody could be chosen.
    """
    loaded = policy_cache.ready(paths, os.environ)
    if loaded is None or loaded.errors:
        return None
    if not loaded.policy.order:
        loaded = loaded._replace(policy=policy_cache.propose(paths, loaded.policy))
    return loaded if loaded.policy.order else None


def keeping(paths: Paths, write: Callable[[Decision], None]) -> Iterator[None]:
    """Decide, `write` it, and keep it for as long as the same evidence gives it again: some steps at a time.

    From what lies on the disk, as `tokmon select` does it, since it is `tokmon select` that will find it. Nothing is
    written of what a wake would not decide by itself: where it would ask, or where this process has another wish; nor
    where somebody else has logged evidence meanwhile, and decides on it.
    """
    grounds = Grounds(paths)
    loaded = validated(paths)
    if loaded is None:
        return
    grounds.also(loaded.check_file)
    policy, known, now = loaded.policy, grounds.state(), time.time()
    snapshot = check_file.merge_check_results(
        known.snapshot, policy_cache.check_file(paths, os.environ), policy.order, now
    )
    decision = choose(policy, snapshot, now, decision_file.last(paths))
    if decision is None or not grounds.certain(os.environ, decision):
        return
    ahead, each = None, len(policy.order)
    steps = islice(looking_ahead(policy, snapshot, decision, grounds.askable), min(STEPS, max(1, _ACCOUNTS // each)))
    for number, ahead in enumerate(steps):  # noqa: B007
        if number % max(1, _AT_ONCE // each) == 0:
            yield
    if ahead is not None and grounds.unchanged():
        write(decision)
        grounds.keep(decision, ahead, check_file.valid_until(policy_cache.check_file(paths, os.environ), now))


def keep(paths: Paths, source: str) -> None:
    """The same at once, for a command that has logged new evidence. What cannot be kept costs the next wake time."""

    def write(decision: Decision) -> None:
        before = decision_file.last(paths)
        decision_file.write(paths, os.environ, decision)
        if before != decision.provider:
            decision_file.record(paths, decision, source, blocking=False)

    with contextlib.suppress(OSError, StoreError):
        for _ in keeping(paths, write):
            pass
