"""`tokmon status`: what the report and its JSON form show of accounts and windows."""

import json
from datetime import UTC
from pathlib import Path

import pytest

from tests.commands.logbook import DAY, HOUR, NOW, Record, configure, line, shown, tokmon, window, write
from tests.commands.screens import run
from tokmon import paths
from tokmon.report.status import status_text
from tokmon.report.status_json import to_json
from tokmon.report.view import AccountView
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


def only(*lines: Record, now: float = NOW) -> AccountView:
    (account,) = shown(*lines, at=now).accounts
    return account


def verdict(*lines: Record, now: float = NOW) -> tuple[str, str]:
    """Fitness and reason of the one account of these lines."""
    assessment = only(*lines, now=now).assessment
    return assessment.fitness.value, assessment.reason


def text(*lines: Record, width: int = 80) -> str:
    return "\n".join(status_text(shown(*lines), width, PLAIN))


def test_status_of_a_seat_reads_like_this() -> None:
    assert text(SEAT) == (
        "OK        team-vigilio  usable\n"
        "  allowed; 1m ago (pi); limited by 5h; claude-sonnet-4-6\n"
        "  5h           #####.......  42%  resets in 4h 12m, 11:12Z           1m ago (pi)\n"
        "  7d           #######.....  61%  resets in 2d, Tue 07:00Z           1m ago (pi)\n"
        "  7d_sonnet    ............   7%  resets in 2d, Tue 07:00Z           1m ago (pi)\n"
        "  extra usage  off (disabled by your organisation)                   1m ago (pi)\n"
        "\n"
        "Overall: 1 OK"
    )


def test_an_expired_window_shows_neither_its_old_percentage_as_current_nor_zero() -> None:
    report = text(line("a", "allowed", window("5h", 0.42, -HOUR), age=3 * HOUR))
    assert "   ?  reset since, was 42%" in report
    assert "3h ago (pi)" in report
    assert "42%  " not in report.replace("was 42%", "")
    assert " 0%" not in report
    assert "#" not in report


def test_a_figure_without_a_reset_expires_once_it_is_older_than_its_window() -> None:
    account = only(line("a", "allowed", window("5h", 0.9), window("7d", 0.5), age=6 * HOUR))
    assert [(gauge.window.name, gauge.expired) for gauge in account.gauges] == [("5h", True), ("7d", False)]
    assert [known.window.name for known in account.assessment.figures] == ["7d"], "the choice says so too"
    assert "reset unknown" in text(line("a", "allowed", window("7d", 0.5)))


def test_a_window_without_a_percentage_shows_what_is_left_or_a_question_mark() -> None:
    report = text(line("a", "allowed", window("requests_minute", None, 40, limit=1000, remaining=120)), width=40)
    assert "120 of 1k left\n    resets in 40s" in report
    assert "?  resets in 1h" in text(line("a", "allowed", window("5h", None, HOUR)))


@pytest.mark.parametrize(
    ("record", "severity"),
    [
        (line("a", "allowed"), "OK"),
        (line("a", "allowed", window("7d", 0.74, DAY)), "OK"),
        (line("a", "allowed", window("7d", 0.75, DAY)), "WARN"),
        (line("a", "allowed", window("7d", 0.95, DAY)), "CRITICAL"),
        (line("a", "allowed", window("7d", 0.95, -1)), "OK"),
        (line("a", "allowed", window("7d", 0.5), age=2 * DAY), "UNKNOWN"),
        (line("a", "allowed", window("7d", 0.95), age=8 * DAY), "UNKNOWN"),
        (line("a", "allowed", window("7d_opus", 1.0, DAY, scope="model")), "WARN"),
        (line("a", "allowed", window("requests_minute", 1.0, 30), window("7d", 0.1, DAY)), "WARN"),
        (line("a", "allowed_warning"), "WARN"),
        (line("a", "overloaded", scope="provider"), "WARN"),
        (line("a", "overloaded", scope="provider", age=700.0), "UNKNOWN"),
        (line("a", "rejected", scope="provider"), "WARN"),
        (line("a", "no_credit", scope="model"), "WARN"),
        (line("a", "no_credit", scope="account"), "CRITICAL"),
        (line("a", "invalid_key", scope="account", age=23 * HOUR), "CRITICAL"),
        (line("a", "invalid_key", scope="account", age=25 * HOUR), "UNKNOWN"),
        (line("a", "rejected", scope="request", substatus="throttled_no_window"), "WARN"),
        (line("a", "network_error"), "WARN"),
        (line("a", "something new"), "UNKNOWN"),
    ],
)
def test_severity_is_the_worst_of_the_assessment_and_the_windows(record: Record, severity: str) -> None:
    assert only(record).severity == severity


def test_a_rejection_holds_until_its_window_resets() -> None:
    rejected = line("a", "rejected", window("7d", 1.0, 3 * DAY, status="rejected"), age=HOUR)
    assert verdict(rejected) == ("excluded", "7d used up")
    assert only(rejected).assessment.until == NOW + 3 * DAY
    later = only(rejected, now=NOW + 3 * DAY)
    assert (later.severity, later.assessment.reason) == ("UNKNOWN", "no current data")
    assert later.last_known is not None
    assert later.last_known.why_unused == "reset since"


def test_a_used_up_window_excludes_an_account_for_days_after_its_last_response() -> None:
    rejected = line("a", "rejected", window("7d", 1.0, 3 * DAY, status="rejected"), age=2 * DAY)
    assert verdict(rejected) == ("excluded", "7d used up")


