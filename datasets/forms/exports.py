"""What people choose when they export."""

from __future__ import annotations

from typing import Any

from django import forms

from datasets.formats import FORMATS, Options
from datasets.formats.splitting import Split, Together

from .conversations import ConversationFilterForm

TOGETHER: dict[Together, str] = {
    "documents": "What is about the same document",
    "passages": "What is about the same passage",
    "personas": "What is of the same persona, or of personas from the same document",
    "nothing": "Nothing: each row by itself",
}


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

    validation = forms.FloatField(
        required=False,
        min_value=0,
        max_value=1,
        label="Share for validation",
        help_text="For example 0.1: the file is then an archive of train.jsonl and validation.jsonl. Empty: one file.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    together = forms.ChoiceField(
        required=False,
        choices=list(TOGETHER.items()),
        label="Keep together",
        help_text="On one side, so that nothing is validated by what was trained on.",
    )
    order = forms.ChoiceField(
        required=False,
        choices=[("shuffled", "Shuffled"), ("kept", "As they are, validation first")],
        label="Order",
    )
    seed = forms.IntegerField(
        required=False, label="Seed", help_text="The same seed divides the same rows in the same way."
    )

    def __init__(self, project: Any, data: Any) -> None:
        given = data.copy()
        given.setdefault("status", "approved")
        given.setdefault("format", next(iter(FORMATS)))
        given.setdefault("min_gap", str(Options().min_gap))
        given.setdefault("seed", str(Split(0).seed))
        super().__init__(project, given)

    def clean_validation(self) -> float | None:
        share: float | None = self.cleaned_data["validation"]
        if share == 1:
            raise forms.ValidationError("Nothing would be left to train on: give a share below 1.")
        return share or None

    @property
    def split(self) -> Split | None:
        """None where one file is wanted."""
        chosen = self.cleaned_data
        if chosen["validation"] is None:
            return None
        seed = Split(0).seed if chosen["seed"] is None else chosen["seed"]
        together: Together = chosen["together"] or "documents"
        return Split(chosen["validation"], together, shuffle=chosen["order"] != "kept", seed=seed)

    @property
    def options(self) -> Options:
        chosen = {name: self.cleaned_data[name] for name in ("system_prompt", "reasoning", "metadata")}
        return Options(**chosen, min_gap=self.cleaned_data["min_gap"] or 0.0)
