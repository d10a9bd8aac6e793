"""Runs for tests of pages: launched as the service does, with rows that look as workers leave them."""

from __future__ import annotations

from typing import Any

from datasets.models import Project, Prompt, PromptRole, User
from datasets.services.prompts import save_prompt
from generation.engine.recipe import ModelChoice, Recipe
from generation.models import Endpoint, Run
from generation.services import runs

ROLES = ("instruction", "correspondent", "respondent")


def expert(project: Project, name: str = "Expert", role: str = PromptRole.RESPONDENT) -> Prompt:
    return save_prompt(project=project, name=name, role=role, text=f"You are {name}.", author=None)


def recipe(project: Project, endpoint: Endpoint | None = None, **changes: Any) -> Recipe:
    """An ungrounded recipe of the offline model, or of `endpoint`."""
    prompt = project.prompts.filter(role="respondent").first() or expert(project)
    model = ModelChoice(endpoint=(endpoint or project.endpoints.get(preset="offline")).pk)
    fields: dict[str, Any] = {
        "corpus": None,
        "respondent_prompt": prompt.pk,
        "models": dict.fromkeys(ROLES, model),
        "retrieval": {"when": "never"},
        "conversations": 5,
    }
    return Recipe.model_validate(fields | changes)


def launched(
    project: Project, *, user: User | None = None, endpoint: Endpoint | None = None, name: str = "", **changes: Any
) -> Run:
    return runs.start_run(project=project, spec=recipe(project, endpoint, **changes), user=user, name=name)
