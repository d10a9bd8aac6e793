"""Alerts: what has gone wrong, what is watched, and who is told."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from datasets.access import project_view
from datasets.forms.conversations import PlaceForm
from datasets.keyset import keyset
from datasets.models import Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.accounts import can_mail
from datasets.services.errors import Refused
from generation.forms.alerts import AcknowledgeForm, RuleForm, WebhookForm
from generation.models import AlertRule, AlertWebhook
from generation.services.monitoring import alerts
from generation.services.monitoring import channels as alert_channels
from generation.services.monitoring import delivery as alert_delivery
from generation.services.monitoring import rules as alert_rules
from generation.services.monitoring.kinds import KINDS, WITHOUT_WINDOW

ROWS = 30
LOG = 20
MOST_COUNTED = 99
ALL = "generation:alert-list"


@require_GET
@project_view()
def alert_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    page = keyset(project.alerts.for_list(), "pk", size=ROWS, descending=True, **PlaceForm(request.GET).values())
    context = {"page": page, "unseen": project.alerts.unseen()[:1].exists()}
    return render_page(request, "generation/alert_list.html", context, fragment="list")


@require_POST
@project_view(Role.ANNOTATOR)
def alert_acknowledge(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """One of them (`alert`), or all that nobody has acknowledged; then back to the list, or to the page of a `run`."""
    form = AcknowledgeForm(project, request.POST)
    if not form.is_valid():
        raise Http404("No such alert.")
    alert, run = form.cleaned_data["alert"], form.cleaned_data["run"]
    alerts.acknowledge(alerts=project.alerts.filter(pk=alert.pk) if alert else project.alerts.all(), user=request.user)
    return redirect("generation:run-detail", project.slug, run.pk) if run else redirect(ALL, project.slug)


@require_GET
@project_view()
def alert_count(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """The bell in the frame: how many alerts nobody has acknowledged."""
    count = project.alerts.unseen()[: MOST_COUNTED + 1].count()
    standing = project.alerts.unseen().standing().exists() if count else False
    context = {"count": count, "most": MOST_COUNTED, "standing": standing}
    return render(request, "generation/alert_bell.html", context)


@require_GET
@project_view()
def run_alerts(request: HtmxHttpRequest, project: Project, run: int) -> HttpResponse:
    """The strip on a run's page."""
    return render(request, "generation/alert_banner.html", {"run": get_object_or_404(project.runs, pk=run)})


# -- rules --------------------------------------------------------------------------------------------------------------


@project_view()
def rule_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _rules(request, _rule_forms(project))


def _rule_forms(project: Project, data: Any = None) -> list[RuleForm]:
    return [
        RuleForm(data, instance=rule, share=KINDS[rule.kind].unit == "%", without=_without(rule))
        for rule in alert_rules.rules_of(project)
    ]


def _without(rule: AlertRule) -> tuple[str, ...]:
    unused = {"window": rule.kind in WITHOUT_WINDOW, "min_samples": not KINDS[rule.kind].samples}
    return tuple(name for name, out in unused.items() if out)


def _rules(request: HtmxHttpRequest, forms: list[RuleForm], status: int = 200) -> HttpResponse:
    rows = [(form, KINDS[form.instance.kind]) for form in forms]
    wrong = any(form.errors for form in forms if form.is_bound)
    return render_page(request, "generation/alert_rules.html", {"rows": rows, "wrong": wrong}, status=status)


@project_view(Role.CURATOR)
def rules_save(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    forms = _rule_forms(project, request.POST)
    if [form for form in forms if not form.is_valid()]:
        return _rules(request, forms, status=422)
    changed = [form.instance for form in forms if form.has_changed()]
    if changed:
        alert_rules.change_rules(project=project, rules=changed, user=request.user)
    messages.success(request, "The rules are saved.")
    return redirect("generation:alert-rules", project.slug)


# -- who is told --------------------------------------------------------------------------------------------------------


@require_GET
@project_view()
def channels(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _channels(request, project, WebhookForm(project))


def _channels(
    request: HtmxHttpRequest, project: Project, form: WebhookForm, secret: str = "", status: int = 200
) -> HttpResponse:
    """`secret` is on the page that answers its making, and on no other."""
    context = {
        "form": form,
        "secret": secret,
        "mailed": alert_channels.is_mailed(project=project, user=request.user),
        "can_mail": can_mail(),
        "log": project.alert_deliveries.select_related("alert__rule", "membership__user").order_by("-pk")[:LOG],
    }
    response = render_page(request, "generation/alert_channels.html", context, fragment="log", status=status)
    response.headers["Cache-Control"] = "no-store"
    return response


@require_POST
@project_view()
def mail_switch(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    try:
        alert_channels.switch_mail(project=project, user=request.user, on="on" in request.POST)
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("generation:alert-channels", project.slug)


@require_POST
@project_view(Role.OWNER)
def webhook_save(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    form = WebhookForm(project, request.POST)
    if not form.is_valid():
        return _channels(request, project, form, status=422)
    secret = alert_channels.save_webhook(webhook=form.instance, user=request.user)
    return _channels(request, project, WebhookForm(project), secret) if secret else _back(project)


@require_POST
@project_view(Role.OWNER)
def webhook_action(request: HtmxHttpRequest, project: Project, action: str) -> HttpResponse:
    """Send a test, renew the secret, or remove the webhook."""
    webhook = get_object_or_404(AlertWebhook, project=project)
    if action == "test":
        alert_delivery.try_webhook(project=project)
    elif action == "renew":
        secret = alert_channels.renew_secret(webhook=webhook, user=request.user)
        return _channels(request, project, WebhookForm(project), secret)
    elif action == "remove":
        alert_channels.remove_webhook(webhook=webhook, user=request.user)
    else:
        raise Http404("No such action.")
    return _back(project)


def _back(project: Project) -> HttpResponse:
    return redirect("generation:alert-channels", project.slug)
