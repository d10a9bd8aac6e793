"""The whole configuration of a run, as data: validated, stored as jsonb, readable as YAML.

A recipe names rows of the project by id; `generation.adapters` resolves them when a run starts and freezes what it found.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .protocols import ModelRole


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ModelChoice(Part):
    """Which model speaks in a role. An empty `model` means the endpoint's own default."""

    endpoint: int
    model: str = ""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=200_000)] | None = None


class Retrieval(Part):
    """What the respondent sees. `when`: never, once a dialog (by its first question), or before every answer."""

    when: Literal["never", "dialog", "answer"] = "answer"
    depth: Annotated[int, Field(ge=1, le=50)] = 4
    """How many passages are retrieved."""
    with_context: bool = True
    """Whether the passages that the question was written from are given to the respondent as well."""


class Budget(Part):
    """Where to stop: total tokens (prompt + completion) and money in the endpoints' currency; None is no limit."""

    tokens: Annotated[int, Field(ge=1)] | None = None
    money: Annotated[Decimal, Field(gt=0, max_digits=12, decimal_places=4)] | None = None


class Recipe(Part):
    """Everything that a run is made from. Ids are primary keys of rows of the same project."""

    corpus: int | None
    """None makes ungrounded dialogs, on purpose."""
    respondent_prompt: int
    correspondent_prompt: int | None = None
    """None uses the built-in, general simulated user."""
    instruction_prompt: int | None = None
    """None uses the built-in instruction writer."""
    personas: tuple[int, ...] = ()
    models: dict[ModelRole, ModelChoice]
    conversations: Annotated[int, Field(ge=1, le=100_000)] = 20
    max_turns: Annotated[int, Field(ge=1, le=50)] = 3
    contexts: Annotated[int, Field(ge=1, le=20)] = 1
    """Passages that each first question is written from."""
    retrieval: Retrieval = Retrieval()
    judge: bool = False
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 8
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _every_role_has_a_model(self) -> Recipe:
        needed = {"instruction", "correspondent", "respondent"} | ({"judge"} if self.judge else set())
        missing = sorted(needed - set(self.models))
        if missing:
            raise ValueError(f"Choose an endpoint for: {', '.join(missing)}.")
        if self.corpus is None and self.retrieval.when != "never":
            raise ValueError("Retrieval needs a corpus: choose one, or set retrieval to never.")
        return self
