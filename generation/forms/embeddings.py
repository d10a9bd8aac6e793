"""The form that says how a corpus is searched."""

from __future__ import annotations

from typing import Any

from django import forms

from datasets.models import Project
from generation.models import Endpoint
from generation.models.endpoints import OFFLINE


class EndpointChoice(forms.ModelChoiceField):
    def label_from_instance(self, endpoint: Endpoint) -> str:
        return f"By words and by meaning: {endpoint.embedding_model} at {endpoint.name}"


class EmbeddingForm(forms.Form):
    endpoint = EndpointChoice(queryset=None, required=False, label="Search", empty_label="By words alone")

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["endpoint"].queryset = project.endpoints.exclude(embedding_model="")


class QueryModelChoice(forms.ModelChoiceField):
    def label_from_instance(self, endpoint: Endpoint) -> str:
        return f"{endpoint.name}: {endpoint.embedding_model or 'name a model'}"


class QueryModelForm(forms.Form):
    """Of an adopted corpus, whose vectors somebody else made: with which model, so that questions get like ones."""

    endpoint = QueryModelChoice(queryset=None, required=False, label="Endpoint", empty_label="None yet")
    model = forms.CharField(
        required=False, max_length=150, label="Embedding model", help_text="Empty: the endpoint’s own."
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["endpoint"].queryset = project.endpoints.exclude(preset=OFFLINE)
