"""The press in the admin panel. What has been run can be read and never changed; keys are never shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from datasets.admin import Deletable, HistoryInline, InProjectForm, LargeTable, ReadOnly, who
from datasets.services.errors import Refused

from . import models
from .services.growing import growths
from .services.improving import improvements
from .services.running import runs


class KeyInline(HistoryInline):
    """Keys can be withdrawn here; they are entered on the endpoint's page, which encrypts them."""

    model = models.EndpointKey
    fields = ["hint", "name", "hourly_limit", "daily_limit", "active", "refused", "created"]
    readonly_fields = fields

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.is_superuser


class PriceInline(TabularInline):
    model = models.Price
    extra = 0


@admin.register(models.Endpoint)
class EndpointAdmin(ModelAdmin):
    list_display = ["name", "project", "preset", "base_url", "chat_model", "embedding_model"]
    list_filter = ["preset", "project"]
    search_fields = ["name", "base_url", "chat_model"]
    form = InProjectForm
    # A key is never sent to another address than the one that it was entered for: the endpoint's page sees to that.
    readonly_fields = ["project", "preset", "base_url"]
    inlines = [KeyInline, PriceInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Endpoint | None = None) -> bool:
        """The endpoint's page deletes it, unless something still speaks through it."""
        return False


@admin.register(models.CorpusEmbedding)
class CorpusEmbeddingAdmin(ReadOnly, ModelAdmin):
    list_display = ["corpus", "endpoint", "model"]
    search_fields = ["corpus__name", "model"]
    list_select_related = ["corpus", "endpoint"]


@admin.register(models.Recipe)
class RecipeAdmin(Deletable, ModelAdmin):
    list_display = ["name", "project", "author", "updated"]
    list_filter = ["project"]
    search_fields = ["name"]
    list_select_related = ["project", "author"]


class Steered(ReadOnly, ModelAdmin):
    """Work that an administrator may hold back or let go on, whoever's project it is in."""

    def has_steer_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def steer(self, request: HttpRequest, rows: QuerySet[Any], service: Callable[[Any], None], done: str) -> None:
        """Tells how many rows `service` has moved to another state, and why it refused the others."""
        moved = 0
        for row in rows:
            before = row.state
            try:
                service(row)
            except Refused as refusal:
                self.message_user(request, f"{row}: {refusal}", messages.ERROR)
            moved += row.state != before
        self.message_user(request, f"{moved} of {len(rows)} {done}.", messages.SUCCESS if moved else messages.WARNING)


@admin.register(models.Run)
class RunAdmin(Steered):
    list_display = ["name", "project", "state", "slots_done", "slots_failed", "slots_total", "calls", "cost", "created"]
    list_filter = ["state", "offline", "project"]
    search_fields = ["name", "=id"]
    list_select_related = ["project"]
    actions = ["pause", "resume", "cancel"]

    @admin.action(description="Pause: begin nothing new, finish what is in flight", permissions=["steer"])
    def pause(self, request: HttpRequest, rows: QuerySet[models.Run]) -> None:
        self.steer(request, rows, lambda run: runs.pause_run(run=run, user=who(request)), "paused")

    @admin.action(description="Resume", permissions=["steer"])
    def resume(self, request: HttpRequest, rows: QuerySet[models.Run]) -> None:
        self.steer(request, rows, lambda run: runs.resume_run(run=run, user=who(request)), "resumed")

    @admin.action(description="Cancel for good: drop what is in flight, keep what has landed", permissions=["steer"])
    def cancel(self, request: HttpRequest, rows: QuerySet[models.Run]) -> None:
        self.steer(request, rows, lambda run: runs.cancel_run(run=run, user=who(request)), "cancelled")


@admin.register(models.Slot)
class SlotAdmin(ReadOnly, LargeTable):
    list_display = ["run", "index", "state", "turns", "attempts", "error_kind", "updated"]
    list_filter = ["state", "error_kind"]
    search_fields = ["=run__id", "error"]
    list_select_related = ["run"]


