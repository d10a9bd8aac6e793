"""Who may do what: the one way from a request to a project."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse

from .models import Membership, Project, Role, User


def project_for(user: User, slug: str, role: str = Role.VIEWER) -> Project:
    """The project with that slug, if `user` is a member (else 404) and holds `role` or more (else 403)."""
    membership = Membership.objects.select_related("project").filter(user=user, project__slug=slug).first()
    if membership is None:
        raise Http404("No such project.")
    if not Role(membership.role).includes(role):
        raise PermissionDenied(f"This needs the role of {Role(role).name.lower()}; ask an owner of the project.")
    membership.project.my_role = Role(membership.role)
    return membership.project


def project_view(role: str = Role.VIEWER) -> Callable:
    """Turns `view(request, project: Project, …)` into a view of `/p/<slug:project>/…` for members who hold `role`."""

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @login_required
        @wraps(view)
        def guarded(request: Any, project: str, **kwargs: object) -> HttpResponse:
            request.project = project_for(request.user, project, role)
            return view(request, request.project, **kwargs)

        return guarded

    return decorate
