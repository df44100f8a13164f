"""`tokmon read`: captures on stdin, what each says on stdout; one JSON object a line both ways.

Takes captures as a person or a program writes them, and lines of our own logs, whose raw headers are read anew.
"""

import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from tokmon import families
from tokmon.errors import InputError, UsageError
from tokmon.evidence.model import RawResponse, Reading
from tokmon.evidence.reading import reading_json
from tokmon.evidence.snapshot import evidence_in_line
from tokmon.evidence.values import instant
from tokmon.store.codec import encode, parse
from tokmon.wire.instants import parse_rfc3339
from tokmon.wire.scrub import scrub

SUMMARY: Final = "say what captures say: JSON lines on stdin, readings on stdout"

_SKEW_S: Final = 5.0
"""A reset this far before the response is a matter of clocks, and not a window of the past."""

_CODES: Final = (100, 999)
_NAMES: Final = ("name", "id", "provider")

_TEXTS: Final = ("body_excerpt", "error_message", "error")
_KINDS: Final = ("provider_kind", "type")
_EVENTS: Final = ("event", "frame")


def run(arguments: list[str]) -> int:
    """Read until the input ends; 1 if a line was none, 0 otherwise."""
    if arguments and arguments[0] in {"-h", "--help"}:
        print(f"usage: tokmon read < CAPTURES\n\n{SUMMARY}")
        return 0
    if arguments:
        raise UsageError(f"no such option: `{arguments[0]}`", hint="`tokmon read` takes captures on its standard input")
    if sys.stdin.isatty():
        print("hint: captures are read from the standard input, one JSON object a line", file=sys.stderr)
    bad = 0
    for number, line in enumerate(sys.stdin.buffer, 1):
        if not line.strip():
            continue
        try:
            answer = encode(read_line(line, time.time()))
        except InputError as error:
            bad += 1
            print(f"error: line {number}: `{error.field}`: {error}", file=sys.stderr)
            continue
        sys.stdout.buffer.write(answer + b"\n")
    sys.stdout.buffer.flush()
    return 1 if bad else 0


def read_line(line: bytes, now: float) -> dict[str, Any]:
    """What one line says, captured `now` if it does not say when; InputError naming the field that is off."""
    capture = parse(line)
    if capture is None:
        raise InputError("not a JSON object", field="line")
    if _is_old(capture):
        return _named(capture, _as_logged(capture))
    at = _instant(capture, now)
    texts = [text for name in _TEXTS if name in capture and (text := _text(capture, name))]
    kinds = [kind for name in _KINDS if name in capture and (kind := _text(capture, name))]
    reading = families.read(
        RawResponse(
            http_status=_status(capture),
            headers=_headers(capture),
            at=at,
            text=" ".join(texts) or None,
            account_type=kinds[0].lower() if kinds else None,
            frame=_frame(capture),
        )
    )
    answer = reading_json(reading)
    if reading.warnings:
        answer["warnings"] = [scrub(warning) for warning in reading.warnings]
    for window, entry in zip(reading.windows, answer["windows"], strict=True):
        if window.expired(at - _SKEW_S):
            entry["expired"] = True
    return _named(capture, answer)


def _named(capture: Mapping[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """What tells one answer from another, before the answer."""
    named = {name: capture[name] for name in _NAMES if isinstance(capture.get(name), str)}
    return {**named, **answer} if named else answer


def _is_old(capture: Mapping[str, Any]) -> bool:
    """Whether it is a line of the older tool's log, which kept no headers: what it read then is all there is."""
    return "status" in capture and not any(name in capture for name in ("headers", "http_status", *_TEXTS, *_EVENTS))


def _as_logged(capture: Mapping[str, Any]) -> dict[str, Any]:
    seen = evidence_in_line(capture)
    if seen is None:
        raise InputError("a line of the log needs a `provider` and an instant", field="ts")
    windows = tuple(seen.windows)
    return reading_json(Reading(status=seen.status, windows=windows, claim=seen.claim, overage=seen.overage))


def _instant(capture: Mapping[str, Any], now: float) -> float:
    name = "captured_at" if capture.get("captured_at") is not None else "ts"
    if capture.get(name) is None:
        return now
    try:
        return parse_rfc3339(capture[name])
    except (TypeError, ValueError):
        found = instant(str(capture[name]))
    if found is None:
        raise InputError(f"`{str(capture[name])[:40]}` is no instant of this century", field=name)
    return found


def _status(capture: Mapping[str, Any]) -> int | None:
    found = capture.get("http_status")
    if found is None:
        return None
    if not isinstance(found, int) or isinstance(found, bool) or not _CODES[0] <= found <= _CODES[1]:
        raise InputError(f"must be a status code, not `{str(found)[:40]}`", field="http_status")
    return found


def _headers(capture: Mapping[str, Any]) -> dict[str, str]:
    """By lower-case name; numbers are taken as they are written, and lists as the duplicates that they are."""
    found = capture.get("headers")
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise InputError("must be an object of names and texts", field="headers")
    if {*map(type, found.values())} <= {str}:
        return {name.lower(): value for name, value in found.items()}
    headers = {}
    for name, value in found.items():
        if value is None:
            continue
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(each, (str, int, float)) and not isinstance(each, bool) for each in values):
            raise InputError("must be a text", field=f"headers.{name[:60]}")
        headers[name.lower()] = value if isinstance(value, str) else ", ".join(map(str, values))
    return headers


def _text(capture: Mapping[str, Any], name: str) -> str | None:
    found = capture.get(name)
    if found is not None and not isinstance(found, str):
        raise InputError("must be a text", field=name)
    return found


def _frame(capture: Mapping[str, Any]) -> Mapping[str, object] | None:
    name = next((name for name in _EVENTS if capture.get(name) is not None), None)
    if name is None:
        return None
    if not isinstance(capture[name], Mapping):
        raise InputError("must be an object", field=name)
    frame: Mapping[str, object] = capture[name]
    return frame
