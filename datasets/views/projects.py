"""Projects: the list that everybody starts from, and a project's own front page, settings and diary."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from datasets.access import project_view
from datasets.forms.projects import ProjectForm
from datasets.models import Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services import overview, projects
from datasets.services.errors import Refused
from datasets.verbs import verbs

PAGE = 50


@require_GET
@login_required
def project_list(request: HtmxHttpRequest) -> HttpResponse:
    cards = overview.cards_for(request.user)
    return render_page(request, "datasets/project_list.html", {"cards": cards})


@login_required
def show_new(request: HtmxHttpRequest) -> HttpResponse:
    return render_page(request, "datasets/project_new.html", {"form": ProjectForm()})


@login_required
def create(request: HtmxHttpRequest) -> HttpResponse:
    form = ProjectForm(request.POST)
    if not form.is_valid():
        return render_page(request, "datasets/project_new.html", {"form": form}, status=422)
    project = projects.create_project(owner=request.user, **form.cleaned_data)
    return redirect("datasets:project-home", project.slug)


project_new = verbs(get=show_new, post=create)


@require_GET
@project_view()
def project_home(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    context = {"overview": overview.overview_of(project), "activities": project.activities.select_related("actor")[:15]}
    return render_page(request, "datasets/project_home.html", context)


@require_GET
@project_view()
def activity(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    before = request.GET.get("before", "")
    rows = project.activities.select_related("actor")
    rows = rows.filter(pk__lt=int(before)) if before.isdecimal() else rows
    page = list(rows[: PAGE + 1])
    older = page[PAGE - 1].pk if len(page) > PAGE else None
    return render_page(request, "datasets/activity.html", {"activities": page[:PAGE], "older": older})


@project_view(Role.OWNER)
def show_settings(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return render_page(request, "datasets/project_settings.html", {"form": ProjectForm(instance=project)})


@project_view(Role.OWNER)
def save_settings(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    form = ProjectForm(request.POST)
    if not form.is_valid():
        return render_page(request, "datasets/project_settings.html", {"form": form}, status=422)
    projects.update_project(project=project, actor=request.user, **form.cleaned_data)
    messages.success(request, "The project is saved.")
    return redirect("datasets:project-settings", project.slug)


project_settings = verbs(get=show_settings, post=save_settings)


@require_POST
@project_view(Role.OWNER)
def project_delete(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """Everything of the project goes; its name must be typed, so that no slip of the mouse does it."""
    if request.POST.get("name", "").strip() != project.name:
        messages.error(request, "The project was not deleted: type its name exactly to delete it.")
        return redirect("datasets:project-settings", project.slug)
    try:
        projects.delete_project(project=project)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("datasets:project-settings", project.slug)
    messages.success(request, f"The project “{project.name}” is deleted.")
    return redirect("datasets:project-list")
