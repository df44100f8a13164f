"""`tokmon select`: the account for the next session, as `PROVIDER MODEL`."""

import os
import sys
import time
from typing import Final

from tokmon import decision_file, paths, policy_file, store
from tokmon.commands.terminal import put, say, style_of
from tokmon.errors import StoreError, UsageError
from tokmon.grounds import Grounds
from tokmon.paths import Paths
from tokmon.selection.ahead import look_ahead
from tokmon.selection.choose import Decision, choose, decision_json
from tokmon.selection.given import relevant
from tokmon.selection.policy import Policy

SUMMARY: Final = "pick the account for the next session"

NO_DECISION: Final = 4
_FORMATS: Final = {"--json": "json", "--explain": "explain"}


def run(arguments: list[str]) -> int:
    """Print the choice; 4 if nobody is configured and so nothing can be decided."""
    shape, current = _options(arguments)
    found = paths.find()
    grounds = Grounds(found)
    loaded = _loaded(found)
    grounds.also(loaded.check_file)
    policy = _policy(found, loaded)
    snapshot = grounds.state().snapshot
    decision = choose(policy, snapshot, time.time(), current or decision_file.last(found))
    if decision is None:
        print("error: no account is configured, and models.json names none", file=sys.stderr)
        print(f"hint: name a `chain` in `{found.config}` (docs/configuration.md)", file=sys.stderr)
        if policy.default is not None:
            say([" ".join(policy.default)])
        return NO_DECISION
    _record(found, decision)
    if shape == "json":
        put(store.encode(decision_json(decision)))
    elif shape == "explain":
        from tokmon.report.decision import decision_text  # noqa: PLC0415 - a wake does without

        say(decision_text(decision, style_of(sys.stdout)))
    else:
        say([f"{decision.provider} {decision.model}"])
    if not loaded.errors and grounds.certain(os.environ, decision):
        grounds.keep(decision, look_ahead(policy, snapshot, decision))
    return 0


def policy_of(found: Paths) -> Policy:
    """The policy that counts; where no chain is configured, one out of models.json. What is invalid is said."""
    return _policy(found, _loaded(found))


def _loaded(found: Paths) -> policy_file.Loaded:
    loaded = policy_file.load(found, os.environ)
    for error in loaded.errors:
        print(f"warning: {error}; {loaded.source.value} counts", file=sys.stderr)
    return loaded


def _policy(found: Paths, loaded: policy_file.Loaded) -> Policy:
    return loaded.policy if loaded.policy.order else policy_file.propose(found, loaded.policy)


def _record(found: Paths, decision: Decision) -> None:
    """Keep the decision in its log and for the hook; what cannot be kept is said, and changes nothing.

    What the environment of this call asks for is not what the next one wants: that goes into the log alone.
    """
    try:
        decision_file.record(found, decision, "select")
        if not relevant(os.environ):
            decision_file.write(found, os.environ, decision)
    except (OSError, StoreError) as error:
        print(f"warning: the decision was not recorded: {error}", file=sys.stderr)


def _options(arguments: list[str]) -> tuple[str, str | None]:
    shape, current = "plain", None
    words = iter(arguments)
    for word in words:
        if word in _FORMATS:
            shape = _FORMATS[word]
        elif word == "--current":
            current = next(words, None)
            if not current:
                raise UsageError("`--current` needs a provider")
        elif word in {"-h", "--help"}:
            print(f"usage: tokmon select [--json | --explain] [--current PROVIDER]\n\n{SUMMARY}")
            raise SystemExit(0)
        else:
            raise UsageError(f"no such option: `{word}`", hint="`tokmon select --help` lists them")
    return shape, current
