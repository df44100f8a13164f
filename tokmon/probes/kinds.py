"""What is asked of each kind of account: steps, the cheapest first, each taken only if the one before gave way.

A step that opens no window and spends nothing comes before one that does. What comes back is read by the families;
a body that tells of a quota is first put into the form of a stream's frame, so that a line of the log that keeps it
can be read again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tokmon.probes.targets import ProbeTarget

Frame = dict[str, Any]

_OAUTH: Final = {
    "anthropic-beta": "claude-code-20250219,oauth-2025-04-20",
    "anthropic-dangerous-direct-browser-access": "true",
    "user-agent": "claude-cli/2.1.322",
    "x-app": "cli",
}
"""What pi 1.5.2 sends for a plan's seat; without it the answer is a 429 that says nothing of the account."""

_VERSION: Final = {"anthropic-version": "2023-06-01"}
_PROMPT: Final = "You are Claude Code, Anthropic's official CLI for Claude."
_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_NOT_ALLOWED: Final = 405


def never(_status: int, _text: str) -> bool:
    """The answer is final."""
    return False


def missing(status: int, _text: str) -> bool:
    """There is no such endpoint there, or it knows no such model."""
    return status in {_NOT_FOUND, _NOT_ALLOWED}


def out_of_scope(status: int, text: str) -> bool:
    """The endpoint is not there, or not for this credential."""
    return missing(status, text) or (status == _FORBIDDEN and "scope" in text.lower())


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """One request. `serves`: it is a call of a model, so that an answer proves more than that the key is valid."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: Mapping[str, Any] | None = None
    calls_model: bool = False
    frame: Callable[[Mapping[str, Any]], Frame | None] | None = None
    try_next: Callable[[int, str], bool] = never

    def path(self, target: ProbeTarget) -> str:
        """What is asked, below the provider's base."""
        return self.url.removeprefix(target.base_url).partition("?")[0]


def probe_steps(target: ProbeTarget) -> tuple[ProbeStep, ...]:
    """What to ask of this one, in this order; empty where there is no way to ask.

    What is known to be closed is left out, but for the last.
    """
    kind = _KINDS[target.account_type] if target.account_type in _KINDS else _OF_API.get(target.api)
    every = () if kind is None else kind(target)
    return tuple(step for step in every[:-1] if step.path(target) not in target.closed_paths) + every[-1:]


def _seat(target: ProbeTarget) -> tuple[ProbeStep, ...]:
    headers = {**_bearer(target), **_VERSION, **_OAUTH}
    usage = {**headers, "anthropic-beta": "oauth-2025-04-20"}
    return (
        ProbeStep("GET", f"{target.base_url}/api/oauth/usage", usage, frame=usage_frame, try_next=out_of_scope),
        _message(target, headers),
    )


def _message(target: ProbeTarget, headers: Mapping[str, str]) -> ProbeStep:
    body = {
        "model": _model(target),
        "max_tokens": 1,
        "system": [{"type": "text", "text": _PROMPT}],
        "messages": [{"role": "user", "content": "hi"}],
    }
    return ProbeStep("POST", f"{target.base_url}/v1/messages", headers, body, calls_model=True)


def _model(target: ProbeTarget) -> str:
    """The cheapest of the models that are configured."""
    small = (name for name in target.models if "haiku" in name)
    return next(small, target.models[0] if target.models else "claude-haiku-4-5")


def _anthropic_key(target: ProbeTarget) -> tuple[ProbeStep, ...]:
    headers = {"x-api-key": target.key, **_VERSION, **target.headers}
    body = {"model": _model(target), "messages": [{"role": "user", "content": "hi"}]}
    return (
        ProbeStep("POST", f"{target.base_url}/v1/messages/count_tokens", headers, body, try_next=missing),
        ProbeStep("GET", f"{target.base_url}/v1/models?limit=1", headers),
    )


