import json
from datetime import UTC
from pathlib import Path

import pytest

from tests.commands.logbook import DAY, HOUR, NOW, Record, configure, line, snapshot, tokmon, window, write
from tokmon import paths
from tokmon.report.status import status_text
from tokmon.report.status_json import to_json
from tokmon.report.view import Provider, View, view
from tokmon.report.words import Style, visible
from tokmon.store import state_file

PLAIN = Style(zone=UTC)
SEAT = line(
    "team-vigilio",
    "allowed",
    window("5h", 0.42, 4 * HOUR + 720),
    window("7d", 0.61, 2 * DAY),
    window("7d_sonnet", 0.07, 2 * DAY, scope="model"),
    claim="five_hour",
    model="claude-sonnet-4-6",
    overage={"status": "rejected", "in_use": False, "disabled_reason": "org_level_disabled"},
)


def seen(*lines: Record, **types: str) -> View:
    return view(snapshot(*lines), types, NOW)


def only(*lines: Record) -> Provider:
    (provider,) = seen(*lines).providers
    return provider


def text(*lines: Record, width: int = 80) -> str:
    return "\n".join(status_text(seen(*lines), width, PLAIN))


def test_a_seat_reads_like_this() -> None:
    assert text(SEAT) == (
        "OK        team-vigilio\n"
        "  allowed; 1m ago, header; claim 5h; claude-sonnet-4-6\n"
        "  5h         #####.........  42%  resets in 4h 12m, 11:12Z        1m ago, header\n"
        "  7d         ########......  61%  resets in 2d, Tue 07:00Z        1m ago, header\n"
        "  7d_sonnet  ..............   7%  resets in 2d, Tue 07:00Z        1m ago, header\n"
        "  overage    off (org level disabled)                             1m ago, header\n"
        "\n"
        "Overall: 1 OK"
    )


def test_an_expired_window_is_neither_its_old_percentage_nor_zero() -> None:
    said = text(line("a", "allowed", window("5h", 0.42, -HOUR), age=3 * HOUR))
    assert "   ?  expired, was 42% 3h ago" in said
    assert "42%  " not in said
    assert " 0%" not in said
    assert "#" not in said


def test_a_figure_older_than_its_window_has_expired_even_without_a_reset() -> None:
    provider = only(line("a", "allowed", window("5h", 0.9), window("7d", 0.5), age=6 * HOUR))
    assert [(gauge.window.name, gauge.expired) for gauge in provider.gauges] == [("5h", True), ("7d", False)]
    assert "reset unknown" in text(line("a", "allowed", window("7d", 0.5)))


def test_a_window_without_a_figure_says_what_is_left_or_that_it_is_unknown() -> None:
    said = text(line("a", "allowed", window("requests_minute", None, 40, limit=1000, remaining=120)), width=40)
    assert "120 of 1k left\n    resets in 40s" in said
    assert "?  resets in 1h" in text(line("a", "allowed", window("5h", None, HOUR)))


@pytest.mark.parametrize(
    ("provider", "severity"),
    [
        (line("a", "allowed"), "OK"),
        (line("a", "allowed", window("7d", 0.74, DAY)), "OK"),
        (line("a", "allowed", window("7d", 0.75, DAY)), "WARN"),
        (line("a", "allowed", window("7d", 0.95, DAY)), "CRITICAL"),
        (line("a", "allowed", window("7d", 0.95, -1)), "OK"),
        (line("a", "allowed", window("7d", 0.95), age=2 * DAY), "UNKNOWN"),
        (line("a", "allowed", window("7d_opus", 1.0, DAY, scope="model")), "WARN"),
        (line("a", "allowed_warning"), "WARN"),
        (line("a", "overloaded", scope="provider"), "WARN"),
        (line("a", "overloaded", scope="provider", age=700.0), "UNKNOWN"),
        (line("a", "no_credit", scope="model"), "WARN"),
        (line("a", "no_credit", scope="account"), "CRITICAL"),
        (line("a", "invalid_key", scope="account", age=23 * HOUR), "CRITICAL"),
        (line("a", "invalid_key", scope="account", age=25 * HOUR), "UNKNOWN"),
        (line("a", "rejected", scope="request", substatus="throttled_no_window"), "UNKNOWN"),
        (line("a", "something new"), "UNKNOWN"),
    ],
)
def test_severity_is_about_the_next_session(provider: Record, severity: str) -> None:
    assert only(provider).severity == severity


def test_a_rejection_of_days_stands_until_its_window_resets() -> None:
    rejected = line("a", "rejected", window("7d", 1.0, 3 * DAY, status="rejected"), age=2 * DAY)
    assert only(rejected).severity == "CRITICAL"
    (later,) = view(snapshot(rejected), {}, NOW + 3 * DAY).providers
    assert later.severity == "UNKNOWN"
    assert later.ended == "its window has reset since"


def test_a_rejection_with_a_known_end_says_it_and_ends() -> None:
    assert "rejected; 1m ago, header; until 08:00Z, in 1h" in text(
        line("a", "rejected", blocked_until="2026-11-22T08:00:00Z")
    )
    ended = line("a", "rejected", http_status=429, blocked_until="2026-11-22T06:59:30Z")
    assert "unknown: was rejected HTTP 429; 1m ago, header; its window has reset since" in text(ended)


def test_a_claim_without_a_status_of_its_own_ends_with_the_window_it_names() -> None:
    spent = line("a", "rejected", window("5h", 1.0, -10), window("7d", 0.2, DAY), claim="five_hour", age=HOUR)
    assert only(spent).ended is not None


