"""A recipe as a text that somebody pastes."""

from __future__ import annotations

from typing import Any

from django import forms

from datasets.models import Corpus, Project
from generation.models import Endpoint


class RecipeTextForm(forms.Form):
    text = forms.CharField(
        label="Recipe as YAML",
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 12, "class": "mono", "spellcheck": "false"}),
        help_text="It fills the form of a new run, for you to look at: nothing is launched yet.",
    )


class ConfigTextForm(forms.Form):
    """A config file of the AfterImage library, and what of it a browser cannot reach."""

    config = forms.CharField(
        label="Config as YAML",
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 12, "class": "mono", "spellcheck": "false"}),
        help_text="It fills the form of a new run and keeps the assistant's prompt: nothing is launched yet.",
    )
    corpus = forms.ModelChoiceField(
        Corpus.objects.none(),
        required=False,
        empty_label="The one that it names",
        help_text="Where its documents are, if they are files on your computer.",
    )
    endpoint = forms.ModelChoiceField(
        Endpoint.objects.none(),
        required=False,
        empty_label="The one at its address",
        help_text="Who is asked. Keys are never read from a config.",
    )

    def __init__(self, project: Project, data: Any = None) -> None:
        super().__init__(data)
        self.fields["corpus"].queryset = project.corpora.all()
        self.fields["endpoint"].queryset = project.endpoints.all()
