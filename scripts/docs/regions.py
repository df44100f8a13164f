"""The generated regions of a page, and what renders each.

A region lies between `<!-- NAME: rendered by scripts/docs -->` and `<!-- /NAME -->`. NAME is one of `TABLES`, or a
command: `$ tokmon status` becomes a screen (the command and its output), `toml $ tokmon config` a block of that
language with the output alone. A command behind `long` is run with `--long` only.
"""

import re
import sys
from collections.abc import Callable, Iterable
from typing import Final

from scripts.docs import commands, examples, families, keys, rooms, screens

TABLES: Final[dict[str, Callable[[], Iterable[str]]]] = {
    "captures": families.captures,
    "commands": commands.verbs,
    "examples": examples.examples,
    "families": families.families,
    "keys": keys.keys,
    "pool keys": keys.pool_keys,
    "rooms": rooms.rooms,
}

_HELP_PYTHON: Final = (3, 11)
"""Other versions of argparse print the same help differently: with them that region stays as it is."""

_REGION: Final = re.compile(
    r"^<!-- (?P<name>[^:\n]+): rendered by scripts/docs(?:\.py)? -->\n.*?^<!-- /(?P=name) -->$",
    re.MULTILINE | re.DOTALL,
)
_COMMAND: Final = re.compile(r"(?P<long>long )?(?:(?P<language>\w+) )?\$ (?P<command>tokmon .+)")


def rendered(page: str, *, long: bool = False) -> str:
    """The page with its regions rendered anew."""

    def region(match: re.Match[str]) -> str:
        name = match["name"]
        command = _COMMAND.fullmatch(name)
        slow = command is not None and command["long"] and not long
        if slow or (name == "commands" and sys.version_info[:2] != _HELP_PYTHON):
            return match[0]
        lines = TABLES[name]() if command is None else screens.block(command["command"], command["language"])
        return "\n".join([f"<!-- {name}: rendered by scripts/docs -->", "", *lines, "", f"<!-- /{name} -->"])

    return _REGION.sub(region, page)
