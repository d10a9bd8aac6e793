"""The form that says how a corpus is searched."""

from __future__ import annotations

from typing import Any

from django import forms

from datasets.models import Project
from generation.models import Endpoint


class EndpointChoice(forms.ModelChoiceField):
    def label_from_instance(self, endpoint: Endpoint) -> str:
        return f"By words and by meaning: {endpoint.embedding_model} at {endpoint.name}"


class EmbeddingForm(forms.Form):
    endpoint = EndpointChoice(queryset=None, required=False, label="Search", empty_label="By words alone")

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["endpoint"].queryset = project.endpoints.exclude(embedding_model="")
