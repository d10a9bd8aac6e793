"""What was reckoned about conversations."""

from __future__ import annotations

from typing import Self

from django.db import models

from .artifacts import Artifact, ArtifactQuerySet
from .people import Project, User


class ReportQuerySet(ArtifactQuerySet["Report"]):
    def without_result(self) -> Self:
        """For lists."""
        return self.defer("result")


class Report(Artifact):
    """An analysis of the conversations that a filter matched, reckoned by a task."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    MAKING = State.RUNNING
    GAVE_UP = "Reckoning stopped {} times before it was done: look at the worker's log and ask again."

    project = models.ForeignKey(Project, models.CASCADE, related_name="reports", db_index=False)
    filter = models.JSONField(default=dict, help_text="The conversation filter, as its query parameters.")
    about = models.CharField(
        max_length=300, blank=True, help_text="The filter in words; nothing where it narrows nothing."
    )
    up_to = models.BigIntegerField(help_text="Id of the newest conversation that belongs to it.")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    rows = models.PositiveIntegerField(help_text="Conversations to read, counted when it was asked for.")
    rows_read = models.PositiveIntegerField(default=0)
    result = models.JSONField(null=True, help_text="`datasets.reports.findings.Findings`, once it is done.")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    objects = ReportQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["project", "-id"], name="report_newest"),
            models.Index(fields=["id"], name="report_open", condition=models.Q(state__in=["waiting", "running"])),
        ]

    def __str__(self) -> str:
        return f"Report {self.pk}"

    @property
    def left(self) -> int:
        return max(0, self.rows - self.rows_read)

    @property
    def file_name(self) -> str:
        """What a download is called."""
        return f"{self.project.slug}-report-{self.pk}.html"
