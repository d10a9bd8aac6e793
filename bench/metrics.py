"""How long the metrics of a project and of a run take, with a million calls in the ledger.

    python -m bench.metrics [--calls 1000000]

The calls are spread over thirty days and twenty runs, five a conversation, each conversation judged by five criteria; one
in fifty has failed. Prints one JSON line: milliseconds of what each page asks, and of one look at all alert rules.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bench.stage import provide

if TYPE_CHECKING:
    from datasets.models import Project

RUNS, A_CONVERSATION, DAYS = 20, 5, 30
PLACED = "INSERT INTO {table} ({columns}) SELECT {values} FROM generate_series(0, %(slots)s - 1) AS n"
WHEN = f"now() - interval '{DAYS} days' * (1 - (n + 0.5) / %(slots)s)"
RUN = f"%(run)s + n * {RUNS} / %(slots)s"
SCORES = "jsonb_build_array(" + ", ".join(
    f"jsonb_build_object('criterion', '{name}', 'value', round(random()::numeric, 2), 'feedback', 'So it is.')"
    for name in ("coherence", "grounding", "relevance", "factuality", "helpfulness")
) + ")"  # fmt: skip


def make_project(calls: int) -> Project:
    from datasets.models import Batch, Project
    from generation.models import Run

    project = Project.objects.create(name="Bench", slug="bench")
    batches = [Batch.objects.create(project=project, kind="run", name=f"Run {n}") for n in range(RUNS)]
    runs = [
        Run.objects.create(
            project=project, batch=batch, name=batch.name, spec={"budget": {"tokens": 10**9, "money": None}}, frozen={},
            state="running", slots_total=calls // A_CONVERSATION // RUNS,
        )
        for batch in batches
    ]  # fmt: skip
    fill(project, runs[0].pk, batches[0].pk, calls // A_CONVERSATION)
    for run in runs:
        Run.objects.filter(pk=run.pk).update(started=run.ledger.earliest("created").created)
    return project


def fill(project: Project, run: int, batch: int, slots: int) -> None:
    batched = RUN.replace("%(run)s", "%(batch)s")
    place(
        "datasets_conversation",
        {"id": "n + 1", "project_id": "%(project)s", "batch_id": batched, "status": "'generated'", "opening": "'Why?'",
         "turns": "1 + n % 3", "offline": "false", "created": WHEN, "updated": WHEN},
        project=project.pk, batch=batch, slots=slots,
    )  # fmt: skip
    place(
        "datasets_version",
        {"id": "n + 1", "conversation_id": "n + 1", "number": "1", "origin": "'generated'", "label": "''",
         "system_prompt": "''", "persona": "''", "messages": "'[]'", "trace": "'{}'", "tools": "'[]'", "extra": "'{}'",
         "created": WHEN},
        slots=slots,
    )  # fmt: skip
    place(
        "datasets_judgement",
        {"version_id": "n + 1", "evaluator": "'panel'", "model": "'m'", "overall": "random()", "scores": SCORES,
         "grade": "'good'", "feedback": "''", "error": "''", "created": WHEN},
        slots=slots,
    )  # fmt: skip
    place(
        "generation_slot",
        {"run_id": RUN, "index": f"n % (%(slots)s / {RUNS})", "seed": "1", "turns": "1 + n % 3", "context": "'{}'",
         "batch": "0", "leads": "true", "opening": "''", "sketch": "'{}'", "delivered": "true", "attempts": "1",
         "state": "CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'done' END", "error": "''",
         "error_kind": "CASE WHEN n % 50 = 0 THEN 'dialog' ELSE '' END",
         "conversation_id": "CASE WHEN n % 50 = 0 THEN NULL ELSE n + 1 END", "updated": WHEN},
        run=run, slots=slots,
    )  # fmt: skip
    for operation in ("instruction", "answer", "question", "answer", "judge"):
        place(
            "generation_call",
            {"project_id": "%(project)s", "run_id": RUN, "slot": f"n % (%(slots)s / {RUNS})",
             "operation": f"'{operation}'", "model": "'model-' || n % 3", "prompt_tokens": "500 + n % 3000",
             "completion_tokens": "50 + n % 500", "latency_ms": "200 + n % 5000", "tries": "1 + (n % 40 = 0)::int",
             "finish": "CASE WHEN n % 30 = 0 THEN 'length' ELSE 'stop' END",
             "cost": "0.001", "created": WHEN},
            project=project.pk, run=run, slots=slots,
        )  # fmt: skip


def place(table: str, columns: dict[str, str], **values: int) -> None:
    from django.db import connection

    query = PLACED.format(table=table, columns=", ".join(columns), values=", ".join(columns.values()))
    for name, value in values.items():
        query = query.replace(f"%({name})s", str(value))
    with connection.cursor() as cursor:
        cursor.execute(query)


def milliseconds(work: Callable[[], Any]) -> int:
    """The median of five."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return round(1000 * sorted(times)[2])


def measure(project: Project) -> dict[str, int]:
    from generation.services.monitoring import alerts, metrics

    spans = {
        "hour": timedelta(hours=1),
        "day": timedelta(days=1),
        "week": timedelta(days=7),
        "month": timedelta(days=30),
    }
    found = {}
    for name, span in spans.items():
        scope = metrics.scope_of_project(project.pk, span)
        found[f"{name}_ms"] = milliseconds(lambda scope=scope: metrics.metrics_of(scope))
        found[f"{name}_runs_ms"] = milliseconds(lambda scope=scope: metrics.runs_in(scope))
    found["alerts_ms"] = milliseconds(alerts.look)
    run = project.runs.first()
    found["run_ms"] = milliseconds(lambda: metrics.metrics_of(metrics.scope_of_run(run)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    options = parser.parse_args()
    provide()
    from bench.many_conversations import settle

    project = make_project(options.calls)
    settle()
    print(json.dumps({"bench": "metrics", "calls": options.calls, **measure(project)}))


if __name__ == "__main__":
    main()
