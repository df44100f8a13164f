"""`tokmon monitor`: ask every provider of models.json, and report what they say beside what was known."""

import argparse
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from tokmon import paths, probes
from tokmon.decision.decide import refresh_quietly
from tokmon.errors import StoreError, UsageError
from tokmon.evidence.snapshot import fold
from tokmon.probes import ProbeTarget, Slot, probe_limiter, unavailable_reason
from tokmon.probes.records import granted_targets, outcomes, probe_line
from tokmon.probes.request import ProbeResult, probe_all
from tokmon.report.status import status_text
from tokmon.report.status_json import to_json
from tokmon.report.terminal import output, put, say, style_of, width_of
from tokmon.report.view import View, view
from tokmon.report.words import ago, duration, spoken
from tokmon.store import state_file
from tokmon.store.codec import encode
from tokmon.store.log import append_to

SUMMARY: Final = "ask every provider how much is left, and report it"

DEADLINE_S: Final = 10.0
_LONGEST_S: Final = 300.0
_SHOWN: Final = 100


def run(arguments: list[str]) -> int:
    """Ask, keep, report; 1 only where the answers could not be kept."""
    options = _options(arguments)
    found, now = paths.find(), time.time()
    known = probes.targets(found, os.environ, now)
    asked = _chosen(known, options.provider)
    snapshot = state_file.current(found).snapshot
    unable = {name: why for name, target in asked.items() if (why := unavailable_reason(target)) is not None}
    turns = _turns(found, [name for name in asked if name not in unable], now, force=options.force)
    results = {result.provider: result for result in probe_all(granted_targets(asked, turns), options.deadline)}
    lines = {name: probe_line(result) for name, result in results.items()}
    code = 0 if options.no_log else _record(found, list(lines.values()))
    _settle(found, results)
    now = time.time()
    shown = view(fold(snapshot, lines.values()), {name: target.account_type for name, target in asked.items()}, now)
    shown = View(now, tuple(provider for provider in shown.providers if provider.name in asked))
    notes = {name: _note(results.get(name), turns.get(name), unable.get(name), now) for name in asked}
    if options.json:
        put(encode(_json(shown, lines, turns, notes)))
    elif text := status_text(shown, width_of(output()), style_of(output(), utc=options.utc), notes):
        say(text)
    else:
        print(f"nobody to ask: `{found.models}` names no provider", file=sys.stderr)
    if lines and not options.no_log:
        refresh_quietly(found, os.environ, "monitor")
    return code


def _chosen(known: Mapping[str, ProbeTarget], names: list[str]) -> dict[str, ProbeTarget]:
    strange = [name for name in names if name not in known]
    if strange:
        raise UsageError(f"no provider `{strange[0]}` in models.json", hint=f"it names: {', '.join(known) or 'none'}")
    return {name: target for name, target in known.items() if not names or name in names}


def _turns(found: paths.Paths, names: list[str], now: float, *, force: bool) -> dict[str, Slot]:
    """Whose turn it is; where that cannot be kept nobody's, since nothing would stop the next from asking again."""
    try:
        return probe_limiter(found).claim(names, now, force=force)
    except StoreError as error:
        print(f"warning: nobody was asked: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return {name: Slot(granted=False) for name in names}


def _settle(found: paths.Paths, results: Mapping[str, ProbeResult]) -> None:
    try:
        probe_limiter(found).release(outcomes(results), time.time())
    except StoreError as error:
        print(f"warning: {error}", file=sys.stderr)


def _record(found: paths.Paths, lines: list[dict[str, Any]]) -> int:
    try:
        if lines:
            append_to(found.probe, [encode(line) + b"\n" for line in lines])
    except (StoreError, OSError) as error:
        print(f"error: the answers were not kept: {error}", file=sys.stderr)
        return 1
    return 0


def _note(result: ProbeResult | None, turn: Slot | None, unable: str | None, now: float) -> str:
    """What was asked and came back, or why nothing was asked."""
    if result is not None:
        code = result.answer.http_status
        said = f"HTTP {code}" if code is not None else "no answer"
        substatus = result.reading.substatus or ""
        why = " ".join((result.answer.error or ("" if substatus == "key_valid" else spoken(substatus))).split())[
            :_SHOWN
        ]
        return f"asked {result.path}: {said} in {result.elapsed_ms:.0f} ms{f' ({why})' if why else ''}"
    if unable is not None:
        return f"not asked: {unable}"
    if turn is None or turn.probed_at is None or turn.next_at is None:
        return "not asked"
    since = ago(max(1.0, now - turn.probed_at))
    return f"not asked: it was asked {since}, and may be again in {duration(turn.next_at - now)}"


def _json(
    shown: View, lines: Mapping[str, dict[str, Any]], turns: Mapping[str, Slot], notes: Mapping[str, str]
) -> dict[str, Any]:
    """The object of `tokmon status --json`, with what was asked of each provider now."""
    found = to_json(shown)
    for provider in found["providers"]:
        name = provider["provider"]
        turn = turns.get(name)
        before = (
            None if name in lines or turn is None or turn.probed_at is None else round(shown.now - turn.probed_at, 3)
        )
        provider["probe"] = {"asked": name in lines, "note": notes[name], "age_s": before, "line": lines.get(name)}
    return found


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tokmon monitor", description=SUMMARY)
    parser.add_argument(
        "--json", action="store_true", help="one object, as of `tokmon status --json`, with the answers"
    )
    parser.add_argument("--provider", action="append", default=[], metavar="P", help="this one alone; may be repeated")
    parser.add_argument("--no-log", action="store_true", help="keep no line of the answers")
    parser.add_argument("--deadline", type=_seconds, default=DEADLINE_S, metavar="S", help="seconds for all of it (10)")
    parser.add_argument("--force", action="store_true", help="ask those too that were asked in the last 20 minutes")
    parser.add_argument("--utc", action="store_true", help="clock times in UTC")
    return parser.parse_args(arguments)


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"it must be above 0 and {_LONGEST_S:g} at most")
    return number
