"""What a recipe makes, as parts of the engine: who answers, who asks, and what becomes of a dialog."""

from __future__ import annotations

from collections.abc import Mapping

from generation.engine.dialog import DialogMaker
from generation.engine.pairs import PairMaker, ways_of
from generation.engine.protocols import Maker, ModelRole, Respondent, Simulator, Speaker
from generation.engine.recipe import Pairs, Recipe, Rows, ToolDialogs
from generation.engine.respondents import Speaking, ToolResults, ToolUsing
from generation.engine.rows import FormFilling, Nobody, RowMaker
from generation.engine.simulators import Correspondent


def respondent_of(spec: Recipe, speakers: Mapping[ModelRole, Speaker]) -> Respondent:
    """The results of tools are made up by the correspondent's model."""
    speaker = speakers["respondent"]
    if isinstance(spec.product, Rows):
        return FormFilling(speaker, spec.product.form)
    if isinstance(spec.product, ToolDialogs):
        return ToolUsing(speaker, ToolResults(speakers["correspondent"]))
    return Speaking(speaker)


def simulator_of(spec: Recipe, speakers: Mapping[ModelRole, Speaker], prompt: str) -> Simulator:
    return Nobody() if isinstance(spec.product, Rows) else Correspondent(speakers["correspondent"], prompt)


def maker_of(spec: Recipe, dialogs: DialogMaker, respondent: Speaker, second: Speaker | None) -> Maker:
    """`second` is the other model of preference pairs, where the recipe names one."""
    if isinstance(spec.product, Rows):
        return RowMaker.of(dialogs)
    if isinstance(spec.product, Pairs):
        return PairMaker(dialogs, ways_of(spec.product, respondent, second))
    return dialogs
