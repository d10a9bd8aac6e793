"""What a run was made from, copied into it when it started: later edits of prompts or endpoints do not change it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from datasets.schema import Operation, Step, ToolSpec
from generation.engine.protocols import ModelRole

ROLE_OF: dict[Operation, ModelRole] = {
    "instruction": "instruction",
    "question": "correspondent",
    "answer": "respondent",
    "improve": "respondent",
    "row": "respondent",
    "tool_result": "correspondent",
    "judge": "judge",
}

SECOND = "second"
"""Whom the other model of preference pairs speaks as; all others speak as their roles."""


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FrozenText(Part):
    """A prompt version: its row, and its words."""

    id: int
    name: str
    version: int
    text: str


class FrozenModel(Part):
    """The model of one role. Prices are for a million tokens."""

    endpoint: int
    endpoint_name: str
    model: str
    offline: bool = False
    prompt_price: Decimal = Decimal(0)
    completion_price: Decimal = Decimal(0)

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        return (self.prompt_price * prompt_tokens + self.completion_price * completion_tokens) / 1_000_000


def spoken_by(step: Step, models: Mapping[ModelRole, FrozenModel], second: FrozenModel | None = None) -> FrozenModel:
    """The model that a call went to: `second`, or that of a role.

    A component from outside may not say whom it speaks as: then it is who does such work, or who has that name.
    """
    speakers = {str(role): model for role, model in models.items()}
    if second:
        speakers[SECOND] = second
    if speaker := speakers.get(step.speaker):
        return speaker
    usual = speakers.get(ROLE_OF.get(step.operation, ""), speakers["respondent"])
    return next((model for model in (usual, *speakers.values()) if model.model == step.model), usual)


class FrozenCriterion(Part):
    """A criterion of the project, as the judge is told of it."""

    id: int
    name: str
    description: str
    weight: float = 1.0
    needs_passages: bool = False


class Expected(Part):
    """What one conversation was reckoned to take when the run was launched: tokens in all, and money."""

    tokens: float = 0
    money: Decimal = Decimal(0)


NAMED = 20
"""So many personas are told by name."""


class FrozenCast(Part):
    """Who asks, as the run's page tells of it: how many, and the first of them by name. Slots point to what each says."""

    total: int = 0
    names: tuple[str, ...] = ()


class Frozen(Part):
    corpus_name: str = ""
    expected: Expected = Expected()
    respondent: FrozenText
    correspondent: FrozenText | None = None
    instruction: FrozenText | None = None
    cast: FrozenCast = FrozenCast()
    personas: dict[int, FrozenText] = {}
    """Of runs that were launched when the texts of personas were copied: their slots point to no version of them."""
    models: dict[ModelRole, FrozenModel]
    second: FrozenModel | None = None
    """The other model of preference pairs."""
    embedding: FrozenModel | None = None
    """The embedding model that the judge compares texts by."""
    searched_by: tuple[FrozenModel, ...] = ()
    """The embedding models of the corpora that answers are looked up in."""
    tools: tuple[ToolSpec, ...] = ()
    criteria: tuple[FrozenCriterion, ...] = ()

    @property
    def offline(self) -> bool:
        return any(model.offline for model in self.models.values()) or bool(self.second and self.second.offline)

    @property
    def endpoints(self) -> set[int]:
        """Every endpoint that is spoken to."""
        models = [*self.models.values(), *self.embedders]
        return {model.endpoint for model in (*models, self.second) if model is not None}

    @property
    def embedders(self) -> tuple[FrozenModel, ...]:
        """What turns texts into vectors, with the prices of that."""
        return (*self.searched_by, self.embedding) if self.embedding else self.searched_by

    def spoken_by(self, step: Step) -> FrozenModel:
        """The model that a call went to."""
        return spoken_by(step, self.models, self.second)
