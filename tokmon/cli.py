"""Entry point: the first word names a module of `tokmon.commands`, the only one that is imported.

On the path of a wake, so the standard library alone. Errors become one line on stderr and an exit code here.
"""

import os
import sys
from importlib import import_module
from typing import Final

from tokmon.errors import TokmonError, UsageError

VERBS: Final = {
    "check": "test every account with a short pi session",
    "config": "show the active configuration, or create one",
    "doctor": "find what is wrong, and how to fix it",
    "extension": "generate the part of the pi extension that comes from the Python schema",
    "guard": "tell a script by the exit code whether to go on: 0 go, 1 stop, 3 unknown",
    "install": "install or upgrade tokmon, for one user or for every member of the host",
    "monitor": "probe every provider for its current quota, and show it",
    "read": "parse captured responses (JSON lines) into readings",
    "replay": "compare the policies on recorded logs or on a simulated fleet",
    "select": "pick the account for the next session",
    "sidecar": "receive captures over a Unix socket and append them to the logs",
    "status": "show quota, limits and data age of every account",
    "tail": "follow the logs, one readable line for each response",
    "uninstall": "uninstall tokmon",
}

_EXAMPLES: Final = """examples:
  tokmon status
  tokmon select --explain
  tokmon doctor --fix"""

INTERNAL: Final = 70
"""The exit code for a fault of tokmon itself."""

_DEBUG: Final = "--debug"


def main(arguments: list[str] | None = None) -> int:
    """Run `tokmon ARGUMENTS`; 0 ok, 1 failed, 2 usage, 3 unknown (guard), 4 no decision, 70 a fault of tokmon."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = os.environ.get("TOKMON_DEBUG", "") not in {"", "0"}
    if words and words[0] == _DEBUG:
        debug, words = True, words[1:]
    try:
        return _run(words)
    except TokmonError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader has gone, as with `| head`: nothing is left to print, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the last resort: one line instead of a traceback
        return _internal_error(error, words, debug=debug)


def _internal_error(error: Exception, words: list[str], *, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    print(f"error: internal error: {reason}", file=sys.stderr)
    command = " ".join(["tokmon", _DEBUG, *words[:1]])
    how = "the traceback above" if debug else f"the output of `{command}`, which shows the traceback"
    print(f"hint: please report this in tokmon's issue tracker, with {how}", file=sys.stderr)
    return INTERNAL


def _run(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_help())
        return 0 if words else UsageError.exit_code
    if words[0] in {"-V", "--version"}:
        from tokmon import __version__

        print(f"tokmon {__version__}")
        return 0
    if words[0] not in VERBS:
        from tokmon.errors import nearest

        near = nearest(words[0], VERBS)
        hint = f"did you mean `tokmon {near}`?" if near else "`tokmon --help` lists the verbs"
        raise UsageError(f"unknown verb `{words[0]}`", hint=hint)
    code: int = import_module(f"tokmon.commands.{words[0]}").run(words[1:])
    return code


def _help() -> str:
    verbs = "\n".join(f"  {name:<10} {what}" for name, what in VERBS.items())
    more = (
        f"`tokmon VERB --help` shows the options of a verb.\n"
        f"`{_DEBUG}` (or TOKMON_DEBUG=1) shows the traceback of an internal error."
    )
    return f"usage: tokmon [{_DEBUG}] VERB [OPTION ...]\n\n{verbs}\n\n{_EXAMPLES}\n\n{more}"
