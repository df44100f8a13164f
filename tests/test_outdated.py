import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokmon.evidence import history
from tokmon.evidence.log_line import evidence_in_line
from tokmon.evidence.outdated import OutdatedLines
from tokmon.evidence.snapshot import Snapshot, fold

_TIMES = st.builds(
    lambda day, hour, minute, second, end: f"2026-11-{day}T{hour:02}:{minute:02}:{second}{end}",
    st.sampled_from([22, 23]),
    st.sampled_from([0, 23, 24, 6]),
    st.sampled_from([0, 1, 14, 15, 30, 59]),
    st.sampled_from(["00", "59"]),
    st.sampled_from([".000Z", ".001Z", ".999Z", ".9996Z", "Z", ".000000+00:00", ".9995+00:00", "+01:00", ".5z", ""]),
)
_WINDOWS = st.lists(
    st.builds(
        lambda name, used, more: {"name": name, "utilization": used, "resets_at": "2026-11-23T08:00:00Z", **more},
        st.sampled_from(["5h", "7d", "requests_minute", "7d_oi"]),
        st.sampled_from([None, 0.1, 0.2, 1, 1.04, 1e305, True]),
        st.sampled_from([{}, {}, {"status": "rejected"}, {"remaining": 0}, {"remaining": 3}, {"scope": "model"}]),
    ),
    max_size=2,
)
_FIELDS = {
    "id": st.sampled_from(["a", "b", 7]),
    "kind": st.sampled_from(["usage", "capture", 1]),
    "error_captured": st.sampled_from([None, False, True, 1]),
    "type": st.sampled_from([None, "", "teams-direct", 1]),
    "source": st.sampled_from([None, "piggyback", "probe", "pi-check"]),
    "scope": st.sampled_from([None, "model", "request", "provider"]),
    "substatus": st.sampled_from([None, "key_valid"]),
    "model": st.sampled_from([None, "opus"]),
    "plan": st.sampled_from([None, "pro"]),
    "account_hint": st.sampled_from([None, "org-1", "org-2"]),
    "credential": st.sampled_from([None, "key-1"]),
    "claim": st.sampled_from([None, "", "five_hour"]),
    "binding_window": st.sampled_from([None, "", "5h"]),
    "windows": st.none() | _WINDOWS | st.just({}),
    "overage": st.sampled_from([None, {}, {"status": "rejected"}, []]),
    "credits": st.sampled_from([None, {"balance": "1"}]),
    "utilization_5h": st.sampled_from([None, 0.4, "0.4"]),
    "utilization_7d": st.sampled_from([None, 0.6, 1]),
    "account_status": st.sampled_from([None, "invalid_key"]),
    "error": st.sampled_from([None, "429 too many requests", "invalid x-api-key"]),
}
_STATUSES = st.sampled_from(["allowed", "rejected", "invalid_key", "overloaded", "network_error", "ok", "error", None])
_LINE = st.fixed_dictionaries(
    {"ts": _TIMES, "provider": st.sampled_from(["p", "p", "q", None]), "status": _STATUSES}, optional=_FIELDS
)
_SAME_BUT_FOR_ITS_INSTANT = st.builds(
    lambda line, times: [{**line, "ts": ts} for ts in times], _LINE, st.lists(_TIMES, min_size=2, max_size=6)
)
_OF_SEATS = st.lists(
    st.builds(
        lambda ts, start, end: {
            "ts": ts,
            "provider": "p",
            "status": "allowed",
            "type": "teams-direct",
            "account_hint": "org-1",
            "windows": [
                {"name": "5h", "utilization": 0.1, "resets_at": start},
                {"name": "7d", "utilization": 0.2, "resets_at": end},
            ],
        },
        _TIMES,
        st.sampled_from([None, "2026-11-23T08:00:00Z"]),
        st.sampled_from(["2026-11-24T09:00:00Z", "2026-11-24T09:01:00Z", None, 1795510800]),
    ),
    max_size=6,
)
"""Lines of several seats of one team, which their windows alone tell apart."""

_LINES = st.lists(_LINE.map(lambda line: [line]) | _SAME_BUT_FOR_ITS_INSTANT | _OF_SEATS, max_size=6).map(
    lambda parts: [line for part in parts for line in part]
)


def _folded_without_the_outdated(lines: list[dict[str, Any]], read: list[bytes]) -> Snapshot:
    snapshot = Snapshot()
    outdated = OutdatedLines(snapshot)
    for data, key in outdated.skip([json.dumps(line).encode() for line in lines]):
        read.append(data)
        evidence = evidence_in_line(json.loads(data))
        if evidence is not None:
            snapshot.add(evidence)
            outdated.add(key, evidence)
    return snapshot


@given(_LINES)
def test_an_outdated_line_would_have_changed_nothing(lines: list[dict[str, Any]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "_MAX_SAMPLES", 2)
        patch.setattr(history, "_MAX_REFUSALS", 2)
        quick = _folded_without_the_outdated(lines, [])
        assert quick.accounts == fold(Snapshot(), reversed(lines)).accounts
        assert quick.to_json() == fold(Snapshot(), lines).to_json()


def test_of_many_lines_that_say_the_same_few_are_read() -> None:
    lines = [
        {
            "ts": f"2026-{month:02}-{day:02}T{hour:02}:{minute:02}:00.000Z",
            "provider": "a",
            "status": "allowed",
            "windows": [{"name": "5h", "utilization": minute / 60}, {"name": "7d", "utilization": day / 31}],
        }
        for month in (8, 10)
        for day in range(1, 31)
        for hour in range(24)
        for minute in range(0, 60, 5)
    ]
    read: list[bytes] = []
    _folded_without_the_outdated(lines, read)
    assert len(read) < len(lines) / 100
