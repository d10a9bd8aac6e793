"""Files made from conversations."""

from __future__ import annotations

from django.db import models

from .artifacts import Artifact, ArtifactQuerySet
from .people import Project, User


class Export(Artifact):
    """A file of the conversations that a filter matched, written by a task: rows, or an archive of both sides of a split."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        WRITING = "writing", "Writing"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"

    MAKING = State.WRITING
    GAVE_UP = "Writing stopped {} times before it was done: look at the worker's log and export again."

    project = models.ForeignKey(Project, models.CASCADE, related_name="exports", db_index=False)
    format = models.CharField(max_length=20)
    filter = models.JSONField(default=dict, help_text="The conversation filter, as its query parameters.")
    options = models.JSONField(default=dict, help_text="Format options, for example system_prompt.")
    split = models.JSONField(null=True, help_text="`datasets.formats.splitting.Split`; null: one file of rows.")
    up_to = models.BigIntegerField(default=0, help_text="Id of the newest conversation that belongs to it.")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    rows = models.PositiveIntegerField(default=0, help_text="Conversations to write, counted when it was asked for.")
    rows_written = models.PositiveIntegerField(default=0)
    rows_held = models.PositiveIntegerField(default=0, help_text="Those of them that are for validation.")
    skipped = models.PositiveIntegerField(default=0, help_text="Conversations that the format cannot hold.")
    skips = models.JSONField(default=dict, help_text="Why conversations were left out: {sentence: count}.")
    offline = models.BooleanField(default=False, help_text="Whether any row was written by the offline model.")
    file = models.FileField(upload_to="exports/", max_length=200, blank=True)
    size = models.PositiveBigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    objects = ArtifactQuerySet["Export"].as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["project", "-id"], name="export_newest"),
            models.Index(fields=["id"], name="export_open", condition=models.Q(state__in=["waiting", "writing"])),
        ]

    @property
    def seen(self) -> int:
        return self.rows_written + self.skipped

    @property
    def left(self) -> int:
        return max(0, self.rows - self.seen)

    @property
    def file_name(self) -> str:
        """What a download is called: it says which format, and whether the offline model wrote any of it."""
        extension, offline = "zip" if self.split else "jsonl", "-offline" if self.offline else ""
        return f"{self.project.slug}-{self.format}{offline}-{self.pk}.{extension}"

    @property
    def content_type(self) -> str:
        return "application/zip" if self.split else "application/jsonl"

    @property
    def rows_to_train(self) -> int:
        return self.rows_written - self.rows_held

    def __str__(self) -> str:
        return f"Export {self.pk}"
