"""The probe of each account type over a real socket, and the reading of its answer."""

import os
import time
from typing import Any

import pytest

from tests.commands.logbook import configure
from tests.pi.answers import ANTHROPIC_CLASSIC, Answer, unified
from tests.pi.provider import Provider
from tests.probes.loopback import SCOPE, USAGE, Loopback, Reply, Request, Script, error, healthy, loopback
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
    """The models.json entry of an account of that kind."""
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


def probe(**entries: Any) -> dict[str, ProbeResult]:
    configure(**entries)
    targets = probes.targets(paths.find(), os.environ, time.time())
    return {result.provider: result for result in probe_all(targets.values(), 60.0)}


def one(kind: str, script: Script, **more: Any) -> tuple[ProbeResult, Loopback]:
    with loopback(script) as server:
        (result,) = probe(one=entry(kind, server.origin, **more)).values()
    return result, server


def test_seat_is_probed_at_the_usage_endpoint_which_costs_nothing() -> None:
    result, server = one("seat", healthy)
    assert server.paths() == ["GET /api/oauth/usage"]
    sent = server.requests[0].headers
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
    assert line["frame"] == {"type": "anthropic.oauth_usage", "body": USAGE}


@pytest.mark.parametrize("refusal", [Reply(403, SCOPE), Reply(404, {})])
def test_seat_without_access_to_the_usage_endpoint_gets_one_minimal_call(refusal: Reply) -> None:
    result, server = one("seat", lambda request: refusal if request.method == "GET" else healthy(request))
    assert server.paths() == ["GET /api/oauth/usage", "POST /v1/messages"]
    call = server.requests[1]
    assert call.body["max_tokens"] == 1
    assert call.body["system"][0]["text"].startswith("You are Claude Code")
    assert call.headers["anthropic-beta"] == "claude-code-20250219,oauth-2025-04-20"
    assert result.reading.status is Status.ALLOWED
    assert probe_line(result)["utilization_5h"] == 0.42
    assert result.frame is None


def test_provider_of_the_pi_tests_can_be_probed() -> None:
    with Provider() as provider:
        provider.queue(Answer(headers=unified(0.2, 0.3)))
        (result,) = probe(one=entry("seat", provider.origin)).values()
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
def test_refusal_of_a_seat_is_classified_and_ends_the_probe(status: int, body: Any, expected: Status) -> None:
    result, server = one("seat", lambda _: Reply(status, body))
    assert len(server.requests) == 1
    assert result.reading.status is expected
    assert probe_line(result)["error"]


def test_throttled_usage_endpoint_is_no_evidence_about_the_account() -> None:
    result, server = one("seat", lambda _: Reply(429, error("Rate limited", "rate_limit_error")))
    assert server.paths() == ["GET /api/oauth/usage"]
    assert result.throttled
    assert result.reading.scope == "request"


def test_full_seat_is_rejected_although_the_endpoint_answers_200() -> None:
    full = {**USAGE, "seven_day": {"utilization": 100, "resets_at": "2099-01-18T08:00:00+00:00"}}
    result, _ = one("seat", lambda _: Reply(body=full))
    line = probe_line(result)
    assert (line["status"], line["binding_window"], line["blocked_until"]) == ("rejected", "7d", "2099-01-18T08:00:00Z")


def test_full_seat_with_extra_usage_left_is_allowed_with_a_warning() -> None:
    extra = {"is_enabled": True, "monthly_limit": 2000, "used_credits": 763, "utilization": 38.15, "currency": "EUR"}
    full = {**USAGE, "seven_day": {"utilization": 104, "resets_at": None}, "extra_usage": extra}
    result, _ = one("seat", lambda _: Reply(body=full))
    overage = result.reading.overage
    assert result.reading.status is Status.ALLOWED_WARNING
    assert overage is not None
    assert (overage.status, overage.utilization, overage.permitted) == ("allowed", 0.3815, True)


def test_429_with_a_full_window_is_a_reading_and_not_a_throttle() -> None:
    refused = Reply(429, error("exceed"), {**unified(1.0, 0.5, status="rejected"), "retry-after": "7200"})
    result, _ = one("seat", lambda request: Reply(404, {}) if request.method == "GET" else refused)
    assert result.reading.status is Status.REJECTED
    assert not result.throttled


def test_api_key_is_probed_with_a_token_count_which_costs_nothing() -> None:
    result, server = one("key", lambda _: Reply(body={"input_tokens": 8}, headers=ANTHROPIC_CLASSIC))
    assert server.paths() == ["POST /v1/messages/count_tokens"]
    assert server.requests[0].headers["x-api-key"] == KEY
    assert "authorization" not in server.requests[0].headers
    line = probe_line(result)
    assert (line["type"], line["status"], line["substatus"]) == ("anthropic-api", "allowed", "key_valid")
    assert line["headers"]["anthropic-ratelimit-requests-limit"] == "1000"
    assert line["windows"]


def test_api_key_without_a_token_count_endpoint_is_probed_with_the_model_list() -> None:
    result, server = one("key", lambda request: Reply(404, {}) if request.method == "POST" else healthy(request))
    assert server.paths() == ["POST /v1/messages/count_tokens", "GET /v1/models?limit=1"]
    assert result.reading.substatus == "key_valid"


def test_invalid_api_key_is_invalid_key() -> None:
    result, _ = one("key", lambda _: Reply(401, error("invalid x-api-key", "authentication_error")))
    assert result.reading.status is Status.INVALID_KEY


