"""Files of conversations that somebody brings along."""

from __future__ import annotations

from django.db import models

from .conversations import Batch
from .people import Project, User


class Import(models.Model):
    """An uploaded file of conversations, looked at first and then read by a task.

    Read in chunks, each in one transaction with `position`, so that it can be killed and carried on without anything
    coming in twice. The file itself is gone once it has been read to its end.
    """

    class State(models.TextChoices):
        SHOWN = "shown", "To confirm"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    project = models.ForeignKey(Project, models.CASCADE, related_name="imports", db_index=False)
    batch = models.OneToOneField(Batch, models.CASCADE, null=True, related_name="source")
    name = models.CharField(max_length=255, help_text="Of the file, as it was uploaded.")
    file = models.FileField(upload_to="imports/", max_length=200)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField(help_text="Bytes.")
    shape = models.CharField(max_length=20, help_text="One of `datasets.formats.incoming.SHAPES`.")
    state = models.CharField(max_length=10, choices=State, default=State.SHOWN)
    position = models.PositiveBigIntegerField(default=0, help_text="Bytes of the file that have been seen to.")
    lines = models.PositiveIntegerField(default=0, help_text="Lines that have been seen to.")
    rows = models.PositiveIntegerField(default=0, help_text="Conversations that came of them.")
    problems = models.JSONField(default=list, help_text="Lines that were left out: [number, sentence], the first ones.")
    problem_count = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True, help_text="Why it ended before its end.")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["project", "-id"], name="import_newest"),
            models.Index(fields=["project", "sha256"], name="import_by_content"),
            models.Index(fields=["id"], name="import_open", condition=models.Q(state="running")),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_active(self) -> bool:
        return self.state == self.State.RUNNING

    @property
    def percent(self) -> int:
        return 100 * self.position // max(1, self.size)

    @property
    def left(self) -> int:
        """Percent."""
        return 100 - self.percent
