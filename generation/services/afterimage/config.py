"""What a config file of the AfterImage library may say: every key, its default, and the rules between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Provider = Literal["gemini", "openai", "deepseek", "openrouter", "local"]
NEEDED = {"directory": "path", "file": "path", "jsonl": "path", "qdrant": "collection"}
"""What each kind of documents cannot do without."""
DEEPEST = 8


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


# -- stopping -----------------------------------------------------------------------------------------------------------


class Fixed(Section):
    type: Literal["fixed"] = "fixed"
    n: int = Field(ge=1)


class ContextCoverage(Section):
    type: Literal["context_coverage"] = "context_coverage"
    target_visits: int = Field(1, ge=1)
    coverage_threshold: float = Field(1.0, gt=0, le=1)


class PersonaUsage(Section):
    type: Literal["persona_usage"] = "persona_usage"
    n_personas: int = Field(ge=1)


class TokenBudget(Section):
    type: Literal["budget"] = "budget"
    max_prompt_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    max_total_tokens: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _has_a_limit(self) -> TokenBudget:
        if not (self.max_prompt_tokens or self.max_completion_tokens or self.max_total_tokens):
            raise ValueError("A budget needs a limit: max_prompt_tokens, max_completion_tokens or max_total_tokens.")
        return self


class RateLimit(Section):
    type: Literal["rate_limit"] = "rate_limit"
    max_error_rate: float = Field(0.5, gt=0, le=1)
    min_samples: int = Field(10, ge=1)


class All(Section):
    type: Literal["all"] = "all"
    conditions: Annotated[list[Stopping], Field(min_length=1)]


Stopping = Annotated[
    Fixed | ContextCoverage | PersonaUsage | TokenBudget | RateLimit | All, Field(discriminator="type")
]


def rules_in(rules: Sequence[Stopping]) -> Iterator[Stopping]:
    """All rules, those inside others too."""
    for rule in rules:
        yield rule
        if isinstance(rule, All):
            yield from rules_in(rule.conditions)


def _depth(rules: Sequence[Stopping]) -> int:
    return max((1 + _depth(rule.conditions) for rule in rules if isinstance(rule, All)), default=0)


# -- sections -----------------------------------------------------------------------------------------------------------


class Generation(Section):
    num_dialogs: int | None = Field(10, ge=1)
    max_turns: int = Field(1, ge=1)
    max_concurrency: int | None = Field(None, ge=1)
    stopping: list[Stopping] = []

    @model_validator(mode="after")
    def _ends_some_time(self) -> Generation:
        if self.num_dialogs is None and not self.stopping:
            raise ValueError("Nothing ends the run: set num_dialogs, or add a rule under stopping.")
        if _depth(self.stopping) > DEEPEST:
            raise ValueError(f"Stopping rules may stand inside each other {DEEPEST} levels deep: flatten them.")
        return self


class Model(Section):
    provider: Provider = "gemini"
    model_name: str = "gemini-2.0-flash"
    api_key_env: str | None = None
    base_url: str | None = None


class Respondent(Section):
    system_prompt: str | None = None
    system_prompt_file: str | None = None

    @model_validator(mode="after")
    def _has_one_prompt(self) -> Respondent:
        if self.system_prompt is None and self.system_prompt_file is None:
            raise ValueError("The assistant has no prompt: give system_prompt or system_prompt_file.")
        if self.system_prompt is not None and self.system_prompt_file is not None:
            raise ValueError("Give either system_prompt or system_prompt_file, not both.")
        return self


class Documents(Section):
    provider: Literal["directory", "file", "jsonl", "qdrant"] = "directory"
    path: str | None = None
    collection: str | None = None
    url: str | None = None
    content_key: str = "text"
    preserve_ids: bool = False
    include_metadata: bool = False

    @model_validator(mode="after")
    def _says_where_they_are(self) -> Documents:
        needed = NEEDED[self.provider]
        if not getattr(self, needed):
            raise ValueError(f"Documents of the kind “{self.provider}” need a {needed}.")
        return self


class Context(Section):
    enabled: bool = True
    num_random_contexts: int = Field(2, ge=1)
    n_instructions: int = Field(3, ge=1)


class Personas(Section):
    enabled: bool = False
    n_iterations: int | None = Field(None, ge=0)


class Quality(Section):
    auto_improve: bool = False


class Skills(Section):
    enabled: bool = False
    path: str = "./skills"
    mode: Literal["context_id"] = "context_id"


class Analytics(Section):
    auto_analyze: bool = False
    output_path: str | None = None


class Export(Section):
    formats: list[str] = []
    output_dir: str | None = None
    split: float | None = Field(None, gt=0, lt=1)
    shuffle: bool = True
    seed: int = 42


class Output(Section):
    path: str = "./afterimage_output.jsonl"
    storage: Literal["jsonl", "sql"] = "jsonl"
    export: Export | None = None


class Preference(Section):
    num_pairs: int = Field(10, ge=1)
    num_responses: int = Field(2, ge=2, le=8)
    min_score_gap: float = Field(0.1, ge=0, le=1)
    strategy: Literal["temperature", "prompt", "model", "combined"] = "temperature"
    secondary_model: str | None = None
    multi_turn: bool = False
    max_concurrency: int | None = Field(None, ge=1)
    output_format: Literal["dpo", "chat_dpo", "ultrafeedback", "anthropic_hh", "orpo"] = "dpo"
    output_path: str = "./preferences.jsonl"
    save_log: bool = False


class Config(Section):
    generation: Generation = Generation()
    model: Model = Model()
    respondent: Respondent
    documents: Documents | None = None
    context: Context = Context()
    personas: Personas = Personas()
    quality: Quality = Quality()
    skills: Skills = Skills()
    output: Output = Output()
    analytics: Analytics = Analytics()
    preference: Preference | None = None
    skill: dict[str, Any] | None = None
    """Read by the library's discovery of skills alone."""

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Config:
        if self.personas.enabled and self.documents is None:
            raise ValueError("Personas come from documents: add a documents section, or switch personas off.")
        if self.documents is not None and not self.context.enabled:
            raise ValueError("There are documents, but context.enabled is false: set it to true, or remove them.")
        kinds = {rule.type for rule in rules_in(self.generation.stopping)}
        if "context_coverage" in kinds and self.documents is None:
            raise ValueError("A context_coverage rule needs a documents section: add one, or leave the rule out.")
        if "persona_usage" in kinds and not self.personas.enabled:
            raise ValueError(
                "A persona_usage rule needs personas.enabled to be true: switch it on, or leave the rule out."
            )
        return self

    @property
    def num_requested(self) -> int | None:
        """How many conversations are wanted: what the first rule of a fixed number says, or else num_dialogs."""
        fixed = (rule.n for rule in self.generation.stopping if isinstance(rule, Fixed))
        return next(fixed, self.generation.num_dialogs)
