"""Proposals one by one: what would change, whether it scores better, and the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from datasets.access import project_view
from datasets.models import Judgement, Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.presenters.comparing import compared
from datasets.services.curating.reviews import HeadChanged
from datasets.services.errors import Refused
from generation.models import ImprovementItem
from generation.services.improving import proposals

HEAD_START = 2.0
"""Seconds that a request spends on accepting many."""


@require_GET
@project_view()
def proposal_detail(request: HtmxHttpRequest, project: Project, improvement: int, item: int) -> HttpResponse:
    """With `?decided=`, another one that has just been decided on can be taken back from here."""
    return _page(request, project, _asked(project, improvement, item))


@require_POST
@project_view(Role.CURATOR)
def proposal_action(
    request: HtmxHttpRequest, project: Project, improvement: int, item: int, action: str
) -> HttpResponse:
    """Accept, decline, or take back (`reopen`); then on to the next that nobody has decided on."""
    row = _asked(project, improvement, item)
    if action not in ("accept", "decline", "reopen"):
        raise Http404("No such action.")
    try:
        _act(request, row, action)
    except HeadChanged as change:
        return _page(request, project, _asked(project, improvement, item), problem=str(change), status=409)
    except Refused as refusal:
        return _page(request, project, _asked(project, improvement, item), problem=str(refusal), status=422)
    following = row.pk if action == "reopen" else _next_undecided(row)
    if following is None:
        messages.success(request, "Every proposal is decided on.")
        return redirect("generation:improvement-detail", project.slug, improvement)
    address = reverse("generation:proposal-detail", args=[project.slug, improvement, following])
    return redirect(address if action == "reopen" else f"{address}?decided={row.pk}")


@require_POST
@project_view(Role.CURATOR)
def proposals_better(request: HtmxHttpRequest, project: Project, improvement: int) -> HttpResponse:
    """Accept all that score better."""
    row = get_object_or_404(project.improvements, pk=improvement)
    if proposals.accept_better(improvement=row, user=request.user, seconds=HEAD_START):
        messages.info(request, "Many are accepted; there are more: press the button again.")
    return redirect("generation:improvement-detail", project.slug, improvement)


def _act(request: HtmxHttpRequest, item: ImprovementItem, action: str) -> None:
    if action == "accept":
        head = request.POST.get("head", "")
        proposals.accept_proposal(item=item, user=request.user, head=int(head) if head.isdecimal() else 0)
    elif action == "decline":
        proposals.decline_proposal(item=item, user=request.user)
    else:
        proposals.reopen_proposal(item=item, user=request.user)


def _asked(project: Project, improvement: int, item: int) -> ImprovementItem:
    rows = ImprovementItem.objects.shown().filter(improvement__project=project, improvement=improvement)
    return get_object_or_404(
        rows.select_related("improvement", "conversation__head", "base", "proposal", "decided_by"), pk=item
    )


def _next_undecided(item: ImprovementItem) -> int | None:
    """The next one below, or else the first from the top."""
    others = item.improvement.items.undecided().exclude(pk=item.pk).order_by("pk").values_list("pk", flat=True)
    return others.filter(pk__gt=item.pk).first() or others.first()


def _decided(request: HtmxHttpRequest, item: ImprovementItem) -> ImprovementItem | None:
    pk = request.GET.get("decided", "")
    if not pk.isdecimal() or len(pk) > 18 or item.state != ImprovementItem.State.PROPOSED:
        return None
    return item.improvement.items.shown().exclude(decided=None).filter(pk=pk).first()


def _page(
    request: HtmxHttpRequest, project: Project, item: ImprovementItem, *, problem: str = "", status: int = 200
) -> HttpResponse:
    shown = item.improvement.items.shown().values_list("pk", flat=True)
    accepted = item.state == ImprovementItem.State.ACCEPTED
    before = item.base if accepted else item.conversation.head
    assert item.proposal is not None
    context = {
        "section": "conversations",
        "item": item,
        "improvement": item.improvement,
        "before": before,
        "moved": not accepted and before.pk != item.base_id,
        "messages_compared": list(compared(before.spoken, item.proposal.spoken)),
        "scores": scores_of(list(before.judgements.all()), list(item.proposal.judgements.all())),
        "next": shown.filter(pk__gt=item.pk).order_by("pk").first(),
        "previous": shown.filter(pk__lt=item.pk).order_by("-pk").first(),
        "left": item.improvement.items.undecided().count(),
        "decided": _decided(request, item),
        "problem": problem,
    }
    return render_page(request, "generation/proposal_detail.html", context, status=status)


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one criterion, before and after; None where nothing was said of it."""

    criterion: str
    before: float | None
    after: float | None
    feedback: str = ""


def scores_of(before: Sequence[Judgement], after: Sequence[Judgement]) -> list[Scores]:
    """The latest judgement of each side, criterion by criterion, with what was said of the new one."""
    old, new = _marks(before), _marks(after)
    return [
        Scores(name, old.get(name, (None, ""))[0], *new.get(name, (None, ""))) for name in dict.fromkeys([*old, *new])
    ]


def _marks(judgements: Sequence[Judgement]) -> dict[str, tuple[float | None, str]]:
    latest = next((row for row in reversed(judgements) if row.overall is not None), None)
    return (
        {score["criterion"]: (score["value"], score.get("feedback", "")) for score in latest.scores} if latest else {}
    )
