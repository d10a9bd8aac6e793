"""Small pieces of model work that somebody waits for on a page."""

from __future__ import annotations

from django.db import models

from datasets.models import Project, User


class Trial(models.Model):
    """One test, preview, draft or vector: asked for by a page, done by a worker, read back by the page that polls it."""

    class Kind(models.TextChoices):
        ENDPOINT = "endpoint", "Endpoint test"
        PREVIEW = "preview", "Preview of one conversation"
        CORRESPONDENT = "correspondent", "Draft of a correspondent prompt"
        EMBEDDING = "embedding", "Choice of an embedding model"
        QUESTION = "question", "Vector of a question"

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    project = models.ForeignKey(Project, models.CASCADE, related_name="trials")
    kind = models.CharField(max_length=15, choices=Kind)
    request = models.JSONField(help_text="What to do; the shape depends on the kind.")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    started = models.DateTimeField(null=True)
    result = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    finished = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]

    @property
    def is_open(self) -> bool:
        return self.state in (self.State.WAITING, self.State.RUNNING)

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"
