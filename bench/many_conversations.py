"""A project of a hundred thousand conversations, made quickly: input of the benches that measure lists and exports."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from datasets.models import Batch, Label, Membership, Persona, Project, Role, Status, User

RARE_WORD, COMMON_WORD = "zebrawood", "aardvark"
STATUSES = random.choices(list(Status.values), [70, 20, 9.9, 0.1], k=9_973)


@transaction.atomic
def make_project(rows: int, *, seed: int = 7) -> tuple[Project, User]:
    """A project and its owner. Word frequencies follow Zipf's law; RARE_WORD stands in the five oldest conversations,
    COMMON_WORD in every second one, and of each facet one value is common and one is rare."""
    dice = random.Random(seed)
    user = User.objects.create_user(username="bench", password="bench bench")
    project = Project.objects.create(name="Bench", slug="bench")
    Membership.objects.create(project=project, user=user, role=Role.OWNER)
    batches = [Batch.objects.create(project=project, kind="run", name=f"Run {n}") for n in range(1, 21)]
    personas = [Persona.objects.create(project=project, name=f"Persona {n}") for n in range(1, 51)]
    labels = [Label.objects.create(project=project, name=name) for name in ("common", "rare")]
    first = connection_value("SELECT coalesce(max(id), 0) + 1 FROM datasets_conversation")
    facts = list(conversations(dice, rows, first, project, batches, personas))
    copy("datasets_conversation", facts)
    copy("datasets_version", versions(dice, rows, first))
    copy("datasets_labelling", labellings(dice, rows, first, labels))
    copy("datasets_note", notes(dice, rows, first, user))
    finish(first)
    return project, user


def conversations(
    dice: random.Random, rows: int, first: int, project: Project, batches: list[Batch], personas: list[Persona]
) -> Iterator[dict[str, Any]]:
    now = timezone.now()
    for n in range(rows):
        yield {
            "id": first + n,
            "project_id": project.pk,
            "batch_id": batches[min(n * 20 // rows, 19)].pk,
            "persona_id": None if n % 3 == 0 else personas[min(int(dice.expovariate(0.2)), 49)].pk,
            "status": STATUSES[n % len(STATUSES)],
            "opening": f"How do I set up part {n} of the controller before the first start?",
            "turns": 9 if n % 20_000 == 11 else 1 + n % 3,
            "score": None if n % 10 == 0 else round(dice.betavariate(8, 2), 3),
            "offline": False,
            "created": now,
            "updated": now,
        }


def versions(dice: random.Random, rows: int, first: int) -> Iterator[dict[str, Any]]:
    vocabulary = [f"w{n:x}" for n in range(20_000)]
    weights = list(accumulate(1 / (n + 1) for n in range(20_000)))
    now = timezone.now()
    for n in range(rows):
        words = dice.choices(vocabulary, cum_weights=weights, k=200)
        extra = ([COMMON_WORD] if n % 2 else []) + ([RARE_WORD] if n < 5 else [])
        said = [" ".join(words[:20]), " ".join([*words[20:], *extra])]
        messages = [{"role": role, "content": text} for role, text in zip(("user", "assistant"), said, strict=True)]
        yield {
            "conversation_id": first + n,
            "number": 1,
            "origin": "generated",
            "system_prompt": "You are a helpful expert.",
            "persona": "",
            "messages": json.dumps(messages),
            "trace": "{}",
            "tools": "[]",
            "extra": "{}",
            "label": "",
            "created": now,
        }


def labellings(dice: random.Random, rows: int, first: int, labels: list[Label]) -> Iterator[dict[str, Any]]:
    common, rare = (label.pk for label in labels)
    now = timezone.now()
    for n in range(rows):
        if dice.random() < 0.4:
            yield {"conversation_id": first + n, "label_id": common, "created": now}
        if n < 5:
            yield {"conversation_id": first + n, "label_id": rare, "created": now}


def notes(dice: random.Random, rows: int, first: int, user: User) -> Iterator[dict[str, Any]]:
    for n in sorted(dice.sample(range(rows // 2), max(1, rows // 500))):
        yield {"conversation_id": first + n, "author_id": user.pk, "text": "Look again.", "created": timezone.now()}


def copy(table: str, rows: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> None:
    rows = iter(rows)
    first = next(rows)
    connection.ensure_connection()
    with connection.connection.cursor().copy(f"COPY {table} ({', '.join(first)}) FROM STDIN") as sink:
        sink.write_row(tuple(first.values()))
        for row in rows:
            sink.write_row(tuple(row.values()))


def finish(first: int) -> None:
    """Heads and text vectors, in the way of `datasets.services.curating.conversations.search_vector`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE datasets_version SET search = to_tsvector('simple', messages -> 0 ->> 'content' || E'\\n' "
            "|| (messages -> 1 ->> 'content')) WHERE conversation_id >= %s",
            [first],
        )
        cursor.execute(
            "UPDATE datasets_conversation c SET head_id = v.id FROM datasets_version v "
            "WHERE v.conversation_id = c.id AND c.id >= %s",
            [first],
        )
        sequence = "pg_get_serial_sequence('datasets_conversation', 'id')"
        cursor.execute(f"SELECT setval({sequence}, (SELECT max(id) FROM datasets_conversation))")


def connection_value(query: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]


def settle() -> None:
    """What autovacuum does by and by; outside of transactions."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
