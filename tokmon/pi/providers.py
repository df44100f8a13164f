"""The providers that pi itself brings, which need no entry in models.json: a login or an environment key is enough.

Taken from pi 0.66 to 1.6 (`env-api-keys`, `providers`, and the catalogue of models).
"""

from typing import Final, NamedTuple

PiVersion = tuple[int, ...]


class EnvironmentSource(NamedTuple):
    """Variables that together make a provider usable: a key, and others that pi needs beside it or instead of it.

    `file` is a variable with the path of a file that must exist, and the path below the home that pi uses without that
    variable. Versions of pi before `since`, and from `until` on, do not use the variables. A `bearer` key is sent in
    `Authorization`, whatever the API.
    """

    key: str | None = None
    needs: tuple[str, ...] = ()
    file: tuple[str, str] | None = None
    since: PiVersion | None = None
    until: PiVersion | None = None
    bearer: bool = False

    @property
    def variables(self) -> tuple[str, ...]:
        """All variables that it reads."""
        key = () if self.key is None else (self.key,)
        return (*key, *self.needs, *(() if self.file is None else self.file[:1]))

    @property
    def is_versioned(self) -> bool:
        """Whether only some versions of pi use it."""
        return self.since is not None or self.until is not None

    def is_used_by(self, pi: PiVersion | None) -> bool:
        """Whether that version of pi uses it; None is the newest."""
        if pi is None:
            return self.until is None
        return (self.since is None or self.since <= pi) and (self.until is None or pi < self.until)


class BuiltInProvider(NamedTuple):
    """A provider of pi: base URL and API of its models, one of them, and its environment sources in pi's order.

    `api` is None where pi uses several, or where no free request shows that a key is valid. `model` is one that most
    versions of pi list, the newest included; None where it is the policy's own, or none is known. A key that pi offers
    to two providers (`MOONSHOT_API_KEY`) is valid for one of them: only the first one has it here. A
    `GITHUB_TOKEN`, which old versions of pi take for Copilot, is nearly always one for something else.
    """

    base_url: str | None = None
    api: str | None = None
    model: str | None = None
    sources: tuple[EnvironmentSource, ...] = ()

    @property
    def variables(self) -> frozenset[str]:
        """All environment variables that make it usable."""
        return frozenset(variable for source in self.sources for variable in source.variables)


def _keys(*variables: str) -> tuple[EnvironmentSource, ...]:
    return tuple(EnvironmentSource(variable) for variable in variables)


def _qwen(plan: str, *shared: str) -> tuple[EnvironmentSource, ...]:
    return EnvironmentSource(f"QWEN_TOKEN_PLAN_{plan}_API_KEY", since=(1, 6)), *_keys(*shared)


_COMPLETIONS: Final = "openai-completions"
_RESPONSES: Final = "openai-responses"
_MESSAGES: Final = "anthropic-messages"
_AZURE: Final = "azure-openai-responses"
_AZURE_RENAMED: Final = (1, 0, 3)
_QWEN: Final = "https://token-plan.maas.qwencloudapi.com/compatible-mode/v1"
_QWEN_CN: Final = "https://token-plan.maas.qianwenaiapi.com/compatible-mode/v1"

