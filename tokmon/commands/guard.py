"""`tokmon guard`: may a script go on with this account? By the exit code."""

import os
import sys
import time
from typing import Final

from tokmon import paths
from tokmon.commands.select import policy_of
from tokmon.decision import decision_file, policy_cache
from tokmon.errors import UsageError
from tokmon.pi import check_file
from tokmon.selection.assessment import Verdict, standing
from tokmon.selection.choose import choose
from tokmon.store import state_file

SUMMARY: Final = "say by the exit code whether to go on: 0 go, 1 stop, 3 unknown"

GO, STOP, UNKNOWN = 0, 1, 3


def run(arguments: list[str]) -> int:
    """The verdict on the account, or on the one that would be chosen; `--fail-open` goes on where it is unknown."""
    if arguments and arguments[0] in {"-h", "--help"}:
        print(f"usage: tokmon guard [PROVIDER] [--fail-open]\n\n{SUMMARY}")
        return 0
    names = [word for word in arguments if not word.startswith("-")]
    strange = [word for word in arguments if word.startswith("-") and word != "--fail-open"]
    if strange or len(names) > 1:
        raise UsageError(
            f"cannot make sense of `{(strange or names)[-1]}`", hint="`tokmon guard [PROVIDER] [--fail-open]`"
        )
    found, now = paths.find(), time.time()
    policy = policy_of(found)
    name = names[0] if names else None
    snapshot = check_file.merge_check_results(
        state_file.current(found).snapshot, policy_cache.check_file(found, os.environ), (*policy.order, *names), now
    )
    decision = choose(policy, snapshot, now, decision_file.last(found))
    if name is None:
        if decision is not None and decision.emergency:
            print(f"stop: {decision.reason}; only the emergency `{decision.provider}` is left", file=sys.stderr)
            return STOP
        name = None if decision is None else decision.provider
    if name is None:
        print("unknown: no account is configured", file=sys.stderr)
        return GO if "--fail-open" in arguments else UNKNOWN
    # As the choice sees it: where every key of the chain is refused, it believes none of that.
    looked = {} if decision is None else {each.standing.provider: each.standing for each in decision.alternatives}
    told = looked.get(name) or standing(name, snapshot.accounts.get(name), policy, now)
    if told.verdict is Verdict.EXCLUDED:
        print(f"stop: {name}: {told.why}", file=sys.stderr)
        return STOP
    if told.verdict is Verdict.UNKNOWN:
        print(f"unknown: {name}: {told.why}", file=sys.stderr)
        return GO if "--fail-open" in arguments else UNKNOWN
    return GO
