"""Which calls the dashboard of a project is about."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms

from datasets.models import Project

SPANS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
}
NAMES = {"hour": "Last hour", "day": "Last day", "week": "Last week", "month": "Last 30 days"}
RUNS = 100
"""A menu lists so many runs."""


class MonitoringForm(forms.Form):
    """A span of time, and what to narrow it to. Whatever is left out means all."""

    span = forms.ChoiceField(choices=list(NAMES.items()), required=False, initial="day")
    run = forms.TypedChoiceField(required=False, coerce=int, empty_value=None, label="Run")
    endpoint = forms.TypedChoiceField(required=False, coerce=int, empty_value=None, label="Endpoint")
    model = forms.CharField(
        max_length=150, required=False, label="Model", widget=forms.TextInput(attrs={"type": "search"})
    )

    def __init__(self, project: Project, data: Any) -> None:
        super().__init__(data)
        runs = list(project.runs.values_list("pk", "name")[:RUNS])
        asked = self["run"].value()
        if asked and asked.isdecimal() and int(asked) not in {pk for pk, _ in runs}:
            runs += project.runs.filter(pk=int(asked)).values_list("pk", "name")
        self.fields["run"].choices = [("", "Any run"), *((pk, f"{name} ({pk})") for pk, name in runs)]
        endpoints = project.endpoints.values_list("pk", "name")
        self.fields["endpoint"].choices = [("", "Any endpoint"), *endpoints]
        self.fields["model"].widget.attrs |= {
            "type": "search",
            "list": "models",
            "placeholder": "Any model",
            "autocomplete": "off",
        }
        for name in ("run", "endpoint", "model"):
            self.fields[name].widget.attrs["aria-label"] = self.fields[name].label

    @property
    def span_name(self) -> str:
        return self.cleaned_data["span"] or "day"

    @property
    def window(self) -> timedelta:
        return SPANS[self.span_name]

    def narrower(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("run", "endpoint", "model")}
