"""The accounts of auth.json and of environment keys are accounts like those of models.json, before any turn."""

import json
import os
import time
from typing import Any

import pytest

from tests.commands.logbook import configure
from tests.commands.screens import run
from tests.probes.loopback import healthy, loopback
from tokmon import paths, probes
from tokmon.decision import decision_file
from tokmon.decision.policy_cache import propose
from tokmon.pi.accounts import read_types
from tokmon.selection.policy import Policy
from tokmon.store.codec import encode

SEAT = "sk-ant-oat01-LoginLoginLogin"
KEY = "sk-ant-api03-KeyKeyKeyKeyKey"


def log_in(**logins: Any) -> None:
    """Write auth.json with these logins (`_` in a name stands for `-`)."""
    path = paths.find().agent / "auth.json"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(encode({name.replace("_", "-"): login for name, login in logins.items()}))


def oauth(access: str = SEAT, expires_in: float = 3600.0, **more: Any) -> dict[str, Any]:
    return {"type": "oauth", "access": access, "refresh": "never", "expires": (time.time() + expires_in) * 1000, **more}


def key(text: str) -> dict[str, Any]:
    return {"type": "api_key", "key": text}


def types(**env: str) -> dict[str, str | None]:
    return read_types(paths.find(), env)


def test_logins_are_listed_and_typed_after_the_accounts_of_models_json() -> None:
    configure(gate={"baseUrl": "https://llm.exe.dev", "models": [{"id": "m"}]})
    log_in(
        anthropic=oauth(expires_in=-60),
        openai_codex=oauth("a.b.c", accountId="acct-1"),
        github_copilot=oauth("tid=1"),
        openrouter=key("sk-or-v1-0123456789"),
        extra_seat=oauth(),
        unknown_one=key("x"),
        odd=7,
    )
    assert types() == {
        "gate": "gateway",
        "anthropic": "teams-direct",
        "openai-codex": "openai-codex",
        "github-copilot": "github-copilot",
        "openrouter": "openrouter",
        "extra-seat": "teams-direct",
        "unknown-one": None,
    }
    shown = run("status").stdout
    assert "anthropic  teams-direct  no response recorded yet" in shown
    assert "openai-codex  openai-codex  no response recorded yet" in shown
    assert SEAT not in shown


@pytest.mark.parametrize(
    ("variable", "value", "account", "kind"),
    [
        ("ANTHROPIC_API_KEY", KEY, "anthropic", "anthropic-api"),
        ("ANTHROPIC_OAUTH_TOKEN", SEAT, "anthropic", "teams-direct"),
        ("OPENAI_API_KEY", "sk-proj-1", "openai", "openai"),
        ("GEMINI_API_KEY", "AIza1", "google", "gemini"),
        ("XAI_API_KEY", "xai-1", "xai", "xai"),
        ("OPENROUTER_API_KEY", "sk-or-1", "openrouter", "openrouter"),
        ("KIMI_API_KEY", "k", "kimi-coding", "moonshot"),
        ("ZAI_API_KEY", "k", "zai", "zai"),
    ],
)
def test_an_environment_key_is_an_account(variable: str, value: str, account: str, kind: str) -> None:
    assert types(**{variable: value}) == {account: kind}
    assert types(**{variable: ""}) == {}
    shown = run("status", **{variable: value}).stdout
    assert f"{account}  {kind}  no response recorded yet" in shown
    assert value not in shown.replace(account, "").replace(kind, "") or len(value) == 1


def test_the_login_decides_the_type_where_models_json_has_a_key_too() -> None:
    configure(anthropic={"apiKey": KEY}, team={"baseUrl": "https://api.anthropic.com", "api": "anthropic-messages"})
    log_in(anthropic=oauth(), team=key("$TEAM"))
    assert types(TEAM=KEY) == {"anthropic": "teams-direct", "team": "anthropic-api"}


def test_logins_and_environment_keys_are_proposed() -> None:
    log_in(anthropic=oauth(), openai_codex=oauth("a.b.c"), unknown_one=key("x"))
    proposed = propose(paths.find(), Policy(), {"XAI_API_KEY": "xai-1"})
    assert proposed.chain == ("anthropic", "openai-codex", "xai")
    assert proposed.model_of("anthropic") == Policy().model
    assert proposed.model_of("openai-codex").startswith("gpt-")
    assert proposed.model_of("xai").startswith("grok-")


def test_select_chooses_a_login_before_any_turn() -> None:
    log_in(anthropic=oauth(expires_in=-60))
    assert run("select").stdout.split() == ["anthropic", Policy().model]


def test_a_choice_that_needs_a_key_of_this_environment_is_not_published_for_others() -> None:
    file = decision_file.path_of(paths.find(), os.environ)
    assert run("select", XAI_API_KEY="xai-1", TOKMON_DEADLINE_MS="1").stdout.split()[0] == "xai"
    assert decision_file.read(file) is None
    log_in(anthropic=oauth(expires_in=-60))
    assert run("select", XAI_API_KEY="xai-1", TOKMON_DEADLINE_MS="1").stdout.split()[0] == "anthropic"
    published = decision_file.read(file)
    assert published is not None
    assert published.accounts == (("anthropic", Policy().model),)
    log_in(xai=key("xai-1"))
    assert run("select", XAI_API_KEY="xai-1", TOKMON_DEADLINE_MS="1").stdout.split()[0] == "xai"
    assert decision_file.last_account(file) == "xai"


def test_a_login_is_probed_with_its_own_token_which_stays_as_it_is() -> None:
    with loopback(healthy) as server:
        configure(anthropic={"baseUrl": server.origin})
        log_in(anthropic=oauth())
        before = (paths.find().agent / "auth.json").read_bytes()
        report = json.loads(run("monitor", "--json").stdout)
    (account,) = report["providers"]
    assert (account["provider"], account["type"], account["fitness"]) == ("anthropic", "teams-direct", "usable")
    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {SEAT}"]
    assert (paths.find().agent / "auth.json").read_bytes() == before
    assert SEAT not in json.dumps(report) + paths.find().probe.read_text("utf-8")


def test_a_login_whose_provider_has_no_free_probe_is_not_probed() -> None:
    log_in(openai=oauth("a.b.c"), vercel_ai_gateway=key("v-12345678"))
    targets = probes.targets(paths.find(), {}, time.time())
    assert {name: probes.unavailable_reason(target) for name, target in targets.items()} == {
        "openai": "logins of this type cannot be probed",
        "vercel-ai-gateway": "accounts of this type cannot be probed (unknown)",
    }


def test_an_auth_json_that_is_damaged_hides_no_account_of_models_json() -> None:
    configure(grok={"baseUrl": "https://api.x.ai/v1"})
    for text in (b"[", b"[]", b"null", b"\xff"):
        (paths.find().agent / "auth.json").write_bytes(text)
        assert types() == {"grok": "xai"}
