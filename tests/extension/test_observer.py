"""The fetch observer and attribution, in a real Node with a fake pi."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest

from tests.extension.driver import DRAIN, LOAD, QUIT, START, Done, Step, answer_ended, ask, drive, emit, fetch
from tests.extension.listener import Event, Listener
from tokmon import families
from tokmon.wire import scrub

URL: Final = "https://a.test/v1/messages"
SECRET: Final = "sk-ant-oat01-very-secret-indeed"  # noqa: S105 - made up
PLAN: Final = {"authorization": f"Bearer {SECRET}"}
FIVE: Final = [
    {"provider": f"team-{letter}", "id": "m1", "api": "anthropic-messages", "baseUrl": "https://a.test"}
    for letter in "abcde"
]


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setenv("TOKMON_SOCKET", str(tmp_path / "sock"))
    with Listener(tmp_path / "sock") as listening:
        yield listening


def run(listener: Listener, *steps: Step, **scenario: Any) -> tuple[Done, list[Event]]:
    """Start a session, do the steps, end it; return the results of the steps, and the events."""
    done = drive(LOAD, START, *steps, DRAIN, QUIT, **scenario)
    assert (done.exit_code, done.stderr) == (0, "")
    assert not [each for each in done.results if "unhandled" in each or "uncaught" in each]
    return done, listener.events


@pytest.mark.parametrize("kind", ["string", "URL", "Request"])
def test_the_caller_gets_the_very_promise_and_an_untouched_body(listener: Listener, kind: str) -> None:
    done, (capture,) = run(listener, fetch(URL, kind, method="POST", headers=PLAN))
    assert done.results[2] == {"same": True, "status": 200, "used": False, "text": "body"}
    assert (capture["origin"], capture["http_status"], capture["via"]) == ("https://a.test", 200, "fetch")
    assert capture["key_shape"] == "ant-oat"
    assert capture["elapsed_ms"] >= 0


def test_a_rejection_reaches_the_caller_and_is_captured_without_a_status(listener: Listener) -> None:
    done, (capture,) = run(listener, fetch(URL, method="POST"), answers=[{"code": "ECONNREFUSED"}])
    assert done.results[2] == {"same": True, "error": "TypeError: fetch failed"}
    assert capture["error"] == "ECONNREFUSED"
    assert "http_status" not in capture


@pytest.mark.parametrize(
    ("headers", "shape"),
    [
        (PLAN, "ant-oat"),
        ({"x-api-key": "sk-ant-api03-abc"}, "ant-api"),
        ({"Authorization": "Bearer abc"}, "other"),
        ({"x-goog-api-key": "AIzaabc"}, "other"),
        ({"api-key": "azure"}, "other"),
        ({}, None),
    ],
)
def test_of_a_credential_only_its_shape_is_told(listener: Listener, headers: dict[str, str], shape: str | None) -> None:
    _, (capture,) = run(listener, ask("team-a", URL, headers=headers))
    assert capture.get("key_shape") == shape
    for value in headers.values():
        assert value.removeprefix("Bearer ").encode() not in listener.raw


def test_an_error_text_has_the_account_of_the_response_before_it(listener: Listener) -> None:
    headers = {"chatgpt-account-id": "0f3c1b0e-private"}
    refused = {"status": 429, "headers": {"anthropic-organization-id": "org-1"}}
    error = answer_ended(stopReason="error", errorMessage="429 no")
    steps = (ask("team-a", URL), error, ask("team-b", URL, headers=headers), answer_ended(provider="team-b"))
    _, events = run(listener, *steps, answers=[refused, {"status": 200}], models=FIVE)
    first, told, second, served = events
    assert ("account" in first, told["account"]) == (False, "org-1")
    assert second["account"].startswith("chatgpt-")
    assert "account" not in served
    assert b"0f3c1b0e" not in listener.raw


def test_only_allowed_headers_are_told_and_those_are_bounded(listener: Listener) -> None:
    sent = {
        "anthropic-ratelimit-unified-5h-utilization": "0.42",
        "Retry-After": "7",
        "anthropic-ratelimit-unified-long": "x" * 5000,
        "set-cookie": "session=1",
        "anthropic-ratelimit-unified-cookie": "no",
        "x-ratelimit-authorization": "no",
        "x-ratelimit-api-key": "no",
        "content-type": "text/plain",
        **{f"x-ratelimit-{number}": "y" * 1000 for number in range(100)},
    }
    _, (capture,) = run(listener, ask("team-a", URL), answers=[{"status": 429, "headers": sent}])
    told = capture["headers"]
    assert told["anthropic-ratelimit-unified-5h-utilization"] == "0.42"
    assert told["retry-after"] == "7"
    assert len(told["anthropic-ratelimit-unified-long"]) == 1024
    assert all(families.allowed(header) for header in told)
    assert sum(map(len, [*told, *told.values()])) <= 16 * 1024


@pytest.mark.parametrize(
    ("url", "method"),
    [
        ("https://elsewhere.test/v1/messages", "POST"),
        ("https://a.test.evil.test/v1/messages", "POST"),
        ("https://a.test/v1/models", "GET"),
        ("https://a.test/v1/oauth/token", "POST"),
        ("https://registry.test/pi/latest", "GET"),
    ],
)
def test_what_is_no_request_of_a_provider_is_left_alone(listener: Listener, url: str, method: str) -> None:
    done, events = run(listener, fetch(url, method=method))
    assert events == []
    assert done.results[2]["same"] is True


def test_a_base_url_ends_at_a_border(listener: Listener) -> None:
    models = [{"provider": "team-a", "id": "m1", "api": "x", "baseUrl": "https://a.test/v1"}]
    steps = [fetch(f"https://a.test/{path}", method="POST") for path in ("v1/chat", "v1?x=1", "v10/chat", "v2")]
    _, events = run(listener, *steps, models=models)
    assert len(events) == 2


def test_inside_a_request_what_goes_elsewhere_is_left_alone(listener: Listener) -> None:
    others = ("https://oauth.test/oauth2/token", "https://a.test/oauth/token", "https://hooks.test/another-extension")
    _, (capture,) = run(listener, ask("team-a", *others, URL))
    assert capture["origin"] == "https://a.test"


@pytest.mark.parametrize("base", ["", "https://{location}-models.test", "https://gateway.test/{account}/x"])
def test_a_model_without_a_fixed_base_url_may_live_anywhere(listener: Listener, base: str) -> None:
    models = [{"provider": "team-a", "id": "m1", "api": "x", "baseUrl": base}]
    _, (capture,) = run(listener, ask("team-a", "https://token.test/token", "https://eu.test/v1"), models=models)
    assert (capture["origin"], capture["attribution"]) == ("https://eu.test", "wrapper")


@pytest.mark.parametrize("method", ["stream", "streamSimple"])
def test_seats_on_one_base_url_are_told_apart_by_the_wrapper(listener: Listener, method: str) -> None:
    steps = [ask(each["provider"], URL, method=method) for each in FIVE]
    _, events = run(listener, *steps, models=FIVE)
    assert [each["provider"] for each in events] == [each["provider"] for each in FIVE]
    assert {each["attribution"] for each in events} == {"wrapper"}


def test_outside_a_wrapper_one_base_url_of_one_provider_is_enough(listener: Listener) -> None:
    other = {"provider": "other", "id": "m9", "api": "y", "baseUrl": "https://b.test/v1"}
    _, (capture,) = run(listener, fetch("https://b.test/v1/x", method="POST"), models=[*FIVE, other])
    assert (capture["provider"], capture["attribution"]) == ("other", "url")
    assert "model" not in capture


def test_outside_a_wrapper_the_model_of_the_session_decides_nothing_among_seats(listener: Listener) -> None:
    _, (capture,) = run(listener, fetch(URL, method="POST"), models=FIVE, model="team-c/m1")
    assert (capture["attribution"], capture["http_status"]) == ("none", 200)
    assert {"provider", "model"} & {*capture} == set()


@pytest.mark.parametrize("header", ["x-api-key", "api-key", "x-goog-api-key", "authorization"])
def test_outside_a_wrapper_the_credential_tells_seats_apart(listener: Listener, header: str) -> None:
    keys = {seat["provider"]: {header: f"sk-{seat['provider']}"} for seat in FIVE}
    steps = [
        *(ask(provider, URL, headers=headers) for provider, headers in keys.items()),
        fetch(URL, method="POST", headers=keys["team-d"]),
        fetch(URL, method="POST", headers={header: "sk-another"}),
    ]
    _, events = run(listener, *steps, models=FIVE)
    assert [(event["attribution"], event.get("provider")) for event in events[5:]] == [
        ("url", "team-d"),
        ("none", None),
    ]
    assert b"sk-" not in listener.raw


def test_outside_a_wrapper_another_credential_is_not_that_of_the_only_provider(listener: Listener) -> None:
    steps = [
        ask("team-a", URL, headers={"x-api-key": "sk-team-a"}),
        fetch(URL, method="POST", headers={"x-api-key": "sk-another"}),
    ]
    _, events = run(listener, *steps)
    assert [event["attribution"] for event in events] == ["wrapper", "none"]


def test_a_credential_of_two_providers_attributes_nothing(listener: Listener) -> None:
    steps = [ask(name, URL, headers={"x-api-key": "sk-shared"}) for name in ("team-a", "team-b")]
    _, events = run(listener, *steps, fetch(URL, method="POST", headers={"x-api-key": "sk-shared"}), models=FIVE)
    assert [event["attribution"] for event in events] == ["wrapper", "wrapper", "none"]


def test_outside_a_wrapper_nothing_is_said_where_nothing_is_known(listener: Listener) -> None:
    _, (capture,) = run(listener, fetch(URL, method="POST"), models=FIVE, model="none/none")
    assert capture["attribution"] == "none"
    assert "provider" not in capture


def test_reload_wraps_neither_fetch_nor_a_provider_again(listener: Listener) -> None:
    again = [LOAD, {**START, "data": {"reason": "reload"}}]
    _, events = run(listener, *again, *again, ask("team-a", URL), fetch(URL, method="POST"), emit("turn_start"))
    assert [each["attribution"] for each in events] == ["wrapper", "url"]
    assert len({each["id"] for each in events}) == 2
    assert len(listener.hellos) == 1


@pytest.mark.parametrize("kinds", [["before"], ["around"], ["around", "before"], ["before", "around", "around"]])
def test_a_replaced_fetch_loses_and_doubles_no_response(listener: Listener, kinds: list[str]) -> None:
    replaced: list[Step] = []
    for kind in kinds:
        replaced += [{"do": "replace", "kind": kind}, ask("team-a", URL)]
    again: list[Step] = [{"do": "replace", "kind": "before"}, emit("turn_start"), fetch(URL, method="POST")]
    _, events = run(listener, *replaced, *again)
    assert [event["attribution"] for event in events] == ["wrapper"] * len(kinds) + ["url"]


def test_inside_a_request_what_is_beside_the_base_url_is_left_alone(listener: Listener) -> None:
    models = [{"provider": "team-a", "id": "m1", "api": "x", "baseUrl": "https://A.test:443/v1/"}]
    beside = ("https://a.test/v1/oauth/token", "https://a.test/v10/x", "https://a.test/usage", "https://a.test:8/v1/x")
    _, events = run(listener, ask("team-a", *beside, "https://a.test/v1/x", "https://a.test/v1?x"), models=models)
    assert len(events) == 2


def test_the_session_is_the_one_that_pi_names_or_else_its_own(listener: Listener) -> None:
    second: list[Step] = [{"do": "switch", "to": "session-2"}, LOAD, START]
    asks = [ask("team-a", URL, options={"sessionId": session}) for session in ("session-1", "session-2", "routing-7")]
    run(listener, *second, *asks)
    events = listener.wait(lambda found: len(found) == 3)
    assert [each["session"] for each in events] == ["session-1", "session-2", "session-1"]


def test_every_event_says_who_and_where(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKMON_MEMBER", "vigilio")
    monkeypatch.setenv("TOKMON_MISSION", "mend\tthe\nroof " + "x" * 300)
    _, (capture, usage) = run(listener, ask("team-a", URL), answer_ended())
    for event in (capture, usage):
        assert (event["member"], event["session"]) == ("vigilio", "session-1")
        assert event["mission"].startswith("mend the roof x")
        assert len(event["mission"]) == 200
        assert event["host"]
        assert 16 <= len(event["id"]) <= 64


@pytest.mark.parametrize("before", ["mend ", "x" * 190 + " "])
def test_a_secret_in_the_mission_is_not_told(listener: Listener, monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    monkeypatch.setenv("TOKMON_MISSION", f"{before}{SECRET} the roof")
    _, (capture, usage) = run(listener, ask("team-a", URL), answer_ended())
    assert {capture["mission"], usage["mission"]} == {f"{before}{scrub.PLACEHOLDER} the roof"[:200]}
    assert b"sk-ant" not in listener.raw


def test_the_header_event_is_passed_over_where_fetch_has_seen_the_response(listener: Listener) -> None:
    headers = {"request-id": "req_1", "retry-after": "1"}
    steps = [
        emit("before_provider_request"),
        {"do": "tell", "data": {"status": 200, "headers": headers}},
        ask("team-a", URL),
        {"do": "tell", "data": {"status": 200, "headers": {}}},
        ask("team-a", URL),
        emit("after_provider_response", status=200, headers=headers),
    ]
    _, events = run(listener, *steps, answers=[{"status": 200, "headers": headers}, {"status": 200}])
    assert [each["via"] for each in events] == ["fetch", "fetch"]


def test_the_header_event_is_all_there_is_of_an_api_without_fetch(listener: Listener) -> None:
    told = emit(
        "after_provider_response", status=200, headers={"x-amzn-requestid": "r-1", "retry-after": "1", "x-secret": "s"}
    )
    _, events = run(listener, emit("before_provider_request"), told, told, emit("before_provider_request"))
    (capture,) = events
    assert (capture["via"], capture["provider"], capture["attribution"]) == ("event", "team-a", "model")
    assert (capture["http_status"], capture["request_id"], capture["headers"]) == (200, "r-1", {"retry-after": "1"})


def test_the_header_event_of_a_request_without_fetch_names_its_configured_key(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKMON_STATE_DIR", str(tmp_path / "state"))
    event = {"status": 200, "headers": {"x-ratelimit-reset": "1"}}
    keys = ("key-number-one", "key-number-two", "key-number-one", "<authenticated>", "key-number-one")
    providers = ("team-a", "team-a", "team-a", "team-a", "team-b")
    steps = [
        emit("before_provider_request"),
        {"do": "tell", "data": event},
        *(ask(provider, options={"apiKey": key}) for provider, key in zip(providers, keys, strict=True)),
    ]
    _, events = run(listener, *steps, models=FIVE, logins=["team-b"])
    one, other, again, ambient, login = (event.get("credential") for event in events)
    assert one == again != other
    assert [len(one or ""), ambient, login] == [16, None, None]
    assert {event["via"] for event in events} == {"event"}
    assert b"key-number" not in listener.raw


@pytest.mark.parametrize("kind", ["around", "before"])
def test_a_fetch_that_is_replaced_just_before_a_request_loses_and_doubles_nothing(
    listener: Listener, kind: str
) -> None:
    """By a handler of another extension that pi calls after tokmon's."""
    _, events = run(listener, ask("team-a", URL, URL, replaced=kind), ask("team-a", URL))
    assert [(event["provider"], event["attribution"]) for event in events] == [("team-a", "wrapper")] * 3


