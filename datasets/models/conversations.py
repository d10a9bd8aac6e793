"""Conversations: what people curate. Their versions are immutable, so nothing is ever overwritten."""

from __future__ import annotations

from typing import Self

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from datasets.schema import Dialog, Message, ToolSpec, Trace

from .people import Project, User
from .personas import Persona


class Batch(models.Model):
    """Conversations that came together: those of one run, or of one import."""

    class Kind(models.TextChoices):
        RUN = "run", "Run"
        IMPORT = "import", "Import"

    project = models.ForeignKey(Project, models.CASCADE, related_name="batches")
    kind = models.CharField(max_length=10, choices=Kind)
    name = models.CharField(max_length=120)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "batches"

    def __str__(self) -> str:
        return self.name


class Status(models.TextChoices):
    """The one machine for a conversation's standing."""

    GENERATED = "generated", "To review"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    FLAGGED = "flagged", "Flagged"


class Origin(models.TextChoices):
    GENERATED = "generated", "Generated"
    IMPROVED = "improved", "Improved"
    ALTERNATIVE = "alternative", "Alternative answer"
    EDITED = "edited", "Edited"
    REGENERATED = "regenerated", "Regenerated"
    IMPORTED = "imported", "Imported"


class Label(models.Model):
    """A tag that a project puts on conversations."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="labels")
    name = models.CharField(max_length=40)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_label_a_name")]

    def __str__(self) -> str:
        return self.name


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(project__memberships__user=user)

    def for_list(self) -> Self:
        """Newest first, with what a row of a list shows, in two queries whatever the number of rows."""
        return self.select_related("batch", "persona").prefetch_related("labels").order_by("-pk")

    def with_grade(self) -> Self:
        """With `grade` and `judge_error` of the head's latest judgement; None where there is none."""
        judgements = Judgement.objects.filter(version=models.OuterRef("head")).order_by("-pk")
        return self.annotate(
            grade=models.Subquery(judgements.values("grade")[:1]),
            judge_error=models.Subquery(judgements.values("error")[:1]),
        )

    def with_head(self) -> Self:
        """With the version that counts, but without its text vector, which only searches read."""
        return self.select_related("head").defer("head__search")


