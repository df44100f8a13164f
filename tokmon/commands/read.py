"""`tokmon read`: captured responses on stdin, readings on stdout; one JSON object on each line, both ways.

Input is captures as a person or a program writes them, or lines of tokmon's logs, whose raw headers are parsed again.
"""

import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from tokmon import families
from tokmon.errors import InputError, unexpected_argument
from tokmon.evidence.model import RawResponse, Reading
from tokmon.evidence.reading import reading_json
from tokmon.evidence.snapshot import evidence_in_line
from tokmon.evidence.values import instant
from tokmon.store.codec import encode, parse, printable_json
from tokmon.wire.instants import parse_rfc3339
from tokmon.wire.scrub import scrub

SUMMARY: Final = "parse captured responses (JSON lines) into readings"

VERSION: Final = 1
"""Of the JSON form."""

_HELP: Final = f"""usage: tokmon read < CAPTURES

{SUMMARY}

Each line of the standard input is a JSON object with `http_status`, `headers` and, if known, `error_message`, `ts`
and `type`. Each line of the output is what tokmon reads in it (docs/json.md).

examples:
  tokmon read < captures.jsonl
  tail -n 1 ~/.logs/token-monitor/piggyback.jsonl | tokmon read"""

_SKEW_S: Final = 5.0
"""A reset so shortly before the response comes from clocks that differ: the window has not expired."""

_CODES: Final = (100, 999)
_NAMES: Final = ("name", "id", "provider")

_TEXTS: Final = ("body_excerpt", "error_message", "error")
_KINDS: Final = ("provider_kind", "type")
_EVENTS: Final = ("event", "frame")


def run(arguments: list[str]) -> int:
    """Read until the input ends; 1 if a line was invalid, 0 otherwise."""
    if arguments and arguments[0] in {"-h", "--help"}:
        print(_HELP)
        return 0
    if arguments:
        raise unexpected_argument(arguments[0], ("--help",), "read")
    if sys.stdin.isatty():
        print("hint: captures are read from the standard input, one JSON object on each line", file=sys.stderr)
    invalid = 0
    for number, line in enumerate(sys.stdin.buffer, 1):
        if not line.strip():
            continue
        try:
            answer = printable_json(encode({"version": VERSION, **read_line(line, time.time())}))
        except InputError as error:
            invalid += 1
            print(f"error: line {number}: `{error.field}`: {error}", file=sys.stderr)
            continue
        sys.stdout.buffer.write(answer + b"\n")
    sys.stdout.buffer.flush()
    return 1 if invalid else 0


def read_line(line: bytes, now: float) -> dict[str, Any]:
    """The reading of one line, as of `now` if it has no instant; InputError with the field that is invalid."""
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
    """The answer with the capture's own names (`id`, `provider`) in front."""
    return {**{name: capture[name] for name in _NAMES if isinstance(capture.get(name), str)}, **answer}


def _is_old(capture: Mapping[str, Any]) -> bool:
    """Whether it is a line of the older tool's log, which has no headers: only what that tool read is left."""
    return "status" in capture and not any(name in capture for name in ("headers", "http_status", *_TEXTS, *_EVENTS))


def _as_logged(capture: Mapping[str, Any]) -> dict[str, Any]:
    evidence = evidence_in_line(capture)
    if evidence is None:
        raise InputError("a log line needs a `provider` and an instant", field="ts")
    windows = tuple(evidence.windows)
    reading = Reading(status=evidence.status, windows=windows, claim=evidence.claim, overage=evidence.overage)
    return reading_json(reading)


def _instant(capture: Mapping[str, Any], now: float) -> float:
    name = "captured_at" if capture.get("captured_at") is not None else "ts"
    if capture.get(name) is None:
        return now
    try:
        return parse_rfc3339(capture[name])
    except (TypeError, ValueError):
        at = instant(str(capture[name]))
    if at is None:
        raise InputError(f"`{str(capture[name])[:40]}` is not an instant of this century", field=name)
    return at


def _status(capture: Mapping[str, Any]) -> int | None:
    code = capture.get("http_status")
    if code is None:
        return None
    if not isinstance(code, int) or isinstance(code, bool) or not _CODES[0] <= code <= _CODES[1]:
        raise InputError(f"must be a status code, not `{str(code)[:40]}`", field="http_status")
    return code


def _headers(capture: Mapping[str, Any]) -> dict[str, str]:
    """The headers by lower-case name; numbers as they are written, lists joined like duplicated headers."""
    raw = capture.get("headers")
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise InputError("must be an object with texts as values", field="headers")
    if {*map(type, raw.values())} <= {str}:
        return {name.lower(): value for name, value in raw.items()}
    headers = {}
    for name, value in raw.items():
        if value is None:
            continue
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(part, (str, int, float)) and not isinstance(part, bool) for part in values):
            raise InputError("must be a text", field=f"headers.{name[:60]}")
        headers[name.lower()] = value if isinstance(value, str) else ", ".join(map(str, values))
    return headers


def _text(capture: Mapping[str, Any], name: str) -> str | None:
    value = capture.get(name)
    if value is not None and not isinstance(value, str):
        raise InputError("must be a text", field=name)
    return value


def _frame(capture: Mapping[str, Any]) -> Mapping[str, object] | None:
    name = next((name for name in _EVENTS if capture.get(name) is not None), None)
    if name is None:
        return None
    if not isinstance(capture[name], Mapping):
        raise InputError("must be an object", field=name)
    frame: Mapping[str, object] = capture[name]
    return frame
