"""Who speaks in an improvement: for each batch the models and prices of its beginning."""

from __future__ import annotations

from decimal import Decimal

from datasets.schema import Step
from generation.engine.protocols import ModelRole
from generation.engine.recipe import ModelChoice
from generation.frozen import ROLE_OF, FrozenModel, Part


class Cast(Part):
    """`choices` say how each role is asked, `models` what that means."""

    choices: dict[ModelRole, ModelChoice]
    models: dict[ModelRole, FrozenModel]

    @property
    def offline(self) -> bool:
        return any(model.offline for model in self.models.values())

    def spoken_by(self, step: Step) -> FrozenModel:
        return self.models[ROLE_OF[step.operation]]

    def cost(self, step: Step) -> Decimal:
        return self.spoken_by(step).cost(step.prompt_tokens, step.completion_tokens)


class Casts(Part):
    """Batches often share a cast, so each stands here once."""

    casts: tuple[Cast, ...] = ()
    of_batch: dict[int, int] = {}

    def of(self, batch: int) -> Cast:
        return self.casts[self.of_batch[batch]]
