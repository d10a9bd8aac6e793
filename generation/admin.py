"""The press in the admin panel. What has been run can be read and never changed; keys are never shown."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from datasets.admin import Deletable, HistoryInline, LargeTable, ReadOnly

from . import models


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
    readonly_fields = ["project"]
    inlines = [KeyInline, PriceInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
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


@admin.register(models.Run)
class RunAdmin(ReadOnly, ModelAdmin):
    list_display = ["name", "project", "state", "slots_done", "slots_failed", "slots_total", "calls", "cost", "created"]
    list_filter = ["state", "offline", "project"]
    search_fields = ["name", "=id"]
    list_select_related = ["project"]


@admin.register(models.Slot)
class SlotAdmin(ReadOnly, LargeTable):
    list_display = ["run", "index", "state", "turns", "attempts", "error_kind", "updated"]
    list_filter = ["state", "error_kind"]
    search_fields = ["=run__id", "error"]
    list_select_related = ["run"]


@admin.register(models.Improvement)
class ImprovementAdmin(ReadOnly, ModelAdmin):
    list_display = ["pk", "project", "state", "made", "failed", "total", "calls", "cost", "created_by", "created"]
    list_filter = ["state", "offline", "project"]
    search_fields = ["=id"]
    list_select_related = ["project", "created_by"]


@admin.register(models.ImprovementItem)
class ImprovementItemAdmin(ReadOnly, LargeTable):
    list_display = ["improvement", "conversation_id", "state", "before", "after", "attempts", "decided_by", "updated"]
    list_filter = ["state"]
    search_fields = ["=improvement__id", "error"]
    list_select_related = ["improvement", "decided_by"]


@admin.register(models.PersonaGrowth)
class PersonaGrowthAdmin(ReadOnly, ModelAdmin):
    list_display = ["corpus_name", "project", "state", "documents", "depth", "personas", "calls", "cost", "created"]
    list_filter = ["state", "offline", "project"]
    search_fields = ["=id", "corpus_name"]
    list_select_related = ["project"]


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
