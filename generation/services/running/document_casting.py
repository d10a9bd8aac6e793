"""Which personas of documents ask in a run: the engine's casting, with the rows that it needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import QuerySet

from datasets.models import Passage, Persona
from generation.engine.personas import Casting, Grown, cast
from generation.engine.recipe import Recipe
from generation.engine.sampling import SlotPlan


def versions_of(spec: Recipe) -> dict[int, int]:
    """The version in use of each persona of the corpus's documents; none where the recipe leaves them out."""
    return dict(_grown(spec).values_list("pk", "current_id"))


def cast_by_document(spec: Recipe, plans: Iterable[SlotPlan], *, passages: int, slots: int) -> Iterable[SlotPlan]:
    """The `plans` with the personas of their documents, where those have any and the recipe wants them."""
    grown: dict[int, list[Grown]] = defaultdict(list)
    for document, persona, depth in _grown(spec).order_by("depth", "pk").values_list("document_id", "pk", "depth"):
        grown[document].append(Grown(persona, depth))
    if not grown:
        return plans
    documents = dict(Passage.objects.filter(document__in=grown).values_list("pk", "document_id"))
    return cast(
        plans,
        Casting(grown, documents, passages),
        seed=spec.seed,
        requested=slots,
        visits=spec.visits,
        contexts=spec.contexts,
        batch=spec.questions.batch,
    )


def _grown(spec: Recipe) -> QuerySet[Persona]:
    personas = Persona.objects.usable()
    wanted = spec.grown_personas and spec.corpus is not None
    return personas.filter(document__corpus=spec.corpus, current__isnull=False) if wanted else personas.none()