_ANTHROPIC: Final = (
    EnvironmentSource("ANTHROPIC_AUTH_TOKEN", since=(0, 82, 1), bearer=True),
    *_keys("ANTHROPIC_OAUTH_TOKEN", "ANTHROPIC_API_KEY"),
    EnvironmentSource(
        needs=("ANTHROPIC_FEDERATION_RULE_ID", "ANTHROPIC_ORGANIZATION_ID", "ANTHROPIC_IDENTITY_TOKEN_FILE"),
        since=(0, 99, 2),
    ),
)
_ADC: Final = ("GOOGLE_APPLICATION_CREDENTIALS", ".config/gcloud/application_default_credentials.json")
_VERTEX: Final = (
    *_keys("GOOGLE_CLOUD_API_KEY"),
    EnvironmentSource(needs=("GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"), file=_ADC),
    EnvironmentSource(needs=("GCLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"), file=_ADC),
)
_BEDROCK: Final = (
    *_keys("AWS_BEARER_TOKEN_BEDROCK"),
    EnvironmentSource(needs=("AWS_PROFILE",)),
    EnvironmentSource(needs=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
    EnvironmentSource(needs=("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",)),
    EnvironmentSource(needs=("AWS_CONTAINER_CREDENTIALS_FULL_URI",)),
    EnvironmentSource(needs=("AWS_WEB_IDENTITY_TOKEN_FILE",)),
)

BUILT_IN: Final = {
    "anthropic": BuiltInProvider("https://api.anthropic.com", _MESSAGES, None, _ANTHROPIC),
    "openai-codex": BuiltInProvider("https://chatgpt.com/backend-api", "openai-codex-responses", "gpt-5.6-sol"),
    "github-copilot": BuiltInProvider(
        "https://api.individual.githubcopilot.com", None, "claude-sonnet-4.6", _keys("COPILOT_GITHUB_TOKEN")
    ),
    "openai": BuiltInProvider("https://api.openai.com/v1", _RESPONSES, "gpt-5.4", _keys("OPENAI_API_KEY")),
    "google": BuiltInProvider(
        "https://generativelanguage.googleapis.com/v1beta",
        "google-generative-ai",
        "gemini-3.1-pro-preview",
        _keys("GEMINI_API_KEY"),
    ),
    "google-vertex": BuiltInProvider(None, "google-vertex", "gemini-3.1-pro-preview", _VERTEX),
    "xai": BuiltInProvider("https://api.x.ai/v1", _RESPONSES, "grok-4.3", _keys("XAI_API_KEY")),
    "openrouter": BuiltInProvider(
        "https://openrouter.ai/api/v1", _COMPLETIONS, "z-ai/glm-5.1", _keys("OPENROUTER_API_KEY")
    ),
    "groq": BuiltInProvider(
        "https://api.groq.com/openai/v1", _COMPLETIONS, "openai/gpt-oss-120b", _keys("GROQ_API_KEY")
    ),
    "cerebras": BuiltInProvider("https://api.cerebras.ai/v1", _COMPLETIONS, "gpt-oss-120b", _keys("CEREBRAS_API_KEY")),
    "mistral": BuiltInProvider(
        "https://api.mistral.ai/v1", "mistral-conversations", "devstral-medium-latest", _keys("MISTRAL_API_KEY")
    ),
    "deepseek": BuiltInProvider("https://api.deepseek.com", _COMPLETIONS, "deepseek-v4-pro", _keys("DEEPSEEK_API_KEY")),
    "fireworks": BuiltInProvider(
        "https://api.fireworks.ai/inference/v1",
        _COMPLETIONS,
        "accounts/fireworks/models/minimax-m3",
        _keys("FIREWORKS_API_KEY"),
    ),
    "together": BuiltInProvider(
        "https://api.together.xyz/v1", _COMPLETIONS, "openai/gpt-oss-120b", _keys("TOGETHER_API_KEY")
    ),
    "zai": BuiltInProvider("https://api.z.ai/api/coding/paas/v4", None, "glm-5-turbo", _keys("ZAI_API_KEY")),
    "zai-coding-cn": BuiltInProvider(
        "https://open.bigmodel.cn/api/coding/paas/v4", None, "glm-5.3", _keys("ZAI_CODING_CN_API_KEY")
    ),
    "kimi-coding": BuiltInProvider("https://api.kimi.com/coding/v1", None, "kimi-for-coding", _keys("KIMI_API_KEY")),
    "moonshotai": BuiltInProvider("https://api.moonshot.ai/v1", _COMPLETIONS, "kimi-k2.6", _keys("MOONSHOT_API_KEY")),
    "moonshotai-cn": BuiltInProvider("https://api.moonshot.cn/v1", _COMPLETIONS, "kimi-k2.6"),
    "minimax": BuiltInProvider("https://api.minimax.io/anthropic", None, "MiniMax-M2.7", _keys("MINIMAX_API_KEY")),
    "minimax-cn": BuiltInProvider(
        "https://api.minimaxi.com/anthropic", None, "MiniMax-M2.7", _keys("MINIMAX_CN_API_KEY")
    ),
    "opencode": BuiltInProvider("https://opencode.ai/zen/v1", None, "gpt-5.4", _keys("OPENCODE_API_KEY")),
    "opencode-go": BuiltInProvider("https://opencode.ai/zen/go/v1", None, "minimax-m3"),
    "vercel-ai-gateway": BuiltInProvider(
        "https://ai-gateway.vercel.sh", None, "zai/glm-5.1", _keys("AI_GATEWAY_API_KEY")
    ),
    "huggingface": BuiltInProvider("https://router.huggingface.co/v1", None, "zai-org/GLM-5.1", _keys("HF_TOKEN")),
    "amazon-bedrock": BuiltInProvider(None, "bedrock-converse-stream", "us.anthropic.claude-sonnet-4-6", _BEDROCK),
    "azure": BuiltInProvider(
        None, _AZURE, "gpt-5.4", (EnvironmentSource("AZURE_OPENAI_API_KEY", since=_AZURE_RENAMED),)
    ),
    "azure-openai-responses": BuiltInProvider(
        None, _AZURE, "gpt-5.4", (EnvironmentSource("AZURE_OPENAI_API_KEY", until=_AZURE_RENAMED),)
    ),
    "cloudflare-ai-gateway": BuiltInProvider(
        "https://gateway.ai.cloudflare.com/v1",
        None,
        None,
        (EnvironmentSource("CLOUDFLARE_API_KEY", ("CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_GATEWAY_ID")),),
    ),
    "cloudflare-workers-ai": BuiltInProvider(
        "https://api.cloudflare.com/client/v4",
        None,
        None,
        (EnvironmentSource("CLOUDFLARE_API_KEY", ("CLOUDFLARE_ACCOUNT_ID",)),),
    ),
    "xiaomi": BuiltInProvider("https://api.xiaomimimo.com/v1", None, None, _keys("XIAOMI_API_KEY")),
    "xiaomi-token-plan-cn": BuiltInProvider(
        "https://token-plan-cn.xiaomimimo.com/v1", None, None, _keys("XIAOMI_TOKEN_PLAN_CN_API_KEY")
    ),
    "xiaomi-token-plan-ams": BuiltInProvider(
        "https://token-plan-ams.xiaomimimo.com/v1", None, None, _keys("XIAOMI_TOKEN_PLAN_AMS_API_KEY")
    ),
    "xiaomi-token-plan-sgp": BuiltInProvider(
        "https://token-plan-sgp.xiaomimimo.com/v1", None, None, _keys("XIAOMI_TOKEN_PLAN_SGP_API_KEY")
    ),
    "qwen-token-plan": BuiltInProvider(_QWEN, None, None, _qwen("TEAM", "QWEN_TOKEN_PLAN_API_KEY")),
    "qwen-token-plan-cn": BuiltInProvider(_QWEN_CN, None, None, _qwen("TEAM_CN", "QWEN_TOKEN_PLAN_CN_API_KEY")),
    "qwen-token-plan-individual": BuiltInProvider(_QWEN, None, None, _qwen("INDIVIDUAL")),
    "qwen-token-plan-individual-cn": BuiltInProvider(_QWEN_CN, None, None, _qwen("INDIVIDUAL_CN")),
    "nvidia": BuiltInProvider("https://integrate.api.nvidia.com/v1", None, None, _keys("NVIDIA_API_KEY")),
    "baseten": BuiltInProvider("https://inference.baseten.co/v1", None, None, _keys("BASETEN_API_KEY")),
    "meta": BuiltInProvider("https://api.meta.ai/v1", None, None, _keys("META_API_KEY")),
    "ant-ling": BuiltInProvider("https://api.ant-ling.com/v1", None, None, _keys("ANT_LING_API_KEY")),
    "radius": BuiltInProvider("https://radius.pi.dev/v1", None, None, _keys("RADIUS_API_KEY")),
}