def test_handlers_return_nothing_and_quickly(listener: Listener) -> None:
    events = ("turn_start", "turn_end", "agent_end", "before_provider_request", "session_compact", "session_tree")
    done, _ = run(listener, *(emit(event) for event in events), answer_ended())
    assert {kind for each in done.results[1:-2] for kind in each["results"]} == {"undefined"}


def test_disabled_it_does_nothing_at_all(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKMON_DISABLE", "1")
    done, events = run(listener, fetch(URL, method="POST"), {"do": "state"})
    assert events == []
    assert done.results[0] == {"returned": True, "handlers": [], "wrapped": False}
    assert done.results[3] == {"wrapped": False, "kept": False}


def test_the_factory_opens_nothing_and_wraps_nothing(listener: Listener) -> None:
    done = drive(LOAD)
    assert done.results[0]["wrapped"] is False
    assert listener.hellos == []


HOSTILE: Final[tuple[dict[str, Any], ...]] = (
    {"model": None, "models": []},
    {"models": [{"provider": 7, "id": None, "api": {}, "baseUrl": "not a url"}], "model": "7/null"},
    {"entries": [None, 3, {"type": "usage"}, {"id": 1, "usage": {"input": -1, "output": "x"}}]},
)


@pytest.mark.parametrize("scenario", HOSTILE)
def test_what_pi_says_may_be_nonsense(listener: Listener, scenario: dict[str, Any]) -> None:
    nonsense = [answer_ended(usage="?"), emit("message_end"), emit("model_select"), emit("turn_end"), emit("agent_end")]
    run(listener, *nonsense, fetch(URL, method="POST"), fetch("::", method="POST"), **scenario)


ERRORS: Final = (
    f"401 invalid x-api-key {SECRET}",
    "Authorization: Bearer abcdefghijklmnop.q",
    "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_def",
    "xai-abcdefghijkl and AIzaSyA1234567890abcdefg",
    "https://x.test/?key=abcdef0123456789&x=1",
)


@pytest.mark.parametrize("text", ERRORS)
def test_an_error_text_is_told_without_secrets_as_python_would(listener: Listener, text: str) -> None:
    _, (usage,) = run(listener, answer_ended(stopReason="error", errorMessage=text))
    assert usage["error"] == scrub.scrub(text)
    assert usage["stop"] == "error"
    assert scrub.PLACEHOLDER in usage["error"]


KEYS: Final = {
    "authorization": "Bearer plain_key.without+any/shape=1",
    "x-api-key": "0f1e2d3c-key-of-a-gateway",
    "x-goog-api-key": "googlish.key.0123456789",
    "api-key": "azure~key~0123456789",
    "x-team-token": 'quoted"token\\of-a-team',
    "x-team": "value-of-models.json",
}


@pytest.mark.parametrize("cut", [slice(None), slice(10), slice(-10, None)])
def test_the_key_of_a_request_is_removed_by_its_value(listener: Listener, cut: slice) -> None:
    steps: list[Step] = []
    answers: list[dict[str, Any]] = []
    forms: set[str] = set()
    for header, value in KEYS.items():
        key = value.removeprefix("Bearer ")
        part = key if header == "x-team" else key[cut]
        in_json, in_url = json.dumps(part), quote(part, safe="")
        forms |= {part, in_json[1:-1], in_url}
        echoes = {"request-id": part, "anthropic-ratelimit-unified-status": f"no {part}", "x-ratelimit-reset": part}
        answers.append({"status": 401, "headers": {**echoes, "retry-after": "12345678"}})
        text = f"401 bad key {part}, {in_json}, {in_url}. Ask somebody"
        steps += [
            ask("team-a", URL, headers={header: value, "user-agent": "pi/1.6.0", "x-request-id": "my-request-1"}),
            answer_ended(stopReason="error", errorMessage=text),
        ]
    run(listener, *steps, answers=answers)
    captures, usages = listener.of("capture"), listener.of("usage")
    assert len(captures) == len(usages) == len(KEYS)
    for capture, usage in zip(captures, usages, strict=True):
        assert capture["headers"] == {
            "anthropic-ratelimit-unified-status": f"no {scrub.PLACEHOLDER}",
            "x-ratelimit-reset": scrub.PLACEHOLDER,
            "retry-after": "12345678",
        }
        assert "request_id" not in capture
        assert usage["error"].endswith("Ask somebody")
    for form in forms:
        assert form.encode() not in listener.raw
        assert json.dumps(form)[1:-1].encode() not in listener.raw


@pytest.mark.parametrize(
    "options",
    [
        {"apiKey": "key_of.a/request=1"},
        {"bearerToken": "key_of.a/request=1"},
        {"headers": {"X-Api-Key": "key_of.a/request=1", "x-none": None}},
        {"env": {"AWS_SECRET_ACCESS_KEY": "key_of.a/request=1", "AWS_REGION": "eu-north-1"}},
        {},
    ],
)
@pytest.mark.parametrize("cut", [slice(None), slice(9), slice(-9, None)])
def test_the_key_of_a_request_without_fetch_is_removed_by_its_value(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], cut: slice
) -> None:
    """As over `node:http`: pi passes the key to what sends the request, or AWS takes it from the environment."""
    key = "key_of.a/request=1"
    if not options:
        monkeypatch.setenv("AWS_SESSION_TOKEN", key)
    headers = {"x-amzn-requestid": "r-1", "x-ratelimit-reset": f"no {key[cut]}"}
    steps = [
        ask("team-a", options=options),
        emit("after_provider_response", status=403, headers=headers),
        answer_ended(stopReason="error", errorMessage=f"403 bad key {key[cut]} in eu-north-1. Ask somebody"),
    ]
    _, (capture, usage) = run(listener, *steps)
    assert capture["headers"] == {"x-ratelimit-reset": f"no {scrub.PLACEHOLDER}"}
    assert usage["error"] == f"403 bad key {scrub.PLACEHOLDER} in eu-north-1. Ask somebody"
    assert key[cut].encode() not in listener.raw


