"""What is asked of each kind of account, over a real socket, and what its answer reads as."""

import os
import time
from typing import Any

import pytest

from tests.commands.logbook import configure
from tests.pi.answers import ANTHROPIC_CLASSIC, Answer, unified
from tests.pi.provider import Provider
from tests.probes.loopback import SCOPE, USAGE, Asked, Loopback, Said, Script, error, healthy, loopback
from tokmon import paths, probes
from tokmon.evidence.model import Status
from tokmon.probes import ProbeTarget
from tokmon.probes.records import probe_line
from tokmon.probes.request import ProbeResult, probe_all

SEAT = "sk-ant-oat01-SeatSeatSeatSeat"
KEY = "sk-ant-api03-KeyKeyKeyKeyKey"
CLAIMS = "eyJodHRwczovL2FwaS5vcGVuYWkuY29tL2F1dGgiOnsiY2hhdGdwdF9hY2NvdW50X2lkIjoiYWNjdC0xMjM0In19"
"""The middle of a token for the ChatGPT account `acct-1234`."""


def entry(kind: str, origin: str, **more: Any) -> dict[str, Any]:
    known: dict[str, dict[str, Any]] = {
        "seat": {"baseUrl": origin, "api": "anthropic-messages", "apiKey": SEAT},
        "key": {"baseUrl": origin, "api": "anthropic-messages", "apiKey": KEY},
        "gemini": {"baseUrl": f"{origin}/v1beta", "api": "google-generative-ai", "apiKey": "AIzaSyLoopback0123456789"},
        "openai": {"baseUrl": f"{origin}/v1", "api": "openai-completions", "apiKey": "xai-loopback-0123456789"},
        "codex": {
            "baseUrl": f"{origin}/backend-api",
            "api": "openai-codex-responses",
            "apiKey": f"eyJh.{CLAIMS}.c2ln",
        },
    }
    return {**known[kind], "models": [{"id": "model-1"}], **more}


def asked(**entries: Any) -> dict[str, ProbeResult]:
    configure(**entries)
    found = probes.targets(paths.find(), os.environ, time.time())
    return {result.provider: result for result in probe_all(found.values(), 5.0)}


def one(kind: str, script: Script, **more: Any) -> tuple[ProbeResult, Loopback]:
    with loopback(script) as server:
        (result,) = asked(one=entry(kind, server.origin, **more)).values()
    return result, server


def test_a_seat_is_asked_where_nothing_is_spent_and_no_window_is_opened() -> None:
    result, server = one("seat", healthy)
    assert server.paths() == ["GET /api/oauth/usage"]
    sent = server.asked[0].headers
    assert sent["authorization"] == f"Bearer {SEAT}"
    assert sent["anthropic-beta"] == "oauth-2025-04-20"
    assert sent["user-agent"].startswith("claude-cli/")
    assert "x-api-key" not in sent
    line = probe_line(result)
    assert line["type"] == "teams-direct"
    assert line["source"] == "probe"
    assert line["status"] == "allowed"
    assert (line["utilization_5h"], line["utilization_7d"]) == (0.42, 0.615)
    assert line["http_status"] == 200
    assert [window["name"] for window in line["windows"]] == ["5h", "7d", "7d_sonnet"]
    assert line["windows"][2]["scope"] == "model"
    assert line["windows"][0]["resets_at"] == "2099-01-15T12:00:00Z"
    assert "limits" not in line["frame"]


@pytest.mark.parametrize("refusal", [Said(403, SCOPE), Said(404, {})])
def test_a_seat_whose_key_lacks_the_scope_gets_one_minimal_call(refusal: Said) -> None:
    result, server = one("seat", lambda asked: refusal if asked.method == "GET" else healthy(asked))
    assert server.paths() == ["GET /api/oauth/usage", "POST /v1/messages"]
    call = server.asked[1]
    assert call.body["max_tokens"] == 1
    assert call.body["system"][0]["text"].startswith("You are Claude Code")
    assert call.headers["anthropic-beta"] == "claude-code-20250219,oauth-2025-04-20"
    assert result.reading.status is Status.ALLOWED
    assert probe_line(result)["utilization_5h"] == 0.42
    assert result.frame is None


