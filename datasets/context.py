"""What the frame of every page shows."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from .models import Project


def frame(request: HttpRequest) -> dict[str, object]:
    """`project`: the one that the page stands in, or None. `projects`: those that the switcher offers."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"project": None, "projects": []}
    projects = SimpleLazyObject(lambda: list(Project.objects.visible_to(user)[:50]))
    return {"project": getattr(request, "project", None), "projects": projects}
