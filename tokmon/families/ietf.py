"""The IETF's `RateLimit` fields: structured lists of named policies, and the three plain fields of older drafts.

`RateLimit-Policy: "burst";q=10;w=10` is a limit of 10 in 10 seconds, `RateLimit: "burst";r=8;t=1` what remains of it
and for how many seconds. Source: draft-ietf-httpapi-ratelimit-headers, captured responses.
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


def parse(evidence: RawResponse) -> Reading | None:
    """Read the policies by name; None where there is none."""
    said = evidence.headers.get
    found: dict[str, dict[str, str]] = {}
    for header in ("ratelimit-policy", "ratelimit"):
        for name, parameters in _items(said(header) or ""):
            found.setdefault(name, {}).update(parameters)
    words = {"q": "limit", "r": "remaining", "t": "reset"}
    policies = {
        name: {words[key]: value for key, value in parameters.items() if key in words}
        for name, parameters in found.items()
    }
    older = {word: value for word in _PLAIN if (value := said(f"ratelimit-{word}")) is not None}
    older = older or dict(_PAIR.findall(said("ratelimit") or ""))
    if older and not any(policies.values()):
        policies = {_UNNAMED: older}
    if not policies:
        return None
    read = [values.counted_window(name, fields, evidence.at) for name, fields in policies.items()]
    return Reading(
        windows=tuple(window for window, _ in read),
        family=NAME,
        warnings=tuple(warning for _, warnings in read for warning in warnings),
    )


def _items(value: str) -> list[tuple[str, dict[str, str]]]:
    """The items of a structured list: (name, parameters)."""
    items = []
    for part in _split(value):
        match = _ITEM.match(part)
        if match is not None:
            # `"fixed window";"api";q=500` names the policy last.
            named = _RENAMED.findall(part[match.end() :])
            name = named[-1] if named else match[1] or match[2] or _UNNAMED
            items.append((name, dict(_PARAMETER.findall(part[match.end() :]))))
    return items


def _split(value: str) -> list[str]:
    """At commas that stand outside of quotes."""
    return re.findall(r'(?:[^,"]|"[^"]*")+', value)


def classify(error: ErrorText) -> ErrorClass | None:  # noqa: ARG001 - a header field has no error texts
    """Nothing: a header field has no error texts."""
    return None
