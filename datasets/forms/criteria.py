"""The form of a criterion."""

from __future__ import annotations

from django import forms


class CriterionForm(forms.Form):
    name = forms.CharField(max_length=60, help_text="A word or two, as it stands beside its score.")
    description = forms.CharField(
        max_length=2_000,
        label="What is good, what is bad",
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="The judge is told this word for word, and scores each conversation from 0 to 1 by it.",
    )
    needs_passages = forms.BooleanField(
        required=False,
        label="Needs passages",
        help_text="It does not apply to conversations in which the assistant was given none.",
    )
    weight = forms.FloatField(
        min_value=0.01,
        max_value=100,
        initial=1,
        help_text="How much it counts where a run weighs its criteria; 1 is the usual weight.",
    )
