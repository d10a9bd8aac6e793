"""The people of a corpus's documents, as a run casts its conversations with them."""

from __future__ import annotations

from collections import defaultdict

from datasets.models import Passage, Persona
from generation.engine.personas import Casting, Grown


def casting_of(corpus: int) -> Casting:
    """The usable personas of each document of the corpus. Documents without any are left out."""
    grown: dict[int, list[Grown]] = defaultdict(list)
    people = Persona.objects.usable().filter(document__corpus=corpus).order_by("depth", "pk")
    for document, persona, depth in people.values_list("document", "pk", "depth"):
        grown[document].append(Grown(persona, depth))
    passages = Passage.objects.filter(corpus=corpus)
    documents = dict(passages.filter(document__in=list(grown)).values_list("pk", "document"))
    return Casting(grown=dict(grown), documents=documents, passages=passages.count())