@pytest.mark.parametrize("url", [f"{URL}?key=key-in-a-url-1234", f"{URL}?x=1&access_token=key-in-a-url-1234"])
def test_a_key_in_the_address_is_removed_by_its_value(listener: Listener, url: str) -> None:
    _, (capture, usage) = run(listener, ask("team-a", url), answer_ended(errorMessage="400 key-in-a-url-1234 is bad"))
    assert usage["error"] == f"400 {scrub.PLACEHOLDER} is bad"
    assert b"key-in-a-url" not in listener.raw
    assert capture["origin"] == "https://a.test"


def test_a_request_id_that_looks_like_a_bare_key_is_kept_and_one_with_a_key_is_not(listener: Listener) -> None:
    ids = ["0123456789abcdef0123456789abcdef", SECRET]
    answers = [{"status": 200, "headers": {"x-request-id": each}} for each in ids]
    _, captures = run(listener, ask("team-a", URL, URL), answers=answers)
    assert [capture.get("request_id") for capture in captures] == [ids[0], None]


def test_names_are_kept_where_a_key_is_one_of_them(listener: Listener) -> None:
    local = [{"provider": "lm-studio", "id": "lm-studio-model", "api": "x", "baseUrl": "https://a.test"}]
    request = ask("lm-studio", URL, headers={"authorization": "Bearer lm-studio"})
    _, (capture,) = run(listener, request, models=local, model="lm-studio/lm-studio-model")
    assert (capture["provider"], capture["model"]) == ("lm-studio", "lm-studio-model")


