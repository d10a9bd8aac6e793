"""The archive in the admin panel. History (versions, reviews, judgements, activity) can be read and never changed."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.paginator import InfinitePaginator

from datasets.services.collecting import corpora
from datasets.services.publishing import exports

from . import models


def who(request: HttpRequest) -> models.User:
    """Who acts: nobody gets into the panel who has not logged in."""
    assert isinstance(request.user, models.User)
    return request.user


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

    NAMED = 20
    """Rows that are named before they are deleted; the others are counted."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_superuser

    def get_deleted_objects(
        self, objs: Iterable[Model], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """What belongs to a row goes with it, although nobody may delete it by itself."""
        rows = list(objs)
        names = [str(row) for row in rows[: self.NAMED]]
        names += [f"and {len(rows) - self.NAMED} more"] if len(rows) > self.NAMED else []
        counted = {str(row._meta.verbose_name_plural): len(rows) for row in rows[:1]}
        return names, counted, set(), []


class LargeTable(ModelAdmin):
    """For tables of a hundred thousand rows: never counts them all."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50


class InProjectForm(ModelForm):
    """A row whose project stays: Django would leave out what is to be unique in a project that the form does not show."""

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_bound and not self.errors:
            try:
                self.instance.validate_constraints()
            except ValidationError as error:
                self.add_error(None, error)


class MembershipInline(TabularInline):
    model = models.Membership
    extra = 0
    autocomplete_fields = ["user"]


class TheirMembershipInline(TabularInline):
    model = models.Membership
    extra = 0
    autocomplete_fields = ["project"]


@admin.register(models.User)
class UserAdmin(BaseUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "email", "is_active", "is_staff", "last_login"]
    actions = ["deactivate", "activate"]

    def get_inlines(self, request: HttpRequest, obj: models.User | None) -> list[type[TabularInline]]:
        """A new person's projects come after their name and password."""
        return [TheirMembershipInline] if obj else []

    @admin.action(description="Deactivate: log them out, refuse their tokens, keep their work", permissions=["change"])
    def deactivate(self, request: HttpRequest, people: QuerySet[models.User]) -> None:
        others = people.exclude(pk=who(request).pk)
        if others.count() < people.count():
            self.message_user(request, "You stay active, or nobody might be left to let you in.", messages.WARNING)
        self.message_user(request, f"{self._turn(request, others, active=False)} deactivated.")

    @admin.action(description="Activate: let them log in again", permissions=["change"])
    def activate(self, request: HttpRequest, people: QuerySet[models.User]) -> None:
        self.message_user(request, f"{self._turn(request, people, active=True)} activated.")

    def _turn(self, request: HttpRequest, people: QuerySet[models.User], *, active: bool) -> int:
        """How many were turned; the panel's history of each person says by whom."""
        turned = list(people.exclude(is_active=active))
        for person in turned:
            person.is_active = active
            person.save(update_fields=["is_active"])
            self.log_change(request, person, [{"changed": {"fields": ["active"]}}])
        return len(turned)


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
    form = InProjectForm
    list_display = ["name", "project", "chunk_size", "chunk_overlap", "created"]
    list_filter = ["project"]
    search_fields = ["name", "description"]
    # A new cutting means reading every file again, which the corpus page does.
    readonly_fields = ["project", "chunk_size", "chunk_overlap"]
    actions = ["read_again"]

    @admin.action(description="Read all files again, which makes a lost index anew", permissions=["change"])
    def read_again(self, request: HttpRequest, rows: QuerySet[models.Corpus]) -> None:
        """Workers find the files by themselves."""
        files = sum(corpora.reread_corpus(corpus=row, user=who(request)) for row in rows)
        self.message_user(request, f"{files} files are read again.")

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
    form = InProjectForm
    list_display = ["name", "project", "depth", "proposed", "archived", "created"]
    list_filter = ["proposed", "archived", "project"]
    search_fields = ["name", "versions__description"]
    readonly_fields = ["project", "current", "document", "parent", "depth"]
    inlines = [PersonaVersionInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(models.Prompt)
class PromptAdmin(ModelAdmin):
    form = InProjectForm
    list_display = ["name", "role", "project", "archived", "created"]
    list_filter = ["role", "archived", "project"]
    search_fields = ["name", "versions__text"]
    readonly_fields = ["project", "role", "current"]
    inlines = [PromptVersionInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(models.Criterion)
class CriterionAdmin(ModelAdmin):
    form = InProjectForm
    list_display = ["name", "project", "needs_passages", "weight", "archived", "created"]
    list_filter = ["archived", "project"]
    search_fields = ["name", "description"]
    readonly_fields = ["project"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(models.Tool)
class ToolAdmin(ModelAdmin):
    list_display = ["name", "project", "description", "archived", "updated"]
    list_filter = ["archived", "project"]
    search_fields = ["name", "description"]
    list_select_related = ["project"]
    # The form of the tools page checks the schema.
    readonly_fields = ["project", "name", "parameters"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(models.Batch)
class BatchAdmin(ReadOnly, LargeTable):
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


@admin.register(models.Import)
class ImportAdmin(ReadOnly, ModelAdmin):
    list_display = ["name", "project", "state", "size", "rows", "problem_count", "created_by", "created"]
    list_filter = ["state", "project"]
    search_fields = ["=id", "name"]
    list_select_related = ["project", "created_by"]


@admin.register(models.BulkAction)
class BulkActionAdmin(ReadOnly, ModelAdmin):
    list_display = ["pk", "project", "decision", "label", "state", "done", "total", "actor", "created"]
    list_filter = ["state", "project"]
    search_fields = ["=id"]
    list_select_related = ["project", "label", "actor"]


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

    def delete_model(self, request: HttpRequest, obj: models.Export) -> None:
        """With its file."""
        exports.delete_export(export=obj, actor=who(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[models.Export]) -> None:
        for export in queryset:
            self.delete_model(request, export)
