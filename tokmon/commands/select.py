"""`tokmon select`: the account for the next session, as `PROVIDER MODEL`."""

import os
import sys
import time
from functools import partial
from typing import Final, NamedTuple

from tokmon import paths, store
from tokmon.decision import decision_file, policy_cache
from tokmon.errors import StoreError, TokmonError, UsageError
from tokmon.evidence.model import replace
from tokmon.evidence.snapshot import Snapshot
from tokmon.grounds import Grounds
from tokmon.paths import Paths
from tokmon.pi import check_file
from tokmon.report.terminal import output, put, say, style_of
from tokmon.selection.choose import Asked, Decision, choose
from tokmon.selection.decision_json import decision_json
from tokmon.selection.horizon import look_ahead
from tokmon.selection.overrides import relevant
from tokmon.selection.policy import Policy
from tokmon.selection.probe_choice import wanted
from tokmon.store.state_file import State

SUMMARY: Final = "pick the account for the next session"

NO_DECISION: Final = 4
_LOCK_S: Final = 0.4
"""What a wake can spare to write down what it says: many may want the lock at once, each for a moment."""

_POLL_S: Final = 0.005
_FORMATS: Final = {"--json": "json", "--explain": "explain"}
_USAGE: Final = "usage: tokmon select [--json | --explain] [--resume PROVIDER] [--no-ask]"


def run(arguments: list[str]) -> int:
    """Print the choice; 4 if nobody is configured and so nothing can be decided."""
    options = _options(arguments)
    shape = options.shape
    found = paths.find()
    grounds = Grounds(found)
    loaded = _loaded(found)
    grounds.also(loaded.check_file)
    policy = _policy(found, loaded)
    if options.resumes is not None:
        policy = replace(policy, resumes=options.resumes)
    known, current = grounds.state(), decision_file.last(found)
    asked = _asked(found, policy, known, current) if options.ask else ()
    now = time.time()
    evidence = _evidence(found, policy, known, now)
    decision = choose(policy, evidence, now, current)
    if decision is None:
        print("error: no account is configured, and models.json names none", file=sys.stderr)
        print(f"hint: name a `chain` in `{found.config}` (docs/configuration.md)", file=sys.stderr)
        if policy.default is not None:
            say([" ".join(policy.default)])
        return NO_DECISION
    decision = replace(decision, asked=asked)
    _record(found, decision, policy)
    if shape == "json":
        put(store.encode(decision_json(decision)))
    elif shape == "explain":
        from tokmon.report.decision_text import decision_text  # noqa: PLC0415 - a wake does without

        say(decision_text(decision, style_of(output())))
    else:
        say([f"{decision.provider} {decision.model}"])
    if not asked and not loaded.errors and policy.resumes is None and grounds.certain(os.environ, decision):
        ahead = look_ahead(policy, evidence, decision, grounds.askable)
        grounds.keep(decision, ahead, check_file.valid_until(policy_cache.check_file(found, os.environ), now))
    return 0


def _asked(found: Paths, policy: Policy, known: State, current: str | None) -> tuple[Asked, ...]:
    """Ask those on whose answer the choice depends, and take in what they say; whatever goes wrong stops nothing."""
    try:
        now = time.time()
        if not wanted(policy, _evidence(found, policy, known, now), now, current):
            return ()
        from tokmon.decision import probe_before_choice  # noqa: PLC0415 - few wakes ask, and it takes long to import

        return probe_before_choice.consult(found, policy, known, partial(_evidence, found, policy, known), current)
    except TokmonError as error:
        print(f"warning: nobody was asked: {error}", file=sys.stderr)
    except Exception as error:  # noqa: BLE001 - a wake goes on with what it has
        print(f"warning: asking failed: {type(error).__name__}", file=sys.stderr)
    return ()


def _evidence(found: Paths, policy: Policy, known: State, now: float) -> Snapshot:
    """All that is known: the logs, and the results of pi checks beside them."""
    return check_file.merge_check_results(known.snapshot, policy_cache.check_file(found, os.environ), policy.order, now)


def policy_of(found: Paths) -> Policy:
    """The policy that counts; where no chain is configured, one out of models.json. What is invalid is said."""
    return _policy(found, _loaded(found))


def _loaded(found: Paths) -> policy_cache.Loaded:
    loaded = policy_cache.load(found, os.environ)
    for error in loaded.errors:
        print(f"warning: {error}; in use: {loaded.source.value}", file=sys.stderr)
    return loaded


def _policy(found: Paths, loaded: policy_cache.Loaded) -> Policy:
    return loaded.policy if loaded.policy.order else policy_cache.propose(found, loaded.policy)


def _record(found: Paths, decision: Decision, policy: Policy) -> None:
    """Keep the decision in its log and for the hook; what cannot be kept is said, and changes nothing.

    What this call alone asks for is not what the next one wants: that goes into the log alone.
    """
    try:
        if policy.resumes is None and not relevant(os.environ):
            decision_file.write(found, os.environ, decision)
    except (OSError, StoreError) as error:
        print(f"warning: the decision was not kept: {error}", file=sys.stderr)
    try:
        until = time.monotonic() + _LOCK_S
        while not decision_file.record(found, decision, "select", blocking=False):
            if time.monotonic() >= until:
                raise StoreError("another process holds that log, and does not let go")
            time.sleep(_POLL_S)
    except (OSError, StoreError) as error:
        print(f"warning: the decision was not recorded: {error}", file=sys.stderr)


class _Options(NamedTuple):
    shape: str = "plain"
    resumes: str | None = None
    ask: bool = True


def _options(arguments: list[str]) -> _Options:
    found = _Options()
    words = iter(arguments)
    for word in words:
        if word in _FORMATS:
            found = found._replace(shape=_FORMATS[word])
        elif word == "--resume":
            found = found._replace(resumes=next(words, None))
            if not found.resumes:
                raise UsageError("`--resume` needs the provider of the session")
        elif word == "--no-ask":
            found = found._replace(ask=False)
        elif word in {"-h", "--help"}:
            print(f"{_USAGE}\n\n{SUMMARY}; `--resume` stays there if it can, `--no-ask` asks no provider")
            raise SystemExit(0)
        else:
            raise UsageError(f"no such option: `{word}`", hint="`tokmon select --help` lists them")
    return found
