"""The providers that pi itself brings, which need no entry in models.json: a login or an environment key is enough.

Taken from pi 0.66 to 1.6 (`env-api-keys`, and the catalogue of models).
"""

from typing import Final, NamedTuple


class BuiltInProvider(NamedTuple):
    """A provider of pi: base URL and API of its models, one of them, and its environment keys in pi's order.

    `api` is None where pi uses several, or where no free request shows that a key is valid. `model` is one that most
    versions of pi list, the newest included; None where it is the policy's own, or none is known. A key that pi offers
    to two providers (`MOONSHOT_API_KEY`) is valid for one of them: only the first one has it here.
    """

    base_url: str | None = None
    api: str | None = None
    model: str | None = None
    variables: tuple[str, ...] = ()


_COMPLETIONS: Final = "openai-completions"
_RESPONSES: Final = "openai-responses"
_MESSAGES: Final = "anthropic-messages"

BUILT_IN: Final = {
    "anthropic": BuiltInProvider(
        "https://api.anthropic.com", _MESSAGES, None, ("ANTHROPIC_OAUTH_TOKEN", "ANTHROPIC_API_KEY")
    ),
    "openai-codex": BuiltInProvider("https://chatgpt.com/backend-api", "openai-codex-responses", "gpt-5.6-sol"),
    "github-copilot": BuiltInProvider(
        "https://api.individual.githubcopilot.com", None, "claude-sonnet-4.6", ("COPILOT_GITHUB_TOKEN",)
    ),
    "openai": BuiltInProvider("https://api.openai.com/v1", _RESPONSES, "gpt-5.4", ("OPENAI_API_KEY",)),
    "google": BuiltInProvider(
        "https://generativelanguage.googleapis.com/v1beta",
        "google-generative-ai",
        "gemini-3.1-pro-preview",
        ("GEMINI_API_KEY",),
    ),
    "google-vertex": BuiltInProvider(None, "google-vertex", "gemini-3.1-pro-preview", ("GOOGLE_CLOUD_API_KEY",)),
    "xai": BuiltInProvider("https://api.x.ai/v1", _RESPONSES, "grok-4.3", ("XAI_API_KEY",)),
    "openrouter": BuiltInProvider(
        "https://openrouter.ai/api/v1", _COMPLETIONS, "z-ai/glm-5.1", ("OPENROUTER_API_KEY",)
    ),
    "groq": BuiltInProvider("https://api.groq.com/openai/v1", _COMPLETIONS, "openai/gpt-oss-120b", ("GROQ_API_KEY",)),
    "cerebras": BuiltInProvider("https://api.cerebras.ai/v1", _COMPLETIONS, "gpt-oss-120b", ("CEREBRAS_API_KEY",)),
    "mistral": BuiltInProvider(
        "https://api.mistral.ai/v1", "mistral-conversations", "devstral-medium-latest", ("MISTRAL_API_KEY",)
    ),
    "deepseek": BuiltInProvider("https://api.deepseek.com", _COMPLETIONS, "deepseek-v4-pro", ("DEEPSEEK_API_KEY",)),
    "fireworks": BuiltInProvider(
        "https://api.fireworks.ai/inference/v1",
        _COMPLETIONS,
        "accounts/fireworks/models/minimax-m3",
        ("FIREWORKS_API_KEY",),
    ),
    "together": BuiltInProvider(
        "https://api.together.xyz/v1", _COMPLETIONS, "openai/gpt-oss-120b", ("TOGETHER_API_KEY",)
    ),
    "zai": BuiltInProvider("https://api.z.ai/api/coding/paas/v4", None, "glm-5-turbo", ("ZAI_API_KEY",)),
    "zai-coding-cn": BuiltInProvider(
        "https://open.bigmodel.cn/api/coding/paas/v4", None, "glm-5.3", ("ZAI_CODING_CN_API_KEY",)
    ),
    "kimi-coding": BuiltInProvider("https://api.kimi.com/coding/v1", None, "kimi-for-coding", ("KIMI_API_KEY",)),
    "moonshotai": BuiltInProvider("https://api.moonshot.ai/v1", _COMPLETIONS, "kimi-k2.6", ("MOONSHOT_API_KEY",)),
    "moonshotai-cn": BuiltInProvider("https://api.moonshot.cn/v1", _COMPLETIONS, "kimi-k2.6"),
    "minimax": BuiltInProvider("https://api.minimax.io/anthropic", None, "MiniMax-M2.7", ("MINIMAX_API_KEY",)),
    "minimax-cn": BuiltInProvider("https://api.minimaxi.com/anthropic", None, "MiniMax-M2.7", ("MINIMAX_CN_API_KEY",)),
    "opencode": BuiltInProvider("https://opencode.ai/zen/v1", None, "gpt-5.4", ("OPENCODE_API_KEY",)),
    "opencode-go": BuiltInProvider("https://opencode.ai/zen/go/v1", None, "minimax-m3"),
    "vercel-ai-gateway": BuiltInProvider("https://ai-gateway.vercel.sh", None, "zai/glm-5.1", ("AI_GATEWAY_API_KEY",)),
    "huggingface": BuiltInProvider("https://router.huggingface.co/v1", None, "zai-org/GLM-5.1", ("HF_TOKEN",)),
    "amazon-bedrock": BuiltInProvider(
        None, "bedrock-converse-stream", "us.anthropic.claude-sonnet-4-6", ("AWS_BEARER_TOKEN_BEDROCK",)
    ),
    "azure": BuiltInProvider(None, "azure-openai-responses"),
    "azure-openai-responses": BuiltInProvider(None, "azure-openai-responses"),
    "cloudflare-ai-gateway": BuiltInProvider("https://gateway.ai.cloudflare.com/v1"),
    "cloudflare-workers-ai": BuiltInProvider("https://api.cloudflare.com/client/v4"),
    "xiaomi": BuiltInProvider("https://api.xiaomimimo.com/v1", None, None, ("XIAOMI_API_KEY",)),
    "nvidia": BuiltInProvider("https://integrate.api.nvidia.com/v1", None, None, ("NVIDIA_API_KEY",)),
    "baseten": BuiltInProvider("https://inference.baseten.co/v1", None, None, ("BASETEN_API_KEY",)),
    "meta": BuiltInProvider("https://api.meta.ai/v1", None, None, ("META_API_KEY",)),
    "ant-ling": BuiltInProvider("https://api.ant-ling.com/v1", None, None, ("ANT_LING_API_KEY",)),
    "radius": BuiltInProvider("https://radius.pi.dev/v1", None, None, ("RADIUS_API_KEY",)),
}