def test_the_provider_of_the_pi_tests_is_understood_too() -> None:
    with Provider() as provider:
        provider.queue(Answer(headers=unified(0.2, 0.3)))
        (result,) = asked(one=entry("seat", provider.origin)).values()
    assert probe_line(result)["utilization_7d"] == 0.3
    assert result.reading.status is Status.ALLOWED


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, error("OAuth token has expired. Please obtain a new token."), Status.INVALID_KEY),
        (403, error("OAuth authentication is currently not allowed for this organization."), Status.POLICY_REJECTED),
        (529, error("Overloaded", "overloaded_error"), Status.OVERLOADED),
        (500, b"<html>oops</html>", Status.UNKNOWN),
    ],
)
def test_a_refusal_of_a_seat_is_read_by_its_family_and_ends_the_asking(
    status: int, body: Any, expected: Status
) -> None:
    result, server = one("seat", lambda _: Said(status, body))
    assert len(server.asked) == 1
    assert result.reading.status is expected
    assert probe_line(result)["error"]


def test_an_endpoint_that_is_asked_too_often_says_nothing_of_the_account() -> None:
    result, server = one("seat", lambda _: Said(429, error("Rate limited", "rate_limit_error")))
    assert server.paths() == ["GET /api/oauth/usage"]
    assert result.throttled
    assert result.reading.scope == "request"


def test_a_spent_seat_is_rejected_although_the_endpoint_answers_200() -> None:
    full = {**USAGE, "seven_day": {"utilization": 100, "resets_at": "2099-01-18T08:00:00+00:00"}}
    result, _ = one("seat", lambda _: Said(body=full))
    line = probe_line(result)
    assert (line["status"], line["binding_window"], line["blocked_until"]) == ("rejected", "7d", "2099-01-18T08:00:00Z")


def test_a_spent_seat_with_credit_left_may_go_on_and_spends() -> None:
    extra = {"is_enabled": True, "monthly_limit": 2000, "used_credits": 763, "utilization": 38.15, "currency": "EUR"}
    full = {**USAGE, "seven_day": {"utilization": 104, "resets_at": None}, "extra_usage": extra}
    result, _ = one("seat", lambda _: Said(body=full))
    overage = result.reading.overage
    assert result.reading.status is Status.ALLOWED_WARNING
    assert overage is not None
    assert (overage.status, overage.utilization, overage.permitted) == ("allowed", 0.3815, True)


def test_a_429_of_a_spent_window_is_a_reading_and_no_throttle() -> None:
    refused = Said(429, error("exceed"), {**unified(1.0, 0.5, status="rejected"), "retry-after": "7200"})
    result, _ = one("seat", lambda asked: Said(404, {}) if asked.method == "GET" else refused)
    assert result.reading.status is Status.REJECTED
    assert not result.throttled


def test_a_key_is_asked_for_a_count_that_costs_nothing() -> None:
    result, server = one("key", lambda _: Said(body={"input_tokens": 8}, headers=ANTHROPIC_CLASSIC))
    assert server.paths() == ["POST /v1/messages/count_tokens"]
    assert server.asked[0].headers["x-api-key"] == KEY
    assert "authorization" not in server.asked[0].headers
    line = probe_line(result)
    assert (line["type"], line["status"], line["substatus"]) == ("anthropic-api", "allowed", "key_valid")
    assert line["headers"]["anthropic-ratelimit-requests-limit"] == "1000"
    assert line["windows"]


def test_a_key_where_nobody_counts_is_asked_for_the_models() -> None:
    result, server = one("key", lambda asked: Said(404, {}) if asked.method == "POST" else healthy(asked))
    assert server.paths() == ["POST /v1/messages/count_tokens", "GET /v1/models?limit=1"]
    assert result.reading.substatus == "key_valid"


def test_an_invalid_key_is_told() -> None:
    result, _ = one("key", lambda _: Said(401, error("invalid x-api-key", "authentication_error")))
    assert result.reading.status is Status.INVALID_KEY


def test_gemini_is_asked_with_its_own_header_and_never_in_the_address() -> None:
    result, server = one("gemini", healthy)
    assert server.paths() == ["GET /v1beta/models?pageSize=1"]
    assert server.asked[0].headers["x-goog-api-key"] == "AIzaSyLoopback0123456789"
    assert (result.account_type, result.reading.status) == ("gemini", Status.ALLOWED)


def test_a_bad_key_of_gemini_is_told() -> None:
    body = {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}
    result, _ = one("gemini", lambda _: Said(400, body))
    assert result.reading.status is Status.INVALID_KEY


def test_a_provider_that_speaks_as_openai_does_is_asked_for_its_models() -> None:
    result, server = one("openai", healthy)
    assert server.paths() == ["GET /v1/models"]
    assert server.asked[0].headers["authorization"] == "Bearer xai-loopback-0123456789"
    assert result.reading.substatus == "key_valid"


def test_codex_says_its_windows_and_nothing_of_who_it_is_is_kept() -> None:
    result, server = one("codex", healthy)
    assert server.paths() == ["GET /backend-api/wham/usage"]
    assert server.asked[0].headers["chatgpt-account-id"] == "acct-1234"
    line = probe_line(result)
    assert (line["utilization_5h"], line["utilization_7d"], line["plan"]) == (0.31, 0.12, "plus")
    assert "somebody" not in str(line)


