"""`tokmon guard`: may a script go on with this account? By the exit code."""

import os
import sys
import time
from typing import Final

from tokmon import paths
from tokmon.decision import decision_file
from tokmon.decision.decide import Situation, situation
from tokmon.errors import StoreError, unexpected_argument
from tokmon.paths import Paths
from tokmon.selection.assessment import Assessment, Fitness, assess
from tokmon.selection.choose import choose
from tokmon.store import state_file

SUMMARY: Final = "tell a script by the exit code whether to go on: 0 go, 1 stop, 3 unknown"

GO, STOP, UNKNOWN = 0, 1, 3
_OPTIONS: Final = ("--fail-open", "--help")
_HELP: Final = f"""usage: tokmon guard [ACCOUNT] [--fail-open]

{SUMMARY}

arguments:
  ACCOUNT        the account (default: the one that `tokmon select` would pick)

options:
  --fail-open    exit 0 instead of 3 where there is no current data

examples:
  tokmon guard team-molto || exit 0
  tokmon guard --fail-open && pi -p "next task\""""


def run(arguments: list[str]) -> int:
    """The exit code for the account, or for the one that would be chosen."""
    if {"-h", "--help"} & {*arguments}:
        print(_HELP)
        return GO
    name, fail_open = _options(arguments)
    locations = paths.find()
    unknown = GO if fail_open else UNKNOWN
    try:
        state_file.require_readable(locations)
    except StoreError as error:
        print(f"unknown: {error}", file=sys.stderr)
        print(f"hint: {error.hint}", file=sys.stderr)
        return unknown
    return _guard(name, locations, unknown)


def _guard(name: str | None, locations: Paths, unknown: int) -> int:
    now = time.time()
    known = situation(locations, os.environ, more=() if name is None else (name,))
    current = decision_file.last_account(decision_file.path_of(locations, os.environ))
    decision = choose(known.policy, known.snapshot, now, current)
    if name is None and decision is None:
        print("unknown: no account is configured", file=sys.stderr)
        return unknown
    if name is None and decision is not None and decision.emergency:
        reason = f"stop: {decision.reason}; only the emergency `{decision.provider}` is left"
        print(reason, file=sys.stderr)
        return STOP
    # As the choice assesses it: where every key of the chain is refused, it believes none of that.
    candidates = () if decision is None else decision.candidates
    assessments = {candidate.provider: candidate.assessment for candidate in candidates}
    wanted = name or (decision.provider if decision is not None else "")
    return _exit_code(assessments.get(wanted) or _assess(wanted, known, now), unknown)


def _assess(name: str, known: Situation, now: float) -> Assessment:
    return assess(name, known.snapshot.accounts.get(name), known.others, now)


def _exit_code(assessment: Assessment, unknown: int) -> int:
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
        raise unexpected_argument(unexpected[0], _OPTIONS, "guard")
    return (names[0] if names else None), "--fail-open" in arguments
