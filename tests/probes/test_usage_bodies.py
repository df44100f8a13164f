"""Bodies of usage endpoints over a real socket: what the log keeps of them, and how each shape is read."""

import json
from typing import Any

import pytest

from tests.probes.loopback import USAGE, WHAM, Reply
from tests.probes.test_kinds import SEAT, one
from tokmon.commands.read import read_line
from tokmon.evidence.model import Reading, Scope, Status
from tokmon.probes.body import MAX_CHARACTERS
from tokmon.probes.records import probe_line

RESET = "2099-01-18T08:00:00Z"
RESETS_AT = 4_070_908_800
CAPPED = {"reached": True, "individual_limit": {"limit": "100", "used": "100", "reset_at": RESETS_AT}}
FABLE = {"model": {"id": None, "display_name": "Fable"}, "surface": None}


def limit(kind: str, percent: float | None, scope: Any = None, **more: Any) -> dict[str, Any]:
    """An entry of `limits`."""
    group = {"group": kind.split("_", maxsplit=1)[0], "severity": "normal", "is_active": False}
    return {"kind": kind, "percent": percent, "resets_at": RESET, "scope": scope, **group, **more}


def slot(used: float | None, hours: float = 5, **more: Any) -> dict[str, Any]:
    """A window of `wham/usage`."""
    return {"used_percent": used, "limit_window_seconds": hours * 3600, "reset_at": RESETS_AT, **more}


def spark(used: float, *, refused: bool) -> dict[str, Any]:
    """The figures of one model's limit."""
    return {"allowed": not refused, "limit_reached": refused, "primary_window": slot(used), "secondary_window": None}


def reading_of(kind: str, body: Any) -> Reading:
    """The reading of a body; `tokmon read` must read the line alike."""
    result, _ = one(kind, lambda _: Reply(body=body))
    line = probe_line(result)
    again = read_line(json.dumps(line).encode(), result.at)
    assert {name: again[name] for name in ("status", "substatus", "windows", "blocked_until")} == {
        name: line.get(name, [] if name == "windows" else None)
        for name in ("status", "substatus", "windows", "blocked_until")
    }
    return result.reading


def figures(reading: Reading) -> dict[str, float | None]:
    return {window.name: window.utilization for window in reading.windows}


def test_weekly_limit_of_one_model_in_the_list_is_a_window_of_that_model() -> None:
    limits = [limit("session", 0), limit("weekly_all", 65), limit("weekly_scoped", 100, FABLE)]
    body = {**USAGE, "five_hour": {"utilization": 0.0, "resets_at": RESET}, "limits": limits}
    reading = reading_of("seat", body)
    window = reading.window("7d_fable")
    assert window is not None
    assert (window.utilization, window.scope, window.resets_at) == (1.0, Scope.MODEL, 4_072_406_400.0)
    assert (reading.status, reading.scope, reading.binding) == (Status.ALLOWED, None, None)
    assert figures(reading)["7d"] == 0.615, "the field is more precise than the list"


@pytest.mark.parametrize("fields", [{}, {"five_hour": None, "seven_day": None}])
def test_limits_without_the_fields_are_the_windows(fields: dict[str, Any]) -> None:
    body = {**fields, "limits": [limit("session", 52), limit("weekly_all", 100)]}
    reading = reading_of("seat", body)
    assert figures(reading) == {"5h": 0.52, "7d": 1.0}
    assert (reading.status, reading.scope, reading.binding) == (Status.REJECTED, Scope.ACCOUNT, "7d")
    assert reading.blocked_until == 4_072_406_400.0


@pytest.mark.parametrize(
    ("entry", "name", "scope"),
    [
        (limit("weekly_scoped", 1, {"model": {"display_name": "Claude Sonnet 4.5"}}), "7d_sonnet_4_5", Scope.MODEL),
        (limit("weekly_scoped", 1, {"model": {"id": "claude-fable-5"}}), "7d_fable_5", Scope.MODEL),
        (limit("weekly_scoped", 1, {"model": "Fable"}), "7d_fable", Scope.MODEL),
        (limit("weekly_scoped", 1, {"model": None, "surface": "cowork"}), "7d_cowork", Scope.MODEL),
        (limit("weekly_scoped", 1), "7d_scoped", Scope.MODEL),
        (limit("weekly_opus", 1), "7d_opus", Scope.MODEL),
        (limit("session", 1, FABLE), "5h_fable", Scope.MODEL),
        (limit("monthly_all", 1), "30d", None),
        (limit("inactive_pool", 100), "inactive_pool", Scope.MODEL),
    ],
)
def test_limit_of_any_kind_has_a_name_and_a_scope(entry: dict[str, Any], name: str, scope: Scope | None) -> None:
    reading = reading_of("seat", {**USAGE, "limits": [entry]})
    window = reading.window(name)
    assert window is not None
    assert window.scope is scope
    assert reading.status is Status.ALLOWED


