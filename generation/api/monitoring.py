"""Metrics, and alerts with their rules."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema

from datasets.access import project_for
from datasets.api.shapes import PROJECT, ApiRequest, Body, Id, Page, Place, one_of, page_of
from datasets.models import Project, Role
from generation.forms.monitoring import SPANS
from generation.models import Alert, AlertRule
from generation.presenters.metrics import usage_of
from generation.services.monitoring import alerts
from generation.services.monitoring import rules as alert_rules
from generation.services.monitoring.ledger import csv_of
from generation.services.monitoring.metrics import (
    Metrics,
    Scope,
    measures_of,
    metrics_of,
    scope_of_project,
    scope_of_run,
)

router = Router(tags=["Monitoring"])

RUN_METRICS = PROJECT + "/runs/{int:run}/metrics"
ALERTS = PROJECT + "/alerts"
RULES = PROJECT + "/alert-rules"
KINDS = one_of(AlertRule.Kind.values)
Severity = Literal["warning", "error"]


class Narrower(Schema):
    """What to count."""

    span: Literal["hour", "day", "week", "month"] = "day"
    run: Id | None = None
    endpoint: Id | None = None
    model: str = Field("", max_length=150)


class UsageOut(Schema):
    model: str
    endpoint: str = Field(description="Its name; empty for one that is gone.")
    operation: str
    calls: int
    prompt_tokens: int = Field(alias="prompt")
    completion_tokens: int = Field(alias="completion")
    cost: Decimal = Field(alias="money", description="By the prices of the endpoints; 0 where none is set.")


class MetricsOut(Schema):
    since: datetime
    until: datetime
    calls: int
    tries: int = Field(description="Calls, with those that were made again.")
    cost: Decimal = Field(description="By the prices of the endpoints; 0 where none is set.")
    done: int = Field(description="Conversations.")
    failed: int
    success_rate: float | None = Field(description="Of conversations that ended; null where none did.")
    error_rate: float | None = Field(description="Of attempts, those to be made again included.")
    errors: dict[str, int] = Field(description="Attempts that failed, by kind.")
    evaluation_error_rate: float | None
    measures: dict[str, dict[str, float]] = Field(description="By name: count, mean, min and max; times in seconds.")
    finish_reasons: dict[str, int] = Field(
        description="Calls by the server's word for why the reply ended (stop, length, …); empty where it gave none."
    )
    usage: list[UsageOut] = Field(description="By model and operation, what cost the most first.")


@router.get(PROJECT + "/metrics", response=MetricsOut)
def get_metrics(request: ApiRequest, project: str, narrower: Query[Narrower]) -> dict[str, Any]:
    """The metrics of the last hour, day, week or 30 days."""
    row = project_for(request.auth, project)
    return _metrics(_scope(row, narrower), row.endpoints.values_list("pk", "name"))


def _scope(project: Project, narrower: Narrower) -> Scope:
    narrowed = {"run": narrower.run, "endpoint": narrower.endpoint, "model": narrower.model}
    return scope_of_project(project.pk, SPANS[narrower.span], **narrowed)


@router.get(
    PROJECT + "/calls",
    openapi_extra={"responses": {200: {"description": "A line a call", "content": {"text/csv": {}}}}},
)
def download_calls(request: ApiRequest, project: str, narrower: Query[Narrower]) -> StreamingHttpResponse:
    """The calls that the metrics count, newest first, as a CSV file of times, models, tokens and costs."""
    row = project_for(request.auth, project)
    return StreamingHttpResponse(csv_of(_scope(row, narrower)), content_type="text/csv; charset=utf-8")


@router.get(RUN_METRICS, response=MetricsOut)
def get_run_metrics(request: ApiRequest, project: str, run: int) -> dict[str, Any]:
    """The metrics of a run's whole life."""
    row = project_for(request.auth, project)
    scope = scope_of_run(get_object_or_404(row.runs, pk=run))
    return _metrics(scope, row.endpoints.values_list("pk", "name"))


def _metrics(scope: Scope, endpoints: Any) -> dict[str, Any]:
    found: Metrics = metrics_of(scope)
    ended = found.ended
    measures = {
        name: {"count": one.count, "mean": one.mean, "min": one.low, "max": one.high}
        for name, one in measures_of(found).items()
    }
    return {
        "since": scope.since, "until": scope.until, "calls": found.calls, "tries": found.tries, "cost": found.money,
        "done": ended.done, "failed": ended.failed, "success_rate": ended.success_rate, "error_rate": ended.error_rate,
        "errors": ended.errors, "evaluation_error_rate": found.judgements.error_rate, "measures": measures,
        "finish_reasons": found.finishes, "usage": usage_of(found, dict(endpoints)),
    }  # fmt: skip


class AlertOut(Schema):
    id: int
    kind: str = Field(alias="rule.kind", json_schema_extra=KINDS)
    run: int | None = Field(alias="run_id", description="Null: of the whole project.")
    severity: Severity
    value: float
    sentence: str
    count: int = Field(description="How many times in a row the rule was found broken.")
    began: datetime
    last_seen: datetime
    ended: datetime | None
    acknowledged: datetime | None


class RuleOut(Schema):
    id: int
    kind: str = Field(json_schema_extra=KINDS)
    threshold: float = Field(description="A share goes from 0 to 1.")
    window: int = Field(description="Minutes looked back.")
    min_samples: int
    severity: Severity
    active: bool


class RuleIn(Body):
    """What is left out stays as it is."""

    threshold: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)] | None = None
    window: Annotated[int, Field(ge=1, le=31 * 1440)] | None = None
    min_samples: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    severity: Severity | None = None
    active: bool | None = None


@router.get(ALERTS, response=Page[AlertOut])
def list_alerts(request: ApiRequest, project: str, place: Query[Place]) -> dict[str, Any]:
    """The alerts of a project, newest first."""
    rows = project_for(request.auth, project).alerts.select_related("rule")
    return page_of(rows, place, newest_first=True)


@router.post(ALERTS + "/{int:alert}/acknowledge", response=AlertOut)
def acknowledge_alert(request: ApiRequest, project: str, alert: int) -> Alert:
    """Say that somebody has seen it. Needs the role of annotator."""
    rows = project_for(request.auth, project, Role.ANNOTATOR).alerts.filter(pk=alert)
    get_object_or_404(rows)
    alerts.acknowledge(alerts=rows, user=request.auth)
    return rows.select_related("rule").get()


@router.get(RULES, response=list[RuleOut])
def list_alert_rules(request: ApiRequest, project: str) -> list[AlertRule]:
    """What the project is warned of: one rule of each kind."""
    return alert_rules.rules_of(project_for(request.auth, project))


@router.patch(RULES + "/{int:rule}", response=RuleOut)
def change_alert_rule(request: ApiRequest, project: str, rule: int, body: RuleIn) -> AlertRule:
    """Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    changed = get_object_or_404(row.alert_rules, pk=rule)
    for name, value in body.dict(exclude_none=True).items():
        setattr(changed, name, value)
    alert_rules.change_rules(project=row, rules=[changed], user=request.auth)
    return changed
