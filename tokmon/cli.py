"""Entry point: the first word names a module of `tokmon.commands`, which alone is imported.

On the wake path, so the standard library alone; errors become one line on stderr and an exit code here.
"""

import os
import sys
from importlib import import_module
from typing import Final

from tokmon.errors import TokmonError, UsageError

VERBS: Final = {
    "check": "start a session of pi on each account, and say which of them answer",
    "config": "print the configuration that counts, or a first one to edit",
    "doctor": "look for what is wrong, and say how to mend it",
    "extension": "generate the part of the pi extension that comes from the Python schema",
    "guard": "say by the exit code whether to go on: 0 go, 1 stop, 3 unknown",
    "install": "install, upgrade or complete tokmon, for one user or for every member of the host",
    "monitor": "ask every provider how much is left, and report it",
    "read": "say what captures say: JSON lines on stdin, readings on stdout",
    "replay": "what each policy would have done, over logs or over a simulated fleet",
    "select": "pick the account for the next session",
    "sidecar": "take captures over a Unix socket and append them to the logs",
    "status": "what is known of every provider, with its age",
    "tail": "follow the log, one readable line a response",
    "uninstall": "take away what was installed and not changed since",
}


def main(arguments: list[str] | None = None) -> int:
    """Run `tokmon ARGUMENTS`; the exit code is 0 ok, 1 failed, 2 usage, 4 no decision."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        return _run(words)
    except TokmonError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader has gone, as with `| head`: nothing is left to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _run(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_help())
        return 0 if words else UsageError.exit_code
    if words[0] in {"-V", "--version"}:
        from tokmon import __version__

        print(f"tokmon {__version__}")
        return 0
    if words[0] not in VERBS:
        raise UsageError(f"no such verb: `{words[0]}`", hint="`tokmon --help` lists them")
    code: int = import_module(f"tokmon.commands.{words[0]}").run(words[1:])
    return code


def _help() -> str:
    verbs = "\n".join(f"  {name:<10} {what}" for name, what in VERBS.items())
    return f"usage: tokmon VERB [OPTION ...]\n\n{verbs}\n\n`tokmon VERB --help` says more."
