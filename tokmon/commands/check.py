"""`tokmon check`: whether a pi session starts on each account. Each result is a line of the log."""

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from tokmon import paths, probes
from tokmon.decision import policy_cache
from tokmon.decision.decide import refresh_quietly
from tokmon.errors import StoreError, TokmonError, UsageError, reason_of
from tokmon.evidence.log_line import CHECK
from tokmon.evidence.reading import known_json
from tokmon.paths import Paths
from tokmon.pi import check_file, extension, session_check
from tokmon.pi.accounts import read_logins
from tokmon.pi.check_process import AccountToCheck, CheckSettings, SessionResult
from tokmon.probes.records import member
from tokmon.report.arguments import number, parser, whole_number
from tokmon.report.terminal import output, put_json, say, style_of
from tokmon.report.words import clean, no_accounts
from tokmon.selection.overrides import name_problem, shown
from tokmon.store.codec import encode
from tokmon.store.log import append_to
from tokmon.wire.instants import rfc3339

SUMMARY: Final = "test every account with a short pi session"

VERSION: Final = 1
"""Of the JSON form."""

DEADLINE_S: Final = 60.0
JOBS: Final = 3
_LONGEST_S: Final = 600.0
_MOST_JOBS: Final = 16
_SECRET_MIN: Final = 8
_IN_FILE: Final = ("account_status", "scope", "substatus")


def run(arguments: list[str]) -> int:
    """Check, report, log; 0 if a session started on every account, else 1."""
    options = _options(arguments)
    locations = paths.find()
    wanted = _wanted(locations, options)
    how = CheckSettings(_command(options.pi), _extension(locations), options.deadline, options.jobs)
    # A signal raises nothing: a pi that was started and is not registered yet would be left behind.
    signals: list[int] = []
    for caught in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(caught, lambda which, _frame: signals.append(which))
    results, logged = [], True
    with contextlib.closing(session_check.check(wanted, how, os.environ, lambda: bool(signals))) as checks:
        for result in checks:
            results.append(result)
            logged = (options.no_log or _log(locations, result)) and logged
            if not options.json:
                say([_text(result, max(len(account.provider) for account in wanted))])
    if signals:
        return 128 + signals[0]
    by_name = {result.wanted.provider: _entry(result) for result in results}
    entries = {account.provider: by_name[account.provider] for account in wanted}
    if not options.no_log:
        logged = _merge(locations, entries) and logged
    if options.json:
        oldest = min((result.at for result in results), default=time.time())
        put_json({"version": VERSION, "checked_at": rfc3339(oldest), "results": entries})
    if results and not options.no_log:
        refresh_quietly(locations, os.environ, "check")
    return 0 if logged and all(result.ok for result in results) else 1


def _wanted(locations: Paths, options: argparse.Namespace) -> list[AccountToCheck]:
    """The accounts and models to check: those named, else those of the policy, else those of pi."""
    policy = policy_cache.with_chain(locations, policy_cache.load(locations, os.environ)).policy
    others = policy_cache.propose(locations, policy)
    targets = probes.targets(locations, os.environ, time.time())
    names = tuple(dict.fromkeys(options.account)) or policy.accounts or tuple(targets)
    if not names:
        raise TokmonError(
            f"no account to check: none is configured, and {no_accounts(locations.models)}",
            hint=f"name the accounts, or set `chain` in `{locations.config}`",
        )
    logins = read_logins(locations)
    wanted = []
    for name in names:
        problem = name_problem(name)
        if problem is not None:
            raise UsageError(f"`{shown(name)}` cannot be an account: {problem}")
        model = options.model or (policy if name in policy.accounts else others).model_of(name)
        target = targets.get(name)
        kind = None if target is None else target.account_type
        of_login = _login_secrets(logins.get(name))
        secrets, credentials = ((), ()) if target is None else (target.secrets, target.credentials)
        wanted.append(AccountToCheck(name, model, kind, of_login + secrets, of_login + credentials))
    return wanted


def _login_secrets(login: object) -> tuple[str, ...]:
    values = login.values() if isinstance(login, dict) else ()
    return tuple(value for value in values if isinstance(value, str) and len(value) >= _SECRET_MIN)


