"""The probe steps of each account type, the cheapest first. A step is tried only if the one before is not available.

A step that opens no window and costs nothing comes before one that does. The families read the response, and the body
of a usage endpoint as a frame, which the log line keeps so that it can be read again later.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tokmon.probes.targets import ProbeTarget

_OAUTH: Final = {
    "anthropic-beta": "claude-code-20250219,oauth-2025-04-20",
    "anthropic-dangerous-direct-browser-access": "true",
    "user-agent": "claude-cli/2.1.322",
    "x-app": "cli",
}
"""What pi 1.5.2 sends for a plan's seat. Without it the response is a 429 that is no evidence about the account."""

_VERSION: Final = {"anthropic-version": "2023-06-01"}
_PROMPT: Final = "You are Claude Code, Anthropic's official CLI for Claude."
_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_NOT_ALLOWED: Final = 405


def never(_status: int, _text: str) -> bool:
    """Never try the next step."""
    return False


def missing(status: int, _text: str) -> bool:
    """Try the next step if the endpoint does not exist."""
    return status in {_NOT_FOUND, _NOT_ALLOWED}


def out_of_scope(status: int, text: str) -> bool:
    """Try the next step if the endpoint does not exist, or refuses the scope of the credential."""
    return missing(status, text) or (status == _FORBIDDEN and "scope" in text.lower())


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """One request of a probe.

    `calls_model`: a successful response shows that the account serves requests, not only that the key is valid.
    `frame` is the type of the frame that a usage endpoint's body becomes; None for another endpoint. `try_next` decides
    by status code and text of a response.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: Mapping[str, Any] | None = None
    calls_model: bool = False
    frame: str | None = None
    try_next: Callable[[int, str], bool] = never

    def path(self, target: ProbeTarget) -> str:
        """The path of the request below the provider's base URL, without the query."""
        return self.url.removeprefix(target.base_url).partition("?")[0]


def probe_steps(target: ProbeTarget) -> tuple[ProbeStep, ...]:
    """The steps to probe this account, in order; empty if it cannot be probed.

    Steps with a closed path are left out, except the last step.
    """
    make = _BY_TYPE[target.account_type] if target.account_type in _BY_TYPE else _BY_API.get(target.api)
    steps = () if make is None else make(target)
    return tuple(step for step in steps[:-1] if step.path(target) not in target.closed_paths) + steps[-1:]


def _seat(target: ProbeTarget) -> tuple[ProbeStep, ...]:
    headers = {**_bearer(target), **_VERSION, **_OAUTH}
    usage = {**headers, "anthropic-beta": "oauth-2025-04-20"}
    return (
        ProbeStep(
            "GET", f"{target.base_url}/api/oauth/usage", usage, frame="anthropic.oauth_usage", try_next=out_of_scope
        ),
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
    """The first configured model with `haiku` in its name, else the first configured one."""
    haiku = (name for name in target.models if "haiku" in name)
    return next(haiku, target.models[0] if target.models else "claude-haiku-4-5")


def _anthropic_key(target: ProbeTarget) -> tuple[ProbeStep, ...]:
    headers = _VERSION | _key(target)
    body = {"model": _model(target), "messages": [{"role": "user", "content": "hi"}]}
    return (
        ProbeStep("POST", f"{target.base_url}/v1/messages/count_tokens", headers, body, try_next=missing),
        ProbeStep("GET", f"{target.base_url}/v1/models?limit=1", headers),
    )


def _gateway(target: ProbeTarget) -> tuple[ProbeStep, ...]:
    """One minimal call: only a call shows its cost, and whether there is credit for it."""
    if target.api == "anthropic-messages":
        return (_message(target, _VERSION | _key(target)),)
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
    return (ProbeStep("GET", f"{base}/wham/usage", headers, frame="codex.usage"),)


def _openrouter(target: ProbeTarget) -> tuple[ProbeStep, ...]:
    return (ProbeStep("GET", f"{target.base_url}/key", _bearer(target)),)  # its list of models needs no valid key


def _models_list(target: ProbeTarget) -> tuple[ProbeStep, ...]:
    return (ProbeStep("GET", f"{target.base_url}/models", _bearer(target)),)


def _no_steps(_target: ProbeTarget) -> tuple[ProbeStep, ...]:
    return ()


def _key(target: ProbeTarget) -> dict[str, str]:
    """The key of an account with the API of Anthropic."""
    return _bearer(target) if target.is_bearer else {"x-api-key": target.key, **target.headers}


def _bearer(target: ProbeTarget) -> dict[str, str]:
    return {"authorization": f"Bearer {target.key}", **target.headers}


_BY_TYPE: Final[Mapping[str | None, Callable[[ProbeTarget], tuple[ProbeStep, ...]]]] = {
    "teams-direct": _seat,
    "anthropic-api": _anthropic_key,
    "gateway": _gateway,
    "gemini": _gemini,
    "openai-codex": _codex,
    "openrouter": _openrouter,
    "vertex": _no_steps,
    "bedrock": _no_steps,
    "azure-openai": _no_steps,
    "github-copilot": _no_steps,
}
_BY_API: Final[Mapping[str, Callable[[ProbeTarget], tuple[ProbeStep, ...]]]] = {
    "anthropic-messages": _anthropic_key,
    "openai-completions": _models_list,
    "openai-responses": _models_list,
    "mistral-conversations": _models_list,
}


def unavailable_reason(target: ProbeTarget) -> str | None:
    """Why the account cannot be probed; None if it can."""
    never_probed = _BY_TYPE.get(target.account_type) is _no_steps
    if never_probed or (target.unavailable_reason is None and not probe_steps(target)):
        return f"accounts of this type cannot be probed ({target.account_type or 'unknown'})"
    return target.unavailable_reason
