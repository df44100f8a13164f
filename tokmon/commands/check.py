"""`tokmon check`: does a session of pi start on each account? Each result is a line of the log."""

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from tokmon import paths, probes
from tokmon.decision import policy_cache
from tokmon.decision.decide import refresh_quietly
from tokmon.errors import StoreError, TokmonError, UsageError
from tokmon.evidence.log_line import CHECK
from tokmon.evidence.reading import reading_json
from tokmon.paths import Paths
from tokmon.pi import check_file, extension, session_check
from tokmon.pi.check_process import AccountToCheck, CheckSettings, SessionResult
from tokmon.probes import ProbeTarget
from tokmon.probes.records import member
from tokmon.report.terminal import output, put, say, style_of
from tokmon.report.words import clean
from tokmon.selection.overrides import name_problem, shown
from tokmon.store.codec import encode, read_json
from tokmon.store.log import append_to
from tokmon.wire.instants import rfc3339

SUMMARY: Final = "start a session of pi on each account, and say which of them answer"

DEADLINE_S: Final = 60.0
JOBS: Final = 3
_LONGEST_S: Final = 600.0
_MOST_JOBS: Final = 16
_SECRET_MIN: Final = 8
_IN_FILE: Final = ("account_status", "scope", "substatus")


def run(arguments: list[str]) -> int:
    """Check, report, keep; 0 if a session started on every account, else 1."""
    options = _options(arguments)
    found = paths.find()
    wanted = _wanted(found, options)
    how = CheckSettings(_command(options.pi), _extension(found), options.deadline, options.jobs)
    # Nothing is raised where a pi has been started and is not known yet: it would be left behind.
    told: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda which, _frame: told.append(which))
    results, kept = [], True
    with contextlib.closing(session_check.check(wanted, how, os.environ, lambda: bool(told))) as checks:
        for result in checks:
            results.append(result)
            kept = (options.no_log or _keep(found, result)) and kept
            if not options.json:
                say([_text(result, max(len(each.provider) for each in wanted))])
    if told:
        return 128 + told[0]
    by_name = {result.wanted.provider: _entry(result) for result in results}
    entries = {each.provider: by_name[each.provider] for each in wanted}
    if not options.no_log:
        kept = _merge(found, entries) and kept
    if options.json:
        oldest = min((result.at for result in results), default=time.time())
        put(encode({"checked_at": rfc3339(oldest), "results": entries}))
    if results and not options.no_log:
        refresh_quietly(found, os.environ, "check")
    return 0 if kept and all(result.ok for result in results) else 1


def _wanted(found: Paths, options: argparse.Namespace) -> list[AccountToCheck]:
    """Whom to check, and with which model: those named, else the configured ones, else those of models.json."""
    policy = policy_cache.with_chain(found, policy_cache.load(found, os.environ)).policy
    offered = policy_cache.propose(found, policy)
    targets = probes.targets(found, os.environ, time.time())
    names = tuple(dict.fromkeys(options.provider)) or policy.accounts or tuple(targets)
    if not names:
        raise TokmonError(
            f"nobody to check: no account is configured, and `{found.models}` names none",
            hint=f"name them, or a `chain` in `{found.config}` (docs/configuration.md)",
        )
    logins = read_json(found.agent / "auth.json") or {}
    wanted = []
    for name in names:
        problem = name_problem(name)
        if problem is not None:
            raise UsageError(f"`{shown(name)}` is no provider: {problem}")
        model = options.model or (policy if name in policy.accounts else offered).model_of(name)
        target = targets.get(name)
        kind = None if target is None else target.account_type
        wanted.append(AccountToCheck(name, model, kind, _secrets(target, logins.get(name))))
    return wanted


def _secrets(target: ProbeTarget | None, login: object) -> tuple[str, ...]:
    """What pi asks with, as far as that is known here, the longest first."""
    values = login.values() if isinstance(login, dict) else ()
    said = {each for each in values if isinstance(each, str) and len(each) >= _SECRET_MIN}
    return tuple(sorted(said | {*(() if target is None else target.secrets)}, key=len, reverse=True))