class Conversation(models.Model):
    """One dialog and its history. The columns beside `head` repeat what lists filter and sort by.

    They stay narrow and out of the full-text index, so that a list reads few pages and a verdict writes little.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="conversations", db_index=False)
    batch = models.ForeignKey(Batch, models.CASCADE, related_name="conversations", db_index=False)
    status = models.CharField(max_length=10, choices=Status, default=Status.GENERATED)
    # Null only while its first version is being written, so readers need not ask.
    head: models.OneToOneField[Version, Version] = models.OneToOneField(  # type: ignore[misc]
        "Version", models.RESTRICT, null=True, related_name="+"
    )
    persona = models.ForeignKey(Persona, models.SET_NULL, null=True, related_name="conversations", db_index=False)
    labels = models.ManyToManyField(Label, through="Labelling", related_name="conversations")
    opening = models.CharField(max_length=300, help_text="The first question, cut for lists.")
    turns = models.PositiveSmallIntegerField()
    score = models.FloatField(null=True, help_text="The judge's overall score of the head, 0 to 1.")
    offline = models.BooleanField(default=False, help_text="Whether the offline model wrote any of it.")
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["project", "-id"], name="conversation_newest"),
            models.Index(fields=["project", "status", "-id"], name="conversation_by_status"),
            models.Index(fields=["batch", "-id"], name="conversation_by_batch"),
            models.Index(fields=["persona", "-id"], name="conversation_by_persona"),
            models.Index(fields=["project", "turns", "-id"], name="conversation_by_turns"),
            models.Index(fields=["project", "score"], name="conversation_by_score"),
        ]

    def __str__(self) -> str:
        return self.opening[:80]


class VersionManager(models.Manager["Version"]):
    def get_queryset(self) -> models.QuerySet[Version]:
        return super().get_queryset().defer("search")


class Version(models.Model):
    """One immutable state of a conversation. `messages` and `trace` hold `datasets.schema` shapes as jsonb.

    The text vector stands here rather than on the conversation: what never changes is indexed once, while each verdict
    on a row with a text vector would write the whole of it to the index again (measured: 1 ms a row).
    """

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveIntegerField(default=1)
    label = models.CharField(max_length=60, blank=True, help_text="How it differs from its siblings.")
    origin = models.CharField(max_length=12, choices=Origin)
    parent = models.ForeignKey("self", models.SET_NULL, null=True, related_name="children")
    author = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    system_prompt = models.TextField(blank=True)
    persona = models.TextField(blank=True)
    messages = models.JSONField()
    trace = models.JSONField(default=dict)
    tools = models.JSONField(default=list, help_text="`datasets.schema.ToolSpec` rows.")
    output = models.JSONField(null=True, help_text="The row of a structured generation.")
    extra = models.JSONField(default=dict, help_text="What an imported row said that has no column.")
    search = SearchVectorField(null=True, editable=False)
    created = models.DateTimeField(auto_now_add=True)

    objects = VersionManager()

    class Meta:
        ordering = ["number"]
        base_manager_name = "objects"
        constraints = [models.UniqueConstraint(fields=["conversation", "number"], name="one_version_a_number")]
        indexes = [GinIndex(fields=["search"], name="version_search")]

    def __str__(self) -> str:
        return f"{self.conversation_id} v{self.number}"

    @property
    def dialog(self) -> Dialog:
        return self.spoken.model_copy(update={"trace": Trace.model_validate(self.trace or {})})

    @property
    def spoken(self) -> Dialog:
        """The dialog without its trace, which is many times as long and may have been deferred."""
        return Dialog(
            messages=tuple(Message.model_validate(message) for message in self.messages),
            system_prompt=self.system_prompt,
            persona=self.persona,
            tools=tuple(ToolSpec.model_validate(tool) for tool in self.tools),
            output=self.output,
            extra=self.extra,
        )


class Judgement(models.Model):
    """What an evaluator said of a version."""

    version = models.ForeignKey(Version, models.CASCADE, related_name="judgements")
    evaluator = models.CharField(max_length=60)
    model = models.CharField(max_length=120)
    overall = models.FloatField(null=True)
    scores = models.JSONField(default=list, help_text="`datasets.schema.Score` rows.")
    grade = models.CharField(max_length=20, blank=True)
    feedback = models.TextField(blank=True)
    first_bad = models.PositiveIntegerField(null=True, help_text="Index of the first message that has to be mended.")
    error = models.TextField(blank=True, help_text="Why there is no judgement, when the judge failed.")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.evaluator}: {self.overall}"


class BulkAction(models.Model):
    """One decision, or one label, put on everything that a filter matched; and its undoing.

    Done in chunks from the newest conversation to the oldest, each chunk in one transaction with `position`, so that it
    can be killed and carried on. Conversations that came after it was confirmed lie above its first position.
    """

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        UNDOING = "undoing", "Undoing"
        UNDONE = "undone", "Undone"

    ACTIVE = (State.RUNNING, State.UNDOING)

    project = models.ForeignKey(Project, models.CASCADE, related_name="bulk_actions")
    actor = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    decision = models.CharField(max_length=10, choices=Status, blank=True)
    label = models.ForeignKey(Label, models.CASCADE, null=True, related_name="+")
    filter = models.JSONField(default=dict, help_text="The conversation filter, as its query parameters.")
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    total = models.PositiveIntegerField(help_text="Conversations to change, counted when it was confirmed.")
    done = models.PositiveIntegerField(default=0, help_text="Conversations changed, or changed back while undoing.")
    up_to = models.BigIntegerField(help_text="Id of the newest conversation that it may touch.")
    position = models.BigIntegerField(help_text="Conversations with this id and above have been seen to.")
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["id"], name="bulk_open", condition=models.Q(state__in=["running", "undoing"])),
        ]

    def __str__(self) -> str:
        return f"{self.verdict or self.label}: {self.total}"

    @property
    def verdict(self) -> str:
        return self.get_decision_display()

    @property
    def left(self) -> int:
        return max(0, self.total - self.done)

    @property
    def is_active(self) -> bool:
        return self.state in self.ACTIVE


class Labelling(models.Model):
    """A label on a conversation, and who put it there."""

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="labellings", db_index=False)
    label = models.ForeignKey(Label, models.CASCADE, related_name="labellings", db_index=False)
    author = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    action = models.ForeignKey(BulkAction, models.SET_NULL, null=True, related_name="labellings", db_index=False)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["conversation", "label"], name="one_labelling_a_label")]
        indexes = [
            models.Index(fields=["label", "-conversation"], name="labelling_newest"),
            models.Index(
                fields=["action", "-conversation"],
                name="labelling_by_action",
                condition=models.Q(action__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.conversation_id}: {self.label_id}"


class ReviewQuerySet(models.QuerySet["Review"]):
    def standing(self) -> Self:
        """Those that nobody took back."""
        return self.filter(withdrawn=None)


class Review(models.Model):
    """What a person decided of a version; the latest that stands decides the conversation's status."""

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="reviews", db_index=False)
    version = models.ForeignKey(Version, models.SET_NULL, null=True, related_name="reviews")
    reviewer = models.ForeignKey(User, models.SET_NULL, null=True, related_name="reviews", db_index=False)
    decision = models.CharField(max_length=10, choices=Status)
    previous = models.CharField(max_length=10, choices=Status, help_text="The status that it found.")
    action = models.ForeignKey(BulkAction, models.SET_NULL, null=True, related_name="reviews", db_index=False)
    created = models.DateTimeField(auto_now_add=True)
    withdrawn = models.DateTimeField(null=True, help_text="When its reviewer took it back.")

    objects = ReviewQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["conversation", "-id"], name="review_newest"),
            models.Index(fields=["reviewer", "-id"], name="review_by_reviewer"),
            models.Index(
                fields=["action", "-conversation"], name="review_by_action", condition=models.Q(action__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reviewer}: {self.decision}"


class Note(models.Model):
    """What somebody wants others to know of a conversation."""

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="notes")
    author = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    text = models.TextField(max_length=5_000)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.text[:80]