def _gateway(target: ProbeTarget) -> tuple[ProbeStep, ...]:
    """One minimal call: only a call says what it costs, and whether there is credit for it."""
    if target.api == "anthropic-messages":
        return (_message(target, {"x-api-key": target.key, **_VERSION, **target.headers}),)
    if target.api == "openai-completions" and target.models:
        body = {"model": target.models[0], "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
        return (ProbeStep("POST", f"{target.base_url}/chat/completions", _bearer(target), body, calls_model=True),)
    return _models_list(target)


def _gemini(target: ProbeTarget) -> tuple[ProbeStep, ...]:
    headers = {"x-goog-api-key": target.key, **target.headers}
    return (ProbeStep("GET", f"{target.base_url}/models?pageSize=1", headers),)


def _codex(target: ProbeTarget) -> tuple[ProbeStep, ...]:
    headers = _bearer(target) | ({"chatgpt-account-id": target.chatgpt_account} if target.chatgpt_account else {})
    base = target.base_url.removesuffix("/codex")
    return (ProbeStep("GET", f"{base}/wham/usage", headers, frame=codex_frame),)


def _openrouter(target: ProbeTarget) -> tuple[ProbeStep, ...]:
    return (ProbeStep("GET", f"{target.base_url}/key", _bearer(target)),)  # its list of models is open to everybody


def _models_list(target: ProbeTarget) -> tuple[ProbeStep, ...]:
    return (ProbeStep("GET", f"{target.base_url}/models", _bearer(target)),)


def _unaskable(_target: ProbeTarget) -> tuple[ProbeStep, ...]:
    return ()


def _bearer(target: ProbeTarget) -> dict[str, str]:
    return {"authorization": f"Bearer {target.key}", **target.headers}


_KINDS: Final[Mapping[str | None, Callable[[ProbeTarget], tuple[ProbeStep, ...]]]] = {
    "teams-direct": _seat,
    "anthropic-api": _anthropic_key,
    "gateway": _gateway,
    "gemini": _gemini,
    "openai-codex": _codex,
    "openrouter": _openrouter,
    "vertex": _unaskable,
    "bedrock": _unaskable,
    "azure-openai": _unaskable,
    "github-copilot": _unaskable,
}
_OF_API: Final[Mapping[str, Callable[[ProbeTarget], tuple[ProbeStep, ...]]]] = {
    "anthropic-messages": _anthropic_key,
    "openai-completions": _models_list,
    "openai-responses": _models_list,
    "mistral-conversations": _models_list,
}

_USAGE_FIELDS: Final = ("utilization", "resets_at")
_EXTRA_FIELDS: Final = ("is_enabled", "monthly_limit", "used_credits", "utilization", "currency")
_WINDOWS_KEPT: Final = 20


def usage_frame(body: Mapping[str, Any]) -> Frame | None:
    """What `oauth/usage` says of windows and of extra usage, and nothing else of it; None if it says neither."""
    windows = {
        name: {key: said.get(key) for key in _USAGE_FIELDS}
        for name, said in list(body.items())[:200]
        if isinstance(said, Mapping) and "utilization" in said and name.startswith(("five_hour", "seven_day"))
    }
    if "five_hour" not in body and "seven_day" not in body:
        return None
    extra = body.get("extra_usage")
    paid = {key: extra.get(key) for key in _EXTRA_FIELDS} if isinstance(extra, Mapping) else None
    kept = dict(list(windows.items())[:_WINDOWS_KEPT])
    return {"type": "anthropic.oauth_usage", "windows": kept, "extra_usage": paid}


def codex_frame(body: Mapping[str, Any]) -> Frame | None:
    """What `wham/usage` says, in the form in which a stream says the same; None if it says nothing."""
    limits = body.get("rate_limit")
    if not isinstance(limits, Mapping):
        return None
    said: dict[str, Any] = {key: limits.get(key) for key in ("allowed", "limit_reached")}
    for slot in ("primary", "secondary"):
        window = limits.get(f"{slot}_window")
        if isinstance(window, Mapping):
            seconds = window.get("limit_window_seconds")
            minutes = round(seconds / 60) if isinstance(seconds, (int, float)) else None
            figures = {key: window.get(key) for key in ("used_percent", "reset_at", "reset_after_seconds")}
            said[slot] = {**figures, "window_minutes": minutes}
    credit = body.get("credits")
    credit = credit if isinstance(credit, Mapping) else {}
    paid = {key: credit.get(key) for key in ("has_credits", "unlimited", "balance")}
    return {"type": "codex.rate_limits", "plan_type": body.get("plan_type"), "rate_limits": said, "credits": paid}


def unavailable_reason(target: ProbeTarget) -> str | None:
    """Why it cannot be asked at all."""
    if target.unavailable_reason is None and not probe_steps(target):
        return f"there is no way to ask an account of this type ({target.account_type or 'unknown'})"
    return target.unavailable_reason
