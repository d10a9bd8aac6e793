"""What a project judges its conversations by."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from datasets.models import Criterion, Project
from datasets.models.quality import BUILT_IN_CRITERIA

from .errors import Refused


def save_criterion(
    *,
    project: Project,
    name: str,
    description: str,
    weight: float = 1.0,
    needs_passages: bool = False,
    criterion: Criterion | None = None,
) -> Criterion:
    """Make a criterion, or change `criterion`. Runs that were launched keep the one that they were launched with."""
    name, description = " ".join(name.split()), description.replace("\r\n", "\n").strip()
    if not name:
        raise Refused("Give the criterion a name.", field="name")
    if name.casefold().replace(" ", "_") in BUILT_IN_CRITERIA:
        raise Refused(f"“{name}” is a built-in criterion: choose another name.", field="name")
    if not description:
        raise Refused("Say what is good and what is bad.", field="description")
    row = criterion or Criterion(project=project)
    row.name, row.description, row.weight, row.needs_passages = name, description, weight, needs_passages
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise Refused("Another criterion has that name: choose a different one.", field="name") from error
    return row