def test_gemini_key_is_sent_in_a_header_and_never_in_the_url() -> None:
    result, server = one("gemini", healthy)
    assert server.paths() == ["GET /v1beta/models?pageSize=1"]
    assert server.requests[0].headers["x-goog-api-key"] == "AIzaSyLoopback0123456789"
    assert (result.account_type, result.reading.status) == ("gemini", Status.ALLOWED)


def test_bad_gemini_key_is_invalid_key() -> None:
    body = {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}
    result, _ = one("gemini", lambda _: Reply(400, body))
    assert result.reading.status is Status.INVALID_KEY


def test_openai_compatible_provider_is_probed_with_the_model_list() -> None:
    result, server = one("openai", healthy)
    assert server.paths() == ["GET /v1/models"]
    assert server.requests[0].headers["authorization"] == "Bearer xai-loopback-0123456789"
    assert result.reading.substatus == "key_valid"


def test_codex_probe_stores_windows_and_plan_and_no_personal_data() -> None:
    result, server = one("codex", healthy)
    assert server.paths() == ["GET /backend-api/wham/usage"]
    assert server.requests[0].headers["chatgpt-account-id"] == "acct-1234"
    line = probe_line(result)
    assert (line["utilization_5h"], line["utilization_7d"], line["plan"]) == (0.31, 0.12, "plus")
    assert "somebody" not in str(line)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"<html>welcome</html>"),
        Reply(body=b""),
        Reply(body=[1]),
        Reply(body={}),
        Reply(body=b'{"five_hour":'),
    ],
)
def test_unreadable_answer_is_no_evidence(reply: Reply) -> None:
    result, _ = one("seat", lambda _: reply)
    assert (result.reading.status, result.reading.substatus) == (Status.UNKNOWN, "unreadable_answer")


def test_unparseable_figure_is_none_and_not_zero() -> None:
    body = {"five_hour": {"utilization": "much", "resets_at": "soon"}, "seven_day": None}
    result, _ = one("seat", lambda _: Reply(body=body))
    (window,) = result.reading.windows
    assert (window.utilization, window.resets_at) == (None, None)
    assert len(result.reading.warnings) == 2


def test_body_longer_than_the_bound_is_not_read_to_the_end() -> None:
    result, _ = one("openai", lambda _: Reply(body=b'{"a":"' + b"x" * (40 << 20) + b'"}'))
    assert result.reading.substatus == "unreadable_answer"


def test_compressed_body_is_not_decompressed() -> None:
    result, _ = one("openai", lambda _: Reply(body=b"\x1f\x8b", headers={"content-encoding": "gzip"}))
    assert result.reading.substatus == "unreadable_answer"


def test_redirect_is_not_followed_and_the_key_is_not_sent_elsewhere() -> None:
    with loopback(healthy) as other:
        result, server = one("seat", lambda _: Reply(307, {}, {"location": f"{other.origin}/v1/messages"}))
        assert other.requests == []
    assert len(server.requests) == 1
    assert (result.reading.status, result.reading.substatus) == (Status.UNKNOWN, "redirected")


def test_refused_connection_is_a_network_error() -> None:
    with loopback(healthy) as server:
        origin = server.origin
    (result,) = probe(one=entry("seat", origin)).values()
    assert result.reading.status is Status.NETWORK_ERROR
    assert probe_line(result)["http_status"] is None


def test_server_that_hangs_or_drips_does_not_delay_the_result_beyond_the_deadline() -> None:
    def script(request: Request) -> Reply:
        if request.headers.get("x-who") == "hang":
            return Reply(hold=True)
        return Reply(body=b"{" + b" " * 9000, drip=True) if request.headers.get("x-who") == "drip" else healthy(request)

    with loopback(script) as server:
        configure(
            hang=entry("seat", server.origin, headers={"x-who": "hang"}),
            drip=entry("seat", server.origin, headers={"x-who": "drip"}),
            good=entry("seat", server.origin),
        )
        targets = probes.targets(paths.find(), os.environ, time.time())
        results = {result.provider: result for result in probe_all(targets.values(), 5.0)}
        assert not server.over.is_set(), "the result is there while the server still hangs and drips"
    assert results["good"].reading.status is Status.ALLOWED
    for name in ("hang", "drip"):
        assert results[name].reading.status is Status.NETWORK_ERROR
        assert "timed out" in (results[name].answer.error or "")


@pytest.mark.parametrize(("name", "value"), [("ALL_PROXY", "socks5://127.0.0.1:9"), ("SSL_CERT_FILE", "/nowhere")])
def test_unusable_proxy_or_certificates_are_a_network_error(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for known in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(known, raising=False)
    monkeypatch.setenv(name, value)
    result, _ = one("seat", healthy)
    assert result.reading.status in {Status.NETWORK_ERROR, Status.ALLOWED}  # not every system reads the certificates
    assert name != "ALL_PROXY" or result.reading.status is Status.NETWORK_ERROR


def test_gateway_is_called_once_and_its_cost_is_read() -> None:
    with loopback(healthy) as server:
        gateway = ProbeTarget("g", "gateway", "openai-completions", server.origin, "key-key-key", models=("m",))
        (result,) = probe_all([gateway], 60.0)
    assert server.paths() == ["POST /chat/completions"]
    assert result.reading.cost_usd == 0.000012
    assert result.reading.status is Status.ALLOWED


def test_gateway_without_credit_is_no_credit() -> None:
    exhausted = b"LLM credits exhausted; credits refresh over time; purchase more at https://exe.dev/user"
    with loopback(lambda _: Reply(402, exhausted)) as server:
        gateway = ProbeTarget("g", "gateway", "anthropic-messages", server.origin, "key-key-key", models=("m",))
        (result,) = probe_all([gateway], 60.0)
    assert result.reading.status is Status.NO_CREDIT
