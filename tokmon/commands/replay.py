"""`tokmon replay`: what each policy would have done, over logs or over a simulated fleet."""

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tokmon import paths
from tokmon.decision import policy_cache
from tokmon.errors import InputError, TokmonError, UsageError
from tokmon.report.terminal import put, say
from tokmon.selection.policy import POLICIES, Policy
from tokmon.simulation.outcome import PolicyOutcome, table
from tokmon.simulation.recorded import read_recording
from tokmon.simulation.recorded import replay as replay_record
from tokmon.simulation.simulate import simulate
from tokmon.simulation.world import world
from tokmon.store.codec import encode, parse
from tokmon.store.opener import open_file
from tokmon.store.reader import lines_from

SUMMARY: Final = "what each policy would have done, over logs or over a simulated fleet"

_WEEKS: Final = 200
_MOST: Final = 10.0


def run(arguments: list[str]) -> int:
    """Print the figures of each policy."""
    options = _options(arguments)
    policies = tuple(dict.fromkeys(options.policy or reversed(POLICIES)))
    runs = _simulated(options, policies) if options.simulate else _recorded(options.logs, policies)
    if options.json:
        told = [{**what, "policies": [each.to_json() for each in outcomes]} for what, outcomes in runs]
        put(encode({"runs": told}))
        return 0
    for what, outcomes in runs:
        say([_heading(what), "", *table(outcomes), ""])
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tokmon replay", description=SUMMARY)
    parser.add_argument("logs", nargs="*", type=Path, metavar="LOG", help="logs of readings, taken together")
    parser.add_argument("--simulate", nargs="+", type=int, metavar="SEED", help="a simulated fleet instead, each seed")
    parser.add_argument("--weeks", type=int, metavar="N", help=f"how long it is simulated ({_WEEKS})")
    parser.add_argument("--load", type=float, metavar="X", help="how much work there is for it (1.0)")
    parser.add_argument("--policy", action="append", choices=POLICIES, help="one of them only; may be repeated")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    options = parser.parse_args(arguments)
    if bool(options.logs) == bool(options.simulate):
        raise UsageError("either logs or `--simulate SEED`", hint="`tokmon replay --help` says more")
    if options.weeks is not None and (options.logs or options.weeks < 1):
        raise UsageError("`--weeks` is a number of simulated weeks, from 1 on")
    if options.load is not None and (options.logs or not 0 < options.load <= _MOST):
        raise UsageError(f"`--load` is a factor of the usual work of `--simulate`, over 0 and up to {_MOST:g}")
    return options


def _simulated(
    options: argparse.Namespace, policies: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], list[PolicyOutcome]]]:
    weeks, load = options.weeks or _WEEKS, options.load or 1.0
    for seed in options.simulate:
        fleet = world(seed, weeks, load)
        yield {"seed": seed, "weeks": weeks, "load": load}, [simulate(fleet, policy) for policy in policies]


def _recorded(logs: list[Path], policies: tuple[str, ...]) -> Iterator[tuple[dict[str, Any], list[PolicyOutcome]]]:
    policy = _configured()
    told = read_recording(line for path in logs for line in _lines(path))
    if not told.starts:
        raise InputError("no line of these logs names a session", field="session")
    outcomes = replay_record(told, [replace(policy, policy=each) for each in policies])
    yield {"logs": [str(path) for path in logs]}, outcomes


def _configured() -> Policy:
    """The owner's accounts, without a person's one-shot override: that is of this moment, not of the logs'."""
    found = paths.find()
    policy = policy_cache.with_chain(found, policy_cache.load(found, os.environ)).policy
    if not policy.accounts:
        raise TokmonError(
            "no account is configured, and models.json names none", hint=f"name a `chain` in `{found.config}`"
        )
    return replace(policy, pin=None, resume_account=None)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with open_file(path):
            pass
        for _, line in lines_from(path):
            parsed = parse(line)
            if parsed is not None:
                yield parsed
    except OSError as error:
        raise TokmonError(f"cannot read `{path}`: {error.strerror or error}") from error


def _heading(what: dict[str, Any]) -> str:
    if "seed" in what:
        load = "" if what["load"] == 1 else f", {what['load']:g} of the usual work"
        return f"seed {what['seed']}, {what['weeks']} simulated weeks{load}"
    return f"recorded in {', '.join(what['logs'])}"
