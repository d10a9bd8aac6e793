"""How fast the conversation pages are in a project of a hundred thousand conversations.

    python -m bench.lists [--rows 100000] [--bulk] [--export]

Each page is asked for through the whole application, in this process. Prints one JSON line: `ms` of each page (the median
of five), and as `ratio` how many times that of the list without a filter; `worst` names the slowest. With --bulk and
--export, how many conversations a second are decided at once and written to a file, and how much the memory of this
process grew meanwhile.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from typing import TYPE_CHECKING, Any

from bench.stage import provide

if TYPE_CHECKING:
    from django.test import Client

    from datasets.models import Project, User

TIMES = 5


def queries(project: Project) -> dict[str, dict[str, Any]]:
    """Every filter, each with a value that is common and one that is rare, and combinations of them."""
    from bench.many_conversations import COMMON_WORD, RARE_WORD

    labels = dict(project.labels.values_list("name", "pk"))
    newest, oldest = project.batches.order_by("-pk").first(), project.batches.order_by("pk").first()
    middle = project.conversations.order_by("pk")[project.conversations.count() // 2].pk
    return {
        "everything": {},
        "everything, deep": {"after": middle},
        "status common": {"status": "generated"},
        "status rare": {"status": "flagged"},
        "run newest": {"batch": newest.pk},
        "run oldest": {"batch": oldest.pk},
        "persona": {"persona": project.personas.order_by("pk").first().pk},
        "turns common": {"turns_min": 2, "turns_max": 2},
        "turns rare": {"turns_min": 9},
        "label common": {"label": labels["common"]},
        "label rare": {"label": labels["rare"]},
        "note": {"note": "on"},
        "score common": {"score_min": 0.5},
        "score rare": {"score_max": 0.2},
        "words common": {"q": COMMON_WORD},
        "words everywhere": {"q": "w1"},
        "words rare": {"q": RARE_WORD},
        "words nowhere": {"q": "nowhere"},
        "words phrase": {"q": '"w2 w1"'},
        "words rare, status": {"q": RARE_WORD, "status": "generated"},
        "words common, status rare": {"q": COMMON_WORD, "status": "flagged"},
        "words common, run oldest": {"q": COMMON_WORD, "batch": oldest.pk},
        "words common, label rare": {"q": COMMON_WORD, "label": labels["rare"]},
        "words rare, deep": {"q": RARE_WORD, "after": middle},
        "status rare, run oldest": {"status": "flagged", "batch": oldest.pk},
        "turns rare, status rare": {"turns_min": 9, "status": "flagged"},
        "score rare, label common": {"score_max": 0.2, "label": labels["common"]},
    }


def median_ms(client: Client, address: str, query: dict[str, Any]) -> float:
    spent = []
    for _ in range(TIMES + 1):
        begun = time.perf_counter()
        response = client.get(address, query)
        spent.append(time.perf_counter() - begun)
        assert response.status_code == 200, response.content
    return round(1000 * statistics.median(spent[1:]), 1)


def pages(project: Project, user: User) -> dict[str, Any]:
    from django.test import Client
    from django.urls import reverse

    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    address = reverse("datasets:conversation-list", args=[project.slug])
    ms = {name: median_ms(client, address, query) for name, query in queries(project).items()}
    row = project.conversations.order_by("pk")[project.conversations.count() // 2]
    detail = reverse("datasets:conversation-detail", args=[project.slug, row.pk])
    for name in ("everything", "status rare", "words common", "words rare"):
        ms[f"conversation in: {name}"] = median_ms(client, detail, queries(project)[name])
    yardstick = ms["everything"]
    worst = max(ms, key=lambda name: ms[name])
    return {
        "ms": ms,
        "ratio": {name: round(spent / yardstick, 1) for name, spent in ms.items()},
        "worst": {worst: ms[worst]},
    }


def megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def decide_all(project: Project, user: User) -> dict[str, Any]:
    from datasets.filters import ConversationFilter
    from datasets.services.curating import bulk

    begun, before = time.perf_counter(), megabytes()
    action = bulk.start_bulk(
        project=project, actor=user, filter=ConversationFilter(), decision="approved", up_to=bulk.newest_id(project)
    )
    while bulk.advance(action_id=action.pk):
        pass
    action.refresh_from_db()
    return {"bulk_per_s": round(action.done / (time.perf_counter() - begun)), "bulk_mb": megabytes() - before}


def export_all(project: Project, user: User) -> dict[str, Any]:
    from datasets.filters import ConversationFilter
    from datasets.formats import Options
    from datasets.services.publishing import exports

    begun, before = time.perf_counter(), megabytes()
    export = exports.start_export(
        project=project, actor=user, filter=ConversationFilter(), format="messages", options=Options()
    )
    exports.write_export(export_id=export.pk)
    export.refresh_from_db()
    assert export.state == export.State.READY, export.error
    spent = time.perf_counter() - begun
    return {"export_per_s": round(export.rows_written / spent), "export_mb": megabytes() - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--bulk", action="store_true", help="also decide them all at once")
    parser.add_argument("--export", action="store_true", help="also write them all to a file")
    options = parser.parse_args()
    provide()
    from bench.many_conversations import make_project, settle

    project, user = make_project(options.rows)
    settle()
    result = {"bench": "lists", "rows": options.rows, **pages(project, user)}
    if options.export:
        result |= export_all(project, user)
    if options.bulk:
        result |= decide_all(project, user)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
