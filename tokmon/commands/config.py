"""`tokmon config`: the active configuration, as a `config.toml` to edit; where there is none, a proposal."""

import os
import sys
from pathlib import Path
from typing import Final

from tokmon import paths
from tokmon.decision import policy_cache, settings
from tokmon.decision.policy_cache import PolicyOrigin
from tokmon.errors import StoreError, reason_of
from tokmon.paths import Paths
from tokmon.report.arguments import parser
from tokmon.report.configuration import configuration_text
from tokmon.report.terminal import put, say
from tokmon.selection.overrides import config_vars, shown
from tokmon.store.atomic import create_new

SUMMARY: Final = "show the active configuration, or create one"

_EXAMPLES: Final = ("tokmon config", "tokmon config --output ~/.config/tokmon/config.toml")


def run(arguments: list[str]) -> int:
    """Print the configuration, or write it to a file that does not exist yet; 0 also where it exists."""
    options = parser("config", SUMMARY, examples=_EXAMPLES)
    options.add_argument("--output", metavar="FILE", type=Path, help="write it to FILE, unless that exists")
    target: Path | None = options.parse(arguments).output
    if target is not None and os.path.lexists(target):
        return _unchanged(target)
    text = _text(paths.find()).encode()
    if target is None:
        put(text.removesuffix(b"\n"))
        return 0
    try:
        created = create_new(target, text)
    except OSError as error:
        raise StoreError(
            f"cannot write `{target}`: {reason_of(error)}",
            hint="check the owner and permissions of its folder",
        ) from error
    if not created:
        return _unchanged(target)
    say([f"wrote `{target}`"])
    return 0


def _unchanged(target: Path) -> int:
    say([f"`{target}` exists already; nothing was changed"])
    return 0


def _text(locations: Paths) -> str:
    """The active configuration, variables included; the overrides of one call (a pin) are no configuration."""
    loaded = policy_cache.load(locations, os.environ, keep=False)
    for error in loaded.errors:
        print(f"warning: {error}; in use: {loaded.source.value}", file=sys.stderr)
    policy = loaded.policy
    heading = ["The configuration of tokmon. Lines that are commented out show defaults or examples."]
    if not policy.accounts:
        policy = policy_cache.propose(locations, policy)
        heading += [
            "The accounts are proposed from those of pi; please check them."
            if policy.accounts
            else "No accounts yet: list them in `chain`."
        ]
    elif loaded.source is not PolicyOrigin.CONFIGURED:
        heading += [f"This is {loaded.source.value}, since the current file is invalid."]
    if variables := config_vars(os.environ):
        heading += [f"It includes the values of these variables: {', '.join(map(shown, variables))}."]
    check_file = _written(loaded.check_file, locations.home)
    return configuration_text(policy, check_file, loaded.pool, heading, settings.MEANINGS)


def _written(path: Path | None, home: Path) -> str | None:
    """A path as the configuration has it."""
    if path is None:
        return None
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