def test_credit_that_is_being_spent_is_said_and_outweighs_the_full_window() -> None:
    paying = line("a", "allowed", window("7d", 1.04, DAY), overage={"status": "allowed", "in_use": True})
    provider = only(paying)
    assert provider.spending
    assert provider.severity == "WARN"
    assert "WARN      a  spending credit, 7d at 104%" in text(paying)


def test_credit_is_no_longer_spent_once_the_full_window_has_reset() -> None:
    paid = line("a", "allowed", window("5h", 1.0, -60), overage={"in_use": True}, age=HOUR)
    assert not only(paid).spending
    assert "was spending credit" in text(paid)


def test_sources_are_named_each_with_its_age() -> None:
    said = text(
        line("a", "allowed", window("5h", 0.1, HOUR), age=10),
        line("a", "allowed", window("7d", 0.2, DAY), source="probe", age=4000),
        line("b", "allowed", source="estimate"),
    )
    assert "10s ago, header" in said
    assert "1h ago, probe" in said
    assert "1m ago, estimate" in said


def test_every_configured_provider_is_there_in_its_order_and_the_others_follow() -> None:
    shown = seen(line("b"), line("z"), y="xai", b="gateway")
    assert [(each.name, each.type, each.configured) for each in shown.providers] == [
        ("y", "xai", True),
        ("b", "gateway", True),
        ("z", None, False),
    ]
    said = "\n".join(status_text(shown, 80, PLAIN))
    assert "UNKNOWN   y  xai  nothing seen yet" in said
    assert said.endswith("Overall: 2 OK, 1 UNKNOWN")


@pytest.mark.parametrize("width", [20, 30, 40, 56, 72, 80, 200])
def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    lines = [
        SEAT,
        line("team-ludo", "rejected", window("7d", 1.0, 3 * DAY, status="rejected"), http_status=429, age=180),
        line("team-molto", "rejected", http_status=429, age=2 * DAY, type="a-type-with-a-long-name"),
        line("xai-1", "allowed", window("output_tokens_minute", 0.3, 40), window("5h", 0.4, -HOUR), age=2 * HOUR),
        line("paid", "allowed", overage={"in_use": True, "utilization": 0.3, "resets_at": "2026-12-01T00:00:00Z"}),
    ]
    for style in (Style(zone=UTC), Style(colour=True, blocks=True, zone=UTC)):
        rows = status_text(seen(*lines), width, style)
        assert [row for row in rows if visible(row) > width] == []


def test_the_json_form_keeps_an_expired_figure_apart() -> None:
    shown = view(snapshot(line("a", "allowed", window("5h", 0.42, -HOUR), age=3 * HOUR)), {"b": "xai"}, NOW)
    found = to_json(shown)
    assert (found["version"], found["now"]) == (1, "2026-11-22T07:00:00Z")
    assert found["overall"] == {"CRITICAL": 0, "WARN": 0, "OK": 1, "UNKNOWN": 1}
    unseen, known = found["providers"]
    assert (unseen["provider"], unseen["status"], unseen["windows"]) == ("b", None, [])
    (gauge,) = known["windows"]
    assert gauge["expired"] is True
    assert gauge["utilization"] is None
    assert gauge["last_utilization"] == 0.42
    assert (gauge["age_s"], gauge["source"], gauge["resets_in_s"]) == (3 * HOUR, "header", -HOUR)


def test_an_evidence_from_the_future_is_not_called_fresh() -> None:
    assert "2h ahead of this clock, header" in text(line("a", "allowed", age=-2 * HOUR))


def test_the_command_needs_no_sidecar_and_reads_models_and_logs() -> None:
    configure(xai_1={"baseUrl": "https://api.x.ai", "api": "openai-completions"})
    write("piggyback.jsonl", SEAT)
    write("probe.jsonl", {"ts": "2026-11-22T06:00:00Z", "provider": "google-gemini", "status": "allowed"})
    done = tokmon("status", "--utc")
    assert done.returncode == 0
    for name in ("team-vigilio", "xai-1  xai  nothing seen yet", "google-gemini", "Overall: "):
        assert name in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_the_command_prints_one_json_object() -> None:
    write("piggyback.jsonl", SEAT)
    found = json.loads(tokmon("status", "--json").stdout)
    assert [each["provider"] for each in found["providers"]] == ["team-vigilio"]


def test_without_anything_known_it_says_what_to_do(isolated_home: Path) -> None:
    done = tokmon("status")
    assert (done.returncode, done.stdout) == (0, "")
    assert "hint: run a turn of pi" in done.stderr
    assert str(isolated_home / ".pi") in done.stderr
    assert json.loads(tokmon("status", "--json").stdout)["providers"] == []


def test_an_unknown_option_is_a_usage_error() -> None:
    assert tokmon("status", "--nonsense").returncode == 2


def test_a_name_with_escape_codes_does_not_reach_the_terminal() -> None:
    write("piggyback.jsonl", line("evil\x1b]0;x\x07", "allowed", model="m\x1b[2J"))
    assert "\x1b" not in tokmon("status").stdout


def test_an_encoding_without_blocks_gets_plain_characters() -> None:
    write("piggyback.jsonl", line("caffè", "allowed", window("7d", 0.5)))
    done = tokmon("status", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "caff?" in done.stdout


def test_a_saved_snapshot_and_the_rest_of_the_log_count_together() -> None:
    write("piggyback.jsonl", line("a", "allowed"))
    found = paths.find()
    state_file.save(state_file.current(found), found)
    write("piggyback.jsonl", line("b", "allowed"))
    assert [each["provider"] for each in json.loads(tokmon("status", "--json").stdout)["providers"]] == ["a", "b"]