def _command(text: str) -> tuple[str, ...]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"`--pi` cannot be read: {str(error).lower()}") from error
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise TokmonError(
            f"cannot run `{shown(words[0]) if words else 'pi'}`: no such program, so nothing was checked",
            hint="install pi, or name the command with `--pi COMMAND` or TOKMON_PI",
        )
    # Absolute, since pi runs in another folder.
    return (str(Path(program).absolute()), *words[1:])


def _extension(locations: Paths) -> Path | None:
    """The extension of tokmon that this member's pi loads, if it does."""
    path = None if os.environ.get("TOKMON_DISABLE") else extension.installed(locations)
    return path.absolute() if path is not None else None


def _account_fields(result: SessionResult) -> dict[str, Any]:
    """What a failed check shows of the account, with the names of a reading; nothing where a session started."""
    if result.ok:
        return {}
    fields = known_json(result.reading)
    return {"account_status": fields.pop("status"), **fields, "reason": result.reason}


def _log(locations: Paths, result: SessionResult) -> bool:
    """Append a line to the log; False, with an error printed, if that fails."""
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
        **_account_fields(result),
    }
    try:
        append_to(locations.check, [encode({k: v for k, v in line.items() if v is not None}) + b"\n"])
    except (StoreError, OSError) as error:
        print(f"error: the result for `{result.wanted.provider}` was not logged: {reason_of(error)}", file=sys.stderr)
        return False
    return True


def _entry(result: SessionResult) -> dict[str, Any]:
    """A result in the form of `check_file`."""
    fields = _account_fields(result)
    entry = {
        "status": "ok" if result.ok else "error",
        "ms": result.ms,
        "reason": result.reason or None,
        "checked_at": rfc3339(result.at),
        "model": result.wanted.model,
        **{key: fields.get(key) for key in _IN_FILE},
    }
    return {key: value for key, value in entry.items() if value is not None}


def _merge(locations: Paths, entries: Mapping[str, Mapping[str, Any]]) -> bool:
    """Put the results into `check_file`; False, with an error printed, if that fails."""
    path = policy_cache.check_file(locations, os.environ)
    if path is None or not entries:
        return True
    try:
        check_file.merge(locations, path, entries, time.time())
    except (StoreError, OSError) as error:
        print(f"error: the results were not written to `check_file`: {error}", file=sys.stderr)
        if isinstance(error, StoreError) and error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return False
    return True


def _text(result: SessionResult, width: int) -> str:
    style = style_of(output())
    status = style.paint("ok   ", "green") if result.ok else style.paint("error", "red")
    name = clean(result.wanted.provider)
    return f"{name:<{width}}  {status}  {result.ms:>6} ms  {clean(result.reason)}".rstrip()


def _options(arguments: list[str]) -> argparse.Namespace:
    options = parser("check", SUMMARY, examples=("tokmon check", "tokmon check team-ludo --deadline 30"))
    options.add_argument(
        "account", nargs="*", metavar="ACCOUNT", help="accounts to check (default: the configured ones)"
    )
    options.add_argument("--json", action="store_true", help="print one JSON object at the end")
    options.add_argument("--model", metavar="MODEL", help="use this model (default: the configured one)")
    options.add_argument(
        "--deadline",
        type=number(0, _LONGEST_S, "seconds"),
        default=DEADLINE_S,
        metavar="S",
        help="seconds for each account (60)",
    )
    options.add_argument(
        "--jobs", type=whole_number(1, _MOST_JOBS), default=JOBS, metavar="N", help="sessions at a time (3)"
    )
    options.add_argument(
        "--no-log", action="store_true", help="write no result, neither to the log nor to `check_file`"
    )
    pi = os.environ.get("TOKMON_PI") or "pi"
    options.add_argument(
        "--pi", metavar="COMMAND", default=pi, help="the command that runs pi (default: $TOKMON_PI, then `pi`)"
    )
    parsed = options.parse(arguments)
    if parsed.model is not None and (problem := name_problem(parsed.model)) is not None:
        raise UsageError(f"`--model` is `{shown(parsed.model)}`, {problem}")
    return parsed
