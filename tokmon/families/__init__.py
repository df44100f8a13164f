"""The table of families: dialects of rate-limit headers and error texts.

A family is one module with these names, and one line in the table:

    NAME        its word, as written in a reading
    PREFIXES    the header prefixes that are its own; they dispatch to it (the longest one that fits), and they are
                the allow-list that the extension is rendered with
    parse       (evidence) -> Reading | None: what the headers say, None where they say nothing
    classify    (error) -> Verdict | None: what an error text says
    frame       (frame, at) -> Reading | None, where there is one: what a frame of a stream says that has no headers
    ABSOLUTE    True where every reset in its headers is an instant, so that its readings hold at any time
    UPSTREAM    of a proxy only: the prefix under which it hands on the headers of whoever is behind it

Families never import each other; what they share is below this package.
"""

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, Protocol, cast

from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Window, replace
from tokmon.families.verdicts import believable, by_status_code, by_text, combine, error_text, said_by_error, said_wait


class Family(Protocol):
    """What a family module offers (modules are checked against it by the type checker)."""

    NAME: str
    PREFIXES: tuple[str, ...]

    def parse(self, evidence: RawResponse) -> Reading | None:
        """Read the headers (lower-case names) of a response."""

    def classify(self, error: ErrorText) -> ErrorClass | None:
        """Read an error text."""


_TABLE: Final = (
    "anthropic_unified",
    "anthropic_usage",
    "anthropic_classic",
    "codex",
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
"""Modules of this package, in the order in which they are asked about an error text: the narrower before the wider."""

FAMILIES: Final = tuple(cast("Family", import_module(f"{__name__}.{name}")) for name in _TABLE)

COMPANIONS: Final = ("retry-after", "x-should-retry")
"""Headers of no family that help to read any. Ids of requests have a field of their own."""

ALLOWED_PREFIXES: Final[tuple[str, ...]] = tuple(
    sorted({*COMPANIONS, *(prefix for family in FAMILIES for prefix in family.PREFIXES)})
)
"""The extension sends these headers and no others."""

_DENIED: Final = ("cookie", "authorization", "api-key")


@lru_cache(256)
def allowed(name: str) -> bool:
    """Whether a header (lower-case) may be kept. The sidecar asks again what the extension has asked already."""
    return name.startswith(ALLOWED_PREFIXES) and not any(word in name for word in _DENIED)


def read(evidence: RawResponse) -> Reading:
    """What a capture or a probe says, by every family that has something to say about it."""
    parsed = _parse(evidence)
    text = evidence.text and said_by_error(evidence.text, evidence.http_status)
    if not text:
        # A frame tells of the account by itself: that it came with a 200 serves no answer.
        status = evidence.http_status if evidence.frame is None else None
        return combine(evidence, status, parsed, by_status_code(status, None))
    error = error_text(text, evidence.http_status, evidence.at, evidence.account_type)
    verdict = _classify(error) or by_text(error)
    if verdict is not None and verdict.retry_after_s is None and (wait := said_wait(error)) is not None:
        verdict = replace(verdict, retry_after_s=wait)
    return combine(evidence, error.http_status, parsed, verdict)


def is_timeless(evidence: RawResponse, reading: Reading) -> bool:
    """Whether the same at another time reads the same: nothing in it is counted from the response on."""
    if evidence.text is None and evidence.frame is None and _absolute(tuple(evidence.headers)):
        return True
    return read(replace(evidence, at=evidence.at + 3600.0)) == reading


@lru_cache(256)
def _absolute(names: tuple[str, ...]) -> bool:
    told = _families_of(names)
    return "retry-after" not in names and all(getattr(family, "ABSOLUTE", False) for family in told)


def _parse(evidence: RawResponse) -> Reading | None:
    """What the headers say: of one family nearly always, of a proxy and of who is behind it sometimes."""
    told = _families_of(tuple(evidence.headers))
    readings = [reading for family in told if (reading := _asked(family.parse, evidence)) is not None]
    if evidence.frame is not None:
        readings += [
            reading for frame in _FRAMES if (reading := _asked(frame, evidence.frame, evidence.at)) is not None
        ]
    for prefix in _upstream_of(told):
        behind = {name.removeprefix(prefix): said for name, said in evidence.headers.items() if name.startswith(prefix)}
        reading = _parse(replace(evidence, headers=behind))
        if reading is not None:
            binding = reading.binding and _behind(reading.binding)
            reading = replace(reading, windows=_of_upstream(reading), binding=binding, account=None, family=None)
            readings.append(reading)
    if len(readings) < 2:  # noqa: PLR2004 - nothing to put together
        return readings[0] if readings else None
    return _together(readings)


def _asked(parse: Callable[..., Reading | None], *said: object) -> Reading | None:
    """What the family says. One that fails has said nothing but that: the line keeps the raw headers, and goes on."""
    try:
        return parse(*said)
    except Exception as error:  # noqa: BLE001 - whatever it is: a parser's fault loses no capture
        return Reading(warnings=(f"{parse.__module__.rpartition('.')[2]} failed: {type(error).__name__}",))


_FRAMES: Final = tuple(frame for family in FAMILIES if (frame := getattr(family, "frame", None)))


@lru_cache(256)
def _upstream_of(told: tuple[Family, ...]) -> tuple[str, ...]:
    """Under which prefixes these hand on the headers of whoever is behind them."""
    return tuple(prefix for family in told if (prefix := getattr(family, "UPSTREAM", None)))


def _of_upstream(reading: Reading) -> tuple[Window, ...]:
    return tuple(replace(window, name=_behind(window.name)) for window in reading.windows)


def _behind(name: str) -> str:
    return f"upstream:{name}"


def _together(readings: list[Reading]) -> Reading:
    """One reading of several: all windows, and of the rest what the first one says that says anything."""
    windows: dict[str, Window] = {}
    for reading in readings:
        for window in reading.windows:
            windows.setdefault(window.name, window)
    nothing = Reading()
    first: dict[str, Any] = {}
    for name in Reading.__struct_fields__:
        unsaid = getattr(nothing, name)
        first[name] = next((value for reading in readings if (value := getattr(reading, name)) != unsaid), unsaid)
    warnings = tuple(warning for reading in readings for warning in reading.warnings)
    return Reading(**{**first, "windows": tuple(windows.values()), "warnings": warnings})


@lru_cache(256)
def _families_of(names: tuple[str, ...]) -> tuple[Family, ...]:
    """Whose headers these are, in the order of the table; each header is theirs who have the longest fitting prefix."""
    told: set[int] = set()
    for name in names:
        fits = [max((len(each) for each in family.PREFIXES if name.startswith(each)), default=0) for family in FAMILIES]
        longest = max(fits)
        told.update(index for index, length in enumerate(fits) if longest and length == longest)
    return tuple(FAMILIES[index] for index in sorted(told))


def _classify(error: ErrorText) -> ErrorClass | None:
    for family in FAMILIES:
        verdict = family.classify(error)
        if verdict is not None and believable(error, verdict):
            return verdict
    return None
