"""`tokmon guard`: may a script go on with this account? By the exit code."""

import os
import sys
import time
from typing import Final

from tokmon import paths
from tokmon.decision import decision_file
from tokmon.decision.decide import Situation, situation
from tokmon.errors import UsageError
from tokmon.selection.assessment import Assessment, Fitness, assess
from tokmon.selection.choose import choose

SUMMARY: Final = "tell a script by the exit code whether to go on: 0 go, 1 stop, 3 unknown"

GO, STOP, UNKNOWN = 0, 1, 3
_HELP: Final = f"""usage: tokmon guard [ACCOUNT] [--fail-open]

{SUMMARY}

arguments:
  ACCOUNT        the account to judge (default: the one that `tokmon select` would pick)

options:
  --fail-open    go on where nothing current is known

examples:
  tokmon guard team-molto || exit 0
  tokmon guard --fail-open && pi -p "next task\""""


def run(arguments: list[str]) -> int:
    """The verdict on the account, or on the one that would be chosen."""
    if arguments and arguments[0] in {"-h", "--help"}:
        print(_HELP)
        return 0
    name, fail_open = _options(arguments)
    locations, now = paths.find(), time.time()
    known = situation(locations, os.environ, more=() if name is None else (name,))
    current = decision_file.last_account(decision_file.path_of(locations, os.environ))
    decision = choose(known.policy, known.snapshot, now, current)
    unknown = GO if fail_open else UNKNOWN
    if name is None and decision is None:
        print("unknown: no account is configured", file=sys.stderr)
        return unknown
    if name is None and decision is not None and decision.emergency:
        reason = f"stop: {decision.reason}; only the emergency `{decision.provider}` is left"
        print(reason, file=sys.stderr)
        return STOP
    # As the choice assesses it: where every key of the chain is refused, it believes none of that.
    candidates = () if decision is None else decision.candidates
    assessed = {candidate.provider: candidate.assessment for candidate in candidates}
    wanted = name or (decision.provider if decision is not None else "")
    return _verdict(assessed.get(wanted) or _assess(wanted, known, now), unknown)


def _assess(name: str, known: Situation, now: float) -> Assessment:
    return assess(name, known.snapshot.accounts.get(name), known.policy, now)


def _verdict(assessment: Assessment, unknown: int) -> int:
    if assessment.fitness is Fitness.EXCLUDED:
        print(f"stop: {assessment.provider}: {assessment.reason}", file=sys.stderr)
        return STOP
    if assessment.fitness is Fitness.UNKNOWN:
        print(f"unknown: {assessment.provider}: {assessment.reason}", file=sys.stderr)
        return unknown
    return GO


def _options(arguments: list[str]) -> tuple[str | None, bool]:
    names = [word for word in arguments if not word.startswith("-")]
    unexpected = [word for word in arguments if word.startswith("-") and word != "--fail-open"] or names[1:]
    if unexpected:
        raise UsageError(f"unexpected argument `{unexpected[0]}`", hint="`tokmon guard [ACCOUNT] [--fail-open]`")
    return (names[0] if names else None), "--fail-open" in arguments
