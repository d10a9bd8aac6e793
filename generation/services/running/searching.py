"""Which of the corpora that a recipe retrieves from nothing can be found in as they stand."""

from __future__ import annotations

from datasets.models import AdoptedCollection, Corpus, Project
from datasets.services.collecting.adopted_index import NO_MODEL, NO_VECTOR
from generation.engine.recipe import Recipe


def unsearchable(*, project: Project, spec: Recipe) -> list[tuple[Corpus, str]]:
    """Adopted corpora that a run of the recipe would be refused for, each with what is missing: their vectors, or the
    embedding model that these were made with. Nothing is asked of any server."""
    rows = project.corpora.filter(pk__in=spec.searched, embedding=None)
    return [(row, _trouble(row.adopted)) for row in rows.select_related("adopted") if row.adopted]


def _trouble(adopted: AdoptedCollection) -> str:
    return (NO_VECTOR if adopted.size is None else NO_MODEL).format(adopted.collection)
