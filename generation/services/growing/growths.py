"""The life of a growth of personas, from its estimate to its end, as changes of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from django.db import transaction
from django.db.models import Avg, Count
from django.db.models.functions import Least

from datasets.models import Corpus, Document, Project, User
from datasets.models.corpora import DocumentQuerySet
from datasets.services.activity import record_activity
from datasets.services.errors import Refused
from generation.engine.estimate import CHARS_PER_TOKEN, MESSAGE_TOKENS
from generation.engine.personas import LONGEST_TEXT, calls_for, depth_for, personas_of, target_per_document
from generation.engine.prompts import personas as words
from generation.engine.protocols import PersonaSketch, Turn
from generation.models import Call, Endpoint, PersonaBranch, PersonaGrowth
from generation.services.work import pullers
from generation.services.work.orders import change_state, run_again

MOST_CALLS = 20_000
"""Of one growth. Whoever wants more begins another when it has ended."""
TYPICAL_STEP = 350
"""Completion tokens of five personas."""
TYPICAL_PERSONA = 250
"""Characters of a description."""
LATENCY, OFFLINE_LATENCY = 6.0, 0.05
"""Seconds a call, where none has been made yet."""
SAMPLE = 50
State = PersonaGrowth.State


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants grown. `chosen` documents, or all whose title has these `titles` words, but `most` of them.

    A `depth` of None follows from how many `conversations` the personas are for.
    """

    corpus: Corpus
    endpoint: Endpoint
    model: str = ""
    chosen: Sequence[int] = ()
    titles: str = ""
    most: int | None = None
    depth: int | None = 0
    conversations: int | None = None
    concurrency: int = 8


@dataclass(frozen=True, slots=True)
class Estimate:
    documents: int
    depth: int
    calls: int
    personas: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal
    seconds: float


def documents_of(order: Order) -> DocumentQuerySet:
    rows = Document.objects.filter(corpus=order.corpus)
    return rows.filter(pk__in=order.chosen) if order.chosen else rows.matching(title=order.titles)


def estimate_growth(order: Order) -> Estimate:
    """What an order will take if no reply has to be asked for twice: D·(5^(n+1)−1)/4 calls."""
    found = documents_of(order).aggregate(n=Count("pk"), shown=Avg(Least("characters", LONGEST_TEXT)))
    documents = min(found["n"], order.most or found["n"])
    depth = _depth(order, documents)
    calls = calls_for(documents, depth)
    prompt = documents * (_size(words.from_text("", "")) + float(found["shown"] or 0) / CHARS_PER_TOKEN)
    prompt += (calls - documents) * (
        _size(words.from_persona(PersonaSketch("", ""))) + TYPICAL_PERSONA / CHARS_PER_TOKEN
    )
    completion = calls * TYPICAL_STEP
    prices = order.endpoint.price_of(order.model or order.endpoint.chat_model)
    return Estimate(
        documents=documents,
        depth=depth,
        calls=calls,
        personas=documents * personas_of(depth),
        prompt_tokens=round(prompt),
        completion_tokens=completion,
        cost=(prices[0] * round(prompt) + prices[1] * completion) / 1_000_000,
        seconds=calls * _latency(order) / max(1, min(order.concurrency, calls)),
    )


def _depth(order: Order, documents: int) -> int:
    if order.depth is not None:
        return order.depth
    return depth_for(target_per_document(documents, requested=order.conversations))


def _size(turns: Sequence[Turn]) -> float:
    return sum(len(turn.content) / CHARS_PER_TOKEN + MESSAGE_TOKENS for turn in turns)


def _latency(order: Order) -> float:
    """Seconds of the latest calls of this kind to that endpoint, or a guess."""
    if order.endpoint.is_offline:
        return OFFLINE_LATENCY
    latest = Call.objects.filter(project=order.endpoint.project_id, endpoint=order.endpoint).order_by("-pk")
    times = [ms for kind, ms in latest.values_list("operation", "latency_ms")[: 20 * SAMPLE] if kind == "persona"]
    return sum(times[:SAMPLE]) / len(times[:SAMPLE]) / 1000 if times else LATENCY


