"""From slots to briefs: the reserved passages and the persona, as the engine wants them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from datasets.models import Passage, PersonaVersion
from datasets.schema import Source, ToolSpec
from generation.engine.protocols import Brief, PersonaSketch
from generation.engine.recipe import Recipe, ToolDialogs
from generation.frozen import Frozen
from generation.models import Run, Slot


def briefs_for(run: Run, spec: Recipe, frozen: Frozen, slots: Sequence[Slot]) -> list[Brief]:
    """One brief a slot, in order. A passage that has been replaced since the launch gives way to another of the corpus."""
    sources = _sources({pk for slot in slots for pk in slot.context})
    people = _people({slot.persona_version_id for slot in slots if slot.persona_version_id})
    return [
        _brief(spec, frozen, slot, _contexts(run, slot, sources), people.get(slot.persona_version_id or 0))
        for slot in slots
    ]


def _people(versions: set[int]) -> dict[int, PersonaSketch]:
    """Personas by version."""
    rows = PersonaVersion.objects.select_related("persona").filter(pk__in=versions) if versions else []
    return {row.pk: PersonaSketch(row.persona.name, row.in_words) for row in rows}


def _brief(spec: Recipe, frozen: Frozen, slot: Slot, contexts: tuple[Source, ...], own: PersonaSketch | None) -> Brief:
    """`own` is what the slot points to; in runs of old that may be nothing, where the frozen recipe holds the text."""
    persona = frozen.personas.get(slot.persona_id) if slot.persona_id else None
    copied = PersonaSketch(name=persona.name, description=persona.text) if persona else None
    return Brief(
        seed=slot.seed,
        turns=slot.turns,
        contexts=contexts,
        persona=own or copied,
        slot=slot.pk or 0,
        questions=spec.questions.batch if slot.leads and slot.index % spec.questions.batch == 0 else 1,
        opening=slot.opening,
        scenario=_scenario(spec, slot.batch),
        tools=_tools(spec, frozen, slot.batch),
    )


def _scenario(spec: Recipe, batch: int) -> str:
    """One situation after the other, batch by batch, in an order that the seed shuffles anew each round."""
    scenarios = spec.questions.scenarios
    if not scenarios:
        return ""
    round_, place = divmod(batch, len(scenarios))
    order = random.Random(f"{spec.seed} scenarios {round_}").sample(range(len(scenarios)), len(scenarios))  # noqa: S311
    return scenarios[order[place]]


def _tools(spec: Recipe, frozen: Frozen, batch: int) -> tuple[ToolSpec, ...]:
    """Those that one batch is offered, drawn by the run's seed."""
    if not isinstance(spec.product, ToolDialogs):
        return ()
    chance = random.Random(f"{spec.seed} tools {batch}")  # noqa: S311 - a draw, not a secret
    return tuple(chance.sample(frozen.tools, min(spec.product.sample, len(frozen.tools))))


def _contexts(run: Run, slot: Slot, sources: dict[int, Source]) -> tuple[Source, ...]:
    found = [sources[pk] for pk in slot.context if pk in sources]
    gone = len(slot.context) - len(found)
    if gone:
        found += _substitutes(run, slot, gone)
    return tuple(found)


def _substitutes(run: Run, slot: Slot, count: int) -> list[Source]:
    """Drawn with the slot's own seed, so that the same slot draws the same ones again."""
    pks = list(Passage.objects.filter(corpus=run.corpus_id).order_by("pk").values_list("pk", flat=True))
    chosen = random.Random(slot.seed).sample(pks, min(count, len(pks)))  # noqa: S311 - a draw, not a secret
    found = _sources(set(chosen))
    return [found[pk] for pk in chosen if pk in found]


def _sources(pks: set[int]) -> dict[int, Source]:
    rows = Passage.objects.filter(pk__in=pks).values_list(
        "pk", "document_id", "document__title", "text", "start", "end", "page", "heading"
    )
    names = ("passage", "document", "title", "text", "start", "end", "page", "heading")
    return {row[0]: Source(**dict(zip(names, row, strict=True))) for row in rows}
