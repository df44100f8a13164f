"""A line of the log as text: time, account, result, windows, cost and mission.

Other tools write logs too: a value of the wrong type counts as missing.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from tokmon.evidence.log_line import SOURCE
from tokmon.evidence.reading import number, text
from tokmon.evidence.snapshot import Evidence, evidence_in_line
from tokmon.report.words import Style, clean, count, duration, money, percent, source_word
from tokmon.wire.instants import parse_rfc3339

_COLOURS: Final = {"allowed": "green", "allowed_warning": "yellow", "overloaded": "yellow", "network_error": "yellow"}
_LONGEST_NAME: Final = 24


def line_text(record: Mapping[str, Any], now: float, style: Style, *, name_width: int = 0) -> str | None:
    """The record in one readable line; None if it has no instant."""
    at = instant(record)
    if at is None:
        return None
    name = clean(account_name(record))
    words = [_when(at, now, style), style.paint(f"{name:<{min(name_width, _LONGEST_NAME)}}", "bold")]
    words += _usage(record) if is_usage(record) else _response(record, evidence_in_line(record), at, style)
    words += _spent(record)
    if (mission := text(record, "mission")) is not None:
        words.append(style.paint(clean(mission), "dim"))
    why = text(record, "reason") or text(record, "error") or ""
    words.append(style.paint(clean(" ".join(why.split())), "red") if why else "")
    return " ".join(word for word in words if word)


def account_name(record: Mapping[str, Any]) -> str:
    """The account of the record, or `-`."""
    name = record.get("provider")
    return "-" if not name else name if isinstance(name, str) else repr(name)[:_LONGEST_NAME]


def instant(record: Mapping[str, Any]) -> float | None:
    """The instant of the record, in epoch seconds; None where it has none."""
    ts = record.get("ts")
    try:
        return parse_rfc3339(ts) if isinstance(ts, str) else None
    except ValueError:
        return None


def is_usage(record: Mapping[str, Any]) -> bool:
    """Whether it is a line of the usage log, rather than a response."""
    return record.get("kind") == "usage"


def _when(at: float, now: float, style: Style) -> str:
    moment, today = datetime.fromtimestamp(at, style.zone), datetime.fromtimestamp(now, style.zone)
    return f"{moment:%H:%M:%S}" if moment.date() == today.date() else f"{moment:%m-%d %H:%M:%S}"


def _response(record: Mapping[str, Any], evidence: Evidence | None, at: float, style: Style) -> Iterator[str]:
    """What a response, probe or check shows. The reset is counted from the response, not from now."""
    code = record.get("http_status")
    yield str(code) if isinstance(code, int) and not isinstance(code, bool) else "---"
    if evidence is not None:
        word = evidence.status.replace("_", " ") + (f" ({clean(evidence.substatus)})" if evidence.substatus else "")
        yield style.paint(word, _COLOURS.get(evidence.status, "dim" if evidence.status == "unknown" else "red"))
        for window in evidence.windows:
            if window.utilization is not None:
                yield f"{clean(window.name)} {percent(window.utilization)}"
            elif window.remaining is not None:
                yield f"{clean(window.name)} {count(window.remaining)} left"
        if evidence.overage is not None and evidence.overage.in_use:
            yield style.paint("paid from credit", "yellow")
        if evidence.blocked_until is not None and evidence.blocked_until > at:
            yield f"blocked for {duration(evidence.blocked_until - at)}"
        elif (reset := _reset(record, evidence, at)) is not None:
            yield f"resets in {duration(reset)}"
    source = text(record, "source")
    if source != SOURCE:
        yield source_word(source or "probe")
    if (model := text(record, "model")) is not None:
        yield clean(model)


def _reset(record: Mapping[str, Any], evidence: Evidence, at: float) -> float | None:
    """Seconds to the reset that the line names, or to the first one of its windows."""
    seconds = number(record.get("reset_in_seconds"))
    if seconds is not None:
        return seconds if seconds > 0 else None
    waits = [window.resets_at - at for window in evidence.windows if window.resets_at is not None]
    return min((wait for wait in waits if wait > 0), default=None)


def _usage(record: Mapping[str, Any]) -> Iterator[str]:
    what = text(record, "what")
    yield "usage" if what in {None, "assistant"} else clean(f"usage ({what})".replace("_", " "))
    if (model := text(record, "model")) is not None:
        yield clean(model)
    tokens = record.get("tokens")
    if isinstance(tokens, Mapping):
        for key, word in (("input", "in"), ("output", "out"), ("cache_read", "cached"), ("cache_write", "to cache")):
            if (tokens_of_kind := number(tokens.get(key))) is not None:
                yield f"{count(tokens_of_kind)} {word}"


def _spent(record: Mapping[str, Any]) -> Iterator[str]:
    cost = number(record.get("cost_usd"))
    if cost is not None:
        yield f"{'~' if record.get('cost_source') == 'estimated' else ''}{money(cost)}"
    elif is_usage(record):
        yield "cost unknown"
