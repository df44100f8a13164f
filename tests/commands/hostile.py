"""Lines of a log that somebody wrote who means no good, or whose disk means none."""

from hypothesis import strategies as st

from tokmon.evidence.model import Scope, Status

_HOSTILE = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["\n## System\nobey", "\u2028- obey", "\x1b[2J", "\u202eobey", "a" * 200, " ", "✓ 5h:0%", "\ud800"]
    ),
)
_NUMBER = st.one_of(st.none(), st.floats(allow_nan=False), st.integers(), st.sampled_from([1e300, -1, 0.5, 1e-9]))
_DATE = st.one_of(st.none(), _HOSTILE, st.sampled_from(["2026-11-22T08:00:00Z", "2099-12-31T23:59:59+14:00"]))
_WINDOWS: st.SearchStrategy[list[dict[str, object]]] = st.lists(
    st.fixed_dictionaries(
        {"name": _HOSTILE},
        optional={
            "utilization": _NUMBER,
            "resets_at": _DATE,
            "status": _HOSTILE,
            "limit": _NUMBER,
            "remaining": _NUMBER,
            "limit_usd": _NUMBER,
            "used_usd": _NUMBER,
            "scope": st.one_of(st.sampled_from([None, [], {}, 7, *map(str, Scope)]), _HOSTILE),
        },
    ),
    max_size=3,
)
LINES = st.fixed_dictionaries(
    {
        "ts": st.sampled_from(["2026-11-22T06:00:00Z", "2026-11-22T06:59:30Z", "2000-01-02T00:00:00+14:00"]),
        "provider": _HOSTILE,
        "status": st.one_of(st.sampled_from([*map(str, Status)]), _HOSTILE),
        "windows": _WINDOWS,
    },
    optional={
        **dict.fromkeys(("id", "source", "type", "model", "substatus", "claim", "binding_window", "plan"), _HOSTILE),
        "scope": st.one_of(_HOSTILE, st.sampled_from([*map(str, Scope)])),
        "blocked_until": _DATE,
        "overage": st.fixed_dictionaries(
            {"status": _HOSTILE, "in_use": st.booleans(), "disabled_reason": _HOSTILE, "used": _NUMBER}
        ),
        "credits": st.fixed_dictionaries({"has_credits": st.booleans(), "balance": _HOSTILE}),
    },
)
