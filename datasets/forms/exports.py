"""What people choose when they export."""

from __future__ import annotations

from typing import Any

from django import forms

from datasets.formats import FORMATS, Options

from .conversations import ConversationFilterForm


class ExportForm(ConversationFilterForm):
    """The filter, the format and its options. Only approved conversations, unless another status is asked for."""

    format = forms.ChoiceField(
        required=False,
        choices=[(key, one.label) for key, one in FORMATS.items()],
        widget=forms.RadioSelect,
        label="Format",
    )
    system_prompt = forms.BooleanField(
        required=False, label="System prompt", help_text="The assistant's instructions, as the first thing of each row."
    )
    reasoning = forms.BooleanField(
        required=False,
        label="Reasoning",
        help_text="What the assistant thought before it answered, where the format can hold it: Messages, "
        "structured rows and AfterImage rows.",
    )
    min_gap = forms.FloatField(
        required=False,
        min_value=0,
        max_value=1,
        label="Smallest gap",
        help_text="Of preference pairs: by how much the better answer must be scored higher.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    metadata = forms.BooleanField(
        required=False,
        label="Metadata and sources",
        help_text="Run, persona, labels, score and the passages before each answer. Some trainers refuse rows with more "
        "than they read.",
    )

    def __init__(self, project: Any, data: Any) -> None:
        given = data.copy()
        given.setdefault("status", "approved")
        given.setdefault("format", next(iter(FORMATS)))
        given.setdefault("min_gap", str(Options().min_gap))
        super().__init__(project, given)

    @property
    def options(self) -> Options:
        chosen = {name: self.cleaned_data[name] for name in ("system_prompt", "reasoning", "metadata")}
        return Options(**chosen, min_gap=self.cleaned_data["min_gap"] or 0.0)
