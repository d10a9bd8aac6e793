"""The project's diary."""

from __future__ import annotations

from datasets.models import Activity, Project, User


def record_activity(*, project: Project, actor: User | None, text: str, path: str = "") -> None:
    """`text` continues the actor's name: “renamed the corpus …”. `path` is where a click leads, below the project."""
    Activity.objects.create(project=project, actor=actor, text=text[:300], path=f"/p/{project.slug}/{path}")
