"""The IETF's `RateLimit` fields: structured lists of named policies, and the three plain fields of older drafts.

`RateLimit-Policy: "burst";q=10;w=10` is a limit of 10 requests in 10 seconds. `RateLimit: "burst";r=8;t=1` means that
8 of them remain and that the window resets in 1 second.
Sources: draft-ietf-httpapi-ratelimit-headers, captured responses.
"""

import re
from typing import Final

from tokmon.evidence import values
from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading

NAME: Final = "ietf"
PREFIXES: Final = ("ratelimit",)

_ITEM: Final = re.compile(r'^\s*(?:"([^"]{0,60})"|([A-Za-z0-9*_.:/-]{1,60}))\s*(?=;|$)')
_PARAMETER: Final = re.compile(r';\s*([a-z*][a-z0-9_.*-]*)\s*=\s*"?([^;,"]{1,40})')
_RENAMED: Final = re.compile(r';\s*"([^"]{1,60})"\s*(?=;|$)')
_PAIR: Final = re.compile(r"\b(limit|remaining|reset)\s*=\s*(\d{1,15})")
_PLAIN: Final = ("limit", "remaining", "reset")
_UNNAMED: Final = "requests"
_FIELD_OF: Final = {"q": "limit", "r": "remaining", "t": "reset"}


def parse(response: RawResponse) -> Reading | None:
    """Read the policies by name; None if there are none."""
    get = response.headers.get
    items: dict[str, dict[str, str]] = {}
    for header in ("ratelimit-policy", "ratelimit"):
        for name, parameters in _items(get(header) or ""):
            items.setdefault(name, {}).update(parameters)
    policies = {
        name: {_FIELD_OF[key]: value for key, value in parameters.items() if key in _FIELD_OF}
        for name, parameters in items.items()
    }
    plain = {field: value for field in _PLAIN if (value := get(f"ratelimit-{field}")) is not None}
    plain = plain or dict(_PAIR.findall(get("ratelimit") or ""))
    if plain and not any(policies.values()):
        policies = {_UNNAMED: plain}
    if not policies:
        return None
    parsed = [values.counted_window(name, fields, response.at) for name, fields in policies.items()]
    return Reading(
        windows=tuple(window for window, _ in parsed),
        family=NAME,
        warnings=tuple(warning for _, warnings in parsed for warning in warnings),
    )


def _items(value: str) -> list[tuple[str, dict[str, str]]]:
    """The items of a structured list as (name, parameters)."""
    items = []
    for part in _split(value):
        match = _ITEM.match(part)
        if match is not None:
            # `"fixed window";"api";q=500`: the last string is the name of the policy.
            names = _RENAMED.findall(part[match.end() :])
            name = names[-1] if names else match[1] or match[2] or _UNNAMED
            items.append((name, dict(_PARAMETER.findall(part[match.end() :]))))
    return items


def _split(value: str) -> list[str]:
    """Split at commas outside of quotes."""
    return re.findall(r'(?:[^,"]|"[^"]*")+', value)


def classify(error: ErrorText) -> ErrorClass | None:  # noqa: ARG001 - the shape of a family
    """None: the draft defines no error texts."""
    return None
