"""Model servers that people use, so that an endpoint is set up by choosing one. Model names are only suggestions."""

from __future__ import annotations

from dataclasses import dataclass, field

from .dialect import Dialect


@dataclass(frozen=True, slots=True)
class Preset:
    """What is known beforehand of a server. `help` is one sentence for the form."""

    label: str
    base_url: str
    help: str
    needs_key: bool = True
    needs_address: bool = True
    chat_models: tuple[str, ...] = ()
    embedding_models: tuple[str, ...] = ()
    dialect: Dialect = field(default_factory=Dialect)


_PROMPTED = Dialect(structured="prompt")

PRESETS: dict[str, Preset] = {
    "openai": Preset(
        label="OpenAI",
        base_url="https://api.openai.com/v1",
        help="Make a key at platform.openai.com, under API keys.",
        chat_models=("gpt-5.4-mini", "gpt-5.4-nano", "gpt-4.1-mini"),
        embedding_models=("text-embedding-3-small", "text-embedding-3-large"),
        dialect=Dialect(max_tokens_parameter="max_completion_tokens"),
    ),
    "gemini": Preset(
        label="Google Gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        help="Make a key at aistudio.google.com; its free tier allows only a few requests a minute.",
        chat_models=("gemini-3.5-flash", "gemini-2.5-flash", "gemini-2.5-flash-lite"),
        embedding_models=("gemini-embedding-001",),
    ),
    "deepseek": Preset(
        label="DeepSeek",
        base_url="https://api.deepseek.com/v1",
        help="Make a key at platform.deepseek.com; the account needs credit before the first call.",
        chat_models=("deepseek-v4-flash", "deepseek-v4-pro"),
        dialect=Dialect(structured="json_object"),
    ),
    "openrouter": Preset(
        label="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        help="One key from openrouter.ai for models of many makers, named maker/model.",
        chat_models=("openai/gpt-5.4-mini", "deepseek/deepseek-v4-flash", "mistralai/mistral-small-2603"),
    ),
    "anthropic": Preset(
        label="Anthropic",
        base_url="https://api.anthropic.com/v1",
        help="Make a key at console.anthropic.com; this speaks to its OpenAI-compatible address.",
        chat_models=("claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-4-7"),
        # Takes response_format and does not heed it.
        dialect=_PROMPTED,
    ),
    "mistral": Preset(
        label="Mistral",
        base_url="https://api.mistral.ai/v1",
        help="Make a key at console.mistral.ai.",
        chat_models=("mistral-small-latest", "mistral-medium-latest", "mistral-large-latest"),
        embedding_models=("mistral-embed",),
        # Its own name for the seed is another, and it refuses what it does not know.
        dialect=Dialect(without=frozenset({"seed"})),
    ),
    "vllm": Preset(
        label="vLLM",
        base_url="http://localhost:8000/v1",
        help="A server started with `vllm serve MODEL`; the model's name is that MODEL.",
        needs_key=False,
    ),
    "ollama": Preset(
        label="Ollama",
        base_url="http://localhost:11434/v1",
        help="A server started with `ollama serve`; get a model first with `ollama pull MODEL`.",
        needs_key=False,
        chat_models=("qwen3:8b", "gemma3:12b", "llama3.1:8b"),
        embedding_models=("nomic-embed-text", "bge-m3"),
    ),
    "llamacpp": Preset(
        label="llama.cpp",
        base_url="http://localhost:8080/v1",
        help="A server started with `llama-server -m FILE.gguf`; it has one model, so any name will do.",
        needs_key=False,
    ),
    "custom": Preset(
        label="Another server",
        base_url="",
        help="Any server that speaks the OpenAI API: its address usually ends in /v1.",
        needs_key=False,
    ),
    "offline": Preset(
        label="Offline model",
        base_url="",
        help="No model: questions and answers are cut out of your passages by rules, to try things without a key.",
        needs_key=False,
        chat_models=("offline",),
    ),
}
