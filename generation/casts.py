"""Who speaks in an improvement: for each batch the models and prices of its beginning."""

from __future__ import annotations

from datasets.schema import Step
from generation.engine.protocols import ModelRole
from generation.engine.recipe import ModelChoice
from generation.frozen import FrozenModel, Part, spoken_by


class Cast(Part):
    """`choices` say how each role is asked, `models` what that means."""

    choices: dict[ModelRole, ModelChoice]
    models: dict[ModelRole, FrozenModel]

    @property
    def offline(self) -> bool:
        return any(model.offline for model in self.models.values())

    def spoken_by(self, step: Step) -> FrozenModel:
        """The model that a call went to."""
        return spoken_by(step, self.models)


class Casts(Part):
    """Batches often share a cast, so each stands here once."""

    casts: tuple[Cast, ...] = ()
    of_batch: dict[int, int] = {}

    def of(self, batch: int) -> Cast:
        return self.casts[self.of_batch[batch]]
