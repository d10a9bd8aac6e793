"""First questions that many dialogs of a run propose in the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from datasets.models import Project
from generation.engine.protocols import Brief
from generation.models import Run
from generation.services.running.openings import RunOpenings
from tests.generation.runs import launched

pytestmark = pytest.mark.django_db(transaction=True)

SUBJECTS = ("lock", "battery", "guest code", "warranty", "keypad", "bridge", "mobile app", "alarm")


def proposed_at_once(run: Run, proposals: Sequence[Sequence[str]], *, questions: int = 1) -> list[str | None]:
    """What each slot that leads is given, when all ask before any has its answer."""

    async def ask() -> list[str | None]:
        openings = RunOpenings(run)
        slots = [slot async for slot in run.slots.filter(leads=True).order_by("index")]
        briefs = [Brief(slot.seed, 1, slot=slot.pk, questions=questions) for slot in slots]
        asked = [openings.admit(brief, texts) for brief, texts in zip(briefs, proposals, strict=True)]
        try:
            return await asyncio.gather(*asked)
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(ask())


def test_of_nearly_the_same_questions_that_come_in_the_same_moment_one_is_taken(project: Project) -> None:
    run = launched(project, conversations=16)
    asked = [f"Where is the {subject} kept{end}" for subject in SUBJECTS for end in "?!"]
    given = proposed_at_once(run, [[text] for text in asked])
    assert given == [text if text.endswith("?") else None for text in asked]
    assert list(run.slots.order_by("index").values_list("opening", flat=True)) == [text or "" for text in given]


def test_a_question_that_is_near_one_of_an_earlier_moment_is_not_taken(project: Project) -> None:
    run = launched(project, conversations=2)
    proposed_at_once(run, [["How do I reset the lock to factory settings?"], ["Is it blue?"]])
    assert proposed_at_once(run, [["How do I reset the lock to factory settings"], ["Is it green?"]]) == [
        None,
        "Is it green?",
    ]


def test_what_each_leader_has_left_goes_to_its_own_batch(project: Project) -> None:
    run = launched(project, conversations=6, questions={"batch": 3})
    run.slots.update(opening="")
    given = proposed_at_once(
        run,
        [
            ["Is the lock red?", "How long does a battery last?", "Who may open the door?"],
            ["Does it rain in the hall?", "Is the lock red?"],
        ],
        questions=3,
    )
    assert given == ["Is the lock red?", "Does it rain in the hall?"]
    assert list(run.slots.order_by("index").values_list("opening", "leads")) == [
        ("Is the lock red?", True),
        ("How long does a battery last?", False),
        ("Who may open the door?", False),
        ("Does it rain in the hall?", True),
        ("", True),
        ("", True),
    ]


def test_a_dialog_that_is_cancelled_while_it_waits_disturbs_no_other(project: Project) -> None:
    run = launched(project, conversations=3)

    async def ask() -> list[str | BaseException | None]:
        openings = RunOpenings(run)
        slots = [slot async for slot in run.slots.order_by("index")]
        tasks = [
            asyncio.create_task(openings.admit(Brief(slot.seed, 1, slot=slot.pk), [f"{slot.index} of what is meant?"]))
            for slot in slots
        ]
        await asyncio.sleep(0)
        tasks[0].cancel()
        try:
            return await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await sync_to_async(connections.close_all)()

    first, *others = asyncio.run(ask())
    assert isinstance(first, asyncio.CancelledError)
    assert others == ["1 of what is meant?", "2 of what is meant?"]
