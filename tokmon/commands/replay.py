"""`tokmon replay`: what each policy would have done, on recorded logs or on a simulated fleet."""

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tokmon import paths
from tokmon.decision import policy_cache
from tokmon.errors import InputError, TokmonError, UsageError, reason_of
from tokmon.report.arguments import number, parser, whole_number
from tokmon.report.terminal import put_json, say
from tokmon.report.words import no_accounts
from tokmon.selection.policy import POLICIES, Policy
from tokmon.simulation.outcome import PolicyOutcome, table
from tokmon.simulation.recorded import read_recording
from tokmon.simulation.recorded import replay as replay_record
from tokmon.simulation.simulate import simulate
from tokmon.simulation.world import world
from tokmon.store.codec import parse
from tokmon.store.opener import open_file
from tokmon.store.reader import lines_from

SUMMARY: Final = "compare the policies on recorded logs or on a simulated fleet"

VERSION: Final = 1
"""Of the JSON form."""

_WEEKS: Final = 200
_MOST: Final = 10.0


def run(arguments: list[str]) -> int:
    """Print the figures of each policy."""
    options = _options(arguments)
    policies = tuple(dict.fromkeys(options.policy or reversed(POLICIES)))
    runs = _simulated(options, policies) if options.simulate else _recorded(options.logs, policies)
    if options.json:
        as_json = [{**what, "policies": [outcome.to_json() for outcome in outcomes]} for what, outcomes in runs]
        put_json({"version": VERSION, "runs": as_json})
        return 0
    for what, outcomes in runs:
        say([_heading(what), "", *table(outcomes), ""])
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    command_line = parser(
        "replay", SUMMARY, examples=("tokmon replay ~/.logs/token-monitor/*.jsonl", "tokmon replay --simulate 1 2 3")
    )
    command_line.add_argument("logs", nargs="*", type=Path, metavar="LOG", help="log files, read together")
    command_line.add_argument(
        "--simulate", nargs="+", type=whole_number(0), metavar="SEED", help="simulate a fleet, once for each seed"
    )
    command_line.add_argument("--weeks", type=whole_number(1), metavar="N", help=f"weeks to simulate ({_WEEKS})")
    command_line.add_argument(
        "--load", type=number(0, _MOST, "a factor"), metavar="X", help="amount of work to simulate (1.0)"
    )
    command_line.add_argument("--policy", action="append", choices=POLICIES, help="only this policy; may be repeated")
    command_line.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    options = command_line.parse(arguments)
    if bool(options.logs) == bool(options.simulate):
        raise UsageError("give log files, or `--simulate SEED`", hint="`tokmon replay --help` shows examples")
    for name in ("weeks", "load"):
        if options.logs and getattr(options, name) is not None:
            raise UsageError(f"`--{name}` needs `--simulate`", hint="`tokmon replay --help` shows examples")
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
    recording = read_recording(line for path in logs for line in _lines(path))
    if not recording.starts:
        raise InputError("no line of these logs has a `session`", field="session")
    outcomes = replay_record(recording, [replace(policy, policy=name) for name in policies])
    yield {"logs": [str(path) for path in logs]}, outcomes


def _configured() -> Policy:
    """The configured policy, without the overrides of one call, which concern this moment and not the logs."""
    locations = paths.find()
    policy = policy_cache.with_chain(locations, policy_cache.load(locations, os.environ)).policy
    if not policy.accounts:
        raise TokmonError(
            f"no account is configured, and {no_accounts(locations.models)}",
            hint=f"set `chain` in `{locations.config}`",
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
        raise TokmonError(f"cannot read `{path}`: {reason_of(error)}", hint="check its path and permissions") from error


def _heading(what: dict[str, Any]) -> str:
    if "seed" in what:
        load = "" if what["load"] == 1 else f", {what['load']:g} times the usual work"
        return f"seed {what['seed']}, {what['weeks']} simulated weeks{load}"
    return f"recorded in {', '.join(what['logs'])}"