@transaction.atomic
def start_growth(*, project: Project, order: Order, user: User | None) -> PersonaGrowth:
    """A growth with a branch for each document. Raises Refused when it cannot be begun as it is ordered."""
    estimate = estimate_growth(order)
    model = order.model or order.endpoint.chat_model
    if not model:
        raise Refused(f"Name a model: “{order.endpoint}” has no default one.", field="model")
    if not estimate.documents:
        raise Refused("No document matches: add documents and wait until they are read.", field="corpus")
    if estimate.calls > MOST_CALLS:
        raise Refused(
            f"This would take {estimate.calls:,} calls, and {MOST_CALLS:,} is the most for one growth: "
            "choose fewer documents or fewer layers.",
            field="depth",
        )
    prompt_price, completion_price = order.endpoint.price_of(model)
    growth = PersonaGrowth.objects.create(
        project=project,
        corpus=order.corpus,
        corpus_name=order.corpus.name,
        endpoint=order.endpoint,
        endpoint_name=order.endpoint.name,
        model=model,
        offline=order.endpoint.is_offline,
        documents=estimate.documents,
        depth=estimate.depth,
        concurrency=order.concurrency,
        prompt_price=prompt_price,
        completion_price=completion_price,
        created_by=user,
    )
    chosen = _choose(order, estimate.documents)
    PersonaBranch.objects.bulk_create((PersonaBranch(growth=growth, document_id=pk) for pk in chosen), batch_size=5_000)
    note(growth, user, f"began to grow personas from {growth.documents} documents of “{growth.corpus_name}”")
    return growth


def _choose(order: Order, number: int) -> list[int]:
    """Those with the fewest personas first, and among equals by chance, where not all are wanted."""
    rows = list(documents_of(order).order_by("pk").values_list("pk", flat=True))
    if len(rows) == number:
        return rows
    peopled = dict(
        Document.objects.filter(corpus=order.corpus)
        .exclude(personas=None)
        .values_list("pk")
        .annotate(Count("personas"))
    )
    Random(order.corpus.pk).shuffle(rows)  # noqa: S311 - a draw, not a secret
    return sorted(rows, key=lambda pk: peopled.get(pk, 0))[:number]


def note(growth: PersonaGrowth, user: User | None, text: str) -> None:
    path = f"personas/growths/{growth.pk}/"
    record_activity(project=growth.project, actor=user, text=text, path=path)


@transaction.atomic
def cancel_growth(*, growth: PersonaGrowth, user: User) -> None:
    """Stop for good: what is in flight is dropped, the personas that are there stay."""
    # The growth before its branches: no landing adds to these meanwhile.
    among = [State.RUNNING, State.FAILED]
    if change_state(growth, to=State.CANCELLED, among=among, reason=f"Cancelled by {user}.", end=True):
        growth.pieces.cancel()
        note(growth, user, f"cancelled the growing of personas from “{growth.corpus_name}”")


def resume_growth(*, growth: PersonaGrowth, user: User) -> None:
    """Carry on after an error that somebody has mended."""
    if growth.pieces.open().exists() and change_state(growth, to=State.RUNNING, among=[State.FAILED]):
        pullers.wake(growth)
        note(growth, user, f"carried on growing personas from “{growth.corpus_name}”")


@transaction.atomic
def retry_growth(*, growth: PersonaGrowth, user: User) -> int:
    """Open what failed again, and carry on. Returns how many had failed."""
    count = growth.pieces.retry()
    if count:
        run_again(growth)
    if growth.state == State.CANCELLED:
        raise Refused("What was cancelled stays so: begin another growth of the same documents.")
    if count:
        note(growth, user, f"asked for {count} failed steps of growing personas again")
    return count


def finish_growth(growth: PersonaGrowth) -> bool:
    """Close it if every branch has ended. One that made nobody has failed."""
    if growth.pieces.open().exists():
        return False
    growth.refresh_from_db()
    errors = growth.branches.filter(state=PersonaBranch.State.FAILED).order_by("-updated")
    last = errors.values_list("error", flat=True).first()
    if growth.personas or last is None:
        return change_state(growth, to=State.DONE, among=[State.RUNNING], end=True)
    reason = f"No personas could be made. The last error: {last}"
    return change_state(growth, to=State.FAILED, among=[State.RUNNING], reason=reason, end=True)
