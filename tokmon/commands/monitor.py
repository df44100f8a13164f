"""`tokmon monitor`: probe every account of pi, and report the answers with what was known before."""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from tokmon import paths, probes
from tokmon.decision import policy_cache, sharing
from tokmon.decision.decide import refresh_quietly, situation
from tokmon.decision.probing import limiter
from tokmon.errors import StoreError, UsageError, nearest, reason_of
from tokmon.evidence.history import KEY_VALID
from tokmon.probes import ProbeTarget, Slot, unavailable_reason
from tokmon.probes.rate_limit import BUDGET, ProbeLimiter
from tokmon.probes.records import granted_targets, outcomes, probe_line
from tokmon.probes.request import ProbeResult, probe_all
from tokmon.report.arguments import number, parser
from tokmon.report.status import status_text
from tokmon.report.status_json import to_json
from tokmon.report.terminal import output, put_json, say, style_of, width_of
from tokmon.report.view import View, view
from tokmon.report.words import ago, duration, no_accounts, shorten, spoken
from tokmon.store import state_file
from tokmon.store.codec import encode
from tokmon.store.log import append_to

SUMMARY: Final = "probe every provider for its current quota, and show it"

DEADLINE_S: Final = 10.0
_LONGEST_S: Final = 300.0
_SHOWN: Final = 100


def run(arguments: list[str]) -> int:
    """Probe, log, report; 1 only where the answers could not be logged."""
    options = _options(arguments)
    locations, now = paths.find(), time.time()
    state_file.require_readable(locations)
    until = time.monotonic() + options.deadline
    targets = _chosen(probes.targets(locations, os.environ, now), options.provider)
    settings = policy_cache.load(locations, os.environ).pool
    limit = limiter(locations, os.environ, settings, state_file.current(locations).snapshot, targets)
    unable = {name: why for name, target in targets.items() if (why := unavailable_reason(target)) is not None}
    slots = _slots(limit, [name for name in targets if name not in unable], now, force=options.force)
    results = {result.provider: result for result in probe_all(granted_targets(targets, slots), options.deadline)}
    lines = {name: probe_line(result) for name, result in results.items()}
    code = 0 if options.no_log else _record(locations, list(lines.values()))
    if lines and not options.no_log:
        with contextlib.suppress(OSError, StoreError, ValueError):
            sharing.publish(locations, os.environ, settings, state_file.current(locations))
    _settle(limit, results)
    limit.wait([name for name, slot in slots.items() if not slot.granted], until)
    known = situation(locations, os.environ, more=targets, lines=lines.values())
    now = time.time()
    types = {name: target.account_type for name, target in targets.items()}
    shown = view(known.snapshot, types, known.policy, known.others, now)
    shown = View(now, tuple(account for account in shown.accounts if account.name in targets))
    notes = {name: _note(results.get(name), slots.get(name), unable.get(name), now) for name in targets}
    if options.json:
        put_json(_json(shown, lines, slots, notes))
    elif text := status_text(shown, width_of(output()), style_of(output(), utc=options.utc), notes):
        say(text)
    else:
        print(f"no account to probe: {no_accounts(locations.models)}", file=sys.stderr)
    if lines and not options.no_log:
        refresh_quietly(locations, os.environ, "monitor")
    return code


def _chosen(targets: Mapping[str, ProbeTarget], names: list[str]) -> dict[str, ProbeTarget]:
    unknown = next((name for name in names if name not in targets), None)
    if unknown is not None:
        near = nearest(unknown, targets)
        listed = f"pi has {', '.join(f'`{name}`' for name in targets)}" if targets else "pi has none"
        hint = f"did you mean `{near}`?" if near else listed
        raise UsageError(f"pi has no account `{unknown}`", hint=hint)
    return {name: target for name, target in targets.items() if not names or name in names}


def _slots(limit: ProbeLimiter, names: list[str], now: float, *, force: bool) -> dict[str, Slot]:
    """Which accounts may be probed now: none where that cannot be recorded, or the next process would probe again."""
    try:
        return limit.claim(names, now, force=force)
    except StoreError as error:
        print(f"warning: no account was probed: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return {name: Slot(granted=False) for name in names}


def _settle(limit: ProbeLimiter, results: Mapping[str, ProbeResult]) -> None:
    try:
        limit.release(outcomes(results), time.time())
    except StoreError as error:
        print(f"warning: {error}", file=sys.stderr)


def _record(locations: paths.Paths, lines: list[dict[str, Any]]) -> int:
    try:
        if lines:
            append_to(locations.probe, [encode(line) + b"\n" for line in lines])
    except (StoreError, OSError) as error:
        print(f"error: the answers were not logged: {reason_of(error)}", file=sys.stderr)
        return 1
    return 0


def _note(result: ProbeResult | None, slot: Slot | None, unable: str | None, now: float) -> str:
    """The probe and its result, or why there was none."""
    if result is not None:
        code = result.answer.http_status
        answer = f"HTTP {code}" if code is not None else "no answer"
        substatus = result.reading.substatus or ""
        error = result.answer.error or ("" if substatus == KEY_VALID else spoken(substatus))
        why = shorten(" ".join(error.split()), _SHOWN)
        return f"probed {result.path}: {answer} in {result.elapsed_ms:.0f} ms{f' ({why})' if why else ''}"
    if unable is not None:
        return f"not probed: {unable}"
    if slot is None or slot.next_at is None:
        return "not probed"
    if slot.probed_at is None:
        return f"not probed: {BUDGET} probes of its organisation in the last hour, {_next(slot.next_at, now)}"
    since = ago(max(1.0, now - slot.probed_at)) + (f" by {slot.member}" if slot.member else "")
    return f"not probed: the last probe was {since}, {_next(slot.next_at, now)}"


def _next(at: float, now: float) -> str:
    return f"the next is possible in {duration(max(1.0, at - now))}"


def _json(
    shown: View, lines: Mapping[str, dict[str, Any]], slots: Mapping[str, Slot], notes: Mapping[str, str]
) -> dict[str, Any]:
    """The object of `tokmon status --json`, with what was probed now."""
    report = to_json(shown)
    for account in report["providers"]:
        name = account["provider"]
        slot = slots.get(name)
        before = (
            None if name in lines or slot is None or slot.probed_at is None else round(shown.now - slot.probed_at, 3)
        )
        account["probe"] = {
            "probed": name in lines,
            "note": notes[name],
            "last_probe_age_s": before,
            "last_probe_member": None if before is None or slot is None else slot.member,
            "line": lines.get(name),
        }
    return report


def _options(arguments: list[str]) -> argparse.Namespace:
    options = parser("monitor", SUMMARY, examples=("tokmon monitor", "tokmon monitor --provider team-ludo --force"))
    options.add_argument(
        "--json", action="store_true", help="print the object of `tokmon status --json`, with the answers"
    )
    options.add_argument(
        "--provider", action="append", default=[], metavar="ACCOUNT", help="probe this account only; may be repeated"
    )
    options.add_argument("--no-log", action="store_true", help="do not log the answers")
    options.add_argument(
        "--deadline",
        type=number(0, _LONGEST_S, "seconds"),
        default=DEADLINE_S,
        metavar="S",
        help="seconds for all (10)",
    )
    options.add_argument("--force", action="store_true", help="ignore the 20-minute probe limit")
    options.add_argument("--utc", action="store_true", help="show clock times in UTC")
    return options.parse(arguments)