def _command(text: str) -> tuple[str, ...]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"`--pi` cannot be read: {str(error).lower()}") from error
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise TokmonError(
            f"there is no `{shown(words[0]) if words else 'pi'}` to run, so nothing was checked",
            hint="install pi, or say how to run it with `--pi COMMAND` or TOKMON_PI",
        )
    # Pi is run in another folder.
    return (str(Path(program).absolute()), *words[1:])


def _extension(found: Paths) -> Path | None:
    """Tokmon's extension as this member's pi loads it; None if it loads none."""
    path = None if os.environ.get("TOKMON_DISABLE") else extension.installed(found)
    return path.absolute() if path is not None else None


def _said(result: SessionResult) -> dict[str, Any]:
    """What a check says of the account, in the words of a reading."""
    if result.ok:
        return {}
    said = {key: value for key, value in reading_json(result.reading).items() if value is not None and value != []}
    return {"account_status": said.pop("status"), **said, "reason": result.reason}


def _keep(found: Paths, result: SessionResult) -> bool:
    """A line of the log; what cannot be kept is said."""
    line = {
        "kind": "check",
        "id": uuid4().hex,
        "ts": rfc3339(result.at),
        "elapsed_ms": result.ms,
        "provider": result.wanted.provider,
        "model": result.wanted.model,
        "member": member(),
        "host": socket.gethostname(),
        "error": result.error,
        "source": CHECK,
        "type": result.wanted.kind,
        "status": "ok" if result.ok else "error",
        **_said(result),
    }
    try:
        append_to(found.check, [encode({k: v for k, v in line.items() if v is not None}) + b"\n"])
    except (StoreError, OSError) as error:
        print(f"error: the result for {result.wanted.provider} was not kept: {error}", file=sys.stderr)
        return False
    return True


def _entry(result: SessionResult) -> dict[str, Any]:
    """A result as the file has it."""
    said = _said(result)
    entry = {
        "status": "ok" if result.ok else "error",
        "ms": result.ms,
        "reason": result.reason or None,
        "checked_at": rfc3339(result.at),
        "model": result.wanted.model,
        **{key: said.get(key) for key in _IN_FILE},
    }
    return {key: value for key, value in entry.items() if value is not None}


def _merge(found: Paths, entries: Mapping[str, Mapping[str, Any]]) -> bool:
    path = policy_cache.check_file(found, os.environ)
    if path is None or not entries:
        return True
    try:
        check_file.merge(found, path, entries, time.time())
    except (StoreError, OSError) as error:
        print(f"error: the results are not in `check_file`: {error}", file=sys.stderr)
        if isinstance(error, StoreError) and error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return False
    return True


def _text(result: SessionResult, width: int) -> str:
    style = style_of(output())
    status = style.paint("ok   ", "green") if result.ok else style.paint("error", "red")
    name = clean(result.wanted.provider)
    return f"{name:<{width}}  {status}  {result.ms:>6} ms  {clean(result.reason)}".rstrip()


def _options(arguments: Iterable[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tokmon check", description=SUMMARY, allow_abbrev=False)
    parser.add_argument(
        "provider", nargs="*", metavar="PROVIDER", help="whom (default: those configured, else those of models.json)"
    )
    parser.add_argument("--json", action="store_true", help="one object, in the form of `check_file`")
    parser.add_argument("--model", metavar="M", help="this model, instead of the one that is configured")
    parser.add_argument("--deadline", type=_seconds, default=DEADLINE_S, metavar="S", help="seconds for each (60)")
    parser.add_argument("--jobs", type=_jobs, default=JOBS, metavar="N", help="how many at once (3)")
    parser.add_argument("--no-log", action="store_true", help="keep no result, in the log or in `check_file`")
    pi = os.environ.get("TOKMON_PI") or "pi"
    parser.add_argument("--pi", metavar="COMMAND", default=pi, help="how to run pi (default: $TOKMON_PI, then `pi`)")
    options = parser.parse_args([*arguments])
    if options.model is not None and (problem := name_problem(options.model)) is not None:
        raise UsageError(f"`--model` is `{shown(options.model)}`, {problem}")
    return options


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"it must be above 0 and {_LONGEST_S:g} at most")
    return number


def _jobs(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _MOST_JOBS:
        raise argparse.ArgumentTypeError(f"it must be from 1 to {_MOST_JOBS}")
    return number
