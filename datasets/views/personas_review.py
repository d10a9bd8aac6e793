"""Reviewing what a model proposed: one persona at a time, among the people of its document."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import push_url

from datasets.access import project_view
from datasets.forms.personas import DecisionForm, PersonaForm, ReviewPlaceForm
from datasets.models import Persona, Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.personas import reviewing as personas_review
from datasets.services.personas.tree import neighbour, people_of, review_of


@require_GET
@project_view()
def persona_review(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    place = ReviewPlaceForm(request.GET).values()
    persona = get_object_or_404(project.personas, pk=place["persona"]) if place["persona"] else None
    return _page(request, project, persona, document=place["document"], **_decided(project, place["decided"]))


def _decided(project: Project, pk: int | None) -> dict[str, Any]:
    """What was decided last, so that it can be taken back."""
    row = project.personas.filter(pk=pk).first() if pk else None
    if row is None or (row.proposed and not row.archived):
        return {}
    return {"decided": row, "decision": "rejected" if row.archived else "accepted"}


def _page(
    request: HtmxHttpRequest, project: Project, persona: Persona | None, document: int | None = None, **notice: Any
) -> HttpResponse:
    review = review_of(project=project, persona=persona, document=document)
    place = review.document.pk if review.document else None
    context = {
        "review": review,
        "persona": review.persona,
        "form": _form(review.persona),
        "previous_document": neighbour(project, place, -1),
        "next_document": neighbour(project, place, 1),
        **notice,
    }
    return render_page(request, "datasets/persona_review.html", context, fragment="review")


def _form(persona: Persona | None) -> PersonaForm | None:
    if persona is None:
        return None
    said = {name: getattr(persona.current, name) for name in ("description", "features", "system_prompt")}
    return PersonaForm(initial={"name": persona.name, **said})


@require_POST
@project_view(Role.CURATOR)
def persona_decide(request: HtmxHttpRequest, project: Project, persona: int) -> HttpResponse:
    """Decide, and go on to the next that waits. Whoever takes a decision back stays with the persona."""
    row = get_object_or_404(project.personas, pk=persona)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        messages.error(request, "That is no decision: use the buttons below the persona.")
        return go_to(request, project, row)
    decision = form.cleaned_data["decision"]
    later = review_of(project=project, persona=row).later
    personas_review.decide(persona=row, decision=decision)
    if decision == "waiting":
        return go_to(request, project, row)
    target = project.personas.filter(pk=later or 0).first() or row
    return go_to(request, project, target, decided=row, decision=decision)


def go_to(request: HtmxHttpRequest, project: Project, row: Persona, **notice: Any) -> HttpResponse:
    """The page at `row`: in place for htmx, by a redirect otherwise."""
    address = f"{reverse('datasets:persona-review', args=[project.slug])}?persona={row.pk}"
    if request.htmx:
        return push_url(_page(request, project, row, **notice), address)
    return redirect(f"{address}&decided={notice['decided'].pk}" if notice else address)


@require_POST
@project_view(Role.CURATOR)
def persona_accept_all(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """Everybody who waits: of one document, of those without one (0), or of the project."""
    document = ReviewPlaceForm(request.POST).values()["document"]
    everybody = project.personas.all() if document is None else people_of(project, document or None)
    accepted = personas_review.accept_all(project=project, personas=everybody, actor=request.user)
    messages.success(request, f"{accepted} persona{'' if accepted == 1 else 's'} accepted: runs can use them.")
    left = project.personas.waiting().exists()
    return redirect("datasets:persona-review" if left else "datasets:persona-list", project.slug)


@require_POST
@project_view(Role.CURATOR)
def persona_clear_rejected(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    gone = personas_review.delete_rejected(project=project, actor=request.user)
    messages.success(request, f"{gone} rejected persona{'' if gone == 1 else 's'} deleted.")
    return redirect("datasets:persona-list", project.slug)