@admin.register(models.Improvement)
class ImprovementAdmin(Steered):
    list_display = ["pk", "project", "state", "made", "failed", "total", "calls", "cost", "created_by", "created"]
    list_filter = ["state", "offline", "project"]
    search_fields = ["=id"]
    list_select_related = ["project", "created_by"]
    actions = ["resume", "cancel"]

    @admin.action(description="Resume", permissions=["steer"])
    def resume(self, request: HttpRequest, rows: QuerySet[models.Improvement]) -> None:
        self.steer(
            request, rows, lambda row: improvements.resume_improvement(improvement=row, user=who(request)), "resumed"
        )

    @admin.action(description="Cancel for good: drop what is in flight, keep the proposals", permissions=["steer"])
    def cancel(self, request: HttpRequest, rows: QuerySet[models.Improvement]) -> None:
        self.steer(
            request, rows, lambda row: improvements.cancel_improvement(improvement=row, user=who(request)), "cancelled"
        )


@admin.register(models.ImprovementItem)
class ImprovementItemAdmin(ReadOnly, LargeTable):
    list_display = ["improvement", "conversation_id", "state", "before", "after", "attempts", "decided_by", "updated"]
    list_filter = ["state"]
    search_fields = ["=improvement__id", "error"]
    list_select_related = ["improvement", "decided_by"]


@admin.register(models.PersonaGrowth)
class PersonaGrowthAdmin(Steered):
    list_display = ["corpus_name", "project", "state", "documents", "depth", "personas", "calls", "cost", "created"]
    list_filter = ["state", "offline", "project"]
    search_fields = ["=id", "corpus_name"]
    list_select_related = ["project"]
    actions = ["resume", "cancel"]

    @admin.action(description="Resume", permissions=["steer"])
    def resume(self, request: HttpRequest, rows: QuerySet[models.PersonaGrowth]) -> None:
        self.steer(request, rows, lambda row: growths.resume_growth(growth=row, user=who(request)), "resumed")

    @admin.action(description="Cancel for good: drop what is in flight, keep the personas", permissions=["steer"])
    def cancel(self, request: HttpRequest, rows: QuerySet[models.PersonaGrowth]) -> None:
        self.steer(request, rows, lambda row: growths.cancel_growth(growth=row, user=who(request)), "cancelled")


@admin.register(models.PersonaBranch)
class PersonaBranchAdmin(ReadOnly, LargeTable):
    list_display = ["growth_id", "document_id", "depth", "state", "attempts", "updated"]
    list_filter = ["state"]
    search_fields = ["=growth__id", "error"]


@admin.register(models.Call)
class CallAdmin(ReadOnly, LargeTable):
    list_display = [
        "created",
        "operation",
        "model",
        "prompt_tokens",
        "completion_tokens",
        "latency_ms",
        "tries",
        "finish",
        "cost",
    ]
    list_filter = ["operation", "project"]
    search_fields = ["=run__id", "model"]


@admin.register(models.Trial)
class TrialAdmin(ReadOnly, LargeTable):
    list_display = ["pk", "kind", "project", "state", "created_by", "created", "finished"]
    list_filter = ["kind", "state", "project"]
    search_fields = ["=id", "error"]
    list_select_related = ["project", "created_by"]


@admin.register(models.AlertRule)
class AlertRuleAdmin(ReadOnly, ModelAdmin):
    list_display = ["kind", "project", "threshold", "window", "min_samples", "severity", "active"]
    list_filter = ["active", "kind", "project"]
    list_select_related = ["project"]


@admin.register(models.Alert)
class AlertAdmin(ReadOnly, LargeTable):
    list_display = ["rule", "run", "severity", "value", "count", "began", "ended", "acknowledged_by"]
    list_filter = ["severity", "project"]
    search_fields = ["sentence", "=run__id"]
    list_select_related = ["rule", "run", "acknowledged_by"]


@admin.register(models.AlertDelivery)
class AlertDeliveryAdmin(ReadOnly, LargeTable):
    list_display = ["pk", "channel", "project", "state", "attempts", "status", "not_before", "ended"]
    list_filter = ["state", "channel", "project"]
    search_fields = ["=id", "error"]
    list_select_related = ["project"]
