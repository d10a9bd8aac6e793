"""How long a report on a hundred thousand conversations takes, and how much memory.

    python -m bench.report [--rows 100000]

Each conversation has 200 words of a vocabulary of 20,000 (so that pairs of words outgrow what is counted), four passages
of a corpus of 10,000 in a trace of 5 kB, and nine in ten a judgement of five criteria. Prints one JSON line: `seconds`
from the claim to the result, and `mb` by how much the memory of the process that makes it grew at most.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.stage import provide

if TYPE_CHECKING:
    from datasets.models import Project

DOCUMENTS, PASSAGES = 100, 100
CRITERIA = ("coherence", "grounding", "relevance", "factuality", "helpfulness")
TEXT = "(SELECT string_agg(md5(random()::text), ' ') FROM generate_series(1, 36))"
STEPS = f"""
UPDATE datasets_version SET trace = jsonb_build_object('texts', jsonb_build_array(), 'steps', jsonb_build_array(
  jsonb_build_object('operation', 'answer', 'model', 'm', 'request', jsonb_build_array(), 'reply', 0, 'sources', (
    SELECT jsonb_agg(jsonb_build_object('passage', %(first)s + n, 'document', %(document)s + n / {PASSAGES},
      'title', 'Document ' || n / {PASSAGES}, 'text', {TEXT}, 'start', 0, 'end', 1000, 'score', 0.5))
    FROM (SELECT floor({DOCUMENTS * PASSAGES} * random() * random())::int AS n
      FROM generate_series(1, 4) WHERE conversation_id > 0) AS chosen
  ))))
"""


def add_traces(project: Project) -> None:
    from django.db import connection

    from datasets.models import Corpus, Document, Passage, SourceFile

    corpus = Corpus.objects.create(project=project, name="Bench")
    file = SourceFile.objects.create(corpus=corpus, name="a", size=1, sha256="0", passage_count=DOCUMENTS * PASSAGES)
    documents = Document.objects.bulk_create(
        Document(corpus=corpus, source=file, key=str(n), title=f"Document {n}", text="", characters=0, revision=1)
        for n in range(DOCUMENTS)
    )
    passages = Passage.objects.bulk_create(
        Passage(corpus=corpus, document=document, index=n, text="", start=0, end=0)
        for document in documents
        for n in range(PASSAGES)
    )
    with connection.cursor() as cursor:
        cursor.execute(STEPS, {"first": passages[0].pk, "document": documents[0].pk})


def judgements(project: Project) -> Iterator[dict[str, Any]]:
    from django.utils import timezone

    dice, now = random.Random(5), timezone.now()
    for head, score in project.conversations.exclude(score=None).values_list("head", "score"):
        scores = [{"criterion": name, "value": round(dice.random(), 2), "feedback": ""} for name in CRITERIA]
        yield {
            "version_id": head, "evaluator": "panel", "model": "m", "overall": score, "scores": json.dumps(scores),
            "grade": "good" if score > 0.7 else "bad", "feedback": "", "error": "", "created": now,
        }  # fmt: skip


def peak() -> int:
    """The most memory that this process has had, in MB."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) // 1024


def measure(project_id: int) -> dict[str, Any]:
    """In a process of its own, which has nothing else in its memory."""
    import django

    django.setup()
    from datasets.filters import ConversationFilter
    from datasets.models import Project
    from datasets.services.publishing import reports

    project = Project.objects.get(pk=project_id)
    report = reports.start_report(project=project, actor=None, filter=ConversationFilter())
    before, begun = peak(), time.perf_counter()
    reports.make_report(report_id=report.pk)
    seconds, grown = time.perf_counter() - begun, peak() - before
    report.refresh_from_db()
    assert report.state == report.State.DONE, report.error
    summary, diversity = report.result["summary"], report.result["diversity"]
    return {
        "seconds": round(seconds, 1), "per_s": round(summary["conversations"] / seconds), "mb": grown,
        "words": summary["words"], "different_words": diversity["vocabulary"], "passages": summary["passages"],
        "pairs": diversity["bigrams"], "sampled": diversity["sampled"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    provide()
    from bench.many_conversations import copy, make_project, settle

    project, _ = make_project(options.rows)
    add_traces(project)
    copy("datasets_judgement", judgements(project))
    settle()
    with ProcessPoolExecutor(1, get_context("spawn")) as alone:
        result = alone.submit(measure, project.pk).result()
    print(json.dumps({"bench": "report", "rows": options.rows, **result}))


if __name__ == "__main__":
    main()
