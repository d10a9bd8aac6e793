"""From conversations that exist to what makes them anew: the run's own components, where there is a run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TypeVar

from asgiref.sync import sync_to_async

from datasets.models import Corpus
from datasets.schema import Dialog
from generation.casts import Cast, Casts
from generation.engine import prompts
from generation.engine.dialog import DialogMaker
from generation.engine.errors import DialogError, FatalError
from generation.engine.judging import Judging
from generation.engine.mending import Mending, Remembered, passages_of
from generation.engine.protocols import Brief, ModelRole, PersonaSketch, Verdict
from generation.engine.recipe import Dialogs, ModelChoice, Product, Questions, Recipe, Retrieval, Rows, ToolDialogs
from generation.engine.rows import RowMaker
from generation.frozen import Frozen, FrozenModel, FrozenText
from generation.models import Run

from .making import Press, open_press
from .metering import Meter

Chosen = TypeVar("Chosen", ModelChoice, FrozenModel)

NOBODY = FrozenText(id=0, name="", version=0, text="")


@dataclass(frozen=True, slots=True)
class Commission:
    """One conversation to be mended, and what its judge said last."""

    batch: int
    base: Dialog
    verdict: Verdict | None
    persona: PersonaSketch | None
    seed: int


@dataclass(frozen=True, slots=True)
class _Bench:
    press: Press
    frozen: Frozen
    asks: bool
    """Whether passages are looked up; else those of the trace are given."""


class Workshop:
    """Makers for the conversations of an improvement. Those of one batch share their components."""

    def __init__(
        self, wanted: Mending, casts: Casts, stack: AsyncExitStack, hear: Callable[[str], None], meter: Meter
    ) -> None:
        """`hear` is told why something is tried again, `meter` what is asked of embedding models."""
        self._wanted, self._casts, self._stack, self._hear, self._meter = wanted, casts, stack, hear, meter
        self._benches: dict[tuple[int, bool], _Bench] = {}
        self._one_at_a_time = asyncio.Lock()

    async def prepare(self, work: Commission) -> tuple[DialogMaker, Brief]:
        """Raises Undecryptable and FatalError as `open_press` does."""
        bench = await self._bench(work)
        maker = bench.press.maker
        if not isinstance(maker, DialogMaker):
            raise FatalError("What this run made cannot be made anew answer by answer.")
        if work.base.output is not None and not isinstance(maker, RowMaker):
            raise DialogError(
                "It is a row of a schema that is not known here: only the run that made it can do so anew."
            )
        own = bench.frozen.respondent.text
        prompt = own if work.base.system_prompt == prompts.ungrounded(own) else work.base.system_prompt
        maker = replace(maker, prompt=prompt, improvement=None)
        if not bench.asks:
            maker = replace(maker, modifier=Remembered())
        return maker, _brief(work, retrieved=not bench.asks)

    async def _bench(self, work: Commission) -> _Bench:
        key = (work.batch, bool(work.base.tools))
        async with self._one_at_a_time:
            if key not in self._benches:
                self._benches[key] = await self._open(*key)
            return self._benches[key]

    async def _open(self, batch: int, tools: bool) -> _Bench:
        cast = self._casts.of(batch)
        run = await Run.objects.filter(batch=batch).afirst()
        spec = await sync_to_async(_spec)(run, cast, self._wanted, tools)
        frozen = Frozen.model_validate(run.frozen) if run else Frozen(respondent=NOBODY, models=cast.models)
        frozen = frozen.model_copy(update={"models": _with_writer(cast.models), "second": None})
        press = await self._stack.enter_async_context(open_press(spec, frozen, meter=self._meter))
        press.switchboard.set_lines(self._wanted.concurrency)
        press.switchboard.hear = self._hear
        return _Bench(press, frozen, asks=spec.retrieval.when != "never")


def _brief(work: Commission, *, retrieved: bool) -> Brief:
    return Brief(
        seed=work.seed,
        turns=work.base.turns,
        contexts=passages_of(work.base, retrieved=retrieved),
        persona=work.persona,
        tools=work.base.tools,
    )


def _with_writer(models: dict[ModelRole, Chosen]) -> dict[ModelRole, Chosen]:
    """No question is written anew, but a recipe names who would."""
    return models | {"instruction": models["respondent"]}


def _spec(run: Run | None, cast: Cast, wanted: Mending, tools: bool) -> Recipe:
    """The recipe of the run, for dialogs that exist; what nobody recorded is as usual."""
    spec = Recipe.model_validate(run.spec) if run else None
    if spec is None or not _stands(spec.corpus):
        retrieval, corpus = Retrieval(when="never"), None
    else:
        retrieval, corpus = spec.retrieval, spec.corpus
    return Recipe(
        corpus=corpus,
        respondent_prompt=spec.respondent_prompt if spec else 0,
        models=_with_writer(cast.choices),
        product=_product(spec, tools),
        questions=Questions(distinct=False),
        retrieval=retrieval,
        judge=judging_of(spec) if wanted.judge else None,
        hooks=spec.hooks if spec else (),
        concurrency=wanted.concurrency,
    )


def _product(spec: Recipe | None, tools: bool) -> Product:
    """Rows stay rows of the run's schema; which tools there are stands in each brief."""
    if tools:
        return ToolDialogs(tools=(0,))
    return spec.product if spec and isinstance(spec.product, Rows) else Dialogs()


def judging_of(spec: Recipe | None) -> Judging:
    """As the run judged, so that the scores before and after compare."""
    return (spec.judge if spec else None) or Judging()


def _stands(corpus: int | None) -> bool:
    return corpus is None or Corpus.objects.filter(pk=corpus).exists()
