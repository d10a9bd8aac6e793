"""Functions that assistants of a project may ask for."""

from __future__ import annotations

from django.db import models

from datasets.schema import ToolSpec

from .people import Project


class Tool(models.Model):
    """One function: what it is called, what it does, and the JSON schema of its arguments."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="tools")
    name = models.CharField(max_length=64)
    description = models.TextField(blank=True)
    parameters = models.JSONField(help_text="A JSON schema whose top is an object.")
    archived = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_tool_a_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(name=self.name, description=self.description, parameters=self.parameters)