def test_a_long_error_text_is_cut_and_keeps_no_half_of_a_secret_or_of_a_letter(listener: Listener) -> None:
    text = "x" * 1990 + " " + SECRET + "\U0001f600" * 3000
    _, (usage,) = run(listener, answer_ended(errorMessage=text))
    assert len(usage["error"]) <= 2000
    assert "sk-ant" not in usage["error"]
    json.dumps(usage).encode()
    usage["error"].encode()


def test_what_an_answer_cost_is_estimated_billed_or_unknown(listener: Listener) -> None:
    free = {"provider": "free", "id": "m", "api": "x", "baseUrl": "https://f.test", "cost": {"input": 0, "output": 0}}
    priced = {"provider": "team-a", "id": "m1", "api": "x", "baseUrl": "https://a.test", "cost": {"input": 3}}
    used = {"input": 10, "output": 5, "totalTokens": 15}
    usages = [
        ("team-a", "m1", {**used, "cost": {"total": 0.5}}),
        ("team-a", "m1", {**used, "cost": {"total": 0.7, "totalFromProvider": True}}),
        ("free", "m", {**used, "cost": {"total": 0}}),
        ("team-a", "m1", {"input": 0, "output": 0, "totalTokens": 0, "cost": {"total": 0}}),
        ("gone", "m", {**used, "cost": {"total": 0}}),
        ("free", "m", {**used, "cost": {"total": 0, "totalFromProvider": True}}),
    ]
    steps = [answer_ended(provider=provider, model=model, usage=usage) for provider, model, usage in usages]
    _, events = run(listener, *steps, models=[priced, free])
    assert [(each.get("cost_usd"), each["cost_source"]) for each in events] == [
        (0.5, "estimated"),
        (0.7, "billed"),
        (None, "unknown"),
        (0, "estimated"),
        (None, "unknown"),
        (0, "billed"),
    ]


