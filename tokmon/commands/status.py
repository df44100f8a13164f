"""`tokmon status`: what is known of every provider, with its age. Needs no sidecar."""

import sys
import time
from typing import Final

from tokmon import paths, state
from tokmon.accounts import Account, account_type, read_accounts
from tokmon.commands.terminal import put, style_of, width_of
from tokmon.report.status import status_text
from tokmon.report.view import View, view

SUMMARY: Final = "what is known of every provider, with its age"


def run(arguments: list[str]) -> int:
    """Print the report, or with `--json` one object; 0 even where nothing is known."""
    as_json, utc = _options(arguments) if arguments else (False, False)
    found = paths.find()
    shown = look(found, time.time())
    if as_json:
        from tokmon.report.as_json import to_json  # noqa: PLC0415 - the text needs none of it
        from tokmon.store import encode  # noqa: PLC0415

        put(encode(to_json(shown)))
    elif lines := status_text(shown, width_of(sys.stdout), style_of(sys.stdout, utc=utc)):
        print("\n".join(lines), flush=True)
    _hint(shown, found)
    return 0


def look(found: paths.Paths, now: float) -> View:
    """The providers of models.json and of the logs, as of `now`."""
    configured = read_accounts(found.models)
    return view(state.current(found).snapshot, {name: _type(entry) for name, entry in configured.items()}, now)


def _type(configured: Account) -> str | None:
    return account_type(configured, api=None, key_shape=None, family=None)


def _hint(shown: View, found: paths.Paths) -> None:
    """What to do where there is nothing to show yet."""
    if any(provider.last or provider.gauges for provider in shown.providers):
        return
    if not shown.providers:
        print(f"no provider is known: `{found.models}` names none, and no response has been seen", file=sys.stderr)
    print("hint: run a turn of pi, then look again; `tokmon doctor` says whether anything is amiss", file=sys.stderr)


def _options(arguments: list[str]) -> tuple[bool, bool]:
    import argparse  # noqa: PLC0415 - costs as much as all the rest, and mostly there is nothing to parse

    parser = argparse.ArgumentParser(prog="tokmon status", description=SUMMARY)
    parser.add_argument("--json", action="store_true", help="one object, ages in seconds")
    parser.add_argument("--utc", action="store_true", help="clock times in UTC")
    options = parser.parse_args(arguments)
    return options.json, options.utc