def test_a_rejection_with_a_named_end_shows_it_and_ends_then() -> None:
    blocked = line("a", "rejected", blocked_until="2026-11-22T08:00:00Z")
    assert "CRITICAL  a  excluded  usage limit reached, until 08:00Z, in 1h\n  rejected; 1m ago (pi)" in text(blocked)
    ended = line("a", "rejected", http_status=429, blocked_until="2026-11-22T06:59:30Z")
    assert "UNKNOWN   a  no current data\n  last known: rejected HTTP 429 (pi, 1m ago; reset since)" in text(ended)


def test_credit_that_pays_is_shown_and_outweighs_the_used_up_window() -> None:
    paying = line("a", "allowed", window("7d", 1.04, DAY), overage={"status": "allowed", "in_use": True})
    assert only(paying).billed
    assert only(paying).severity == "WARN"
    assert "WARN      a  billed  plan used up: paid from credit, 7d at 104%" in text(paying)


def test_extra_usage_shows_past_payment_once_the_used_up_window_has_reset() -> None:
    paid = line("a", "allowed", window("5h", 1.0, -60), overage={"in_use": True}, age=HOUR)
    assert not only(paid).billed
    assert "was paid from credit" in text(paid)


def test_each_figure_shows_its_own_age_and_source() -> None:
    report = text(
        line("a", "allowed", window("5h", 0.1, HOUR), age=10),
        line("a", "allowed", window("7d", 0.2, DAY), source="probe", age=4000),
        line("b", "allowed", source="pi-check"),
        line("c", "allowed", source="estimate"),
    )
    for origin in ("10s ago (pi)", "1h ago (probe)", "1m ago (check)", "(estimate, 1m ago)"):
        assert origin in report


def test_accounts_of_models_json_come_first_in_its_order_and_others_follow_by_name() -> None:
    pool = shown(line("b"), line("z"), types={"y": "xai", "b": "gateway"})
    assert [(account.name, account.type, account.configured) for account in pool.accounts] == [
        ("y", "xai", True),
        ("b", "gateway", True),
        ("z", None, False),
    ]
    report = "\n".join(status_text(pool, 80, PLAIN))
    assert "UNKNOWN   y  xai  no response recorded yet" in report
    assert report.endswith("Overall: 2 OK, 1 UNKNOWN")


@pytest.mark.parametrize("width", [20, 30, 40, 56, 72, 80, 200])
def test_no_line_of_the_report_is_longer_than_the_terminal(width: int) -> None:
    lines = [
        SEAT,
        line("team-ludo", "rejected", window("7d", 1.0, 3 * DAY, status="rejected"), http_status=429, age=180),
        line("team-molto", "rejected", http_status=429, age=2 * DAY, type="a-type-with-a-long-name"),
        line("xai-1", "allowed", window("output_tokens_minute", 0.3, 40), window("5h", 0.4, -HOUR), age=2 * HOUR),
        line("paid", "allowed", overage={"in_use": True, "utilization": 0.3, "resets_at": "2026-12-01T00:00:00Z"}),
    ]
    for style in (Style(zone=UTC), Style(colour=True, blocks=True, zone=UTC)):
        rows = status_text(shown(*lines), width, style)
        assert [row for row in rows if visible(row) > width] == []


def test_json_keeps_the_figure_of_an_expired_window_apart() -> None:
    report = to_json(shown(line("a", "allowed", window("5h", 0.42, -HOUR), age=3 * HOUR), types={"b": "xai"}))
    assert (report["version"], report["now"]) == (1, "2026-11-22T07:00:00Z")
    assert report["overall"] == {"CRITICAL": 0, "WARN": 0, "OK": 1, "UNKNOWN": 1}
    unseen, known = report["providers"]
    assert (unseen["provider"], unseen["status"], unseen["windows"]) == ("b", None, [])
    (gauge,) = known["windows"]
    assert gauge["expired"] is True
    assert gauge["utilization"] is None
    assert gauge["last_utilization"] == 0.42
    assert (gauge["age_s"], gauge["source"], gauge["resets_in_s"]) == (3 * HOUR, "piggyback", -HOUR)


def test_evidence_from_the_future_is_not_shown_as_fresh() -> None:
    assert "2h ahead of this clock (pi)" in text(line("a", "allowed", age=-2 * HOUR))


def test_status_needs_no_sidecar_and_reads_models_json_and_the_logs() -> None:
    configure(xai_1={"baseUrl": "https://api.x.ai", "api": "openai-completions"})
    write("piggyback.jsonl", SEAT, line("evil\x1b]0;x\x07", "allowed", model="m\x1b[2J"))
    write("probe.jsonl", {"ts": "2026-11-22T06:00:00Z", "provider": "google-gemini", "status": "allowed"})
    done = tokmon("status", "--utc")
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("team-vigilio", "xai-1  xai  no response recorded yet", "google-gemini", "Overall: "):
        assert name in done.stdout
    assert "\x1b" not in done.stdout, "a name of a log cannot control the terminal"


def test_status_without_any_account_says_what_to_do(isolated_home: Path) -> None:
    done = run("status")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"no accounts: pi has none (`{isolated_home}/.pi/agent/models.json` lists none" in done.stderr
    assert "hint: run a turn of pi" in done.stderr
    assert json.loads(run("status", "--json").stdout)["providers"] == []


def test_an_encoding_without_block_characters_gets_plain_ones() -> None:
    write("piggyback.jsonl", line("caffè", "allowed", window("7d", 0.5)))
    done = tokmon("status", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "caff?" in done.stdout


def test_status_joins_a_saved_snapshot_with_the_rest_of_the_log() -> None:
    write("piggyback.jsonl", line("a", "allowed"))
    locations = paths.find()
    state_file.save(state_file.current(locations), locations)
    write("piggyback.jsonl", line("b", "allowed"))
    assert [account["provider"] for account in json.loads(run("status", "--json").stdout)["providers"]] == ["a", "b"]
