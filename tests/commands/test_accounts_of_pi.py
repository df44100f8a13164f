"""The accounts of auth.json and of environment keys are accounts like those of models.json, before any turn."""

import json
import os
import time
from pathlib import Path
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


GATEWAY_TOKEN = {"ANTHROPIC_AUTH_TOKEN": "gateway-token"}
AWS = ({"AWS_PROFILE": "work"}, {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "aws-secret"})


def offered(**env: str) -> dict[str, str | None]:
    """The types of the accounts with this environment; each must be listed, and proposed if its models are known."""
    found = types(**env)
    shown = run("status", **env).stdout
    assert all(f"{name}  {kind or 'unknown type'}  no response recorded yet" in shown for name, kind in found.items())
    assert propose(paths.find(), Policy(), env).chain == tuple(found)
    assert read_types(paths.find(), {}) == {}
    return found


@pytest.mark.parametrize("env", [*AWS, {"AWS_BEARER_TOKEN_BEDROCK": "bedrock-key"}])
def test_ambient_credentials_of_aws_are_an_account(env: dict[str, str]) -> None:
    assert offered(**env) == {"amazon-bedrock": "bedrock"}
    (target,) = probes.targets(paths.find(), env, time.time()).values()
    assert probes.unavailable_reason(target) == "accounts of this type cannot be probed (bedrock)"


def test_half_of_the_credentials_of_aws_are_no_account() -> None:
    assert types(AWS_ACCESS_KEY_ID="AKIA1") == types(AWS_REGION="eu-west-1", AWS_PROFILE=" ") == {}


def test_ambient_credentials_of_google_are_an_account_if_pi_would_use_them() -> None:
    project = {"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "global"}
    file = paths.find().home / "service-account.json"
    assert types(**project, GOOGLE_APPLICATION_CREDENTIALS=str(file)) == {}
    file.touch()
    for path in (str(file), "~/service-account.json"):
        assert offered(**project, GOOGLE_APPLICATION_CREDENTIALS=path) == {"google-vertex": "vertex"}
    assert types(GOOGLE_APPLICATION_CREDENTIALS=str(file)) == types(**project) == {}
    gcloud = paths.find().home / ".config" / "gcloud" / "application_default_credentials.json"
    gcloud.parent.mkdir(parents=True)
    gcloud.touch()
    assert offered(**project) == {"google-vertex": "vertex"}
    assert types(GCLOUD_PROJECT="p", GOOGLE_CLOUD_LOCATION="global") == {"google-vertex": "vertex"}


@pytest.mark.parametrize(
    ("version", "azure", "token"),
    [
        ("1.6.0", "azure", {"anthropic": "teams-direct"}),
        ("1.0.3", "azure", {"anthropic": "teams-direct"}),
        ("0.87.1", "azure-openai-responses", {"anthropic": "teams-direct"}),
        ("0.73.1", "azure-openai-responses", {}),
    ],
)
def test_a_variable_that_only_some_versions_of_pi_use_is_an_account_with_these(
    tmp_path: Path, version: str, azure: str, token: dict[str, str]
) -> None:
    package = tmp_path / "node_modules" / "@earendil-works" / "pi-coding-agent"
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"name": "pi-coding-agent", "version": version}))
    (package / "dist" / "cli.js").touch(0o755)
    env = {"TOKMON_PI": str(package / "dist" / "cli.js")}
    assert types(**env, AZURE_OPENAI_API_KEY="k") == {azure: "azure-openai"}
    assert types(**env, ANTHROPIC_AUTH_TOKEN=SEAT) == token


def test_without_a_known_pi_the_newest_one_is_assumed() -> None:
    assert offered(AZURE_OPENAI_API_KEY="k", TOKMON_PI="'") == {"azure": "azure-openai"}
    assert offered(**GATEWAY_TOKEN) == {"anthropic": "anthropic"}
    identity = {"ANTHROPIC_FEDERATION_RULE_ID": "r", "ANTHROPIC_ORGANIZATION_ID": "o"}
    assert types(**identity) == {}
    file = {"ANTHROPIC_IDENTITY_TOKEN_FILE": "/run/identity"}
    assert offered(**identity, **file) == {"anthropic": "anthropic"}
    assert offered(ANTHROPIC_AUTH_TOKEN=SEAT, ANTHROPIC_API_KEY=KEY) == {"anthropic": "teams-direct"}


def test_a_bearer_token_of_the_environment_is_probed_as_pi_sends_it() -> None:
    env = {**GATEWAY_TOKEN, "ANTHROPIC_API_KEY": KEY}
    with loopback(healthy) as server:
        configure(anthropic={"baseUrl": server.origin})
        report = json.loads(run("monitor", "--json", **env).stdout)
    assert [account["provider"] for account in report["providers"]] == ["anthropic"]
    sent = [(request.headers.get("authorization"), request.headers.get("x-api-key")) for request in server.requests]
    assert set(sent) == {("Bearer gateway-token", None)}
    log_in(anthropic=key(KEY))
    assert not probes.targets(paths.find(), env, time.time())["anthropic"].is_bearer


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