def test_a_response_is_counted_once(listener: Listener) -> None:
    again = answer_ended(responseId="msg_1", timestamp=1700000000000)
    _, events = run(listener, again, again, answer_ended())
    assert [each.get("response_id") for each in events] == ["msg_1", None]


@pytest.mark.parametrize("provider", ["team-a", "team-b"])
def test_a_server_that_gives_every_response_one_id_loses_nothing(listener: Listener, provider: str) -> None:
    same: dict[str, Any] = {"responseId": "chatcmpl-0"}
    steps = [
        answer_ended(**same, timestamp=1700000000000),
        answer_ended(**same, timestamp=1700000000000 + (provider == "team-a"), provider=provider),
        answer_ended(**same),
        answer_ended(**same),
    ]
    _, events = run(listener, {**LOAD, "beside": True}, START, *steps)
    assert [each["provider"] for each in events] == ["team-a", provider, "team-a", "team-a"]
    assert {each["response_id"] for each in events} == {"chatcmpl-0"}


def test_loaded_twice_side_by_side_it_still_counts_once(listener: Listener) -> None:
    usage = {"input": 1, "totalTokens": 1, "cost": {"total": 0.25}}
    twice: list[Step] = [{**LOAD, "beside": True}, START]
    entry: Step = {"do": "append", "entry": {"id": "e1", "type": "compaction", "usage": usage}}
    _, events = run(listener, *twice, answer_ended(stopReason="error"), ask("team-a", URL), entry, emit("turn_end"))
    assert [each.get("what", "capture") for each in events] == ["assistant", "capture", "compaction"]


