"""Renders the pi extension for a pi version: `extensions/tokmon.ts` with its generated regions filled in.

A region lies between `// <generated NAME>` and `// </generated NAME>`. What goes in comes from where it is
decided: the wire types from `tokmon.wire.messages`, the header allow-list from the table of families, the patterns of
secrets from `tokmon.wire.scrub`, and what a pi version can do from ROWS and the TypeScript in `extensions/pieces/`,
whose parts lie between `// <piece NAME>` and `// </piece NAME>`.
"""

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.version import InvalidVersion, Version

from tokmon import __version__, families, paths
from tokmon.errors import RenderError, UsageError
from tokmon.wire import messages, schema, scrub

OLDEST: Final = Version("0.66.1")
NEWEST: Final = Version("1.5.2")

_OLD_SCOPE: Final = "@mariozechner"
_NEW_SCOPE: Final = "@earendil-works"


@dataclass(frozen=True, slots=True)
class Row:
    """What pi is from a version on: its npm scope, and how to attribute.

    `attribution` names a file of `extensions/pieces/`: `registry` wraps the streams of each api, which `registry`
    exports; `provider` wraps those of each provider; with `url` there is nothing to wrap.
    """

    since: Version
    scope: str
    attribution: str
    registry: str = "pi-ai"


ROWS: Final = (
    Row(OLDEST, _OLD_SCOPE, "registry"),
    Row(Version("0.74.0"), _NEW_SCOPE, "registry"),
    Row(Version("0.80.0"), _NEW_SCOPE, "registry", registry="pi-ai/compat"),
    Row(Version("0.80.8"), _NEW_SCOPE, "url"),
    Row(Version("0.81.1"), _NEW_SCOPE, "provider"),
)
"""Oldest first; a version newer than the last row is taken to be able to do the same."""


def version(text: str) -> Version:
    """Read the version that `pi --version` said, or UsageError."""
    try:
        return Version(text.strip().removeprefix("v"))
    except InvalidVersion as error:
        raise UsageError(f"`{text.strip()[:80]}` is not a version of pi", hint="say it like `1.5.2`") from error


def row(of: Version) -> Row:
    """What that version can do, or RenderError where it is older than all that is supported."""
    if of < OLDEST:
        raise RenderError(
            f"pi {of} is not supported: the oldest that is, is {OLDEST}",
            hint="update pi, for example with `npm install -g @earendil-works/pi-coding-agent`",
        )
    return max((each for each in ROWS if each.since <= of), key=lambda each: each.since)


def render(version: Version, source: str) -> str:
    """Return `source` with every generated region written for that version of pi."""
    found = row(version)
    regions = {
        "imports": _imports(found),
        "wire": _wire(),
        "headers": _constant("HEADERS", families.ALLOWED_PREFIXES),
        "secrets": _secrets(),
        "outbox": _piece("outbox", "outbox"),
        "capture": _piece("capture", "capture"),
        "usage": _piece("usage", "usage"),
        "attribution": _attribution(found),
        "events": _piece("events", "events"),
    }
    for name, text in regions.items():
        source = _fill(source, name, text)
    return source


def folder() -> Path:
    """Where the TypeScript lies."""
    return paths.shipped_folder("extensions")


def _fill(source: str, name: str, text: str) -> str:
    begin, end = f"// <generated {name}>\n", f"// </generated {name}>"
    head, mark, rest = source.partition(begin)
    _, closing, tail = rest.partition(end)
    if not mark or not closing:
        raise RenderError(f"`tokmon.ts` has no region `{name}`", hint="restore its `generated` marks")
    return f"{head}{mark}{text.rstrip()}\n{closing}{tail}"


@functools.cache
def _piece(file: str, name: str) -> str:
    """Read a part of a file of `extensions/pieces/`."""
    source = (folder() / "pieces" / f"{file}.ts").read_text(encoding="utf-8")
    found = re.search(rf"// <piece {re.escape(name)}>\n(.*?)// </piece {re.escape(name)}>", source, re.DOTALL)
    if found is None:
        raise RenderError(f"`{file}.ts` has no piece `{name}`", hint="restore its `piece` marks")
    return found[1]


def _imports(found: Row) -> str:
    """Import types only: a failing import ends pi, and the pi that runs may have become another."""
    return f'import type {{ ExtensionAPI, ExtensionContext }} from "{found.scope}/pi-coding-agent";'


def _attribution(found: Row) -> str:
    text = _piece(f"attribution.{found.attribution}", "attribution")
    return text.replace('import("@mariozechner/pi-ai")', f'import("{found.scope}/{found.registry}")')


def _wire() -> str:
    lines = [
        f"const VERSION = {json.dumps(__version__)};",
        f"const PROTOCOL = {messages.PROTOCOL};",
        f"const MAX_LINE = {messages.MAX_LINE};",
        f"const MAX_TEXT = {messages.MAX_TEXT};",
        _constant("CHANGING", messages.CHANGING),
    ]
    types = schema.schema()
    for name in ("Hello", "Capture", "Tokens", "Usage"):
        lines += ["", f"interface {name} {{"]
        lines += [f"\t{field}{'' if must else '?'}: {kind};" for field, (kind, must) in types[name].items()]
        lines += ["}"]
    return "\n".join(lines)


def _secrets() -> str:
    lines = (
        _constant("PATTERNS", scrub.PATTERNS),
        'const SECRETS = new RegExp(PATTERNS.join("|"), "g");',
        f"const PLACEHOLDER = {json.dumps(scrub.PLACEHOLDER)};",
    )
    return "\n".join(lines)


def _constant(name: str, values: tuple[str, ...]) -> str:
    return "\n".join((f"const {name} = [", *(f"\t{_quoted(value)}," for value in values), "];"))


def _quoted(value: str) -> str:
    """Write a string as Biome does: in the quotes that need fewer escapes."""
    text = json.dumps(value)
    if value.count('"') <= value.count("'"):
        return text
    return "'" + text[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"