def test_of_two_limits_of_one_name_the_fuller_one_counts() -> None:
    limits = [limit("weekly_scoped", 20, FABLE), limit("weekly_scoped", 90, FABLE), limit("weekly_scoped", 5, FABLE)]
    assert figures(reading_of("seat", {**USAGE, "limits": limits}))["7d_fable"] == 0.9


@pytest.mark.parametrize("limits", [None, 7, [None, 7, {}, {"kind": 3}], {"a": limit("weekly_all", 3)}, [[]]])
def test_odd_limits_do_not_hide_the_fields(limits: Any) -> None:
    assert figures(reading_of("seat", {**USAGE, "limits": limits}))["7d"] == 0.615


def test_spend_stands_in_for_missing_extra_usage() -> None:
    spend = {"used": {"amount_minor": 763, "currency": "EUR"}, "limit": None, "percent": 38.15, "enabled": True}
    full = {"five_hour": {"utilization": 100, "resets_at": RESET}, "extra_usage": None, "spend": spend}
    reading = reading_of("seat", full)
    assert reading.overage is not None
    assert (reading.overage.status, reading.overage.used) == ("allowed", 763.0)
    assert reading.status is Status.ALLOWED_WARNING


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("seat", {"five_hour": None, "seven_day": None, "limits": []}),
        ("seat", {"five_hour": {"utilization": None, "resets_at": None}}),
        ("seat", {"five_hour": None, "limits": [limit("weekly_scoped", 3, FABLE)]}),
        ("seat", {"message": "welcome"}),
        ("codex", {"plan_type": "pro", "rate_limit": None, "credits": {"has_credits": True, "balance": "12.5"}}),
        ("codex", {"rate_limit": {"allowed": True, "primary_window": None}}),
        ("codex", {"rate_limit": {"allowed": True, "primary_window": slot(None)}}),
        ("codex", {"rate_limit": [], "additional_rate_limits": {"Spark": spark(3, refused=False)}}),
    ],
)
def test_answer_without_a_window_of_the_account_is_unknown_and_says_why(kind: str, body: Any) -> None:
    reading = reading_of(kind, body)
    assert (reading.status, reading.substatus) == (Status.UNKNOWN, "no_window")


def test_full_window_of_one_codex_model_leaves_the_account_alone() -> None:
    entry = {"limit_name": "GPT-5.3-Codex-Spark", "metered_feature": "codex_bengalfox"}
    limits = {**spark(100, refused=True), "secondary_window": slot(40, 168)}
    reading = reading_of("codex", {**WHAM, "additional_rate_limits": [{**entry, "rate_limit": limits}]})
    assert figures(reading) == {
        "5h": 0.31,
        "7d": 0.12,
        "GPT-5.3-Codex-Spark:5h": 1.0,
        "GPT-5.3-Codex-Spark:7d": 0.4,
    }
    of_model = [window for window in reading.windows if window.scope is Scope.MODEL]
    assert [(window.name, window.status) for window in of_model] == [
        ("GPT-5.3-Codex-Spark:5h", "rejected"),
        ("GPT-5.3-Codex-Spark:7d", None),
    ]
    assert (reading.status, reading.scope, reading.blocked_until) == (Status.ALLOWED, None, None)


@pytest.mark.parametrize(
    "entries",
    [
        {"Spark": spark(60, refused=False)},
        {"Spark": {"rate_limit": spark(60, refused=False)}},
        {"codex_x": {"limit_name": "Spark", "rate_limit": spark(60, refused=False)}},
        [{"name": "Spark", "primary_window": slot(60)}],
        [{"limit_name": None, "metered_feature": "Spark", "rate_limit": spark(60, refused=False)}],
        [{"limit_name": "Spark", "primary": {"used_percent": 60, "window_minutes": 300}}, None, 7, {"limit_name": 3}],
    ],
)
def test_further_limits_are_read_from_a_list_and_by_name(entries: Any) -> None:
    assert figures(reading_of("codex", {**WHAM, "additional_rate_limits": entries}))["Spark:5h"] == 0.6


def test_further_limit_that_refuses_without_a_window_is_a_window_that_refuses() -> None:
    entries = {"Spark": {"allowed": False, "limit_reached": True, "primary_window": None}}
    window = reading_of("codex", {**WHAM, "additional_rate_limits": entries}).window("Spark")
    assert window is not None
    assert (window.scope, window.status) == (Scope.MODEL, "rejected")


