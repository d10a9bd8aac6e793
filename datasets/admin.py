"""The archive in the admin panel. History (versions, reviews, judgements, activity) can be read and never changed."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.paginator import InfinitePaginator

from . import models


class ReadOnly:
    """For what must not change: seen, searched, never added, edited or deleted on its own."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class Deletable(ReadOnly):
    """As ReadOnly, but an administrator may delete it with all that belongs to it."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_superuser


class LargeTable(ModelAdmin):
    """For tables of a hundred thousand rows: never counts them all."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50


class MembershipInline(TabularInline):
    model = models.Membership
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(models.User)
class UserAdmin(BaseUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "email", "is_active", "is_staff", "last_login"]


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(BaseGroupAdmin, ModelAdmin):
    pass


@admin.register(models.Project)
class ProjectAdmin(ModelAdmin):
    list_display = ["name", "slug", "created"]
    search_fields = ["name", "slug"]
    inlines = [MembershipInline]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """The settings page deletes a project, once workers have cleared its files and indexes."""
        return False


@admin.register(models.Membership)
class MembershipAdmin(ModelAdmin):
    list_display = ["user", "project", "role", "created"]
    list_filter = ["role", "project"]
    search_fields = ["user__username", "project__name"]
    autocomplete_fields = ["user", "project"]


@admin.register(models.ApiToken)
class ApiTokenAdmin(Deletable, ModelAdmin):
    list_display = ["name", "user", "hint", "created", "last_used"]
    search_fields = ["name", "user__username"]
    exclude = ["digest"]


@admin.register(models.Activity)
class ActivityAdmin(ReadOnly, LargeTable):
    list_display = ["created", "project", "actor", "text"]
    list_filter = ["project"]
    search_fields = ["text"]
    list_select_related = ["project", "actor"]


@admin.register(models.Corpus)
class CorpusAdmin(ModelAdmin):
    list_display = ["name", "project", "chunk_size", "chunk_overlap", "created"]
    list_filter = ["project"]
    search_fields = ["name", "description"]
    # A new cutting means reading every file again, which the corpus page does.
    readonly_fields = ["project", "chunk_size", "chunk_overlap"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(models.SourceFile)
class SourceFileAdmin(ReadOnly, LargeTable):
    list_display = ["name", "corpus", "state", "size", "document_count", "passage_count", "problem_count", "updated"]
    list_filter = ["state", "corpus__project"]
    search_fields = ["name", "sha256"]
    list_select_related = ["corpus"]


@admin.register(models.Document)
class DocumentAdmin(ReadOnly, LargeTable):
    list_display = ["title", "corpus", "source", "characters", "passage_count"]
    list_filter = ["corpus"]
    search_fields = ["title", "key"]
    list_select_related = ["corpus", "source"]


@admin.register(models.Passage)
class PassageAdmin(ReadOnly, LargeTable):
    list_display = ["pk", "document", "start", "end", "page", "heading"]
    list_filter = ["corpus"]
    search_fields = ["=document__title", "heading"]
    list_select_related = ["document"]


class HistoryInline(ReadOnly, TabularInline):
    extra = 0


class PersonaVersionInline(HistoryInline):
    model = models.PersonaVersion
    fk_name = "persona"


class PromptVersionInline(HistoryInline):
    model = models.PromptVersion
    fk_name = "prompt"


@admin.register(models.Persona)
class PersonaAdmin(ModelAdmin):
    list_display = ["name", "project", "depth", "proposed", "archived", "created"]
    list_filter = ["proposed", "archived", "project"]
    search_fields = ["name", "versions__description"]
    readonly_fields = ["project", "current", "document", "parent", "depth"]
    inlines = [PersonaVersionInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(models.Prompt)
class PromptAdmin(ModelAdmin):
    list_display = ["name", "role", "project", "archived", "created"]
    list_filter = ["role", "archived", "project"]
    search_fields = ["name", "versions__text"]
    readonly_fields = ["project", "role", "current"]
    inlines = [PromptVersionInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(models.Criterion)
class CriterionAdmin(ModelAdmin):
    list_display = ["name", "project", "needs_passages", "weight", "archived", "created"]
    list_filter = ["archived", "project"]
    search_fields = ["name", "description"]
    readonly_fields = ["project"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(models.Batch)
class BatchAdmin(Deletable, LargeTable):
    list_display = ["name", "kind", "project", "created"]
    list_filter = ["kind", "project"]
    search_fields = ["name"]
    list_select_related = ["project"]


@admin.register(models.Label)
class LabelAdmin(ModelAdmin):
    list_display = ["name", "project", "created"]
    list_filter = ["project"]
    search_fields = ["name"]


@admin.register(models.Conversation)
class ConversationAdmin(Deletable, LargeTable):
    list_display = ["pk", "opening", "status", "project", "turns", "score", "offline", "created"]
    list_filter = ["status", "offline", "project"]
    search_fields = ["=id"]
    search_help_text = "By number. Text is searched on the conversations page."
    list_select_related = ["project"]
    exclude = ["labels"]


@admin.register(models.Version)
class VersionAdmin(ReadOnly, LargeTable):
    list_display = ["pk", "conversation", "number", "origin", "author", "created"]
    list_filter = ["origin"]
    search_fields = ["=conversation__id"]
    list_select_related = ["conversation", "author"]


@admin.register(models.Judgement)
class JudgementAdmin(ReadOnly, LargeTable):
    list_display = ["pk", "version", "evaluator", "model", "overall", "created"]
    list_filter = ["evaluator"]
    search_fields = ["=version__conversation__id"]
    list_select_related = ["version"]


@admin.register(models.Review)
class ReviewAdmin(ReadOnly, LargeTable):
    list_display = ["created", "conversation", "reviewer", "decision"]
    list_filter = ["decision", "reviewer"]
    search_fields = ["=conversation__id", "reviewer__username"]
    list_select_related = ["conversation", "reviewer"]


@admin.register(models.Note)
class NoteAdmin(Deletable, LargeTable):
    list_display = ["created", "conversation", "author", "text"]
    search_fields = ["text", "=conversation__id"]
    list_select_related = ["conversation", "author"]


@admin.register(models.PersonaImport)
class PersonaImportAdmin(Deletable, ModelAdmin):
    list_display = ["pk", "project", "state", "total", "added", "changed", "problem_count", "created_by", "created"]
    list_filter = ["state", "project"]
    search_fields = ["=id", "project__name"]
    list_select_related = ["project", "created_by"]
    exclude = ["text", "orphans"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[models.PersonaImport]:
        return super().get_queryset(request).defer("text", "orphans")


@admin.register(models.Report)
class ReportAdmin(Deletable, ModelAdmin):
    list_display = ["pk", "project", "about", "state", "rows", "rows_read", "created_by", "created"]
    list_filter = ["state", "project"]
    search_fields = ["=id", "project__name"]
    list_select_related = ["project", "created_by"]


@admin.register(models.Export)
class ExportAdmin(Deletable, ModelAdmin):
    list_display = ["pk", "project", "format", "state", "rows", "rows_written", "size", "created_by", "created"]
    list_filter = ["state", "format", "project"]
    search_fields = ["=id", "project__name"]
    list_select_related = ["project", "created_by"]
