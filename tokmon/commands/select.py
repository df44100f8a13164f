"""`tokmon select`: the account for the next session, as `PROVIDER MODEL`."""

import os
import sys
from typing import Final, NamedTuple

from tokmon import paths
from tokmon.decision.decide import decide
from tokmon.errors import UsageError, unexpected_argument
from tokmon.paths import Paths
from tokmon.report.terminal import output, put_json, say, style_of
from tokmon.report.words import no_accounts
from tokmon.selection.choose import Decision
from tokmon.selection.decision_json import decision_json
from tokmon.selection.policy import Policy

SUMMARY: Final = "pick the account for the next session"

NO_DECISION: Final = 4
_FORMATS: Final = {"--json": "json", "--explain": "explain"}
_OPTIONS: Final = (*_FORMATS, "--resume", "--no-probe", "--help")
_HELP: Final = f"""usage: tokmon select [--json | --explain] [--resume ACCOUNT] [--no-probe]

{SUMMARY}, and print `PROVIDER MODEL`

options:
  --explain          print the reason, and why no other account was picked
  --json             print the decision as one JSON object
  --resume ACCOUNT   stay on the account of the session that is resumed, if it has enough quota left
  --no-probe         do not probe uncertain accounts before choosing

exit codes: 0 ok, 4 no account is configured

examples:
  pi --provider "$(tokmon select | cut -d ' ' -f 1)"
  tokmon select --explain"""


def run(arguments: list[str]) -> int:
    """Print the choice; 4 where no account is configured, so that nothing can be decided."""
    options = _options(arguments)
    locations = paths.find()
    decision, policy = decide(locations, os.environ, _warn, resume_account=options.resume_account, probe=options.probe)
    if decision is None:
        return _no_decision(locations, policy)
    _print(decision, options.form)
    return 0


def _warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


def _no_decision(locations: Paths, policy: Policy) -> int:
    print(f"error: no account is configured, and {no_accounts(locations.models)}", file=sys.stderr)
    print(f"hint: set `chain` in `{locations.config}`; `tokmon config` shows every key", file=sys.stderr)
    if policy.default is not None:
        say([" ".join(policy.default)])
    return NO_DECISION


def _print(decision: Decision, form: str) -> None:
    if form == "json":
        put_json(decision_json(decision))
    elif form == "explain":
        from tokmon.report.decision_text import decision_text  # noqa: PLC0415 - a wake needs none of it

        say(decision_text(decision, style_of(output())))
    else:
        say([f"{decision.provider} {decision.model}"])


class _Options(NamedTuple):
    form: str = "plain"
    resume_account: str | None = None
    probe: bool = True


def _options(arguments: list[str]) -> _Options:
    """The options. Not argparse: its import takes a third of a wake."""
    options = _Options()
    words = iter(arguments)
    for word in words:
        if word in _FORMATS:
            options = options._replace(form=_FORMATS[word])
        elif word == "--resume":
            options = options._replace(resume_account=next(words, None))
            if not options.resume_account:
                raise UsageError("`--resume` needs the account of the session", hint="`--resume ACCOUNT`")
        elif word in {"--no-probe", "--no-ask"}:  # the second is its older spelling, which scripts use
            options = options._replace(probe=False)
        elif word in {"-h", "--help"}:
            print(_HELP)
            raise SystemExit(0)
        else:
            raise unexpected_argument(word, _OPTIONS, "select")
    return options
