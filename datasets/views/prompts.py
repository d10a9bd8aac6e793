"""Prompts of both sides, with every version and what changed in it."""

from __future__ import annotations

from itertools import pairwise

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets.access import project_view
from datasets.forms.personas import PromptForm
from datasets.models import Project, Prompt, PromptRole, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services import prompts
from datasets.services.errors import Refused
from datasets.verbs import verbs

VERSIONS_SHOWN = 30


@require_GET
@project_view()
def prompt_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    archived = "archived" in request.GET
    rows = list(project.prompts.filter(archived=archived).select_related("current"))
    groups = [(role, [row for row in rows if row.role == role]) for role in PromptRole]
    return render_page(request, "datasets/prompt_list.html", {"groups": groups, "archived": archived})


@project_view(Role.CURATOR)
def show_new(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    role = request.GET.get("role", PromptRole.RESPONDENT)
    return _form_page(request, None, PromptForm(initial={"role": role}))


@project_view(Role.CURATOR)
def create(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _save(request, project, None)


@project_view()
def show_detail(request: HtmxHttpRequest, project: Project, prompt: int) -> HttpResponse:
    row = get_object_or_404(project.prompts.select_related("current"), pk=prompt)
    current = {"name": row.name, "role": row.role, "text": row.current.text, "base": row.current.number}
    return _form_page(request, row, PromptForm(initial=current))


@project_view(Role.CURATOR)
def save_detail(request: HtmxHttpRequest, project: Project, prompt: int) -> HttpResponse:
    return _save(request, project, get_object_or_404(project.prompts, pk=prompt))


prompt_new = verbs(get=show_new, post=create)
prompt_detail = verbs(get=show_detail, post=save_detail)


def _form_page(request: HtmxHttpRequest, row: Prompt | None, form: PromptForm, status: int = 200) -> HttpResponse:
    versions = list(row.versions.select_related("author")[: VERSIONS_SHOWN + 1]) if row else []
    # Newest first: each is compared with the one that came before it.
    changes = [(new, old.text) for new, old in pairwise(versions)]
    if versions and len(versions) <= VERSIONS_SHOWN:
        changes.append((versions[-1], ""))
    context = {"prompt": row, "form": form, "changes": changes}
    return render_page(request, "datasets/prompt_detail.html", context, status=status)


def _save(request: HtmxHttpRequest, project: Project, row: Prompt | None) -> HttpResponse:
    form = PromptForm(request.POST.dict())
    if row:
        form.fields["role"].disabled, form.initial["role"] = True, row.role
        form.newest = row.versions.select_related("author").first()
    if form.is_valid():
        try:
            saved = prompts.save_prompt(project=project, author=request.user, prompt=row, **form.cleaned_data)
            messages.success(request, f"“{saved.name}” is saved.")
            return redirect("datasets:prompt-detail", project.slug, saved.pk)
        except Refused as refusal:
            form.add_error(refusal.field or None, str(refusal))
    return _form_page(request, row, form, status=422)


@require_POST
@project_view(Role.CURATOR)
def prompt_archive(request: HtmxHttpRequest, project: Project, prompt: int) -> HttpResponse:
    """Out of the lists, or back into them; runs that used it keep what they had."""
    row = get_object_or_404(project.prompts, pk=prompt)
    row.archived = not row.archived
    row.save(update_fields=["archived"])
    return redirect("datasets:prompt-list", project.slug)