@pytest.mark.parametrize(
    ("body", "status", "until"),
    [
        ({"spend_control": {"reached": True}}, Status.NO_CREDIT, None),
        ({"spend_control": CAPPED}, Status.NO_CREDIT, RESETS_AT),
        ({"spend_control": {"reached": True}, "rate_limit": None}, Status.NO_CREDIT, None),
        ({"rate_limit_reached_type": {"type": "workspace_member_usage_limit_reached"}}, Status.REJECTED, None),
        ({"rate_limit_reached_type": "workspace_owner_credits_depleted"}, Status.NO_CREDIT, None),
        ({"rate_limit": {"allowed": False}}, Status.REJECTED, None),
        ({"rate_limit": {"limit_reached": True, "primary_window": slot(99)}}, Status.REJECTED, RESETS_AT),
        ({"rate_limit": {"primary_window": slot(100)}}, Status.REJECTED, RESETS_AT),
        ({"rate_limit": {"allowed": True, "primary_window": slot(100)}}, Status.ALLOWED_WARNING, None),
        ({"spend_control": {"reached": False}, "rate_limit_reached_type": None}, Status.ALLOWED, None),
    ],
)
def test_codex_account_is_refused_for_each_limit_that_is_reached(
    body: dict[str, Any], status: Status, until: float | None
) -> None:
    reading = reading_of("codex", {**WHAM, **body})
    refused = status in {Status.REJECTED, Status.NO_CREDIT}
    assert (reading.status, reading.scope, reading.blocked_until) == (
        status,
        Scope.ACCOUNT if refused else None,
        until,
    )


@pytest.mark.parametrize("kind", ["seat", "codex"])
def test_whole_body_is_in_the_line_without_secrets_and_personal_data(kind: str) -> None:
    body = {
        "rate_limit": {"primary_window": slot(3), "new": [1, {"deep": True}]},
        "five_hour": {"utilization": 3, "resets_at": RESET, "locked_reason": None},
        "email": "ada@example.org",
        "user_id": "user-123456",
        "account_id": "5b1c0a",
        "name": "Ada Byron",
        "account": {"uuid": "u-1", "display_name": "Ada Byron", "plan": "max", "seats": 3},
        "note": f"write to ada@example.org or use {SEAT}",
        "new_field": "stored",
        "limits": [limit("weekly_scoped", 3, FABLE)],
    }
    result, _ = one(kind, lambda _: Reply(body=body))
    line = probe_line(result)
    stored = line["frame"]["body"]
    assert {name: stored[name] for name in ("rate_limit", "five_hour", "new_field", "limits")} == {
        name: body[name] for name in ("rate_limit", "five_hour", "new_field", "limits")
    }
    assert stored["account"] == {"uuid": "[personal]", "display_name": "[personal]", "plan": "max", "seats": 3}
    for secret in ("ada@", "Ada", "user-123456", "5b1c0a", "u-1", SEAT[-8:]):
        assert secret not in json.dumps(line)


def test_long_body_is_cut_after_its_figures() -> None:
    filler = {f"field_{number}": "x" * 5000 for number in range(100)}
    deep: Any = []
    for _ in range(400):
        deep = [deep]
    body = {"deep": deep, **filler, "x" * 5000: 1, "long": [1] * 50_000, **USAGE}
    result, _ = one("seat", lambda _: Reply(body=body))
    line = probe_line(result)
    assert line["utilization_7d"] == 0.615
    assert len(json.dumps(line)) < 2 * MAX_CHARACTERS
    assert len(line["frame"]["body"]["field_0"]) == 1000


def test_body_that_is_no_object_is_in_the_line_too() -> None:
    result, _ = one("seat", lambda _: Reply(body=b"<html>ask ada@example.org</html>"))
    line = probe_line(result)
    assert line["frame"]["body"] == "<html>ask [personal]</html>"
    assert (line["status"], line["substatus"]) == ("unknown", "unreadable_answer")


def test_frame_of_an_older_line_is_read_as_before() -> None:
    frame = {"type": "anthropic.oauth_usage", "windows": {"five_hour": USAGE["five_hour"]}, "extra_usage": None}
    answer = read_line(json.dumps({"frame": frame, "http_status": 200}).encode(), 1_795_330_800.0)
    assert (answer["status"], answer["windows"][0]["utilization"]) == ("allowed", 0.42)


@pytest.mark.parametrize("kind", ["seat", "codex"])
@pytest.mark.parametrize("odd", [b"1" * 400, b'"much"', b"-1e400", b"[]", b"{}", b"true", b'"9e99"'])
def test_odd_figure_fails_nothing(kind: str, odd: bytes) -> None:
    body = (
        b'{"five_hour":{"utilization":%(odd)s,"resets_at":%(odd)s},"limits":[{"kind":"weekly_all","percent":%(odd)s,'
        b'"scope":%(odd)s}],"plan_type":%(odd)s,"credits":{"balance":%(odd)s},"rate_limit":{"allowed":%(odd)s,'
        b'"primary_window":{"used_percent":%(odd)s,"limit_window_seconds":%(odd)s,"reset_at":%(odd)s}},'
        b'"spend_control":%(odd)s,"additional_rate_limits":{"x":{"rate_limit":%(odd)s}}}'
    ) % {b"odd": odd}
    result, _ = one(kind, lambda _: Reply(body=body))
    assert not [warning for warning in result.reading.warnings if "failed" in warning]
    assert result.answer.http_status == 200
    assert probe_line(result)["frame"]["body"]
