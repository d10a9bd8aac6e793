"""The members of a project, and a person's own account."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets import tasks
from datasets.access import project_view
from datasets.forms.projects import EmailForm, MemberForm, RoleForm, TokenForm
from datasets.models import ApiToken, Membership, Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services import accounts, projects
from datasets.services.errors import Refused
from datasets.verbs import verbs


@require_GET
@project_view()
def member_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _members(request, project, MemberForm())


def _members(request: HtmxHttpRequest, project: Project, form: MemberForm, status: int = 200) -> HttpResponse:
    memberships = project.memberships.select_related("user").order_by("user__username")
    context = {"memberships": memberships, "form": form, "roles": Role}
    return render_page(request, "datasets/member_list.html", context, status=status)


@require_POST
@project_view(Role.OWNER)
def member_add(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    form = MemberForm(request.POST)
    if form.is_valid():
        try:
            projects.add_member(project=project, actor=request.user, **form.cleaned_data)
            return redirect("datasets:member-list", project.slug)
        except Refused as refusal:
            form.add_error(refusal.field or None, str(refusal))
    return _members(request, project, form, status=422)


@require_POST
@project_view(Role.OWNER)
def member_change(request: HtmxHttpRequest, project: Project, membership: int) -> HttpResponse:
    """A new role, or out (`remove`)."""
    row = get_object_or_404(project.memberships.select_related("project", "user"), pk=membership)
    try:
        _change(request, row)
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("datasets:member-list", project.slug)


def _change(request: HtmxHttpRequest, row: Membership) -> None:
    if "remove" in request.POST:
        projects.remove_member(membership=row, actor=request.user)
        return
    form = RoleForm(request.POST)
    if not form.is_valid():
        raise Refused("Choose one of the four roles.")
    projects.change_role(membership=row, role=form.cleaned_data["role"], actor=request.user)


@require_GET
@login_required
def account(request: HtmxHttpRequest) -> HttpResponse:
    return _account(request)


def _account(
    request: HtmxHttpRequest,
    *,
    form: TokenForm | None = None,
    email: EmailForm | None = None,
    token: str = "",
    status: int = 200,
) -> HttpResponse:
    context = {
        "form": form or TokenForm(),
        "email": email or EmailForm(initial={"email": request.user.email}),
        "can_mail": accounts.can_mail(),
        "tokens": request.user.api_tokens.all(),
        "token": token,
    }
    response = render_page(request, "datasets/account.html", context, status=status)
    response.headers["Cache-Control"] = "no-store"
    return response


@require_POST
@login_required
def email_change(request: HtmxHttpRequest) -> HttpResponse:
    """An address counts once the link that is sent there was opened; none counts at once."""
    form = EmailForm(request.POST)
    if not form.is_valid():
        return _account(request, email=form, status=422)
    email, user = form.cleaned_data["email"], request.user
    try:
        accounts.ask_for_email(user=user, email=email) if email else accounts.drop_email(user=user)
    except Refused as refusal:
        form.add_error("email", str(refusal))
        return _account(request, email=form, status=422)
    if email:
        transaction.on_commit(lambda: tasks.send_email_confirmation.delay(user.pk, email), robust=True)
    said = f"A message was sent to {email}: open the link in it within a day." if email else "Your address is removed."
    messages.success(request, said)
    return redirect("datasets:account")


@login_required
def email_asked(request: HtmxHttpRequest, token: str) -> HttpResponse:
    """Where the link of the message leads. Opening it changes nothing yet: programs open links as well."""
    try:
        email = accounts.asked_email(user=request.user, token=token)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("datasets:account")
    return render_page(request, "datasets/account_email.html", {"email": email})


@login_required
def email_take(request: HtmxHttpRequest, token: str) -> HttpResponse:
    try:
        accounts.confirm_email(user=request.user, token=token)
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"Messages to you go to {request.user.email} from now on.")
    return redirect("datasets:account")


email_confirm = verbs(get=email_asked, post=email_take)


@require_POST
@login_required
def token_new(request: HtmxHttpRequest) -> HttpResponse:
    """The answer is the only page that ever shows the token."""
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _account(request, form=form, status=422)
    _, token = ApiToken.issue(request.user, form.cleaned_data["name"])
    return _account(request, token=token)


@require_POST
@login_required
def token_delete(request: HtmxHttpRequest, token: int) -> HttpResponse:
    get_object_or_404(request.user.api_tokens, pk=token).delete()
    messages.success(request, "The token is revoked.")
    return redirect("datasets:account")
