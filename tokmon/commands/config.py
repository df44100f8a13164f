"""`tokmon config`: the configuration that counts, as a `config.toml` to edit; where there is none, a proposal."""

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from tokmon import paths
from tokmon.decision import policy_cache
from tokmon.decision.policy_cache import Source
from tokmon.errors import StoreError
from tokmon.paths import Paths
from tokmon.report.configuration import configuration_text
from tokmon.report.terminal import put, say
from tokmon.selection.overrides import config_vars, shown
from tokmon.store.atomic import create_new

SUMMARY: Final = "print the configuration that counts, or where there is none, a first one to edit"


def run(arguments: list[str]) -> int:
    """Print it, or write it where no file is yet; 0 also where there is one."""
    parser = argparse.ArgumentParser(prog="tokmon config", description=SUMMARY, allow_abbrev=False)
    parser.add_argument("--output", metavar="FILE", type=Path, help="write it there, unless something is there already")
    target: Path | None = parser.parse_args(arguments).output
    if target is not None and os.path.lexists(target):
        return _left(target)
    text = _text(paths.find()).encode()
    if target is None:
        put(text.removesuffix(b"\n"))
        return 0
    try:
        made = create_new(target, text)
    except OSError as error:
        raise StoreError(
            f"cannot write `{target}`: {(error.strerror or str(error)).lower()}",
            hint="check the owner and the permissions of its folder",
        ) from error
    if not made:
        return _left(target)
    say([f"wrote `{target}`"])
    return 0


def _left(target: Path) -> int:
    say([f"`{target}` is there already, and is left as it is"])
    return 0


def _text(found: Paths) -> str:
    """What counts now, the variables with it; what is asked of one call alone (a pin) is no configuration."""
    loaded = policy_cache.load(found, os.environ, keep=False)
    for error in loaded.errors:
        print(f"warning: {error}; {loaded.source.value} counts", file=sys.stderr)
    policy = loaded.policy
    heading = ["The configuration of tokmon. A line that is commented out shows a default, or an example."]
    if not policy.accounts:
        policy = policy_cache.propose(found, policy)
        heading += [
            "The accounts are proposed, out of pi's models.json: correct them."
            if policy.accounts
            else "No account is named yet: whom should a session start on?"
        ]
    elif loaded.source is not Source.CONFIGURED:
        heading += [f"This is {loaded.source.value}: what is configured now is not valid."]
    if variables := config_vars(os.environ):
        heading += [f"With what these variables say now: {', '.join(map(shown, variables))}."]
    return configuration_text(policy, _told(loaded.check_file, found.home), heading)


def _told(place: Path | None, home: Path) -> str | None:
    """A place as the configuration names it."""
    if place is None:
        return None
    return f"~/{place.relative_to(home)}" if place.is_relative_to(home) else str(place)
