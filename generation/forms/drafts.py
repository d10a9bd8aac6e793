"""What is asked for a draft of a correspondent prompt."""

from __future__ import annotations

from typing import Any

from django import forms

from datasets.models import Project


class DraftForm(forms.Form):
    endpoint = forms.ModelChoiceField(queryset=None)

    def __init__(self, data: Any, *, project: Project) -> None:
        super().__init__(data)
        self.fields["endpoint"].queryset = project.endpoints.exclude(chat_model="")
