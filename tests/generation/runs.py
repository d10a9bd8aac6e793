"""Runs for tests of pages: launched as the service does, with rows that look as workers leave them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets.models import Project, Prompt, PromptRole, User
from datasets.services.prompts import save_prompt
from generation.engine.protocols import Attempt, Brief, Job, Landing, Made, Outcome, Verdict
from generation.engine.recipe import ModelChoice, Recipe
from generation.frozen import Frozen
from generation.models import Endpoint, Run, Slot
from generation.services.running import claims, runs
from generation.services.running.landing import land
from tests.factories import make_dialog, make_source, make_trace

ROLES = ("instruction", "correspondent", "respondent")


def expert(project: Project, name: str = "Expert", role: str = PromptRole.RESPONDENT) -> Prompt:
    return save_prompt(project=project, name=name, role=role, text=f"You are {name}.", author=None)


def recipe(project: Project, endpoint: Endpoint | None = None, **changes: Any) -> Recipe:
    """An ungrounded recipe of the offline model, or of `endpoint`. Every question is taken, however like another one:
    how alike the offline model's questions come out hangs on ids, and what a test counts would hang on them too."""
    prompt = project.prompts.filter(role="respondent").first() or expert(project)
    model = ModelChoice(endpoint=(endpoint or project.endpoints.get(preset="offline")).pk)
    fields: dict[str, Any] = {
        "corpus": None,
        "respondent_prompt": prompt.pk,
        "models": dict.fromkeys(ROLES, model),
        "retrieval": {"when": "never"},
        "conversations": 5,
        "questions": {"distinct": False},
    }
    return Recipe.model_validate(fields | changes)


def launched(
    project: Project, *, user: User | None = None, endpoint: Endpoint | None = None, name: str = "", **changes: Any
) -> Run:
    return runs.start_run(project=project, spec=recipe(project, endpoint, **changes), user=user, name=name)


def landed(run: Run, *outcomes: Outcome) -> Run:
    """The run after a worker has claimed a slot for each of these outcomes and landed them."""
    return land_on(run, claims.claim_slots(run_id=run.pk, limit=len(outcomes)), outcomes)


def land_on(run: Run, slots: Sequence[Slot], outcomes: Sequence[Outcome]) -> Run:
    jobs = [Job(slot.pk, str(slot.lease_token), Brief(seed=slot.seed, turns=slot.turns)) for slot in slots]
    landings = [Landing(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True)]
    land(run=run, frozen=Frozen.model_validate(run.frozen), landings=landings)
    runs.finish_run(run=run)
    run.refresh_from_db()
    return run


def made(question: str = "How do I reset it?", *, judged: float | None = None) -> Made:
    dialog = make_dialog(question, "Hold the button.", trace=make_trace(make_source()))
    verdict = None if judged is None else Verdict("judge", "test-model", (), judged)
    return Made((Attempt(dialog, verdict),), dialog.trace.steps)
