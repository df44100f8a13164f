"""`tokmon status`: what is known of every provider, with its age. Needs no sidecar."""

import os
import stat
import sys
import time
from pathlib import Path
from typing import Final

from tokmon import paths
from tokmon.pi.models_json import ConfiguredAccount, account_type, read_accounts, read_models
from tokmon.report.status import status_text
from tokmon.report.terminal import output, put, say, style_of, width_of
from tokmon.report.view import View, view
from tokmon.store import state_file

SUMMARY: Final = "what is known of every provider, with its age"

_PLAIN: Final = {"": "text", "--json": "json", "--format wake": "wake", "--format=wake": "wake"}
"""What hooks and people mostly ask for, known without a parser: that would cost as much as all the rest."""


def run(arguments: list[str]) -> int:
    """Print the report, one object, or the block for a wake prompt; 0 even where nothing is known."""
    form, utc = _options(arguments)
    found = paths.find()
    shown = look(found, time.time())
    if form == "wake":
        from tokmon.report.wake_block import wake_text  # noqa: PLC0415 - only for a prompt, where no hint goes either

        say(wake_text(shown, style_of(output()), complete=not unread(found, shown)))
        return 0
    if form == "json":
        from tokmon.report.status_json import to_json  # noqa: PLC0415 - the text needs none of it
        from tokmon.store.codec import encode  # noqa: PLC0415

        put(encode(to_json(shown)))
    elif lines := status_text(shown, width_of(output()), style_of(output(), utc=utc)):
        say(lines)
    for path in unread(found, shown):
        print(f"warning: `{path}` cannot be read, and what it holds is not shown", file=sys.stderr)
    _hint(shown, found)
    return 0


def look(found: paths.Paths, now: float) -> View:
    """The providers of models.json and of the logs, as of `now`."""
    configured = read_accounts(found.models)
    snapshot = state_file.current(found).snapshot
    if found.config.exists() or os.environ.get("TOKMON_SELECT_CHECK_FILE"):
        from tokmon.decision import policy_cache  # noqa: PLC0415 - needed only where a configuration may name a file
        from tokmon.pi import check_file  # noqa: PLC0415

        path = policy_cache.check_file(found, os.environ)
        snapshot = check_file.merge_check_results(snapshot, path, {*configured, *snapshot.accounts}, now)
    return view(snapshot, {name: _type(entry) for name, entry in configured.items()}, now)


def unread(found: paths.Paths, shown: View) -> list[Path]:
    """What is there and cannot be read: the folder of the logs, a log, models.json."""
    try:
        os.scandir(found.logs).close()
        logs = [path for path in state_file.evidence_logs(found) if not _is_readable(path)]
    except FileNotFoundError:
        logs = []
    except OSError:
        logs = [found.logs]
    known = any(provider.configured for provider in shown.providers)
    return logs if known or _is_json(found.models) else [*logs, found.models]


def _is_readable(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode) and os.access(path, os.R_OK)
    except OSError as error:
        return isinstance(error, FileNotFoundError)


def _is_json(path: Path) -> bool:
    """Whether the file is an object, or none at all."""
    return read_models(path) is not None or (_is_readable(path) and not os.access(path, os.F_OK))


def _type(configured: ConfiguredAccount) -> str | None:
    return account_type(configured, api=None, key_shape=None, family=None)


def _hint(shown: View, found: paths.Paths) -> None:
    """What to do where there is nothing to show yet."""
    if any(provider.seen for provider in shown.providers):
        return
    if not shown.providers:
        print(f"no provider is known: `{found.models}` names none, and no response has been seen", file=sys.stderr)
    print("hint: run a turn of pi, then look again; `tokmon doctor` says whether anything is amiss", file=sys.stderr)


def _options(arguments: list[str]) -> tuple[str, bool]:
    """The form, and whether clock times are in UTC."""
    plain = _PLAIN.get(" ".join(arguments))
    if plain is not None:
        return plain, False
    import argparse  # noqa: PLC0415 - see above

    parser = argparse.ArgumentParser(prog="tokmon status", description=SUMMARY)
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", dest="format", action="store_const", const="json", help="the same as `--format json`")
    forms.add_argument(
        "--format",
        choices=("text", "json", "wake"),
        default="text",
        help="a report (text), one object with ages in seconds (json), or a few lines for an agent's prompt (wake)",
    )
    parser.add_argument("--utc", action="store_true", help="clock times in UTC")
    options = parser.parse_args(arguments)
    return options.format, options.utc