@pytest.mark.parametrize(
    "said",
    [Said(body=b"<html>welcome</html>"), Said(body=b""), Said(body=[1]), Said(body={}), Said(body=b'{"five_hour":')],
)
def test_an_answer_that_cannot_be_read_proves_nothing(said: Said) -> None:
    result, _ = one("seat", lambda _: said)
    assert (result.reading.status, result.reading.substatus) == (Status.UNKNOWN, "unreadable_answer")


def test_a_figure_that_is_none_is_not_said_and_not_zero() -> None:
    body = {"five_hour": {"utilization": "much", "resets_at": "soon"}, "seven_day": None}
    result, _ = one("seat", lambda _: Said(body=body))
    (window,) = result.reading.windows
    assert (window.utilization, window.resets_at) == (None, None)
    assert len(result.reading.warnings) == 2


def test_a_body_without_end_is_not_read_to_the_end() -> None:
    result, _ = one("openai", lambda _: Said(body=b'{"a":"' + b"x" * (40 << 20) + b'"}'))
    assert result.reading.substatus == "unreadable_answer"


def test_a_packed_body_is_not_unpacked() -> None:
    result, _ = one("openai", lambda _: Said(body=b"\x1f\x8b", headers={"content-encoding": "gzip"}))
    assert result.reading.substatus == "unreadable_answer"


def test_a_redirect_is_followed_nowhere_and_the_key_stays() -> None:
    with loopback(healthy) as other:
        result, server = one("seat", lambda _: Said(307, {}, {"location": f"{other.origin}/v1/messages"}))
        assert other.asked == []
    assert len(server.asked) == 1
    assert (result.reading.status, result.reading.substatus) == (Status.UNKNOWN, "redirected")


def test_what_nobody_answers_is_a_network_error() -> None:
    with loopback(healthy) as server:
        origin = server.origin
    (result,) = asked(one=entry("seat", origin)).values()
    assert result.reading.status is Status.NETWORK_ERROR
    assert probe_line(result)["http_status"] is None


def test_who_hangs_or_drips_keeps_nobody_waiting_beyond_the_deadline() -> None:
    def script(request: Asked) -> Said:
        if request.headers.get("x-who") == "hang":
            return Said(hold=True)
        return Said(body=b"{" + b" " * 9000, drip=True) if request.headers.get("x-who") == "drip" else healthy(request)

    with loopback(script) as server:
        configure(
            hang=entry("seat", server.origin, headers={"x-who": "hang"}),
            drip=entry("seat", server.origin, headers={"x-who": "drip"}),
            good=entry("seat", server.origin),
        )
        found = probes.targets(paths.find(), os.environ, time.time())
        begun = time.monotonic()
        results = {each.provider: each for each in probe_all(found.values(), 3.0)}
        assert time.monotonic() - begun < 3.5
    assert results["good"].reading.status is Status.ALLOWED
    for name in ("hang", "drip"):
        assert results[name].reading.status is Status.NETWORK_ERROR
        assert "timed out" in (results[name].answer.error or "")


@pytest.mark.parametrize(("name", "value"), [("ALL_PROXY", "socks5://127.0.0.1:9"), ("SSL_CERT_FILE", "/nowhere")])
def test_an_environment_that_lets_nobody_be_asked_is_a_network_error(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for known in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(known, raising=False)
    monkeypatch.setenv(name, value)
    result, _ = one("seat", healthy)
    assert result.reading.status in {Status.NETWORK_ERROR, Status.ALLOWED}  # certificates are not always looked at
    assert name != "ALL_PROXY" or result.reading.status is Status.NETWORK_ERROR


def test_a_gateway_is_called_once_and_says_what_that_cost() -> None:

    with loopback(healthy) as server:
        gateway = ProbeTarget("g", "gateway", "openai-completions", server.origin, "key-key-key", models=("m",))
        (result,) = probe_all([gateway], 5.0)
    assert server.paths() == ["POST /chat/completions"]
    assert result.reading.cost_usd == 0.000012
    assert result.reading.status is Status.ALLOWED


def test_a_gateway_without_credit_is_told() -> None:

    spent = b"LLM credits exhausted; credits refresh over time; purchase more at https://exe.dev/user"
    with loopback(lambda _: Said(402, spent)) as server:
        gateway = ProbeTarget("g", "gateway", "anthropic-messages", server.origin, "key-key-key", models=("m",))
        (result,) = probe_all([gateway], 5.0)
    assert result.reading.status is Status.NO_CREDIT
