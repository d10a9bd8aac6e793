"""What a run was made from, copied into it when it started: later edits of prompts or endpoints do not change it."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from datasets.schema import Operation
from generation.engine.protocols import ModelRole

ROLE_OF: dict[Operation, ModelRole] = {
    "instruction": "instruction",
    "question": "correspondent",
    "answer": "respondent",
    "judge": "judge",
}


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


class Expected(Part):
    """What one conversation was reckoned to take when the run was launched: tokens in all, and money."""

    tokens: float = 0
    money: Decimal = Decimal(0)


class Frozen(Part):
    corpus_name: str = ""
    expected: Expected = Expected()
    respondent: FrozenText
    correspondent: FrozenText | None = None
    instruction: FrozenText | None = None
    personas: dict[int, FrozenText] = {}
    models: dict[ModelRole, FrozenModel]

    @property
    def offline(self) -> bool:
        return any(model.offline for model in self.models.values())
