"""Conversations as a report reads them, and what the archive knows of the ids that it met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from django.db.models import F, Func, JSONField
from pydantic import TypeAdapter, ValidationError

from datasets.models import Document, Judgement, Passage, Persona, Project
from datasets.models.conversations import ConversationQuerySet
from datasets.reports.findings import CorpusCoverage
from datasets.reports.quality import Judged
from datasets.reports.tally import Archive, Entry, KnownPersona, Tally, Used
from datasets.schema import Message, Score

CHUNK = 500
"""Conversations in memory at a time."""
IDS = 5_000
"""Ids in one query."""
PERSONA_TEXT = 100
"""Characters of a persona that has no row, by which it is told from others."""

_MESSAGES = TypeAdapter(tuple[Message, ...])
_SCORES = TypeAdapter(tuple[Score, ...])


class UsedPassages(Func):
    """[[passage, document, title, digest], …] of a trace, each once. Only these leave the database: traces are long."""

    template = (
        "(SELECT jsonb_agg(DISTINCT jsonb_build_array(source -> 'passage', source -> 'document', source -> 'title', "
        "CASE WHEN source ->> 'passage' = '0' THEN md5(source ->> 'text') ELSE '' END)) "
        "FROM jsonb_path_query(%(expressions)s, '$.steps[*].sources[*]') AS source)"
    )
    output_field = JSONField()


def chunks(rows: ConversationQuerySet) -> Iterator[list[Entry | None]]:
    """The conversations in `rows`, oldest first; None for one whose stored messages cannot be read."""
    columns = ("pk", "persona_id", "head__persona", "offline", "head_id", "head__messages")
    values = rows.order_by("pk").annotate(used=UsedPassages(F("head__trace"))).values_list(*columns, "used")
    last = 0
    while found := list(values.filter(pk__gt=last)[:CHUNK]):
        judgements = _judgements(row[4] for row in found)
        yield [_entry(row, judgements) for row in found]
        last = found[-1][0]


def _entry(row: tuple[Any, ...], judgements: dict[int, Judgement]) -> Entry | None:
    _, persona, sketch, offline, head, messages, used = row
    try:
        return Entry(
            messages=_MESSAGES.validate_python(messages),
            used=[Used(*source) for source in used or []],
            persona=persona or sketch[:PERSONA_TEXT].strip() or None,
            judged=_judged(judgements.get(head)),
            offline=offline,
        )
    except ValidationError:
        return None


def _judged(row: Judgement | None) -> Judged | None:
    """None as well for a judgement without an overall score that did not fail: nothing applied."""
    if row is None or (row.overall is None and not row.error):
        return None
    return Judged(row.overall, _SCORES.validate_python(row.scores), row.grade)


def _judgements(versions: Iterable[int]) -> dict[int, Judgement]:
    """The latest judgement of each version; one without a score only where there is no other."""
    found: dict[int, Judgement] = {}
    rows = Judgement.objects.filter(version__in=list(versions)).order_by("pk")
    for row in rows.only("version", "overall", "scores", "grade", "error"):
        if row.overall is not None or row.version_id not in found:
            found[row.version_id] = row
    return found


# -- what the archive knows ---------------------------------------------------------------------------------------------


def archive_of(project: Project, tally: Tally) -> Archive:
    """Only of this project's rows, whatever ids a trace may hold."""
    documents = [key for key, _ in tally.top_documents if isinstance(key, int)]
    titles = Document.objects.filter(corpus__in=project.corpora.all(), pk__in=documents)
    return Archive(
        personas=_personas(project, tally),
        documents={pk: (title, corpus) for pk, title, corpus in titles.values_list("pk", "title", "corpus")},
        corpora=_corpora(project, tally.passages.counts),
    )


def _personas(project: Project, tally: Tally) -> dict[int, KnownPersona]:
    found = {}
    for pks in _in_batches(tally.personas.counts):
        rows = Persona.objects.filter(project=project, pk__in=pks)
        for pk, name, depth, document in rows.values_list("pk", "name", "depth", "document"):
            found[pk] = KnownPersona(name, depth, derived=depth > 0 or document is not None)
    return found


def _corpora(project: Project, uses: dict[int | str, int]) -> tuple[CorpusCoverage, ...]:
    once, more = Counter[int](), Counter[int]()
    for pks in _in_batches(uses):
        rows = Passage.objects.filter(corpus__in=project.corpora.all(), pk__in=pks)
        for pk, corpus in rows.values_list("pk", "corpus"):
            (once if uses[pk] == 1 else more)[corpus] += 1
    corpora = project.corpora.with_totals().filter(pk__in=[*once, *more])
    return tuple(
        CorpusCoverage(
            id=corpus.pk, name=corpus.name, used_once=once[corpus.pk], used_more=more[corpus.pk],
            never=max(0, corpus.passage_total - once[corpus.pk] - more[corpus.pk]),
        )
        for corpus in corpora
    )  # fmt: skip


def _in_batches(keys: Iterable[int | str]) -> Iterator[tuple[int, ...]]:
    numbers = (key for key in keys if isinstance(key, int))
    while batch := tuple(islice(numbers, IDS)):
        yield batch
