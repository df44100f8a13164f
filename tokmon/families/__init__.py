"""The table of families: dialects of rate-limit headers and error texts.

A family is one module with these names, and one line in the table:

    NAME        its word, as written in a reading
    PREFIXES    its header prefixes. A header goes to the family with the longest matching prefix. All prefixes
                together are the allow-list of the extension.
    parse       (response) -> Reading | None: what the headers say; None if there are none of this family
    classify    (error) -> ErrorClass | None: what an error text means; None if the family does not know it
    frame       (frame, at) -> Reading | None, optional: what a frame says, for streams without headers
    UPSTREAM    for a proxy only: the prefix under which it passes on the headers of the provider behind it

Families never import each other. Shared code is in `tokmon.evidence.values`.
"""

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, Protocol, cast

from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Window, replace
from tokmon.families import usage_limits
from tokmon.families.combine import combine
from tokmon.families.error_texts import by_status_code, by_text, error_part, error_text, is_believable


class Family(Protocol):
    """What a family module offers (the type checker checks the modules against it)."""

    NAME: str
    PREFIXES: tuple[str, ...]

    def parse(self, response: RawResponse) -> Reading | None:
        """Read the headers (lower-case names) of a response."""

    def classify(self, error: ErrorText) -> ErrorClass | None:
        """Classify an error text."""


_TABLE: Final = (
    "anthropic_unified",
    "anthropic_usage",
    "anthropic_classic",
    "codex",
    "codex_usage",
    "copilot",
    "litellm",
    "exedev",
    "cloudflare",
    "zai",
    "moonshot",
    "minimax",
    "openrouter",
    "gemini",
    "bedrock",
    "opencode",
    "openai_like",
    "ietf",
    "unread",
)
"""Modules of this package. Error texts are tried in this order: families with narrow patterns come first."""

FAMILIES: Final = tuple(cast("Family", import_module(f"{__name__}.{name}")) for name in _TABLE)

COMPANIONS: Final = ("retry-after", "x-should-retry")
"""Headers that belong to no family and help to read any. Request ids have a field of their own."""

ALLOWED_PREFIXES: Final[tuple[str, ...]] = tuple(
    sorted({*COMPANIONS, *(prefix for family in FAMILIES for prefix in family.PREFIXES)})
)
"""The extension sends headers with these prefixes and no others."""

_DENIED: Final = ("cookie", "authorization", "api-key")


@lru_cache(64)
def allowed(name: str) -> bool:
    """True if a header (lower-case name) may be stored. The sidecar checks again what the extension has checked."""
    return name.startswith(ALLOWED_PREFIXES) and not any(word in name for word in _DENIED)


def read(response: RawResponse) -> Reading:
    """What a capture or a probe says, according to all families that know something in it."""
    parsed = _parse(response)
    text = response.text and error_part(response.text, response.http_status)
    if not text:
        # A frame describes the account. Its status code 200 does not mean that a request was served.
        status = response.http_status if response.frame is None else None
        return combine(response, status, parsed, by_status_code(status, None))
    error = error_text(text, response.http_status, response.at, response.account_type)
    return combine(response, error.http_status, parsed, _class_of(error))


def _parse(response: RawResponse) -> Reading | None:
    """What the headers and the frame say. Behind a proxy that is the reading of several families."""
    families = _families_of(tuple(response.headers))
    results = [_run_parser(family.parse, response) for family in families]
    if response.frame is not None:
        results += [_run_parser(frame, response.frame, response.at) for frame in _FRAME_PARSERS]
    results += [_parse_upstream(response, prefix) for prefix in _upstream_prefixes(families)]
    readings = [reading for reading in results if reading is not None]
    if len(readings) < 2:  # noqa: PLR2004 - nothing to merge
        return readings[0] if readings else None
    return _merge(readings)


def _run_parser(parse: Callable[..., Reading | None], *arguments: object) -> Reading | None:
    """The family's reading. An exception gives a warning only: the line keeps the raw headers, so nothing is lost."""
    try:
        return parse(*arguments)
    except Exception as error:  # noqa: BLE001 - a fault in one parser must not lose the capture
        return Reading(warnings=(f"{parse.__module__.rpartition('.')[2]} failed: {type(error).__name__}",))


_FRAME_PARSERS: Final = tuple(frame for family in FAMILIES if (frame := getattr(family, "frame", None)))


@lru_cache(64)
def _upstream_prefixes(families: tuple[Family, ...]) -> tuple[str, ...]:
    return tuple(prefix for family in families if (prefix := getattr(family, "UPSTREAM", None)))


def _parse_upstream(response: RawResponse, prefix: str) -> Reading | None:
    """The reading of the headers that a proxy passes on. Its windows belong to the proxy: `upstream:NAME`."""
    headers = {name.removeprefix(prefix): value for name, value in response.headers.items() if name.startswith(prefix)}
    reading = _parse(replace(response, headers=headers))
    if reading is None:
        return None
    windows = tuple(replace(window, name=_upstream_name(window.name)) for window in reading.windows)
    binding = reading.binding and _upstream_name(reading.binding)
    return replace(reading, windows=windows, binding=binding, account=None, family=None)


def _upstream_name(window: str) -> str:
    return f"upstream:{window}"


def _merge(readings: list[Reading]) -> Reading:
    """One reading of several: all windows and warnings, and of each other field the first value that is known."""
    windows: dict[str, Window] = {}
    for reading in readings:
        for window in reading.windows:
            windows.setdefault(window.name, window)
    empty = Reading()
    first: dict[str, Any] = {}
    for name in Reading.__struct_fields__:
        default = getattr(empty, name)
        first[name] = next((value for reading in readings if (value := getattr(reading, name)) != default), default)
    warnings = tuple(warning for reading in readings for warning in reading.warnings)
    return Reading(**{**first, "windows": tuple(windows.values()), "warnings": warnings})


@lru_cache(64)
def _families_of(names: tuple[str, ...]) -> tuple[Family, ...]:
    """The families that these headers belong to, in the order of the table. The longest matching prefix decides."""
    indexes: set[int] = set()
    for name in names:
        lengths = [
            max((len(prefix) for prefix in family.PREFIXES if name.startswith(prefix)), default=0)
            for family in FAMILIES
        ]
        longest = max(lengths)
        indexes.update(index for index, length in enumerate(lengths) if longest and length == longest)
    return tuple(FAMILIES[index] for index in sorted(indexes))


def _class_of(error: ErrorText) -> ErrorClass | None:
    """The class of an error text with the end that it states: families first, the general wording last."""
    error_class = usage_limits.refine(error, _classify(error)) or by_text(error)
    return None if error_class is None else usage_limits.with_end(error, usage_limits.with_model(error, error_class))


def _classify(error: ErrorText) -> ErrorClass | None:
    for family in FAMILIES:
        error_class = family.classify(error)
        if error_class is not None and is_believable(error, error_class):
            return error_class
    return None
