"""A recipe as a text that somebody pastes."""

from __future__ import annotations

from django import forms


class RecipeTextForm(forms.Form):
    text = forms.CharField(
        label="Recipe as YAML",
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 12, "class": "mono", "spellcheck": "false"}),
        help_text="It fills the form of a new run, for you to look at: nothing is launched yet.",
    )
