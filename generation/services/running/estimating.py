"""What a recipe will take, reckoned from the project's own texts, prices and latest latencies; without embeddings."""

from __future__ import annotations

from django.db.models import Avg
from django.db.models.functions import Length

from datasets.models import Passage, Project
from generation.engine.estimate import Estimate, Speech, Texts, estimate
from generation.engine.recipe import Recipe
from generation.engine.sampling import slots_for_visits
from generation.frozen import Frozen, FrozenModel
from generation.models import Call
from generation.services.running import persona_pool
from generation.services.running.freezing import freeze

SAMPLE = 500
"""Rows that a mean is taken over."""
OFFLINE_LATENCY = 0.01


def estimate_recipe(*, project: Project, spec: Recipe) -> Estimate:
    """Raises Refused when the recipe names what the project does not have."""
    frozen = freeze(project=project, spec=spec)
    passages = Passage.objects.filter(corpus=spec.corpus).count() if spec.visits else 0
    return estimate_frozen(project=project, spec=spec, frozen=frozen, slots=slots_of(spec, passages))


def slots_of(spec: Recipe, passages: int) -> int:
    """How many conversations a run of the recipe promises: never more than what its passages are to be asked about."""
    if not spec.visits:
        return spec.most_conversations
    enough = slots_for_visits(passages, spec.visits, contexts=spec.contexts, batch=spec.questions.batch)
    return min(spec.most_conversations, enough)


def estimate_frozen(*, project: Project, spec: Recipe, frozen: Frozen, slots: int) -> Estimate:
    speeches = {role: _speech(project, model) for role, model in frozen.models.items()}
    return estimate(spec, _texts(project, spec, frozen), speeches, slots)


def _texts(project: Project, spec: Recipe, frozen: Frozen) -> Texts:
    personas = [len(row.current.in_words) for row in persona_pool.sample(project=project, spec=spec, size=SAMPLE)]
    own = {
        role: len(text.text)
        for role, text in (("correspondent", frozen.correspondent), ("instruction", frozen.instruction))
        if text
    }
    return Texts(
        respondent=len(frozen.respondent.text),
        persona=sum(personas) // len(personas) if personas else 0,
        passage=_mean_passage(spec.corpus),
        **own,
    )


def _mean_passage(corpus: int | None) -> float:
    if corpus is None:
        return 0.0
    lengths = (
        Passage.objects.filter(corpus=corpus).order_by("pk").annotate(n=Length("text")).values_list("n", flat=True)
    )
    sample = list(lengths[:SAMPLE])
    return sum(sample) / len(sample) if sample else 0.0


def _speech(project: Project, model: FrozenModel) -> Speech:
    """With the mean latency of the latest calls to that model in this project, or a guess when there are none."""
    latest = Call.objects.filter(project=project, endpoint=model.endpoint, model=model.model).order_by("-pk")
    mean = Call.objects.filter(pk__in=list(latest.values_list("pk", flat=True)[:SAMPLE])).aggregate(
        ms=Avg("latency_ms")
    )["ms"]
    fallback = OFFLINE_LATENCY if model.offline else Speech().latency
    return Speech(model.prompt_price, model.completion_price, mean / 1000 if mean else fallback)
