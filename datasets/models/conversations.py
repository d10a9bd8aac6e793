"""Conversations: what people curate. Their versions are immutable, so nothing is ever overwritten."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from datasets.schema import Dialog, Message, Trace

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


class Conversation(models.Model):
    """One dialog and its history. The columns beside `head` repeat what lists filter and sort by."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="conversations")
    batch = models.ForeignKey(Batch, models.CASCADE, related_name="conversations")
    status = models.CharField(max_length=10, choices=Status, default=Status.GENERATED)
    head = models.OneToOneField("Version", models.PROTECT, null=True, related_name="+")
    persona = models.ForeignKey(Persona, models.SET_NULL, null=True, related_name="conversations")
    labels = models.ManyToManyField(Label, related_name="conversations", blank=True)
    opening = models.CharField(max_length=300, help_text="The first question, cut for lists.")
    turns = models.PositiveSmallIntegerField()
    score = models.FloatField(null=True, help_text="The judge's overall score of the head, 0 to 1.")
    offline = models.BooleanField(default=False, help_text="Whether the offline model wrote any of it.")
    search = SearchVectorField(null=True, editable=False)
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["project", "-id"], name="conversation_newest"),
            models.Index(fields=["project", "status", "-id"], name="conversation_by_status"),
            models.Index(fields=["batch", "-id"], name="conversation_by_batch"),
            models.Index(fields=["persona", "-id"], name="conversation_by_persona"),
            models.Index(fields=["project", "turns", "-id"], name="conversation_by_turns"),
            GinIndex(fields=["search"], name="conversation_search"),
        ]

    def __str__(self) -> str:
        return self.opening[:80]


class Version(models.Model):
    """One immutable state of a conversation. `messages` and `trace` hold `datasets.schema` shapes as jsonb."""

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(default=1)
    origin = models.CharField(max_length=12, choices=Origin)
    parent = models.ForeignKey("self", models.SET_NULL, null=True, related_name="children")
    author = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    system_prompt = models.TextField(blank=True)
    persona = models.TextField(blank=True)
    messages = models.JSONField()
    trace = models.JSONField(default=dict)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["conversation", "number"], name="one_version_a_number")]

    def __str__(self) -> str:
        return f"{self.conversation_id} v{self.number}"

    @property
    def dialog(self) -> Dialog:
        return Dialog(
            messages=tuple(Message.model_validate(message) for message in self.messages),
            system_prompt=self.system_prompt,
            persona=self.persona,
            trace=Trace.model_validate(self.trace or {}),
        )


class Judgement(models.Model):
    """What an evaluator said of a version."""

    version = models.ForeignKey(Version, models.CASCADE, related_name="judgements")
    evaluator = models.CharField(max_length=60)
    model = models.CharField(max_length=120)
    overall = models.FloatField(null=True)
    scores = models.JSONField(default=list, help_text="`datasets.schema.Score` rows.")
    feedback = models.TextField(blank=True)
    error = models.TextField(blank=True, help_text="Why there is no judgement, when the judge failed.")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.evaluator}: {self.overall}"


class Review(models.Model):
    """What a person decided of a version; the latest decides the conversation's status."""

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="reviews")
    version = models.ForeignKey(Version, models.SET_NULL, null=True, related_name="reviews")
    reviewer = models.ForeignKey(User, models.SET_NULL, null=True, related_name="reviews")
    decision = models.CharField(max_length=10, choices=Status)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["conversation", "-id"], name="review_newest")]

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