def test_the_end_of_one_of_two_sessions_leaves_the_line_up(listener: Listener) -> None:
    second: list[Step] = [{"do": "switch", "to": "session-2"}, {**LOAD, "beside": True}]
    only_first = {"do": "emit", "event": "session_shutdown", "data": {"reason": "quit"}, "handlers": 1}
    _, events = run(listener, *second, START, only_first, ask("team-a", URL), DRAIN, {"do": "exit"})
    assert len(events) == 1


def test_what_else_was_paid_for_is_found_in_the_entries(listener: Listener) -> None:
    usage = {"input": 1, "output": 2, "cacheRead": 3, "cacheWrite": 4, "totalTokens": 10, "cost": {"total": 0.25}}
    old = {"id": "e0", "type": "compaction", "usage": usage}
    new: list[dict[str, Any]] = [
        {"id": "e1", "type": "usage", "kind": "cache_warm", "provider": "team-a", "model": "m1", "usage": usage},
        {"id": "e2", "type": "compaction", "usage": usage},
        {"id": "e3", "type": "branch_summary", "usage": usage},
        {"id": "e4", "type": "message", "message": {"role": "toolResult", "usage": usage}},
        {"id": "e5", "type": "message", "message": {"role": "assistant", "usage": usage}},
        {"id": "e6", "type": "compaction"},
        {"id": "e7", "type": "usage", "kind": "else", "provider": "p", "model": "m", "usage": usage},
    ]
    steps = [{"do": "append", "entry": entry} for entry in new]
    _, events = run(listener, *steps, emit("turn_end"), emit("agent_end"), entries=[old])
    assert [(each["what"], each["entry"], each.get("provider")) for each in events] == [
        ("cache_warm", "e1", "team-a"),
        ("compaction", "e2", None),
        ("branch_summary", "e3", None),
        ("tool_result", "e4", None),
        ("other", "e7", "p"),
    ]
    assert all(each["tokens"]["total"] == 10 and each["cost_usd"] == 0.25 for each in events)


def test_entries_are_looked_at_once_more_when_the_session_ends(listener: Listener) -> None:
    usage = {"input": 1, "totalTokens": 1, "cost": {"total": 0.25}}
    _, (event,) = run(listener, {"do": "append", "entry": {"id": "e1", "type": "compaction", "usage": usage}})
    assert event["what"] == "compaction"
