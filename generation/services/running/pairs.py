"""What came of a run of preference pairs: read from the versions and judgements of its conversations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.db import connection
from django.db.models import Prefetch

from datasets.keyset import Page, keyset
from datasets.models import Conversation, Origin, Version
from datasets.preference import with_pairs
from generation.engine.recipe import Pairs, Recipe
from generation.models import Run

ROWS = 20
ONE_SIDED, WASTEFUL = 0.75, 0.40
"""From these shares on, the strategy is worth another thought."""

Only = Literal["", "valid", "discarded"]

# Each conversation of the batch once: its best and worst judged alternative, by the latest judgement of each. Answers
# that were given in the same way are of one kind, though each has a label of its own: enhanced, enhanced_2.
COMPARED = """
    WITH judged AS (
        SELECT DISTINCT ON (version.id) version.conversation_id, version.number, version.label, judgement.overall
        FROM datasets_version AS version
        JOIN datasets_conversation AS conversation ON conversation.id = version.conversation_id
        JOIN datasets_judgement AS judgement ON judgement.version_id = version.id AND judgement.overall IS NOT NULL
        WHERE conversation.batch_id = %(batch)s AND version.origin = 'alternative'
        ORDER BY version.id, judgement.id DESC
    ), compared AS (
        SELECT conversation_id, max(overall) AS chosen, min(overall) AS rejected,
               (array_agg(label ORDER BY overall DESC, number))[1] AS label
        FROM judged GROUP BY conversation_id
    )
    SELECT regexp_replace(label, '_[0-9]+$', '') AS kind, count(*), sum(chosen), sum(rejected) FROM compared
    WHERE chosen > rejected AND chosen - rejected >= %(gap)s - 1e-9 GROUP BY kind ORDER BY 2 DESC, 1
"""


@dataclass(frozen=True, slots=True)
class Report:
    """`valid` conversations make a pair, the others are kept all the same. Means are of those that make one."""

    gap: float
    attempted: int
    valid: int
    chosen: float | None
    rejected: float | None
    labels: dict[str, int]
    """How often an answer of each kind was the better one, most frequent first."""

    @property
    def discarded(self) -> int:
        return self.attempted - self.valid

    @property
    def discard_rate(self) -> float:
        return self.discarded / self.attempted if self.attempted else 0.0

    @property
    def mean_gap(self) -> float | None:
        return None if self.chosen is None or self.rejected is None else self.chosen - self.rejected

    @property
    def warnings(self) -> list[str]:
        if not self.attempted:
            return []
        if not self.valid:
            return ["No conversation makes a pair: its answers are scored too much alike for the gap."]
        found = []
        label, most = next(iter(self.labels.items()))
        if len(self.labels) < 2 or most / self.valid >= ONE_SIDED:
            found.append(
                f"“{label}” is the better answer in {most / self.valid:.0%} of the pairs: a model may learn its style."
            )
        if self.discard_rate > WASTEFUL:
            found.append(
                f"{self.discard_rate:.0%} of the conversations make no pair: try a smaller gap or another strategy."
            )
        return found


def product_of(run: Run) -> Pairs | None:
    """What the run was asked for, if that is pairs."""
    product = Recipe.model_validate(run.spec).product
    return product if isinstance(product, Pairs) else None


def report_of(run: Run, product: Pairs) -> Report:
    with connection.cursor() as cursor:
        cursor.execute(COMPARED, {"batch": run.batch_id, "gap": product.gap})
        rows: list[tuple[str, int, float, float]] = cursor.fetchall()
    labels = Counter({label: count for label, count, _, _ in rows})
    valid = labels.total()
    return Report(
        gap=product.gap,
        attempted=run.slots_done,
        valid=valid,
        chosen=sum(chosen for _, _, chosen, _ in rows) / valid if valid else None,
        rejected=sum(rejected for _, _, _, rejected in rows) / valid if valid else None,
        labels=dict(labels.most_common()),
    )


@dataclass(frozen=True, slots=True)
class Answer:
    version: int
    label: str
    text: str
    score: float | None
    error: str


@dataclass(frozen=True, slots=True)
class Pair:
    """The answers of one conversation, best first; `valid` if the first and the last are far enough apart."""

    conversation: Conversation
    question: str
    answers: Sequence[Answer]
    valid: bool

    @property
    def chosen(self) -> Answer | None:
        return self.answers[0] if self.answers else None

    @property
    def rejected(self) -> Answer | None:
        scored = [answer for answer in self.answers if answer.score is not None]
        return scored[-1] if len(scored) > 1 else None

    @property
    def beside(self) -> list[Answer]:
        """The two that are compared, or the first ones where no two have a score."""
        both = [self.chosen, self.rejected] if self.chosen and self.rejected else self.answers[:2]
        return [answer for answer in both if answer]

    @property
    def others(self) -> list[Answer]:
        return [answer for answer in self.answers if answer not in self.beside]

    @property
    def gap(self) -> float | None:
        if self.chosen is None or self.rejected is None or self.chosen.score is None or self.rejected.score is None:
            return None
        return self.chosen.score - self.rejected.score


def page_of_pairs(run: Run, product: Pairs, only: Only = "", **place: Any) -> Page[Any]:
    """Conversations, newest first, each with its `alternatives`; ROWS of them unless `place` gives another size."""
    rows = run.batch.conversations.all()
    valid = with_pairs(rows, run.project, product.gap)
    if only == "valid":
        rows = valid
    elif only == "discarded":
        rows = rows.exclude(pk__in=valid.values("pk"))
    alternatives = Version.objects.filter(origin=Origin.ALTERNATIVE).defer("trace", "search")
    versions = Prefetch(
        "versions", alternatives.prefetch_related("judgements").order_by("number"), to_attr="alternatives"
    )
    return keyset(rows.prefetch_related(versions), "pk", descending=True, **{"size": ROWS} | place)


def pair_of(conversation: Conversation, alternatives: Sequence[Version], product: Pairs) -> Pair:
    answers = sorted(
        map(_answer, alternatives), key=lambda answer: -1.0 if answer.score is None else answer.score, reverse=True
    )
    messages = alternatives[0].messages if alternatives else []
    asked = [message["content"] for message in messages if message["role"] == "user"]
    pair = Pair(conversation, asked[-1] if asked else "", answers, valid=False)
    valid = pair.gap is not None and pair.gap > 0 and pair.gap >= product.gap - 1e-9
    return Pair(conversation, pair.question, answers, valid)


def _answer(version: Version) -> Answer:
    judgements = list(version.judgements.all())
    scores = [judgement.overall for judgement in judgements if judgement.overall is not None]
    error = judgements[-1].error if judgements and not scores else ""
    text = version.messages[-1]["content"] if version.messages else ""
    return Answer(version.number, version.label, text, scores[-1] if scores else None, error)
